import TLS
import Testing

@Suite struct ClientHelloTests {
    private static func vector(_ size: Int, _ bytes: [UInt8]) -> [UInt8] {
        (0..<size).reversed().map { UInt8(truncatingIfNeeded: bytes.count >> ($0 * 8)) } + bytes
    }

    private static func handshake(_ name: String?, protocols: [String] = [], padding: Int = 0) -> [UInt8] {
        var extensions: [UInt8] = []
        if let name { extensions += [0, 0] + vector(2, vector(2, [0] + vector(2, Array(name.utf8)))) }
        if !protocols.isEmpty {
            extensions += [0, 16] + vector(2, vector(2, protocols.flatMap { vector(1, Array($0.utf8)) }))
        }
        if padding > 0 { extensions += [0, 21] + vector(2, [UInt8](repeating: 0, count: padding)) }
        let body =
            [3, 3] + [UInt8](repeating: 7, count: 32) + [0] + vector(2, [0x13, 0x01]) + [1, 0] + vector(2, extensions)
        return [1] + vector(3, body)
    }

    private static func records(_ message: [UInt8], of size: Int) -> [UInt8] {
        stride(from: 0, to: message.count, by: size)
            .flatMap { [22, 3, 1] + vector(2, Array(message[$0..<min($0 + size, message.count)])) }
    }

    private func read(_ bytes: [UInt8]) -> ClientHello.Reading { bytes.withUnsafeBytes { ClientHello.read($0) } }

    @Test("The name and the protocols are found in records of any size", arguments: [1, 2, 7, 100, 16_384])
    func finds(size: Int) {
        let bytes = Self.records(Self.handshake("Api.Example.com", protocols: ["h2", "http/1.1"]), of: size)
        guard case .hello(let hello) = read(bytes) else {
            Issue.record("not read")
            return
        }
        #expect(hello.serverName == "api.example.com")
        #expect(hello.protocols == [Array("h2".utf8), Array("http/1.1".utf8)])
        for count in 1..<bytes.count { #expect(read(Array(bytes[..<count])) == .incomplete) }
    }

    @Test("A hello over 16 KiB is awaited, one without end is refused")
    func sizes() {
        let large = Self.records(Self.handshake("a.example", padding: 40_000), of: 16_384)
        guard case .hello(let hello) = read(large) else {
            Issue.record("not read")
            return
        }
        #expect(hello.serverName == "a.example")
        #expect(read(Self.records([1, 0xFF, 0xFF, 0xFF], of: 16)) == .malformed)
        #expect(read(Self.records([1, 0, 0xFF, 0xFC] + [UInt8](repeating: 0, count: 20_000), of: 1)) == .malformed)
    }

    @Test("Without a name there is none, and two names or an odd one are refused")
    func names() {
        guard case .hello(let hello) = read(Self.records(Self.handshake(nil), of: 500)) else {
            Issue.record("not read")
            return
        }
        #expect(hello.serverName == nil)
        #expect(read(Self.records(Self.handshake("a\0.example"), of: 500)) == .malformed)
        #expect(read(Self.records(Self.handshake(""), of: 500)) == .malformed)
    }

    @Test("Other protocols are no TLS")
    func others() {
        for text in ["GET / HTTP/1.1\r\n", "SSH-2.0-x\r\n", "\u{80}\u{2e}"] {
            #expect(read(Array(text.utf8)) == .notTLS)
        }
        #expect(read([22, 2]) == .notTLS)
        #expect(read([]) == .incomplete)
    }

    @Test(
        "Names have one form, and none has an empty label",
        arguments: [
            ("A.example.", "a.example"), ("a", "a"), ("", nil), (".", nil), ("a..", nil), ("a..b", nil), (".a", nil),
        ] as [(String, String?)]
    )
    func namesHaveOneForm(_ name: String, _ wanted: String?) {
        #expect(ServerName.normalized(name) == wanted)
    }

    @Test("Damaged bytes never do harm")
    func damage() {
        let sound = Self.records(Self.handshake("api.example.com", protocols: ["h2"]), of: 60)
        var state: UInt64 = 42
        func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        for _ in 0..<5000 {
            var bytes = sound
            for _ in 0..<(1 + next(4)) { bytes[next(bytes.count)] = UInt8(next(256)) }
            if next(3) == 0 { bytes.removeLast(next(bytes.count)) }
            _ = read(bytes)
        }
    }
}
