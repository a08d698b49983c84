import HTTP
import Testing

/// What a hostile or broken upstream may say.
@Suite("Response table")
struct ResponseTableTests {
    static let rows: [Row] = [
        Row("plain", "HTTP/1.1 200 OK⏎Content-Length: 3⏎⏎abc", .accepted("200 length(3)")),
        Row("no reason", "HTTP/1.1 200 ⏎Content-Length: 0⏎⏎", .accepted("200 none")),
        Row("no reason and no space", "HTTP/1.1 200⏎Content-Length: 0⏎⏎", .accepted("200 none")),
        Row("until close", "HTTP/1.1 200 OK⏎⏎", .accepted("200 untilClose close")),
        Row("1.0 closes", "HTTP/1.0 200 OK⏎Content-Length: 1⏎⏎", .accepted("200 length(1) close")),
        Row("1.0 keeps", "HTTP/1.0 200 OK⏎Connection: keep-alive⏎Content-Length: 1⏎⏎", .accepted("200 length(1)")),
        Row("chunked", "HTTP/1.1 200 OK⏎Transfer-Encoding: chunked⏎⏎", .accepted("200 chunked")),
        Row("U01 both", "HTTP/1.1 200 OK⏎Transfer-Encoding: chunked⏎Content-Length: 3⏎⏎", .refused(502)),
        Row("U01 bad length", "HTTP/1.1 200 OK⏎Content-Length: x⏎⏎", .refused(502)),
        Row("U01 two lengths", "HTTP/1.1 200 OK⏎Content-Length: 1⏎Content-Length: 2⏎⏎", .refused(502)),
        Row("U02 bare CR", "HTTP/1.1 200 OK⏎X: a\rY: b⏎Content-Length: 0⏎⏎", .refused(502)),
        Row("U02 NUL", "HTTP/1.1 200 OK⏎X: a\0⏎Content-Length: 0⏎⏎", .refused(502)),
        Row("U02 folded", "HTTP/1.1 200 OK⏎X: a⏎ b⏎⏎", .refused(502)),
        Row("U02 space before colon", "HTTP/1.1 200 OK⏎X : a⏎⏎", .refused(502)),
        Row("U02 CR in reason", "HTTP/1.1 200 O\rK⏎⏎", .refused(502)),
        Row("U04 204", "HTTP/1.1 204 No Content⏎Content-Length: 5⏎⏎hello", .accepted("204 none")),
        Row("U04 304", "HTTP/1.1 304 Not Modified⏎Content-Length: 5⏎⏎", .accepted("304 none")),
        Row("U05 103", "HTTP/1.1 103 Early Hints⏎Link: x⏎⏎", .accepted("103 none")),
        Row("U06 word", "HTTP/1.1 abc OK⏎⏎", .refused(502)),
        Row("U06 99", "HTTP/1.1 99 Low⏎⏎", .refused(502)),
        Row("U06 1000", "HTTP/1.1 1000 High⏎⏎", .refused(502)),
        Row("U06 600", "HTTP/1.1 600 High⏎⏎", .refused(502)),
        Row("U06 HTTP/0.9", "<html>hello</html>", .refused(502)),
        Row("U06 TLS", "\u{16}\u{3}\u{1}\u{2}", .refused(502)),
        Row("U06 other version", "HTTP/2.0 200 OK⏎⏎", .refused(502)),
    ]

    @Test("the whole head at once", arguments: rows)
    func whole(row: Row) { #expect(Feeding.response(row.bytes) == row.outcome) }

    @Test("cut at every byte and at random, the outcome is the same", arguments: rows)
    func pieces(row: Row) {
        for pieces in Feeding.splits(of: row.bytes.count, seed: 7) {
            #expect(Feeding.response(row.bytes, pieces: pieces) == row.outcome)
        }
    }

    @Test("an answer to HEAD has no body, whatever it declares")
    func head() {
        let bytes = Array("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".utf8)
        #expect(Feeding.response(bytes, to: .head) == .accepted("200 none"))
    }
}

@Suite("Path normal form")
struct PathTests {
    static func normalize(_ path: String, merges: Bool = true, slashes: PathNormalizer.EscapedSlashes = .reject)
        -> String?
    {
        let bytes = Array(path.utf8)
        var target = [UInt8](repeating: 0, count: bytes.count + 1)
        return bytes.withUnsafeBytes { source in
            target.withUnsafeMutableBytes { target -> String? in
                guard let from = source.baseAddress, let into = target.baseAddress else { return nil }
                guard
                    let count = try? PathNormalizer.normalize(
                        from,
                        count: bytes.count,
                        mergesSlashes: merges,
                        escapedSlashes: slashes,
                        into: into
                    )
                else { return nil }
                return String(decoding: target[..<count], as: UTF8.self)
            }
        }
    }

    @Test(
        "every spelling of a path has one form (A09)",
        arguments: [
            ("/", "/"), ("/a/b", "/a/b"), ("/%2e%2e/admin", "/admin"), ("//admin", "/admin"), ("/a/../admin", "/admin"),
            ("/./a/.", "/a/"),
            ("/a/b/..", "/a/"), ("/..", "/"), ("/../../x", "/x"), ("/%61dmin", "/admin"),
            ("/%252e%252e/", "/%252e%252e/"),
            ("/x/../admin?a=../b", "/admin?a=../b"), ("/a%c3%a9", "/a%C3%A9"),
            ("/%e0%a0%80", "/%E0%A0%80"), ("/%f0%90%80%80", "/%F0%90%80%80"), ("/%e0", "/%E0"), ("/%e0x", "/%E0x"),
            ("/a/..;/admin", "/a/..;/admin"),
            ("/admin?", "/admin?"),
            ("///a///b//", "/a/b/"), ("/.well-known/x", "/.well-known/x"), ("/a..b/..c", "/a..b/..c"),
            ("/%7euser", "/~user"),
        ]
    )
    func forms(path: String, expected: String) {
        #expect(Self.normalize(path) == expected)
        // The normal form of a normal form is itself: no second decoding can find anything new.
        #expect(Self.normalize(expected) == expected)
    }

    @Test(
        "spellings that mean harm are refused",
        arguments: [
            "/admin%2fx", "/admin%5cx", "/\\admin", "/admin%00", "/%c0%ae", "/%", "/%1", "/%zz", "/a%0d%0aX: y",
            "/%C1%9C", "/%7f", "/%e0%80%af", "/a%E0%9F%BF", "/%f0%80%80%af", "/%F0%8F%BF%BF",
        ]
    )
    func refused(path: String) { #expect(Self.normalize(path) == nil) }

    @Test("a route may keep escaped slashes opaque, or read them as slashes")
    func escapedSlashes() {
        #expect(Self.normalize("/a%2fb", slashes: .keep) == "/a%2Fb")
        #expect(Self.normalize("/a%2f..%2fb", slashes: .unescape) == "/b")
    }
}
