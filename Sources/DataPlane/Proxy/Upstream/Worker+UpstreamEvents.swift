import Bytes
import Glibc
import HTTP
import Reactor

/// Events of endpoints' connections.
extension Worker {
    func upstreamReady(_ index: Int32, _ upstream: UpstreamPlace, _ readiness: Readiness) {
        let generation = upstream.pointee.generation
        switch upstream.pointee.state {
        case .idle:
            idleReady(index, upstream)
            return
        case .connecting:
            guard finishConnect(index, upstream) else { return }
        case .handshaking:
            guard continueHandshake(index, upstream) else { return }
        case .http2:
            sessionReady(index, upstream, readiness)
            return
        case .busy, .tunnel: break
        }
        if upstream.pointee.session >= 0 { return }
        if readiness.contains(.write), upstream.pointee.flags.contains(.writeArmed), upstream.pointee.exchange >= 0 {
            pump(upstream.pointee.exchange, exchanges.pointer(upstream.pointee.exchange))
            guard upstreams.find(index, generation: generation) != nil else { return }
        }
        guard !readiness.isDisjoint(with: [.read, .hungUp, .failed]) else { return }
        if upstream.pointee.flags.contains(.readPaused) {
            // Reported whether wanted or not: it is looked at when reading goes on.
            loop.unwatch(upstream.pointee.fd)
            upstream.pointee.flags.insert(.isUnwatched)
            return
        }
        guard upstream.pointee.exchange >= 0 else { return }
        let exchange = exchanges.pointer(upstream.pointee.exchange)
        if upstream.pointee.state == .tunnel {
            readTunnel(upstream: index, upstream, upstream.pointee.exchange, exchange)
        } else if exchange.pointee.flags.contains(.isTunnelOnly) {
            if exchange.pointee.state == .awaitingResponse {
                readConnectAnswer(index, upstream, upstream.pointee.exchange, exchange)
            }
            return
        } else {
            readResponse(index, upstream, upstream.pointee.exchange, exchange)
        }
    }

    /// An idle connection has nothing to say: its end is expected, bytes are a violation. Neither may reach a next request.
    private func idleReady(_ index: Int32, _ upstream: UpstreamPlace) {
        var byte: UInt8 = 0
        let count = receive(index, upstream, &byte, 1)
        if count == -Int(EAGAIN) { return }
        if count > 0 {
            metrics.violation(.unexpectedResponseBytes)
        } else {
            upstream.pointee.flags.insert(.endedThere)
        }
        closeUpstream(index, upstream)
    }

    /// The outcome of a connect. False when it failed (and was dealt with).
    private func finishConnect(_ index: Int32, _ upstream: UpstreamPlace) -> Bool {
        let error = Socket.error(of: upstream.pointee.fd)
        guard error == 0 else {
            upstreamFailed(index, upstream, code: -error)
            return false
        }
        guard introduce(index, upstream) else { return false }
        if let holder = tls(of: upstream.pointee.cluster, upstream.pointee.endpoint) {
            return startHandshake(index, upstream, holder)
        }
        connected(index, upstream)
        return upstream.pointee.isLive
    }

    /// A connection that was being made failed.
    func upstreamFailed(_ index: Int32, _ upstream: UpstreamPlace, code: Int32) {
        if upstream.pointee.session >= 0 {
            sessionFailed(index, upstream, code: code)
            return
        }
        let exchangeIndex = upstream.pointee.exchange
        let cluster = upstream.pointee.cluster
        let slot = upstream.pointee.endpoint
        if code != ETIMEDOUT { upstream.pointee.flags.insert(.endedThere) }
        hold(cluster)
        upstream.pointee.exchange = -1
        if exchangeIndex >= 0 { exchanges.pointer(exchangeIndex).pointee.upstream = -1 }
        closeUpstream(index, upstream)
        if exchangeIndex >= 0 {
            connectFailed(exchangeIndex, exchanges.pointer(exchangeIndex), cluster, slot, code: code)
        }
        letGo(cluster)
    }

    func pauseReading(_ index: Int32, _ upstream: UpstreamPlace) {
        // A stream waits for its window.
        guard !upstream.pointee.isStream, !upstream.pointee.flags.contains(.readPaused) else { return }
        upstream.pointee.flags.insert(.readPaused)
        updateInterest(index, upstream)
    }

    func resumeReading(_ index: Int32, _ upstream: UpstreamPlace) {
        if upstream.pointee.isStream {
            giveBack(upstream)
            return
        }
        guard upstream.pointee.flags.contains(.readPaused), !upstream.pointee.flags.contains(.readEnded) else { return }
        upstream.pointee.flags.remove(.readPaused)
        if upstream.pointee.flags.contains(.isUnwatched) {
            upstream.pointee.flags.remove(.isUnwatched)
            let token = Token(.upstream, index, generation: upstream.pointee.generation)
            _ = loop.tryWatch(upstream.pointee.fd, upstream.pointee.interest, token: token.raw)
        } else {
            updateInterest(index, upstream)
        }
        lookInside(index, upstream)
    }

    func armWriting(_ index: Int32, _ upstream: UpstreamPlace, _ isWanted: Bool) {
        guard upstream.pointee.flags.contains(.writeArmed) != isWanted else { return }
        if isWanted { upstream.pointee.flags.insert(.writeArmed) } else { upstream.pointee.flags.remove(.writeArmed) }
        updateInterest(index, upstream)
    }

    private func updateInterest(_ index: Int32, _ upstream: UpstreamPlace) {
        guard !upstream.pointee.flags.contains(.isUnwatched) else { return }
        let token = Token(.upstream, index, generation: upstream.pointee.generation)
        loop.change(upstream.pointee.fd, upstream.pointee.interest, token: token.raw)
    }
}
