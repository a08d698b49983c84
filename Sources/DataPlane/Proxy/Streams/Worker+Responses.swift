import Bytes
import CWeft
import Glibc
import HTTP
import Reactor
import Traffic

/// Carries responses to clients.
extension Worker {
    func readResponse(_ index: Int32, _ upstream: UpstreamPlace, _ exchangeIndex: Int32, _ exchange: ExchangePlace) {
        let place = downstreams.pointer(exchange.pointee.downstream)
        guard place.pointee.output.isEmpty else {
            // The client is slower: the endpoint waits.
            pauseReading(index, upstream)
            return
        }
        if exchange.pointee.state == .responding {
            readResponseBody(index, upstream, exchangeIndex, exchange)
            return
        }
        let memory: UnsafeMutableRawPointer
        let count: Int
        if upstream.pointee.input.base == nil {
            guard let base = scratch.base else { return }
            memory = base
            let most = upstream.pointee.tls == nil ? Limits.firstRead : Int(scratch.capacity)
            count = receive(index, upstream, memory, most)
            guard count > 0 else {
                responseEnded(index, upstream, exchangeIndex, exchange, count)
                return
            }
        } else {
            guard buffers.reserve(&upstream.pointee.input, 4096), let tail = upstream.pointee.input.tail else {
                upstreamBroke(exchangeIndex, exchange, index, upstream, .badResponse)
                return
            }
            let more = receive(index, upstream, tail, upstream.pointee.input.room)
            guard more > 0 else {
                responseEnded(index, upstream, exchangeIndex, exchange, more)
                return
            }
            upstream.pointee.input.end &+= Int32(more)
            guard let bytes = upstream.pointee.input.bytes else { return }
            memory = bytes
            count = upstream.pointee.input.count
        }
        upstream.pointee.flags.insert(.hasAnswered)
        exchange.pointee.lastActivity = now
        takeResponse(index, upstream, exchangeIndex, exchange, memory, count)
    }

    /// The connection ended, or has nothing to say, before a response head was complete.
    private func responseEnded(
        _ index: Int32,
        _ upstream: UpstreamPlace,
        _ exchangeIndex: Int32,
        _ exchange: ExchangePlace,
        _ count: Int
    ) {
        if count == -Int(EAGAIN) { return }
        upstreamBroke(
            exchangeIndex,
            exchange,
            index,
            upstream,
            count == 0 ? .closedBeforeResponse : .resetBeforeResponse
        )
    }

    /// Reads heads: interim ones, then the final one.
    private func takeResponse(
        _ index: Int32,
        _ upstream: UpstreamPlace,
        _ exchangeIndex: Int32,
        _ exchange: ExchangePlace,
        _ memory: UnsafeMutableRawPointer,
        _ count: Int
    ) {
        var position = 0
        while true {
            let outcome = responseHead.parse(
                memory + position,
                count: count - position,
                limits: HeadLimits.responses,
                request: exchange.pointee.method,
                fields: &responseFields
            )
            switch outcome {
            case .failed:
                metrics.violation(.badResponse)
                upstreamBroke(exchangeIndex, exchange, index, upstream, .badResponse)
                return
            case .incomplete:
                holdResponse(index, upstream, exchangeIndex, exchange, memory + position, count - position)
                return
            case .complete: break
            }
            guard responseHead.isInterim else { break }
            exchange.pointee.interims &+= 1
            guard exchange.pointee.interims <= Limits.interims else {
                metrics.violation(.tooManyInterimResponses)
                upstreamBroke(exchangeIndex, exchange, index, upstream, .badResponse)
                return
            }
            position += responseHead.length
            if responseHead.status == 100, !forwardContinue(exchange) { return }
            if position == count {
                buffers.give(&upstream.pointee.input)
                return
            }
        }
        if upstream.pointee.cluster.pointee.hasChecks { lookForFailure(upstream, memory + position) }
        var there = count - position
        if count == Limits.firstRead, memory == scratch.base {
            there += readMore(index, upstream, exchange, memory + position, there)
        }
        beginResponse(index, upstream, exchangeIndex, exchange, memory + position, there)
    }

    /// A body that will not be moved inside the kernel is read behind its head in one go.
    private func readMore(
        _ index: Int32,
        _ upstream: UpstreamPlace,
        _ exchange: ExchangePlace,
        _ memory: UnsafeMutableRawPointer,
        _ count: Int
    ) -> Int {
        guard let base = scratch.base, responseHead.framing != .none, exchange.pointee.extras?.pointee.pace == nil
        else {
            return 0
        }
        if case .length(let length) = responseHead.framing {
            let there = UInt64(count - responseHead.length)
            if length <= there { return 0 }
            let place = downstreams.pointer(exchange.pointee.downstream)
            if length - there >= UInt64(Limits.leastMove), canMove(upstream, place) { return 0 }
        }
        // An end or an error is met again by the next read.
        let room = Int(scratch.capacity) - (memory - base) - count
        return max(0, receive(index, upstream, memory + count, room))
    }

    /// Keeps an incomplete head for the next bytes.
    private func holdResponse(
        _ index: Int32,
        _ upstream: UpstreamPlace,
        _ exchangeIndex: Int32,
        _ exchange: ExchangePlace,
        _ bytes: UnsafeMutableRawPointer,
        _ count: Int
    ) {
        if upstream.pointee.input.base != nil {
            upstream.pointee.input.start = upstream.pointee.input.end &- Int32(count)
        } else if !buffers.append(&upstream.pointee.input, bytes, count) {
            upstreamBroke(exchangeIndex, exchange, index, upstream, .badResponse)
        }
    }

    /// `100 Continue` goes to a client that asked for it, once. False when the connection is gone.
    func forwardContinue(_ exchange: ExchangePlace) -> Bool {
        guard exchange.pointee.flags.contains(.expectsContinue), !exchange.pointee.requestBody.isComplete else {
            return true
        }
        exchange.pointee.flags.remove(.expectsContinue)
        let text: StaticString = "HTTP/1.1 100 Continue\r\n\r\n"
        let index = exchange.pointee.downstream
        let place = downstreams.pointer(index)
        if place.pointee.isStream { return sendInterim(place, text) }
        return sendDownstream(index, place, text.utf8Start, text.utf8CodeUnitCount)
    }

    /// A final head is complete: it is retried, becomes a tunnel, or goes to the client.
    func beginResponse(
        _ index: Int32,
        _ upstream: UpstreamPlace,
        _ exchangeIndex: Int32,
        _ exchange: ExchangePlace,
        _ memory: UnsafeMutableRawPointer,
        _ count: Int
    ) {
        let status = responseHead.status
        if status == 101 {
            guard exchange.pointee.flags.contains(.wantsUpgrade), responseHead.flags.contains(.isWebSocket) else {
                upstreamBroke(exchangeIndex, exchange, index, upstream, .badResponse)
                return
            }
            switchProtocols(index, upstream, exchangeIndex, exchange, memory, count)
            return
        }
        if exchange.pointee.flags.contains(.followsRedirects), (300...399).contains(status),
            follows(exchangeIndex, exchange, status, index, upstream, memory)
        {
            return
        }
        if exchange.pointee.method == .connect, status < 300 {
            openConnect(index, upstream, exchangeIndex, exchange, memory, count)
            return
        }
        if status >= 400 || exchange.pointee.flags.contains(.judgesEveryAnswer),
            isRetried(exchangeIndex, exchange, status, memory, count, index, upstream)
        {
            return
        }
        if status >= 400, exchange.pointee.extras != nil, fallsBack(exchangeIndex, exchange, status, index, upstream) {
            return
        }
        exchange.pointee.status = status
        if exchange.pointee.flags.contains(.isGRPC) { noteCallStatus(exchange, head: memory) }
        exchange.pointee.respondedAt = now
        exchange.pointee.tryDeadline = .max
        exchange.pointee.state = .responding
        if exchange.pointee.flags.contains(.hasTryIdleTimeout) { watchSilence(exchange) }
        // The end of a stream is its own; a declared length is the library's to check.
        let isOpen = upstream.pointee.isStream && responseHead.framing != .none
        exchange.pointee.responseBody = Body(isOpen ? .untilClose : responseHead.framing)
        let place = downstreams.pointer(exchange.pointee.downstream)
        if !responseHead.keepsAlive { upstream.pointee.flags.insert(.closesAfterResponse) }
        // Trailers of a request whose form carries none are nobody's: they must not come out behind the answer.
        let hasTrailers = exchange.pointee.trailers.base != nil
        if hasTrailers, !upstream.pointee.isStream { buffers.give(&exchange.pointee.trailers) }
        // Answered before the request was whole: its rest may never be read (RFC 9112 section 9.3).
        if !exchange.pointee.requestBody.isComplete { place.pointee.flags.insert(.closesAfterResponse) }
        if exchange.pointee.flags.contains(.isShadow) {
            takeShadowHead(exchange, memory)
            let length = responseHead.length
            let nothing = ByteWriter(out, capacity: Limits.outSize)
            carryResponse(index, upstream, exchangeIndex, exchange, memory + length, count - length, nothing)
            return
        }
        let length = responseHead.length
        var text = memory
        if exchange.pointee.extras != nil {
            endHedges(exchange)
            if exchange.filterRun != nil {
                let hasBody = responseHead.framing != .none
                text = filterAnswer(exchange, place, memory, isLocal: false, hasBody: hasBody)
                exchange.pointee.status = responseHead.status
            }
        }
        chooseFraming(exchange, place)
        var writer = ByteWriter(out, capacity: Limits.outSize)
        writeResponseHead(exchange, place, text, &writer)
        if let chain = place.pointee.chain, chain.pointee.logs {
            keepForLog(exchange, upstream, chain, text, responseHead.length)
            if exchange.pointee.extras?.pointee.tap != nil { tell(exchange, .response) }
        }
        guard !writer.overflowed else {
            upstreamBroke(exchangeIndex, exchange, index, upstream, .badResponse)
            return
        }
        carryResponse(index, upstream, exchangeIndex, exchange, memory + length, count - length, writer)
    }

    /// How the answer is delimited towards this client.
    private func chooseFraming(_ exchange: ExchangePlace, _ place: DownstreamPlace) {
        guard !place.pointee.isStream else { return }
        let isOld = exchange.pointee.flags.contains(.isHTTP10)
        switch responseHead.framing {
        case .none, .length: break
        case .chunked, .untilClose:
            if isOld {
                place.pointee.flags.insert(.closesAfterResponse)
            } else {
                exchange.pointee.flags.insert(.responseIsChunked)
            }
        }
    }

    private func readResponseBody(
        _ index: Int32,
        _ upstream: UpstreamPlace,
        _ exchangeIndex: Int32,
        _ exchange: ExchangePlace
    ) {
        guard let memory = scratch.base else { return }
        var most = Int(scratch.capacity)
        if exchange.pointee.extras != nil {
            guard !isHeldByPace(exchange) else {
                pauseReading(index, upstream)
                return
            }
            most = min(most, exchange.pointee.extras?.pointee.pace?.slice ?? most)
        }
        var count = moveBody(upstream, exchange)
        if count > 0 {
            if exchange.pointee.responseBody.isComplete { finishResponse(index, upstream, exchangeIndex, exchange) }
            return
        }
        if count == Self.cannotMove { count = receive(index, upstream, memory, most) }
        if count > 0 {
            exchange.pointee.lastActivity = now
            carryResponse(
                index,
                upstream,
                exchangeIndex,
                exchange,
                memory,
                count,
                ByteWriter(out, capacity: Limits.outSize)
            )
            return
        }
        if count == -Int(EAGAIN) { return }
        upstream.pointee.flags.insert(.closesAfterResponse)
        if count == 0, exchange.pointee.responseBody.endOfStream() {
            if exchange.pointee.flags.contains(.isShadow) {
                _ = carryShadow(exchange, memory, Body.Step(), true)
            } else if exchange.pointee.extras != nil, let run = exchange.filterRun,
                !run.pointee.answerTransforms.isEmpty
            {
                let writer = ByteWriter(out, capacity: Limits.outSize)
                carryResponse(index, upstream, exchangeIndex, exchange, memory, 0, writer)
                return
            }
            let last: StaticString = "0\r\n\r\n"
            let place = downstreams.pointer(exchange.pointee.downstream)
            if exchange.pointee.flags.contains(.responseIsChunked) {
                guard
                    sendDownstream(exchange.pointee.downstream, place, last.utf8Start, last.utf8CodeUnitCount)
                else { return }
                exchange.pointee.bytesSent &+= UInt64(last.utf8CodeUnitCount)
            }
            finishResponse(index, upstream, exchangeIndex, exchange)
        } else {
            truncated(index, upstream, exchangeIndex, exchange, .truncatedResponse)
        }
    }

    /// Sends what `writer` holds (a head, or nothing yet) and a piece of the body behind it.
    func carryResponse(
        _ index: Int32,
        _ upstream: UpstreamPlace,
        _ exchangeIndex: Int32,
        _ exchange: ExchangePlace,
        _ bytes: UnsafeMutableRawPointer,
        _ count: Int,
        _ head: ByteWriter
    ) {
        var writer = head
        var step = Body.Step()
        do throws(HTTPFault) {
            step = try exchange.pointee.responseBody.take(bytes, count)
        } catch {
            metrics.violation(.badResponse)
            truncated(index, upstream, exchangeIndex, exchange, .badResponse)
            return
        }
        if step.consumed < count {
            // Bytes behind the response belong to nobody: this connection serves no further request.
            metrics.violation(.unexpectedResponseBytes)
            upstream.pointee.flags.insert(.closesAfterResponse)
        }
        let isDone = exchange.pointee.responseBody.isComplete
        let place = downstreams.pointer(exchange.pointee.downstream)
        let ends = isDone && place.pointee.flags.contains(.closesAfterResponse) && endsInOrder(exchange, place)
        let isSent: Bool
        var bytes = bytes
        if exchange.pointee.extras != nil { chargePace(exchange, step.data) }
        if exchange.pointee.extras != nil, let run = exchange.filterRun, !run.pointee.answerTransforms.isEmpty {
            guard let made = changeAnswerBody(exchange, run, bytes, &step, isLast: isDone) else {
                guard writer.count > 0 else {
                    truncated(index, upstream, exchangeIndex, exchange, .badResponse)
                    return
                }
                // Nothing of it went to the client yet.
                forgetAnswer(exchange, run)
                upstreamBroke(exchangeIndex, exchange, index, upstream, .badResponse)
                return
            }
            bytes = made
        }
        if exchange.pointee.flags.contains(.isShadow) {
            isSent = carryShadow(exchange, bytes, step, isDone)
        } else if place.pointee.isStream {
            isSent = carryStreamResponse(exchange, bytes, step, isDone, writer)
        } else if exchange.pointee.flags.contains(.responseIsChunked) {
            isSent = sendChunk(exchange, bytes, step, isDone, &writer, ends: ends)
        } else {
            isSent = sendPlain(upstream, exchange, bytes, step.data, &writer, ends: ends)
        }
        guard isSent else { return }
        if ends, place.pointee.output.isEmpty, place.pointee.tls == nil { Socket.shutdownWrite(place.pointee.fd) }
        buffers.give(&upstream.pointee.input)
        if exchange.pointee.responseBody.isComplete { finishResponse(index, upstream, exchangeIndex, exchange) }
    }

    /// Whether a connection is closed right behind its answer: the end then goes into the answer's last packet.
    private func endsInOrder(_ exchange: ExchangePlace, _ place: DownstreamPlace) -> Bool {
        !place.pointee.isStream && !place.pointee.flags.contains(.isShadow) && place.pointee.input.isEmpty
            && exchange.pointee.requestBody.isComplete
    }

    private func sendPlain(
        _ upstream: UpstreamPlace,
        _ exchange: ExchangePlace,
        _ bytes: UnsafeMutableRawPointer,
        _ count: Int,
        _ writer: inout ByteWriter,
        ends: Bool
    ) -> Bool {
        exchange.pointee.bytesSent &+= UInt64(writer.count &+ count)
        let place = downstreams.pointer(exchange.pointee.downstream)
        if exchange.pointee.responseBody.left >= UInt64(Limits.leastMove),
            let isSent = moveBody(upstream, exchange, place, behind: writer, bytes, count)
        {
            return isSent
        }
        // Small bodies go into one piece with the head: copying is cheaper than a second piece.
        if writer.count > 0, count <= 4096 {
            writer.put(bytes, count)
            return sendDownstream(exchange.pointee.downstream, place, writer.base, writer.count, more: ends)
        }
        return sendDownstream(exchange.pointee.downstream, place, writer.base, writer.count, bytes, count, more: ends)
    }

    /// One chunk for what one read gave, and the end of the body where it is reached.
    private func sendChunk(
        _ exchange: ExchangePlace,
        _ bytes: UnsafeMutableRawPointer,
        _ step: Body.Step,
        _ isDone: Bool,
        _ writer: inout ByteWriter,
        ends: Bool
    ) -> Bool {
        if step.trailers > 0 {
            guard exchange.pointee.trailers.count + step.trailers <= Trailers.maximumBytes,
                buffers.append(&exchange.pointee.trailers, bytes + step.data, step.trailers)
            else {
                closeDownstream(
                    exchange.pointee.downstream,
                    downstreams.pointer(exchange.pointee.downstream),
                    flags: .upstreamProtocolError
                )
                return false
            }
        }
        if step.data > 0 {
            writer.put(hexadecimal: UInt64(step.data))
            writer.endLine()
        }
        let headCount = writer.count
        var ending = ByteWriter(out + headCount, capacity: Limits.outSize - headCount)
        if step.data > 0 { ending.endLine() }
        if isDone {
            ending.put("0\r\n")
            if let raw = exchange.pointee.trailers.bytes {
                keepTrailersForLog(exchange, raw, exchange.pointee.trailers.count)
                _ = writeTrailers(raw, exchange.pointee.trailers.count, &ending, &responseFields)
                buffers.give(&exchange.pointee.trailers)
            }
            ending.endLine()
        }
        exchange.pointee.bytesSent &+= UInt64(headCount + step.data + ending.count)
        let index = exchange.pointee.downstream
        return sendDownstream(
            index,
            downstreams.pointer(index),
            writer.base,
            headCount,
            bytes,
            step.data,
            ending.base,
            ending.count,
            more: ends
        )
    }

    /// The endpoint's answer ended before its end: the client must see that it is not whole.
    private func truncated(
        _ index: Int32,
        _ upstream: UpstreamPlace,
        _ exchangeIndex: Int32,
        _ exchange: ExchangePlace,
        _ failure: FailureText
    ) {
        exchange.pointee.failure = failure
        endTry(exchange, .localFailure)
        let downstream = exchange.pointee.downstream
        closeDownstream(downstream, downstreams.pointer(downstream), flags: .upstreamConnectionTermination)
    }
}

extension HeadLimits {
    /// Answers' heads; as large as requests' may be, with more fields.
    static var responses: HeadLimits {
        var limits = HeadLimits()
        limits.fields = 200
        limits.rejectsUnderscores = false
        return limits
    }
}
