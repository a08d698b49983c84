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
        _ forward: Forward
    ) -> Bool {
        var size = head.length + 1024
        if forward.rewritesPath || !route.pointee.requestEdits.isEmpty || exchange.pointee.weighted != nil {
            size += 8192
        }
        while size <= BufferPool.sizes.3 {
            guard var buffer = buffers.take(size), let base = buffer.base else { return false }
            var writer = ByteWriter(base, capacity: Int(buffer.capacity))
            writeStartLine(facts, exchange, route, forward, &writer)
            writeRequestFields(facts, exchange, chain, route, &writer)
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
        _ forward: Forward,
        _ writer: inout ByteWriter
    ) {
        writer.put(facts.view.method)
        writer.put(byte: 0x20)
        if forward.rewritesPath {
            let room = UnsafeMutableRawBufferPointer(
                start: writer.base + writer.count,
                count: max(0, writer.capacity - writer.count)
            )
            var sink = ByteSink(room)
            if forward.writeRewrittenPath(facts.view, matched: route.pointee.path, into: &sink) {
                writer.overflowed = writer.overflowed || sink.overflowed
                writer.count += sink.overflowed ? 0 : sink.count
            }
        } else {
            writer.put(facts.target)
        }
        writer.put(" HTTP/1.1\r\nhost: ")
        writer.put(host(facts, exchange, forward))
        writer.endLine()
    }

    private func host(_ facts: RequestFacts, _ exchange: ExchangePlace, _ forward: Forward) -> ByteRun {
        if let weighted = exchange.pointee.weighted, let host = weighted.pointee.hostRewrite { return host }
        return forward.hostRewrite ?? facts.view.authority
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
        let edits = route.pointee.requestEdits
        let weightedEdits = exchange.pointee.weighted?.pointee.requestEdits ?? ArenaArray()
        let hasEdits = !edits.isEmpty || !weightedEdits.isEmpty
        let usesRemote = chain.pointee.usesRemoteAddress
        let hasAliases = usesRemote && chain.pointee.trustedHops == 0 && !chain.pointee.limits.rejectsUnderscores
        var forwardedFor = -1
        var hasProto = false
        var hasRequestID = false
        let replacesHost = appendsForwardedHost(exchange, route)
        var run = FieldRun(base)
        for index in 0..<requestFields.count {
            let name = requestFields.names[index]
            let field = requestFields.fields[index]
            var passes = true
            switch name {
            case .other: if hasAliases { passes = !isAlias(base, field) }
            // Who the client is by its certificate is nothing that it may say itself.
            case .host, .contentLength, .forwardedClientCert: passes = false
            case .forwardedFor:
                forwardedFor = index
                passes = !usesRemote
            case .forwardedProto:
                hasProto = !usesRemote || chain.pointee.trustedHops > 0
                passes = hasProto
            case .forwardedHost where replacesHost: passes = false
            case .forwardedHost, .forwardedPrefix, .realIP, .forwarded:
                passes = !usesRemote || chain.pointee.trustedHops > 0
            case .requestID:
                hasRequestID = chain.pointee.keepsRequestID || !chain.pointee.generatesRequestID
                passes = hasRequestID
            case .expect: passes = exchange.pointee.flags.contains(.expectsContinue)
            default: passes = !name.isHopByHop
            }
            if passes, nominates, !name.isProtected { passes = !isNominated(base, field, requestFields) }
            if passes, hasEdits {
                passes = !replaces(edits, base, field) && !replaces(weightedEdits, base, field)
            }
            if passes { run.add(field, &writer) } else { run.flush(&writer) }
        }
        run.flush(&writer)
        writeOwnFields(facts, exchange, chain, forwardedFor, hasProto, hasRequestID, &writer)
        if replacesHost {
            writer.put("x-forwarded-host: ")
            writer.put(facts.view.authority)
            writer.endLine()
        }
        if hasEdits {
            let place = downstreams.pointer(exchange.pointee.downstream)
            addFields(weightedEdits, facts.view, exchange, place, &writer)
            addFields(edits, facts.view, exchange, place, &writer)
        }
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
    private func appendsForwardedHost(_ exchange: ExchangePlace, _ route: UnsafePointer<Route>) -> Bool {
        guard case .forward(let forward) = route.pointee.action, forward.appendsForwardedHost else { return false }
        return forward.hostRewrite != nil || forward.autoHostRewrite
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
        if chain.pointee.usesRemoteAddress, downstreams.pointer(exchange.pointee.downstream).pointee.peer.family != 0 {
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
        case .chunked: writer.put("transfer-encoding: chunked\r\n")
        case .none:
            for index in 0..<requestFields.count where requestFields.names[index] == .contentLength {
                writer.put("content-length: 0\r\n")
            }
        case .untilClose: break
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

extension ByteRun {
    /// Without spaces and tabs at both ends.
    var trimmed: ByteRun {
        var run = self
        while let byte = run[0], byte == 0x20 || byte == 0x09 { run = run.dropping(1) }
        while let byte = run[run.count - 1], byte == 0x20 || byte == 0x09 { run = run.first(run.count - 1) }
        return run
    }
}
