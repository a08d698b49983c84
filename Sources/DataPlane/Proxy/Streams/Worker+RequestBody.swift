import Bytes
import Glibc
import HTTP
import Reactor
import Traffic

/// Carries requests upstream: head and body, with a bound on what waits.
extension Worker {
    /// Sends what waits of the request.
    func pump(_ index: Int32, _ exchange: ExchangePlace) {
        guard exchange.pointee.upstream >= 0 else { return }
        let upstreamIndex = exchange.pointee.upstream
        let upstream = upstreams.pointer(upstreamIndex)
        if upstream.pointee.isStream {
            pumpStream(index, exchange, upstreamIndex, upstream)
            return
        }
        let waiting = exchange.pointee.request.count &- Int(exchange.pointee.requestSent)
        if waiting > 0, let bytes = exchange.pointee.request.bytes {
            let sent = send(upstream, bytes + Int(exchange.pointee.requestSent), waiting)
            if sent < 0 {
                if sent == -Int(EAGAIN) {
                    armWriting(upstreamIndex, upstream, true)
                } else {
                    sendFailed(index, exchange, upstreamIndex, upstream, code: Int32(-sent))
                }
                return
            }
            exchange.pointee.flags.insert(.sentBytes)
            exchange.pointee.requestSent &+= Int32(sent)
            if upstream.pointee.state == .connecting { connected(upstreamIndex, upstream) }
            if sent < waiting {
                armWriting(upstreamIndex, upstream, true)
                return
            }
        }
        requestFlushed(index, exchange, upstreamIndex, upstream)
    }

    /// All that was there is out: more is read, or the direction ends.
    func requestFlushed(
        _ index: Int32,
        _ exchange: ExchangePlace,
        _ upstreamIndex: Int32,
        _ upstream: UpstreamPlace
    ) {
        if upstream.pointee.flags.contains(.writeArmed), upstream.pointee.state != .connecting {
            armWriting(upstreamIndex, upstream, false)
        }
        if exchange.pointee.flags.contains(.isNotReplayable) {
            buffers.give(&exchange.pointee.request)
            exchange.pointee.requestSent = 0
        }
        if exchange.pointee.flags.contains(.isShadow) {
            feedStream(index, exchange)
            return
        }
        let place = downstreams.pointer(exchange.pointee.downstream)
        if place.pointee.isStream {
            resumeStream(exchange.pointee.downstream, place)
            return
        }
        if exchange.pointee.state == .tunnel {
            if place.pointee.flags.contains(.readEnded) {
                endTunnelDirection(toUpstream: exchange.pointee.downstream, place)
            } else {
                resumeReading(exchange.pointee.downstream, place)
            }
        } else if !exchange.pointee.requestBody.isComplete {
            resumeReading(exchange.pointee.downstream, place)
        }
    }

    /// The request could not be sent on. When the response has begun, the endpoint simply does not want the rest.
    private func sendFailed(
        _ index: Int32,
        _ exchange: ExchangePlace,
        _ upstreamIndex: Int32,
        _ upstream: UpstreamPlace,
        code: Int32
    ) {
        switch exchange.pointee.state {
        case .connecting: upstreamFailed(upstreamIndex, upstream, code: code)
        case .tunnel:
            closeDownstream(
                exchange.pointee.downstream,
                downstreams.pointer(exchange.pointee.downstream),
                flags: .upstreamRemoteReset
            )
        case .responding:
            buffers.give(&exchange.pointee.request)
            exchange.pointee.requestSent = 0
            exchange.pointee.flags.insert(.isNotReplayable)
            armWriting(upstreamIndex, upstream, false)
            pauseReading(exchange.pointee.downstream, downstreams.pointer(exchange.pointee.downstream))
        case .awaitingResponse, .waiting:
            guard !exchange.pointee.flags.contains(.isTunnelOnly) else {
                upstreamBroke(index, exchange, upstreamIndex, upstream, .resetBeforeRequest)
                return
            }
            // An answer may lie in the receive buffer (413 before the body's end): reading tells.
            if upstream.pointee.flags.contains(.isReused), !exchange.pointee.flags.contains(.sentBytes) {
                upstreamBroke(index, exchange, upstreamIndex, upstream, .closedBeforeResponse)
            } else {
                buffers.give(&exchange.pointee.request)
                exchange.pointee.requestSent = 0
                exchange.pointee.flags.insert(.isNotReplayable)
                armWriting(upstreamIndex, upstream, false)
                pauseReading(exchange.pointee.downstream, downstreams.pointer(exchange.pointee.downstream))
                readResponse(upstreamIndex, upstream, index, exchange)
            }
        }
    }

    /// Reads a part of the request's body.
    func readBody(_ index: Int32, _ place: DownstreamPlace, _ exchange: ExchangePlace) {
        let exchangeIndex = place.pointee.exchange
        let waiting = exchange.pointee.request.count &- Int(exchange.pointee.requestSent)
        let isHeld =
            exchange.pointee.flags.contains(.isSuspended) && !(exchange.filterRun?.pointee.isCollecting ?? false)
        guard !isHeld, waiting < Limits.replay, let memory = scratch.base else {
            pauseReading(index, place)
            return
        }
        var count = 0
        if !place.pointee.input.isEmpty, let bytes = place.pointee.input.bytes {
            // Bytes that came ahead of their time.
            count = min(place.pointee.input.count, Int(scratch.capacity))
            memory.copyMemory(from: bytes, byteCount: count)
            place.pointee.input.start &+= Int32(count)
            if place.pointee.input.isEmpty { buffers.give(&place.pointee.input) }
        } else {
            count = receive(index, place, memory, Int(scratch.capacity))
        }
        guard count > 0 else {
            if count == -Int(EAGAIN) { return }
            // Cut short: the endpoint must not take it for a whole request.
            closeDownstream(index, place, flags: .downstreamTermination)
            return
        }
        exchange.pointee.lastActivity = now
        do throws(HTTPFault) {
            let step = try exchange.pointee.requestBody.take(memory, count)
            exchange.pointee.bytesReceived &+= UInt64(step.consumed)
            if step.consumed < count {
                guard buffers.append(&place.pointee.input, memory + step.consumed, count - step.consumed) else {
                    closeDownstream(index, place, flags: .localReset)
                    return
                }
            }
            if exchange.pointee.flags.contains(.isSuspended) {
                collect(exchangeIndex, exchange, memory, step)
            } else {
                carry(exchangeIndex, exchange, memory, step)
            }
        } catch {
            metrics.violation(.badChunk)
            exchange.pointee.responseFlags.insert(.downstreamProtocolError)
            place.pointee.flags.insert(.closesAfterResponse)
            if exchange.pointee.state == .responding {
                closeDownstream(index, place, flags: .downstreamProtocolError)
            } else {
                answer(exchangeIndex, exchange, status: 400, reason: error.reason)
            }
        }
    }

    /// Brings a piece of the body on its way: into the kept request while that is small enough, else straight on.
    func carry(_ index: Int32, _ exchange: ExchangePlace, _ bytes: UnsafeMutableRawPointer, _ step: Body.Step) {
        if exchange.pointee.requestBody.isComplete { requestBecameWhole(exchange) }
        var bytes = bytes
        var step = step
        if exchange.pointee.extras != nil {
            if let run = exchange.filterRun, !run.pointee.requestTransforms.isEmpty {
                guard let made = transformedRequest(exchange, run, bytes, step) else {
                    answer(index, exchange, status: 400, reason: "a filter cannot read the body")
                    return
                }
                (bytes, step) = (made.bytes, made.step)
            }
            feedShadows(exchange, bytes, step)
        }
        let fits = exchange.pointee.request.count + step.data + step.trailers + 64 <= replayLimit(exchange)
        let isSettled = exchange.pointee.state == .responding
        if isSettled || !fits { exchange.pointee.flags.insert(.isNotReplayable) }
        if exchange.pointee.flags.contains(.isNotReplayable), exchange.pointee.requestSent > 0 {
            // What was sent is not needed any more.
            exchange.pointee.request.start &+= exchange.pointee.requestSent
            exchange.pointee.requestSent = 0
            if exchange.pointee.request.isEmpty { buffers.give(&exchange.pointee.request) }
        }
        let isReady =
            exchange.pointee.upstream >= 0 && exchange.pointee.request.isEmpty
            && upstreams.pointer(exchange.pointee.upstream).pointee.state == .busy
            && !upstreams.pointer(exchange.pointee.upstream).pointee.isStream
        let isPlain = !exchange.pointee.flags.contains(.requestIsChunked)
        if isReady, isPlain, step.data > 0 {
            let upstreamIndex = exchange.pointee.upstream
            let upstream = upstreams.pointer(upstreamIndex)
            let sent = send(upstream, bytes, step.data)
            if sent < 0, sent != -Int(EAGAIN) {
                sendFailed(index, exchange, upstreamIndex, upstream, code: Int32(-sent))
                return
            }
            let done = max(0, sent)
            guard done < step.data else { return }
            _ = buffers.append(&exchange.pointee.request, bytes + done, step.data - done)
            armWriting(upstreamIndex, upstream, true)
            return
        }
        guard appendBody(exchange, bytes, step) else {
            answer(index, exchange, status: 400, reason: "the trailers are malformed or too long")
            return
        }
        if exchange.pointee.upstream >= 0,
            ![.connecting, .handshaking].contains(upstreams.pointer(exchange.pointee.upstream).pointee.state)
        {
            pump(index, exchange)
        }
    }

    /// The last byte of the request is here: from now on the endpoint's time counts, not the client's.
    func requestBecameWhole(_ exchange: ExchangePlace) {
        guard exchange.pointee.requestEndedAt == 0 else { return }
        exchange.pointee.requestEndedAt = now
        exchange.pointee.bodyDeadline = .max
        guard let route = exchange.pointee.route, case .forward(let forward) = route.pointee.action else { return }
        let timeout = exchange.pointee.extras?.pointee.timeout ?? forward.pointee.timeout
        if timeout > 0, exchange.pointee.state != .responding {
            exchange.pointee.routeDeadline = min(exchange.pointee.routeDeadline, now &+ timeout)
        }
        guard exchange.pointee.flags.contains(.startedTry) else { return }
        if exchange.pointee.state != .responding { exchange.pointee.tryDeadline = tryDeadline(exchange, forward) }
        armExchange(exchange)
    }

    /// Adds a piece of the body to the request's buffer, framed as the request is. False when its trailers are unusable.
    func appendBody(_ exchange: ExchangePlace, _ bytes: UnsafeMutableRawPointer, _ step: Body.Step) -> Bool {
        if exchange.pointee.requestBody.isComplete { requestBecameWhole(exchange) }
        guard exchange.pointee.flags.contains(.requestIsChunked) else {
            if step.trailers > 0, exchange.pointee.flags.contains(.isUnframed) {
                guard exchange.pointee.trailers.count + step.trailers <= Trailers.maximumBytes,
                    buffers.append(&exchange.pointee.trailers, bytes + step.data, step.trailers)
                else { return false }
            }
            return step.data == 0 || buffers.append(&exchange.pointee.request, bytes, step.data)
        }
        if step.data > 0 {
            guard appendChunkHead(exchange, step.data), buffers.append(&exchange.pointee.request, bytes, step.data),
                append(exchange, "\r\n")
            else { return false }
        }
        if step.trailers > 0 {
            guard exchange.pointee.trailers.count + step.trailers <= Trailers.maximumBytes,
                buffers.append(&exchange.pointee.trailers, bytes + step.data, step.trailers)
            else { return false }
        }
        guard exchange.pointee.requestBody.isComplete else { return true }
        guard append(exchange, "0\r\n") else { return false }
        if !exchange.pointee.trailers.isEmpty, let raw = exchange.pointee.trailers.bytes {
            let count = exchange.pointee.trailers.count
            guard buffers.reserve(&exchange.pointee.request, count), let tail = exchange.pointee.request.tail else {
                return false
            }
            var writer = ByteWriter(tail, capacity: exchange.pointee.request.room)
            guard writeTrailers(raw, count, &writer, &requestFields) else { return false }
            exchange.pointee.request.end &+= Int32(writer.count)
            buffers.give(&exchange.pointee.trailers)
        }
        return append(exchange, "\r\n")
    }

    private func append(_ exchange: ExchangePlace, _ text: StaticString) -> Bool {
        buffers.append(&exchange.pointee.request, text.utf8Start, text.utf8CodeUnitCount)
    }

    private func appendChunkHead(_ exchange: ExchangePlace, _ count: Int) -> Bool {
        guard buffers.reserve(&exchange.pointee.request, 20), let tail = exchange.pointee.request.tail else {
            return false
        }
        var writer = ByteWriter(tail, capacity: exchange.pointee.request.room)
        writer.put(hexadecimal: UInt64(count))
        writer.endLine()
        exchange.pointee.request.end &+= Int32(writer.count)
        return true
    }

    /// Writes those trailer fields that may travel. False when they are malformed.
    func writeTrailers(
        _ raw: UnsafeMutableRawPointer,
        _ count: Int,
        _ writer: inout ByteWriter,
        _ fields: inout FieldTable
    ) -> Bool {
        do throws(HTTPFault) {
            try Trailers.parse(raw, count: count, limits: HeadLimits(), fields: &fields)
        } catch {
            return false
        }
        for index in 0..<fields.count where Trailers.isAllowed(fields.names[index]) {
            let field = fields.fields[index]
            writer.put(raw + Int(field.nameStart), Int(field.nameLength))
            writer.put(": ")
            writer.put(raw + Int(field.valueStart), Int(field.valueLength))
            writer.endLine()
        }
        return !writer.overflowed
    }
}
