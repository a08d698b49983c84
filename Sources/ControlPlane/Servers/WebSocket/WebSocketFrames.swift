/// What a WebSocket says to its reader (RFC 6455 section 5).
package enum WebSocketMessage: Sendable, Equatable {
    /// A whole message, its fragments put together; text is UTF-8.
    case data([UInt8], isText: Bool)
    case ping([UInt8])
    case pong([UInt8])
    /// The peer says goodbye; nil when it gave no reason.
    case close(code: UInt16?)
}

/// A breach of the protocol: the connection is closed with this code (RFC 6455 section 7.4).
package struct WebSocketFault: Error, Sendable, Equatable {
    package let code: UInt16
    package let reason: String

    package init(_ code: UInt16, _ reason: String) {
        self.code = code
        self.reason = reason
    }

    static func breach(_ reason: String) -> WebSocketFault { WebSocketFault(1002, reason) }
}

/// Cuts a byte stream into messages, and refuses what RFC 6455 forbids.
///
/// Pure. Holds at most one message of `limit` bytes and what was appended last. After a fault it is of no more use.
package struct WebSocketReader: Sendable {
    package enum Role: Sendable { case server, client }

    private let role: Role
    private let limit: Int
    private var input: [UInt8] = []
    private var start = 0
    /// The message whose last fragment has not come.
    private var fragments: [UInt8] = []
    private var isText: Bool?

    /// - Parameters:
    ///   - role: a server's peer has to mask its frames, a client's must not (section 5.1).
    ///   - limit: bytes of one message.
    package init(role: Role, limit: Int = 1 << 20) {
        self.role = role
        self.limit = limit
    }

    package mutating func append(_ bytes: [UInt8]) {
        if start == input.count {
            input = bytes
        } else {
            input.removeFirst(start)
            input += bytes
        }
        start = 0
    }

    /// The next message, or nil until more bytes are appended.
    package mutating func next() throws(WebSocketFault) -> WebSocketMessage? {
        while let frame = try nextFrame() {
            if let message = try take(frame) { return message }
        }
        return nil
    }

    private struct Frame {
        var isFinal: Bool
        var opcode: UInt8
        var payload: [UInt8]
    }

    private func byte(_ offset: Int) -> UInt8? {
        start + offset < input.count ? input[start + offset] : nil
    }

    private mutating func nextFrame() throws(WebSocketFault) -> Frame? {
        guard let first = byte(0) else { return nil }
        let isFinal = first & 0x80 != 0
        let opcode = first & 0x0f
        guard first & 0x70 == 0 else { throw .breach("reserved bits are set") }
        guard opcode <= 2 || (8...10).contains(opcode) else { throw .breach("opcode \(opcode) is not known") }
        guard let second = byte(1) else { return nil }
        let isMasked = second & 0x80 != 0
        guard isMasked == (role == .server) else {
            throw .breach(isMasked ? "a server's frame is masked" : "a client's frame is not masked")
        }
        if opcode >= 8 {
            guard isFinal else { throw .breach("a control frame is fragmented") }
            guard second & 0x7f <= 125 else { throw .breach("a control frame is longer than 125 bytes") }
        }
        guard let (length, lengthBytes) = try length(second & 0x7f) else { return nil }
        if opcode < 8, length > limit - fragments.count {
            throw WebSocketFault(1009, "a message is longer than \(limit) bytes")
        }
        let head = 2 + lengthBytes + (isMasked ? 4 : 0)
        guard input.count - start >= head + length else { return nil }
        var payload = Array(input[(start + head)..<(start + head + length)])
        if isMasked {
            let key = start + head - 4
            WebSocketMask.apply((input[key], input[key + 1], input[key + 2], input[key + 3]), to: &payload)
        }
        start += head + length
        return Frame(isFinal: isFinal, opcode: opcode, payload: payload)
    }

    /// The payload's length and the bytes in which it stands behind the second one; nil until they are there.
    private func length(_ short: UInt8) throws(WebSocketFault) -> (Int, Int)? {
        guard short >= 126 else { return (Int(short), 0) }
        let count = short == 126 ? 2 : 8
        guard byte(1 + count) != nil else { return nil }
        var length: UInt64 = 0
        for offset in 2..<(2 + count) { length = length << 8 | UInt64(byte(offset) ?? 0) }
        guard length >> 63 == 0 else { throw .breach("a length has its first bit set") }
        guard length > (count == 2 ? 125 : 0xffff) else {
            throw .breach("a length is not written in its shortest form")
        }
        // Whatever is beyond an array's size is beyond every limit.
        return (Int(clamping: length), count)
    }

    private mutating func take(_ frame: Frame) throws(WebSocketFault) -> WebSocketMessage? {
        switch frame.opcode {
        case 8: return .close(code: try Self.closeCode(frame.payload))
        case 9: return .ping(frame.payload)
        case 10: return .pong(frame.payload)
        case 0:
            guard isText != nil else { throw .breach("a continuation continues nothing") }
            fragments += frame.payload
        default:
            guard isText == nil else { throw .breach("a message begins within another") }
            isText = frame.opcode == 1
            fragments = frame.payload
        }
        guard frame.isFinal, let isText else { return nil }
        let payload = fragments
        fragments = []
        self.isText = nil
        guard !isText || String(validating: payload, as: UTF8.self) != nil else {
            throw WebSocketFault(1007, "a text is not UTF-8")
        }
        return .data(payload, isText: isText)
    }

    private static func closeCode(_ payload: [UInt8]) throws(WebSocketFault) -> UInt16? {
        guard !payload.isEmpty else { return nil }
        guard payload.count >= 2 else { throw .breach("a close frame has half a code") }
        let code = UInt16(payload[0]) << 8 | UInt16(payload[1])
        guard (1000...1003).contains(code) || (1007...1014).contains(code) || (3000...4999).contains(code) else {
            throw .breach("close code \(code) may not be sent")
        }
        guard String(validating: payload[2...], as: UTF8.self) != nil else {
            throw WebSocketFault(1007, "a close reason is not UTF-8")
        }
        return code
    }
}

/// Writes frames.
package enum WebSocketFrame {
    package enum Opcode: UInt8, Sendable {
        case text = 1
        case binary = 2
        case close = 8
        case ping = 9
        case pong = 10
    }

    /// One unfragmented frame; a client gives the four bytes of a fresh random mask (section 5.3).
    package static func bytes(_ opcode: Opcode, _ payload: [UInt8], mask: UInt32? = nil) -> [UInt8] {
        var frame: [UInt8] = [0x80 | opcode.rawValue]
        frame.reserveCapacity(payload.count + 14)
        let maskBit: UInt8 = mask == nil ? 0 : 0x80
        switch payload.count {
        case ...125: frame.append(maskBit | UInt8(payload.count))
        case ...0xffff:
            frame += [maskBit | 126, UInt8(payload.count >> 8), UInt8(truncatingIfNeeded: payload.count)]
        default:
            frame.append(maskBit | 127)
            for shift in stride(from: 56, through: 0, by: -8) {
                frame.append(UInt8(truncatingIfNeeded: payload.count >> shift))
            }
        }
        guard let mask else { return frame + payload }
        let key = (
            UInt8(truncatingIfNeeded: mask >> 24), UInt8(truncatingIfNeeded: mask >> 16),
            UInt8(truncatingIfNeeded: mask >> 8), UInt8(truncatingIfNeeded: mask)
        )
        frame += [key.0, key.1, key.2, key.3]
        var masked = payload
        WebSocketMask.apply(key, to: &masked)
        return frame + masked
    }

    /// A close frame; the reason is cut to what a control frame holds.
    package static func close(_ code: UInt16, _ reason: String = "", mask: UInt32? = nil) -> [UInt8] {
        var text = reason
        while text.utf8.count > 123 { text.removeLast() }
        return bytes(.close, [UInt8(code >> 8), UInt8(truncatingIfNeeded: code)] + Array(text.utf8), mask: mask)
    }
}

/// The masking of section 5.3: its own inverse.
enum WebSocketMask {
    static func apply(_ key: (UInt8, UInt8, UInt8, UInt8), to bytes: inout [UInt8]) {
        let word = UInt32(key.0) | UInt32(key.1) << 8 | UInt32(key.2) << 16 | UInt32(key.3) << 24
        let wide = (UInt64(word) << 32 | UInt64(word)).littleEndian
        let count = bytes.count
        bytes.withUnsafeMutableBytes { raw in
            var offset = 0
            while offset + 8 <= count {
                let mixed = raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self) ^ wide
                raw.storeBytes(of: mixed, toByteOffset: offset, as: UInt64.self)
                offset += 8
            }
            while offset < count {
                raw[offset] ^= UInt8(truncatingIfNeeded: word >> UInt32(8 * (offset & 3)))
                offset += 1
            }
        }
    }
}
