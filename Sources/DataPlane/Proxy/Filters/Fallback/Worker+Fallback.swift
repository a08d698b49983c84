import Bytes
import HTTP
import Reactor
import Traffic

/// `fallback`: where a cluster gives no answer, another one does, or a fixed text.
extension Worker {
    func prepareFallback(_ filter: FallbackRules, _ step: FilterStep, _ pass: FilterPass) -> FilterVerdict {
        let own = settings(pass.exchange, step, .fallback, FallbackRules.self) ?? filter
        // Safety: the chain's configuration and the route's table own them, and the exchange holds both.
        pass.exchange.filterRun?.pointee.fallback = FallbackState(
            rules: .passUnretained(own),
            filter: .passUnretained(filter)
        )
        return .next
    }

    /// The proxy is about to say that the cluster failed. True: another answer is on its way, or given.
    func fallsBack(_ index: Int32, _ exchange: ExchangePlace) -> Bool {
        guard let run = exchange.filterRun, let kept = run.pointee.fallback, !kept.isDone else { return false }
        return kept.rules._withUnsafeGuaranteedRef { rules in
            let isOwn = kept.triedCluster || !exchange.pointee.responseFlags.isDisjoint(with: rules.causes)
            guard isOwn, exchange.pointee.state != .responding, !exchange.pointee.isTunnel else { return false }
            return fallBack(index, exchange, run, rules)
        }
    }

    /// An endpoint's answer came with a status that is not good enough. True: another answer is on its way, or given.
    func fallsBack(
        _ index: Int32,
        _ exchange: ExchangePlace,
        _ status: UInt16,
        _ upstreamIndex: Int32,
        _ upstream: UpstreamPlace
    ) -> Bool {
        guard let run = exchange.filterRun, let kept = run.pointee.fallback, !kept.isDone else { return false }
        return kept.rules._withUnsafeGuaranteedRef { rules in
            let isExhausted =
                rules.causes.contains(.upstreamRetryLimit)
                && exchange.pointee.responseFlags.contains(.upstreamRetryLimit)
            guard rules.statuses.contains(Int(status)) || isExhausted else { return false }
            guard rules.response != nil || canTry(exchange, run, rules) != nil else { return false }
            exchange.pointee.respondedAt = now
            endTry(exchange, status >= 502 && status <= 504 ? .gatewayError : status >= 500 ? .serverError : .success)
            exchange.pointee.respondedAt = 0
            exchange.pointee.upstream = -1
            upstream.pointee.exchange = -1
            closeUpstream(upstreamIndex, upstream)
            return fallBack(index, exchange, run, rules)
        }
    }

    private func fallBack(
        _ index: Int32,
        _ exchange: ExchangePlace,
        _ run: UnsafeMutablePointer<FilterRun>,
        _ rules: FallbackRules
    ) -> Bool {
        guard let kept = run.pointee.fallback else { return false }
        let numbers = kept.filter._withUnsafeGuaranteedRef { $0.numbers }
        if kept.triedCluster { countFilter(numbers.clusterFailed) }
        if let other = canTry(exchange, run, rules) {
            run.pointee.fallback?.triedCluster = true
            countFilter(numbers.cluster)
            change(index, exchange, other)
            dispatch(index, exchange)
            return true
        }
        run.pointee.fallback?.isDone = true
        guard let response = rules.response else { return false }
        countFilter(numbers.response)
        exchange.pointee.responseFlags.insert(.fallback)
        run.pointee.fields = response.fields
        let details = Array("fallback_response".utf8)
        buffers.give(&run.pointee.details)
        details.withUnsafeBytes { raw in
            if let start = raw.baseAddress { _ = buffers.append(&run.pointee.details, start, raw.count) }
        }
        response.body.withUnsafeBytes { content in
            answer(index, exchange, status: response.status, reason: nil, content: ByteRun(content))
        }
        return true
    }

    /// The other cluster, where the request can be sent to it: whole, and not tried there yet.
    private func canTry(
        _ exchange: ExchangePlace,
        _ run: UnsafeMutablePointer<FilterRun>,
        _ rules: FallbackRules
    ) -> ClusterPlace? {
        guard rules.cluster >= 0, !(run.pointee.fallback?.triedCluster ?? true), !exchange.pointee.request.isEmpty,
            exchange.pointee.requestBody.isComplete,
            exchange.pointee.flags.isDisjoint(with: [.isNotReplayable, .terminatesConnect, .wantsUpgrade]),
            let other = cluster(at: rules.cluster, exchange), other != exchange.pointee.cluster,
            !other.pointee.isRetired, other.pointee.take(.requests, exchange.pointee.priority)
        else { return nil }
        other.pointee.giveBack(.requests, exchange.pointee.priority)
        return other
    }

    /// The cluster has no place for the request: the other one may have. Nil: it is refused.
    func otherCluster(_ exchange: ExchangePlace) -> ClusterPlace? {
        guard let run = exchange.filterRun, let kept = run.pointee.fallback, !kept.isDone, !kept.triedCluster else {
            return nil
        }
        let rules = kept.rules.takeUnretainedValue()
        guard rules.causes.contains(.upstreamOverflow), rules.cluster >= 0,
            let other = cluster(at: rules.cluster, exchange), other != exchange.pointee.cluster
        else { return nil }
        run.pointee.fallback?.triedCluster = true
        countFilter(kept.filter._withUnsafeGuaranteedRef { $0.numbers.cluster })
        exchange.pointee.responseFlags.formUnion([.fallback, .upstreamOverflow])
        if let old = exchange.pointee.cluster { letGo(old) }
        exchange.pointee.cluster = other
        hold(other)
        return other
    }

    /// Makes the request one of another cluster, as if it had not been tried.
    private func change(_ index: Int32, _ exchange: ExchangePlace, _ other: ClusterPlace) {
        removePending(index, exchange)
        endHedges(exchange)
        let upstreamIndex = exchange.pointee.upstream
        if upstreamIndex >= 0 {
            let upstream = upstreams.pointer(upstreamIndex)
            exchange.pointee.upstream = -1
            upstream.pointee.exchange = -1
            closeUpstream(upstreamIndex, upstream, reset: true)
        }
        endTry(exchange, .cancelled)
        if let old = exchange.pointee.cluster {
            if exchange.pointee.flags.contains(.holdsRetry) {
                old.pointee.giveBack(.retries, exchange.pointee.priority)
            }
            if exchange.pointee.flags.contains(.holdsRequest) {
                old.pointee.giveBack(.requests, exchange.pointee.priority)
            }
            exchange.pointee.cluster = nil
            letGo(old)
        }
        exchange.pointee.flags.subtract([
            .holdsRetry, .holdsRequest, .judgesEveryAnswer, .followsRedirects, .hasTryIdleTimeout, .followsTimeout,
            .sentBytes, .awaitedEndpoint, .awaitsBudget, .isBackingOff,
        ])
        exchange.pointee.cluster = other
        hold(other)
        if other.pointee.take(.requests, exchange.pointee.priority) { exchange.pointee.flags.insert(.holdsRequest) }
        other.pointee.requestsTotal &+= 1
        exchange.pointee.responseFlags.insert(.fallback)
        exchange.pointee.state = .waiting
        exchange.pointee.tried = TriedEndpoints()
        exchange.pointee.endpoint = -1
        exchange.pointee.retries = 0
        exchange.pointee.silentRetries = 0
        exchange.pointee.interims = 0
        exchange.pointee.respondedAt = 0
        exchange.pointee.failure = .none
        exchange.pointee.tryDeadline = .max
        exchange.pointee.wakeDeadline = .max
        exchange.pointee.requestSent = 0
        // One try: whoever falls does not fall again.
        extras(exchange).pointee.retry = RetryPolicy()
        guard let route = exchange.pointee.route, case .forward(let forward) = route.pointee.action else { return }
        exchange.pointee.routeDeadline = Self.after(now, forward.pointee.timeout)
    }
}
