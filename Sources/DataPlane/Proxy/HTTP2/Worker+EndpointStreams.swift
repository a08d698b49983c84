import Bytes
import Glibc
import HTTP
import Reactor
import Traffic

/// Streams to endpoints: each is an `Upstream` without a descriptor, so that everything before is the same as for HTTP/1.
extension Worker {
    // MARK: Requests

    /// Gives a request a stream of a session.
    func openStream(_ entry: EndpointPlace, _ index: Int32, _ exchange: ExchangePlace, isReused: Bool) {
        let connection = upstreams.pointer(entry.pointee.upstream)
        let cluster = connection.pointee.cluster
        guard let streamIndex = upstreams.take() else {
            connectFailed(index, exchange, cluster, exchange.pointee.endpoint, code: EMFILE)
            return
        }
        let stream = upstreams.pointer(streamIndex)
        stream.pointee.flags =
            isReused && entry.pointee.flags.contains(.isReady) ? [.isStream, .isReused] : [.isStream]
        stream.pointee.state = .busy
        stream.pointee.cluster = cluster
        stream.pointee.endpoint = connection.pointee.endpoint
        stream.pointee.session = entry.pointee.index
        stream.pointee.address = connection.pointee.address
        stream.pointee.openedAt = connection.pointee.openedAt
        stream.pointee.below = entry.pointee.firstStream
        if entry.pointee.firstStream >= 0 { upstreams.pointer(entry.pointee.firstStream).pointee.above = streamIndex }
        entry.pointee.firstStream = streamIndex
        entry.pointee.streams &+= 1
        entry.pointee.opened &+= 1
        metrics.count(.upstreamHTTP2Requests)
        attach(streamIndex, stream, index, exchange)
        exchange.pointee.state = entry.pointee.flags.contains(.isReady) ? .awaitingResponse : .connecting
        let limit = cluster.pointee.maxRequests
        if limit > 0, entry.pointee.opened >= limit { retireSession(entry) }
        // Whether the endpoint takes extended CONNECT is in its settings (RFC 8441 section 3).
        if exchange.pointee.flags.contains(.wantsUpgrade), !entry.pointee.flags.contains(.sawSettings) {
            touch(entry)
            return
        }
        submit(entry, streamIndex, stream, index, exchange)
    }

    /// Hands the head to the library.
    private func submit(
        _ entry: EndpointPlace,
        _ streamIndex: Int32,
        _ stream: UpstreamPlace,
        _ index: Int32,
        _ exchange: ExchangePlace
    ) {
        guard let session = entry.pointee.session, let bytes = exchange.pointee.request.bytes else { return }
        let isUpgrade = exchange.pointee.flags.contains(.wantsUpgrade)
        if exchange.pointee.isRaw { awaitTunnel(entry, exchange) }
        guard !isUpgrade || session.peerAllowsConnect else {
            answer(index, exchange, status: 502, reason: "the endpoint takes no WebSocket over HTTP/2")
            return
        }
        let head = headLength(exchange)
        let hasBody =
            relaysBytes(exchange) || !exchange.pointee.requestBody.isComplete || exchange.pointee.request.count > head
            || !exchange.pointee.trailers.isEmpty
        let number =
            session.canOpen
            ? session.sendRequest(
                bytes,
                head,
                isHTTPS: isHTTPS(exchange, upstreams.pointer(entry.pointee.upstream)),
                hasBody: hasBody,
                isWebSocket: isUpgrade,
                user: Token(.upstream, streamIndex, generation: stream.pointee.generation).raw
            ) : nil
        touch(entry)
        guard let number else {
            // The numbers are used up, or the session is about to end.
            retireSession(entry)
            let isFull = !session.canOpen
            streamBroke(entry, streamIndex, stream, code: isFull ? 7 : 1, .resetBeforeRequest)
            return
        }
        stream.pointee.stream = number
        exchange.pointee.requestSent = Int32(truncatingIfNeeded: head)
        if !hasBody { stream.pointee.flags.insert(.writeEnded) }
        if exchange.pointee.request.count == head { requestFlushed(index, exchange, streamIndex, stream) }
    }

    /// The scheme of the request is the client's: what the endpoint is told in x-forwarded-proto, as a rule.
    private func isHTTPS(_ exchange: ExchangePlace, _ connection: UpstreamPlace) -> Bool {
        let place = downstreams.pointer(exchange.pointee.downstream)
        if let chain = place.pointee.chain {
            if let overwritten = chain.pointee.isHTTPS { return overwritten }
            if chain.pointee.schemeFollowsEndpoint { return connection.pointee.tls != nil }
        }
        return place.pointee.tls != nil || connection.pointee.tls != nil
    }

    /// There is more to send on a stream.
    func pumpStream(_ index: Int32, _ exchange: ExchangePlace, _ streamIndex: Int32, _ stream: UpstreamPlace) {
        guard stream.pointee.stream > 0 else { return }
        let entry = endpointSessions.pointer(stream.pointee.session)
        entry.pointee.session?.resume(stream.pointee.stream)
        touch(entry)
        if exchange.pointee.request.count == Int(exchange.pointee.requestSent), exchange.pointee.state == .tunnel {
            requestFlushed(index, exchange, streamIndex, stream)
        }
    }

    /// How much of a request goes into the next frame.
    func supplyEndpoint(
        _ entry: EndpointPlace,
        _ user: UInt64,
        _ limit: Int,
        _ flags: UnsafeMutablePointer<UInt32>
    ) -> Int {
        guard let stream = stream(user), stream.pointee.exchange >= 0 else { return -1 }
        let exchange = exchanges.pointer(stream.pointee.exchange)
        let waiting = exchange.pointee.request.count &- Int(exchange.pointee.requestSent)
        if waiting > limit { return limit }
        let isDone =
            exchange.pointee.state == .tunnel
            ? stream.pointee.flags.contains(.endsSending)
            : exchange.pointee.requestBody.isComplete && !relaysBytes(exchange)
        guard isDone else { return waiting > 0 ? waiting : -1 }
        stream.pointee.flags.insert(.writeEnded)
        flags.pointee = HTTP2Supply.ends
        if exchange.pointee.state != .tunnel, exchange.pointee.state != .responding,
            sendTrailers(entry, stream, exchange)
        {
            flags.pointee = HTTP2Supply.trailersFollow
        }
        return waiting
    }

    private func sendTrailers(_ entry: EndpointPlace, _ stream: UpstreamPlace, _ exchange: ExchangePlace) -> Bool {
        guard let raw = exchange.pointee.trailers.bytes, !exchange.pointee.trailers.isEmpty else { return false }
        // Parsing rearranges nothing, so that a further try finds them as they were.
        var writer = ByteWriter(out, capacity: Limits.outSize)
        guard writeTrailers(raw, exchange.pointee.trailers.count, &writer, &requestFields), writer.count > 0 else {
            return false
        }
        return entry.pointee.session?.sendTrailers(stream.pointee.stream, writer.base, writer.count) ?? false
    }

    /// Moves bytes of a request into the connection's output; the client may send more.
    func copyEndpoint(_ user: UInt64, _ target: UnsafeMutableRawPointer, _ count: Int) {
        guard let stream = stream(user), stream.pointee.exchange >= 0 else {
            target.initializeMemory(as: UInt8.self, repeating: 0, count: count)
            return
        }
        let index = stream.pointee.exchange
        let exchange = exchanges.pointer(index)
        let sent = Int(exchange.pointee.requestSent)
        guard let bytes = exchange.pointee.request.bytes, exchange.pointee.request.count - sent >= count else {
            target.initializeMemory(as: UInt8.self, repeating: 0, count: count)
            return
        }
        target.copyMemory(from: bytes + sent, byteCount: count)
        exchange.pointee.flags.insert(.sentBytes)
        exchange.pointee.requestSent &+= Int32(truncatingIfNeeded: count)
        exchange.pointee.lastActivity = now
        guard exchange.pointee.request.count == Int(exchange.pointee.requestSent) else { return }
        requestFlushed(index, exchange, Token(raw: user).index, stream)
    }

    @inline(__always)
    private func stream(_ user: UInt64) -> UpstreamPlace? {
        let token = Token(raw: user)
        return user != 0 ? upstreams.find(token.index, generation: token.generation) : nil
    }

    /// Nothing more is sent on a stream that relays bytes.
    func endStreamSending(_ stream: UpstreamPlace) {
        stream.pointee.flags.insert(.endsSending)
        guard stream.pointee.stream > 0 else { return }
        let entry = endpointSessions.pointer(stream.pointee.session)
        entry.pointee.session?.resume(stream.pointee.stream)
        touch(entry)
    }

    /// The endpoint's settings are here: what had to wait for them goes out, what is too much goes elsewhere.
    func settingsCame(_ entry: EndpointPlace) {
        guard let session = entry.pointee.session else { return }
        entry.pointee.peerLimit = session.peerMaxConcurrentStreams
        let isFirst = !entry.pointee.flags.contains(.sawSettings)
        entry.pointee.flags.insert(.sawSettings)
        var next = entry.pointee.firstStream
        while isFirst, next >= 0 {
            let index = next
            let stream = upstreams.pointer(index)
            next = stream.pointee.below
            guard stream.pointee.stream == 0, stream.pointee.exchange >= 0 else { continue }
            submit(entry, index, stream, stream.pointee.exchange, exchanges.pointer(stream.pointee.exchange))
        }
        next = entry.pointee.firstStream
        while next >= 0, UInt32(entry.pointee.streams) > entry.pointee.peerLimit {
            let index = next
            let stream = upstreams.pointer(index)
            next = stream.pointee.below
            guard stream.pointee.stream > session.lastStreamSent else { continue }
            session.reset(stream.pointee.stream, 8)
            streamBroke(entry, index, stream, code: 7, .resetBeforeRequest)
        }
    }

    // MARK: Answers

    /// An answer's head, or its trailers.
    func endpointHead(_ entry: EndpointPlace, _ user: UInt64) {
        guard let session = entry.pointee.session, let stream = stream(user), stream.pointee.exchange >= 0 else {
            return
        }
        let received = session.head
        let index = Token(raw: user).index
        let exchangeIndex = stream.pointee.exchange
        let exchange = exchanges.pointer(exchangeIndex)
        exchange.pointee.lastActivity = now
        stream.pointee.flags.insert(.hasAnswered)
        if received.endsStream { stream.pointee.flags.insert(.readEnded) }
        guard received.fault == nil, let text = received.text else {
            badAnswer(entry, index, stream)
            return
        }
        if received.kind == .trailers {
            takeAnswerTrailers(exchange, text, received.count)
            return
        }
        let outcome = responseHead.parse(
            text,
            count: received.count,
            limits: .streamed,
            request: exchange.pointee.method,
            fields: &responseFields
        )
        guard outcome == .complete, exchange.pointee.state != .responding, exchange.pointee.state != .tunnel else {
            badAnswer(entry, index, stream)
            return
        }
        if responseHead.isInterim {
            exchange.pointee.interims &+= 1
            guard exchange.pointee.interims <= Limits.interims else {
                metrics.violation(.tooManyInterimResponses)
                badAnswer(entry, index, stream)
                return
            }
            if responseHead.status == 100 { _ = forwardContinue(exchange) }
            return
        }
        if exchange.pointee.isRaw {
            openTunnel(entry, index, stream, exchangeIndex, exchange)
            return
        }
        if exchange.pointee.flags.contains(.wantsUpgrade), responseHead.status < 300 {
            switchStream(index, stream, exchangeIndex, exchange, text)
            return
        }
        if received.endsStream {
            let mayHaveBody = responseHead.status >= 200 && responseHead.status != 204 && responseHead.status != 304
            if responseHead.declaredLength == nil, mayHaveBody, exchange.pointee.method != .head {
                responseHead.declaredLength = 0
            }
            responseHead.framing = .none
        }
        beginResponse(index, stream, exchangeIndex, exchange, text, responseHead.length)
    }

    /// The endpoint took the WebSocket: from here on bytes are relayed.
    private func switchStream(
        _ index: Int32,
        _ stream: UpstreamPlace,
        _ exchangeIndex: Int32,
        _ exchange: ExchangePlace,
        _ text: UnsafeMutableRawPointer
    ) {
        switchProtocols(index, stream, exchangeIndex, exchange, text, responseHead.length)
    }

    private func takeAnswerTrailers(_ exchange: ExchangePlace, _ text: UnsafeMutableRawPointer, _ count: Int) {
        guard exchange.pointee.state == .responding, count <= Trailers.maximumBytes else { return }
        if exchange.pointee.flags.contains(.isGRPC) { noteCallStatus(exchange, trailers: text, count) }
        // Those of the request are of no use any more.
        buffers.give(&exchange.pointee.trailers)
        _ = buffers.append(&exchange.pointee.trailers, text, count)
    }

    func endpointData(_ entry: EndpointPlace, _ user: UInt64, _ bytes: UnsafeMutableRawPointer, _ count: Int) {
        guard let stream = stream(user), stream.pointee.exchange >= 0 else {
            entry.pointee.session?.consumeConnection(count)
            return
        }
        let index = Token(raw: user).index
        stream.pointee.unconsumed &+= Int32(truncatingIfNeeded: count)
        let exchangeIndex = stream.pointee.exchange
        let exchange = exchanges.pointer(exchangeIndex)
        exchange.pointee.lastActivity = now
        let downstream = exchange.pointee.downstream
        if exchange.pointee.state == .tunnel {
            exchange.pointee.bytesSent &+= UInt64(count)
            metrics.tcpMoved(exchange.pointee.edge, read: 0, written: count)
            sendDownstream(downstream, downstreams.pointer(downstream), nil, 0, bytes, count)
        } else if exchange.pointee.state == .responding {
            let writer = ByteWriter(out, capacity: Limits.outSize)
            carryResponse(index, stream, exchangeIndex, exchange, bytes, count, writer)
        }
        // As long as the client has not taken it, the endpoint may not send as much again.
        guard self.stream(user) != nil, stream.pointee.exchange == exchangeIndex,
            downstreams.pointer(downstream).pointee.output.isEmpty,
            !exchange.pointee.flags.contains(.isShadow) || !holdsBack(exchange)
        else { return }
        giveBack(stream)
    }

    /// Gives the endpoint its window back: the client has taken everything.
    func giveBack(_ stream: UpstreamPlace) {
        guard stream.pointee.unconsumed > 0, stream.pointee.stream > 0 else { return }
        if stream.pointee.exchange >= 0 {
            let exchange = exchanges.pointer(stream.pointee.exchange)
            if exchange.pointee.extras != nil, isHeldByPace(exchange) { return }
        }
        let entry = endpointSessions.pointer(stream.pointee.session)
        entry.pointee.session?.consume(stream.pointee.stream, Int(stream.pointee.unconsumed))
        stream.pointee.unconsumed = 0
        touch(entry)
    }

    /// The endpoint has said all.
    func endpointEnded(_ user: UInt64) {
        guard let stream = stream(user), stream.pointee.exchange >= 0 else { return }
        let index = Token(raw: user).index
        let exchangeIndex = stream.pointee.exchange
        let exchange = exchanges.pointer(exchangeIndex)
        stream.pointee.flags.insert(.readEnded)
        if exchange.pointee.state == .tunnel {
            endTunnelDirection(
                toDownstream: exchange.pointee.downstream,
                downstreams.pointer(exchange.pointee.downstream)
            )
            return
        }
        guard exchange.pointee.state == .responding else { return }
        _ = exchange.pointee.responseBody.endOfStream()
        carryResponse(index, stream, exchangeIndex, exchange, out, 0, ByteWriter(out, capacity: Limits.outSize))
    }

    // MARK: The end of a stream

    func badAnswer(_ entry: EndpointPlace, _ index: Int32, _ stream: UpstreamPlace) {
        metrics.violation(.badResponse)
        entry.pointee.session?.reset(stream.pointee.stream, 1)
        touch(entry)
        streamBroke(entry, index, stream, code: 1, .badResponse)
    }

    /// The library has done with it.
    func endpointClosed(_ entry: EndpointPlace, _ user: UInt64, _ code: UInt32) {
        guard let stream = stream(user) else { return }
        if code == 0, stream.pointee.exchange >= 0,
            exchanges.pointer(stream.pointee.exchange).pointee.state == .tunnel,
            stream.pointee.flags.contains(.readEnded)
        {
            stream.pointee.flags.insert(.isOver)
            return
        }
        streamBroke(entry, Token(raw: user).index, stream, code: code, .resetBeforeResponse)
    }

    /// A stream ended before its answer did; `code` is nil when its connection did.
    func streamBroke(
        _ entry: EndpointPlace,
        _ index: Int32,
        _ stream: UpstreamPlace,
        code: UInt32?,
        _ failure: FailureText
    ) {
        let exchangeIndex = stream.pointee.exchange
        let lastSent = entry.pointee.session?.lastStreamSent ?? 0
        let wasSent =
            stream.pointee.stream > 0 && stream.pointee.stream <= lastSent && entry.pointee.flags.contains(.isReady)
        let isStale =
            code == nil && stream.pointee.flags.contains(.isReused) && !stream.pointee.flags.contains(.hasAnswered)
        stream.pointee.exchange = -1
        releaseStream(entry, index, stream)
        guard exchangeIndex >= 0 else { return }
        let exchange = exchanges.pointer(exchangeIndex)
        exchange.pointee.upstream = -1
        let downstream = exchange.pointee.downstream
        let place = downstreams.pointer(downstream)
        if exchange.pointee.state == .tunnel {
            closeDownstream(downstream, place, flags: .upstreamRemoteReset)
        } else if exchange.pointee.state == .responding {
            exchange.pointee.failure = .truncatedResponse
            endTry(exchange, .localFailure)
            closeDownstream(downstream, place, flags: .upstreamConnectionTermination)
        } else if code == 7 || !wasSent {
            // Nothing was done with it, and the endpoint says so.
            exchange.pointee.failure = .resetBeforeRequest
            tryFailed(exchangeIndex, exchange, .refusedStream, result: .cancelled)
        } else if code == 1 || failure == .badResponse {
            exchange.pointee.failure = .badResponse
            tryFailed(exchangeIndex, exchange, .protocolError, result: .localFailure)
        } else {
            exchange.pointee.failure = failure
            let kind: TryFailure = isStale ? .staleConnection : .resetBeforeResponse
            tryFailed(exchangeIndex, exchange, kind, result: isStale ? .cancelled : .localFailure)
        }
    }

    /// Closes a stream from this side; what is not over yet is reset.
    func closeStream(_ index: Int32, _ stream: UpstreamPlace) {
        let entry = endpointSessions.pointer(stream.pointee.session)
        let isOver =
            stream.pointee.flags.contains(.isOver) || stream.pointee.flags.isSuperset(of: [.readEnded, .writeEnded])
        if stream.pointee.stream > 0, !isOver {
            entry.pointee.session?.reset(stream.pointee.stream, stream.pointee.flags.contains(.readEnded) ? 0 : 8)
        }
        releaseStream(entry, index, stream)
    }

    func releaseStream(_ entry: EndpointPlace, _ index: Int32, _ stream: UpstreamPlace) {
        let above = stream.pointee.above
        let below = stream.pointee.below
        if below >= 0 { upstreams.pointer(below).pointee.above = above }
        if above >= 0 { upstreams.pointer(above).pointee.below = below } else { entry.pointee.firstStream = below }
        if stream.pointee.unconsumed > 0 { entry.pointee.session?.consumeConnection(Int(stream.pointee.unconsumed)) }
        entry.pointee.streams &-= 1
        buffers.give(&stream.pointee.input)
        upstreams.give(index)
        touch(entry)
        let connection = upstreams.pointer(entry.pointee.upstream)
        if entry.pointee.streams == 0, entry.pointee.flags.contains(.isReady) {
            entry.pointee.idleSince = now
            armSession(entry, connection)
        }
        let cluster = connection.pointee.cluster
        if cluster.pointee.firstPending >= 0 {
            // The waiting one may be another client's, or want another address: it gets the connection's place.
            let isShared = connection.pointee.endpoint >= 0 && !cluster.pointee.keysConnections
            if entry.pointee.streams == 0, !isShared { retireSession(entry) }
            hold(cluster)
            freed.append(cluster)
        }
    }
}

extension HeadLimits {
    /// Those of the library count, which writes a start line before.
    static var streamed: HeadLimits {
        var limits = HeadLimits.responses
        limits.bytes = 128 * 1024
        return limits
    }
}
