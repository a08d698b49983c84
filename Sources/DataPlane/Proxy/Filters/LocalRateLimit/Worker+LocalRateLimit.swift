import Bytes
import EnvoyAPI
import Reactor
import Traffic

/// `local_ratelimit`: lets so many requests pass in a time.
extension Worker {
    func limitLocally(_ filter: LocalRateLimitFilter, _ step: FilterStep, _ pass: inout FilterPass) -> FilterVerdict {
        let own = settings(pass.exchange, step, .localRateLimit, LocalRateLimitFilter.self) ?? filter
        guard random.next() % 1_000_000 < UInt64(own.enabled) else { return .next }
        countFilter(own.numbers.enabled)
        let verdict = own.limits.judge(localDescriptors(own, pass), now: now)
        var told = HeadEdits()
        if own.tellsLimits, let bucket = verdict.bucket {
            told.append("x-ratelimit-limit", "\(bucket.capacity)")
            told.append("x-ratelimit-remaining", "\(bucket.remaining(now: now))")
            told.append("x-ratelimit-reset", "\(bucket.secondsUntilFull(now: now))")
        }
        if !told.isEmpty { setState(pass.exchange, pass.step, .answerEdits(told)) }
        guard !verdict.isAllowed else {
            countFilter(own.numbers.ok)
            return .next
        }
        countFilter(own.numbers.limited)
        let sources = FieldSources(message: pass.facts.view, request: pass.facts.view)
        guard random.next() % 1_000_000 < UInt64(own.enforced) else {
            add(own.requestEdits, sources, pass.exchange, pass.place, to: &pass.edits)
            return .next
        }
        countFilter(own.numbers.enforced)
        var reply = FilterReply(
            status: own.status,
            body: "local_rate_limited",
            details: "local_rate_limited",
            flags: .rateLimited
        )
        add(own.answerEdits, sources, pass.exchange, pass.place, to: &reply.fields)
        if own.isResourceExhausted { reply.callStatus = 8 }
        return .answered(reply)
    }

    /// What the request is counted under: what the filter says, or what its route and virtual host say.
    private func localDescriptors(_ filter: LocalRateLimitFilter, _ pass: FilterPass) -> [RateLimitDescriptor] {
        guard !filter.limits.entries.isEmpty else { return [] }
        let rules = filter.rules.isEmpty ? routeRules(pass.exchange, filter.host) : filter.rules
        guard !rules.isEmpty else { return [] }
        let facts = limitFacts(pass)
        return rules.filter { $0.stage == filter.stage }.compactMap { $0.descriptor(facts) }
    }
}
