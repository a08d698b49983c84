import Bytes
import CWeft
import HTTP
import Reactor
import Traffic

/// Writes requests as they go upstream. The writer frames every message itself and takes only checked bytes from the client's.
extension Worker {
    /// Writes the head into the exchange's buffer; false when it does not fit.
    func writeRequestHead(
        _ facts: RequestFacts,
        _ exchange: ExchangePlace,
        _ chain: ChainPlace,
        _ route: UnsafePointer<Route>,
        _ forward: UnsafePointer<Forward>
    ) -> Bool {
        if forward.pointee.addsAttemptCount { dropField(Self.run("x-envoy-attempt-count"), facts.base) }
        var size = head.length + 1024
        if forward.pointee.rewritesPath || forward.pointee.extras != nil || !route.pointee.requestEdits.isEmpty
            || exchange.pointee.weighted != nil
        {
            size += 8192
        }
        while size <= BufferPool.sizes.3 {
            guard var buffer = buffers.take(size), let base = buffer.base else { return false }
            var writer = ByteWriter(base, capacity: Int(buffer.capacity))
            writeStartLine(facts, exchange, route, forward, &writer)
            writeRequestFields(facts, exchange, chain, route, &writer)
            writeHouseFields(facts, exchange, chain, forward, &writer)
            writeRequestFraming(exchange, &writer)
            if !writer.overflowed {
                buffer.end = Int32(writer.count)
                exchange.pointee.request = buffer
                return true
            }
            size = Int(buffer.capacity) + 1
            buffers.give(&buffer)
        }
        return false
    }

    private func writeStartLine(
        _ facts: RequestFacts,
        _ exchange: ExchangePlace,
        _ route: UnsafePointer<Route>,
        _ forward: UnsafePointer<Forward>,
        _ writer: inout ByteWriter
    ) {
        writer.put(facts.view.method)
        writer.put(byte: 0x20)
        if forward.pointee.rewritesPath {
            let room = UnsafeMutableRawBufferPointer(
                start: writer.base + writer.count,
                count: max(0, writer.capacity - writer.count)
            )
            var sink = ByteSink(room)
            if forward.pointee.writeRewrittenPath(facts.view, matched: route.pointee.path, into: &sink) {
                writer.overflowed = writer.overflowed || sink.overflowed
                writer.count += sink.overflowed ? 0 : sink.count
            }
        } else if exchange.pointee.method == .connect {
            writer.put(host(facts, exchange, forward))
        } else {
            writer.put(facts.target)
        }
        writer.put(" HTTP/1.1\r\nhost: ")
        if let rewrite = forward.pointee.extras?.pointee.hostRewritePath {
            var sink = ByteSink(
                UnsafeMutableRawBufferPointer(
                    start: writer.base + writer.count,
                    count: max(0, writer.capacity - writer.count)
                )
            )
            sink.appendReplaced(facts.view.path, by: rewrite)
            writer.overflowed = writer.overflowed || sink.overflowed
            writer.count += sink.overflowed ? 0 : sink.count
        } else {
            writer.put(host(facts, exchange, forward))
        }
        writer.endLine()
    }

    /// What the endpoint is told about the way of the request.
    private func writeHouseFields(
        _ facts: RequestFacts,
        _ exchange: ExchangePlace,
        _ chain: ChainPlace,
        _ forward: UnsafePointer<Forward>,
        _ writer: inout ByteWriter
    ) {
        if !chain.pointee.suppressesEnvoyFields {
            if forward.pointee.rewritesPath {
                writer.put("x-envoy-original-path: ")
                writer.put(facts.target)
                writer.endLine()
            }
            if let url = exchange.pointee.extras?.pointee.originalURL, !url.isEmpty {
                writer.put("x-envoy-original-url: ")
                url.withUnsafeBytes { writer.put(ByteRun($0)) }
                writer.endLine()
            }
            if rewritesHost(facts, exchange, forward) {
                writer.put("x-envoy-original-host: ")
                writer.put(facts.view.authority)
                writer.endLine()
            }
            if let extras = exchange.pointee.extras, extras.pointee.timeout != nil || extras.pointee.retry != nil {
                writeExpectedTimeout(extras, forward, &writer)
            } else {
                writer.put(forward.pointee.expectedTimeout)
            }
        }
        if forward.pointee.addsAttemptCount { writer.put("x-envoy-attempt-count: 1\r\n") }
        if exchange.pointee.extras?.pointee.isInternal ?? false { writer.put("x-envoy-internal: true\r\n") }
        if chain.pointee.traces { writeTrace(exchange, chain, &writer) }
        if chain.pointee.repeatsRequestID { rememberRequestID(exchange, writer) }
    }

    private func writeExpectedTimeout(
        _ extras: UnsafeMutablePointer<ExchangeExtras>,
        _ forward: UnsafePointer<Forward>,
        _ writer: inout ByteWriter
    ) {
        let perTry = extras.pointee.retry?.perTryTimeout ?? forward.pointee.retry.perTryTimeout
        let time = perTry > 0 ? perTry : extras.pointee.timeout ?? forward.pointee.timeout
        guard time >= 1_000_000 else { return }
        writer.put("x-envoy-expected-rq-timeout-ms: ")
        writer.put(decimal: time / 1_000_000)
        writer.endLine()
    }

    /// Keeps the id of the request, as it stands in what was written, for the answer.
    private func rememberRequestID(_ exchange: ExchangePlace, _ writer: ByteWriter) {
        let mark = Self.run("x-request-id: ")
        var rest = ByteRun(start: writer.base, count: writer.count)
        while let end = rest.firstIndex(of: 0x0A) {
            if rest.first(mark.count).equalsIgnoringCase(mark) {
                let value = rest.first(end).dropping(mark.count)
                extras(exchange).pointee.requestID = Array(value.first(min(value.count - 1, 256)).buffer)
                return
            }
            rest = rest.dropping(end + 1)
        }
    }

    /// The host without its port or its last dot, as the chain wants it.
    func tidied(_ authority: ByteRun, _ chain: ChainPlace, _ place: DownstreamPlace) -> ByteRun {
        var name = authority.withoutPort
        var port = authority.dropping(name.count)
        switch chain.pointee.stripsPort {
        case .never: break
        case .any: port = .empty
        case .matching: if port.dropping(1).decimal == Int64(place.pointee.destination.port) { port = .empty }
        }
        if chain.pointee.stripsDot, name.count > 1, name[name.count - 1] == 0x2E {
            name = name.first(name.count - 1)
            // The port moves next to the name, in the bytes of the request, which nobody else reads.
            if let start = name.start, let from = port.start {
                UnsafeMutableRawPointer(mutating: start + name.count).copyMemory(from: from, byteCount: port.count)
            }
        }
        return ByteRun(start: name.start, count: name.count + port.count)
    }

    private func host(_ facts: RequestFacts, _ exchange: ExchangePlace, _ forward: UnsafePointer<Forward>) -> ByteRun {
        if let weighted = exchange.pointee.weighted, let host = weighted.pointee.hostRewrite { return host }
        if let name = forward.pointee.extras?.pointee.hostRewriteHeader, let host = facts.view.value(of: name),
            !host.isEmpty
        {
            return host
        }
        return forward.pointee.hostRewrite ?? facts.view.authority
    }

    /// Names the chosen endpoint in Host (`auto_host_rewrite`): the second line of the request that is about to be sent.
    func rewriteHost(_ exchange: ExchangePlace, _ name: [UInt8]) {
        guard !name.isEmpty, let bytes = exchange.pointee.request.bytes else { return }
        let count = exchange.pointee.request.count
        let lineEnd = cweft_find(bytes, count, 0x0A)
        guard lineEnd >= 0 else { return }
        let value = lineEnd + 1 + 6
        guard value < count else { return }
        let rest = cweft_find(bytes + value, count - value, 0x0D)
        guard rest >= 0 else { return }
        var renamed = Buffer()
        let isWhole = name.withUnsafeBytes { raw -> Bool in
            guard let start = raw.baseAddress else { return false }
            return buffers.append(&renamed, bytes, value) && buffers.append(&renamed, start, raw.count)
                && buffers.append(&renamed, bytes + value + rest, count - value - rest)
        }
        guard isWhole else {
            buffers.give(&renamed)
            return
        }
        buffers.give(&exchange.pointee.request)
        exchange.pointee.request = renamed
    }

    /// Copies what may pass, in runs as long as possible, and adds what the proxy says itself.
    private func writeRequestFields(
        _ facts: RequestFacts,
        _ exchange: ExchangePlace,
        _ chain: ChainPlace,
        _ route: UnsafePointer<Route>,
        _ writer: inout ByteWriter
    ) {
        let base = UnsafeRawPointer(facts.base)
        let nominates = head.flags.contains(.nominatesFields)
        let edits = exchange.pointee.weighted?.pointee.requestEdits ?? route.pointee.requestEdits
        let hasEdits = !edits.isEmpty
        let usesRemote = chain.pointee.usesRemoteAddress
        let hasAliases = usesRemote && chain.pointee.trustedHops == 0 && !chain.pointee.limits.rejectsUnderscores
        var forwardedFor = -1
        var hasProto = false
        var hasRequestID = false
        var wantsTrailers = false
        let replacesHost = appendsForwardedHost(facts, exchange, route)
        let certificate = chain.pointee.clientCertificate
        let forwardsCertificate =
            certificate != .remove
            && passesClientCertificate(downstreams.pointer(exchange.pointee.downstream), chain)
        var run = FieldRun(base)
        for index in 0..<requestFields.count {
            let name = requestFields.names[index]
            let field = requestFields.fields[index]
            var passes = true
            switch name {
            case .other: if hasAliases { passes = !isAlias(base, field) }
            case .host, .contentLength: passes = false
            // Who the client is by its certificate is nothing that it may say itself, unless it is trusted to.
            case .forwardedClientCert: passes = forwardsCertificate
            case .forwardedFor:
                forwardedFor = index
                passes = !usesRemote || !chain.pointee.appendsForwardedFor
            case .forwardedProto:
                hasProto = !usesRemote || chain.pointee.trustedHops > 0
                passes = hasProto
            case .forwardedHost where replacesHost: passes = false
            case .forwardedHost, .forwardedPrefix, .realIP, .forwarded:
                passes = !usesRemote || chain.pointee.trustedHops > 0
            case .requestID:
                hasRequestID = chain.pointee.keepsRequestID || !chain.pointee.generatesRequestID
                passes = hasRequestID
            case .te:
                wantsTrailers = wantsTrailers || asksForTrailers(base, field)
                passes = false
            case .expect: passes = exchange.pointee.flags.contains(.expectsContinue)
            default: passes = !name.isHopByHop
            }
            if passes, nominates, !name.isProtected { passes = !isNominated(base, field, requestFields) }
            if passes, hasEdits {
                passes = !replaces(edits, base, field)
            }
            if passes { run.add(field, &writer) } else { run.flush(&writer) }
        }
        run.flush(&writer)
        // Without it, servers of gRPC refuse a call; in HTTP/1 it is a matter of the connection.
        if wantsTrailers, let cluster = exchange.pointee.cluster, speaksHTTP2(exchange, cluster) {
            writer.put("te: trailers\r\n")
        }
        writeOwnFields(facts, exchange, chain, forwardedFor, hasProto, hasRequestID, &writer)
        if certificate == .append || certificate == .set {
            writeClientCertificate(downstreams.pointer(exchange.pointee.downstream), chain, base, &writer)
        }
        if replacesHost {
            writer.put("x-forwarded-host: ")
            writer.put(facts.view.authority)
            writer.endLine()
        }
        if hasEdits {
            let place = downstreams.pointer(exchange.pointee.downstream)
            addFields(edits, FieldSources(message: facts.view, request: facts.view), exchange, place, &writer)
        }
    }

    /// Whether `TE` names trailers.
    private func asksForTrailers(_ base: UnsafeRawPointer, _ field: Field) -> Bool {
        var isNamed = false
        forEachWord(ByteRun(start: base + Int(field.valueStart), count: Int(field.valueLength))) { word in
            isNamed = isNamed || word.equalsIgnoringCase(Self.run("trailers"))
        }
        return isNamed
    }

    /// Whether a field says with underscores what only a trusted peer may say (`X_Forwarded_For`): many servers take `_` and
    /// `-` for the same.
    private func isAlias(_ base: UnsafeRawPointer, _ field: Field) -> Bool {
        let name = ByteRun(start: base + Int(field.nameStart), count: Int(field.nameLength))
        guard name.count <= 32, name.firstIndex(of: 0x5F) != nil else { return false }
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 32) { spelled in
            guard let start = spelled.baseAddress else { return true }
            for (index, byte) in name.buffer.enumerated() { spelled[index] = byte == 0x5F ? 0x2D : byte }
            switch FieldName.recognise(start, count: name.count) {
            case .forwarded, .forwardedFor, .forwardedProto, .forwardedHost, .forwardedPrefix, .realIP,
                .forwardedClientCert:
                return true
            default: return false
            }
        }
    }

    /// Whether the endpoint is told which host the client asked for (`append_x_forwarded_host`).
    private func appendsForwardedHost(
        _ facts: RequestFacts,
        _ exchange: ExchangePlace,
        _ route: UnsafePointer<Route>
    ) -> Bool {
        guard case .forward(let forward) = route.pointee.action, forward.pointee.appendsForwardedHost else {
            return false
        }
        return rewritesHost(facts, exchange, forward)
    }

    /// Whether a field of the request says what the host is to be.
    private func namesHost(_ facts: RequestFacts, _ forward: UnsafePointer<Forward>) -> Bool {
        guard let name = forward.pointee.extras?.pointee.hostRewriteHeader else { return false }
        return !(facts.view.value(of: name) ?? .empty).isEmpty
    }

    private func rewritesHost(_ facts: RequestFacts, _ exchange: ExchangePlace, _ forward: UnsafePointer<Forward>)
        -> Bool
    {
        forward.pointee.hostRewrite != nil || forward.pointee.autoHostRewrite || namesHost(facts, forward)
            || forward.pointee.extras?.pointee.hostRewritePath != nil
            || exchange.pointee.weighted?.pointee.hostRewrite != nil
    }

    private func writeOwnFields(
        _ facts: RequestFacts,
        _ exchange: ExchangePlace,
        _ chain: ChainPlace,
        _ forwardedFor: Int,
        _ hasProto: Bool,
        _ hasRequestID: Bool,
        _ writer: inout ByteWriter
    ) {
        // On a Unix socket a client has no address.
        if chain.pointee.usesRemoteAddress, chain.pointee.appendsForwardedFor,
            downstreams.pointer(exchange.pointee.downstream).pointee.peer.family != 0
        {
            writer.put("x-forwarded-for: ")
            if forwardedFor >= 0, chain.pointee.trustedHops > 0 {
                let field = requestFields.fields[forwardedFor]
                writer.put(facts.base + Int(field.valueStart), Int(field.valueLength))
                writer.put(", ")
            }
            put(downstreams.pointer(exchange.pointee.downstream).pointee.peer, &writer)
            writer.endLine()
        }
        if !hasProto {
            let isTLS = downstreams.pointer(exchange.pointee.downstream).pointee.tls != nil
            writer.put(isTLS ? "x-forwarded-proto: https\r\n" : "x-forwarded-proto: http\r\n")
        }
        if chain.pointee.appendsForwardedPort {
            writer.put("x-forwarded-port: ")
            writer.put(decimal: UInt64(downstreams.pointer(exchange.pointee.downstream).pointee.destination.port))
            writer.endLine()
        }
        if !hasRequestID, chain.pointee.generatesRequestID { writeRequestID(&writer) }
        if !chain.pointee.via.isEmpty {
            writer.put("via: ")
            writer.put(chain.pointee.via)
            writer.endLine()
        }
    }

    /// A random UUID of version 4 (RFC 9562 section 5.4).
    private func writeRequestID(_ writer: inout ByteWriter) {
        let high = (random.next() & ~0xF000) | 0x4000
        let low = (random.next() & ~(3 << 62)) | (2 << 62)
        writer.put("x-request-id: ")
        writer.put(hexadecimal: high >> 32, digits: 8)
        writer.put(byte: 0x2D)
        writer.put(hexadecimal: high >> 16, digits: 4)
        writer.put(byte: 0x2D)
        writer.put(hexadecimal: high, digits: 4)
        writer.put(byte: 0x2D)
        writer.put(hexadecimal: low >> 48, digits: 4)
        writer.put(byte: 0x2D)
        writer.put(hexadecimal: low, digits: 12)
        writer.endLine()
    }

    /// Length or chunks, as the client framed it: never both, whatever its method is.
    private func writeRequestFraming(_ exchange: ExchangePlace, _ writer: inout ByteWriter) {
        switch head.framing {
        case .length(let count):
            writer.put("content-length: ")
            writer.put(decimal: count)
            writer.endLine()
        // Without an end that is declared: the body of a stream of HTTP/2.
        case .chunked, .untilClose: writer.put("transfer-encoding: chunked\r\n")
        case .none:
            for index in 0..<requestFields.count where requestFields.names[index] == .contentLength {
                writer.put("content-length: 0\r\n")
            }
        }
        if exchange.pointee.flags.contains(.wantsUpgrade) {
            writer.put("connection: upgrade\r\nupgrade: websocket\r\n")
        }
        writer.endLine()
    }

    func put(_ address: SocketAddress, _ writer: inout ByteWriter) {
        guard writer.capacity - writer.count >= 48 else {
            writer.overflowed = true
            return
        }
        writer.count += address.write(to: (writer.base + writer.count).assumingMemoryBound(to: CChar.self))
    }

    /// Whether a `Connection` field of the message names this field.
    func isNominated(_ base: UnsafeRawPointer, _ field: Field, _ table: borrowing FieldTable) -> Bool {
        let name = ByteRun(start: base + Int(field.nameStart), count: Int(field.nameLength))
        for index in 0..<table.count where table.names[index] == .connection {
            let place = table.fields[index]
            var rest = ByteRun(start: base + Int(place.valueStart), count: Int(place.valueLength))
            while !rest.isEmpty {
                let end = rest.firstIndex(of: 0x2C) ?? rest.count
                if rest.first(end).trimmed.equalsIgnoringCase(name) { return true }
                rest = rest.dropping(end + 1)
            }
        }
        return false
    }
}

/// Consecutive fields that pass unchanged are copied as they stand, with one copy.
struct FieldRun {
    private let base: UnsafeRawPointer
    private var start = 0
    private var end = -1

    @inline(__always)
    init(_ base: UnsafeRawPointer) { self.base = base }

    @inline(__always)
    mutating func add(_ field: Field, _ writer: inout ByteWriter) {
        if end < 0 { start = Int(field.nameStart) }
        end = Int(field.valueStart) + Int(field.valueLength)
    }

    @inline(__always)
    mutating func flush(_ writer: inout ByteWriter) {
        guard end >= 0 else { return }
        writer.put(base + start, end - start)
        writer.endLine()
        end = -1
    }
}
