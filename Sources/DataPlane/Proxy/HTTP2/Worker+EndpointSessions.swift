import Bytes
import Glibc
import HTTP
import Reactor
import TLS
import Traffic

/// HTTP/2 connections to endpoints: made where a request finds no stream, shared by the requests that follow, given up in order.
/// What is to be sent is gathered over a turn of the loop and goes out in one call.
extension Worker {
    // MARK: Which HTTP

    @inline(__always)
    func speaksHTTP2(_ exchange: ExchangePlace, _ cluster: ClusterPlace) -> Bool {
        cluster.pointee.speaks != .http1 && mayTakeStream(exchange, cluster)
    }

    private func mayTakeStream(_ exchange: ExchangePlace, _ cluster: ClusterPlace) -> Bool {
        guard !exchange.pointee.isRaw else { return asksForTunnel(exchange, cluster) }
        guard cluster.pointee.speaks == .downstream else { return true }
        return downstreams.pointer(exchange.pointee.downstream).pointee.isStream
    }

    /// Brings a request to a stream. False: the endpoint is known to speak HTTP/1.
    func dispatchStream(_ index: Int32, _ exchange: ExchangePlace, _ cluster: ClusterPlace, _ slot: Int32) -> Bool {
        if cluster.pointee.speaks == .automatic, slot >= 0, cluster.pointee.pools[Int(slot)].speaksHTTP1 {
            return false
        }
        if exchange.pointee.isRaw, !writeTunnelRequest(exchange) { return false }
        guard unframe(exchange) else {
            answer(index, exchange, status: 400, reason: "the trailers are malformed or too long")
            return true
        }
        let entry = sessionWithRoom(index, exchange, cluster, slot)
        if let entry, entry.pointee.flags.contains(.isReady) {
            openStream(entry, index, exchange, isReused: true)
        } else if takePending(index, exchange, cluster) {
            if let entry {
                openStream(entry, index, exchange, isReused: true)
            } else if takeConnection(exchange, cluster, slot) {
                connectSession(index, exchange, cluster, slot)
            } else {
                enqueuePending(index, exchange, cluster)
            }
        }
        return true
    }

    private func sessionWithRoom(_ index: Int32, _ exchange: ExchangePlace, _ cluster: ClusterPlace, _ slot: Int32)
        -> EndpointPlace?
    {
        var next = slot >= 0 ? cluster.pointee.pools[Int(slot)].sessions : cluster.pointee.sessions
        guard next >= 0 else { return nil }
        let limit = cluster.pointee.http2.settings.maxConcurrentStreams
        if cluster.pointee.keysConnections {
            let key = key(cluster, slot, exchange)
            let own = keyedSessions[key.client]?[key]?.first {
                let entry = endpointSessions.pointer($0)
                return UInt32(entry.pointee.streams) < min(limit, entry.pointee.peerLimit)
            }
            return own.map { endpointSessions.pointer($0) }
        }
        while next >= 0 {
            let entry = endpointSessions.pointer(next)
            next = entry.pointee.next
            guard UInt32(entry.pointee.streams) < min(limit, entry.pointee.peerLimit) else { continue }
            if slot < 0 {
                let destination = originalDestination(exchange, cluster)
                guard upstreams.pointer(entry.pointee.upstream).pointee.address == destination else { continue }
            }
            return entry
        }
        return nil
    }

    // MARK: Beginning

    private func connectSession(_ index: Int32, _ exchange: ExchangePlace, _ cluster: ClusterPlace, _ slot: Int32) {
        guard let upstreamIndex = dial(index, exchange, cluster, slot) else { return }
        let upstream = upstreams.pointer(upstreamIndex)
        if cluster.pointee.keysConnections { noteKey(upstreamIndex, upstream, exchange) }
        upstream.pointee.flags.insert(.writeArmed)
        let token = Token(.upstream, upstreamIndex, generation: upstream.pointee.generation)
        guard let entry = makeSession(upstreamIndex, upstream, cluster),
            loop.tryWatch(upstream.pointee.fd, upstream.pointee.interest, token: token.raw)
        else {
            hold(cluster)
            closeUpstream(upstreamIndex, upstream)
            connectFailed(index, exchange, cluster, slot, code: EMFILE)
            letGo(cluster)
            return
        }
        openStream(entry, index, exchange, isReused: false)
    }

    private func makeSession(_ index: Int32, _ upstream: UpstreamPlace, _ cluster: ClusterPlace) -> EndpointPlace? {
        guard let shared = sharedHTTP2(), let sessionIndex = endpointSessions.take() else { return nil }
        let entry = endpointSessions.pointer(sessionIndex)
        entry.pointee.index = sessionIndex
        entry.pointee.upstream = index
        entry.pointee.worker = .passUnretained(self)
        entry.pointee.idleSince = now
        let session = HTTP2Session(
            .client,
            cluster.pointee.http2.settings,
            events: EndpointEvents.all,
            owner: UnsafeMutableRawPointer(entry),
            shared: shared
        )
        guard let session else {
            endpointSessions.give(sessionIndex)
            return nil
        }
        entry.pointee.session = session
        upstream.pointee.session = sessionIndex
        link(entry, upstream)
        return entry
    }

    private func link(_ entry: EndpointPlace, _ upstream: UpstreamPlace) {
        let cluster = upstream.pointee.cluster
        let slot = Int(upstream.pointee.endpoint)
        let first = slot >= 0 ? cluster.pointee.pools[slot].sessions : cluster.pointee.sessions
        entry.pointee.next = first
        if first >= 0 { endpointSessions.pointer(first).pointee.previous = entry.pointee.index }
        if slot >= 0 {
            cluster.pointee.pools[slot].sessions = entry.pointee.index
        } else {
            cluster.pointee.sessions = entry.pointee.index
        }
        entry.pointee.flags.insert(.isOpen)
        if upstream.pointee.flags.contains(.isKeyed) { addKeyed(entry) }
    }

    /// No further stream is begun; those that are open go on, and the last one's end is the connection's.
    func retireSession(_ entry: EndpointPlace) {
        guard entry.pointee.flags.contains(.isOpen) else { return }
        entry.pointee.flags.remove(.isOpen)
        let upstream = upstreams.pointer(entry.pointee.upstream)
        if upstream.pointee.flags.contains(.isKeyed) { removeKeyed(entry) }
        let cluster = upstream.pointee.cluster
        let slot = Int(upstream.pointee.endpoint)
        let next = entry.pointee.next
        let previous = entry.pointee.previous
        if next >= 0 { endpointSessions.pointer(next).pointee.previous = previous }
        if previous >= 0 {
            endpointSessions.pointer(previous).pointee.next = next
        } else if slot >= 0 {
            cluster.pointee.pools[slot].sessions = next
        } else {
            cluster.pointee.sessions = next
        }
        entry.pointee.next = -1
        entry.pointee.previous = -1
        touch(entry)
    }

    /// The endpoint, or the cluster, is no longer wanted.
    func retireSessions(_ cluster: ClusterPlace, _ slot: Int32) {
        while true {
            let first = slot >= 0 ? cluster.pointee.pools[Int(slot)].sessions : cluster.pointee.sessions
            guard first >= 0 else { return }
            retireSession(endpointSessions.pointer(first))
        }
    }

    /// The connection is there, and speaks HTTP/2.
    func sessionConnected(_ index: Int32, _ upstream: UpstreamPlace) {
        let entry = endpointSessions.pointer(upstream.pointee.session)
        upstream.pointee.state = .http2
        entry.pointee.flags.insert(.isReady)
        metrics.count(.upstreamHTTP2Connections)
        armWriting(index, upstream, false)
        var next = entry.pointee.firstStream
        while next >= 0 {
            let stream = upstreams.pointer(next)
            if stream.pointee.exchange >= 0 {
                let exchange = exchanges.pointer(stream.pointee.exchange)
                leavePending(exchange)
                if exchange.pointee.state == .connecting { exchange.pointee.state = .awaitingResponse }
            }
            next = stream.pointee.below
        }
        schedulePing(entry, upstream.pointee.cluster)
        armSession(entry, upstream)
        touch(entry)
    }

    // MARK: What TLS agreed on

    /// After the handshake of a connection that wants HTTP/2. False: it speaks HTTP/1, and what waited for it goes that way.
    func agreesOnHTTP2(_ index: Int32, _ upstream: UpstreamPlace, _ tls: TLSSession) -> Bool {
        let agreed = tls.applicationProtocol
        let cluster = upstream.pointee.cluster
        if agreed == "h2" || (agreed == nil && cluster.pointee.speaks != .automatic) { return true }
        let entry = endpointSessions.pointer(upstream.pointee.session)
        guard cluster.pointee.speaks == .automatic, upstream.pointee.endpoint >= 0 else {
            cluster.pointee.tlsFailure = Array("the endpoint does not agree on HTTP/2 (ALPN)".utf8)
            upstreamFailed(index, upstream, code: EPROTO)
            return false
        }
        cluster.pointee.pools[Int(upstream.pointee.endpoint)].speaksHTTP1 = true
        hold(cluster)
        let waiting = takeExchanges(entry)
        freeSession(entry)
        upstream.pointee.session = -1
        connected(index, upstream)
        putIdle(index, upstream)
        for token in waiting {
            guard let exchange = exchanges.find(token.index, generation: token.generation) else { continue }
            repeatTry(token.index, exchange)
        }
        letGo(cluster)
        return false
    }

    /// A try is begun again as if it had not been: its connection turned out to speak another protocol.
    private func repeatTry(_ index: Int32, _ exchange: ExchangePlace) {
        endTry(exchange, .cancelled)
        exchange.pointee.attempts &-= 1
        dispatch(index, exchange)
    }

    /// A connection that was made for HTTP/1 agreed on HTTP/2: its request goes on a connection that is for it.
    func turnsToHTTP2(_ index: Int32, _ upstream: UpstreamPlace, _ tls: TLSSession) -> Bool {
        let cluster = upstream.pointee.cluster
        guard cluster.pointee.speaks == .automatic, upstream.pointee.endpoint >= 0, tls.applicationProtocol == "h2",
            upstream.pointee.exchange >= 0
        else { return false }
        let exchangeIndex = upstream.pointee.exchange
        let exchange = exchanges.pointer(exchangeIndex)
        guard !exchange.pointee.isRaw else { return false }
        cluster.pointee.pools[Int(upstream.pointee.endpoint)].speaksHTTP1 = false
        upstream.pointee.exchange = -1
        exchange.pointee.upstream = -1
        closeUpstream(index, upstream)
        repeatTry(exchangeIndex, exchange)
        return true
    }

    // MARK: Bytes

    func sessionReady(_ index: Int32, _ upstream: UpstreamPlace, _ readiness: Readiness) {
        let generation = upstream.pointee.generation
        if readiness.contains(.write), upstream.pointee.flags.contains(.writeArmed) {
            flushOutput(endpointSessions.pointer(upstream.pointee.session), index, upstream)
            guard upstreams.find(index, generation: generation) != nil else { return }
        }
        guard !readiness.isDisjoint(with: [.read, .hungUp, .failed]), let memory = http2Input else { return }
        let entry = endpointSessions.pointer(upstream.pointee.session)
        let count = receive(index, upstream, memory, Self.sessionRoom)
        guard count > 0 else {
            if count != -Int(EAGAIN) { endSession(entry, count == 0 ? .closedBeforeResponse : .resetBeforeResponse) }
            return
        }
        guard let session = entry.pointee.session, !entry.pointee.flags.contains(.isEnding) else { return }
        entry.pointee.flags.insert(.isBusy)
        let goesOn = session.feed(memory, count, now: now)
        entry.pointee.flags.remove(.isBusy)
        if !goesOn { entry.pointee.flags.insert(.isEnding) }
        touch(entry)
    }

    /// There is something to send, perhaps.
    @inline(__always)
    func touch(_ entry: EndpointPlace) {
        guard !entry.pointee.flags.contains(.isDirty) else { return }
        entry.pointee.flags.insert(.isDirty)
        dirtyEndpoints.append(Token(.upstream, entry.pointee.index, generation: entry.pointee.generation).raw)
    }

    /// Sends what all sessions with endpoints have to say: once per turn.
    func flushEndpoints() {
        var position = 0
        while position < dirtyEndpoints.count {
            let token = Token(raw: dirtyEndpoints[position])
            position += 1
            guard let entry = endpointSessions.find(token.index, generation: token.generation) else { continue }
            entry.pointee.flags.remove(.isDirty)
            flush(entry)
        }
        dirtyEndpoints.removeAll(keepingCapacity: true)
    }

    private func flush(_ entry: EndpointPlace) {
        guard entry.pointee.flags.contains(.isReady), let session = entry.pointee.session, let memory = http2Output
        else {
            // Nobody waits for the connection any more.
            if entry.pointee.streams == 0, !entry.pointee.flags.contains(.isReady) {
                endSession(entry, .resetBeforeRequest)
            }
            return
        }
        let index = entry.pointee.upstream
        let upstream = upstreams.pointer(index)
        while entry.pointee.output.isEmpty {
            entry.pointee.flags.insert(.isBusy)
            let count = session.fill(memory, Self.sessionRoom)
            entry.pointee.flags.remove(.isBusy)
            guard count > 0 else { break }
            let sent = send(upstream, memory, count)
            guard sent >= 0 || sent == -Int(EAGAIN) else {
                endSession(entry, .resetBeforeResponse)
                return
            }
            let done = max(0, sent)
            if done < count {
                guard buffers.append(&entry.pointee.output, memory + done, count - done) else {
                    endSession(entry, .resetBeforeResponse)
                    return
                }
                armWriting(index, upstream, true)
                return
            }
            if count < Self.sessionRoom - HTTP2Session.fillMinimum, !session.hasOutput { break }
        }
        let isLast = entry.pointee.streams == 0 && !entry.pointee.flags.contains(.isOpen)
        if entry.pointee.flags.contains(.isEnding) || session.isOver || isLast {
            if let fault = session.fault {
                metrics.violation(.badResponse)
                let name = upstream.pointee.cluster.pointee.configuration.name
                logHandshake("HTTP/2 with an endpoint of \(name) ended: \(fault.reason)")
            }
            endSession(entry, session.fault == nil ? .closedBeforeResponse : .badResponse)
        }
    }

    private func flushOutput(_ entry: EndpointPlace, _ index: Int32, _ upstream: UpstreamPlace) {
        if let bytes = entry.pointee.output.bytes, !entry.pointee.output.isEmpty {
            let sent = send(upstream, bytes, entry.pointee.output.count)
            guard sent >= 0 else {
                if sent != -Int(EAGAIN) { endSession(entry, .resetBeforeResponse) }
                return
            }
            entry.pointee.output.start &+= Int32(sent)
            guard entry.pointee.output.isEmpty else { return }
        }
        buffers.give(&entry.pointee.output)
        armWriting(index, upstream, false)
        touch(entry)
    }

    // MARK: The end

    /// The connection is over: its streams fail, each as far as it had come.
    func endSession(_ entry: EndpointPlace, _ failure: FailureText) {
        guard !entry.pointee.flags.contains(.isBusy) else {
            entry.pointee.flags.insert(.isEnding)
            touch(entry)
            return
        }
        retireSession(entry)
        let index = entry.pointee.upstream
        let upstream = upstreams.pointer(index)
        entry.pointee.flags.formUnion([.isBusy, .isEnding])
        if entry.pointee.firstStream >= 0 { upstream.pointee.flags.insert(.diedBusy) }
        while entry.pointee.firstStream >= 0 {
            let stream = entry.pointee.firstStream
            streamBroke(entry, stream, upstreams.pointer(stream), code: nil, failure)
        }
        freeSession(entry)
        upstream.pointee.session = -1
        closeUpstream(index, upstream)
    }

    private func freeSession(_ entry: EndpointPlace) {
        retireSession(entry)
        entry.pointee.session?.free()
        entry.pointee.session = nil
        buffers.give(&entry.pointee.output)
        endpointSessions.give(entry.pointee.index)
    }

    /// Takes the requests off a session that came to nothing.
    private func takeExchanges(_ entry: EndpointPlace) -> [Token] {
        var found: [Token] = []
        while entry.pointee.firstStream >= 0 {
            let index = entry.pointee.firstStream
            let stream = upstreams.pointer(index)
            if stream.pointee.exchange >= 0 {
                let exchange = exchanges.pointer(stream.pointee.exchange)
                exchange.pointee.upstream = -1
                found.append(
                    Token(.upstream, stream.pointee.exchange, generation: exchange.pointee.generation)
                )
                stream.pointee.exchange = -1
            }
            releaseStream(entry, index, stream)
        }
        return found
    }

    /// No connection came to be.
    func sessionFailed(_ index: Int32, _ upstream: UpstreamPlace, code: Int32) {
        let entry = endpointSessions.pointer(upstream.pointee.session)
        let cluster = upstream.pointee.cluster
        let slot = upstream.pointee.endpoint
        hold(cluster)
        let waiting = takeExchanges(entry)
        freeSession(entry)
        upstream.pointee.session = -1
        closeUpstream(index, upstream)
        for token in waiting {
            guard let exchange = exchanges.find(token.index, generation: token.generation) else { continue }
            connectFailed(token.index, exchange, cluster, slot, code: code)
        }
        letGo(cluster)
    }

    // MARK: Timers

    private func schedulePing(_ entry: EndpointPlace, _ cluster: ClusterPlace) {
        let options = cluster.pointee.http2
        guard options.pingInterval > 0 else { return }
        let share = Double(random.next() >> 11) / 9_007_199_254_740_992
        let jitter = Double(options.pingInterval) * options.pingJitter * share
        entry.pointee.nextPing = now &+ options.pingInterval &+ UInt64(jitter)
    }

    func armSession(_ entry: EndpointPlace, _ upstream: UpstreamPlace) {
        let cluster = upstream.pointee.cluster
        var deadline = min(entry.pointee.nextPing, entry.pointee.pongDeadline)
        if entry.pointee.streams == 0 {
            deadline = min(deadline, Self.after(entry.pointee.idleSince, cluster.pointee.idleTimeout))
        }
        if entry.pointee.flags.contains(.isOpen), cluster.pointee.maxConnectionDuration > 0 {
            deadline = min(deadline, upstream.pointee.openedAt &+ cluster.pointee.maxConnectionDuration)
        }
        loop.timers.set(upstream.pointee.timer, Instant(nanoseconds: deadline))
    }

    func sessionTimer(_ index: Int32, _ upstream: UpstreamPlace) {
        let entry = endpointSessions.pointer(upstream.pointee.session)
        let cluster = upstream.pointee.cluster
        guard let session = entry.pointee.session else { return }
        if entry.pointee.pongDeadline <= now {
            http2?.counters[Int(HTTP2Counter.keepaliveTimeout.rawValue)] &+= 1
            endSession(entry, .timeout)
            return
        }
        if entry.pointee.nextPing <= now {
            session.ping(now)
            touch(entry)
            schedulePing(entry, cluster)
            entry.pointee.pongDeadline = min(entry.pointee.pongDeadline, now &+ cluster.pointee.http2.pingTimeout)
        }
        let life = cluster.pointee.maxConnectionDuration
        if life > 0, upstream.pointee.openedAt &+ life <= now { retireSession(entry) }
        if entry.pointee.streams == 0, Self.after(entry.pointee.idleSince, cluster.pointee.idleTimeout) <= now {
            retireSession(entry)
        }
        // Nothing is left: the flush of this turn closes it, and a deadline that has passed must not be armed again.
        if entry.pointee.streams == 0, !entry.pointee.flags.contains(.isOpen) {
            touch(entry)
            return
        }
        armSession(entry, upstream)
    }
}
