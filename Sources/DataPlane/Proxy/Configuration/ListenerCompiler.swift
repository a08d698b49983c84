import EnvoyAPI
import HTTP
import Reactor
import TLS
import Traffic
import Wire

/// Compiles listeners, their filter chains and the two terminal filters.
struct ListenerCompiler {
    let context: CompileContext
    /// Gives the number of the route table that an HTTP chain uses.
    let routeTable: (_ source: RouteSource) -> Int32

    /// Where an HTTP chain's routes come from.
    enum RouteSource {
        case inline(Envoy.RouteConfiguration, owner: String)
        case named(String, from: ResourceSource)
    }

    func socket(_ listener: Envoy.Listener) -> ListenerConfiguration.Socket {
        var socket = ListenerConfiguration.Socket()
        let own = options(listener)
        let keepalive = listener.tcpKeepalive
        func add(_ address: Address, _ more: [SocketOption], _ keepalive: Envoy.TcpKeepalive?) {
            socket.addresses.append(address)
            socket.options.append(options(listener, address, keepalive) + more)
        }
        if let address = context.at("address", { context.address(listener.address) }) { add(address, own, keepalive) }
        _ = context.each("additional_addresses", listener.additionalAddresses) { entry in
            guard let address = context.at("address", { context.address(entry.address) }) else { return }
            let replaced = entry.socketOptions.map { message in
                context.at("socket_options") { context.options("socket_options", message.socketOptions) }
            }
            add(address, replaced ?? own, entry.tcpKeepalive ?? keepalive)
        }
        socket.bindsToPort = listener.bindToPort ?? true
        socket.reusesPort = listener.enableReusePort ?? true
        if let backlog = listener.tcpBacklogSize { socket.backlog = Int32(clamping: max(1, backlog)) }
        return socket
    }

    private func options(_ listener: Envoy.Listener) -> [SocketOption] {
        context.options("socket_options", listener.socketOptions)
    }

    /// What follows from the listener's fields for one of its addresses.
    private func options(
        _ listener: Envoy.Listener,
        _ address: Address,
        _ keepalive: Envoy.TcpKeepalive?
    ) -> [SocketOption] {
        var options: [SocketOption] = []
        var isIPv6 = false
        switch address.host {
        case .pipe:
            for (field, isSet) in [
                ("transparent", listener.transparent ?? false), ("freebind", listener.freebind ?? false),
                ("tcp_fast_open_queue_length", listener.tcpFastOpenQueueLength != nil),
                ("tcp_keepalive", keepalive != nil), ("socket_options", !listener.socketOptions.isEmpty),
            ] where isSet { context.report("\(field): is for TCP; the listener has a Unix socket") }
            return []
        case .ipv4: break
        case .ipv6:
            isIPv6 = true
            options.append(.ipv6Only(!address.acceptsIPv4))
        }
        if listener.transparent ?? false { options.append(.transparent(isIPv6: isIPv6)) }
        if listener.freebind ?? false { options.append(.freebind(isIPv6: isIPv6)) }
        if let length = listener.tcpFastOpenQueueLength { options.append(.fastOpen(Int32(clamping: length))) }
        if let keepalive {
            options += SocketOption.keepalive(
                probes: keepalive.keepaliveProbes,
                idleSeconds: keepalive.keepaliveTime,
                intervalSeconds: keepalive.keepaliveInterval
            )
        }
        return options
    }

    func settings(_ listener: Envoy.Listener) -> ListenerConfiguration.Settings {
        var settings = ListenerConfiguration.Settings()
        settings.usesOriginalDestination = listener.useOriginalDst ?? false
        for filter in listener.listenerFilters {
            switch filter.typedConfig {
            case .originalDst: settings.readsOriginalDestination = true
            case .httpInspector: settings.inspectsHTTP = true
            case .tlsInspector:
                settings.inspectsTLS = true
                settings.hasTLSInspector = true
            case .proxyProtocol(let message): settings.proxyProtocol = proxyProtocol(message, listener)
            case nil: context.report("listener_filters: the filter \"\(filter.name)\" has no typed_config")
            }
        }
        // Envoy wants the filter named; what a chain asks for is looked at in any case.
        for chain in listener.filterChains {
            guard let wanted = chain.filterChainMatch else { continue }
            if !wanted.serverNames.isEmpty || wanted.transportProtocol == "tls" { settings.inspectsTLS = true }
        }
        // Handing over is pointless without knowing where to; Envoy wants the filter, here the flag is enough.
        if settings.usesOriginalDestination { settings.readsOriginalDestination = true }
        if let time = nanoseconds(listener.listenerFiltersTimeout) { settings.filtersTimeout = time }
        settings.continuesOnFiltersTimeout = listener.continueOnListenerFiltersTimeout
        if let limit = listener.perConnectionBufferLimitBytes { settings.perConnectionBufferLimit = Int(limit) }
        if let most = listener.maxConnectionsToAcceptPerSocketEvent {
            settings.accepts = min(settings.accepts, Int(most))
        }
        settings.ignoresProcessLimit = listener.ignoreGlobalConnLimit || listener.bypassOverloadManager
        settings.drainsOnlyWhenChanged = listener.drainType == .modifyOnly
        settings.callerLabels = context.labels.number(of: context.labels(listener.metadata))
        settings.accessLogs = accessLogs("access_log", listener.accessLog)
        settings.statPrefix = listener.statPrefix
        switch listener.trafficDirection {
        case .unspecified: settings.direction = .unspecified
        case .inbound: settings.direction = .inbound
        case .outbound: settings.direction = .outbound
        }
        return settings
    }

    /// The networks stand in the listener's metadata: `weft.dev/proxy_protocol: {trusted_networks: [10.0.0.0/8]}`.
    private func proxyProtocol(_ message: Envoy.ProxyProtocol, _ listener: Envoy.Listener) -> ProxyProtocolRule {
        var rule = ProxyProtocolRule()
        for version in message.disallowedVersions { rule.versions.remove(version == .v1 ? .text : .binary) }
        if rule.versions.isEmpty { context.report("listener_filters: proxy_protocol disallows both versions") }
        if message.allowRequestsWithoutProxyProtocol {
            context.report(
                "listener_filters: allow_requests_without_proxy_protocol is not supported: whoever may leave the header "
                    + "out may also forge it; give the two kinds of clients a listener each"
            )
        }
        if let time = nanoseconds(listener.listenerFiltersTimeout), time > 0 { rule.timeout = time }
        guard let wanted = listener.metadata?.filterMetadata["weft.dev/proxy_protocol"] else { return rule }
        context.at("metadata") {
            guard let networks = wanted["trusted_networks"]?.arrayValue, wanted.fields?.count == 1, !networks.isEmpty
            else {
                context.report("weft.dev/proxy_protocol has one field, trusted_networks: a list of CIDR ranges")
                return
            }
            rule.networks = networks.compactMap { network in
                let range = network.stringValue.flatMap { AddressRange(cidr: $0) }
                if range == nil { context.report("trusted_networks: \(network) is no CIDR range") }
                return range
            }
        }
        return rule
    }

    /// The chains in the order of the listener's; those of `old` that did not change are the same objects, so that their
    /// connections go on.
    func chains(_ listener: Envoy.Listener, old: ListenerEntry?) -> [FilterChainConfiguration] {
        context.isOutbound = listener.trafficDirection == .outbound
        context.listenerMetadata = listener.metadata
        let made = listener.filterChains.enumerated().map { index, message in
            context.at("filter_chains[\(index)]") {
                chain(message, "\(listener.name)/\(message.name.isEmpty ? "#\(index)" : message.name)")
            }
        }
        let chains = zip(listener.filterChains, made).compactMap { message, made in
            made.map { old?.chain(of: message, like: $0) ?? $0 }
        }
        var taken: [ChainMatch.Path: Int] = [:]
        for (index, chain) in chains.enumerated() {
            for path in chain.match.paths {
                guard let other = taken.updateValue(index, forKey: path), other != index else { continue }
                context.at("filter_chains[\(index)].filter_chain_match") {
                    context.report(
                        "filter_chains[\(other)] takes the same connections; make them differ in a condition"
                    )
                }
                break
            }
        }
        return chains
    }

    func chain(_ message: Envoy.FilterChain, _ owner: String) -> FilterChainConfiguration? {
        guard let filter = message.filters.last else { return nil }
        var limits: [ConnectionLimit] = []
        var access: [AccessFilter] = []
        if let most = context.runtime.number(RuntimeKey.connections(ofListener: context.listenerLimits.listener)) {
            limits.append(context.listenerLimits.limit(Int(clamping: most)))
        }
        for (index, filter) in message.filters.dropLast().enumerated() {
            let isGood = context.at("filters[\(index)].typed_config") { bound(filter, &limits, &access) }
            guard isGood else { return nil }
        }
        let place = "filters[\(message.filters.count - 1)].typed_config"
        let match = context.at("filter_chain_match") { self.match(message.filterChainMatch) }
        let terminal: FilterChainConfiguration.Filter? = context.at(place) {
            switch filter.typedConfig {
            case .httpConnectionManager(let manager):
                return .http(HTTPChainConfiguration(http(manager, owner: owner)))
            case .tcpProxy(let proxy): return .tcp(tcp(proxy))
            case .directResponse(let answer): return text(answer.response).map { .text($0) }
            case .echo: return .echo
            case .connectionLimit, .connectionRateLimit, .rbac:
                context.report("a filter has to follow that ends the chain: http_connection_manager or tcp_proxy")
                return nil
            case nil:
                context.report("is required")
                return nil
            }
        }
        guard let terminal else { return nil }
        var isHTTP1 = false
        if case .http(let configuration) = terminal { isHTTP1 = configuration.settings.codec == .http1 }
        return FilterChainConfiguration(
            name: message.name,
            match: match,
            filter: terminal,
            tls: TLSCompiler(context: context).server(
                message.transportSocket,
                owner: "listener \(owner)",
                isHTTP1: isHTTP1
            ),
            handshakeTimeout: nanoseconds(message.transportSocketConnectTimeout) ?? 15_000_000_000,
            limits: limits,
            access: access
        )
    }

    /// A filter that looks at connections before the last one gets them. False: it cannot stand there.
    private func bound(_ filter: Envoy.Filter, _ limits: inout [ConnectionLimit], _ access: inout [AccessFilter])
        -> Bool
    {
        func scope(_ family: String, _ prefix: String, _ label: String) -> EnvoyStats.Scope {
            EnvoyStats.Scope(prefix: "\(family).\(prefix).", family: family, labels: [(label, prefix)])
        }
        switch filter.typedConfig {
        case .connectionLimit(let message):
            guard let most = message.maxConnections else {
                context.report("max_connections: is required")
                return false
            }
            guard context.isOn(message.runtimeEnabled) else { return true }
            let scope = scope("connection_limit", message.statPrefix, "envoy_connection_limit_prefix")
            limits.append(
                ConnectionLimit(
                    most: Int(clamping: most),
                    delay: nanoseconds(message.delay) ?? 0,
                    refused: context.filterStats.place(scope, "limited_connections"),
                    active: context.filterStats.place(scope, "active_connections", isGauge: true)
                )
            )
        case .connectionRateLimit(let message):
            guard context.isOn(message.runtimeEnabled), let bucket = message.tokenBucket else { return true }
            let scope = scope("local_rate_limit", message.statPrefix, "envoy_local_network_ratelimit_prefix")
            let refused = context.filterStats.place(scope, "rate_limited")
            limits.append(ConnectionLimit(LocalRateLimitFilter.bucket(bucket), refused: refused))
        case .rbac(let message): access.append(AccessFilter(message, context))
        case .httpConnectionManager, .tcpProxy, .directResponse, .echo, nil:
            context.report(
                "before the last filter of a chain only connection_limit, local_ratelimit and rbac may stand: "
                    + "http_connection_manager, tcp_proxy, direct_response and echo end a chain"
            )
            return false
        }
        return true
    }

    /// The bytes of a fixed answer.
    private func text(_ source: Envoy.DataSource?) -> [UInt8]? {
        guard let source else { return [] }
        switch TLSSource.read(source, "response") {
        case .success(let bytes) where bytes.count <= Self.textLimit: return bytes
        case .success(let bytes):
            context.report("response: at most \(Self.textLimit) bytes, not \(bytes.count)")
            return nil
        case .failure(let error):
            context.report("\(error)")
            return nil
        }
    }

    private static let textLimit = 16_384

    private func match(_ message: Envoy.FilterChainMatch?) -> ChainMatch {
        var match = ChainMatch()
        guard let message else { return match }
        match.destinationPort = message.destinationPort.map { UInt16(clamping: $0) }
        match.destinations = context.ranges("prefix_ranges", message.prefixRanges)
        match.sources = context.ranges("source_prefix_ranges", message.sourcePrefixRanges)
        match.directSources = context.ranges("direct_source_prefix_ranges", message.directSourcePrefixRanges)
        match.sourcePorts = message.sourcePorts.map { UInt16(clamping: $0) }
        match.protocols = message.applicationProtocols.map { Array($0.utf8) }
        for (index, name) in message.serverNames.enumerated() {
            let isWildcard = name.hasPrefix("*.")
            guard let plain = ServerName.normalized(isWildcard ? String(name.dropFirst(2)) : name) else {
                context.report("server_names[\(index)]: \"\(name)\" is no host name; *.NAME stands for all names below")
                continue
            }
            match.serverNames.append(isWildcard ? "*.\(plain)" : plain)
        }
        switch message.transportProtocol {
        case "": break
        case "raw_buffer": match.transport = .raw
        case "tls": match.transport = .tls
        default: context.report("transport_protocol: use raw_buffer or tls")
        }
        switch message.sourceType {
        case .any: break
        case .sameIpOrLoopback: match.isFromThisHost = true
        case .external: match.isFromThisHost = false
        }
        return match
    }

    // MARK: Filters

    private func tcp(_ message: Envoy.TcpProxy) -> TCPChainConfiguration {
        var clusters: [(cluster: Int32, weight: UInt32)] = []
        switch message.clusterSpecifier {
        case .cluster(let name): clusters = [(context.cluster(name), 1)]
        case .weightedClusters(let weighted):
            clusters = weighted.clusters.map { (context.cluster($0.name), $0.weight) }
            if clusters.isEmpty { context.report("weighted_clusters: needs at least one cluster") }
        case nil: context.report("cluster or weighted_clusters is required")
        }
        return TCPChainConfiguration(
            statPrefix: message.statPrefix,
            clusters: clusters,
            idleTimeout: nanoseconds(message.idleTimeout) ?? 3_600_000_000_000,
            maxConnectAttempts: max(1, message.maxConnectAttempts ?? 1),
            maxConnectionDuration: nanoseconds(message.maxDownstreamConnectionDuration) ?? 0,
            accessLogs: accessLogs("access_log", message.accessLog),
            hashesClient: !message.hashPolicy.isEmpty,
            connectHead: message.tunnelingConfig.map { config in context.at("tunneling_config") { connectHead(config) }
            } ?? [],
            more: more(message)
        )
    }

    /// What endpoints are asked for, by the place of the cluster.
    private func criteria(_ message: Envoy.TcpProxy) -> [SubsetCriteria?] {
        let shared = SubsetMetadata.criteria(message.metadataMatch)
        guard case .weightedClusters(let weighted) = message.clusterSpecifier else { return [shared] }
        return weighted.clusters.map { SubsetMetadata.merged(shared, SubsetMetadata.criteria($0.metadataMatch)) }
    }

    private func more(_ message: Envoy.TcpProxy) -> TCPChainConfiguration.More {
        var more = TCPChainConfiguration.More()
        let criteria = criteria(message)
        if criteria.contains(where: { $0 != nil }) { more.criteria = criteria }
        if let backoff = message.backoffOptions {
            more.backoffBase = nanoseconds(backoff.baseInterval) ?? 0
            more.backoffMost = nanoseconds(backoff.maxInterval) ?? more.backoffBase &* 10
            if more.backoffMost < more.backoffBase {
                context.report("backoff_options.max_interval: must not be less than base_interval")
            }
        }
        if let jitter = message.maxDownstreamConnectionDurationJitterPercentage {
            guard let life = nanoseconds(message.maxDownstreamConnectionDuration) else {
                context.report(
                    "max_downstream_connection_duration_jitter_percentage: max_downstream_connection_duration has to stand "
                        + "beside it"
                )
                return more
            }
            more.durationJitter = UInt64(Double(life) * min(100, max(0, jitter.value)) / 100)
        }
        if let options = message.accessLogOptions {
            if message.accessLog.isEmpty { context.report("access_log_options: there is no access_log") }
            more.logsConnected = options.flushAccessLogOnConnected
            more.logInterval = nanoseconds(options.accessLogFlushInterval) ?? 0
        }
        return more
    }

    /// What an endpoint is asked before it gets a connection's bytes.
    private func connectHead(_ message: Envoy.TcpProxy.TunnelingConfig) -> [UInt8] {
        var text = "CONNECT \(message.hostname) HTTP/1.1\r\nhost: \(message.hostname)\r\n"
        let isHost = Array(message.hostname.utf8).withUnsafeBytes { bytes in
            bytes.baseAddress.map {
                Authority.isValid($0, count: bytes.count) && Authority.hasPort($0, count: bytes.count)
            }
        }
        if isHost != true {
            context.report(
                "hostname: \"\(message.hostname)\" is no host with a port; command operators are not supported"
            )
        }
        for (index, option) in message.headersToAdd.enumerated() {
            guard let header = option.header else { continue }
            let name = RouteCompiler.lowercased(header.key)
            let isOwn = ["host", "content-length", "transfer-encoding", "connection", "upgrade"].contains(name)
            let isToken = !name.isEmpty && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x3A }
            if isOwn || !isToken || header.value.contains("%") || header.value.utf8.contains(where: { $0 < 0x20 }) {
                context.report("headers_to_add[\(index)]: only plain values without command operators are supported")
            }
            text += "\(name): \(header.value)\r\n"
        }
        return Array((text + "\r\n").utf8)
    }

    private func http(_ message: Envoy.HttpConnectionManager, owner: String) -> HTTPChainConfiguration.Settings {
        var settings = HTTPChainConfiguration.Settings()
        settings.statPrefix = message.statPrefix
        settings.codec =
            switch message.codecType {
            case .auto: .auto
            case .http1: .http1
            case .http2: .http2
            }
        settings.http2 = context.at("http2_protocol_options") {
            HTTP2Options(message.http2ProtocolOptions, context)
        }
        routes(message, owner, &settings)
        filters(message, &settings)
        times(message, &settings)
        limits(message, &settings)
        settings.http2.settings.headBytes = settings.maxRequestHeaderBytes
        settings.http2.settings.headFields = settings.maxHeaderCount
        if message.http2ProtocolOptions?.overrideStreamErrorOnInvalidHttpMessage == nil,
            let isLenient = message.streamErrorOnInvalidHttpMessage
        {
            settings.http2.settings.resetsBadMessages = isLenient
        }
        identity(message, &settings)
        if let options = message.httpProtocolOptions {
            settings.defaultHost = Array(options.defaultHostForHttp10.utf8)
            if options.allowAbsoluteUrl == false {
                context.report(
                    "http_protocol_options.allow_absolute_url: false is not supported: targets may be whole URLs"
                )
            }
        }
        paths(message, &settings)
        settings.accessLogs = accessLogs("access_log", message.accessLog)
        settings.tracing = message.tracing.flatMap { tracing in
            context.at("tracing") { self.tracing(tracing, statPrefix: message.statPrefix) }
        }
        settings.proxyStatus = message.proxyStatusConfig.map { config in
            context.at("proxy_status_config") { ProxyStatusRule(config, context) }
        }
        settings.localReplies = message.localReplyConfig.map { config in
            context.at("local_reply_config") { AccessLogCompiler(context: context).localReplies(config) }
        }
        for (index, upgrade) in message.upgradeConfigs.enumerated() {
            switch RouteCompiler.lowercased(upgrade.upgradeType) {
            case "websocket": settings.allowsWebSocket = upgrade.enabled ?? true
            case "connect": settings.allowsConnect = upgrade.enabled ?? true
            default:
                context.report(
                    "upgrade_configs[\(index)].upgrade_type: \"\(upgrade.upgradeType)\" is not supported; use websocket or CONNECT"
                )
            }
        }
        return settings
    }

    private func routes(
        _ message: Envoy.HttpConnectionManager,
        _ owner: String,
        _ settings: inout HTTPChainConfiguration.Settings
    ) {
        switch message.routeSpecifier {
        case .routeConfig(let configuration):
            settings.routeTable = routeTable(.inline(configuration, owner: owner))
        case .rds(let rds):
            let found = context.at("rds.config_source") { context.source(rds.configSource, .routes) }
            guard let source = found else { return }
            if source.server != nil, rds.routeConfigName.isEmpty {
                context.report("rds.route_config_name: is required")
            }
            settings.routeTable = routeTable(.named(rds.routeConfigName, from: source))
        case nil: context.report("route_config or rds is required")
        }
    }

    private func filters(_ message: Envoy.HttpConnectionManager, _ settings: inout HTTPChainConfiguration.Settings) {
        let routers = message.httpFilters.compactMap { filter -> Envoy.Router? in
            if case .router(let router) = filter.typedConfig, !filter.disabled { router } else { nil }
        }
        guard let router = routers.first, routers.count == 1, case .router = message.httpFilters.last?.typedConfig
        else {
            context.report("http_filters: envoy.filters.http.router has to be the last filter, and to stand there once")
            return
        }
        let compiler = FilterCompiler(context: context, statPrefix: message.statPrefix)
        settings.filters = compiler.chain(message.httpFilters)
        settings.taps = compiler.taps(message.httpFilters)
        settings.addsUpstreamTime = !router.suppressEnvoyHeaders
    }

    private func times(_ message: Envoy.HttpConnectionManager, _ settings: inout HTTPChainConfiguration.Settings) {
        let common = message.commonHttpProtocolOptions
        if let time = nanoseconds(common?.idleTimeout) { settings.idleTimeout = time }
        if let time = nanoseconds(common?.maxConnectionDuration) { settings.maxConnectionDuration = time }
        if let time = nanoseconds(common?.maxStreamDuration) { settings.maxStreamDuration = time }
        if let time = nanoseconds(message.streamIdleTimeout) { settings.streamIdleTimeout = time }
        if let time = nanoseconds(message.requestTimeout) { settings.requestTimeout = time }
        if let time = nanoseconds(message.requestHeadersTimeout) { settings.requestHeadersTimeout = time }
        if let time = nanoseconds(message.drainTimeout) { settings.drainTimeout = time }
        if let time = nanoseconds(message.delayedCloseTimeout) { settings.delayedCloseTimeout = time }
    }

    private func limits(_ message: Envoy.HttpConnectionManager, _ settings: inout HTTPChainConfiguration.Settings) {
        let common = message.commonHttpProtocolOptions
        if let kilobytes = message.maxRequestHeadersKb { settings.maxRequestHeaderBytes = Int(kilobytes) * 1024 }
        if let count = common?.maxHeadersCount { settings.maxHeaderCount = Int(count) }
        if let requests = common?.maxRequestsPerConnection { settings.maxRequestsPerConnection = requests }
        if let action = common?.headersWithUnderscoresAction {
            settings.rejectsUnderscoreNames = action != .allow
            if action == .dropHeader {
                context.report(
                    "common_http_protocol_options.headers_with_underscores_action: DROP_HEADER is not supported"
                )
            }
        }
    }

    private func identity(_ message: Envoy.HttpConnectionManager, _ settings: inout HTTPChainConfiguration.Settings) {
        if !message.serverName.isEmpty { settings.serverName = Array(message.serverName.utf8) }
        switch message.serverHeaderTransformation {
        case .overwrite: settings.serverHeader = .overwrite
        case .appendIfAbsent: settings.serverHeader = .appendIfAbsent
        case .passThrough: settings.serverHeader = .passThrough
        }
        settings.via = Array(message.via.utf8)
        settings.usesRemoteAddress = message.useRemoteAddress ?? false
        settings.trustedHops = message.xffNumTrustedHops
        if let house = message.internalAddressConfig {
            settings.internalNetworks = context.at("internal_address_config") {
                context.ranges("cidr_ranges", house.cidrRanges)
            }
            if house.unixSockets {
                context.report("internal_address_config.unix_sockets: is not supported; use cidr_ranges")
            }
        }
        if message.addUserAgent == true {
            context.report("add_user_agent: is not supported; add the header with request_headers_to_add")
        }
        settings.clientAddress = ClientAddressRule(message.originalIpDetectionExtensions, context)
        if settings.clientAddress != nil, settings.usesRemoteAddress || settings.trustedHops > 0 {
            context.report(
                "original_ip_detection_extensions: neither use_remote_address nor xff_num_trusted_hops may stand beside them"
            )
        }
        settings.isHTTPS = message.schemeHeaderTransformation?.schemeToOverwrite.map { $0 == "https" }
        settings.schemeFollowsEndpoint = message.schemeHeaderTransformation?.matchUpstream ?? false
        if let options = message.accessLogOptions {
            if message.accessLog.isEmpty { context.report("access_log_options: there is no access_log") }
            settings.logsStarts = options.flushAccessLogOnNewRequest
            settings.logsTunnels = options.flushLogOnTunnelSuccessfullyEstablished
        }
        settings.appendsForwardedFor = !message.skipXffAppend
        settings.appendsForwardedPort = message.appendXForwardedPort
        settings.generatesRequestID = message.generateRequestId ?? true
        settings.keepsExternalRequestID = message.preserveExternalRequestId
        settings.setsRequestIDInResponse = message.alwaysSetRequestIdInResponse
        settings.proxiesContinue = message.proxy100Continue
        settings.clientCertificate = clientCertificate(message)
    }

    private func clientCertificate(_ message: Envoy.HttpConnectionManager) -> HTTPChainConfiguration.ClientCertificate {
        var rule = HTTPChainConfiguration.ClientCertificate()
        switch message.forwardClientCertDetails {
        case .sanitize: rule.mode = .remove
        case .forwardOnly: rule.mode = .forward
        case .appendForward: rule.mode = .append
        case .sanitizeSet: rule.mode = .set
        case .alwaysForwardOnly: rule.mode = .forwardAlways
        }
        guard let wanted = message.setCurrentClientCertDetails else { return rule }
        if rule.mode != .append, rule.mode != .set {
            context.report(
                "set_current_client_cert_details: forward_client_cert_details has to be APPEND_FORWARD or SANITIZE_SET for it"
            )
        }
        if wanted.cert { rule.parts.insert(.certificate) }
        if wanted.chain { rule.parts.insert(.chain) }
        if wanted.subject ?? false { rule.parts.insert(.subject) }
        if wanted.uri { rule.parts.insert(.uri) }
        if wanted.dns { rule.parts.insert(.dns) }
        return rule
    }

    private func paths(_ message: Envoy.HttpConnectionManager, _ settings: inout HTTPChainConfiguration.Settings) {
        // Safe unless the configuration says otherwise; Envoy leaves both off.
        settings.normalizesPath = message.normalizePath ?? true
        settings.mergesSlashes = message.mergeSlashes || message.normalizePath == nil
        switch message.pathWithEscapedSlashesAction {
        case .implementationSpecificDefault, .rejectRequest: settings.escapedSlashes = .reject
        case .keepUnchanged: settings.escapedSlashes = .keep
        case .unescapeAndRedirect: settings.escapedSlashes = .unescapeAndRedirect
        case .unescapeAndForward: settings.escapedSlashes = .unescapeAndForward
        }
        if message.stripAnyHostPort == true {
            settings.stripsPort = .any
        } else if message.stripMatchingHostPort {
            settings.stripsPort = .matching
        }
        settings.stripsTrailingHostDot = message.stripTrailingHostDot
    }
}
