import EnvoyAPI
import Traffic

/// What routes that forward have beside their cluster.
extension RouteCompiler {
    /// What of the action stands apart; nil when there is nothing.
    func extras(
        _ message: Envoy.RouteAction,
        _ owner: Envoy.Route,
        _ host: Envoy.VirtualHost
    ) -> UnsafePointer<ForwardExtras>? {
        var extras = ForwardExtras()
        var isUsed = false
        if let policy = message.pathRewritePolicy {
            extras.pathRewrite = templateRewrite(policy, owner)
            isUsed = true
        }
        if let rewrite = message.regexRewrite {
            if !message.prefixRewrite.isEmpty { context.report("regex_rewrite: excludes prefix_rewrite") }
            extras.pathRewrite = context.at("regex_rewrite") { patternRewrite(rewrite) }
            isUsed = true
        }
        switch message.hostRewriteSpecifier {
        case .hostRewriteHeader(let name):
            extras.hostRewriteHeader = builder.arena.copy(Self.lowercased(name))
            isUsed = true
        case .hostRewritePathRegex(let rewrite):
            extras.hostRewritePath = context.at("host_rewrite_path_regex") { patternRewrite(rewrite) }
            isUsed = true
        case .hostRewriteLiteral, .autoHostRewrite, nil: break
        }
        extras.mirrors = mirrors(message, host)
        if let criteria = SubsetMetadata.criteria(message.metadataMatch) {
            extras.criteria = builder.arena.keep(criteria)
            isUsed = true
        }
        if case .weightedClusters(let weighted) = message.clusterSpecifier, let name = weighted.headerName {
            extras.drawHeader = builder.arena.copy(Self.lowercased(name))
        }
        extras.internalRedirect = message.internalRedirectPolicy.map { policy in
            context.at("internal_redirect_policy") { internalRedirect(policy) }
        }
        extras.replayLimit = replayLimit(owner, host)
        extras.connect = connect(message)
        extras.hashRules = builder.arena.copy(context.each("hash_policy", message.hashPolicy) { hashRule($0) })
        extras.tellsTimeoutRetries = host.includeIsTimeoutRetryHeader
        extras.hedges = hedges(message.hedgePolicy ?? host.hedgePolicy)
        extras.callTimeout = callTimeout(message)
        isUsed =
            isUsed || !extras.mirrors.isEmpty || extras.drawHeader != nil || extras.internalRedirect != nil
            || extras.replayLimit != nil || extras.connect != nil || extras.tellsTimeoutRetries || extras.hedges
            || extras.callTimeout != nil
            || !extras.hashRules.isEmpty
        return isUsed ? builder.arena.copy([extras]).pointer(at: 0) : nil
    }

    private func hedges(_ policy: Envoy.HedgePolicy?) -> Bool {
        guard let policy else { return false }
        if (policy.initialRequests ?? 1) > 1 || (policy.additionalRequestChance?.numerator ?? 0) > 0 {
            context.report(
                "hedge_policy: one request is sent first, as with Envoy, which reads initial_requests and "
                    + "additional_request_chance and goes by neither; leave them out"
            )
        }
        return policy.hedgeOnPerTryTimeout
    }

    private func callTimeout(_ message: Envoy.RouteAction) -> CallTimeout? {
        if let maximum = nanoseconds(message.maxStreamDuration?.grpcTimeoutHeaderMax) {
            let offset = nanoseconds(message.maxStreamDuration?.grpcTimeoutHeaderOffset) ?? 0
            return CallTimeout(maximum: maximum, offset: offset, isRouteTimeout: false)
        }
        guard let maximum = nanoseconds(message.maxGrpcTimeout) else {
            if message.grpcTimeoutOffset != nil || message.maxStreamDuration?.grpcTimeoutHeaderOffset != nil {
                context.report("an offset for grpc-timeout needs the maximum beside it (0s: no limit)")
            }
            return nil
        }
        let offset = nanoseconds(message.grpcTimeoutOffset) ?? 0
        return CallTimeout(maximum: maximum, offset: offset, isRouteTimeout: true)
    }

    /// Of the three levels the most specific one that has any counts, as in Envoy.
    private func mirrors(_ message: Envoy.RouteAction, _ host: Envoy.VirtualHost) -> ArenaArray<Mirror> {
        let wanted: [Envoy.RouteAction.RequestMirrorPolicy]
        if !message.requestMirrorPolicies.isEmpty {
            wanted = message.requestMirrorPolicies
        } else if !host.requestMirrorPolicies.isEmpty {
            wanted = host.requestMirrorPolicies
        } else {
            wanted = configuration.requestMirrorPolicies
        }
        if wanted.count > Self.mirrorLimit {
            context.report(
                "request_mirror_policies: \(wanted.count) copies of a request; \(Self.mirrorLimit) are allowed"
            )
        }
        return builder.arena.copy(
            wanted.map { policy in
                Mirror(
                    cluster: policy.cluster.isEmpty ? -1 : context.cluster(policy.cluster),
                    header: builder.arena.copy(Self.lowercased(policy.clusterHeader)),
                    share: policy.runtimeFraction.map { share($0) } ?? 1_000_000,
                    marksHost: !policy.disableShadowHostSuffixAppend
                )
            }
        )
    }

    /// Copies of one request.
    private static let mirrorLimit = 8

    private func internalRedirect(_ message: Envoy.InternalRedirectPolicy) -> InternalRedirect {
        var redirect = InternalRedirect()
        redirect.limit = message.maxInternalRedirects ?? 1
        // As in Envoy, what else is listed is left out.
        for status in message.redirectResponseCodes where [301, 302, 303, 307, 308].contains(status) {
            redirect.statuses.insert(Int(status))
        }
        if message.redirectResponseCodes.isEmpty { redirect.statuses.insert(302) }
        redirect.crossesScheme = message.allowCrossSchemeRedirect
        redirect.copied = builder.arena.copy(
            message.responseHeadersToCopy.map { builder.arena.copy(Self.lowercased($0)) }
        )
        return redirect
    }

    private func replayLimit(_ owner: Envoy.Route, _ host: Envoy.VirtualHost) -> Int? {
        let own = owner.requestBodyBufferLimit ?? owner.perRequestBufferLimitBytes.map { UInt64($0) }
        let shared = host.requestBodyBufferLimit ?? host.perRequestBufferLimitBytes.map { UInt64($0) }
        return (own ?? shared).map { Int(min($0, UInt64(Worker.Limits.largestReplay))) }
    }

    private func connect(_ message: Envoy.RouteAction) -> ConnectRule? {
        var rule: ConnectRule?
        for (index, upgrade) in message.upgradeConfigs.enumerated() {
            switch Self.lowercased(upgrade.upgradeType) {
            case "connect":
                guard upgrade.enabled ?? true else {
                    rule = .refuse
                    continue
                }
                rule = upgrade.connectConfig == nil ? .passOn : .terminate
            case "websocket":
                if upgrade.connectConfig != nil {
                    context.report("upgrade_configs[\(index)].connect_config is for the upgrade_type CONNECT")
                }
            default:
                context.report(
                    "upgrade_configs[\(index)].upgrade_type: \"\(upgrade.upgradeType)\" is not supported; use websocket "
                        + "or CONNECT"
                )
            }
        }
        return rule
    }

    /// The line `x-envoy-expected-rq-timeout-ms` as it goes upstream.
    func expectedTimeout(_ forward: Forward) -> ByteRun {
        let time = forward.retry.perTryTimeout > 0 ? forward.retry.perTryTimeout : forward.timeout
        guard time >= 1_000_000 else { return .empty }
        return builder.arena.copy("x-envoy-expected-rq-timeout-ms: \(time / 1_000_000)\r\n")
    }

    // MARK: Shares

    /// Of a million; the runtime key counts before the default.
    func share(_ message: Envoy.RuntimeFractionalPercent) -> UInt32 {
        if !message.runtimeKey.isEmpty, let known = context.runtime.share(message.runtimeKey) { return known }
        guard let fraction = message.defaultValue else { return 0 }
        let unit: UInt64
        switch fraction.denominator {
        case .hundred: unit = 10_000
        case .tenThousand: unit = 100
        case .million: unit = 1
        }
        return UInt32(min(1_000_000, UInt64(fraction.numerator) * unit))
    }

    func weighted(
        _ message: Envoy.WeightedCluster,
        _ action: Envoy.RouteAction,
        _ levels: [Level],
        _ route: inout Route
    ) -> ClusterChoice {
        let shared = SubsetMetadata.criteria(action.metadataMatch)
        var total: UInt64 = 0
        var remembers = route.remembersRequest
        let clusters = context.each("clusters", message.clusters) { entry -> WeightedCluster in
            if entry.name.isEmpty == entry.clusterHeader.isEmpty {
                context.report("one of name, cluster_header is required")
            }
            let weight = weight(entry, message)
            total += UInt64(weight)
            var made = WeightedCluster(cluster: entry.name.isEmpty ? -1 : context.cluster(entry.name), weight: weight)
            made.header = builder.arena.copy(Self.lowercased(entry.clusterHeader))
            let own = Level(
                request: headers.edits(
                    add: entry.requestHeadersToAdd,
                    remove: entry.requestHeadersToRemove,
                    addStep: "request_headers_to_add",
                    removeStep: "request_headers_to_remove"
                ),
                response: headers.edits(
                    add: entry.responseHeadersToAdd,
                    remove: entry.responseHeadersToRemove,
                    addStep: "response_headers_to_add",
                    removeStep: "response_headers_to_remove"
                )
            )
            // The cluster's changes come first, whoever wins among the others.
            made.requestEdits = edits(levels.map(\.request), after: own.request)
            made.responseEdits = edits(levels.map(\.response), after: own.response)
            remembers = remembers || Self.remembersRequest(made.responseEdits)
            let filters = FilterCompiler(context: context).route(entry.typedPerFilterConfig, builder.arena)
            remembers = remembers || FilterCompiler.readsRequest(filters)
            if !filters.isEmpty { made.filters = builder.arena.copy(filters + levels.flatMap(\.filters)) }
            made.hostRewrite = entry.hostRewriteLiteral.map { builder.arena.copy($0) }
            if let own = SubsetMetadata.criteria(entry.metadataMatch),
                let merged = SubsetMetadata.merged(shared, own)
            {
                made.criteria = builder.arena.keep(merged)
            }
            return made
        }
        route.remembersRequest = remembers
        if total == 0 { context.report("the weights of the clusters are all 0") }
        let configured = message.clusters.reduce(0) { $0 + UInt64($1.weight ?? 0) }
        if let declared = message.totalWeight, UInt64(declared) != configured {
            context.report("total_weight is \(declared), but the weights add up to \(configured)")
        }
        return .weighted(builder.arena.copy(clusters), total: max(1, total))
    }

    private func weight(_ entry: Envoy.WeightedCluster.ClusterWeight, _ message: Envoy.WeightedCluster) -> UInt32 {
        if !message.runtimeKeyPrefix.isEmpty,
            let known = context.runtime.number("\(message.runtimeKeyPrefix).\(entry.name)")
        {
            return UInt32(clamping: known)
        }
        return entry.weight ?? 0
    }

    // MARK: Changes of headers

    /// The changes of several levels, the first of which is the most specific one, as one list.
    func edits(_ levels: [[HeaderEdit]], after first: [HeaderEdit] = []) -> ArenaArray<HeaderEdit> {
        let ordered = configuration.mostSpecificHeaderMutationsWins ? levels.reversed() : levels
        return builder.arena.copy(HeaderEdit.settled(first + ordered.flatMap { $0 }))
    }

    /// Whether an answer cannot be written without the request's fields.
    static func remembersRequest(_ edits: ArenaArray<HeaderEdit>) -> Bool {
        for index in 0..<edits.count {
            let value = edits[index].value
            for part in 0..<value.count {
                switch value[part].kind {
                case .requestHeader, .formattedWithRequest, .downstreamRemoteAddress,
                    .downstreamRemoteAddressWithoutPort:
                    return true
                default: continue
                }
            }
        }
        return false
    }

    // MARK: Matching

    func demandTLS(_ message: Envoy.RouteMatch.TlsContextMatchOptions?, _ route: inout Route) {
        guard let message else { return }
        for wanted in [message.presented, message.validated] {
            guard let wanted else { continue }
            // A certificate that is not found good ends the handshake: one that is there is good.
            route.demands.insert(wanted ? .certificate : .noCertificate)
        }
    }

    /// Every cluster that a route names must be there.
    func validateClusters() {
        var names: [String] = []
        for host in configuration.virtualHosts {
            for case .route(let action) in host.routes.map(\.action) {
                switch action.clusterSpecifier {
                case .cluster(let name): names.append(name)
                case .weightedClusters(let weighted): names += weighted.clusters.map(\.name)
                case .clusterHeader, nil: break
                }
            }
        }
        for name in Set(names).sorted() where !name.isEmpty && !context.isDefined(name) {
            context.report("virtual_hosts: the cluster \"\(name)\" is named by a route, but is not defined")
        }
    }
}
