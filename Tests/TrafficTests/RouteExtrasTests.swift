import HTTP
import Testing
import Traffic

@Suite("What few routes ask for")
struct RouteExtrasTests {
    private let arena = Arena()

    private func edit(_ kind: HeaderEdit.Kind, _ name: String, _ value: String = "") -> HeaderEdit {
        let parts = value.isEmpty ? [] : [ValuePart(kind: .literal, bytes: arena.copy(value))]
        return HeaderEdit(kind: kind, name: arena.copy(name), value: arena.copy(parts))
    }

    private func text(_ edits: [HeaderEdit]) -> String {
        edits.map { edit in
            let value = edit.value.isEmpty ? "" : edit.value[0].bytes.text
            return "\(edit.kind) \(edit.name.text)" + (value.isEmpty ? "" : "=\(value)")
        }.joined(separator: ", ")
    }

    @Test("changes of several levels become one list that does the same at once")
    func settling() {
        let table: [([HeaderEdit], String)] = [
            ([edit(.overwrite, "a", "1"), edit(.overwrite, "a", "2")], "overwrite a=2"),
            ([edit(.append, "a", "1"), edit(.append, "a", "2")], "append a=1, append a=2"),
            ([edit(.append, "a", "1"), edit(.remove, "a")], "remove a"),
            ([edit(.remove, "a"), edit(.append, "a", "1")], "remove a, append a=1"),
            ([edit(.append, "a", "1"), edit(.addIfAbsent, "a", "2")], "append a=1"),
            ([edit(.remove, "a"), edit(.addIfAbsent, "a", "2")], "remove a, append a=2"),
            ([edit(.remove, "a"), edit(.overwriteIfPresent, "a", "2")], "remove a"),
            ([edit(.append, "a", "1"), edit(.overwriteIfPresent, "a", "2")], "overwrite a=2"),
            ([edit(.overwrite, "a", "1"), edit(.overwrite, "b", "2")], "overwrite a=1, overwrite b=2"),
        ]
        for (edits, expected) in table { #expect(text(HeaderEdit.settled(edits)) == expected) }
    }

    @Test(
        "internal redirects are whole URLs of the same scheme, without user names; fragments are left out",
        arguments: [
            ("/b", nil), ("http://x/b?c#d", "x|/b?c"), ("http://x:1/b", "x:1|/b"), ("HTTP://x", "x|"),
            ("https://x/", nil), ("//x/b", nil),
            ("ftp://x/", nil), ("http://u@x/", nil), ("http://", nil), ("b", nil), ("http://x?q", nil),
        ] as [(String, String?)]
    )
    func redirectTargets(location: String, expected: String?) {
        let target = InternalRedirect().target(of: arena.copy(location), isTLS: false)
        #expect(target.map { "\($0.authority.text)|\($0.path.text)" } == expected)
    }

    @Test("a redirect to another scheme is followed where that is allowed")
    func crossScheme() {
        var redirect = InternalRedirect()
        redirect.crossesScheme = true
        #expect(redirect.target(of: arena.copy("https://x/a"), isTLS: false)?.path.text == "/a")
    }

    @Test("certificates and gRPC are asked for")
    func demands() throws {
        var kit = TableKit()
        kit.host(
            "h",
            ["*"],
            [
                kit.route("grpc") { route, _ in route.demands = .grpc },
                kit.route("mutual") { route, _ in route.demands = .certificate },
                kit.route("plain") { route, _ in route.demands = .noCertificate },
            ]
        )
        let table = try kit.builder.build(name: "t")
        #expect(table.view.asksForCertificate)
        func name(_ type: String, certificate: Bool) -> String? {
            let request = TestRequest("GET", "a", "/", [("content-type", type)])
            return withExtendedLifetime(request) {
                var view = request.view
                view.hasCertificate = certificate
                guard case .route(let route, _) = table.view.match(view, random: 0) else { return nil }
                return route.pointee.name.text
            }
        }
        #expect(name("application/grpc", certificate: false) == "grpc")
        #expect(name("application/grpc+proto", certificate: true) == "grpc")
        #expect(name("application/grpcx", certificate: true) == "mutual")
        #expect(name("text/plain", certificate: false) == "plain")
    }

    @Test("CONNECT takes routes for CONNECT alone, and other requests never do")
    func connect() throws {
        var kit = TableKit()
        kit.host(
            "h",
            ["*"],
            [
                kit.route("any prefix", prefix: ""),
                kit.route("connect") { route, _ in route.path.kind = .connect },
                kit.route("slash"),
            ]
        )
        kit.builder.hosts[0].routes.removeFirst()
        let table = try kit.builder.build(name: "t")
        #expect(table.routeName(TestRequest("CONNECT", "a:1", "")) == "connect")
        #expect(table.routeName(TestRequest("GET", "a:1", "/")) == "slash")
    }

    @Test("clients of the house need no TLS where only others do")
    func externalOnly() throws {
        var kit = TableKit()
        kit.host("h", ["*"], [kit.route("r")])
        kit.builder.hosts[0].requiresTLS = .externalOnly
        let table = try kit.builder.build(name: "t")
        let request = TestRequest()
        withExtendedLifetime(request) {
            var view = request.view
            guard case .requiresTLS = table.view.match(view, random: 0) else {
                Issue.record("a stranger came in without TLS")
                return
            }
            view.isInternal = true
            guard case .route = table.view.match(view, random: 0) else {
                Issue.record("the house was asked for TLS")
                return
            }
        }
    }

    @Test("path parameters are left out of matching where the table says so")
    func parameters() throws {
        var kit = TableKit()
        kit.builder.ignoresParameters = true
        kit.host("h", ["*"], [kit.route("exact", prefix: "/a") { route, _ in route.path.kind = .exact }])
        let table = try kit.builder.build(name: "t")
        #expect(table.routeName(TestRequest("GET", "a", "/a;v=1/b")) == "exact")
        #expect(table.routeName(TestRequest("GET", "a", "/b;/a")) == nil)
    }
}

@Suite("Retries by fields")
struct RetryExtrasTests {
    private let arena = Arena()

    private func policy(_ conditions: RetryPolicy.Conditions, _ change: (inout RetryExtras) -> Void = { _ in })
        -> RetryPolicy
    {
        var extras = RetryExtras()
        change(&extras)
        var policy = RetryPolicy()
        policy.conditions = conditions
        policy.retries = 1
        policy.extras = arena.copy([extras]).pointer(at: 0)
        return policy
    }

    private func present(_ name: String) -> HeaderMatch {
        var match = HeaderMatch()
        match.name = arena.copy(name)
        return match
    }

    private func decision(_ policy: RetryPolicy, _ answer: TestRequest) -> Bool? {
        withExtendedLifetime(answer) { policy.decision(onFieldsOf: answer.view) }
    }

    private func isFor(_ policy: RetryPolicy, _ request: TestRequest) -> Bool {
        withExtendedLifetime(request) { policy.isFor(request.view) }
    }

    @Test("an answer that says it is rate limited is retried by its own condition only")
    func rateLimited() {
        let answer = TestRequest("", "", "", [("X-Envoy-RateLimited", "true")])
        #expect(decision(policy(.serverError), answer) == false)
        #expect(decision(policy(.rateLimited), answer) == true)
        #expect(decision(policy(.rateLimited), TestRequest()) == nil)
    }

    @Test("retriable headers count where their condition is there")
    func retriableHeaders() {
        let answer = TestRequest("", "", "", [("x-again", "")])
        let matches = arena.copy([present("x-again")])
        #expect(decision(policy(.retriableHeaders) { $0.answers = matches }, answer) == true)
        #expect(decision(policy(.serverError) { $0.answers = matches }, answer) == nil)
        #expect(policy(.retriableHeaders) { $0.answers = matches }.judgesEveryAnswer)
        #expect(!policy(.serverError).judgesEveryAnswer)
    }

    @Test("a decision by fields stands in place of the status")
    func decision() {
        let verdict = policy(.serverError).verdict(
            after: .status,
            status: 503,
            retriesDone: 0,
            isIdempotent: true,
            isCovered: false,
            isReplayable: true
        )
        #expect(verdict == .notRetriable)
        let other = policy([]).verdict(
            after: .status,
            status: 200,
            retriesDone: 0,
            isIdempotent: true,
            isCovered: true,
            isReplayable: true
        )
        #expect(other == .retry)
    }

    @Test("a policy may be for some requests only")
    func requests() {
        let some = policy(.serverError) { $0.requests = arena.copy([present("x-try")]) }
        #expect(!isFor(some, TestRequest()))
        #expect(isFor(some, TestRequest("GET", "a", "/", [("x-try", "1")])))
        #expect(isFor(policy(.serverError), TestRequest()))
    }

    @Test(
        "endpoints say when they want to be asked again, up to a bound",
        arguments: [
            ([("retry-after", "2")], 2_000_000_000), ([("x-reset", "1003")], 3_000_000_000),
            ([("x-reset", "999")], nil),
            ([("retry-after", "11")], nil), ([("retry-after", "11"), ("x-reset", "1001")], 1_000_000_000),
            ([("retry-after", "soon")], nil), ([("retry-after", "-1")], nil), ([("retry-after", "0")], nil), ([], nil),
        ] as [([(String, String)], UInt64?)]
    )
    func resets(fields: [(String, String)], expected: UInt64?) {
        let policy = policy(.serverError) {
            $0.resets = arena.copy([
                ResetField(name: arena.copy("retry-after"), isMoment: false),
                ResetField(name: arena.copy("x-reset"), isMoment: true),
            ])
            $0.longestReset = 10_000_000_000
        }
        let answer = TestRequest("", "", "", fields)
        let clock: UInt64 = 1_000_500_000_000
        func pause(_ random: UInt64) -> UInt64? {
            withExtendedLifetime(answer) {
                policy.pause(askedForBy: answer.view, wallClock: clock, random: random)
            }
        }
        #expect(pause(0) == expected)
        if let expected { #expect(pause(expected / 2 - 1) == expected + expected / 2 - 1) }
    }

    @Test("every documented condition has its name")
    func names() {
        for name in [
            "5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "envoy-ratelimited",
            "retriable-4xx", "refused-stream", "retriable-status-codes", "retriable-headers",
            "http3-post-connect-failure",
        ] {
            #expect(RetryPolicy.Conditions(name: name) != nil)
        }
        #expect(RetryPolicy.Conditions(name: "6xx") == nil)
    }
}
