import Bytes
import Glibc
import Reactor
import TLS
import Traffic

/// Why a connection's requests are looked at: what its server name was answered with.
struct SecuredConnection {
    /// nil: all its server names have the same rules.
    let listener: ListenerConfiguration?
    let chain: FilterChainConfiguration
}

/// Bytes of connections, through TLS where there is one: the calls answer as those of `Socket` do.
extension Worker {
    // MARK: Clients

    @inline(__always)
    func receive(_ index: Int32, _ place: DownstreamPlace, _ bytes: UnsafeMutableRawPointer, _ room: Int) -> Int {
        let count = min(room, Int(place.pointee.readLimit))
        guard let tls = place.pointee.tls else { return Socket.receive(place.pointee.fd, bytes, count) }
        let received = tls.receive(bytes, count)
        if tls.hasMore { lookAgain(Token(.downstream, index, generation: place.pointee.generation)) }
        return received
    }

    @inline(__always)
    func send(_ place: DownstreamPlace, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
        guard let tls = place.pointee.tls else { return Socket.send(place.pointee.fd, bytes, count) }
        return tls.send(bytes, count)
    }

    @inline(__always)
    func send(
        _ place: DownstreamPlace,
        _ first: UnsafeRawPointer?,
        _ firstCount: Int,
        _ data: UnsafeRawPointer?,
        _ dataCount: Int,
        _ last: UnsafeRawPointer?,
        _ lastCount: Int,
        more: Bool
    ) -> Int {
        guard let tls = place.pointee.tls else {
            return Socket.send(place.pointee.fd, first, firstCount, data, dataCount, last, lastCount, more: more)
        }
        return tls.send(first, firstCount, data, dataCount, last, lastCount, more: more)
    }

    /// Ends the sending direction.
    func endSending(_ place: DownstreamPlace) {
        if place.pointee.isStream {
            endStreamSending(place)
            return
        }
        place.pointee.tls?.end()
        Socket.shutdownWrite(place.pointee.fd)
    }

    // MARK: Endpoints

    @inline(__always)
    func receive(_ index: Int32, _ upstream: UpstreamPlace, _ bytes: UnsafeMutableRawPointer, _ room: Int) -> Int {
        let count = min(room, Int(upstream.pointee.readLimit))
        guard let tls = upstream.pointee.tls else { return Socket.receive(upstream.pointee.fd, bytes, count) }
        let received = tls.receive(bytes, count)
        if tls.hasMore { lookAgain(Token(.upstream, index, generation: upstream.pointee.generation)) }
        return received
    }

    @inline(__always)
    func send(_ upstream: UpstreamPlace, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
        guard let tls = upstream.pointee.tls else { return Socket.send(upstream.pointee.fd, bytes, count) }
        return tls.send(bytes, count)
    }

    func endSending(_ upstream: UpstreamPlace) {
        if upstream.pointee.isStream {
            endStreamSending(upstream)
            return
        }
        upstream.pointee.tls?.end()
        Socket.shutdownWrite(upstream.pointee.fd)
    }

    func isQuiet(_ upstream: UpstreamPlace) -> Bool {
        guard let tls = upstream.pointee.tls else { return Socket.isQuiet(upstream.pointee.fd) }
        return tls.isQuiet
    }

    // MARK: Bytes that no event tells of

    /// Delivers a readiness in the next turn: bytes were decoded, or read together with others, and wait inside.
    func lookAgain(_ token: Token) { heldInside.append(token.raw) }

    /// Reading goes on: what waits inside has to be looked at, too.
    @inline(__always)
    func lookInside(_ index: Int32, _ place: DownstreamPlace) {
        guard let tls = place.pointee.tls, tls.hasMore else { return }
        lookAgain(Token(.downstream, index, generation: place.pointee.generation))
    }

    @inline(__always)
    func lookInside(_ index: Int32, _ upstream: UpstreamPlace) {
        guard let tls = upstream.pointee.tls, tls.hasMore else { return }
        lookAgain(Token(.upstream, index, generation: upstream.pointee.generation))
    }

    // MARK: Handshakes with clients

    /// Begins TLS on a connection; its chain serves it afterwards.
    func startHandshake(
        _ index: Int32,
        _ place: DownstreamPlace,
        _ chain: FilterChainConfiguration,
        _ holder: TLSHolder,
        _ listener: ListenerConfiguration
    ) {
        let prefix = UnsafeRawBufferPointer(start: place.pointee.input.bytes, count: place.pointee.input.count)
        guard let context = holder.context, let session = TLSSession(context, fd: place.pointee.fd, prefix: prefix)
        else {
            handshakeFailed(index, place, "there is no certificate yet")
            return
        }
        let hasPrefix = !place.pointee.input.isEmpty
        buffers.give(&place.pointee.input)
        place.pointee.tls = session
        place.pointee.state = .handshaking
        place.pointee.since = now
        let checked = listener.hasSeveralTLSRules ? listener : nil
        handshaking[place.pointee.id] = SecuredConnection(listener: checked, chain: chain)
        armDownstream(index, place)
        if hasPrefix { lookAgain(Token(.downstream, index, generation: place.pointee.generation)) }
    }

    func continueHandshake(_ index: Int32, _ place: DownstreamPlace) {
        guard let session = place.pointee.tls else { return }
        // Handshakes are slow: a burst of them must not keep the others waiting.
        guard handshakesOfTurn < Limits.handshakes else {
            lookAgain(Token(.downstream, index, generation: place.pointee.generation))
            return
        }
        handshakesOfTurn += 1
        switch session.handshake() {
        case .wantsRead: armWriting(index, place, false)
        case .wantsWrite: armWriting(index, place, true)
        case .failed:
            switch session.failure {
            case .noCertificate: metrics.count(.tlsNoCertificate)
            case .chain: metrics.count(.tlsChainRefused)
            case .identity: metrics.count(.tlsNameRefused)
            case .other, .none: break
            }
            handshakeFailed(index, place, session.reason)
        case .done: handshakeDone(index, place, session)
        }
    }

    private func armWriting(_ index: Int32, _ place: DownstreamPlace, _ isWanted: Bool) {
        guard place.pointee.flags.contains(.writeArmed) != isWanted else { return }
        if isWanted { place.pointee.flags.insert(.writeArmed) } else { place.pointee.flags.remove(.writeArmed) }
        updateInterest(index, place)
    }

    private func handshakeDone(_ index: Int32, _ place: DownstreamPlace, _ session: TLSSession) {
        armWriting(index, place, false)
        guard let known = handshaking.removeValue(forKey: place.pointee.id) else {
            closeDownstream(index, place, flags: [])
            return
        }
        let chain = known.chain
        if chain.tls?.source.requiresName ?? false, session.serverName == nil {
            handshakeFailed(index, place, "the client gave no server name (SNI)")
            return
        }
        metrics.count(.tlsHandshakes)
        metrics.count(session.isVersion13 ? .tlsNewVersion : .tlsOldVersion)
        if session.wasResumed { metrics.count(.tlsResumed) }
        noteClientCertificate(place, session, chain)
        let generation = place.pointee.generation
        if known.listener != nil {
            place.pointee.flags.insert(.checksHost)
            secured[place.pointee.id] = known
        }
        start(index, place, chain)
        guard downstreams.find(index, generation: generation) != nil else { return }
        lookInside(index, place)
    }

    private func handshakeFailed(_ index: Int32, _ place: DownstreamPlace, _ reason: String) {
        metrics.count(.tlsHandshakeFailures)
        logHandshake("TLS with the client \(place.pointee.peer) failed: \(reason)")
        closeDownstream(index, place, flags: .downstreamTermination)
    }

    /// At most one line a second: peers decide how often handshakes fail.
    func logHandshake(_ line: @autoclosure () -> String) {
        guard now &- lastHandshakeLine >= 1_000_000_000 else { return }
        lastHandshakeLine = now
        control.post(.log(.info, line()))
    }

    func handshakeDeadline(_ place: DownstreamPlace) -> UInt64 {
        Self.after(place.pointee.since, handshaking[place.pointee.id]?.chain.handshakeTimeout ?? 1)
    }

    func handshakeTimedOut(_ index: Int32, _ place: DownstreamPlace) {
        tallyListener(place) { $0.handshakeTimeouts &+= 1 }
        handshakeFailed(index, place, "no handshake within the timeout")
    }

    /// Whether a request is for a host whose chain asks clients for something else than this connection's did (RFC 9110
    /// section 15.5.20): a connection made for a lax host must not reach a strict one.
    func isMisdirected(_ place: DownstreamPlace, _ authority: ByteRun) -> Bool {
        guard let known = secured[place.pointee.id], let tls = known.chain.tls else { return false }
        guard let name = ServerName.normalized(Array(authority.withoutPort.buffer)) else { return false }
        var facts = facts(place)
        facts.hello = ClientHello(serverName: name)
        guard let wanted = known.listener?.chain(for: facts), wanted !== known.chain else { return false }
        return !tls.isAsStrict(as: wanted.tls)
    }

    // MARK: Handshakes with endpoints

    /// The TCP connection is there: TLS begins. False: it goes on later, or failed.
    func startHandshake(_ index: Int32, _ upstream: UpstreamPlace, _ holder: TLSHolder) -> Bool {
        var name = holder.source.name
        var wanted: String?
        let slot = Int(upstream.pointee.endpoint)
        if holder.source.usesHostName, slot >= 0 {
            name = String(decoding: upstream.pointee.cluster.pointee.targets[slot].hostname, as: UTF8.self)
        }
        var checksName = holder.source.checksName
        let naming = upstream.pointee.cluster.pointee.naming
        if !naming.isEmpty, let host = keyed[index]?.name, !host.isEmpty {
            let text = ServerName.normalized(host) ?? String(decoding: host, as: UTF8.self)
            if naming.contains(.sni) { name = text }
            if naming.contains(.san) { (checksName, wanted) = (true, text) }
        }
        let asked = name.isEmpty ? nil : name
        guard let context = holder.context,
            let session = TLSSession(
                context,
                fd: upstream.pointee.fd,
                name: asked,
                wanted: checksName ? wanted ?? name : nil
            )
        else {
            upstreamHandshakeFailed(index, upstream, holder.report.error ?? "there is no TLS context")
            return false
        }
        upstream.pointee.tls = session
        upstream.pointee.state = .handshaking
        return continueHandshake(index, upstream)
    }

    func continueHandshake(_ index: Int32, _ upstream: UpstreamPlace) -> Bool {
        guard let session = upstream.pointee.tls else { return false }
        switch session.handshake() {
        case .wantsRead:
            armWriting(index, upstream, false)
            return false
        case .wantsWrite:
            armWriting(index, upstream, true)
            return false
        case .failed:
            if session.failure == .chain { metrics.count(.tlsUpstreamChainRefused) }
            if session.failure == .identity { metrics.count(.tlsUpstreamNameRefused) }
            upstreamHandshakeFailed(index, upstream, session.reason)
            return false
        case .done: break
        }
        metrics.count(.tlsUpstreamHandshakes)
        if session.wasResumed { metrics.count(.tlsUpstreamResumed) }
        armWriting(index, upstream, false)
        if upstream.pointee.session >= 0 {
            guard agreesOnHTTP2(index, upstream, session) else { return false }
        } else if turnsToHTTP2(index, upstream, session) {
            return false
        }
        let generation = upstream.pointee.generation
        connected(index, upstream)
        guard upstreams.find(index, generation: generation) != nil else { return false }
        lookInside(index, upstream)
        let exchangeIndex = upstream.pointee.exchange
        if exchangeIndex >= 0 {
            let exchange = exchanges.pointer(exchangeIndex)
            if !exchange.pointee.isTunnel || !exchange.pointee.request.isEmpty { pump(exchangeIndex, exchange) }
        }
        return false
    }

    private func upstreamHandshakeFailed(_ index: Int32, _ upstream: UpstreamPlace, _ reason: String) {
        metrics.count(.tlsUpstreamFailures)
        let cluster = upstream.pointee.cluster
        cluster.pointee.tlsFailure = Array(reason.utf8.map { $0 >= 0x20 && $0 < 0x7F ? $0 : 0x3F }.prefix(256))
        logHandshake("TLS with an endpoint of \(cluster.pointee.configuration.name) failed: \(reason)")
        upstreamFailed(index, upstream, code: EPROTO)
    }
}
