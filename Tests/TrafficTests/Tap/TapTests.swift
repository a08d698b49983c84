import Testing
import Traffic

@Suite("What a tap wants to see")
struct TapPredicateTests {
    private let arena = Arena()

    private func field(_ name: String, _ value: String, _ target: HeaderMatch.Target = .field) -> HeaderMatch {
        var match = HeaderMatch()
        match.target = target
        match.name = arena.copy(name)
        var text = TextMatch()
        text.bytes = arena.copy(value)
        match.rule = .text(text)
        return match
    }

    private func verdict(
        _ predicate: TapPredicate,
        _ request: TestRequest?,
        _ response: TestRequest? = nil,
        isOver: Bool = false
    ) -> TapVerdict {
        predicate.verdict(TapSubject(request: request?.view, response: response?.view, isOver: isOver))
    }

    private let red = TestRequest("GET", "a", "/", [("x-colour", "red")])
    private let failed = TestRequest("503", "", "/", [("x-made-by", "origin")])

    @Test("a verdict comes as early as it can")
    func early() {
        let colour = TapPredicate.request([field("x-colour", "red")])
        let status = TapPredicate.response([field(":status", "503", .method)])
        let other = TapPredicate.request([field("x-colour", "blue")])
        #expect(verdict(colour, red) == .yes)
        #expect(verdict(status, red) == .unknown)
        #expect(verdict(status, red, failed) == .yes)
        #expect(verdict(status, red, isOver: true) == .no)
        #expect(verdict(.all([colour, status]), red) == .unknown)
        #expect(verdict(.all([other, status]), red) == .no)
        #expect(verdict(.oneOf([colour, status]), red) == .yes)
        #expect(verdict(.oneOf([other, status]), red) == .unknown)
        #expect(verdict(.oneOf([other, status]), red, failed) == .yes)
        #expect(verdict(.not(status), red) == .unknown)
        #expect(verdict(.not(status), red, failed) == .no)
        #expect(verdict(.not(other), red) == .yes)
        #expect(verdict(.not(.trailers([])), red, failed, isOver: true) == .yes)
        #expect(verdict(.any, nil) == .yes)
        #expect(verdict(.never, red, failed, isOver: true) == .no)
    }

    @Test("all fields of one matcher have to match")
    func together() {
        #expect(verdict(.request([field("x-colour", "red"), field("x-size", "2")]), red) == .no)
        #expect(verdict(.request([]), red) == .yes)
    }

    @Test("so many a second, and again in the next")
    func rate() {
        var rate = TapRate(limit: 2)
        let times: [UInt64] = [5, 6, 7, 1_000_000_000, 1_999_999_999, 1_999_999_999]
        var admitted: [Bool] = []
        for time in times { admitted.append(rate.admits(now: time)) }
        #expect(admitted == [true, true, false, true, true, false])
    }
}

@Suite("What a tap hides")
struct TapRedactionTests {
    @Test(
        "fields",
        arguments: [
            ("authorization", true), ("Cookie", true), ("set-cookie", true), ("x-api-key", true),
            ("proxy-authorization", true), ("x-colour", false), (":path", false), ("x-authorization-mode", false),
        ]
    )
    func fields(name: String, isHidden: Bool) {
        #expect((TapRedaction().value("v", of: name) == TapRedaction.mark) == isHidden)
    }

    @Test("lists of one's own replace or add")
    func lists() {
        let own = TapRedaction(fields: TapRedaction.names("X-One, x-two,,"))
        #expect(own.fields == ["x-one", "x-two"])
        #expect(own.value("v", of: "authorization") == "v")
        #expect(TapRedaction().adding(["x-one"]).value("v", of: "X-One") == TapRedaction.mark)
    }

    @Test(
        "parameters",
        arguments: [
            ("/a", "/a"), ("/a?", "/a?"), ("/a?b=c&d", "/a?b=c&d"), ("/a?token=1&b=2", "/a?token=[redacted]&b=2"),
            ("/a?access_token=1", "/a?access_token=[redacted]"), ("/a?Password=1", "/a?Password=[redacted]"),
            ("/a?broken=1&sort_key=2", "/a?broken=1&sort_key=2"), ("/a?api_key=1=2", "/a?api_key=[redacted]"),
            ("/a?nottoken=1&x-signature=2", "/a?nottoken=1&x-signature=[redacted]"), ("/token=1", "/token=1"),
        ]
    )
    func parameters(target: String, shown: String) {
        #expect(TapRedaction().value(target, of: ":path") == shown)
        #expect(TapRedaction().value(target, of: "x-other") == target)
    }
}

@Suite("Who may tap")
struct TapAccessTests {
    private let token = Array("0123456789abcdef".utf8)

    @Test(
        "over a Unix socket: the own user and root, whatever else is said",
        arguments: [(7, true), (0, true), (8, false)]
    )
    func unix(user: UInt32, may: Bool) {
        let access = TapAccess(user: user, isLocal: false, authorization: "Bearer 0123456789abcdef")
        #expect((access.refusal(own: 7, token: token) == nil) == may)
    }

    @Test(
        "over TCP: this machine, with the token",
        arguments: [
            ("Bearer 0123456789abcdef", true, true), ("bearer 0123456789abcdef", true, true),
            ("Bearer 0123456789abcdef", false, false), ("Bearer 0123456789abcde", true, false),
            ("Bearer 0123456789abcdef0", true, false), ("Basic 0123456789abcdef", true, false),
            ("0123456789abcdef", true, false), ("Bearer ", true, false), (nil, true, false),
        ] as [(String?, Bool, Bool)]
    )
    func tcp(authorization: String?, isLocal: Bool, may: Bool) {
        let access = TapAccess(user: nil, isLocal: isLocal, authorization: authorization)
        #expect((access.refusal(own: 7, token: token) == nil) == may)
        #expect(access.refusal(own: 7, token: nil) != nil)
        #expect(access.refusal(own: 7, token: []) != nil)
    }
}
