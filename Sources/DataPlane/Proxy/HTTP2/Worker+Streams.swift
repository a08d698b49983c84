import Bytes
import CWeft
import Glibc
import HTTP
import Reactor
import Traffic

/// Streams of clients' HTTP/2 connections: each is a `Downstream` without a descriptor, so that everything behind is the same as
/// for HTTP/1.
extension Worker {
    // MARK: Requests

    /// A request's head, or its trailers.
    func streamHead(_ entry: ClientSessionPlace, _ stream: Int32, _ user: UInt64) {
        guard let session = entry.pointee.session else { return }
        let received = session.head
        guard received.kind == .request else {
            takeTrailers(session, stream, user, received)
            return
        }
        let connection = downstreams.pointer(entry.pointee.downstream)
        guard let chain = connection.pointee.chain, let index = downstreams.take() else {
            session.reset(stream, 7)
            return
        }
        let place = downstreams.pointer(index)
        openStream(index, place, entry, connection, stream, chain)
        session.attach(stream, Token(.downstream, index, generation: place.pointee.generation).raw)
        if received.endsStream { place.pointee.flags.insert(.readEnded) }
        if let fault = received.fault {
            refuse(index, place, fault)
        } else if received.isUnknownProtocol {
            answerWithoutRequest(
                index,
                place,
                status: 501,
                reason: "extended CONNECT is for WebSockets alone",
                flags: .downstreamProtocolError
            )
        } else if let text = received.text {
            begin(index, place, chain, text, received)
        }
        let limit = chain.pointee.maxRequests
        if limit > 0, entry.pointee.opened >= limit {
            drainSession(entry, grace: chain.pointee.configuration.settings.drainTimeout)
        }
    }

    private func openStream(
        _ index: Int32,
        _ place: DownstreamPlace,
        _ entry: ClientSessionPlace,
        _ connection: DownstreamPlace,
        _ stream: Int32,
        _ chain: ChainPlace
    ) {
        place.pointee.session = entry.pointee.index
        place.pointee.stream = stream
        place.pointee.listener = connection.pointee.listener
        place.pointee.callerLabels = connection.pointee.callerLabels
        place.pointee.chain = chain
        place.pointee.tls = connection.pointee.tls
        place.pointee.peer = connection.pointee.peer
        place.pointee.destination = connection.pointee.destination
        place.pointee.acceptedAt = connection.pointee.acceptedAt
        place.pointee.id = connection.pointee.id
        place.pointee.since = now
        place.pointee.flags = connection.pointee.flags.intersection([.checksHost, .isNoted])
        let timer = Token(.downstreamTimer, index, generation: place.pointee.generation)
        place.pointee.timer = loop.timers.make(token: timer.raw)
        place.pointee.nextStream = entry.pointee.firstStream
        if entry.pointee.firstStream >= 0 {
            downstreams.pointer(entry.pointee.firstStream).pointee.previousStream = index
        }
        entry.pointee.firstStream = index
        entry.pointee.streams += 1
        entry.pointee.opened &+= 1
        streamCount += 1
        metrics.count(.downstreamHTTP2Requests)
        chain.pointee.numbers.pointee.http2Requests &+= 1
    }

    private func begin(
        _ index: Int32,
        _ place: DownstreamPlace,
        _ chain: ChainPlace,
        _ text: UnsafeMutableRawPointer,
        _ received: HTTP2Head
    ) {
        var limits = HeadLimits()
        // What the text has beyond the client's own: the start line, Host, an upgrade's fields.
        limits.bytes = chain.pointee.limits.bytes + 4096
        limits.fields = chain.pointee.limits.fields + 6
        limits.rejectsUnderscores = chain.pointee.limits.rejectsUnderscores
        switch head.parse(text, count: received.count, limits: limits, fields: &requestFields) {
        case .incomplete: refuse(index, place, .badStartLine)
        case .failed(let fault): refuse(index, place, fault)
        case .complete:
            if received.isWebSocket {
                guard head.isUpgrade else {
                    refuse(index, place, .badUpgrade)
                    return
                }
                head.framing = .none
            } else if received.endsStream || head.method == .connect {
                // The library has seen to it that a declared length is that of the body.
                head.framing = .none
            } else if head.framing == .none, !hasLength() {
                head.framing = .untilClose
            }
            _ = startRequest(index, place, chain, text, received.count)
        }
    }

    private func hasLength() -> Bool {
        for field in 0..<requestFields.count where requestFields.names[field] == .contentLength { return true }
        return false
    }

    /// The request waits for what this feed still brings: of its body, or its reset. What is reset at once costs no connection to an endpoint.
    func deferDispatch(_ index: Int32, _ exchange: ExchangePlace) {
        deferred.append(Token(.downstream, index, generation: exchange.pointee.generation).raw)
    }

    // MARK: Bodies of requests

    func streamData(
        _ entry: ClientSessionPlace,
        _ stream: Int32,
        _ user: UInt64,
        _ bytes: UnsafeMutableRawPointer,
        _ count: Int
    ) {
        let token = Token(raw: user)
        guard user != 0, let place = downstreams.find(token.index, generation: token.generation) else {
            entry.pointee.session?.consumeConnection(count)
            return
        }
        place.pointee.unconsumed &+= Int32(truncatingIfNeeded: count)
        guard place.pointee.exchange >= 0 else {
            giveBack(place)
            return
        }
        let exchange = exchanges.pointer(place.pointee.exchange)
        // Bytes for a tunnel that is not open yet wait, too.
        let isTunnel =
            place.pointee.state == .tunnel || exchange.pointee.flags.contains(.wantsUpgrade)
            || exchange.pointee.method == .connect
        guard isTunnel || !exchange.pointee.requestBody.isComplete else {
            giveBack(place)
            return
        }
        guard buffers.append(&place.pointee.input, bytes, count) else {
            closeDownstream(token.index, place, flags: .localReset)
            return
        }
        // All that this feed brings of it goes on in one piece.
        guard !place.pointee.flags.contains(.isQueued), canCarry(place, exchange) else { return }
        place.pointee.flags.insert(.isQueued)
        uploads.append(user)
    }

    /// Whether what waits of a stream's body can go on now.
    private func canCarry(_ place: DownstreamPlace, _ exchange: ExchangePlace) -> Bool {
        if place.pointee.state == .tunnel { return exchange.pointee.request.isEmpty }
        guard !isHeld(exchange) else { return false }
        let waiting = exchange.pointee.request.count &- Int(exchange.pointee.requestSent)
        return !exchange.pointee.requestBody.isComplete && waiting < Limits.replay
    }

    /// Whether a filter keeps the request, and does not want its body.
    private func isHeld(_ exchange: ExchangePlace) -> Bool {
        exchange.pointee.flags.contains(.isSuspended) && !(exchange.filterRun?.pointee.isCollecting ?? false)
    }

    /// After a feed: bodies go on.
    func carryUploads() {
        var position = 0
        while position < uploads.count {
            let token = Token(raw: uploads[position])
            position += 1
            guard let place = downstreams.find(token.index, generation: token.generation) else { continue }
            place.pointee.flags.remove(.isQueued)
            guard place.pointee.exchange >= 0,
                canCarry(place, exchanges.pointer(place.pointee.exchange))
            else { continue }
            resumeStream(token.index, place)
        }
        uploads.removeAll(keepingCapacity: true)
    }

    /// Brings bytes of a stream on their way to the endpoint.
    private func carryStream(_ index: Int32, _ place: DownstreamPlace, _ bytes: UnsafeMutableRawPointer, _ count: Int) {
        let exchangeIndex = place.pointee.exchange
        let generation = place.pointee.generation
        let exchange = exchanges.pointer(exchangeIndex)
        exchange.pointee.lastActivity = now
        if place.pointee.state == .tunnel {
            carryTunnel(index, place, exchangeIndex, exchange, bytes, count)
        } else {
            var step = Body.Step()
            do throws(HTTPFault) {
                step = try exchange.pointee.requestBody.take(bytes, count)
            } catch {
                closeDownstream(index, place, flags: .downstreamProtocolError)
                return
            }
            exchange.pointee.bytesReceived &+= UInt64(step.consumed)
            // The end goes with the last piece.
            if place.pointee.flags.contains(.readEnded) { _ = exchange.pointee.requestBody.endOfStream() }
            if exchange.pointee.flags.contains(.isSuspended) {
                collect(exchangeIndex, exchange, bytes, step)
            } else {
                carry(exchangeIndex, exchange, bytes, step)
            }
        }
        guard downstreams.find(index, generation: generation) != nil, place.pointee.exchange == exchangeIndex else {
            return
        }
        if exchange.pointee.request.count == Int(exchange.pointee.requestSent) { giveBack(place) }
    }

    private func carryTunnel(
        _ index: Int32,
        _ place: DownstreamPlace,
        _ exchangeIndex: Int32,
        _ exchange: ExchangePlace,
        _ bytes: UnsafeMutableRawPointer,
        _ count: Int
    ) {
        exchange.pointee.bytesReceived &+= UInt64(count)
        metrics.tcpMoved(exchange.pointee.edge, read: count, written: 0)
        guard buffers.append(&exchange.pointee.request, bytes, count) else {
            closeDownstream(index, place, flags: .localReset)
            return
        }
        pump(exchangeIndex, exchange)
    }

    private func takeTrailers(_ session: HTTP2Session, _ stream: Int32, _ user: UInt64, _ received: HTTP2Head) {
        let token = Token(raw: user)
        guard user != 0, let place = downstreams.find(token.index, generation: token.generation),
            place.pointee.exchange >= 0, let text = received.text, received.fault == nil
        else { return }
        let exchange = exchanges.pointer(place.pointee.exchange)
        guard !exchange.pointee.requestBody.isComplete, received.count <= Trailers.maximumBytes else { return }
        _ = buffers.append(&exchange.pointee.trailers, text, received.count)
    }

    /// The client has said all.
    func streamEnded(_ entry: ClientSessionPlace, _ user: UInt64) {
        let token = Token(raw: user)
        guard user != 0, let place = downstreams.find(token.index, generation: token.generation) else { return }
        place.pointee.flags.insert(.readEnded)
        if place.pointee.input.isEmpty { endRequest(token.index, place) }
    }

    /// Everything that the client sent is on its way: the request is whole, or the tunnel's direction ends.
    private func endRequest(_ index: Int32, _ place: DownstreamPlace) {
        guard place.pointee.exchange >= 0 else { return }
        let exchangeIndex = place.pointee.exchange
        let exchange = exchanges.pointer(exchangeIndex)
        if place.pointee.state == .tunnel {
            endTunnelDirection(toUpstream: index, place)
            return
        }
        guard !exchange.pointee.requestBody.isComplete, !isHeld(exchange) else { return }
        // It was whole once, and goes on in pieces.
        if exchange.pointee.extras != nil, hasStored(exchange) { return }
        guard exchange.pointee.requestBody.endOfStream() else {
            closeDownstream(index, place, flags: .downstreamProtocolError)
            return
        }
        var nothing: UInt8 = 0
        withUnsafeMutableBytes(of: &nothing) { raw in
            guard let base = raw.baseAddress else { return }
            if exchange.pointee.flags.contains(.isSuspended) {
                collect(exchangeIndex, exchange, base, Body.Step())
            } else {
                carry(exchangeIndex, exchange, base, Body.Step())
            }
        }
    }

    /// Gives the client its window back for all that does not wait here any more.
    func giveBack(_ place: DownstreamPlace) {
        let count = Int(place.pointee.unconsumed) - place.pointee.input.count
        guard count > 0 else { return }
        place.pointee.unconsumed &-= Int32(truncatingIfNeeded: count)
        let entry = sessions.pointer(place.pointee.session)
        entry.pointee.session?.consume(place.pointee.stream, count)
        touch(entry)
    }

    /// What went to the endpoint is out: what waited follows.
    func resumeStream(_ index: Int32, _ place: DownstreamPlace) {
        guard place.pointee.exchange >= 0 else {
            giveBack(place)
            return
        }
        let generation = place.pointee.generation
        let exchange = exchanges.pointer(place.pointee.exchange)
        if exchange.pointee.request.count == Int(exchange.pointee.requestSent) { giveBack(place) }
        if exchange.pointee.extras != nil, hasStored(exchange) {
            enqueue(index, place)
            return
        }
        guard !isHeld(exchange), place.pointee.state == .tunnel || !exchange.pointee.requestBody.isComplete else {
            return
        }
        if !place.pointee.input.isEmpty, let bytes = place.pointee.input.bytes {
            var held = place.pointee.input
            place.pointee.input = Buffer()
            carryStream(index, place, bytes, held.count)
            buffers.give(&held)
            guard downstreams.find(index, generation: generation) != nil else { return }
        }
        if place.pointee.flags.contains(.readEnded), place.pointee.input.isEmpty { endRequest(index, place) }
    }

    // MARK: Answers

    /// Sends a head, bytes behind it, or both. False when the stream is gone.
    func sendStream(
        _ index: Int32,
        _ place: DownstreamPlace,
        _ headText: UnsafeRawPointer?,
        _ headCount: Int,
        _ data: UnsafeRawPointer?,
        _ dataCount: Int,
        isDone: Bool
    ) -> Bool {
        let entry = sessions.pointer(place.pointee.session)
        guard let session = entry.pointee.session else { return false }
        touch(entry)
        if headCount > 0, let headText {
            let hasBody = !isDone || dataCount > 0 || !place.pointee.trailers.isEmpty
            guard session.sendResponse(place.pointee.stream, headText, headCount, hasBody: hasBody) else {
                closeDownstream(index, place, flags: .localReset)
                return false
            }
            if hasBody { place.pointee.flags.insert(.sendsBody) } else { place.pointee.flags.insert(.streamEnds) }
        }
        if let data, dataCount > 0, !adopt(place, data, dataCount),
            !buffers.append(&place.pointee.output, data, dataCount)
        {
            closeDownstream(index, place, flags: .localReset)
            return false
        }
        if isDone { place.pointee.flags.insert(.streamEnds) }
        if headCount == 0 { session.resume(place.pointee.stream) }
        return true
    }

    /// Takes a large piece over with the scratch buffer in which it was read: no copy.
    private func adopt(_ place: DownstreamPlace, _ data: UnsafeRawPointer, _ count: Int) -> Bool {
        guard count >= 16_384, place.pointee.output.isEmpty, let base = scratch.base, data >= UnsafeRawPointer(base),
            data + count <= UnsafeRawPointer(base) + Int(scratch.capacity), let fresh = buffers.take(Limits.readSize)
        else { return false }
        buffers.give(&place.pointee.output)
        place.pointee.output = scratch
        place.pointee.output.start = Int32(truncatingIfNeeded: data - UnsafeRawPointer(base))
        place.pointee.output.end = place.pointee.output.start &+ Int32(truncatingIfNeeded: count)
        scratch = fresh
        return true
    }

    /// A piece of an answer's body from the endpoint, after its head or behind it.
    func carryStreamResponse(
        _ exchange: ExchangePlace,
        _ bytes: UnsafeMutableRawPointer,
        _ step: Body.Step,
        _ isDone: Bool,
        _ writer: ByteWriter
    ) -> Bool {
        let index = exchange.pointee.downstream
        let place = downstreams.pointer(index)
        exchange.pointee.bytesSent &+= UInt64(writer.count &+ step.data)
        if step.trailers > 0 {
            guard exchange.pointee.trailers.count + step.trailers <= Trailers.maximumBytes,
                buffers.append(&exchange.pointee.trailers, bytes + step.data, step.trailers)
            else {
                closeDownstream(index, place, flags: .upstreamProtocolError)
                return false
            }
        }
        if isDone { moveTrailers(exchange, place) }
        return sendStream(index, place, writer.base, writer.count, bytes, step.data, isDone: isDone)
    }

    /// Trailers that may travel wait behind the body.
    private func moveTrailers(_ exchange: ExchangePlace, _ place: DownstreamPlace) {
        guard let raw = exchange.pointee.trailers.bytes, !exchange.pointee.trailers.isEmpty else { return }
        let count = exchange.pointee.trailers.count
        keepTrailersForLog(exchange, raw, count)
        if buffers.reserve(&place.pointee.trailers, count + 512), let tail = place.pointee.trailers.tail {
            var writer = ByteWriter(tail, capacity: place.pointee.trailers.room)
            if writeTrailers(raw, count, &writer, &responseFields) {
                place.pointee.trailers.end &+= Int32(writer.count)
            }
        }
        buffers.give(&exchange.pointee.trailers)
    }

    /// `100 Continue` and its like.
    func sendInterim(_ place: DownstreamPlace, _ text: StaticString) -> Bool {
        let entry = sessions.pointer(place.pointee.session)
        touch(entry)
        return entry.pointee.session?.sendInterim(place.pointee.stream, text.utf8Start, text.utf8CodeUnitCount) ?? false
    }

    /// The answer is whole, as far as this side is concerned: what waits of it still goes out.
    func streamAnswered(_ index: Int32, _ place: DownstreamPlace) {
        let entry = sessions.pointer(place.pointee.session)
        place.pointee.exchange = -1
        place.pointee.since = now
        place.pointee.state = .http
        buffers.give(&place.pointee.input)
        giveBack(place)
        if place.pointee.flags.contains(.sendsBody) {
            place.pointee.flags.insert(.streamEnds)
            entry.pointee.session?.resume(place.pointee.stream)
        } else if !place.pointee.flags.contains(.readEnded) {
            // Not before the head is on its way: the library drops what waits of a stream that is reset.
            halfOpen.append(Token(.downstream, index, generation: place.pointee.generation).raw)
        }
        touch(entry)
        armDownstream(index, place)
    }

    /// How much of an answer goes into the next frame.
    func supplyStream(
        _ entry: ClientSessionPlace,
        _ user: UInt64,
        _ limit: Int,
        _ flags: UnsafeMutablePointer<UInt32>
    ) -> Int {
        let token = Token(raw: user)
        guard user != 0, let place = downstreams.find(token.index, generation: token.generation) else { return -1 }
        let waiting = place.pointee.output.count
        if waiting > limit { return limit }
        guard place.pointee.flags.contains(.streamEnds) else { return waiting > 0 ? waiting : -1 }
        flags.pointee = HTTP2Supply.ends
        if let trailers = place.pointee.trailers.bytes, !place.pointee.trailers.isEmpty {
            let isSent =
                entry.pointee.session?.sendTrailers(place.pointee.stream, trailers, place.pointee.trailers.count)
                ?? false
            if isSent { flags.pointee = HTTP2Supply.trailersFollow }
            buffers.give(&place.pointee.trailers)
        }
        if !place.pointee.flags.contains(.readEnded), place.pointee.state != .tunnel { halfOpen.append(user) }
        return waiting
    }

    /// Moves bytes of an answer into the connection's output; the endpoint may send more.
    func copyStream(_ user: UInt64, _ target: UnsafeMutableRawPointer, _ count: Int) {
        let token = Token(raw: user)
        guard let place = downstreams.find(token.index, generation: token.generation),
            let bytes = place.pointee.output.bytes
        else {
            target.initializeMemory(as: UInt8.self, repeating: 0, count: count)
            return
        }
        target.copyMemory(from: bytes, byteCount: count)
        place.pointee.output.start &+= Int32(truncatingIfNeeded: count)
        place.pointee.since = now
        activity(place)
        guard place.pointee.output.isEmpty else { return }
        buffers.give(&place.pointee.output)
        guard place.pointee.exchange >= 0 else { return }
        let exchange = exchanges.pointer(place.pointee.exchange)
        guard exchange.pointee.upstream >= 0 else { return }
        let upstream = upstreams.pointer(exchange.pointee.upstream)
        if place.pointee.state == .tunnel, upstream.pointee.flags.contains(.readEnded) {
            endTunnelDirection(toDownstream: token.index, place)
        } else {
            resumeReading(exchange.pointee.upstream, upstream)
        }
    }

    /// Whether the endpoint answered the key that the proxy made for a stream's WebSocket.
    func isAccepted(_ exchange: ExchangePlace, _ memory: UnsafeRawPointer) -> Bool {
        guard let wanted = acceptance(exchange) else { return false }
        for index in 0..<responseFields.count where responseFields.names[index] == .secWebSocketAccept {
            let field = responseFields.fields[index]
            return Int(field.valueLength) == wanted.count
                && cweft_same(memory + Int(field.valueStart), wanted, wanted.count) != 0
        }
        return false
    }

    /// The answer to the key in a request, as it goes to the endpoint.
    func acceptance(_ exchange: ExchangePlace) -> [UInt8]? {
        let name: StaticString = "\r\nsec-websocket-key: "
        guard let text = exchange.pointee.request.bytes,
            let found = memmem(text, exchange.pointee.request.count, name.utf8Start, name.utf8CodeUnitCount)
        else { return nil }
        let start = UnsafeRawPointer(found) + name.utf8CodeUnitCount
        guard start + WebSocketKey.count <= UnsafeRawPointer(text) + exchange.pointee.request.count else { return nil }
        return WebSocketKey.accept(start, WebSocketKey.count)
    }

    /// Nothing more is sent on a stream that relays bytes.
    func endStreamSending(_ place: DownstreamPlace) {
        let entry = sessions.pointer(place.pointee.session)
        place.pointee.flags.insert(.streamEnds)
        entry.pointee.session?.resume(place.pointee.stream)
        touch(entry)
    }

    // MARK: The end of a stream

    /// The library has done with it: both sides have ended, or one was reset.
    func streamClosed(_ entry: ClientSessionPlace, _ user: UInt64, _ code: UInt32) {
        let token = Token(raw: user)
        guard user != 0, let place = downstreams.find(token.index, generation: token.generation) else { return }
        let exchange = place.pointee.exchange
        place.pointee.exchange = -1
        if exchange >= 0 { abandonExchange(exchange, code == 0 ? [] : .downstreamTermination) }
        releaseStream(token.index, place, entry)
    }

    /// Closes a stream from this side.
    func closeStream(_ index: Int32, _ place: DownstreamPlace, flags: ResponseFlags) {
        let entry = sessions.pointer(place.pointee.session)
        let exchange = place.pointee.exchange
        place.pointee.exchange = -1
        if exchange >= 0 { abandonExchange(exchange, flags) }
        touch(entry)
        if flags.isEmpty, place.pointee.flags.contains(.streamEnds) {
            // In order: what waits still goes out.
            place.pointee.state = .http
            place.pointee.since = now
            armDownstream(index, place)
            return
        }
        if let session = entry.pointee.session {
            let code: UInt32 =
                flags.contains(.downstreamProtocolError) ? 1 : flags.contains(.streamIdleTimeout) ? 8 : 2
            session.attach(place.pointee.stream, 0)
            session.reset(place.pointee.stream, code)
        }
        releaseStream(index, place, entry)
    }

    func releaseStream(_ index: Int32, _ place: DownstreamPlace, _ entry: ClientSessionPlace) {
        let next = place.pointee.nextStream
        let previous = place.pointee.previousStream
        if next >= 0 { downstreams.pointer(next).pointee.previousStream = previous }
        if previous >= 0 {
            downstreams.pointer(previous).pointee.nextStream = next
        } else {
            entry.pointee.firstStream = next
        }
        entry.pointee.streams -= 1
        streamCount -= 1
        if place.pointee.unconsumed > 0 { entry.pointee.session?.consumeConnection(Int(place.pointee.unconsumed)) }
        buffers.give(&place.pointee.input)
        buffers.give(&place.pointee.output)
        buffers.give(&place.pointee.trailers)
        loop.timers.free(place.pointee.timer)
        place.pointee.tls = nil
        place.pointee.chain = nil
        downstreams.give(index)
        guard entry.pointee.streams == 0 else { return }
        let connection = downstreams.pointer(entry.pointee.downstream)
        connection.pointee.since = now
        touch(entry)
        armDownstream(entry.pointee.downstream, connection)
    }
}
