import EnvoyAPI
import Reactor
import Telemetry
import Traffic
import Wire

/// Compiles clusters. The endpoints of EDS and DNS clusters come from beside the cluster's own message.
struct ClusterCompiler {
    let context: CompileContext

    func settings(_ cluster: Envoy.Cluster) -> ClusterConfiguration.Settings {
        var settings = ClusterConfiguration.Settings()
        if cluster.type == .originalDst { settings.discovery = .originalDestination }
        if let time = nanoseconds(cluster.connectTimeout) { settings.connectTimeout = max(1_000_000, time) }
        if let limit = cluster.perConnectionBufferLimitBytes { settings.perConnectionBufferLimit = Int(limit) }
        balancing(cluster, &settings)
        subsets(cluster, &settings)
        settings.outlier = cluster.outlierDetection.map(outlier)
        applyRuntime(cluster, &settings)
        connections(cluster, &settings)
        if let source = cluster.upstreamBindConfig?.sourceAddress {
            settings.source = context.at("upstream_bind_config.source_address") { context.literal(source) }
        }
        if let keepalive = cluster.upstreamConnectionOptions?.tcpKeepalive {
            settings.socketOptions += SocketOption.keepalive(
                probes: keepalive.keepaliveProbes,
                idleSeconds: keepalive.keepaliveTime,
                intervalSeconds: keepalive.keepaliveInterval
            )
        }
        if let bind = cluster.upstreamBindConfig {
            context.at("upstream_bind_config") {
                let options = context.options("socket_options", bind.socketOptions)
                if options.contains(where: { $0.stage != .prebind }) {
                    context.report("socket_options: sockets towards endpoints have options of STATE_PREBIND only")
                }
                settings.socketOptions += options
            }
            if bind.freebind ?? false {
                var isIPv6 = false
                if case .ipv6 = settings.source?.host { isIPv6 = true }
                settings.socketOptions.append(.freebind(isIPv6: isIPv6))
            }
        }
        settings.labels = context.labels.number(of: labels(cluster))
        settings.statName = cluster.altStatName
        settings.tracksEndpoints = cluster.trackClusterStats?.perEndpointStats ?? false
        settings.endpointWait = endpointWait(cluster.metadata)
        settings.clientTimeout = clientTimeout(cluster.metadata)
        protocols(cluster, &settings)
        transports(cluster, &settings)
        if case .originalDstLbConfig(let original) = cluster.lbConfig {
            var made = ClusterConfiguration.OriginalDestination()
            made.port = UInt16(clamping: original.upstreamPortOverride ?? 0)
            let name = original.httpHeaderName.isEmpty ? "x-envoy-original-dst-host" : original.httpHeaderName
            if original.useHttpHeader { made.header = Array(RouteCompiler.lowercased(name).utf8) }
            settings.original = made
        }
        settings.check = check(cluster, introduction: settings.introduction?.version)
        settings.isAwaited = cluster.waitForWarmOnInit ?? true
        settings.ignoresUnchecked = cluster.commonLbConfig?.ignoreNewHostsUntilFirstHc ?? false
        settings.closesUnhealthy = cluster.closeConnectionsOnHostHealthFailure
        settings.ignoresHealthOnRemoval = cluster.ignoreHealthOnHostRemoval
        return settings
    }

    /// Whether endpoints are spoken to in HTTP/2 whatever they say.
    func speaksHTTP2(_ cluster: Envoy.Cluster) -> Bool {
        if cluster.http2ProtocolOptions != nil { return true }
        return cluster.typedExtensionProtocolOptions.values.contains { options in
            if case .http(let message) = options {
                message.explicitHttpConfig?.http2ProtocolOptions != nil
            } else {
                false
            }
        }
    }

    /// Which HTTP the endpoints are spoken to with.
    private func protocols(_ cluster: Envoy.Cluster, _ settings: inout ClusterConfiguration.Settings) {
        var message = cluster.http2ProtocolOptions
        if message != nil { settings.speaks = .http2 }
        for case .http(let options) in cluster.typedExtensionProtocolOptions.values {
            if let explicit = options.explicitHttpConfig {
                message = explicit.http2ProtocolOptions
                settings.speaks = message == nil ? .http1 : .http2
            } else if let follows = options.useDownstreamProtocolConfig {
                message = follows.http2ProtocolOptions
                settings.speaks = .downstream
            } else if let automatic = options.autoConfig {
                message = automatic.http2ProtocolOptions
                settings.speaks = .automatic
            }
        }
        guard settings.speaks != .http1 else { return }
        settings.http2 = context.at("http2_protocol_options") { HTTP2Options(endpoints: message, context) }
        if settings.speaks == .automatic, cluster.transportSocket == nil {
            context.report("auto_config: needs a transport_socket with TLS, whose ALPN tells the protocol")
        }
    }

    /// How the endpoints are spoken to.
    private func transports(_ cluster: Envoy.Cluster, _ settings: inout ClusterConfiguration.Settings) {
        for case .http(let options) in cluster.typedExtensionProtocolOptions.values {
            guard let wanted = options.upstreamHttpProtocolOptions else { continue }
            if wanted.autoSni { settings.naming.insert(.sni) }
            if wanted.autoSanValidation { settings.naming.insert(.san) }
        }
        let owner = "cluster \(cluster.name)"
        let compiler = TLSCompiler(context: context)
        let own = compiler.transport(
            cluster.transportSocket,
            owner: owner,
            names: settings.naming,
            speaks: settings.speaks
        )
        settings.tls = own.tls
        settings.introduction = own.introduction
        settings.transports = context.each("transport_socket_matches", cluster.transportSocketMatches) { match in
            TransportMatch(
                fields: match.match?.fields ?? Fields(),
                transport: compiler.transport(
                    match.transportSocket,
                    owner: "\(owner)/\(match.name)",
                    names: settings.naming,
                    speaks: settings.speaks
                )
            )
        }
    }

    /// Ours: `weft.dev/endpoints: {wait: 3s}` in the cluster's metadata.
    private func endpointWait(_ metadata: Envoy.Metadata?) -> UInt64 {
        guard let wanted = metadata?.filterMetadata["weft.dev/endpoints"] else { return 0 }
        guard let text = wanted["wait"]?.stringValue, text.hasSuffix("s"), let seconds = Double(text.dropLast()),
            seconds >= 0, seconds <= 3600
        else {
            context.at("metadata") { context.report("weft.dev/endpoints has one field, wait: up to 3600s, such as 3s") }
            return 0
        }
        return UInt64(seconds * 1_000_000_000)
    }

    /// Ours: `weft.dev/clients: {timeout: 10800s}` in the cluster's metadata.
    private func clientTimeout(_ metadata: Envoy.Metadata?) -> UInt64 {
        guard let wanted = metadata?.filterMetadata["weft.dev/clients"] else { return 0 }
        guard let text = wanted["timeout"]?.stringValue, text.hasSuffix("s"), let seconds = Double(text.dropLast()),
            seconds > 0, seconds <= 86_400
        else {
            context.at("metadata") {
                context.report("weft.dev/clients has one field, timeout: up to 86400s, such as 10800s")
            }
            return 0
        }
        return UInt64(seconds * 1_000_000_000)
    }

    /// The cluster's own labels; a cluster that has none is known by its name.
    private func labels(_ cluster: Envoy.Cluster) -> LabelSet {
        let own = context.labels(cluster.metadata)
        return own.isEmpty ? LabelSet([("dst_cluster", cluster.name)]) : own
    }

    private func connections(_ cluster: Envoy.Cluster, _ settings: inout ClusterConfiguration.Settings) {
        var common = cluster.commonHttpProtocolOptions
        for case .http(let options) in cluster.typedExtensionProtocolOptions.values {
            common = options.commonHttpProtocolOptions ?? common
        }
        if let idle = nanoseconds(common?.idleTimeout) { settings.idleTimeout = idle }
        if let life = nanoseconds(common?.maxConnectionDuration) { settings.maxConnectionDuration = life }
        settings.maxRequestsPerConnection = common?.maxRequestsPerConnection ?? cluster.maxRequestsPerConnection ?? 0
    }

    func breakers(_ message: Envoy.CircuitBreakers?, _ settings: inout ClusterConfiguration.Settings) {
        endpointLimits(message?.perHostThresholds ?? [], &settings)
        for (index, threshold) in (message?.thresholds ?? []).enumerated() {
            if threshold.maxConnectionPools != nil {
                context.report(
                    "circuit_breakers.thresholds[\(index)].max_connection_pools: not supported; there is one pool for an endpoint"
                )
            }
            if threshold.trackRemaining {
                settings.tracksRemaining.insert(threshold.priority == .high ? "high" : "default")
            }
            var limits = BreakerLimits()
            if let number = threshold.maxConnections { limits.connections = Int(number) }
            if let number = threshold.maxPendingRequests { limits.pending = Int(number) }
            if let number = threshold.maxRequests { limits.requests = Int(number) }
            if let number = threshold.maxRetries { limits.retries = Int(number) }
            if let budget = threshold.retryBudget {
                limits.budget = RetryBudget(
                    percent: budget.budgetPercent?.value ?? 20,
                    minimumConcurrency: Int(budget.minRetryConcurrency ?? 3)
                )
            } else if threshold.maxRetries == nil {
                limits.budget = RetryBudget()
            }
            settings.breakers[threshold.priority == .high ? 1 : 0] = limits
        }
    }

    /// As in Envoy, an endpoint has a limit of connections alone; the first entry of a priority counts.
    private func endpointLimits(
        _ thresholds: [Envoy.CircuitBreakers.Thresholds],
        _ settings: inout ClusterConfiguration.Settings
    ) {
        guard !thresholds.isEmpty else { return }
        var limits: [Int?] = [nil, nil]
        for (index, threshold) in thresholds.enumerated() {
            if threshold.maxPendingRequests != nil || threshold.maxRequests != nil || threshold.maxRetries != nil
                || threshold.retryBudget != nil || threshold.maxConnectionPools != nil || threshold.trackRemaining
            {
                context.report(
                    "circuit_breakers.per_host_thresholds[\(index)]: an endpoint has max_connections only; the others are "
                        + "limits of the cluster, in thresholds"
                )
            }
            let place = threshold.priority == .high ? 1 : 0
            if limits[place] == nil { limits[place] = threshold.maxConnections.map { Int($0) } ?? .max }
        }
        settings.endpointConnections = limits.map { $0 ?? .max }
    }

    // MARK: Endpoints

    /// The endpoints of an assignment; `resolve` gives the addresses of a host name, nil: names may not stand here.
    func endpoints(
        _ assignment: Envoy.ClusterLoadAssignment?,
        cluster: UInt64,
        base: LabelSetIndex,
        transports: [TransportMatch] = [],
        settings: ClusterConfiguration.Settings? = nil,
        resolve: ((_ name: String) -> [Address])?,
        isOneLogical: Bool = false
    ) -> [EndpointConfiguration] {
        var endpoints: [EndpointConfiguration] = []
        var seen: Set<UInt64> = []
        let clusterLabels = context.labels.values[Int(base)]
        let localities = LocalityBook(assignment)
        for (index, locality) in (assignment?.endpoints ?? []).enumerated() {
            for (place, endpoint) in locality.lbEndpoints.enumerated() {
                let step = "endpoints[\(index)].lb_endpoints[\(place)]"
                context.at(step) {
                    for address in addresses(endpoint, resolve) {
                        var made = make(endpoint, address, cluster: cluster, labels: clusterLabels)
                        made.priority = UInt8(clamping: locality.priority)
                        made.locality = localities.places[index]
                        made.transport =
                            transports.first { $0.accepts(endpoint.metadata) || $0.accepts(locality.metadata) }?
                            .transport
                        // One endpoint, whatever its address at present: connections to an earlier one stay.
                        if isOneLogical, let name = hostName(endpoint) {
                            made.identity = Self.identity(cluster, text: "\(name):\(address.port)")
                        }
                        made.traits = traits(endpoint.metadata, settings)
                        made.check = target(endpoint.endpoint, address)
                        made.check?.serverName = made.hostname
                        made.check?.transport = made.transport
                        if seen.insert(made.identity).inserted { endpoints.append(made) }
                    }
                }
            }
        }
        countSubsets(endpoints, settings?.subsets)
        return endpoints
    }

    private func addresses(_ message: Envoy.LbEndpoint, _ resolve: ((String) -> [Address])?) -> [Address] {
        context.at("endpoint.address") {
            if case .socket(let socket) = message.endpoint?.address?.kind, let resolve,
                Address(literal: socket.address, port: 0) == nil
            {
                guard let port = context.port(socket) else { return [] }
                return resolve(socket.address).map { address in
                    var copy = address
                    copy.port = port
                    copy.namespacePath = socket.networkNamespaceFilepath.isEmpty ? nil : socket.networkNamespaceFilepath
                    return copy
                }
            }
            return context.address(message.endpoint?.address).map { [$0] } ?? []
        }
    }

    private func make(
        _ message: Envoy.LbEndpoint,
        _ address: Address,
        cluster: UInt64,
        labels: LabelSet
    ) -> EndpointConfiguration {
        let own = context.labels(message.metadata)
        var made = EndpointConfiguration(
            identity: Self.identity(cluster, address),
            address: address,
            display: address.display
        )
        made.weight = max(1, message.loadBalancingWeight ?? 1)
        made.health = EndpointConfiguration.Health(message.healthStatus)
        if let name = message.endpoint?.hostname, !name.isEmpty {
            made.hostname = name
        } else {
            made.hostname = hostName(message)
        }
        if let key = message.metadata?.filterMetadata["envoy.lb"]?["hash_key"]?.stringValue, !key.isEmpty {
            made.hashKey = key
        }
        made.isCanary = message.metadata?.filterMetadata["envoy.lb"]?["canary"] == .bool(true)
        made.labels = context.labels.number(of: labels.merging(own))
        return made
    }

    /// The name that is looked up for an endpoint; nil where an address stands.
    private func hostName(_ message: Envoy.LbEndpoint) -> String? {
        guard case .socket(let socket) = message.endpoint?.address?.kind,
            Address(literal: socket.address, port: 0) == nil
        else { return nil }
        return socket.address
    }

    /// A number for an address and namespace in a cluster; never 0.
    static func identity(_ cluster: UInt64, _ address: Address) -> UInt64 {
        identity(cluster, text: address.display, address.namespacePath ?? "")
    }

    private static func identity(_ cluster: UInt64, text: String, _ more: String = "") -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        func mix(_ bytes: some Sequence<UInt8>) {
            for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        }
        withUnsafeBytes(of: cluster) { mix($0) }
        mix(text.utf8)
        mix([0])
        mix(more.utf8)
        hash = (hash ^ (hash >> 32)) &* 0xD6E8_FEB8_6659_FD93
        return hash == 0 ? 1 : hash
    }
}

extension EndpointConfiguration.Health {
    init(_ status: Envoy.HealthStatus) {
        switch status {
        case .unknown: self = .unknown
        case .healthy: self = .healthy
        case .unhealthy: self = .unhealthy
        case .draining: self = .draining
        case .timeout: self = .timeout
        case .degraded: self = .degraded
        }
    }
}
