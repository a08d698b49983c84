import EnvoyAPI
import Traffic

/// `local_ratelimit`, compiled: of a chain or of a route. Its buckets are those of all workers.
final class LocalRateLimitFilter: Sendable {
    let limits: LocalLimits
    let status: UInt16
    /// Of a million requests.
    let enabled: UInt32
    let enforced: UInt32
    let stage: UInt32
    let host: Envoy.HostRateLimits
    let rules: [RateLimitRule]
    let tellsLimits: Bool
    let isResourceExhausted: Bool
    let answerEdits: ArenaArray<HeaderEdit>
    let requestEdits: ArenaArray<HeaderEdit>
    let numbers: Numbers
    /// Owns what the rules and edits lead to.
    private let arena: Arena

    struct Numbers: Sendable {
        var enabled: Int32
        var enforced: Int32
        var limited: Int32
        var ok: Int32
    }

    init(_ message: Envoy.LocalRateLimit, _ context: CompileContext) {
        let compiler = RouteCompiler(Envoy.RouteConfiguration(), context)
        let arena = compiler.builder.arena
        self.arena = arena
        let entries = context.each("descriptors", message.descriptors) { entry in
            if entry.entries.contains(where: \.value.isEmpty) {
                context.report("entries: a value is required; entries without one, for all values, are not supported")
            }
            return LocalLimits.Entry(
                entries: entry.entries.map { .init(Array($0.key.utf8), Array($0.value.utf8)) },
                bucket: Self.bucket(entry.tokenBucket ?? Envoy.TokenBucket())
            )
        }
        limits = LocalLimits(
            usual: message.tokenBucket.map { Self.bucket($0) },
            entries: entries,
            alwaysUsesUsual: message.alwaysConsumeDefaultTokenBucket ?? true
        )
        let wanted = UInt16(clamping: message.status?.code.rawValue ?? 429)
        status = wanted >= 400 ? wanted : 429
        enabled = message.filterEnabled.map { compiler.share($0) } ?? 0
        enforced = message.filterEnforced.map { compiler.share($0) } ?? 0
        if enabled > 0, message.tokenBucket == nil, message.descriptors.isEmpty {
            context.report("token_bucket: is required where the filter is enabled")
        }
        stage = message.stage
        host = message.vhRateLimits
        rules = compiler.rateLimits("rate_limits", message.rateLimits)
        tellsLimits = message.enableXRatelimitHeaders == .draftVersion03
        isResourceExhausted = message.rateLimitedAsResourceExhausted
        let headers = HeaderCompiler(context: context, arena: arena)
        func edits(_ step: String, _ options: [Envoy.HeaderValueOption]) -> ArenaArray<HeaderEdit> {
            arena.copy(headers.edits(add: options, remove: [], addStep: step, removeStep: step))
        }
        answerEdits = edits("response_headers_to_add", message.responseHeadersToAdd)
        requestEdits = edits(
            "request_headers_to_add_when_not_enforced",
            message.requestHeadersToAddWhenNotEnforced
        )
        let scope = EnvoyStats.Scope(
            prefix: "\(message.statPrefix).http_local_rate_limit.",
            family: "http_local_rate_limit",
            labels: [("envoy_local_http_ratelimit_prefix", message.statPrefix)]
        )
        numbers = Numbers(
            enabled: context.filterStats.place(scope, "enabled"),
            enforced: context.filterStats.place(scope, "enforced"),
            limited: context.filterStats.place(scope, "rate_limited"),
            ok: context.filterStats.place(scope, "ok")
        )
    }

    static func bucket(_ message: Envoy.TokenBucket) -> TokenBucket {
        TokenBucket(
            capacity: UInt64(message.maxTokens),
            perFill: UInt64(message.tokensPerFill ?? 1),
            fillInterval: nanoseconds(message.fillInterval) ?? 1_000_000_000
        )
    }
}
