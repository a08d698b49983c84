import HTTP
import Reactor
import Testing

@testable import Proxy

@Suite("Telling protocols apart")
struct ClassifyTests {
    private func classify(_ text: String) -> Worker.FirstBytes {
        let bytes = Array(text.utf8)
        return bytes.withUnsafeBytes { raw in
            guard let base = raw.baseAddress else { return .undecided }
            return Worker.classify(base, raw.count)
        }
    }

    @Test(
        "a request line is HTTP",
        arguments: ["GET / HTTP/1.1\r\n", "\r\nGET / HTTP/1.0", "PROPFIND /a?b HTTP/1.1", "M-SEARCH * HTTP/1.1"]
    )
    func http(text: String) { #expect(classify(text) == (text.hasSuffix("1.0") ? .http10 : .http11)) }

    @Test("every beginning of a request line is undecided")
    func beginnings() {
        let line = "OPTIONS http://a/b HTTP/1."
        for count in 1..<line.utf8.count { #expect(classify(String(line.prefix(count))) == .undecided, "at \(count)") }
    }

    @Test("the preface of HTTP/2 is told from a method that begins alike")
    func preface() {
        #expect(classify("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == .http2)
        #expect(classify("PRI * HTTP/2.0\r\n") == .undecided)
        #expect(classify("PRINT / HTTP/1.1\r\n") == .http11)
    }

    @Test(
        "everything else is something else, at its first byte where possible",
        arguments: [
            "\u{16}\u{03}\u{01}", "hello", "get / HTTP/1.1", "GET key\r\n", "*1\r\n$4\r\nPING\r\n", "GET /\r\n",
            "GET / HTTP/2.0", "GET / FTP/1.1", " GET", "SSH-2.0-OpenSSH\r\n", "AAAAAAAAAAAAAAAAAAAAAAAAA",
        ]
    )
    func other(text: String) { #expect(classify(text) == .other) }
}

@Suite("Following a body")
struct BodyTests {
    private func take(_ body: inout Body, _ text: String) throws -> (step: Body.Step, data: String) {
        var bytes = Array(text.utf8)
        let step = try bytes.withUnsafeMutableBytes { try body.take(#require($0.baseAddress), $0.count) }
        return (step, String(decoding: bytes[0..<step.data], as: UTF8.self))
    }

    @Test("a length takes exactly its bytes and leaves the rest")
    func length() throws {
        var body = Body(.length(5))
        #expect(try take(&body, "hel").data == "hel")
        #expect(!body.isComplete)
        let last = try take(&body, "loGET /")
        #expect(last.data == "lo" && last.step.consumed == 2)
        #expect(body.isComplete)
        #expect(try take(&body, "GET /").step.consumed == 0)
    }

    @Test("only a body without delimiter may end with the connection")
    func endOfStream() throws {
        var until = Body(.untilClose)
        _ = try take(&until, "abc")
        let isEnd = until.endOfStream()
        #expect(isEnd && until.isComplete)
        var length = Body(.length(5))
        _ = try take(&length, "abc")
        let isLengthEnd = length.endOfStream()
        #expect(!isLengthEnd)
        var chunked = Body(.chunked)
        _ = try take(&chunked, "3\r\nabc\r\n")
        let isChunkedEnd = chunked.endOfStream()
        #expect(!isChunkedEnd)
    }

    @Test("no body is whole from the start")
    func none() {
        #expect(Body(.none).isComplete)
        #expect(Body(.length(0)).isComplete)
    }
}

@Suite("Writing bytes")
struct ByteWriterTests {
    private func written(
        capacity: Int = 64,
        _ write: (inout ByteWriter) -> Void
    ) throws -> (text: String, overflowed: Bool) {
        var memory = [UInt8](repeating: 0xEE, count: capacity + 8)
        let result = try memory.withUnsafeMutableBytes { raw -> (Int, Bool) in
            var writer = try ByteWriter(#require(raw.baseAddress), capacity: capacity)
            write(&writer)
            return (writer.count, writer.overflowed)
        }
        #expect(memory[capacity...].allSatisfy { $0 == 0xEE }, "try written beyond the end")
        return (String(decoding: memory[0..<result.0], as: UTF8.self), result.1)
    }

    @Test("numbers in both bases", arguments: [0, 1, 9, 10, 255, 4096, 1 << 40, .max] as [UInt64])
    func numbers(value: UInt64) throws {
        #expect(try written { $0.put(decimal: value) }.text == String(value))
        #expect(try written { $0.put(hexadecimal: value) }.text == String(value, radix: 16))
    }

    @Test("what does not fit is left out whole, and said")
    func overflow() throws {
        let result = try written(capacity: 5) {
            $0.put("abc")
            $0.put("def")
            $0.endLine()
            $0.put(byte: 0x21)
        }
        #expect(result.text == "abc\r\n")
        #expect(result.overflowed)
    }
}

@Suite("Tokens")
struct TokenTests {
    @Test("kind, slot and generation come back", arguments: [0, 1, 255, 0x0FFF_FFFF] as [UInt32])
    func roundTrip(generation: UInt32) {
        for kind in [Token.Kind.listener, .downstream, .upstream, .downstreamTimer, .upstreamTimer, .workerTimer] {
            let token = Token(raw: Token(kind, 1_000_000, generation: generation).raw)
            #expect(token.kind == kind && token.index == 1_000_000 && token.generation == generation)
        }
    }
}
