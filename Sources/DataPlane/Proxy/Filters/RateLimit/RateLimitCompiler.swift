import EnvoyAPI
import Traffic

/// Compiles `rate_limits`.
extension RouteCompiler {
    func rateLimits(_ step: String, _ messages: [Envoy.RouteRateLimit]) -> [RateLimitRule] {
        context.each(step, messages) { message in
            RateLimitRule(
                stage: message.stage ?? 0,
                actions: context.each("actions", message.actions) { action($0) }.compactMap { $0 },
                hits: message.hitsAddend?.number
            )
        }
    }

    private func action(_ message: Envoy.RateLimitAction) -> RateLimitRule.Action? {
        func key(_ name: String, _ standard: String) -> [UInt8] { Array((name.isEmpty ? standard : name).utf8) }
        switch message.specifier {
        case .destinationCluster: return .destinationCluster
        case .sourceCluster: return .fixed(Array("source_cluster".utf8), Array(context.nodeCluster.utf8))
        case .maskedRemoteAddress(let mask):
            return .maskedAddress(v4: Int(mask.v4PrefixMaskLen ?? 32), v6: Int(mask.v6PrefixMaskLen ?? 128))
        case .remoteAddress: return .remoteAddress
        case .requestHeaders(let field):
            return .header(
                builder.arena.copy(Self.lowercased(field.headerName)),
                key: Array(field.descriptorKey.utf8),
                skipsAbsent: field.skipIfAbsent
            )
        case .queryParameters(let parameter):
            return .parameter(
                builder.arena.copy(parameter.queryParameterName),
                key: Array(parameter.descriptorKey.utf8),
                skipsAbsent: parameter.skipIfAbsent
            )
        case .genericKey(let generic):
            if isFormat(generic.descriptorValue) { return nil }
            return .fixed(key(generic.descriptorKey, "generic_key"), Array(generic.descriptorValue.utf8))
        case .headerValueMatch(let match):
            if isFormat(match.descriptorValue) { return nil }
            return .headers(
                context.each("header_value_match.headers", match.headers) { header($0) },
                wanted: match.expectMatch ?? true,
                key: key(match.descriptorKey, "header_match"),
                value: Array(match.descriptorValue.utf8)
            )
        case .queryParameterValueMatch(let match):
            if isFormat(match.descriptorValue) { return nil }
            return .parameters(
                context.each("query_parameter_value_match.query_parameters", match.queryParameters) { query($0) },
                wanted: match.expectMatch ?? true,
                key: key(match.descriptorKey, "query_match"),
                value: Array(match.descriptorValue.utf8)
            )
        case nil: return nil
        }
    }

    private func isFormat(_ value: String) -> Bool {
        guard value.utf8.contains(0x25) else { return false }
        context.report("descriptor_value: formats are not supported; write a plain value")
        return true
    }

    /// The rules of a route or a virtual host, as an entry beside what is said of filters.
    func rateLimits(_ messages: [Envoy.RouteRateLimit], isHost: Bool, includesHost: Bool = false) -> [RouteFilter] {
        guard !messages.isEmpty || includesHost else { return [] }
        let rules = RouteRateLimits(
            rules: rateLimits("rate_limits", messages),
            isHost: isHost,
            includesHost: includesHost
        )
        return [
            RouteFilter(
                // No filter has this name: it is none of theirs.
                name: 0,
                kind: RouteFilterKind.rateLimits.rawValue,
                isDisabled: false,
                settings: builder.arena.keep(rules)
            )
        ]
    }
}

/// `rate_limits` of one level. The arena of the route's table keeps it, and what its rules lead to.
final class RouteRateLimits: Sendable {
    let rules: [RateLimitRule]
    let isHost: Bool
    /// Those of the virtual host count beside these (`include_vh_rate_limits`).
    let includesHost: Bool

    init(rules: [RateLimitRule], isHost: Bool, includesHost: Bool) {
        self.rules = rules
        self.isHost = isHost
        self.includesHost = includesHost
    }
}

/// `ratelimit`, compiled.
final class RateLimitSettings: Sendable {
    let target: CallTarget
    let domain: String
    let stage: UInt32
    /// nil: both; else whether requests of the house are meant.
    let wantsInternal: Bool?
    let refusesOnFailure: Bool
    let isResourceExhausted: Bool
    let tellsLimits: Bool
    let tellsCause: Bool
    let status: UInt16
    let errorStatus: UInt16
    let enabled: UInt32
    let enforced: UInt32
    let rules: [RateLimitRule]
    let added: ArenaArray<HeaderEdit>
    /// Owns what the rules and edits lead to.
    private let arena: Arena

    init(_ message: Envoy.RateLimitFilter, _ context: CompileContext) {
        let service = message.rateLimitService?.grpcService ?? Envoy.GrpcService()
        var target = context.at("rate_limit_service.grpc_service") {
            CallTarget(service, timeout: 20_000_000, context)
        }
        target.timeout = nanoseconds(message.timeout) ?? 20_000_000
        self.target = target
        domain = message.domain
        stage = message.stage
        wantsInternal = message.requestType == "internal" ? true : message.requestType == "external" ? false : nil
        refusesOnFailure = message.failureModeDeny
        isResourceExhausted = message.rateLimitedAsResourceExhausted
        tellsLimits = message.enableXRatelimitHeaders == .draftVersion03
        tellsCause = !message.disableXEnvoyRatelimitedHeader
        let wanted = UInt16(clamping: message.rateLimitedStatus?.code.rawValue ?? 429)
        status = wanted >= 400 ? wanted : 429
        errorStatus = UInt16(clamping: message.statusOnError?.code.rawValue ?? 500)
        enabled = message.filterEnabled.map { AuthorizationSettings.share($0.defaultValue) } ?? 1_000_000
        enforced = message.filterEnforced.map { AuthorizationSettings.share($0.defaultValue) } ?? 1_000_000
        let compiler = RouteCompiler(Envoy.RouteConfiguration(), context)
        rules = compiler.rateLimits("rate_limits", message.rateLimits)
        arena = compiler.builder.arena
        let headers = HeaderCompiler(context: context, arena: arena)
        added = arena.copy(
            headers.edits(
                add: message.responseHeadersToAdd,
                remove: [],
                addStep: "response_headers_to_add",
                removeStep: "response_headers_to_remove"
            )
        )
    }
}

/// What a route says of `ratelimit`.
final class RateLimitRoute: Sendable {
    let rules: [RateLimitRule]
    let host: Envoy.HostRateLimits
    let domain: String
    private let arena: Arena

    init(_ message: Envoy.RateLimitPerRoute, _ context: CompileContext) {
        let compiler = RouteCompiler(Envoy.RouteConfiguration(), context)
        rules = compiler.rateLimits("rate_limits", message.rateLimits)
        arena = compiler.builder.arena
        host = message.vhRateLimits
        domain = message.domain
    }
}
