import Bytes
import Glibc
import HTTP
import Reactor
import TLS
import Traffic

/// Reads clients' connections.
extension Worker {
    func downstreamReady(_ index: Int32, _ place: DownstreamPlace, _ readiness: Readiness) {
        let generation = place.pointee.generation
        if readiness.contains(.write), place.pointee.state != .handshaking {
            flushDownstream(index, place)
            guard downstreams.find(index, generation: generation) != nil else { return }
        }
        if place.pointee.flags.contains(.readPaused) {
            if place.pointee.state == .tunnel, place.pointee.flags.isSuperset(of: [.readEnded, .writeEnded]) {
                // Both sides said their end in order; what the client sent last is still on its way.
                loop.unwatch(place.pointee.fd)
                return
            }
            // Always reported: both directions are gone, so nobody is left to answer.
            if !readiness.isDisjoint(with: [.hungUp, .failed]) {
                closeDownstream(index, place, flags: .downstreamTermination)
            }
            return
        }
        guard !readiness.isDisjoint(with: [.read, .hungUp, .failed]) || place.pointee.state == .handshaking else {
            return
        }
        switch place.pointee.state {
        case .http:
            if place.pointee.exchange < 0 {
                readRequest(index, place)
            } else {
                let exchange = exchanges.pointer(place.pointee.exchange)
                if exchange.pointee.requestBody.isComplete {
                    readAhead(index, place)
                } else {
                    readBody(index, place, exchange)
                }
            }
        case .http2: readSession(index, place)
        case .tunnel: readTunnel(index, place)
        case .echo: readEcho(index, place)
        case .detecting:
            guard readAhead(index, place) else { return }
            detect(index, place)
        case .introducing:
            guard readAhead(index, place) else { return }
            readProxyHeader(index, place)
        case .handshaking: continueHandshake(index, place)
        case .lingering: discardInput(index, place)
        }
    }

    /// Reads while no request is in work.
    private func readRequest(_ index: Int32, _ place: DownstreamPlace) {
        guard place.pointee.input.base == nil else {
            readMoreOfHead(index, place)
            return
        }
        guard let memory = scratch.base else { return }
        let count = receive(index, place, memory, Int(scratch.capacity))
        guard count > 0 else {
            if count == -Int(EAGAIN) { return }
            place.pointee.flags.insert(.readEnded)
            closeDownstream(index, place, flags: [])
            return
        }
        let used = takeRequests(index, place, memory, count)
        guard used >= 0, used < count else { return }
        guard buffers.append(&place.pointee.input, memory + used, count - used) else {
            closeDownstream(index, place, flags: [])
            return
        }
        inputHeld(index, place)
    }

    /// Reads behind a head that came in part.
    private func readMoreOfHead(_ index: Int32, _ place: DownstreamPlace) {
        // Room for a head at its limit and a little more, doubling from what is there.
        let limit = (place.pointee.chain?.pointee.limits.bytes ?? 0) + 4096
        let held = place.pointee.input.count
        guard held <= limit, buffers.reserve(&place.pointee.input, min(max(1024, held), 65_536)),
            let tail = place.pointee.input.tail
        else {
            refuse(index, place, .headTooLarge)
            return
        }
        let count = receive(index, place, tail, place.pointee.input.room)
        guard count > 0 else {
            if count == -Int(EAGAIN) { return }
            closeDownstream(index, place, flags: .downstreamTermination)
            return
        }
        place.pointee.input.end &+= Int32(count)
        inputWaiting(index, place)
    }

    /// Works on held input: a further pipelined request, or a head that is now complete.
    func inputWaiting(_ index: Int32, _ place: DownstreamPlace) {
        let generation = place.pointee.generation
        if place.pointee.exchange >= 0 {
            let exchange = exchanges.pointer(place.pointee.exchange)
            if exchange.pointee.extras != nil, hasStored(exchange) { feedStored(index, place, exchange) }
            return
        }
        guard place.pointee.state == .http, !place.pointee.input.isEmpty,
            let bytes = place.pointee.input.bytes
        else { return }
        let used = takeRequests(index, place, bytes, place.pointee.input.count)
        guard used >= 0, downstreams.find(index, generation: generation) != nil else { return }
        place.pointee.input.start &+= Int32(used)
        if place.pointee.input.isEmpty { buffers.give(&place.pointee.input) }
        inputHeld(index, place)
    }

    /// After a look at the input: what remains waits for more bytes, or for the request in work.
    private func inputHeld(_ index: Int32, _ place: DownstreamPlace) {
        if place.pointee.flags.contains(.readEnded), place.pointee.exchange < 0, place.pointee.state == .http {
            // No more will come: an incomplete head stays incomplete.
            if place.pointee.output.isEmpty { closeDownstream(index, place, flags: []) }
            return
        }
        guard place.pointee.exchange < 0, !place.pointee.input.isEmpty, place.pointee.state == .http else { return }
        if !place.pointee.flags.contains(.headStarted) {
            place.pointee.flags.insert(.headStarted)
            place.pointee.since = now
            armDownstream(index, place)
        }
    }

    /// Serves the requests that stand in `bytes`, one after another while each is answered at once.
    ///
    /// - Returns: bytes consumed; -1 when the connection is gone or will not read any more.
    private func takeRequests(
        _ index: Int32,
        _ place: DownstreamPlace,
        _ bytes: UnsafeMutableRawPointer,
        _ count: Int
    ) -> Int {
        guard let chain = place.pointee.chain else { return -1 }
        if place.pointee.flags.contains(.mayBeHTTP2) {
            switch sniff(bytes, count) {
            case .undecided: return 0
            case .http1: place.pointee.flags.remove(.mayBeHTTP2)
            case .http2:
                startSession(index, place, bytes, count)
                if place.pointee.state == .http2 { buffers.give(&place.pointee.input) }
                return -1
            }
        }
        let generation = place.pointee.generation
        var limits = HeadLimits()
        limits.bytes = chain.pointee.limits.bytes
        limits.fields = chain.pointee.limits.fields
        limits.rejectsUnderscores = chain.pointee.limits.rejectsUnderscores
        var position = 0
        var turns = 0
        while position < count, place.pointee.exchange < 0, place.pointee.output.isEmpty {
            if turns == Limits.pipelineTurns {
                enqueue(index, place)
                return position
            }
            turns += 1
            switch head.parse(bytes + position, count: count - position, limits: limits, fields: &requestFields) {
            case .incomplete: return position
            case .failed(let fault):
                refuse(index, place, fault)
                return -1
            case .complete:
                position += startRequest(index, place, chain, bytes + position, count - position)
            }
            guard downstreams.find(index, generation: generation) != nil, place.pointee.state == .http,
                !place.pointee.flags.contains(.closesWhenFlushed)
            else { return -1 }
        }
        return position
    }

    /// Reads what comes while a request is in work, up to a bound. False when nothing came or the connection is gone.
    @discardableResult
    private func readAhead(_ index: Int32, _ place: DownstreamPlace) -> Bool {
        // A client's first TLS message may be longer than what is read ahead of requests.
        let limit = place.pointee.state == .detecting ? ClientHello.limit : Limits.pipelined
        let room = limit - place.pointee.input.count
        guard room > 0, buffers.reserve(&place.pointee.input, min(room, 2048)), let tail = place.pointee.input.tail
        else {
            pauseReading(index, place)
            return false
        }
        let count = receive(index, place, tail, place.pointee.input.room)
        if count > 0 {
            place.pointee.input.end &+= Int32(count)
            return true
        }
        if place.pointee.input.isEmpty { buffers.give(&place.pointee.input) }
        if count == -Int(EAGAIN) { return false }
        if count == 0, place.pointee.state == .http {
            // The client has said all it wants to say; its answer is still due.
            place.pointee.flags.insert(.readEnded)
            pauseReading(index, place)
            return false
        }
        closeDownstream(index, place, flags: .downstreamTermination)
        return false
    }

    // MARK: Read interest

    func pauseReading(_ index: Int32, _ place: DownstreamPlace) {
        guard !place.pointee.flags.contains(.readPaused), !place.pointee.isStream else { return }
        place.pointee.flags.insert(.readPaused)
        updateInterest(index, place)
    }

    func resumeReading(_ index: Int32, _ place: DownstreamPlace) {
        if place.pointee.isStream {
            resumeStream(index, place)
            return
        }
        if place.pointee.exchange >= 0 {
            let exchange = exchanges.pointer(place.pointee.exchange)
            if exchange.pointee.extras != nil, hasStored(exchange) {
                enqueue(index, place)
                return
            }
        }
        guard place.pointee.flags.contains(.readPaused), !place.pointee.flags.contains(.readEnded) else { return }
        place.pointee.flags.remove(.readPaused)
        updateInterest(index, place)
        lookInside(index, place)
    }

    func updateInterest(_ index: Int32, _ place: DownstreamPlace) {
        guard place.pointee.fd >= 0 else { return }
        let token = Token(.downstream, index, generation: place.pointee.generation)
        loop.change(place.pointee.fd, place.pointee.interest, token: token.raw)
    }

    // MARK: The end of a connection

    /// Throws away what a client still sends after its last answer.
    private func discardInput(_ index: Int32, _ place: DownstreamPlace) {
        guard let memory = scratch.base else { return }
        let count = receive(index, place, memory, Int(scratch.capacity))
        if count > 0 || count == -Int(EAGAIN) { return }
        place.pointee.flags.insert(.readEnded)
        closeDownstream(index, place, flags: [])
    }

    /// Ends the sending side and waits a moment for the client to end its own.
    func linger(_ index: Int32, _ place: DownstreamPlace) {
        guard place.pointee.state != .lingering else { return }
        let waits = place.pointee.chain?.pointee.delayedCloseTimeout ?? Limits.lingerTime
        if place.pointee.flags.contains(.readEnded) || place.pointee.flags.contains(.isShadow) || waits == 0
            || backlog.closesRefused
        {
            closeDownstream(index, place, flags: [])
            return
        }
        place.pointee.state = .lingering
        place.pointee.since = now
        buffers.give(&place.pointee.input)
        endSending(place)
        resumeReading(index, place)
        armDownstream(index, place)
    }

    /// Closes at once and frees everything; a request in work is given up.
    func closeDownstream(_ index: Int32, _ place: DownstreamPlace, flags: ResponseFlags) {
        guard place.pointee.isLive else { return }
        if place.pointee.state == .handshaking { handshaking[place.pointee.id] = nil }
        if place.pointee.session >= 0 {
            if place.pointee.isStream {
                closeStream(index, place, flags: flags)
                return
            }
            guard closeSession(place, flags: flags) else { return }
        }
        if place.pointee.state == .detecting || place.pointee.state == .introducing {
            detecting[place.pointee.id] = nil
        }
        let exchange = place.pointee.exchange
        let wasRelay = exchange >= 0 && exchanges.pointer(exchange).pointee.tcp != nil
        place.pointee.exchange = -1
        if exchange >= 0 { abandonExchange(exchange, flags) }
        if !place.pointee.flags.contains(.isShadow) {
            tallyClosed(place, flags: flags, hadRequest: exchange >= 0)
            logConnection(place, flags: flags, wasRelay: wasRelay)
        }
        buffers.give(&place.pointee.input)
        buffers.give(&place.pointee.output)
        loop.timers.free(place.pointee.timer)
        guard !place.pointee.flags.contains(.isShadow) else {
            downstreams.give(index)
            if isDraining, hasNoClients { control.post(.drained(worker: number)) }
            return
        }
        if let tls = place.pointee.tls {
            // Declared only where nothing is missing: else it would say that a truncated answer is whole.
            if flags.isEmpty, place.pointee.state == .http || place.pointee.state == .http2 {
                tls.end()
                Socket.shutdownWrite(place.pointee.fd)
            }
            tls.free()
            place.pointee.tls = nil
            if place.pointee.flags.contains(.checksHost) { secured[place.pointee.id] = nil }
        }
        if place.pointee.flags.contains(.isNoted) { forgetNotes(place) }
        if !keyedIdle.isEmpty || !keyedSessions.isEmpty { closeUpstreams(of: place) }
        Socket.close(place.pointee.fd)
        metrics.add(.downstreamConnections, -1)
        control.connections.giveBack()
        let listener = Int(place.pointee.listener)
        if listener < listeners.count, let state = listeners[listener] {
            state.connections = max(0, state.connections - 1)
        }
        if let chain = place.pointee.chain { leave(chain) }
        place.pointee.chain = nil
        downstreams.give(index)
        if isDraining, hasNoClients { control.post(.drained(worker: number)) }
    }
}
