import Bytes
import HTTP
import Reactor
import Traffic

/// Hedging: a try that takes too long goes on, and another one begins beside it. The first good answer is the client's.
///
/// The request itself is always its newest try, so that retries, budgets and deadlines are as without hedging. A try that took too
/// long becomes an exchange of its own without a client (`hedgeOf`); when its answer is the first good one, the request takes over
/// its connection.
extension Worker {
    // MARK: A second try

    /// Whether a try that takes too long is not given up (`hedge_on_per_try_timeout`, or what the request itself asks for).
    func hedges(_ exchange: ExchangePlace) -> Bool {
        guard exchange.pointee.state != .responding, !exchange.pointee.isTunnel,
            exchange.pointee.flags.isDisjoint(with: [.isShadow, .wantsUpgrade, .terminatesConnect]),
            exchange.pointee.method != .connect, let route = exchange.pointee.route,
            case .forward(let forward) = route.pointee.action
        else { return false }
        return exchange.pointee.extras?.pointee.asked.hedges ?? forward.pointee.extras?.pointee.hedges ?? false
    }

    /// The time of a try is over: it goes on, and where the policy, the budget and the breakers allow it, another one begins.
    func hedge(_ index: Int32, _ exchange: ExchangePlace) {
        exchange.pointee.tryDeadline = .max
        defer { armExchange(exchange) }
        guard let cluster = exchange.pointee.cluster, let policy = policy(exchange), !policy.conditions.isEmpty,
            exchange.pointee.upstream >= 0, isReplayable(exchange),
            !cluster.pointee.isRetired
        else { return }
        noteSlowTry(exchange, cluster)
        guard exchange.pointee.retries < policy.retries else {
            noteRetryLimit(exchange)
            return
        }
        // The budget is asked before anything is begun.
        guard hedgeCount(exchange) < Limits.hedges, cluster.pointee.take(.retries, exchange.pointee.priority) else {
            metrics.count(.retriesOverBudget)
            tick(cluster, .upstreamRqRetryOverflow)
            exchange.pointee.responseFlags.insert(.upstreamOverflow)
            return
        }
        cluster.pointee.giveBack(.retries, exchange.pointee.priority)
        guard setAside(index, exchange, cluster) else {
            metrics.count(.breakerRequests)
            tick(cluster, .upstreamRqPendingOverflow)
            exchange.pointee.responseFlags.insert(.upstreamOverflow)
            return
        }
        exchange.pointee.flags.insert(.followsTimeout)
        if !startRetry(index, exchange, cluster, isImmediate: false) { exchange.pointee.state = .waiting }
    }

    /// To the endpoint's health it is a failure, though its answer may still come.
    private func noteSlowTry(_ exchange: ExchangePlace, _ cluster: ClusterPlace) {
        let slot = exchange.pointee.endpoint
        guard slot >= 0, exchange.pointee.flags.contains(.startedTry) else { return }
        exchange.pointee.tried.insert(slot)
        if exchange.pointee.extras != nil { endTrySpan(exchange, .localTimeout) }
        let time = now > exchange.pointee.triedAt ? now &- exchange.pointee.triedAt : 0
        cluster.pointee.set.requestStarted(slot)
        if let cause = cluster.pointee.set.requestEnded(slot, result: .localTimeout, time: time, now: now) {
            ejected(cluster, slot, cause)
        }
    }

    func hedgeCount(_ exchange: ExchangePlace) -> Int { exchange.pointee.extras?.pointee.hedges.count ?? 0 }

    /// Makes the present try an exchange of its own. False when there is no room for it.
    private func setAside(_ index: Int32, _ exchange: ExchangePlace, _ cluster: ClusterPlace) -> Bool {
        guard cluster.pointee.take(.requests, exchange.pointee.priority) else { return false }
        guard let tryIndex = exchanges.take() else {
            cluster.pointee.giveBack(.requests, exchange.pointee.priority)
            return false
        }
        let slow = exchanges.pointer(tryIndex)
        guard let client = makeNobody(tryIndex, like: exchange) else {
            cluster.pointee.giveBack(.requests, exchange.pointee.priority)
            exchanges.give(tryIndex)
            return false
        }
        slow.pointee.downstream = client
        slow.pointee.cluster = cluster
        hold(cluster)
        moveTry(from: exchange, to: slow)
        slow.pointee.method = exchange.pointee.method
        slow.pointee.requestBody = exchange.pointee.requestBody
        slow.pointee.flags.formUnion(
            exchange.pointee.flags.intersection([.requestIsChunked, .isUnframed, .declaresLength])
        )
        // Every answer is looked at where those of retries are.
        slow.pointee.flags.formUnion([.isShadow, .isNotReplayable, .holdsRequest, .judgesEveryAnswer])
        upstreams.pointer(slow.pointee.upstream).pointee.exchange = tryIndex
        keepUnsent(of: exchange, in: slow)
        let handle = ShadowHandle(exchange: tryIndex, generation: slow.pointee.generation)
        extras(slow).pointee.hedgeOf = ShadowHandle(exchange: index, generation: exchange.pointee.generation)
        extras(exchange).pointee.hedges.append(handle)
        return true
    }

    /// What belongs to a try, and not to its request.
    private func moveTry(from: ExchangePlace, to: ExchangePlace) {
        let own: Exchange.Flags = [.startedTry, .holdsRetry, .holdsPending, .sentBytes]
        to.pointee.flags.formUnion(from.pointee.flags.intersection(own))
        from.pointee.flags.subtract(own)
        to.pointee.priority = from.pointee.priority
        to.pointee.state = from.pointee.state
        to.pointee.upstream = from.pointee.upstream
        from.pointee.upstream = -1
        to.pointee.endpoint = from.pointee.endpoint
        to.pointee.triedAt = from.pointee.triedAt
        to.pointee.interims = from.pointee.interims
        to.pointee.upstreamAddress = from.pointee.upstreamAddress
        to.pointee.upstreamLocal = from.pointee.upstreamLocal
        to.pointee.lastActivity = now
    }

    /// A slow endpoint may not have taken the whole request yet.
    private func keepUnsent(of exchange: ExchangePlace, in slow: ExchangePlace) {
        if let raw = exchange.pointee.trailers.bytes, !exchange.pointee.trailers.isEmpty {
            _ = buffers.append(&slow.pointee.trailers, raw, exchange.pointee.trailers.count)
        }
        let count = exchange.pointee.request.count
        let sent = Int(exchange.pointee.requestSent)
        guard sent < count, let bytes = exchange.pointee.request.bytes else { return }
        guard buffers.append(&slow.pointee.request, bytes, count) else { return }
        slow.pointee.requestSent = Int32(sent)
    }

    // MARK: What becomes of the slow ones

    /// A try that was set aside has an answer: it is the client's when it is good, or when no other can come.
    func takeHedge(
        _ index: Int32,
        _ slow: ExchangePlace,
        _ status: UInt16,
        _ memory: UnsafeMutableRawPointer,
        _ count: Int,
        _ upstreamIndex: Int32,
        _ upstream: UpstreamPlace
    ) {
        guard let handle = slow.pointee.extras?.pointee.hedgeOf,
            let owner = exchanges.find(handle.exchange, generation: handle.generation)
        else {
            dropHedge(index, slow, .cancelled)
            return
        }
        let isBad = wouldRetry(owner, status, responseView(memory))
        if isBad, hedgeCount(owner) > 1 || !isOnlyWaiting(owner) {
            slow.pointee.respondedAt = now
            dropHedge(index, slow, Self.result(status))
            return
        }
        // Nothing more is tried where this is the last answer that can come.
        if isBad { owner.pointee.flags.insert(.isNotReplayable) }
        adopt(index, slow, handle.exchange, owner)
        beginResponse(upstreamIndex, upstream, handle.exchange, owner, memory, count)
    }

    static func result(_ status: UInt16) -> EndpointResult {
        status >= 502 && status <= 504 ? .gatewayError : status >= 500 ? .serverError : .success
    }

    /// The request goes on with the connection of a try that was set aside; its own one and all others end.
    private func adopt(_ index: Int32, _ slow: ExchangePlace, _ ownerIndex: Int32, _ owner: ExchangePlace) {
        removePending(ownerIndex, owner)
        leavePending(owner)
        endTry(owner, .cancelled)
        if owner.pointee.flags.contains(.holdsRetry), let cluster = owner.pointee.cluster {
            owner.pointee.flags.remove(.holdsRetry)
            cluster.pointee.giveBack(.retries, owner.pointee.priority)
        }
        cutUpstream(owner)
        if slow.pointee.flags.contains(.holdsRetry), let cluster = slow.pointee.cluster {
            // It is the only one from now on.
            slow.pointee.flags.remove(.holdsRetry)
            cluster.pointee.giveBack(.retries, slow.pointee.priority)
        }
        let upstreamIndex = slow.pointee.upstream
        moveTry(from: slow, to: owner)
        owner.pointee.flags.subtract([.isBackingOff, .awaitsBudget])
        owner.pointee.wakeDeadline = .max
        owner.pointee.tryDeadline = .max
        upstreams.pointer(upstreamIndex).pointee.exchange = ownerIndex
        if slow.pointee.request.isEmpty {
            owner.pointee.requestSent = Int32(truncatingIfNeeded: owner.pointee.request.count)
        } else {
            buffers.give(&owner.pointee.request)
            owner.pointee.request = slow.pointee.request
            owner.pointee.requestSent = slow.pointee.requestSent
            slow.pointee.request = Buffer()
        }
        endHedges(owner)
    }

    /// A try that was set aside came to nothing: the request fails with it where nothing else can come.
    func hedgeFailed(_ index: Int32, _ slow: ExchangePlace, _ failure: TryFailure, _ result: EndpointResult) {
        let text = slow.pointee.failure
        let handle = slow.pointee.extras?.pointee.hedgeOf
        dropHedge(index, slow, result)
        guard let handle, let owner = exchanges.find(handle.exchange, generation: handle.generation),
            hedgeCount(owner) == 0, isOnlyWaiting(owner)
        else { return }
        owner.pointee.failure = text
        answerFailure(handle.exchange, owner, failure, .notRetriable)
    }

    /// The present try came to nothing and no other may begin: whether the request waits for those that were set aside.
    func awaitsHedges(_ exchange: ExchangePlace) -> Bool {
        guard exchange.pointee.extras != nil, hedgeCount(exchange) > 0 else { return false }
        exchange.pointee.state = .waiting
        exchange.pointee.tryDeadline = .max
        armExchange(exchange)
        return true
    }

    /// The same for an answer that is not good enough; its connection is cut.
    func leavesToHedges(_ exchange: ExchangePlace, _ status: UInt16) -> Bool {
        guard awaitsHedges(exchange) else { return false }
        exchange.pointee.respondedAt = now
        endTry(exchange, Self.result(status))
        exchange.pointee.respondedAt = 0
        cutUpstream(exchange)
        return true
    }

    /// Whether nothing is on its way for the request itself.
    private func isOnlyWaiting(_ exchange: ExchangePlace) -> Bool {
        exchange.pointee.state == .waiting && exchange.pointee.upstream < 0
            && exchange.pointee.flags.isDisjoint(with: [.isQueued, .isBackingOff])
    }

    /// Ends all tries that were set aside.
    func endHedges(_ exchange: ExchangePlace) {
        guard let hedges = exchange.pointee.extras?.pointee.hedges, !hedges.isEmpty else { return }
        exchange.pointee.extras?.pointee.hedges = []
        end(hedges)
    }

    func end(_ hedges: [ShadowHandle]) {
        for handle in hedges {
            guard let slow = exchanges.find(handle.exchange, generation: handle.generation) else { continue }
            dropHedge(handle.exchange, slow, .cancelled)
        }
    }

    /// Ends a try that was set aside. It is no answer to anybody: nothing is counted or logged but what its endpoint did.
    private func dropHedge(_ index: Int32, _ slow: ExchangePlace, _ result: EndpointResult) {
        endTry(slow, result)
        cutUpstream(slow)
        let client = slow.pointee.downstream
        let place = downstreams.pointer(client)
        place.pointee.exchange = -1
        releaseExchange(index, slow)
        closeDownstream(client, place, flags: [])
    }

    private func cutUpstream(_ exchange: ExchangePlace) {
        let upstreamIndex = exchange.pointee.upstream
        guard upstreamIndex >= 0 else { return }
        exchange.pointee.upstream = -1
        let upstream = upstreams.pointer(upstreamIndex)
        upstream.pointee.exchange = -1
        if upstream.pointee.isStream { tick(upstream.pointee.cluster, .upstreamRqTxReset) }
        closeUpstream(upstreamIndex, upstream, reset: true)
    }

    /// A try that was set aside is gone, whatever ended it: its request hears of it.
    func forgetHedge(_ index: Int32, of handle: ShadowHandle) {
        guard let owner = exchanges.find(handle.exchange, generation: handle.generation),
            let extras = owner.pointee.extras
        else { return }
        let before = extras.pointee.hedges.count
        extras.pointee.hedges.removeAll { $0.exchange == index }
        guard extras.pointee.hedges.count < before, extras.pointee.hedges.isEmpty, isOnlyWaiting(owner),
            owner.pointee.wakeDeadline == .max
        else { return }
        // Asked again when the turn is over, if nobody has decided by then.
        owner.pointee.wakeDeadline = now
        armExchange(owner)
    }
}
