import HTTP
import Testing

/// One row of the tables: an id, bytes (⏎ stands for CR LF), and what must become of them.
struct Row: Sendable, CustomTestStringConvertible {
    let id: String
    let bytes: [UInt8]
    let outcome: Outcome

    init(_ id: String, _ text: String, _ outcome: Outcome) {
        self.id = id
        bytes = Array(text.replacing("⏎", with: "\r\n").utf8)
        self.outcome = outcome
    }

    var testDescription: String { id }
}

/// Requests that would be understood in two ways, or in none: RFC 9112 and RFC 9110 decide, and doubt refuses.
@Suite("Request table")
struct RequestTableTests {
    static func get(_ fields: String) -> String { "GET / HTTP/1.1⏎Host: a⏎\(fields)⏎⏎" }
    static func post(_ fields: String, _ body: String = "") -> String {
        "POST / HTTP/1.1⏎Host: a⏎\(fields)⏎⏎\(body)"
    }
    static func chunks(_ body: String) -> String { post("Transfer-Encoding: chunked", body) }

    static let framing: [Row] = [
        Row("F01 CL.TE", post("Content-Length: 6⏎Transfer-Encoding: chunked", "0⏎⏎G"), .refused(400)),
        Row(
            "F02 TE.CL",
            post("Transfer-Encoding: chunked⏎Content-Length: 4", "5c⏎GPOST / HTTP/1.1⏎⏎0⏎⏎"),
            .refused(400)
        ),
        Row(
            "F03 TE on OPTIONS",
            "OPTIONS / HTTP/1.1⏎Host: a⏎Transfer-Encoding: chunked⏎⏎5⏎GET /⏎0⏎⏎",
            .accepted("OPTIONS / a 5")
        ),
        Row("F05 other expectation", post("Expect: x⏎Content-Length: 1", "1"), .refused(417)),
        Row("F05 100-continue", post("Expect: 100-Continue⏎Content-Length: 1", "1"), .accepted("POST / a 1")),
        Row("F06 two lengths", post("Content-Length: 5⏎Content-Length: 6", "123456"), .refused(400)),
        Row("F06 two equal lengths", post("Content-Length: 5⏎Content-Length: 5", "12345"), .refused(400)),
        Row("F06 list of lengths", post("Content-Length: 5, 5", "12345"), .refused(400)),
        Row("F07 leading zeros", post("Content-Length: 005", "12345"), .accepted("POST / a 5")),
        Row("F07 18 digits", post("Content-Length: 100000000000000000"), .incomplete),
        Row("F10 chunked in 1.0", "POST / HTTP/1.0⏎Transfer-Encoding: chunked⏎⏎0⏎⏎", .refused(400)),
        Row("F12 extension", chunks("5;a=b;c=\"d;e\\\"\"⏎hello⏎0⏎⏎"), .accepted("POST / a 5")),
        Row("F12 long extension", chunks("5;a=\(String(repeating: "x", count: 65_536))⏎hello⏎0⏎⏎"), .refused(400)),
        Row("F13 after data", chunks("5⏎helloX⏎0⏎⏎"), .refused(400)),
        Row("F13 bare LF after data", chunks("5⏎hello\n0⏎⏎"), .refused(400)),
        Row("F14 no last chunk", chunks("5⏎hello⏎"), .incomplete),
        Row("F14 short body", post("Content-Length: 10", "hello"), .incomplete),
        Row("F15 trailers", chunks("0⏎X-Sum: 1⏎Content-Length: 5⏎⏎"), .accepted("POST / a 0")),
        Row("F15 trailer without colon first byte space", chunks("0⏎ X: 1⏎⏎"), .refused(400)),
        Row("F16 bare LF in start line", "GET / HTTP/1.1\nHost: a⏎⏎", .refused(400)),
        Row("F16 bare LF in field", "GET / HTTP/1.1⏎Host: a\nX: b⏎⏎", .refused(400)),
        Row("F16 bare LF at the end", "GET / HTTP/1.1⏎Host: a⏎\n", .refused(400)),
        Row("F17 bare CR", get("X: a\rB: c"), .refused(400)),
        Row("F17 NUL", get("X: a\0b"), .refused(400)),
        Row("F17 CR only", "GET / HTTP/1.1\rHost: a\r\r", .refused(400)),
        Row("F18 folded", get("X: a⏎ b"), .refused(400)),
        Row("F18 folded coding", post("Transfer-Encoding:⏎ chunked", "0⏎⏎"), .refused(400)),
        Row("F19 no colon", get("X"), .refused(400)),
        Row("F19 empty name", get(": x"), .refused(400)),
        Row("F19 name with a bracket", get("X(a): x"), .refused(400)),
        Row("F19 name above 0x7f", get("Xé: x"), .refused(400)),
        Row("F19 space before the first field", "GET / HTTP/1.1⏎ Host: a⏎⏎", .refused(400)),
        Row("F21 pipelined", "GET /1 HTTP/1.1⏎Host: a⏎⏎GET /2 HTTP/1.1⏎Host: a⏎⏎", .accepted("GET /1 a 0")),
        Row("F22 GET with body", "GET / HTTP/1.1⏎Host: a⏎Content-Length: 3⏎⏎abc", .accepted("GET / a 3")),
    ]

    static let lengths: [Row] = [
        "+5", "-0", "-1", "0x5", "5 5", "5_0", "5;", "1e1", "", "٥", "12345678901234567890", "1000000000000000000",
        "5,",
    ].map { Row("F07 Content-Length '\($0)'", post("Content-Length: \($0)", "12345"), .refused(400)) }

    static let codings: [Row] =
        [
            ("xchunked", 501), ("identity", 501), ("gzip", 501), ("chunked, gzip", 400), ("chunked;x=1", 400),
            (",chunked", 400),
            ("chunked,", 400), ("\"chunked\"", 400), ("\u{0b}chunked", 400), ("chunked\0", 400), ("", 400),
            ("chunked⏎Transfer-Encoding: chunked", 400), ("chunked, chunked", 400),
            ("chunked⏎Transfer-Encoding: identity", 400),
        ].map { Row("F08 '\($0.0)'", post("Transfer-Encoding: \($0.0)", "0⏎⏎"), .refused(UInt16($0.1))) } + [
            Row("F08 any case", post("Transfer-Encoding: ChunKed", "0⏎⏎"), .accepted("POST / a 0"))
        ]

    static let names: [Row] = [
        "Transfer-Encoding : chunked", "Transfer-Encoding\t: chunked", " Transfer-Encoding: chunked",
        "Transfer_Encoding: chunked", "Content_Length: 3", "X-Forwarded_For: 1.2.3.4", "Host : b",
    ].map { Row("F09 '\($0)'", post($0, "0⏎⏎"), .refused(400)) }

    static let chunkSizes: [Row] = [
        "0x5", "+5", "-5", "5_", " 5", "5 ", "", "G", "5junk", "FFFFFFFFFFFFFFFFF", "10000000000000005", "5;", "5;\n",
        "5;\0",
        "5;a=\"\u{1}\"", "2\r\r;a", "5\n",
    ].map { Row("F11 '\($0)'", chunks("\($0)⏎hello⏎0⏎⏎"), .refused(400)) }

    static let startLines: [Row] =
        [
            ("GET  / HTTP/1.1", 400), ("GET\t/ HTTP/1.1", 400), ("GET HTTP/1.1", 400), ("GET / http/1.1", 400),
            ("GET / HTTP/1.10", 400),
            ("GET / HTTP/01.1", 400), ("GET / HTTP/2.0", 505), ("GET / HTTP/1.2", 505), ("GET /", 400),
            ("GET / HTTP/1.1 ", 400),
            (" GET / HTTP/1.1", 400), ("G(T / HTTP/1.1", 400), (String(repeating: "A", count: 33) + " / HTTP/1.1", 400),
            ("GET / HTTP/1.1 x", 400), ("GET /a b HTTP/1.1", 400), ("GET / HTTP1.1", 400),
        ].map { Row("F20 '\($0.0)'", "\($0.0)⏎Host: a⏎⏎", .refused(UInt16($0.1))) } + [
            Row("F20 two empty lines first", "⏎⏎GET / HTTP/1.1⏎Host: a⏎⏎", .accepted("GET / a 0")),
            Row("F20 three empty lines first", "⏎⏎⏎GET / HTTP/1.1⏎Host: a⏎⏎", .refused(400)),
            Row("F20 method in lower case", "get / HTTP/1.1⏎Host: a⏎⏎", .accepted("get / a 0")),
        ]

    static let targets: [Row] = [
        Row("A01 no Host", "GET / HTTP/1.1⏎⏎", .refused(400)),
        Row("A01 no Host in 1.0", "GET / HTTP/1.0⏎⏎", .accepted("GET /  0")),
        Row("A01 two Hosts", "GET / HTTP/1.1⏎Host: a⏎Host: a⏎⏎", .refused(400)),
        Row("A01 list", "GET / HTTP/1.1⏎Host: a, b⏎⏎", .refused(400)),
        Row("A01 user", "GET / HTTP/1.1⏎Host: u@a⏎⏎", .refused(400)),
        Row("A01 slash", "GET / HTTP/1.1⏎Host: a/b⏎⏎", .refused(400)),
        Row("A01 empty", "GET / HTTP/1.1⏎Host: ⏎⏎", .refused(400)),
        Row("A02 absolute wins", "GET http://a/x HTTP/1.1⏎Host: b⏎⏎", .accepted("GET /x a 0")),
        Row("A02 absolute without path", "GET http://a:80 HTTP/1.1⏎Host: b⏎⏎", .accepted("GET  a:80 0")),
        Row("A03 fragment", "GET /x#y HTTP/1.1⏎Host: a⏎⏎", .refused(400)),
        Row("A03 user info", "GET http://u:p@a/ HTTP/1.1⏎Host: a⏎⏎", .refused(400)),
        Row("A03 other scheme", "GET ftp://a/ HTTP/1.1⏎Host: a⏎⏎", .refused(400)),
        Row("A03 star", "GET * HTTP/1.1⏎Host: a⏎⏎", .refused(400)),
        Row("A03 star for OPTIONS", "OPTIONS * HTTP/1.1⏎Host: a⏎⏎", .accepted("OPTIONS * a 0")),
        Row("A03 CONNECT without port", "CONNECT a HTTP/1.1⏎Host: a⏎⏎", .refused(400)),
        Row("A03 CONNECT mismatch", "CONNECT a:443 HTTP/1.1⏎Host: b⏎⏎", .refused(400)),
        Row("A03 CONNECT", "CONNECT a:443 HTTP/1.1⏎Host: a:443⏎⏎", .accepted("CONNECT  a:443 0")),
        Row("A03 no slash", "GET x HTTP/1.1⏎Host: a⏎⏎", .refused(400)),
        Row("A03 above 0x7f", "GET /é HTTP/1.1⏎Host: a⏎⏎", .refused(400)),
        Row("A05 bad Connection", get("Connection: (x)"), .refused(400)),
        Row("L01 long target", "GET /\(String(repeating: "a", count: 20_000)) HTTP/1.1⏎Host: a⏎⏎", .refused(414)),
        Row(
            "L01 8000 bytes",
            "GET /\(String(repeating: "a", count: 7999)) HTTP/1.1⏎Host: a⏎⏎",
            .accepted("GET /\(String(repeating: "a", count: 7999)) a 0")
        ),
        Row("L02 many fields", get((0..<100).map { "X\($0): y" }.joined(separator: "⏎")), .refused(431)),
        Row("L02 99 and Host", get((0..<99).map { "X\($0): y" }.joined(separator: "⏎")), .accepted("GET / a 0")),
        Row("L02 large head", get("X: \(String(repeating: "y", count: 70_000))"), .refused(431)),
        Row("L02 endless head", "GET / HTTP/1.1⏎Host: a⏎X: \(String(repeating: "y", count: 70_000))", .refused(431)),
    ]

    static let all = framing + lengths + codings + names + chunkSizes + startLines + targets

    @Test("the whole message at once", arguments: all)
    func whole(row: Row) {
        #expect(Feeding.request(row.bytes) == row.outcome)
    }

    @Test("cut at every byte and at random, the outcome is the same", arguments: all.filter { $0.bytes.count < 4000 })
    func pieces(row: Row) {
        for pieces in Feeding.splits(of: row.bytes.count, seed: UInt64(row.bytes.count)) {
            #expect(Feeding.request(row.bytes, pieces: pieces) == row.outcome)
        }
    }

    @Test("there are at least a hundred rows")
    func size() { #expect(Self.all.count >= 100) }
}
