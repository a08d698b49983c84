import Bytes
import CWeft
import Glibc
import HTTP
import Reactor
import Traffic

/// Relays bytes both ways as they come: TCP chains, and HTTP connections after `101 Switching Protocols`.
///
/// A direction that ends is passed on as such (half-close); the relay is over when both have ended. What waits towards the
/// endpoint stands in the exchange's `request`, what waits towards the client in the connection's `output`; while something
/// waits, the other side is not read.
extension Worker {
    // MARK: TCP chains

    /// Begins a relayed connection: dials the chain's cluster.
    func startTunnel(
        _ index: Int32,
        _ place: DownstreamPlace,
        _ chain: TCPChainConfiguration,
        speculates: Bool = false
    ) {
        guard let exchangeIndex = exchanges.take() else {
            closeDownstream(index, place, flags: .overloadManager)
            return
        }
        let exchange = exchanges.pointer(exchangeIndex)
        if !speculates { place.pointee.state = .tunnel }
        place.pointee.exchange = exchangeIndex
        exchange.pointee.downstream = index
        exchange.pointee.startedAt = now
        exchange.pointee.lastActivity = now
        exchange.pointee.flags = speculates ? [.isTunnelOnly, .speculates] : [.isTunnelOnly]
        exchange.pointee.idleTimeout = chain.idleTimeout
        exchange.pointee.snapshot = current
        hold(current)
        exchange.pointee.tcp = Unmanaged.passRetained(chain)
        tallyRelay(chain.statPrefix) { $0.total &+= 1 }
        if chain.maxConnectionDuration > 0 {
            let jitter = chain.more.durationJitter > 0 ? random.next() % chain.more.durationJitter : 0
            exchange.pointee.routeDeadline = now &+ chain.maxConnectionDuration &+ jitter
        }
        if chain.hashesClient { settleHash(exchange, connection: place) }
        let (clusterIndex, clusterPlace) = chain.cluster(random: random.next())
        if !chain.more.criteria.isEmpty { extras(exchange).pointee.criteria = chain.more.criteria[clusterPlace] }
        guard clusterIndex >= 0, Int(clusterIndex) < clusters.count, let cluster = clusters[Int(clusterIndex)] else {
            metrics.count(.noCluster)
            exchange.pointee.responseFlags.insert(.noCluster)
            closeDownstream(index, place, flags: .noCluster)
            return
        }
        exchange.pointee.cluster = cluster
        hold(cluster)
        if !speculates, chain.connectHead.isEmpty { takeHeldInput(place, exchange) }
        dispatch(exchangeIndex, exchange)
    }

    /// What detection read goes first.
    func takeHeldInput(_ place: DownstreamPlace, _ exchange: ExchangePlace) {
        guard !place.pointee.input.isEmpty else { return }
        exchange.pointee.bytesReceived &+= UInt64(place.pointee.input.count)
        metrics.tcpMoved(exchange.pointee.edge, read: place.pointee.input.count, written: 0)
        exchange.pointee.request = place.pointee.input
        exchange.pointee.requestSent = 0
        place.pointee.input = Buffer()
    }

    /// The endpoint's connection is there.
    func tunnelConnected(_ upstreamIndex: Int32, _ upstream: UpstreamPlace, _ index: Int32, _ exchange: ExchangePlace) {
        let place = downstreams.pointer(exchange.pointee.downstream)
        exchange.pointee.lastActivity = now
        if let chain = exchange.pointee.tcp?.takeUnretainedValue(), !chain.connectHead.isEmpty {
            askForTunnel(upstreamIndex, upstream, index, exchange, chain)
            return
        }
        upstream.pointee.state = .tunnel
        if exchange.pointee.request.isEmpty { armWriting(upstreamIndex, upstream, false) }
        guard !exchange.pointee.flags.contains(.speculates) else { return }
        openTunnel(exchange, place)
    }

    func openTunnel(_ exchange: ExchangePlace, _ place: DownstreamPlace) {
        exchange.pointee.state = .tunnel
        exchange.pointee.flags.insert(.isNotReplayable)
        exchange.pointee.respondedAt = now
        exchange.pointee.flags.insert(.countedTCP)
        metrics.tcpOpened(exchange.pointee.edge)
        if let chain = exchange.pointee.tcp?.takeUnretainedValue() {
            if chain.more.logsConnected { log(exchange, .tcpUpstreamConnected) }
            if chain.more.logInterval > 0 { exchange.pointee.wakeDeadline = now &+ chain.more.logInterval }
        }
        if exchange.pointee.tcp == nil, place.pointee.chain?.pointee.logsTunnels ?? false {
            log(exchange, .downstreamTunnelSuccessfullyEstablished)
        }
        endTryAsOpen(exchange)
        // What the client said before the endpoint's connection was there waited in the kernel.
        if exchange.pointee.request.isEmpty { resumeReading(exchange.pointee.downstream, place) }
        armDownstream(exchange.pointee.downstream, place)
    }

    /// A relay that came to be counts as a success of its endpoint at once, and stays in its load until it ends.
    private func endTryAsOpen(_ exchange: ExchangePlace) {
        endTry(exchange, .success)
        guard let cluster = exchange.pointee.cluster, exchange.pointee.endpoint >= 0 else { return }
        cluster.pointee.set.requestStarted(exchange.pointee.endpoint)
        exchange.pointee.flags.insert(.startedTry)
    }

    /// No endpoint's connection: another try, or the end.
    func tunnelTryFailed(_ index: Int32, _ exchange: ExchangePlace, _ cluster: ClusterPlace) {
        let downstreamIndex = exchange.pointee.downstream
        let place = downstreams.pointer(downstreamIndex)
        let limit = exchange.pointee.tcp?.takeUnretainedValue().maxConnectAttempts ?? 1
        if exchange.pointee.state != .tunnel, UInt32(exchange.pointee.attempts) < limit, !cluster.pointee.isRetired {
            exchange.pointee.retries &+= 1
            metrics.count(.retriesTotal)
            exchange.pointee.state = .waiting
            // The next turn of the timers: a refused connection must not become a tight loop.
            let backoff = exchange.pointee.tcp?.takeUnretainedValue().more.backoff(
                after: Int(exchange.pointee.attempts),
                random: random.next()
            )
            exchange.pointee.wakeDeadline = now &+ max(TimerWheel.grain, backoff ?? 0)
            armExchange(exchange)
            return
        }
        tick(cluster, .upstreamCxConnectAttemptsExceeded)
        exchange.pointee.responseFlags.insert(.upstreamRetryLimit)
        if exchange.pointee.flags.contains(.speculates), place.pointee.state == .detecting {
            // The client may still turn out to speak HTTP, for which another cluster may serve.
            abandonSpeculation(place)
            armDownstream(downstreamIndex, place)
            return
        }
        // What a client of the dialled address itself would see.
        Socket.resetOnClose(place.pointee.fd)
        closeDownstream(downstreamIndex, place, flags: .upstreamConnectionFailure)
    }

    // MARK: Speculation of the protocol detection

    /// It is no HTTP: the connection made on suspicion is used.
    func commitSpeculation(_ index: Int32, _ place: DownstreamPlace) {
        guard place.pointee.exchange >= 0 else {
            closeDownstream(index, place, flags: .upstreamConnectionFailure)
            return
        }
        let exchangeIndex = place.pointee.exchange
        let exchange = exchanges.pointer(exchangeIndex)
        place.pointee.state = .tunnel
        exchange.pointee.flags.remove(.speculates)
        takeHeldInput(place, exchange)
        guard exchange.pointee.upstream >= 0 else { return }
        guard upstreams.pointer(exchange.pointee.upstream).pointee.state == .tunnel else { return }
        openTunnel(exchange, place)
        pump(exchangeIndex, exchange)
    }

    /// It is HTTP, or the endpoint is not there: the connection made on suspicion goes away.
    func abandonSpeculation(_ place: DownstreamPlace) {
        let exchangeIndex = place.pointee.exchange
        place.pointee.exchange = -1
        place.pointee.flags.remove(.isSpeculating)
        guard exchangeIndex >= 0 else { return }
        let exchange = exchanges.pointer(exchangeIndex)
        let upstreamIndex = exchange.pointee.upstream
        exchange.pointee.upstream = -1
        endTry(exchange, .cancelled)
        releaseExchange(exchangeIndex, exchange)
        guard upstreamIndex >= 0 else { return }
        let upstream = upstreams.pointer(upstreamIndex)
        upstream.pointee.exchange = -1
        closeUpstream(upstreamIndex, upstream)
    }

    // MARK: Upgrades

    /// The endpoint agreed to another protocol: its head goes to the client, then bytes are relayed.
    func switchProtocols(
        _ upstreamIndex: Int32,
        _ upstream: UpstreamPlace,
        _ index: Int32,
        _ exchange: ExchangePlace,
        _ memory: UnsafeMutableRawPointer,
        _ count: Int
    ) {
        let downstreamIndex = exchange.pointee.downstream
        let place = downstreams.pointer(downstreamIndex)
        guard !place.pointee.isStream || upstream.pointee.isStream || isAccepted(exchange, memory) else {
            metrics.violation(.badResponse)
            upstreamBroke(index, exchange, upstreamIndex, upstream, .badResponse)
            return
        }
        exchange.pointee.status = place.pointee.isStream ? 200 : 101
        exchange.pointee.tryDeadline = .max
        exchange.pointee.routeDeadline = .max
        let length = responseHead.length
        var text = memory
        if exchange.pointee.extras != nil, exchange.filterRun != nil {
            text = filterAnswer(exchange, place, memory, isLocal: false, hasBody: false)
        }
        var writer = ByteWriter(out, capacity: Limits.outSize)
        writer.put(
            place.pointee.isStream
                ? "HTTP/1.1 200 OK\r\n"
                : "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        )
        for field in 0..<responseFields.count {
            let name = responseFields.names[field]
            guard !name.isHopByHop, name != .contentLength else { continue }
            // The key was the proxy's own; a client of HTTP/2 knows nothing of it.
            if place.pointee.isStream, name == .secWebSocketAccept { continue }
            let entry = responseFields.fields[field]
            writer.put(text + Int(entry.nameStart), Int(entry.nameLength))
            writer.put(": ")
            writer.put(text + Int(entry.valueStart), Int(entry.valueLength))
            writer.endLine()
        }
        if upstream.pointee.isStream, !place.pointee.isStream { writeAccept(exchange, &writer) }
        writer.endLine()
        let rest = count - length
        exchange.pointee.bytesSent &+= UInt64(writer.count + max(0, rest))
        upstream.pointee.state = .tunnel
        place.pointee.state = .tunnel
        // The answer is counted now: how long the tunnel lives says nothing about response times.
        metrics.responded(
            exchange.pointee.edge,
            status: Int(exchange.pointee.status),
            isFailure: false,
            time: now &- exchange.pointee.startedAt
        )
        exchange.pointee.flags.remove(.countedRequest)
        buffers.give(&exchange.pointee.request)
        exchange.pointee.requestSent = 0
        openTunnel(exchange, place)
        let isAlive =
            place.pointee.isStream
            ? sendStream(
                downstreamIndex,
                place,
                writer.base,
                writer.count,
                memory + length,
                max(0, rest),
                isDone: false
            )
            : sendDownstream(
                downstreamIndex,
                place,
                writer.base,
                writer.count,
                memory + length,
                max(0, rest)
            )
        guard isAlive, !writer.overflowed else { return }
        buffers.give(&upstream.pointee.input)
        takeHeldInput(place, exchange)
        pump(index, exchange)
    }

    // MARK: Relaying

    /// Bytes from the client.
    func readTunnel(_ index: Int32, _ place: DownstreamPlace) {
        let exchangeIndex = place.pointee.exchange
        guard exchangeIndex >= 0, let memory = scratch.base else { return }
        let exchange = exchanges.pointer(exchangeIndex)
        guard exchange.pointee.state == .tunnel, exchange.pointee.request.isEmpty else {
            pauseReading(index, place)
            return
        }
        let upstreamIndex = exchange.pointee.upstream
        let upstream = upstreams.pointer(upstreamIndex)
        let moved = exchange.pointee.movesUp ? moveUp(index, place, upstreamIndex, exchange) : nil
        let count = moved ?? receive(index, place, memory, Int(scratch.capacity))
        guard count > 0 else {
            if count == -Int(EAGAIN) { return }
            if count < 0 {
                closeDownstream(index, place, flags: .downstreamTermination)
                return
            }
            place.pointee.flags.insert(.readEnded)
            pauseReading(index, place)
            endTunnelDirection(toUpstream: index, place)
            return
        }
        exchange.pointee.lastActivity = now
        exchange.pointee.bytesReceived &+= UInt64(count)
        metrics.tcpMoved(exchange.pointee.edge, read: count, written: 0)
        guard moved == nil else { return }
        // A full read: there is much to come.
        if count == Int(scratch.capacity) { exchange.pointee.movesUp = canMove(upstream, place) }
        if upstream.pointee.isStream {
            pauseReading(index, place)
            guard buffers.append(&exchange.pointee.request, memory, count) else {
                closeDownstream(index, place, flags: .localReset)
                return
            }
            exchange.pointee.requestSent = 0
            pump(exchangeIndex, exchange)
            return
        }
        let sent = send(upstream, memory, count)
        if sent == count { return }
        guard sent >= 0 || sent == -Int(EAGAIN) else {
            closeDownstream(index, place, flags: .upstreamRemoteReset)
            return
        }
        let done = max(0, sent)
        _ = buffers.append(&exchange.pointee.request, memory + done, count - done)
        exchange.pointee.requestSent = 0
        armWriting(upstreamIndex, upstream, true)
    }

    /// Bytes from the endpoint.
    func readTunnel(upstream index: Int32, _ upstream: UpstreamPlace, _ exchangeIndex: Int32, _ exchange: ExchangePlace)
    {
        let downstreamIndex = exchange.pointee.downstream
        let place = downstreams.pointer(downstreamIndex)
        if exchange.pointee.flags.contains(.speculates) {
            endpointSpokeFirst(downstreamIndex, place)
            guard upstream.pointee.isLive, exchange.pointee.isLive else { return }
        }
        guard place.pointee.output.isEmpty, let memory = scratch.base else {
            pauseReading(index, upstream)
            return
        }
        let moved = exchange.pointee.movesDown ? moveDown(upstream, downstreamIndex, place, exchange) : nil
        let count = moved ?? receive(index, upstream, memory, Int(scratch.capacity))
        guard count > 0 else {
            if count == -Int(EAGAIN) { return }
            if count < 0 {
                Socket.resetOnClose(place.pointee.fd)
                closeDownstream(downstreamIndex, place, flags: .upstreamRemoteReset)
                return
            }
            upstream.pointee.flags.insert(.readEnded)
            pauseReading(index, upstream)
            endTunnelDirection(toDownstream: downstreamIndex, place)
            return
        }
        exchange.pointee.lastActivity = now
        exchange.pointee.bytesSent &+= UInt64(count)
        metrics.tcpMoved(exchange.pointee.edge, read: 0, written: count)
        guard moved == nil else { return }
        if count == Int(scratch.capacity) { exchange.pointee.movesDown = canMove(upstream, place) }
        sendDownstream(downstreamIndex, place, nil, 0, memory, count)
    }

    /// The client ended its side and everything of it was passed on: so does the relay.
    func endTunnelDirection(toUpstream index: Int32, _ place: DownstreamPlace) {
        guard place.pointee.exchange >= 0 else { return }
        let exchange = exchanges.pointer(place.pointee.exchange)
        guard exchange.pointee.upstream >= 0, exchange.pointee.request.isEmpty else { return }
        let upstream = upstreams.pointer(exchange.pointee.upstream)
        if !upstream.pointee.flags.contains(.writeEnded) {
            upstream.pointee.flags.insert(.writeEnded)
            endSending(upstream)
        }
        if upstream.pointee.flags.contains(.readEnded), place.pointee.output.isEmpty {
            closeDownstream(index, place, flags: [])
        }
    }

    /// The endpoint ended its side and everything of it was passed on.
    func endTunnelDirection(toDownstream index: Int32, _ place: DownstreamPlace) {
        guard place.pointee.output.isEmpty else { return }
        if !place.pointee.flags.contains(.writeEnded) {
            place.pointee.flags.insert(.writeEnded)
            endSending(place)
        }
        guard place.pointee.flags.contains(.readEnded), place.pointee.exchange >= 0 else { return }
        if exchanges.pointer(place.pointee.exchange).pointee.request.isEmpty {
            closeDownstream(index, place, flags: [])
        }
    }
}
