import Bytes
import HTTP
import Reactor
import Traffic

/// What happens when a try fails: another try, or an answer that says why.
extension Worker {
    /// The endpoint's connection broke, or spoke nonsense, before a final head went to the client.
    func upstreamBroke(
        _ index: Int32,
        _ exchange: ExchangePlace,
        _ upstreamIndex: Int32,
        _ upstream: UpstreamPlace,
        _ failure: FailureText
    ) {
        exchange.pointee.failure = failure
        let isStale =
            upstream.pointee.flags.contains(.isReused) && !upstream.pointee.flags.contains(.hasAnswered)
            && failure != .badResponse
        exchange.pointee.upstream = -1
        upstream.pointee.exchange = -1
        if failure != .badResponse { upstream.pointee.flags.insert(.endedThere) }
        closeUpstream(upstreamIndex, upstream)
        let kind: TryFailure
        if failure == .badResponse {
            kind = .protocolError
        } else if isStale {
            kind = .staleConnection
        } else {
            kind = exchange.pointee.flags.contains(.sentBytes) ? .resetBeforeResponse : .resetBeforeRequest
        }
        // A stale connection says nothing about the endpoint's health.
        tryFailed(index, exchange, kind, result: isStale ? .cancelled : .localFailure)
    }

    /// A try is over without an answer; its connection is closed.
    func tryFailed(_ index: Int32, _ exchange: ExchangePlace, _ failure: TryFailure, result: EndpointResult) {
        guard let cluster = exchange.pointee.cluster else { return }
        if exchange.pointee.extras?.pointee.hedgeOf != nil {
            hedgeFailed(index, exchange, failure, result)
            return
        }
        endTry(exchange, result)
        // A stale connection says nothing sure about its endpoint, which may just be dying: another one is better.
        if exchange.pointee.endpoint >= 0 { exchange.pointee.tried.insert(exchange.pointee.endpoint) }
        if exchange.pointee.isTunnel {
            tunnelTryFailed(index, exchange, cluster)
            return
        }
        let verdict = retryVerdict(exchange, failure, status: 0)
        switch verdict {
        case .retryAtOnce:
            if startRetry(index, exchange, cluster, isImmediate: true) { return }
        case .retry:
            if startRetry(index, exchange, cluster, isImmediate: false) { return }
            if failure == .resetBeforeResponse, awaitBudget(exchange, cluster) { return }
        case .notRetriable, .limitReached, .notReplayable: break
        }
        if awaitsHedges(exchange) {
            if verdict == .limitReached { noteRetryLimit(exchange) }
            return
        }
        answerFailure(index, exchange, failure, verdict)
    }

    /// The budget has no place for this retry. When an endpoint dies under many requests, all of them fail at the same moment: they take
    /// their turns within the budget, for a short while, instead of failing.
    private func awaitBudget(_ exchange: ExchangePlace, _ cluster: ClusterPlace) -> Bool {
        guard !cluster.pointee.isRetired, exchange.pointee.budgetWaits < Self.budgetWaitLimit else { return false }
        exchange.pointee.budgetWaits &+= 1
        exchange.pointee.state = .waiting
        exchange.pointee.respondedAt = 0
        exchange.pointee.tryDeadline = .max
        exchange.pointee.flags.formUnion([.isBackingOff, .awaitsBudget])
        exchange.pointee.wakeDeadline = now &+ Self.budgetWait
        armExchange(exchange)
        return true
    }

    /// Together a quarter of a second.
    private static var budgetWaitLimit: UInt8 { 25 }
    private static var budgetWait: UInt64 { 10_000_000 }

    /// The pause of a retry is over.
    private func wakeUp(_ index: Int32, _ exchange: ExchangePlace) {
        exchange.pointee.wakeDeadline = .max
        guard exchange.pointee.state != .tunnel else {
            // A relay that is logged while it lives.
            log(exchange, .tcpPeriodic)
            let interval = exchange.pointee.tcp?.takeUnretainedValue().more.logInterval ?? 0
            if interval > 0 { exchange.pointee.wakeDeadline = now &+ interval }
            armExchange(exchange)
            return
        }
        guard exchange.pointee.state != .responding else {
            resumePaced(exchange)
            return
        }
        guard !exchange.pointee.flags.contains(.isSuspended) else {
            resumeFilters(index, exchange)
            return
        }
        guard exchange.pointee.flags.contains(.awaitsBudget), let cluster = exchange.pointee.cluster else {
            dispatch(index, exchange)
            return
        }
        exchange.pointee.flags.subtract([.awaitsBudget, .isBackingOff])
        if startRetry(index, exchange, cluster, isImmediate: false) || awaitBudget(exchange, cluster) { return }
        answerFailure(index, exchange, .resetBeforeResponse, .retry)
    }

    /// Whether an answer is one that the policy would throw away for another try.
    func wouldRetry(_ exchange: ExchangePlace, _ status: UInt16, _ answer: RequestView) -> Bool {
        let verdict = retryVerdict(exchange, .status, status: Int(status), isCovered: decision(exchange, answer))
        return verdict == .retry || verdict == .limitReached
    }

    /// What the fields of an answer decide; nil: its status does.
    private func decision(_ exchange: ExchangePlace, _ answer: RequestView) -> Bool? {
        let decision = policy(exchange)?.decision(onFieldsOf: answer)
        if decision == nil, exchange.pointee.extras != nil, hasNamedField(exchange, answer) { return true }
        return decision
    }

    /// All tries that the policy allows were made.
    func noteRetryLimit(_ exchange: ExchangePlace) {
        guard exchange.pointee.retries > 0 else { return }
        metrics.count(.retriesLimitReached)
        exchange.pointee.responseFlags.insert(.upstreamRetryLimit)
    }

    private func retryVerdict(_ exchange: ExchangePlace, _ failure: TryFailure, status: Int, isCovered: Bool? = nil)
        -> RetryVerdict
    {
        guard let policy = policy(exchange) else { return .notRetriable }
        return policy.verdict(
            after: failure,
            status: status,
            retriesDone: Int(exchange.pointee.retries),
            silentDone: Int(exchange.pointee.silentRetries),
            hasUntried: hasUntried(exchange),
            isIdempotent: exchange.pointee.method.isIdempotent,
            isCovered: isCovered,
            isReplayable: isReplayable(exchange)
                && exchange.pointee.state != .responding && exchange.pointee.state != .tunnel
        )
    }

    /// Begins another try after its pause; false when the budget does not allow it.
    func startRetry(
        _ index: Int32,
        _ exchange: ExchangePlace,
        _ cluster: ClusterPlace,
        isImmediate: Bool,
        pause asked: UInt64? = nil
    ) -> Bool {
        guard !cluster.pointee.isRetired else { return false }
        if !isImmediate {
            guard cluster.pointee.take(.retries, exchange.pointee.priority) else {
                metrics.count(.retriesOverBudget)
                tick(cluster, .upstreamRqRetryOverflow)
                exchange.pointee.responseFlags.insert(.upstreamOverflow)
                return false
            }
            exchange.pointee.flags.insert(.holdsRetry)
        }
        metrics.count(.retriesTotal)
        cluster.pointee.retriesTotal &+= 1
        if isImmediate { exchange.pointee.silentRetries &+= 1 } else { exchange.pointee.retries &+= 1 }
        exchange.pointee.state = .waiting
        exchange.pointee.respondedAt = 0
        exchange.pointee.tryDeadline = .max
        guard !isImmediate, let policy = policy(exchange) else {
            dispatch(index, exchange)
            return true
        }
        if !policy.avoidsPreviousEndpoints { exchange.pointee.tried = TriedEndpoints() }
        tick(cluster, asked == nil ? .upstreamRqRetryBackoffExponential : .upstreamRqRetryBackoffRatelimited)
        let pause = asked ?? policy.backOff(retry: Int(exchange.pointee.retries), random: random.next())
        guard pause >= TimerWheel.grain else {
            dispatch(index, exchange)
            return true
        }
        exchange.pointee.flags.insert(.isBackingOff)
        exchange.pointee.wakeDeadline = now &+ pause
        armExchange(exchange)
        return true
    }

    /// Whether an answer with this status is thrown away for another try.
    func isRetried(
        _ index: Int32,
        _ exchange: ExchangePlace,
        _ status: UInt16,
        _ memory: UnsafeMutableRawPointer,
        _ count: Int,
        _ upstreamIndex: Int32,
        _ upstream: UpstreamPlace
    ) -> Bool {
        guard let cluster = exchange.pointee.cluster else { return false }
        if exchange.pointee.extras?.pointee.hedgeOf != nil {
            takeHedge(index, exchange, status, memory, count, upstreamIndex, upstream)
            return true
        }
        let answer = responseView(memory)
        let verdict = retryVerdict(exchange, .status, status: Int(status), isCovered: decision(exchange, answer))
        if verdict == .limitReached {
            noteRetryLimit(exchange)
            return leavesToHedges(exchange, status)
        }
        guard verdict == .retry else { return false }
        exchange.pointee.respondedAt = now
        // The budget is asked before the answer is given up.
        guard !cluster.pointee.isRetired, cluster.pointee.take(.retries, exchange.pointee.priority) else {
            metrics.count(.retriesOverBudget)
            tick(cluster, .upstreamRqRetryOverflow)
            exchange.pointee.responseFlags.insert(.upstreamOverflow)
            return leavesToHedges(exchange, status)
        }
        cluster.pointee.giveBack(.retries, exchange.pointee.priority)
        let pause = policy(exchange)?
            .pause(askedForBy: answer, wallClock: now &+ wallOffset, random: random.next())
        let code = CallStatus.status(in: answer).map { CallStatus.http($0) }
        let status = status == 200 ? code ?? status : status
        endTry(exchange, Self.result(status))
        exchange.pointee.tried.insert(exchange.pointee.endpoint)
        exchange.pointee.upstream = -1
        upstream.pointee.exchange = -1
        closeUpstream(upstreamIndex, upstream)
        return startRetry(index, exchange, cluster, isImmediate: false, pause: pause)
    }

    func answerFailure(
        _ index: Int32,
        _ exchange: ExchangePlace,
        _ failure: TryFailure,
        _ verdict: RetryVerdict
    ) {
        if verdict == .limitReached { noteRetryLimit(exchange) }
        switch failure {
        case .connect:
            exchange.pointee.responseFlags.insert(.upstreamConnectionFailure)
            answer(index, exchange, status: 503, reason: "no connection to the endpoint")
        case .timeout:
            exchange.pointee.responseFlags.insert(.upstreamTimeout)
            metrics.count(.requestsTimedOut)
            answer(index, exchange, status: 504, reason: "the endpoint did not answer in time")
        case .protocolError:
            exchange.pointee.responseFlags.insert(.upstreamProtocolError)
            answer(index, exchange, status: 502, reason: "the endpoint's answer is no acceptable HTTP")
        case .staleConnection, .resetBeforeRequest, .resetBeforeResponse, .refusedStream, .status:
            exchange.pointee.responseFlags.insert(.upstreamConnectionTermination)
            answer(index, exchange, status: 503, reason: "the endpoint closed the connection")
        }
    }

    // MARK: Deadlines of an exchange

    func exchangeTimer(_ index: Int32, _ downstreamIndex: Int32, _ place: DownstreamPlace) {
        guard index >= 0 else { return }
        let exchange = exchanges.pointer(index)
        if exchange.pointee.routeDeadline <= now {
            routeTimedOut(index, exchange, downstreamIndex, place)
        } else if exchange.pointee.wakeDeadline <= now {
            wakeUp(index, exchange)
        } else if exchange.pointee.bodyDeadline <= now {
            bodyTimedOut(index, exchange, downstreamIndex, place)
        } else if exchange.pointee.tryDeadline <= now {
            exchange.pointee.tryDeadline = .max
            if goesOn(exchange) { return }
            tryTimedOut(index, exchange, downstreamIndex, place)
        } else {
            idleTimedOut(index, exchange, downstreamIndex, place)
        }
    }

    private func routeTimedOut(
        _ index: Int32,
        _ exchange: ExchangePlace,
        _ downstreamIndex: Int32,
        _ place: DownstreamPlace
    ) {
        metrics.count(.requestsTimedOut)
        countRouteTimeout(exchange)
        guard exchange.pointee.state != .responding, !exchange.pointee.isTunnel else {
            closeDownstream(downstreamIndex, place, flags: .durationTimeout)
            return
        }
        exchange.pointee.failure = .timeout
        endTry(exchange, .localTimeout)
        // The client's own deadline, as it asked for.
        let isDeadline = (exchange.pointee.extras?.pointee.callDeadline ?? .max) <= now
        exchange.pointee.responseFlags.insert(isDeadline ? .durationTimeout : .upstreamTimeout)
        answer(index, exchange, status: 504, reason: "the route's timeout passed")
    }

    private func bodyTimedOut(
        _ index: Int32,
        _ exchange: ExchangePlace,
        _ downstreamIndex: Int32,
        _ place: DownstreamPlace
    ) {
        metrics.violation(.slowRequest)
        tick(place, .downstreamRqTimeout)
        if exchange.pointee.state == .responding {
            closeDownstream(downstreamIndex, place, flags: .durationTimeout)
        } else {
            answer(index, exchange, status: 408, reason: "the request's body took too long")
        }
    }

    private func tryTimedOut(
        _ index: Int32,
        _ exchange: ExchangePlace,
        _ downstreamIndex: Int32,
        _ place: DownstreamPlace
    ) {
        exchange.pointee.failure = .timeout
        if hedges(exchange) {
            hedge(index, exchange)
            return
        }
        countTryTimeout(exchange)
        if exchange.pointee.state == .responding {
            closeDownstream(downstreamIndex, place, flags: .upstreamTimeout)
            return
        }
        exchange.pointee.flags.insert(.followsTimeout)
        let upstreamIndex = exchange.pointee.upstream
        exchange.pointee.upstream = -1
        removePending(index, exchange)
        if upstreamIndex >= 0 {
            let upstream = upstreams.pointer(upstreamIndex)
            upstream.pointee.exchange = -1
            closeUpstream(upstreamIndex, upstream, reset: true)
        }
        tryFailed(index, exchange, .timeout, result: .localTimeout)
    }

    private func idleTimedOut(
        _ index: Int32,
        _ exchange: ExchangePlace,
        _ downstreamIndex: Int32,
        _ place: DownstreamPlace
    ) {
        if exchange.pointee.state == .responding || exchange.pointee.isTunnel {
            closeDownstream(downstreamIndex, place, flags: .streamIdleTimeout)
            return
        }
        exchange.pointee.responseFlags.insert(.streamIdleTimeout)
        if exchange.pointee.requestBody.isComplete {
            exchange.pointee.failure = .timeout
            endTry(exchange, .localTimeout)
            answer(index, exchange, status: 504, reason: "nothing moved for the stream's idle timeout")
        } else {
            answer(index, exchange, status: 408, reason: "nothing moved for the stream's idle timeout")
        }
    }
}
