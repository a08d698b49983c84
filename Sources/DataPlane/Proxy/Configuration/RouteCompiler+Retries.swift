import EnvoyAPI
import Traffic

/// Compiles retry policies.
extension RouteCompiler {
    func retry(_ message: Envoy.RetryPolicy) -> RetryPolicy {
        var policy = RetryPolicy()
        for name in message.retryOn.split(separator: ",").map({ $0.filter { $0 != " " } }) where !name.isEmpty {
            guard let condition = RetryPolicy.Conditions(name: name) else {
                context.report("retry_on: the condition \"\(name)\" is not supported")
                continue
            }
            policy.conditions.insert(condition)
        }
        policy.retries = message.retryOn.isEmpty ? 0 : message.numRetries ?? 1
        policy.perTryTimeout = nanoseconds(message.perTryTimeout) ?? 0
        policy.perTryIdleTimeout = nanoseconds(message.perTryIdleTimeout) ?? 0
        for status in message.retriableStatusCodes {
            guard (100...599).contains(status) else {
                context.report("retriable_status_codes: \(status) is no status code")
                continue
            }
            policy.statuses.insert(Int(status))
        }
        if let base = nanoseconds(message.retryBackOff?.baseInterval) {
            policy.backOffBase = max(1_000_000, base)
            policy.backOffMaximum = policy.backOffBase &* 10
        }
        if let longest = nanoseconds(message.retryBackOff?.maxInterval) { policy.backOffMaximum = longest }
        if policy.backOffMaximum < policy.backOffBase {
            context.report("retry_back_off.max_interval: is shorter than base_interval")
        }
        for predicate in message.retryHostPredicate {
            switch predicate.typedConfig {
            case .omitCanaryHosts: policy.avoidsCanaries = true
            case .previousHosts, nil: break
            }
        }
        if message.hostSelectionRetryMaxAttempts > 0 {
            policy.hostSelectionAttempts = UInt32(clamping: min(message.hostSelectionRetryMaxAttempts, 100))
        }
        policy.extras = extras(message)
        policy.examinesAll = policy.judgesEveryAnswer
        return policy
    }

    private func extras(_ message: Envoy.RetryPolicy) -> UnsafePointer<RetryExtras>? {
        guard
            !message.retriableHeaders.isEmpty || !message.retriableRequestHeaders.isEmpty
                || message.rateLimitedRetryBackOff != nil
        else { return nil }
        var extras = RetryExtras()
        extras.answers = builder.arena.copy(
            context.each("retriable_headers", message.retriableHeaders) { header($0) }
        )
        extras.requests = builder.arena.copy(
            context.each("retriable_request_headers", message.retriableRequestHeaders) { header($0) }
        )
        if let limited = message.rateLimitedRetryBackOff {
            extras.resets = builder.arena.copy(
                limited.resetHeaders.map {
                    ResetField(
                        name: builder.arena.copy(Self.lowercased($0.name)),
                        isMoment: $0.format == .unixTimestamp
                    )
                }
            )
            if let longest = nanoseconds(limited.maxInterval) { extras.longestReset = longest }
        }
        return builder.arena.copy([extras]).pointer(at: 0)
    }
}
