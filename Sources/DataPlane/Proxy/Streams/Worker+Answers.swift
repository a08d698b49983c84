import Bytes
import HTTP
import Reactor
import Traffic

/// Answers of the proxy's own: each says why, in a header, in its body and in the log.
extension Worker {
    /// Answers a request and ends it. The endpoint's connection, if there is one, is cut.
    ///
    /// Without `reason` the answer is one that the configuration asks for: a redirect or a direct response.
    func answer(
        _ index: Int32,
        _ exchange: ExchangePlace,
        status: UInt16,
        reason: StaticString?,
        location: ByteRun = .empty,
        content: ByteRun = .empty
    ) {
        let downstreamIndex = exchange.pointee.downstream
        let place = downstreams.pointer(downstreamIndex)
        guard place.pointee.state == .http else {
            closeDownstream(downstreamIndex, place, flags: exchange.pointee.responseFlags)
            return
        }
        if reason != nil, exchange.pointee.extras != nil, fallsBack(index, exchange) { return }
        releaseUpstream(exchange)
        exchange.pointee.flags.remove(.isSuspended)
        exchange.pointee.status = status
        if exchange.pointee.flags.contains(.isShadow) {
            failCall(exchange, reason)
            completeExchange(index, exchange)
            return
        }
        if !exchange.pointee.requestBody.isComplete { place.pointee.flags.insert(.closesAfterResponse) }
        var writer = ByteWriter(out, capacity: Limits.outSize)
        let bodyStart = Limits.outSize / 2
        var body = ByteWriter(out + bodyStart, capacity: Limits.outSize - bodyStart)
        if let reason {
            writeReason(exchange, reason, &body)
            body.put("\n")
        } else {
            body.put(content)
        }
        var status = status
        var reply = MappedReply()
        if let chain = place.pointee.chain, chain.pointee.mapsReplies,
            let rules = chain.pointee.configuration.settings.localReplies
        {
            reply = mapReply(exchange, place, rules, &status, &body)
        }
        if exchange.pointee.flags.contains(.isGRPC), location.isEmpty {
            answerCall(index, exchange, place, status, body, reply, &writer)
            return
        }
        writer.put("HTTP/1.1 ")
        writer.put(decimal: UInt64(status))
        writer.put(byte: 0x20)
        writer.put(StatusText.reason(status))
        writer.endLine()
        if !location.isEmpty {
            writer.put("location: ")
            writer.put(location)
            writer.endLine()
        }
        if status == 503, exchange.pointee.responseFlags.contains(.overloadManager) { writer.put("retry-after: 1\r\n") }
        // RFC 9110 section 15.5.22, RFC 6455 section 4.4.
        if status == 426 { writer.put("upgrade: websocket\r\nsec-websocket-version: 13\r\n") }
        let hasBody = status >= 200 && status != 204 && status != 304
        if hasBody {
            writer.put("content-length: ")
            writer.put(decimal: UInt64(body.count))
            writer.endLine()
        }
        writeReplyFields(reply, exchange, place, hasBody: hasBody && body.count > 0 && !bringsType(exchange), &writer)
        if exchange.pointee.extras != nil { writeFilterFields(exchange, &writer) }
        if let reason {
            writer.put("x-weft-reason: ")
            writeReason(exchange, reason, &writer)
            writer.endLine()
        }
        writeOwnHead(exchange, place, &writer)
        var bodyCount = hasBody && exchange.pointee.method != .head ? body.count : 0
        if body.overflowed { bodyCount = 0 }
        if exchange.pointee.extras != nil { filterOwnAnswer(exchange, place, &writer, bodyCount: bodyCount) }
        exchange.pointee.bytesSent &+= UInt64(writer.count + bodyCount)
        exchange.pointee.responseBody.count(own: bodyCount)
        let isSent =
            place.pointee.isStream
            ? sendStream(downstreamIndex, place, writer.base, writer.count, body.base, bodyCount, isDone: true)
            : sendDownstream(downstreamIndex, place, writer.base, writer.count, body.base, bodyCount)
        guard isSent else { return }
        completeExchange(index, exchange)
    }

    func writeOwnHead(_ exchange: ExchangePlace, _ place: DownstreamPlace, _ writer: inout ByteWriter) {
        if let chain = place.pointee.chain, !chain.pointee.serverName.isEmpty {
            writer.put("server: ")
            writer.put(chain.pointee.serverName)
            writer.endLine()
        }
        writeDate(&writer)
        writeConnection(exchange, place, &writer)
        if let route = exchange.pointee.route { writeAttempts(exchange, route, &writer) }
        if place.pointee.chain?.pointee.tellsProxyStatus ?? false { writeProxyStatus(exchange, place, &writer) }
        writeRequestID(exchange, &writer)
        let edits = responseEdits(exchange)
        if !edits.isEmpty {
            let nothing = RequestView(method: .empty, authority: .empty, path: .empty)
            addFields(edits, sources(answer: nothing, exchange), exchange, place, &writer)
        }
        writer.endLine()
    }

    private func releaseUpstream(_ exchange: ExchangePlace) {
        let upstreamIndex = exchange.pointee.upstream
        guard upstreamIndex >= 0 else { return }
        exchange.pointee.upstream = -1
        let upstream = upstreams.pointer(upstreamIndex)
        upstream.pointee.exchange = -1
        closeUpstream(upstreamIndex, upstream, reset: true)
    }

    /// `no_healthy_upstream; the cluster has no endpoints; cluster=shop; attempts=3; last=connection refused`.
    func writeReason(_ exchange: ExchangePlace, _ reason: StaticString, _ writer: inout ByteWriter) {
        writer.put(Self.code(exchange.pointee.responseFlags))
        writer.put("; ")
        writer.put(reason)
        if let cluster = exchange.pointee.cluster {
            writer.put("; cluster=")
            writer.put(cluster.pointee.name)
            writer.put("; attempts=")
            writer.put(decimal: UInt64(exchange.pointee.attempts))
        }
        if exchange.pointee.upstreamAddress.family != 0, exchange.pointee.attempts > 0 {
            writer.put("; endpoint=")
            put(exchange.pointee.upstreamAddress, &writer)
            writer.put(byte: 0x3A)
            writer.put(decimal: UInt64(exchange.pointee.upstreamAddress.port))
        }
        if exchange.pointee.failure != .none {
            writer.put("; last=")
            writer.put(exchange.pointee.failure.text)
            if exchange.pointee.failure == .tlsFailed, let cluster = exchange.pointee.cluster {
                writer.put(": ")
                cluster.pointee.tlsFailure.withUnsafeBytes { raw in
                    if let start = raw.baseAddress { writer.put(start, raw.count) }
                }
            }
        }
    }

    static func code(_ flags: ResponseFlags) -> StaticString {
        if flags.contains(.upstreamRetryLimit) { return "retry_limit_reached" }
        if flags.contains(.noHealthyUpstream) { return "no_healthy_upstream" }
        if flags.contains(.upstreamConnectionFailure) { return "upstream_connection_failure" }
        if flags.contains(.upstreamTimeout) { return "upstream_timeout" }
        if flags.contains(.upstreamProtocolError) { return "upstream_protocol_error" }
        if flags.contains(.upstreamConnectionTermination) { return "upstream_connection_termination" }
        if flags.contains(.upstreamOverflow) { return "upstream_overflow" }
        if flags.contains(.noCluster) { return "cluster_not_found" }
        if flags.contains(.noRoute) { return "route_not_found" }
        if flags.contains(.streamIdleTimeout) { return "stream_idle_timeout" }
        if flags.contains(.downstreamProtocolError) { return "bad_request" }
        if flags.contains(.overloadManager) { return "overload" }
        return "rejected"
    }

    // MARK: Requests that cannot be understood

    /// Refuses bytes that are no acceptable request: an answer, then no further byte is read as one.
    func refuse(_ index: Int32, _ place: DownstreamPlace, _ fault: HTTPFault) {
        metrics.violation(Self.violation(fault))
        var flags: ResponseFlags = .downstreamProtocolError
        if place.pointee.exchange >= 0 {
            // The head was read, its content refused: the exchange has what the log needs.
            let exchangeIndex = place.pointee.exchange
            let exchange = exchanges.pointer(exchangeIndex)
            exchange.pointee.responseFlags.insert(.downstreamProtocolError)
            place.pointee.flags.insert(.closesAfterResponse)
            answer(exchangeIndex, exchange, status: fault.status, reason: fault.reason)
            return
        }
        if fault == .headTooLarge || fault == .tooManyFields { flags.insert(.overloadManager) }
        answerWithoutRequest(index, place, status: fault.status, reason: fault.reason, flags: flags)
    }

    /// Answers where no request could be read, and closes.
    func answerWithoutRequest(
        _ index: Int32,
        _ place: DownstreamPlace,
        status: UInt16,
        reason: StaticString,
        flags: ResponseFlags
    ) {
        guard let exchangeIndex = exchanges.take() else {
            closeDownstream(index, place, flags: flags)
            return
        }
        let exchange = exchanges.pointer(exchangeIndex)
        exchange.pointee.downstream = index
        exchange.pointee.startedAt = place.pointee.since
        exchange.pointee.responseFlags = flags
        place.pointee.exchange = exchangeIndex
        place.pointee.flags.insert(.closesAfterResponse)
        // Nothing behind the bad bytes is looked at.
        place.pointee.flags.remove(.headStarted)
        exchange.pointee.requestBody = Body(.untilClose)
        if let holder = place.pointee.chain?.pointee.holder {
            exchange.pointee.snapshot = holder
            hold(holder)
        }
        metrics.add(.downstreamRequests, 1)
        answer(exchangeIndex, exchange, status: status, reason: reason)
    }

    private static func violation(_ fault: HTTPFault) -> ProtocolViolation {
        switch fault {
        case .badStartLine, .badMethod, .badVersion: .badRequestLine
        case .unsupportedVersion: .unsupportedVersion
        case .badTarget, .badPath, .escapedSlash: .badTarget
        case .targetTooLong: .uriTooLong
        case .headTooLarge: .headerTooLarge
        case .tooManyFields: .tooManyHeaders
        case .missingHost, .severalHosts, .badHost: .badHost
        case .badContentLength, .severalContentLengths, .badTransferEncoding, .unknownTransferCoding,
            .transferEncodingWithLength, .transferEncodingInHTTP10:
            .badFraming
        case .badChunkSize, .badChunkExtension, .badChunkEnd, .badTrailer: .badChunk
        case .badUpgrade, .unsupportedWebSocketVersion: .badUpgrade
        case .badFieldName, .badFieldValue, .badLineEnd, .fieldWithoutColon, .underscoreInFieldName, .badConnection:
            .badHeader
        case .unknownExpectation, .badStatus: .other
        }
    }
}
