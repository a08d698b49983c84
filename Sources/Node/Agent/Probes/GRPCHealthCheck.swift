/// One call of `grpc.health.v1.Health/Check` over HTTP/2 without TLS, as a probe needs it.
///
/// Pure: bytes out, bytes in, a verdict. It knows of HTTP/2 (RFC 9113) what one unary call needs: it sends no compressed
/// field, reads none, and takes no frame beyond the size that it allows. What the server says is bounded in every way.
package struct GRPCHealthCheck: Sendable {
    private enum FrameType {
        static let data: UInt8 = 0
        static let headers: UInt8 = 1
        static let reset: UInt8 = 3
        static let settings: UInt8 = 4
        static let ping: UInt8 = 6
        static let goAway: UInt8 = 7
    }

    /// The largest frame that a client takes without asking for more (RFC 9113 4.2).
    private static let frameLimit = 16384
    /// Everything that a server may send for one check; ours is a handful of bytes.
    private static let answerLimit = 64 << 10
    private static let messageLimit = 4096

    private let service: String
    private var buffer: [UInt8] = []
    private var received = 0
    private var message: [UInt8] = []
    /// Set once it is known how the check ends.
    package private(set) var outcome: ProbeOutcome?

    /// - Parameter service: what is asked about; empty for the server as a whole.
    package init(service: String) { self.service = service }

    // MARK: The request

    /// Everything that the client says first. Nil when the service's or the host's name cannot be sent.
    package func request(host: String) -> [UInt8]? {
        guard service.utf8.count <= 1024, host.utf8.count <= 255, host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f })
        else {
            return nil
        }
        // POST and http stand in the static table whole, the next three by name (RFC 7541, appendix A).
        var block: [UInt8] = [0x83, 0x86]
        Self.field([0x04], "/grpc.health.v1.Health/Check", &block)
        Self.field([0x01], host, &block)
        Self.field([0x0f, 31 - 15], "application/grpc", &block)
        Self.field([0x00, 2] + Array("te".utf8), "trailers", &block)
        Self.field([0x0f, 58 - 15], "kube-probe/1.32", &block)
        var text: [UInt8] = []
        if !service.isEmpty {
            text = [0x0a] + Self.varint(service.utf8.count) + Array(service.utf8)
        }
        let length = UInt32(text.count)
        let prefix: [UInt8] = [0] + (0..<4).map { UInt8(truncatingIfNeeded: length >> (24 - 8 * UInt32($0))) }
        return Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + Self.frame(FrameType.settings, 0, 0, [])
            + Self.frame(FrameType.headers, 0x4, 1, block) + Self.frame(FrameType.data, 0x1, 1, prefix + text)
    }

    /// A literal that no table remembers, its text as it is; lengths here stay below 127 or take a second byte.
    private static func field(_ name: [UInt8], _ value: String, _ block: inout [UInt8]) {
        block += name
        let length = value.utf8.count
        block += length < 127 ? [UInt8(length)] : [127] + varint(length - 127)
        block += Array(value.utf8)
    }

    private static func varint(_ number: Int) -> [UInt8] {
        var rest = number
        var bytes: [UInt8] = []
        while rest >= 128 {
            bytes.append(UInt8(rest & 0x7f) | 0x80)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }

    private static func frame(_ type: UInt8, _ flags: UInt8, _ stream: UInt8, _ payload: [UInt8]) -> [UInt8] {
        let length = payload.count
        return [
            UInt8(length >> 16 & 0xff), UInt8(length >> 8 & 0xff), UInt8(length & 0xff), type, flags, 0, 0, 0, stream,
        ]
            + payload
    }

    // MARK: The answer

    /// Takes in what the server sent. Returns what has to be sent back.
    package mutating func take(_ bytes: some Collection<UInt8>) -> [UInt8] {
        guard outcome == nil else { return [] }
        received += bytes.count
        guard received <= Self.answerLimit else {
            outcome = .failure("gRPC probe failed: the server sends too much")
            return []
        }
        buffer += bytes
        var reply: [UInt8] = []
        while outcome == nil, buffer.count >= 9 {
            let length = Int(buffer[0]) << 16 | Int(buffer[1]) << 8 | Int(buffer[2])
            guard length <= Self.frameLimit else {
                // Whoever speaks HTTP/1 is found out here: "HTTP" would be a frame of 4 MiB.
                outcome = .failure("gRPC probe failed: the port does not speak HTTP/2 without TLS")
                return []
            }
            guard buffer.count >= 9 + length else { break }
            let header = Array(buffer[..<9])
            let payload = Array(buffer[9..<9 + length])
            buffer.removeFirst(9 + length)
            reply += handle(type: header[3], flags: header[4], isOurs: header[8] == 1, payload)
        }
        return reply
    }

    /// The server has closed the connection.
    package mutating func end() {
        if outcome == nil {
            outcome = .failure("gRPC probe failed: the server closed the connection without an answer")
        }
    }

    private mutating func handle(type: UInt8, flags: UInt8, isOurs: Bool, _ payload: [UInt8]) -> [UInt8] {
        switch type {
        case FrameType.settings where flags & 1 == 0: return Self.frame(FrameType.settings, 1, 0, [])
        case FrameType.ping where flags & 1 == 0: return Self.frame(FrameType.ping, 1, 0, payload)
        case FrameType.goAway: outcome = .failure("gRPC probe failed: the server ended the connection")
        case FrameType.reset where isOurs: outcome = .failure("gRPC probe failed: the server reset the call")
        case FrameType.data where isOurs:
            takeData(payload, isPadded: flags & 0x8 != 0)
            if flags & 1 != 0 { endWithoutMessage() }
        case FrameType.headers where isOurs && flags & 1 != 0: endWithoutMessage()
        default: break
        }
        return []
    }

    private mutating func endWithoutMessage() {
        guard outcome == nil else { return }
        let about = service.isEmpty ? "" : ", or does not know the service \"\(service)\""
        outcome = .failure(
            "gRPC probe failed: the server gives no health status: it has no grpc.health.v1.Health\(about)"
        )
    }

    private mutating func takeData(_ payload: [UInt8], isPadded: Bool) {
        var content = payload[...]
        if isPadded {
            guard let padding = content.popFirst(), Int(padding) <= content.count else {
                outcome = .failure("gRPC probe failed: malformed answer")
                return
            }
            content = content.dropLast(Int(padding))
        }
        message += content
        guard message.count >= 5 else { return }
        let length = message[1..<5].reduce(0) { $0 << 8 | Int($1) }
        guard message[0] == 0, length <= Self.messageLimit else {
            outcome = .failure("gRPC probe failed: malformed answer")
            return
        }
        if message.count >= 5 + length { outcome = Self.verdict(Array(message[5..<5 + length])) }
    }

    private static func verdict(_ message: [UInt8]) -> ProbeOutcome {
        guard let status = status(message) else { return .failure("gRPC probe failed: malformed answer") }
        if status == 1 { return .success }
        let names = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"]
        let name = names.indices.contains(status) ? names[status] : String(status)
        return .failure("service unhealthy (responded with \"\(name)\")")
    }

    /// Field 1 of `HealthCheckResponse`; 0 when it is not there, nil when the message is none.
    private static func status(_ message: [UInt8]) -> Int? {
        var rest = message[...]
        func varint(_ rest: inout ArraySlice<UInt8>) -> UInt64? {
            var number: UInt64 = 0
            for shift in 0..<10 {
                guard let byte = rest.popFirst() else { return nil }
                number |= UInt64(byte & 0x7f) << (7 * UInt64(shift))
                if byte & 0x80 == 0 { return number }
            }
            return nil
        }
        var status = 0
        while !rest.isEmpty {
            guard let key = varint(&rest) else { return nil }
            switch key & 7 {
            case 0:
                guard let number = varint(&rest) else { return nil }
                if key >> 3 == 1 { status = Int(clamping: number) }
            case 1 where rest.count >= 8: rest.removeFirst(8)
            case 5 where rest.count >= 4: rest.removeFirst(4)
            case 2:
                guard let length = varint(&rest), length <= UInt64(rest.count) else { return nil }
                rest.removeFirst(Int(length))
            default: return nil
            }
        }
        return status
    }
}
