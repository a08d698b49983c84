import Testing
import Traffic

@Suite("Regular expressions")
struct PatternTests {
    private let arena = Arena()

    @Test(
        "an expression is for the whole text",
        arguments: [
            ("/items/[0-9]+", "/items/42", true), ("/items/[0-9]+", "/items/42/x", false),
            ("/items/[0-9]+", "/a/items/42", false), ("", "", true), ("a*", "", true), ("(?i)shop", "SHOP", true),
            (".*\\.(png|jpg)", "/a/b.png", true), ("a|ab", "ab", true),
        ]
    )
    func whole(text: String, subject: String, expected: Bool) throws {
        #expect(try arena.compile(text).matches(arena.copy(subject)) == expected)
    }

    @Test("what is no expression, or too much of one, is refused with the reason")
    func refused() throws {
        func message(_ text: String, limit: Int = PatternLimits.program) -> String? {
            do throws(PatternError) {
                _ = try arena.compile(text, programLimit: limit)
                return nil
            } catch { return error.message }
        }
        #expect(message("a(b") == "is no regular expression: missing ): a(b")
        #expect(message("(?=a)b")?.contains("invalid perl operator") == true)
        #expect(message(String(repeating: "a", count: 4097)) == "has 4097 bytes, 4096 are allowed")
        #expect(message("[a-z]{1000}", limit: 100)?.contains("100 are allowed") == true)
        #expect(message("((a{100}){100}){10}")?.contains("repetition") == true)
    }

    @Test("a hostile text costs no more than its length", .timeLimit(.minutes(1)))
    func linear() throws {
        let pattern = try arena.compile("(a|a|aa)*(x+x+)+y")
        #expect(
            !pattern.matches(arena.copy(String(repeating: "a", count: 60_000) + String(repeating: "x", count: 5000)))
        )
    }

    @Test(
        "a rewrite replaces every match, and makes a path that leads nowhere else",
        arguments: [
            ("^/service/([^/]+)(/.*)$", "\\2/instance/\\1", "/service/foo/v1/api?q", "/v1/api/instance/foo?q"),
            ("one", "two", "/xxx/one/yyy/one/zzz", "/xxx/two/yyy/two/zzz"), ("nothing", "x", "/a", "/a"),
            ("^/a", "", "/a/b", "/b"), ("^/a/", "", "/a/b", "/b"), (".*", "", "/a", "/"),
            ("^/a(.*)$", "/\\1", "/a../b", "/b"), ("^/a(.*)$", "/\\1", "/a..", "/"), ("x", "..", "/x/.x/b", "/.../b"),
            ("x*", "-", "/axb", "/-/-a-b-"), ("a", "\\0\\0", "/a", "/aa"), ("a", "\\\\", "/a", "/\\"),
        ]
    )
    func rewrites(text: String, substitution: String, target: String, expected: String) throws {
        var extras = ForwardExtras()
        extras.pathRewrite = PatternRewrite(
            pattern: try arena.compile(text),
            substitution: arena.copy(substitution)
        )
        var forward = Forward()
        forward.extras = arena.copy([extras]).pointer(at: 0)
        #expect(forward.rewritesPath)
        #expect(written(forward, target, room: 64) == expected)
    }

    @Test("a rewrite that does not fit is not cut")
    func overflow() throws {
        var extras = ForwardExtras()
        extras.pathRewrite = PatternRewrite(pattern: try arena.compile("a"), substitution: arena.copy("0123456789"))
        var forward = Forward()
        forward.extras = arena.copy([extras]).pointer(at: 0)
        #expect(written(forward, "/aaaaaaaaaaaaaaaaaaaaaa", room: 64) == "overflow")
    }

    private func written(_ forward: Forward, _ target: String, room: Int) -> String {
        let request = TestRequest("GET", "a", target)
        return withUnsafeTemporaryAllocation(byteCount: room, alignment: 1) { place in
            var sink = ByteSink(place)
            _ = forward.writeRewrittenPath(request.view, matched: PathMatch(), into: &sink)
            return sink.overflowed ? "overflow" : sink.written.text
        }
    }

    @Test("a substitution names groups that there are")
    func substitutions() throws {
        let pattern = try arena.compile("(a)(b)")
        #expect(pattern.problem(withSubstitution: "\\2\\1") == nil)
        #expect(pattern.problem(withSubstitution: "\\3") != nil)
        #expect(pattern.problem(withSubstitution: "\\") != nil)
    }

    @Test(
        "a cookie is found among all Cookie fields, the first one wins",
        arguments: [
            (["a=1; user=7; b=2"], "7"), (["user=\"7\""], "7"), (["x=1", "user=2"], "2"), (["user=1;user=2"], "1"),
            (["auser=1; user"], nil), ([], nil), (["USER=1"], nil), (["user=a=b"], "a=b"), ([";;  ; user="], ""),
        ] as [([String], String?)]
    )
    func cookies(fields: [String], expected: String?) {
        let request = TestRequest("GET", "a", "/", fields.map { ("Cookie", $0) })
        #expect(request.view.cookie(arena.copy("user"))?.text == expected)
    }
}
