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
        isUnderPressure = !levels.isCalm
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
        guard overload.refuses(isHighPriority: priority == .high, random: random.next()) else { return false }
        metrics.count(.requestsShed)
        exchange.pointee.responseFlags.insert(.overloadManager)
        return true
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
