import Testing
import Traffic

@Suite("Route table")
struct RouteTableTests {
    static func domains() throws -> RouteTable {
        var kit = TableKit()
        for (name, domains) in [
            ("exact", ["a.example.com"]), ("short suffix", ["*.com"]), ("long suffix", ["*.example.com"]),
            ("dash suffix", ["*-x.example.com"]), ("prefix", ["a.*"]), ("long prefix", ["a.b.*"]), ("any", ["*"]),
            ("port", ["p.example.org:8080"]), ("v6", ["[::1]"]),
        ] {
            kit.host(name, domains, [kit.route(name)])
        }
        return try kit.builder.build(name: "t")
    }

    @Test(
        "domains take precedence as Envoy says: exact, longest suffix, longest prefix, any",
        arguments: [
            ("a.example.com", "exact"), ("A.Example.COM", "exact"), ("b.example.com", "long suffix"),
            ("c.b.example.com", "long suffix"), ("b-x.example.com", "dash suffix"), ("other.com", "short suffix"),
            ("a.org", "prefix"), ("a.b.org", "long prefix"), ("b.org", "any"), (".com", "any"), ("", "any"),
            ("p.example.org:8080", "port"), ("p.example.org", "any"), ("a.example.com:80", "prefix"), ("[::1]", "v6"),
        ]
    )
    func precedence(authority: String, expected: String) throws {
        #expect(try Self.domains().routeName(TestRequest("GET", authority)) == expected)
    }

    @Test(
        "a table that ignores ports matches with and without one",
        arguments: ["x.y", "x.y:80", "x.y:", "[::1]:9", "[::1]"]
    )
    func ignoringPorts(authority: String) throws {
        var kit = TableKit()
        kit.builder.ignoresPort = true
        kit.host("h", ["x.y", "[::1]"], [kit.route("r")])
        #expect(try kit.builder.build(name: "t").routeName(TestRequest("GET", authority)) == "r")
    }

    @Test("no domain fits: no virtual host")
    func noHost() throws {
        var kit = TableKit()
        kit.host("h", ["x"], [kit.route("r")])
        let table = try kit.builder.build(name: "t")
        guard case .noVirtualHost = table.view.match(TestRequest("GET", "y").view, random: 0) else {
            Issue.record("a host was found")
            return
        }
    }

    @Test("a thousand domains are each found")
    func manyDomains() throws {
        var kit = TableKit()
        for index in 0..<1000 { kit.host("h\(index)", ["host-\(index).test"], [kit.route("r\(index)")]) }
        let table = try kit.builder.build(name: "t")
        for index in 0..<1000 { #expect(table.routeName(TestRequest("GET", "host-\(index).test")) == "r\(index)") }
        #expect(table.routeName(TestRequest("GET", "host-1000.test")) == nil)
    }

    @Test("a domain may stand only once, whatever its case")
    func duplicates() {
        var kit = TableKit()
        kit.host("a", ["X.y"], [])
        kit.host("b", ["x.Y"], [])
        #expect(throws: RouteTableError.duplicateDomain("x.Y")) { try kit.builder.build(name: "t") }
    }

    @Test("a star stands alone, first or last", arguments: ["a*b", "*a*", "", "a.*.b"])
    func badDomains(domain: String) {
        var kit = TableKit()
        kit.host("a", [domain], [])
        #expect(throws: RouteTableError.badDomain(domain)) { try kit.builder.build(name: "t") }
    }

    @Test("a virtual host that wants TLS says so")
    func requiresTLS() throws {
        var kit = TableKit()
        kit.host("h", ["*"], [kit.route("r")])
        kit.builder.hosts[0].requiresTLS = .all
        let table = try kit.builder.build(name: "t")
        let request = TestRequest()
        guard case .requiresTLS = table.view.match(request.view, random: 0) else {
            Issue.record("plain text was let through")
            return
        }
        request.isTLS = true
        #expect(table.routeName(request) == "r")
    }

    @Test("the first route that matches wins")
    func order() throws {
        var kit = TableKit()
        kit.host("h", ["*"], [kit.route("a", prefix: "/a"), kit.route("ab", prefix: "/ab"), kit.route("all")])
        let table = try kit.builder.build(name: "t")
        #expect(table.routeName(TestRequest("GET", "x", "/abc")) == "a")
        #expect(table.routeName(TestRequest("GET", "x", "/b")) == "all")
    }
}

@Suite("Route matching")
struct RouteMatchingTests {
    private func matches(_ request: TestRequest, random: UInt64 = 0, _ change: (inout Route, Arena) -> Void) throws
        -> Bool
    {
        var kit = TableKit()
        kit.host("h", ["*"], [kit.route("r", change)])
        return try kit.builder.build(name: "t").routeName(request, random: random) != nil
    }

    @Test(
        "paths",
        arguments: [
            (PathMatch.Kind.prefix, "/api", "/api", true), (.prefix, "/api", "/apiary", true),
            (.prefix, "/api", "/ap", false), (.prefix, "/api", "/API", false), (.exact, "/api", "/api", true),
            (.exact, "/api", "/api?x=1", true), (.exact, "/api", "/api/", false),
            (.separatedPrefix, "/api", "/api", true),
            (.separatedPrefix, "/api", "/api/x", true), (.separatedPrefix, "/api", "/apiary", false),
            (.separatedPrefix, "/api", "/api?q", true), (.prefix, "/api?x", "/api?x=1", false),
        ]
    )
    func paths(kind: PathMatch.Kind, pattern: String, target: String, expected: Bool) throws {
        let result = try matches(TestRequest("GET", "a", target)) { route, arena in
            route.path.kind = kind
            route.path.bytes = arena.copy(pattern)
        }
        #expect(result == expected)
    }

    @Test("a path may ignore case", arguments: [PathMatch.Kind.prefix, .exact, .separatedPrefix])
    func pathCase(kind: PathMatch.Kind) throws {
        let result = try matches(TestRequest("GET", "a", "/APi")) { route, arena in
            route.path.kind = kind
            route.path.isCaseSensitive = false
            route.path.bytes = arena.copy("/apI")
        }
        #expect(result)
    }

    static func text(_ kind: TextMatch.Kind, _ arena: Arena, _ value: String, ignoringCase: Bool = false) -> TextMatch {
        var match = TextMatch()
        match.kind = kind
        match.bytes = arena.copy(value)
        match.ignoresCase = ignoringCase
        return match
    }

    @Test(
        "header texts",
        arguments: [
            (TextMatch.Kind.exact, "v1", "v1", true), (.exact, "v1", "V1", false), (.exact, "v1", "v11", false),
            (.prefix, "v1", "v1.2", true), (.prefix, "v1", "xv1", false), (.suffix, "v1", "xv1", true),
            (.suffix, "v1", "v1x", false), (.contains, "v1", "xv1x", true), (.contains, "v1", "v", false),
            (.contains, "aab", "aaab", true), (.contains, "v1", "", false),
        ]
    )
    func headerTexts(kind: TextMatch.Kind, pattern: String, value: String, expected: Bool) throws {
        let result = try matches(TestRequest("GET", "a", "/", [("X-Version", value)])) { route, arena in
            var match = HeaderMatch()
            match.name = arena.copy("x-version")
            match.rule = .text(Self.text(kind, arena, pattern))
            route.headers = arena.copy([match])
        }
        #expect(result == expected)
    }

    @Test("text may ignore case", arguments: [TextMatch.Kind.exact, .prefix, .suffix, .contains])
    func ignoringCase(kind: TextMatch.Kind) throws {
        let result = try matches(TestRequest("GET", "a", "/", [("x", "AbC")])) { route, arena in
            var match = HeaderMatch()
            match.name = arena.copy("x")
            match.rule = .text(Self.text(kind, arena, "aBc", ignoringCase: true))
            route.headers = arena.copy([match])
        }
        #expect(result)
    }

    @Test("a header that occurs twice matches by any of its values, and an inverted rule by none")
    func severalValues() throws {
        for (isInverted, expected) in [(false, true), (true, false)] {
            let request = TestRequest("GET", "a", "/", [("role", "user"), ("ROLE", "admin")])
            let result = try matches(request) { route, arena in
                var match = HeaderMatch()
                match.name = arena.copy("role")
                match.isInverted = isInverted
                match.rule = .text(Self.text(.exact, arena, "admin"))
                route.headers = arena.copy([match])
            }
            #expect(result == expected)
        }
    }

    @Test(
        "presence and absence",
        arguments: [
            (HeaderMatch.Rule.present(true), false, false), (.present(false), false, true),
            (.present(true), true, true),
        ]
    )
    func absent(rule: HeaderMatch.Rule, isInverted: Bool, expected: Bool) throws {
        let result = try matches(TestRequest()) { route, arena in
            var match = HeaderMatch()
            match.name = arena.copy("x")
            match.rule = rule
            match.isInverted = isInverted
            route.headers = arena.copy([match])
        }
        #expect(result == expected)
    }

    @Test(
        "a missing header counts as empty only when asked for",
        arguments: [(false, false), (true, true)]
    )
    func missingAsEmpty(asked: Bool, expected: Bool) throws {
        let result = try matches(TestRequest()) { route, arena in
            var match = HeaderMatch()
            match.name = arena.copy("x")
            match.treatsMissingAsEmpty = asked
            match.rule = .text(Self.text(.exact, arena, ""))
            route.headers = arena.copy([match])
        }
        #expect(result == expected)
    }

    @Test(
        "ranges include their start and exclude their end",
        arguments: [
            ("10", true), ("9", false), ("19", true), ("20", false), ("-5", false), ("1a", false), ("", false),
            ("99999999999999999999", false), ("+11", false),
        ]
    )
    func ranges(value: String, expected: Bool) throws {
        let result = try matches(TestRequest("GET", "a", "/", [("n", value)])) { route, arena in
            var match = HeaderMatch()
            match.name = arena.copy("n")
            match.rule = .range(start: 10, end: 20)
            route.headers = arena.copy([match])
        }
        #expect(result == expected)
    }

    @Test(
        "pseudo headers",
        arguments: [
            (HeaderMatch.Target.method, "POST", true), (.method, "post", false), (.authority, "host", true),
            (.path, "/x?y=1", true), (.path, "/x", false), (.scheme, "http", true), (.scheme, "https", false),
        ]
    )
    func pseudo(target: HeaderMatch.Target, value: String, expected: Bool) throws {
        let result = try matches(TestRequest("POST", "host", "/x?y=1")) { route, arena in
            var match = HeaderMatch()
            match.target = target
            match.rule = .text(Self.text(.exact, arena, value))
            route.headers = arena.copy([match])
        }
        #expect(result == expected)
    }

    @Test(
        "query parameters: the first of a name counts",
        arguments: [
            ("/?v=1", true), ("/?v=2&v=1", false), ("/?w=1&v=1", true), ("/?V=1", false), ("/?v", false), ("/", false),
            ("/?v=1#", false), ("/?&&v=1", true),
        ]
    )
    func queries(target: String, expected: Bool) throws {
        let result = try matches(TestRequest("GET", "a", target)) { route, arena in
            var match = QueryMatch()
            match.name = arena.copy("v")
            match.text = Self.text(.exact, arena, "1")
            route.query = arena.copy([match])
        }
        #expect(result == expected)
    }

    @Test(
        "query presence",
        arguments: [("/?v", true, true), ("/?v=", true, true), ("/?x", true, false), ("/?x", false, true)]
    )
    func queryPresence(target: String, wanted: Bool, expected: Bool) throws {
        let result = try matches(TestRequest("GET", "a", target)) { route, arena in
            var match = QueryMatch()
            match.name = arena.copy("v")
            match.mustBePresent = wanted
            route.query = arena.copy([match])
        }
        #expect(result == expected)
    }

    @Test("a fraction takes its share of random draws")
    func fractions() throws {
        var kit = TableKit()
        kit.host("h", ["*"], [kit.route("r") { route, _ in route.fractionPerMillion = 250_000 }])
        let table = try kit.builder.build(name: "t")
        var random = FixedRandom()
        let request = TestRequest()
        let taken = (0..<10_000).count { _ in table.routeName(request, random: random.next()) != nil }
        #expect((2300...2700).contains(taken))
    }
}

@Suite("Where a request goes")
struct ForwardTests {
    @Test("weighted clusters get their shares, and weight 0 gets nothing")
    func weights() {
        let arena = Arena()
        let entries = arena.copy([
            WeightedCluster(cluster: 1, weight: 10), WeightedCluster(cluster: 2, weight: 0),
            WeightedCluster(cluster: 3, weight: 30),
        ])
        let choice = ClusterChoice.weighted(entries, total: 40)
        var random = FixedRandom()
        var counts: [Int32: Int] = [:]
        for _ in 0..<10_000 {
            guard case .weighted(let entry) = choice.draw(TestRequest().view, random: random.next()) else { continue }
            counts[entry.pointee.cluster, default: 0] += 1
        }
        #expect((2300...2700).contains(counts[1] ?? 0))
        #expect(counts[2] == nil)
        #expect((7300...7700).contains(counts[3] ?? 0))
    }

    @Test("a cluster named by a header")
    func named() {
        let arena = Arena()
        let choice = ClusterChoice.header(arena.copy("x-cluster"))
        let request = TestRequest("GET", "a", "/", [("X-Cluster", "blue")])
        guard case .named(let name) = choice.draw(request.view, random: 0) else {
            Issue.record("not named")
            return
        }
        #expect(name?.text == "blue")
    }

    private func written(_ write: (inout ByteSink) -> Void) -> String {
        withUnsafeTemporaryAllocation(byteCount: 256, alignment: 1) { place in
            var sink = ByteSink(place)
            write(&sink)
            return sink.overflowed ? "overflow" : sink.written.text
        }
    }

    @Test(
        "prefix rewrites keep the rest and the query, and make neither a double slash nor a way out",
        arguments: [
            (PathMatch.Kind.prefix, "/api", "/", "/api/x?q=1", "/x?q=1"),
            (.prefix, "/api/", "/", "/api/x", "/x"), (.prefix, "/api", "/v2", "/api/x", "/v2/x"),
            (.prefix, "/api", "/v2", "/api", "/v2"), (.exact, "/api", "/v2", "/api?a", "/v2?a"),
            (.separatedPrefix, "/api", "/", "/api/x", "/x"),
            (.prefix, "/api", "/", "/api../x?q", "/x?q"), (.prefix, "/api", "/v2/", "/api../x", "/v2/x"),
            (.prefix, "/api", "", "/api../x", "/x"), (.prefix, "/api", "/", "/api..", "/"),
            (.prefix, "/api", "/", "/api./x", "/x"), (.prefix, "/api", "/", "/api..x/.y", "/..x/.y"),
        ]
    )
    func rewrites(kind: PathMatch.Kind, matched: String, prefix: String, target: String, expected: String) {
        let arena = Arena()
        var forward = Forward()
        forward.prefixRewrite = arena.copy(prefix)
        var path = PathMatch()
        path.kind = kind
        path.bytes = arena.copy(matched)
        let request = TestRequest("GET", "a", target)
        #expect(written { _ = forward.writeRewrittenPath(request.view, matched: path, into: &$0) } == expected)
    }

    @Test("redirects replace what they name and keep the rest")
    func redirects() {
        let arena = Arena()
        let request = TestRequest("GET", "shop.test:8080", "/a/b?q=1")
        var path = PathMatch()
        path.bytes = arena.copy("/a")
        func location(_ change: (inout Redirect) -> Void) -> String {
            var redirect = Redirect()
            change(&redirect)
            return written { redirect.writeLocation(request.view, matched: path, into: &$0) }
        }
        #expect(location { $0.usesHTTPS = true } == "https://shop.test/a/b?q=1")
        #expect(location { $0.host = arena.copy("x.test") } == "http://x.test/a/b?q=1")
        #expect(location { $0.port = 81 } == "http://shop.test:81/a/b?q=1")
        #expect(location { $0.path = arena.copy("/n") } == "http://shop.test:8080/n?q=1")
        #expect(location { $0.path = arena.copy("/n?z") } == "http://shop.test:8080/n?z")
        #expect(location { $0.prefixRewrite = arena.copy("/c") } == "http://shop.test:8080/c/b?q=1")
        #expect(location { $0.stripsQuery = true } == "http://shop.test:8080/a/b")
    }

    @Test("a text that does not fit is not cut but refused")
    func overflow() {
        let arena = Arena()
        var redirect = Redirect()
        redirect.path = arena.copy(String(repeating: "x", count: 300))
        let request = TestRequest()
        #expect(written { redirect.writeLocation(request.view, matched: PathMatch(), into: &$0) } == "overflow")
    }
}
