import Servers
import Testing

@Suite("WebSocket frames")
struct WebSocketTests {
    private static let mask: [UInt8] = [0x37, 0xfa, 0x21, 0x3d]

    private static func masked(_ head: [UInt8], _ payload: [UInt8]) -> [UInt8] {
        head + mask + payload.enumerated().map { $1 ^ mask[$0 % 4] }
    }

    /// Every message of the bytes, or the code of the breach.
    private static func read(_ bytes: [UInt8], limit: Int = 1 << 20, piece: Int = .max) -> Result<
        [WebSocketMessage], WebSocketFault
    > {
        var reader = WebSocketReader(role: .server, limit: limit)
        var messages: [WebSocketMessage] = []
        var rest = bytes[...]
        do throws(WebSocketFault) {
            while !rest.isEmpty {
                reader.append(Array(rest.prefix(piece)))
                rest = rest.dropFirst(piece)
                while let message = try reader.next() { messages.append(message) }
            }
        } catch { return .failure(error) }
        return .success(messages)
    }

    @Test("the examples of RFC 6455 section 5.7 are read")
    func examples() throws {
        let hello = Array("Hello".utf8)
        let single: [UInt8] = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]
        #expect(try Self.read(single).get() == [.data(hello, isText: true)])
        let ping = Self.masked([0x89, 0x85], hello)
        #expect(try Self.read(ping).get() == [.ping(hello)])
        var client = WebSocketReader(role: .client)
        client.append([0x81, 0x05] + hello + [0x01, 0x03] + hello[..<3] + [0x80, 0x02] + hello[3...])
        #expect(try client.next() == .data(hello, isText: true))
        #expect(try client.next() == .data(hello, isText: true))
        #expect(try client.next() == nil)
    }

    @Test("lengths at their borders come through whole, in any pieces", arguments: [0, 1, 125, 126, 127, 65535, 65536])
    func lengths(count: Int) throws {
        let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let frame = WebSocketFrame.bytes(.binary, payload, mask: 0x0102_03ff)
        #expect(try Self.read(frame).get() == [.data(payload, isText: false)])
        let piece = count < 1000 ? 1 : 1000
        #expect(
            try Self.read(frame + frame, piece: piece).get()
                == Array(repeating: .data(payload, isText: false), count: 2)
        )
    }

    @Test("a control frame between fragments does not disturb them")
    func interleaved() throws {
        let bytes =
            Self.masked([0x02, 0x82], [1, 2]) + Self.masked([0x89, 0x81], [9]) + Self.masked([0x00, 0x81], [3])
            + Self.masked([0x80, 0x80], [])
        #expect(try Self.read(bytes).get() == [.ping([9]), .data([1, 2, 3], isText: false)])
    }

    struct Breach: Sendable, CustomStringConvertible {
        let description: String
        let bytes: [UInt8]
        var code: UInt16 = 1002
    }

    private static let breaches: [Breach] = [
        Breach(description: "not masked", bytes: [0x82, 0x01, 0x00]),
        Breach(description: "first reserved bit", bytes: masked([0xc2, 0x80], [])),
        Breach(description: "second reserved bit", bytes: masked([0xa2, 0x80], [])),
        Breach(description: "third reserved bit", bytes: masked([0x92, 0x80], [])),
        Breach(description: "opcode 3", bytes: masked([0x83, 0x80], [])),
        Breach(description: "opcode 11", bytes: masked([0x8b, 0x80], [])),
        Breach(description: "fragmented ping", bytes: masked([0x09, 0x80], [])),
        Breach(description: "long ping", bytes: [0x89, 0xfe, 0x00, 0x7e]),
        Breach(description: "16-bit length that fits 7", bytes: [0x82, 0xfe, 0x00, 0x7d]),
        Breach(description: "64-bit length that fits 16", bytes: [0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
        Breach(description: "64-bit length, first bit", bytes: [0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1]),
        Breach(
            description: "the longest length",
            bytes: [0x82, 0xff, 0x7f] + [UInt8](repeating: 0xff, count: 7),
            code: 1009
        ),
        Breach(description: "above the limit", bytes: [0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1], code: 1009),
        Breach(description: "continuation of nothing", bytes: masked([0x80, 0x81], [1])),
        Breach(description: "message within a message", bytes: masked([0x02, 0x81], [1]) + masked([0x82, 0x81], [2])),
        Breach(description: "text that is not UTF-8", bytes: masked([0x81, 0x82], [0xc3, 0x28]), code: 1007),
        Breach(description: "close with half a code", bytes: masked([0x88, 0x81], [3])),
        Breach(description: "close with code 999", bytes: masked([0x88, 0x82], [0x03, 0xe7])),
        Breach(description: "close with code 1005", bytes: masked([0x88, 0x82], [0x03, 0xed])),
        Breach(description: "close with code 1016", bytes: masked([0x88, 0x82], [0x03, 0xf8])),
        Breach(
            description: "close with a reason that is not UTF-8",
            bytes: masked([0x88, 0x83], [0x03, 0xe8, 0xff]),
            code: 1007
        ),
    ]

    @Test("a breach of the protocol is refused with its code", arguments: breaches)
    func breach(_ breach: Breach) {
        for piece in [Int.max, 1] {
            guard case .failure(let fault) = Self.read(breach.bytes, piece: piece) else {
                Issue.record("\(breach) was taken")
                continue
            }
            #expect(fault.code == breach.code)
        }
    }

    @Test("a server's frame that is masked is refused by a client")
    func maskedServer() {
        var reader = WebSocketReader(role: .client)
        reader.append(Self.masked([0x82, 0x80], []))
        #expect(throws: WebSocketFault.self) { try reader.next() }
    }

    @Test("fragments together are bounded like one frame")
    func fragmentsAreBounded() {
        let half = WebSocketFrame.bytes(.binary, [UInt8](repeating: 1, count: 600), mask: 1)
        var first = half
        first[0] = 0x02
        var second = half
        second[0] = 0x80
        guard case .failure(let fault) = Self.read(first + second, limit: 1000) else {
            Issue.record("1200 bytes passed a limit of 1000")
            return
        }
        #expect(fault.code == 1009)
    }

    @Test("close codes and their absence are read")
    func closes() throws {
        #expect(try Self.read(Self.masked([0x88, 0x80], [])).get() == [.close(code: nil)])
        #expect(try Self.read(Self.masked([0x88, 0x82], [0x03, 0xe8])).get() == [.close(code: 1000)])
        let long = WebSocketFrame.close(1002, String(repeating: "ü", count: 100))
        #expect(long.count <= 127)
        var client = WebSocketReader(role: .client)
        client.append(long)
        #expect(try client.next() == .close(code: 1002))
    }

    @Test("the handshake's answer is the one of RFC 6455 section 1.3")
    func handshake() {
        #expect(WebSocketHandshake.answer(to: "dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }
}
