import Bytes
import CWeft
import Glibc
import HTTP
import Reactor

/// Clients' HTTP/2 connections: bytes in and out, their end. What is to be sent is gathered over a turn of the loop and goes out
/// in one call.
extension Worker {
    static var sessionRoom: Int { 65_536 }

    /// What sessions of this worker share; made with the first.
    func sharedHTTP2() -> HTTP2Shared? {
        if let http2 { return http2 }
        http2 = HTTP2Shared(seed: random.next())
        metrics.http2 = http2
        http2Input = .allocate(byteCount: Self.sessionRoom, alignment: 64)
        http2Output = .allocate(byteCount: Self.sessionRoom, alignment: 64)
        return http2
    }

    /// What a new connection's first bytes say of its protocol, where either may come.
    enum FirstProtocol { case http1, http2, undecided }

    /// No request in HTTP/1 begins as the preface does: no such method is known.
    func sniff(_ bytes: UnsafeRawPointer, _ count: Int) -> FirstProtocol {
        let preface: StaticString = "PRI * HTTP/2.0\r\n\r\n"
        let common = min(count, preface.utf8CodeUnitCount)
        guard cweft_same(bytes, preface.utf8Start, common) != 0 else { return .http1 }
        return common == preface.utf8CodeUnitCount ? .http2 : .undecided
    }

    /// A connection speaks HTTP/2 from here on; `bytes` are its first.
    func startSession(_ index: Int32, _ place: DownstreamPlace, _ bytes: UnsafeRawPointer?, _ count: Int) {
        guard let chain = place.pointee.chain, let shared = sharedHTTP2(), let sessionIndex = sessions.take() else {
            closeDownstream(index, place, flags: .overloadManager)
            return
        }
        let entry = sessions.pointer(sessionIndex)
        entry.pointee.index = sessionIndex
        entry.pointee.downstream = index
        entry.pointee.worker = .passUnretained(self)
        let session = HTTP2Session(
            .server,
            chain.pointee.http2.settings,
            events: ClientEvents.all,
            owner: UnsafeMutableRawPointer(entry),
            shared: shared
        )
        guard let session else {
            sessions.give(sessionIndex)
            closeDownstream(index, place, flags: .overloadManager)
            return
        }
        entry.pointee.session = session
        place.pointee.session = sessionIndex
        place.pointee.state = .http2
        place.pointee.flags.remove([.mayBeHTTP2, .headStarted])
        place.pointee.since = now
        metrics.count(.downstreamHTTP2Connections)
        chain.pointee.numbers.pointee.http2Connections &+= 1
        chain.pointee.numbers.pointee.http2Open &+= 1
        metrics.add(.downstreamHTTP2Open, 1)
        schedulePing(entry, chain)
        if isDraining { entry.pointee.drainAt = drawDrain() }
        touch(entry)
        if let bytes, count > 0 { feed(entry, place, bytes, count) }
        if place.pointee.isLive, place.pointee.session == sessionIndex { armDownstream(index, place) }
    }

    /// Bytes from a client.
    func readSession(_ index: Int32, _ place: DownstreamPlace) {
        guard let memory = http2Input else { return }
        let entry = sessions.pointer(place.pointee.session)
        let count = receive(index, place, memory, Self.sessionRoom)
        guard count > 0 else {
            if count == -Int(EAGAIN) { return }
            closeDownstream(index, place, flags: .downstreamTermination)
            return
        }
        feed(entry, place, memory, count)
    }

    private func feed(_ entry: ClientSessionPlace, _ place: DownstreamPlace, _ bytes: UnsafeRawPointer, _ count: Int) {
        guard let session = entry.pointee.session, !entry.pointee.flags.contains(.isEnding) else { return }
        entry.pointee.flags.insert(.isBusy)
        isFeeding = true
        let goesOn = session.feed(bytes, count, now: now)
        isFeeding = false
        entry.pointee.flags.remove(.isBusy)
        touch(entry)
        if !goesOn {
            entry.pointee.flags.insert(.isEnding)
            place.pointee.since = now
            pauseReading(entry.pointee.downstream, place)
            armDownstream(entry.pointee.downstream, place)
        }
        let wasInHead = entry.pointee.headSince > 0
        if session.isInHead != wasInHead {
            entry.pointee.headSince = session.isInHead ? now : 0
            if session.isInHead { armDownstream(entry.pointee.downstream, place) }
        }
        if !uploads.isEmpty { carryUploads() }
        if !deferred.isEmpty { dispatchDeferred() }
    }

    /// Requests whose head came in this feed, with what came of their bodies: one piece each.
    func dispatchDeferred() {
        var position = 0
        while position < deferred.count {
            let token = Token(raw: deferred[position])
            position += 1
            guard let exchange = exchanges.find(token.index, generation: token.generation),
                exchange.pointee.state == .waiting, exchange.pointee.attempts == 0
            else { continue }
            dispatch(token.index, exchange)
        }
        deferred.removeAll(keepingCapacity: true)
    }

    /// There is something to send, perhaps.
    @inline(__always)
    func touch(_ entry: ClientSessionPlace) {
        guard !entry.pointee.flags.contains(.isDirty) else { return }
        entry.pointee.flags.insert(.isDirty)
        dirtySessions.append(Token(.downstream, entry.pointee.index, generation: entry.pointee.generation).raw)
    }

    /// Sends what all sessions have to say: once per turn.
    func flushSessions() {
        var position = 0
        while position < dirtySessions.count {
            let token = Token(raw: dirtySessions[position])
            position += 1
            guard let entry = sessions.find(token.index, generation: token.generation) else { continue }
            entry.pointee.flags.remove(.isDirty)
            flush(entry)
        }
        dirtySessions.removeAll(keepingCapacity: true)
    }

    private func flush(_ entry: ClientSessionPlace) {
        guard let session = entry.pointee.session, let memory = http2Output else { return }
        let index = entry.pointee.downstream
        let place = downstreams.pointer(index)
        let generation = entry.pointee.generation
        while place.pointee.output.isEmpty {
            entry.pointee.flags.insert(.isBusy)
            let count = session.fill(memory, Self.sessionRoom)
            entry.pointee.flags.remove(.isBusy)
            let wasReset = resetHalfOpen(entry, session)
            if count > 0, !sendDownstream(index, place, memory, count) { return }
            guard count > 0 || wasReset else { break }
            // Nearly empty: there was no more.
            if !wasReset, count < Self.sessionRoom - HTTP2Session.fillMinimum, !session.hasOutput { break }
        }
        guard place.pointee.output.isEmpty, sessions.find(entry.pointee.index, generation: generation) != nil else {
            return
        }
        if entry.pointee.flags.contains(.isEnding) || session.isOver { finish(index, place, entry, session) }
    }

    /// Streams that are answered while the client still sends: it is told that the rest is not wanted (RFC 9113 section 8.1).
    private func resetHalfOpen(_ entry: ClientSessionPlace, _ session: HTTP2Session) -> Bool {
        guard !halfOpen.isEmpty else { return false }
        var wasReset = false
        halfOpen.removeAll { raw in
            let token = Token(raw: raw)
            guard let place = downstreams.find(token.index, generation: token.generation) else { return true }
            guard place.pointee.session == entry.pointee.index else { return false }
            session.reset(place.pointee.stream, 0)
            wasReset = true
            return true
        }
        return wasReset
    }

    /// The session is over and everything of it is sent.
    private func finish(
        _ index: Int32,
        _ place: DownstreamPlace,
        _ entry: ClientSessionPlace,
        _ session: HTTP2Session
    ) {
        if let fault = session.fault {
            metrics.violation(.http2)
            logHandshake("HTTP/2 with the client \(place.pointee.peer) ended: \(fault.reason)")
        }
        endSession(entry, flags: session.fault == nil ? .localReset : .downstreamProtocolError)
        place.pointee.session = -1
        place.pointee.flags.remove(.writeArmed)
        linger(index, place)
    }

    /// Gives up all streams and frees the session.
    private func endSession(_ entry: ClientSessionPlace, flags: ResponseFlags) {
        while entry.pointee.firstStream >= 0 {
            let index = entry.pointee.firstStream
            let place = downstreams.pointer(index)
            let exchange = place.pointee.exchange
            place.pointee.exchange = -1
            if exchange >= 0 { abandonExchange(exchange, flags.isEmpty ? .downstreamTermination : flags) }
            releaseStream(index, place, entry)
        }
        entry.pointee.session?.free()
        entry.pointee.session = nil
        metrics.add(.downstreamHTTP2Open, -1)
        if let chain = downstreams.pointer(entry.pointee.downstream).pointee.chain {
            chain.pointee.numbers.pointee.http2Open &-= 1
        }
        sessions.give(entry.pointee.index)
    }

    /// The connection is closed. False: the library is at work on it, and the next flush closes it.
    func closeSession(_ place: DownstreamPlace, flags: ResponseFlags) -> Bool {
        let entry = sessions.pointer(place.pointee.session)
        if entry.pointee.flags.contains(.isBusy) {
            entry.pointee.flags.insert(.isEnding)
            touch(entry)
            return false
        }
        place.pointee.session = -1
        endSession(entry, flags: flags)
        return true
    }

    // MARK: Drain

    /// When a connection is told that the process ends: at once, or gradually some time within three quarters of the drain time, so
    /// that its streams have the rest.
    func drawDrain() -> UInt64 {
        let time = current.pointee.snapshot.limits.drainTime / 4 * 3
        return drainSince == 0 || time == 0 ? now : drainSince &+ random.next() % time
    }

    /// Begins the end in order: the client is told, and a little later no further stream is taken (RFC 9113 section 6.8).
    func drainSession(_ entry: ClientSessionPlace, grace: UInt64) {
        guard let session = entry.pointee.session else { return }
        if !entry.pointee.flags.contains(.announcedEnd) {
            entry.pointee.flags.insert(.announcedEnd)
            session.announceShutdown()
            touch(entry)
        }
        entry.pointee.goAwayAt = min(entry.pointee.goAwayAt, now &+ grace)
        armDownstream(entry.pointee.downstream, downstreams.pointer(entry.pointee.downstream))
    }

    private func sayGoAway(_ entry: ClientSessionPlace) {
        guard let session = entry.pointee.session, !entry.pointee.flags.contains(.saidGoAway) else { return }
        entry.pointee.flags.formUnion([.announcedEnd, .saidGoAway])
        session.goAway()
        touch(entry)
    }

    // MARK: Timers

    private func schedulePing(_ entry: ClientSessionPlace, _ chain: ChainPlace) {
        let interval = chain.pointee.http2.pingInterval
        guard interval > 0 else { return }
        let jitter =
            Double(interval) * chain.pointee.http2.pingJitter * Double(random.next() >> 11) / 9_007_199_254_740_992
        entry.pointee.nextPing = now &+ interval &+ UInt64(jitter)
    }

    func pongCame(_ entry: ClientSessionPlace) { entry.pointee.pongDeadline = .max }

    func sessionDeadline(_ place: DownstreamPlace, _ chain: ChainPlace) -> UInt64 {
        let entry = sessions.pointer(place.pointee.session)
        // The last frames wait for a client that does not read.
        if entry.pointee.flags.contains(.isEnding) { return place.pointee.since &+ Limits.lingerTime &* 5 }
        var deadline = min(entry.pointee.goAwayAt, entry.pointee.nextPing, entry.pointee.pongDeadline)
        if entry.pointee.streams == 0 {
            deadline = min(deadline, Self.after(place.pointee.since, chain.pointee.idleTimeout))
        }
        if entry.pointee.headSince > 0 {
            deadline = min(deadline, Self.after(entry.pointee.headSince, chain.pointee.headersTimeout))
        }
        if !entry.pointee.flags.contains(.sawSettings) { deadline = min(deadline, settingsDeadline(place, chain)) }
        guard !entry.pointee.flags.contains(.announcedEnd) else { return deadline }
        if !chain.pointee.isCurrent { return now }
        if isDraining { deadline = min(deadline, entry.pointee.drainAt) }
        if chain.pointee.maxConnectionDuration > 0 {
            deadline = min(deadline, place.pointee.acceptedAt &+ chain.pointee.maxConnectionDuration)
        }
        return deadline
    }

    /// By when the client's first frame, SETTINGS, must have come.
    private func settingsDeadline(_ place: DownstreamPlace, _ chain: ChainPlace) -> UInt64 {
        let time = chain.pointee.headersTimeout > 0 ? chain.pointee.headersTimeout : 10_000_000_000
        return place.pointee.since &+ time
    }

    /// A deadline of the connection has passed.
    func sessionTimer(_ index: Int32, _ place: DownstreamPlace) {
        guard let chain = place.pointee.chain else { return }
        let entry = sessions.pointer(place.pointee.session)
        guard let session = entry.pointee.session else { return }
        let isSilent = entry.pointee.pongDeadline <= now
        let isSlow =
            entry.pointee.headSince > 0 && Self.after(entry.pointee.headSince, chain.pointee.headersTimeout) <= now
        let isMute = !entry.pointee.flags.contains(.sawSettings) && settingsDeadline(place, chain) <= now
        if isSilent || isSlow || isMute, !entry.pointee.flags.contains(.isEnding) {
            if isSilent { http2?.counters[Int(HTTP2Counter.keepaliveTimeout.rawValue)] &+= 1 }
            if isSlow || isMute { metrics.violation(.slowRequest) }
            entry.pointee.flags.insert(.isEnding)
            session.terminate(isSlow || isMute ? 1 : 0)
            touch(entry)
            place.pointee.since = now
        } else if entry.pointee.flags.contains(.isEnding) {
            closeDownstream(index, place, flags: .localReset)
            return
        } else if entry.pointee.nextPing <= now {
            session.ping(now)
            touch(entry)
            schedulePing(entry, chain)
            entry.pointee.pongDeadline = min(entry.pointee.pongDeadline, now &+ chain.pointee.http2.pingTimeout)
        } else if entry.pointee.goAwayAt <= now {
            entry.pointee.goAwayAt = .max
            sayGoAway(entry)
            if entry.pointee.streams == 0 { place.pointee.since = now }
        } else if !entry.pointee.flags.contains(.announcedEnd),
            entry.pointee.drainAt <= now || !chain.pointee.isCurrent || isTooOld(place, chain)
        {
            let grace = isDraining ? Limits.idleGrace : chain.pointee.configuration.settings.drainTimeout
            drainSession(entry, grace: grace)
        } else if entry.pointee.streams == 0 {
            // Idle for too long: nothing is lost.
            if entry.pointee.flags.contains(.saidGoAway) {
                closeDownstream(index, place, flags: [])
                return
            }
            sayGoAway(entry)
            place.pointee.since = now
        }
        armDownstream(index, place)
    }

    private func isTooOld(_ place: DownstreamPlace, _ chain: ChainPlace) -> Bool {
        chain.pointee.maxConnectionDuration > 0
            && place.pointee.acceptedAt &+ chain.pointee.maxConnectionDuration <= now
    }
}
