import Bytes
import HTTP
import Reactor
import Traffic

/// What a worker gives up when the process has too much to do.
extension Worker {
    /// The main thread says how strongly each action is to be taken from now on.
    func take(_ levels: OverloadLevels) {
        let before = overload
        overload = levels
        isUnderPressure = !levels.isCalm || backlog.isWatching
        func begins(_ action: OverloadAction) -> Bool { levels.isWhole(action) && !before.isWhole(action) }
        if begins(.stopAcceptingConnections) {
            for case let state? in listeners { pauseAccepting(state) }
        } else if before.isWhole(.stopAcceptingConnections), !levels.isWhole(.stopAcceptingConnections) {
            resumeAccepting()
        }
        if begins(.disableKeepAlive) { closeIdleConnections() }
        if begins(.shrinkHeap) { buffers.shrink() }
    }

    /// What waits stays in the kernel's queue until there is room again.
    func pauseAccepting(_ state: ListenerState) {
        for position in state.sockets.indices where !state.sockets[position].isPaused {
            state.sockets[position].isPaused = true
            let token = Token(.listener, state.configuration.index, generation: state.sockets[position].generation)
            loop.change(state.sockets[position].fd, [], token: token.raw)
        }
    }

    /// Connections without a request are closed, those of HTTP/2 told to take their next requests elsewhere.
    private func closeIdleConnections() {
        for index in 0..<downstreams.used {
            let place = downstreams.pointer(index)
            guard place.pointee.isLive else { continue }
            if place.pointee.state == .http2 {
                drainSession(sessions.pointer(place.pointee.session), grace: Limits.idleGrace)
                continue
            }
            guard place.pointee.state == .http, !place.pointee.isStream, place.pointee.exchange < 0,
                !place.pointee.flags.contains(.headStarted), place.pointee.output.isEmpty,
                place.pointee.input.isEmpty
            else { continue }
            metrics.count(.idleConnectionsShed)
            closeDownstream(index, place, flags: [])
        }
    }

    /// Whether a new connection is closed at once.
    func refusesConnection() -> Bool {
        guard overload.takes(.rejectIncomingConnections, random: random.next()) else { return false }
        metrics.count(.connectionsShed)
        return true
    }

    /// Whether a request is answered with 503 in place of being served.
    func sheds(_ exchange: ExchangePlace, _ route: UnsafePointer<Route>) -> Bool {
        var priority = Priority.normal
        if case .forward(let forward) = route.pointee.action { priority = forward.pointee.priority }
        guard
            overload.refuses(isHighPriority: priority == .high, random: random.next())
                || isLate(exchange, priority == .high)
        else { return false }
        metrics.count(.requestsShed)
        exchange.pointee.responseFlags.insert(.overloadManager)
        return true
    }

    /// Answers a request that is refused; the bytes of the body that were taken.
    func shed(
        _ exchangeIndex: Int32,
        _ exchange: ExchangePlace,
        _ body: UnsafeMutableRawPointer,
        _ count: Int
    ) -> Int {
        let begin = backlog.isShedding ? Instant.read() : loop.now
        let place = downstreams.pointer(exchange.pointee.downstream)
        if backlog.closesRefused, !place.pointee.isStream { place.pointee.flags.insert(.closesAfterResponse) }
        let taken = reject(exchangeIndex, exchange, body, count, status: 503, "the proxy has too much to do")
        if backlog.isShedding { backlog.spends(Instant.read().since(begin)) }
        return taken
    }

    /// Whether a request waited for too long already: in what was ready and then in the present turn, or by the kernel's account
    /// of a new connection, which knows of the time before it was accepted.
    private func isLate(_ exchange: ExchangePlace, _ isHighPriority: Bool) -> Bool {
        guard backlog.isWatching else { return false }
        let client = downstreams.pointer(exchange.pointee.downstream)
        var age: UInt64 = 0
        if client.pointee.fd >= 0, Socket.isEnded(client.pointee.fd) {
            backlog.leaves()
            age = .max
        } else if backlog.isShedding, client.pointee.requestsServed <= 1, client.pointee.fd >= 0 {
            // The kernel counts in ticks: what is within a few of them is fresh.
            let silence = Socket.silence(client.pointee.fd)
            if silence > Limits.kernelTicks { age = silence }
        }
        let time = Instant.read().since(loop.now)
        return backlog.refuses(after: time, age: age, isHighPriority: isHighPriority)
    }

    /// At the end of a turn with many events, or after one: how long does what became ready meanwhile wait?
    ///
    /// What was ready fitted into one batch: no longer than the turn took. Else a probe takes its place at the end of the queue.
    func measureBacklog(_ count: Int) {
        let time = Instant.read()
        var wait: UInt64? = time.since(loop.now)
        let isFull = count == EventLoop.batchSize
        if isFull {
            wait = loop.probedWait
            loop.sendProbe(at: time)
            // What waits for long already waits at least as long.
            if let age = loop.probeAge(at: time), age > wait ?? backlog.wait { wait = age }
        }
        let accepting = acceptWait
        // Not every turn comes to the listener.
        acceptWait /= 2
        guard let wait else { return }
        control.lag.note(wait)
        // Of this the lag knows nothing: it would stop accepting, and what waits would get older still.
        let wasShedding = backlog.isShedding
        backlog.note(max(wait, accepting), isAll: isFull && wait >= accepting, now: time.nanoseconds)
        if wasShedding || backlog.isShedding {
            metrics.set(.queueLimitMicroseconds, backlog.isShedding ? Int64(clamping: backlog.limit / 1000) : 0)
        }
        isUnderPressure = !overload.isCalm || backlog.isWatching
        if wasShedding != backlog.isShedding { fitAcceptQueues() }
    }

    /// How late a timer comes is how long work waits in this loop.
    func measureLag() {
        let late = now &- min(now, lagDue)
        metrics.set(.loopLagMicroseconds, Int64(clamping: late / 1000))
        control.lag.note(late)
        lagDue = now &+ (downstreams.liveCount > 0 ? Limits.lagInterval : Limits.sweepInterval)
        loop.timers.set(lagTimer, Instant(nanoseconds: lagDue))
    }
}
