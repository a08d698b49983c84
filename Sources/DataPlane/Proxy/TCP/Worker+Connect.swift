import Bytes
import Glibc
import HTTP
import Reactor
import Traffic

/// CONNECT (RFC 9110 section 9.3.6): requests that end here or are passed on, and connections that go through a further proxy.
extension Worker {
    // MARK: Clients' CONNECT requests

    /// The endpoint of a CONNECT request that ends here is reached: the client hears of it, then bytes are relayed.
    func connectTerminated(
        _ upstreamIndex: Int32,
        _ upstream: UpstreamPlace,
        _ index: Int32,
        _ exchange: ExchangePlace
    ) {
        let downstreamIndex = exchange.pointee.downstream
        let place = downstreams.pointer(downstreamIndex)
        var writer = ByteWriter(out, capacity: Limits.outSize)
        writer.put("HTTP/1.1 200 OK\r\n")
        if let chain = place.pointee.chain, !chain.pointee.serverName.isEmpty {
            writer.put("server: ")
            writer.put(chain.pointee.serverName)
            writer.endLine()
        }
        writeDate(&writer)
        let edits = responseEdits(exchange)
        if !edits.isEmpty {
            let nothing = RequestView(method: .empty, authority: .empty, path: .empty)
            addFields(edits, sources(answer: nothing, exchange), exchange, place, &writer)
        }
        writer.endLine()
        if exchange.pointee.extras != nil { filterOwnAnswer(exchange, place, &writer, bodyCount: 0) }
        armWriting(upstreamIndex, upstream, false)
        relay(upstreamIndex, upstream, index, exchange, place, status: 200, writer, UnsafeRawPointer(out), 0)
    }

    /// The endpoint of a CONNECT request that was passed on agreed: its answer's head goes to the client, then bytes are relayed.
    func openConnect(
        _ upstreamIndex: Int32,
        _ upstream: UpstreamPlace,
        _ index: Int32,
        _ exchange: ExchangePlace,
        _ memory: UnsafeMutableRawPointer,
        _ count: Int
    ) {
        let place = downstreams.pointer(exchange.pointee.downstream)
        var writer = ByteWriter(out, capacity: Limits.outSize)
        exchange.pointee.status = responseHead.status
        // No framing: what follows the head is no body.
        responseHead.declaredLength = nil
        place.pointee.flags.remove(.closesAfterResponse)
        let status = responseHead.status
        let length = responseHead.length
        var text = memory
        if exchange.pointee.extras != nil, exchange.filterRun != nil {
            text = filterAnswer(exchange, place, memory, isLocal: false, hasBody: false)
        }
        writeResponseHead(exchange, place, text, &writer)
        let rest = max(0, count - length)
        relay(
            upstreamIndex,
            upstream,
            index,
            exchange,
            place,
            status: status,
            writer,
            memory + length,
            rest
        )
    }

    private func relay(
        _ upstreamIndex: Int32,
        _ upstream: UpstreamPlace,
        _ index: Int32,
        _ exchange: ExchangePlace,
        _ place: DownstreamPlace,
        status: UInt16,
        _ head: ByteWriter,
        _ rest: UnsafeRawPointer,
        _ restCount: Int
    ) {
        let downstreamIndex = exchange.pointee.downstream
        guard !head.overflowed else {
            upstreamBroke(index, exchange, upstreamIndex, upstream, .badResponse)
            return
        }
        exchange.pointee.status = status
        exchange.pointee.tryDeadline = .max
        exchange.pointee.routeDeadline = .max
        exchange.pointee.bytesSent &+= UInt64(head.count + restCount)
        upstream.pointee.state = .tunnel
        place.pointee.state = .tunnel
        // As for other upgrades, the answer is counted now.
        metrics.responded(
            exchange.pointee.edge,
            status: Int(status),
            isFailure: false,
            time: now &- exchange.pointee.startedAt
        )
        exchange.pointee.flags.remove(.countedRequest)
        buffers.give(&exchange.pointee.request)
        exchange.pointee.requestSent = 0
        openTunnel(exchange, place)
        let isAlive =
            place.pointee.isStream
            ? sendStream(downstreamIndex, place, head.base, head.count, rest, restCount, isDone: false)
            : sendDownstream(downstreamIndex, place, head.base, head.count, rest, restCount)
        guard isAlive else { return }
        buffers.give(&upstream.pointee.input)
        // What the client sent ahead.
        takeHeldInput(place, exchange)
        pump(index, exchange)
    }

    // MARK: Connections through a further proxy

    /// Asks the endpoint for a tunnel; the client's bytes wait.
    func askForTunnel(
        _ upstreamIndex: Int32,
        _ upstream: UpstreamPlace,
        _ index: Int32,
        _ exchange: ExchangePlace,
        _ chain: TCPChainConfiguration
    ) {
        exchange.pointee.state = .awaitingResponse
        exchange.pointee.requestSent = 0
        buffers.give(&exchange.pointee.request)
        let isWhole = chain.connectHead.withUnsafeBytes { bytes in
            bytes.baseAddress.map { buffers.append(&exchange.pointee.request, $0, bytes.count) } ?? false
        }
        guard isWhole else {
            upstreamBroke(index, exchange, upstreamIndex, upstream, .outOfDescriptors)
            return
        }
        exchange.pointee.tryDeadline = Self.after(now, upstream.pointee.cluster.pointee.connectTimeout)
        armExchange(exchange)
        pump(index, exchange)
    }

    /// The endpoint's answer to the question for a tunnel.
    func readConnectAnswer(
        _ upstreamIndex: Int32,
        _ upstream: UpstreamPlace,
        _ index: Int32,
        _ exchange: ExchangePlace
    ) {
        guard buffers.reserve(&upstream.pointee.input, 4096), let tail = upstream.pointee.input.tail else {
            upstreamBroke(index, exchange, upstreamIndex, upstream, .badResponse)
            return
        }
        let count = receive(upstreamIndex, upstream, tail, upstream.pointee.input.room)
        guard count > 0 else {
            if count == -Int(EAGAIN) { return }
            upstreamBroke(index, exchange, upstreamIndex, upstream, .closedBeforeResponse)
            return
        }
        upstream.pointee.input.end &+= Int32(count)
        guard let bytes = upstream.pointee.input.bytes else { return }
        let held = upstream.pointee.input.count
        let outcome = responseHead.parse(
            bytes,
            count: held,
            limits: HeadLimits.responses,
            request: .connect,
            fields: &responseFields
        )
        switch outcome {
        case .incomplete: return
        case .complete where responseHead.status >= 200 && responseHead.status < 300: break
        case .complete, .failed:
            metrics.violation(.badResponse)
            upstreamBroke(index, exchange, upstreamIndex, upstream, .badResponse)
            return
        }
        let place = downstreams.pointer(exchange.pointee.downstream)
        var input = upstream.pointee.input
        upstream.pointee.input = Buffer()
        defer { buffers.give(&input) }
        upstream.pointee.state = .tunnel
        exchange.pointee.tryDeadline = .max
        buffers.give(&exchange.pointee.request)
        exchange.pointee.requestSent = 0
        openTunnel(exchange, place)
        let rest = held - responseHead.length
        exchange.pointee.bytesSent &+= UInt64(max(0, rest))
        guard sendDownstream(exchange.pointee.downstream, place, nil, 0, bytes + responseHead.length, max(0, rest))
        else {
            return
        }
        takeHeldInput(place, exchange)
        pump(index, exchange)
    }
}
