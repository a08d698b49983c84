import Bytes
import HTTP
import Reactor
import Traffic

/// What few requests need: rules of their own, and what retries say about themselves.
extension Worker {
    /// The extras of an exchange, made on first use.
    func extras(_ exchange: ExchangePlace) -> UnsafeMutablePointer<ExchangeExtras> {
        if let present = exchange.pointee.extras { return present }
        // Safety: owned by the exchange, freed in `releaseExtras`.
        let made = UnsafeMutablePointer<ExchangeExtras>.allocate(capacity: 1)
        made.initialize(to: ExchangeExtras())
        exchange.pointee.extras = made
        return made
    }

    func releaseExtras(_ exchange: ExchangePlace) {
        guard let extras = exchange.pointee.extras else { return }
        let isWhole = exchange.pointee.requestBody.isComplete
        let shadows = extras.pointee.shadows
        let hedges = extras.pointee.hedges
        if extras.pointee.filters != nil { releaseFilters(exchange, extras) }
        exchange.pointee.extras = nil
        extras.deinitialize(count: 1)
        extras.deallocate()
        if !hedges.isEmpty { end(hedges) }
        // A copy of half a request must not be taken for a whole one.
        if !isWhole { for shadow in shadows { giveUp(shadow) } }
    }

    /// The rules by which an exchange is tried again; nil for requests of which no policy speaks.
    func policy(_ exchange: ExchangePlace) -> RetryPolicy? {
        if let own = exchange.pointee.extras?.pointee.retry { return own }
        guard let route = exchange.pointee.route, case .forward(let forward) = route.pointee.action else { return nil }
        return forward.pointee.retry
    }

    /// Settles the rules of a request once its route is known.
    func settleRules(_ exchange: ExchangePlace, _ forward: UnsafePointer<Forward>, _ view: RequestView) {
        var policy = forward.pointee.retry
        var isOwn = false
        if let extras = exchange.pointee.extras {
            let asked = extras.pointee.asked
            extras.pointee.timeout = asked.timeout
            if asked.asksForRetries || asked.perTryTimeout != nil {
                isOwn = true
                policy.adopt(asked)
                if let limit = asked.timeout ?? (forward.pointee.timeout > 0 ? forward.pointee.timeout : nil),
                    policy.perTryTimeout >= limit
                {
                    policy.perTryTimeout = 0
                }
            }
        }
        if policy.extras != nil, !policy.isFor(view) {
            policy.conditions = []
            isOwn = true
        }
        if isOwn { extras(exchange).pointee.retry = policy }
        if isOwn ? policy.judgesEveryAnswer : policy.examinesAll { exchange.pointee.flags.insert(.judgesEveryAnswer) }
        if policy.perTryIdleTimeout > 0 { exchange.pointee.flags.insert(.hasTryIdleTimeout) }
        if let rules = forward.pointee.extras?.pointee.hashRules, !rules.isEmpty { settleHash(exchange, rules, view) }
        if forward.pointee.extras?.pointee.internalRedirect != nil { exchange.pointee.flags.insert(.followsRedirects) }
        if forward.pointee.extras?.pointee.replayLimit != nil { exchange.pointee.flags.insert(.hasReplayLimit) }
    }

    /// Whether an answer has a field that the request named as a reason to try again.
    func hasNamedField(_ exchange: ExchangePlace, _ answer: RequestView) -> Bool {
        guard let extras = exchange.pointee.extras, !extras.pointee.retriableNames.isEmpty,
            policy(exchange)?.conditions.contains(.retriableHeaders) ?? false
        else { return false }
        return extras.pointee.retriableNames.contains { name in
            name.withUnsafeBytes { answer.value(of: ByteRun($0)) != nil }
        }
    }

    // MARK: Times of a try

    /// When the present try is over, if nothing comes of it.
    func tryDeadline(_ exchange: ExchangePlace, _ forward: UnsafePointer<Forward>) -> UInt64 {
        let own = exchange.pointee.extras?.pointee.retry
        let whole = own?.perTryTimeout ?? forward.pointee.retry.perTryTimeout
        let silence = own?.perTryIdleTimeout ?? forward.pointee.retry.perTryIdleTimeout
        return min(Self.after(now, whole), Self.after(now, silence))
    }

    /// An answer has begun: only silence ends the try from now on.
    func watchSilence(_ exchange: ExchangePlace) {
        guard let silence = policy(exchange)?.perTryIdleTimeout, silence > 0 else { return }
        exchange.pointee.tryDeadline = now &+ silence
    }

    /// Whether a try whose deadline passed goes on, because only its silence was meant and it was not silent.
    func goesOn(_ exchange: ExchangePlace) -> Bool {
        guard exchange.pointee.flags.contains(.hasTryIdleTimeout), let policy = policy(exchange),
            policy.perTryIdleTimeout > 0
        else { return false }
        var end = exchange.pointee.lastActivity &+ policy.perTryIdleTimeout
        if exchange.pointee.state != .responding, policy.perTryTimeout > 0 {
            let begin = max(exchange.pointee.triedAt, exchange.pointee.requestEndedAt)
            end = min(end, begin &+ policy.perTryTimeout)
        }
        guard end > now else { return false }
        exchange.pointee.tryDeadline = end
        armExchange(exchange)
        return true
    }

    /// Bytes of a request that are kept for another try.
    @inline(__always)
    func replayLimit(_ exchange: ExchangePlace) -> Int {
        guard exchange.pointee.flags.contains(.hasReplayLimit), let route = exchange.pointee.route,
            case .forward(let forward) = route.pointee.action, let limit = forward.pointee.extras?.pointee.replayLimit
        else { return Limits.replay }
        return limit &+ 1024
    }

    /// Whether the request is kept whole, so that it can be sent again.
    func isReplayable(_ exchange: ExchangePlace) -> Bool {
        guard !exchange.pointee.flags.contains(.isNotReplayable) else { return false }
        guard exchange.pointee.flags.contains(.hasReplayLimit), let route = exchange.pointee.route,
            case .forward(let forward) = route.pointee.action, let limit = forward.pointee.extras?.pointee.replayLimit
        else { return true }
        // A body that came at once is kept whatever the limit says.
        return exchange.pointee.bytesReceived <= UInt64(limit)
    }

    // MARK: Choosing

    /// The endpoint for a try.
    @inline(__always)
    func chooseEndpoint(_ exchange: ExchangePlace, _ cluster: ClusterPlace) -> EndpointChoice {
        guard !cluster.pointee.set.hasSubsets else { return chooseInSubset(exchange, cluster) }
        return cluster.pointee.set.choose(
            now: now,
            random: random.next(),
            hash: exchange.pointee.extras?.pointee.hash,
            excluding: exchange.pointee.tried
        )
    }

    @inline(never)
    private func chooseInSubset(_ exchange: ExchangePlace, _ cluster: ClusterPlace) -> EndpointChoice {
        cluster.pointee.set.choose(
            criteria: criteria(exchange),
            now: now,
            random: random.next(),
            hash: exchange.pointee.extras?.pointee.hash,
            excluding: exchange.pointee.tried
        )
    }

    /// What endpoints are asked for.
    private func criteria(_ exchange: ExchangePlace) -> SubsetCriteria? {
        if let own = exchange.pointee.extras?.pointee.criteria { return own }
        var kept = exchange.pointee.weighted?.pointee.criteria.start
        if kept == nil, let route = exchange.pointee.route, case .forward(let forward) = route.pointee.action {
            kept = forward.pointee.extras?.pointee.criteria.start
        }
        // The snapshot that the exchange holds keeps it.
        return kept.map { Unmanaged<SubsetCriteria>.fromOpaque($0).takeUnretainedValue() }
    }

    /// Whether there is an endpoint that the request was not sent to.
    func hasUntried(_ exchange: ExchangePlace) -> Bool {
        guard let cluster = exchange.pointee.cluster else { return false }
        guard !cluster.pointee.set.hasSubsets else {
            return cluster.pointee.set.hasUntried(besides: exchange.pointee.tried, criteria: criteria(exchange))
        }
        return cluster.pointee.set.hasUntried(besides: exchange.pointee.tried)
    }

    // MARK: Further tries

    /// Draws again while the endpoint is one that a retry of this request must not go to, as often as the policy says.
    func redrawn(_ slot: Int32, _ exchange: ExchangePlace, _ cluster: ClusterPlace) -> Int32 {
        guard let policy = policy(exchange) else { return slot }
        var chosen = slot
        var draws: UInt32 = 1
        while draws < policy.hostSelectionAttempts, isUnwanted(chosen, exchange, cluster, policy) {
            draws += 1
            let next = chooseEndpoint(exchange, cluster)
            guard case .endpoint(let other) = next else { return chosen }
            chosen = other
        }
        return chosen
    }

    private func isUnwanted(
        _ slot: Int32,
        _ exchange: ExchangePlace,
        _ cluster: ClusterPlace,
        _ policy: RetryPolicy
    ) -> Bool {
        if policy.avoidsPreviousEndpoints, exchange.pointee.tried.contains(slot) { return true }
        return policy.avoidsCanaries && cluster.pointee.targets[Int(slot)].isCanary
    }

    /// Tells the endpoint which try this is.
    func tellAttempt(_ exchange: ExchangePlace, _ forward: UnsafePointer<Forward>) {
        if forward.pointee.addsAttemptCount {
            replaceField(exchange, "x-envoy-attempt-count", UInt64(exchange.pointee.attempts))
        }
        // What is left of the whole time, where no try has a time of its own.
        let perTry = exchange.pointee.extras?.pointee.retry?.perTryTimeout ?? forward.pointee.retry.perTryTimeout
        if perTry == 0, exchange.pointee.routeDeadline != .max, exchange.pointee.routeDeadline > now {
            let rest = (exchange.pointee.routeDeadline &- now) / 1_000_000
            replaceField(exchange, "x-envoy-expected-rq-timeout-ms", max(1, rest), onlyIfPresent: true)
        }
        if forward.pointee.extras?.pointee.tellsTimeoutRetries ?? false,
            exchange.pointee.flags.contains(.followsTimeout)
        {
            exchange.pointee.flags.remove(.followsTimeout)
            replaceField(exchange, "x-envoy-is-timeout-retry", nil)
        }
    }

    /// Puts another number into a field of the request that is about to be sent, or adds the field; without a number its value
    /// is `true`.
    func replaceField(
        _ exchange: ExchangePlace,
        _ name: StaticString,
        _ number: UInt64?,
        onlyIfPresent: Bool = false,
        unit: StaticString = ""
    ) {
        guard let bytes = exchange.pointee.request.bytes else { return }
        let text = ByteRun(start: bytes, count: exchange.pointee.request.count)
        let mark = Self.run(name)
        var begin = text.firstIndex(of: 0x0A).map { $0 + 1 } ?? text.count
        let first = begin
        var end = begin
        // Line by line to the end of the head.
        while begin < text.count, text[begin] != 0x0D {
            let rest = text.dropping(begin)
            let length = (rest.firstIndex(of: 0x0A) ?? rest.count - 1) + 1
            if rest.first(mark.count).equalsIgnoringCase(mark), rest[mark.count] == 0x3A {
                end = begin + length
                break
            }
            begin += length
        }
        // Absent: it stands behind the Host line.
        if end <= begin {
            guard !onlyIfPresent else { return }
            begin = first + (text.dropping(first).firstIndex(of: 0x0A) ?? 0) + 1
            end = begin
        }
        var changed = Buffer()
        withUnsafeTemporaryAllocation(byteCount: 96, alignment: 1) { room in
            guard let base = room.baseAddress else { return }
            var line = ByteWriter(base, capacity: room.count)
            line.put(name)
            line.put(": ")
            if let number { line.put(decimal: number) } else { line.put("true") }
            line.put(unit)
            line.endLine()
            let isWhole =
                buffers.append(&changed, bytes, begin) && buffers.append(&changed, base, line.count)
                && buffers.append(&changed, bytes + end, text.count - end)
            guard isWhole else {
                buffers.give(&changed)
                return
            }
            buffers.give(&exchange.pointee.request)
            exchange.pointee.request = changed
        }
    }
}

extension RetryPolicy {
    /// Takes over what a request asks for, as Envoy does: conditions are added, numbers replaced.
    mutating func adopt(_ asked: AskedRules) {
        let had = !conditions.isEmpty
        conditions.formUnion(asked.conditions)
        if !had, !conditions.isEmpty { retries = 1 }
        for status in 100..<600 where asked.statuses.contains(status) { statuses.insert(status) }
        if let number = asked.retries, !conditions.isEmpty { retries = number }
        if let time = asked.perTryTimeout { perTryTimeout = time }
    }
}
