import Mesh
import Servers
import Testing

/// A stream beside the tables that it is served from.
private struct Exchange {
    var stream: DiscoveryStream
    var tables: DiscoveryTables

    init(_ variant: DiscoveryVariant, isProxyless: Bool = false) {
        stream = DiscoveryStream(variant)
        tables = DiscoveryTables(hasServiceNames: isProxyless)
    }

    mutating func put(_ type: DiscoveryType, _ resources: [String: String]) {
        let changed = resources.map { DiscoveryResource(name: $0.key, bytes: Array("\($0.key)=\($0.value)".utf8)) }
        tables.apply([DiscoveryUpdate(type, changed: changed)])
    }

    mutating func remove(_ type: DiscoveryType, _ names: String...) {
        tables.apply([DiscoveryUpdate(type, removed: names)])
    }

    mutating func send(_ request: DiscoveryRequest) throws -> [DiscoveryResponse] {
        _ = try stream.receive(request)
        return stream.advance(tables)
    }

    mutating func ask(_ type: DiscoveryType, _ names: [String] = [], nonce: String = "", version: String = "") throws
        -> [DiscoveryResponse]
    {
        try send(DiscoveryRequest(type, names: names, version: version, nonce: nonce))
    }

    /// Accepts a response, naming in state of the world what is subscribed to.
    mutating func accept(_ response: DiscoveryResponse, _ names: [String] = []) throws -> [DiscoveryResponse] {
        try ask(response.type, names, nonce: response.nonce, version: response.version)
    }

    mutating func refuse(_ response: DiscoveryResponse, _ names: [String] = []) throws -> [DiscoveryResponse] {
        var request = DiscoveryRequest(response.type, names: names, nonce: response.nonce)
        request.refusal = .init(message: "no")
        return try send(request)
    }

    mutating func changed() -> [DiscoveryResponse] { stream.advance(tables) }
}

extension [DiscoveryResponse] {
    /// Types and names, in their order.
    fileprivate var outline: [String] {
        map {
            "\($0.type.shortName) \($0.resources.map(\.name).joined(separator: " "))"
                + $0.removed.map { " -\($0)" }.joined()
        }
    }
}

@Suite("xDS, state of the world")
struct StateOfTheWorldTests {
    @Test("a gRPC client is answered listener, routes, clusters and endpoints, and its acceptances are not")
    func proxyless() throws {
        var exchange = Exchange(.stateOfTheWorld, isProxyless: true)
        exchange.put(.listener, ["echo.default": "l", "echo.default:80": "l"])
        exchange.put(.route, ["r-echo": "r"])
        exchange.put(.cluster, ["c1": "1", "c2": "1", "c3": "1"])
        exchange.put(.endpoints, ["c1": "1", "c2": "1"])
        let listeners = try exchange.ask(.listener, ["echo"])
        #expect(listeners.outline == ["LDS echo"])
        #expect(try exchange.accept(listeners[0], ["echo"]).isEmpty)
        let routes = try exchange.ask(.route, ["r-echo"])
        #expect(routes.outline == ["RDS r-echo"])
        #expect(try exchange.accept(routes[0], ["r-echo"]).isEmpty)
        let clusters = try exchange.ask(.cluster, ["c1", "c2"])
        #expect(clusters.outline == ["CDS c1 c2"])
        #expect(try exchange.accept(clusters[0], ["c1", "c2"]).isEmpty)
        let endpoints = try exchange.ask(.endpoints, ["c1", "c2"])
        #expect(endpoints.outline == ["EDS c1 c2"])
        #expect(try exchange.accept(endpoints[0], ["c1", "c2"]).isEmpty)
        // A smaller list is taken note of, and answered with nothing.
        #expect(try exchange.ask(.cluster, ["c1"], nonce: clusters[0].nonce).isEmpty)
        exchange.put(.cluster, ["c2": "2", "c3": "2"])
        #expect(exchange.changed().isEmpty)
        exchange.put(.cluster, ["c1": "2"])
        #expect(exchange.changed().outline == ["CDS c1", "EDS c1"])
    }

    @Test("Services are found by all their names")
    func names() throws {
        var exchange = Exchange(.stateOfTheWorld, isProxyless: true)
        exchange.put(.listener, ["web.shop": "main", "web.shop:80": "80", "web.default": "other"])
        let names = [
            "web", "web.shop", "web.shop.svc", "web.shop.svc.cluster.local", "web.shop:80",
            "web.shop.svc.cluster.local:80",
            "web.shop:81", "web.shop.example", "web.", "", "web.shop:x",
        ]
        let response = try #require(try exchange.ask(.listener, names).first)
        #expect(response.resources.map(\.name).sorted() == (names[..<6] + ["web."]).sorted())
        let versions = Dictionary(uniqueKeysWithValues: response.resources.map { ($0.name, $0.version) })
        #expect(versions["web.shop"] == versions["web.shop.svc"] && versions["web.shop"] != versions["web"])
    }

    @Test("an Envoy gets all listeners and clusters, and a response waits for the answer to the one before")
    func wildcard() throws {
        var exchange = Exchange(.stateOfTheWorld)
        exchange.put(.cluster, ["a": "1", "b": "1"])
        let first = try exchange.ask(.cluster)
        #expect(first.outline == ["CDS a b"])
        exchange.put(.cluster, ["a": "2"])
        exchange.put(.cluster, ["c": "1"])
        #expect(exchange.changed().isEmpty)
        let second = try exchange.accept(first[0])
        #expect(second.outline == ["CDS a b c"])
        #expect(try exchange.accept(second[0]).isEmpty)
        exchange.remove(.cluster, "b")
        #expect(exchange.changed().outline == ["CDS a c"])
    }

    @Test("the first answer comes even when there is nothing, so that nobody waits for its timer")
    func empty() throws {
        var exchange = Exchange(.stateOfTheWorld)
        let first = try exchange.ask(.cluster)
        #expect(first.outline == ["CDS "])
        #expect(try exchange.accept(first[0]).isEmpty)
        #expect(try exchange.ask(.endpoints, ["later"]).isEmpty)
        exchange.put(.endpoints, ["later": "1"])
        #expect(exchange.changed().outline == ["EDS later"])
    }

    @Test("without a name ever all is asked for; after one, no names mean nothing; * means all, whatever else is named")
    func wildcards() throws {
        var exchange = Exchange(.stateOfTheWorld)
        exchange.put(.listener, ["a": "1", "b": "1"])
        let named = try exchange.ask(.listener, ["a"])
        #expect(named.outline == ["LDS a"])
        #expect(try exchange.accept(named[0]).isEmpty)
        exchange.put(.listener, ["a": "2"])
        #expect(exchange.changed().isEmpty)
        let all = try exchange.ask(.listener, ["*", "a"], nonce: named[0].nonce)
        #expect(all.outline == ["LDS a b"])
        exchange.put(.endpoints, ["a": "1"])
        #expect(try exchange.ask(.endpoints).isEmpty)
        #expect(try exchange.ask(.endpoints, ["*"]).isEmpty)
    }

    @Test("endpoints come only for what changed")
    func partial() throws {
        var exchange = Exchange(.stateOfTheWorld)
        exchange.put(.endpoints, ["a": "1", "b": "1", "c": "1"])
        let first = try exchange.ask(.endpoints, ["a", "b"])
        #expect(first.outline == ["EDS a b"])
        #expect(try exchange.accept(first[0], ["a", "b"]).isEmpty)
        exchange.put(.endpoints, ["b": "2", "c": "2"])
        let second = exchange.changed()
        #expect(second.outline == ["EDS b"])
        #expect(second[0].version != first[0].version)
        #expect(try exchange.accept(second[0], ["a", "b", "c"]).outline == ["EDS c"])
        exchange.remove(.endpoints, "a")
        #expect(exchange.changed().isEmpty)
    }

    @Test("requests with an old nonce are dropped: the answer to the newest response says all again")
    func stale() throws {
        var exchange = Exchange(.stateOfTheWorld)
        exchange.put(.endpoints, ["a": "1", "b": "1"])
        let first = try exchange.ask(.endpoints, ["a"])
        _ = try exchange.accept(first[0], ["a"])
        exchange.put(.endpoints, ["a": "2"])
        let second = exchange.changed()
        #expect(try exchange.ask(.endpoints, ["a", "b"], nonce: first[0].nonce).isEmpty)
        #expect(try exchange.accept(second[0], ["a", "b"]).outline == ["EDS b"])
    }

    @Test("what was refused is not sent again before it changes")
    func refusal() throws {
        var exchange = Exchange(.stateOfTheWorld)
        exchange.put(.cluster, ["a": "1", "b": "bad"])
        let first = try exchange.ask(.cluster)
        #expect(try exchange.refuse(first[0]).isEmpty)
        #expect(exchange.changed().isEmpty)
        let report = try #require(exchange.stream.reports.first?.report)
        #expect(
            report.error == "no" && report.refusals == 1 && report.accepted == "" && report.refusedNames == ["a", "b"]
        )
        exchange.put(.cluster, ["b": "good"])
        let second = exchange.changed()
        #expect(second.outline == ["CDS a b"])
        #expect(try exchange.accept(second[0]).isEmpty)
        #expect(exchange.stream.reports.first?.report.error == "")
        #expect(exchange.stream.reports.first?.report.accepted == second[0].version)
    }

    @Test("one bad assignment of endpoints keeps no other back: a refused response comes again in halves")
    func halves() throws {
        var exchange = Exchange(.stateOfTheWorld)
        exchange.put(.endpoints, ["a": "1", "b": "bad", "c": "1", "d": "1"])
        let names = ["a", "b", "c", "d"]
        var due = try exchange.ask(.endpoints, names)
        var accepted: Set<String> = []
        var sent = 0
        while let response = due.first {
            sent += 1
            try #require(sent < 10)
            if response.resources.contains(where: { $0.name == "b" }) {
                due = try exchange.refuse(response, names)
            } else {
                accepted.formUnion(response.resources.map(\.name))
                due = try exchange.accept(response, names)
            }
        }
        #expect(accepted == ["a", "c", "d"])
        exchange.put(.endpoints, ["a": "2"])
        let next = exchange.changed()
        #expect(next.outline == ["EDS a"])
        exchange.put(.endpoints, ["b": "good"])
        #expect(try exchange.accept(next[0], names).outline == ["EDS b"])
    }

    @Test("a client that comes again with the set as it is needs no answer; with another one it does")
    func again() throws {
        var exchange = Exchange(.stateOfTheWorld)
        exchange.put(.cluster, ["a": "1", "b": "1"])
        let version = try exchange.ask(.cluster)[0].version
        exchange.stream = DiscoveryStream(.stateOfTheWorld)
        #expect(try exchange.ask(.cluster, version: version).isEmpty)
        exchange.put(.cluster, ["b": "2"])
        #expect(exchange.changed().outline == ["CDS a b"])
        exchange.stream = DiscoveryStream(.stateOfTheWorld)
        #expect(try exchange.ask(.cluster, version: version).outline == ["CDS a b"])
        exchange.stream = DiscoveryStream(.stateOfTheWorld)
        #expect(try exchange.ask(.cluster, version: "of another server").outline == ["CDS a b"])
    }

    @Test("a changed cluster has its endpoints sent again, for which the client waits")
    func warming() throws {
        var exchange = Exchange(.stateOfTheWorld)
        exchange.put(.cluster, ["a": "1", "b": "1"])
        exchange.put(.endpoints, ["a": "1", "b": "1"])
        let clusters = try exchange.ask(.cluster)
        _ = try exchange.accept(clusters[0])
        let endpoints = try exchange.ask(.endpoints, ["a", "b"])
        _ = try exchange.accept(endpoints[0], ["a", "b"])
        exchange.put(.cluster, ["b": "2"])
        #expect(exchange.changed().outline == ["CDS a b", "EDS b"])
    }

    @Test("a cluster goes after the routes that named it")
    func order() throws {
        var exchange = Exchange(.stateOfTheWorld)
        exchange.put(.cluster, ["new": "1", "old": "1"])
        exchange.remove(.cluster, "new")
        exchange.put(.listener, ["l": "1"])
        exchange.put(.route, ["r": "old"])
        for (type, names) in [(DiscoveryType.cluster, []), (.listener, []), (.route, ["r"])] {
            _ = try exchange.accept(try exchange.ask(type, names)[0], names)
        }
        exchange.put(.cluster, ["new": "1"])
        exchange.remove(.cluster, "old")
        exchange.put(.route, ["r": "new"])
        let due = exchange.changed()
        #expect(due.outline == ["CDS new old"])
        let routes = try exchange.accept(due[0])
        #expect(routes.outline == ["RDS r"])
        #expect(try exchange.accept(try #require(routes.first), ["r"]).outline == ["CDS new"])
    }

    @Test(
        "routes wait for the endpoints of new clusters, which the client asks for before it accepts them",
        arguments: [
            DiscoveryVariant.stateOfTheWorld, .delta,
        ]
    )
    func makeBeforeBreak(variant: DiscoveryVariant) throws {
        var exchange = Exchange(variant)
        exchange.put(.cluster, ["old": "1"])
        exchange.put(.endpoints, ["old": "1"])
        exchange.put(.listener, ["l": "1"])
        exchange.put(.route, ["r": "old"])
        for (type, names) in [
            (DiscoveryType.cluster, []), (.endpoints, ["old"]), (.listener, []), (.route, ["r"]),
        ] {
            let response = try #require(try exchange.ask(type, names).first)
            _ = try exchange.accept(response, variant == .delta ? [] : names)
        }
        let revisions = DiscoveryType.allCases.map { exchange.tables[$0].revision }
        #expect(exchange.stream.hasAnswered(revisions))
        exchange.put(.cluster, ["new": "1"])
        exchange.put(.endpoints, ["new": "1"])
        exchange.put(.route, ["r": "new"])
        let wanted = DiscoveryType.allCases.map { exchange.tables[$0].revision }
        let clusters = exchange.changed()
        #expect(clusters.map(\.type) == [.cluster])
        // The subscription to the new cluster's endpoints comes before the answer.
        let names = variant == .delta ? ["new"] : ["new", "old"]
        var request = DiscoveryRequest(.endpoints, names: names)
        if variant == .stateOfTheWorld { request.nonce = exchange.stream.nonce(.endpoints) }
        let endpoints = try exchange.send(request)
        #expect(endpoints.outline == ["EDS new"])
        #expect(try exchange.accept(try #require(clusters.first)).isEmpty, "routes before endpoints")
        #expect(!exchange.stream.hasAnswered(wanted))
        let routes = try exchange.accept(try #require(endpoints.first), variant == .delta ? [] : names)
        #expect(routes.outline == ["RDS r"])
        #expect(!exchange.stream.hasAnswered(wanted) && exchange.stream.hasAnswered(revisions))
        _ = try exchange.accept(try #require(routes.first), variant == .delta ? [] : ["r"])
        #expect(exchange.stream.hasAnswered(wanted))
    }

    @Test("an answer counts for what was in the response, also when it refuses")
    func answers() throws {
        var exchange = Exchange(.delta)
        exchange.put(.cluster, ["a": "1"])
        let first = try exchange.ask(.cluster)
        let listeners = try exchange.ask(.listener)
        func revisions() -> [UInt64] { DiscoveryType.allCases.map { exchange.tables[$0].revision } }
        #expect(!exchange.stream.hasAnswered(revisions()))
        _ = try exchange.accept(try #require(listeners.first))
        let before = revisions()
        exchange.put(.cluster, ["a": "2", "b": "2"])
        let second = try exchange.accept(first[0])
        #expect(second.outline == ["CDS a b"])
        #expect(exchange.stream.hasAnswered(before) && !exchange.stream.hasAnswered(revisions()))
        var refusal = DiscoveryRequest(.cluster, nonce: try #require(second.first).nonce)
        refusal.refusal = .init(message: "resources[0] (cluster \"a\"): no")
        #expect(try exchange.send(refusal).isEmpty)
        #expect(exchange.stream.hasAnswered(revisions()))
        #expect(exchange.stream.refusals == ["a": "resources[0] (cluster \"a\"): no"])
        exchange.put(.cluster, ["a": "3"])
        _ = try exchange.accept(try #require(exchange.changed().first))
        #expect(exchange.stream.refusals.isEmpty)
        // A change of what the client does not ask for is answered at once.
        exchange.put(.route, ["r": "1"])
        exchange.put(.endpoints, ["e": "1"])
        #expect(exchange.changed().isEmpty && exchange.stream.hasAnswered(revisions()))
    }

    @Test("types are answered each for itself, with nonces that never come twice")
    func interleaved() throws {
        var exchange = Exchange(.stateOfTheWorld)
        exchange.put(.cluster, ["a": "1"])
        exchange.put(.secret, ["s": "1"])
        let clusters = try exchange.ask(.cluster)
        let secrets = try exchange.ask(.secret, ["s"])
        #expect(clusters.outline == ["CDS a"] && secrets.outline == ["SDS s"])
        #expect(clusters[0].nonce != secrets[0].nonce)
        exchange.put(.cluster, ["a": "2"])
        exchange.put(.secret, ["s": "2"])
        let second = try exchange.accept(secrets[0], ["s"])
        #expect(second.outline == ["SDS s"])
        #expect(try exchange.accept(clusters[0]).outline == ["CDS a"])
    }

    @Test("what is not served is not answered, and too many names end the stream")
    func strange() throws {
        var exchange = Exchange(.stateOfTheWorld)
        var request = DiscoveryRequest(.cluster)
        request.typeURL = "type.googleapis.com/envoy.service.runtime.v3.Runtime"
        #expect(try exchange.send(request).isEmpty)
        #expect(throws: GRPCStatus.self) {
            _ = try exchange.ask(.endpoints, (0...DiscoveryStream.nameLimit).map { "\($0)" })
        }
    }
}

@Suite("xDS, delta")
struct DeltaTests {
    @Test("only what changed is sent, with what is gone")
    func changes() throws {
        var exchange = Exchange(.delta)
        exchange.put(.cluster, ["a": "1", "b": "1"])
        let first = try exchange.ask(.cluster)
        #expect(first.outline == ["CDS a b"])
        exchange.put(.cluster, ["b": "2", "c": "1"])
        exchange.remove(.cluster, "a")
        #expect(exchange.changed().isEmpty)
        let second = try exchange.accept(first[0])
        #expect(second.outline == ["CDS b c -a"])
        #expect(try exchange.accept(second[0]).isEmpty)
        exchange.put(.cluster, ["c": "2"])
        #expect(exchange.changed().outline == ["CDS c"])
    }

    @Test("of 10000 assignments of endpoints the one that changed is sent")
    func many() throws {
        var exchange = Exchange(.delta)
        let names = (0..<10_000).map { "c\($0)" }
        exchange.put(.endpoints, Dictionary(uniqueKeysWithValues: names.map { ($0, "1") }))
        var due = try exchange.ask(.endpoints, names)
        var received = 0
        while let response = due.first {
            received += response.resources.count
            due = try exchange.accept(response)
        }
        #expect(received == names.count)
        exchange.put(.endpoints, ["c77": "2"])
        #expect(exchange.changed().outline == ["EDS c77"])
    }

    @Test("a name that is not there is told at once, and comes when it is")
    func absent() throws {
        var exchange = Exchange(.delta)
        exchange.put(.endpoints, ["a": "1"])
        let first = try exchange.ask(.endpoints, ["a", "b"])
        #expect(first.outline == ["EDS a -b"])
        #expect(try exchange.accept(first[0]).isEmpty)
        exchange.put(.endpoints, ["b": "1"])
        let second = exchange.changed()
        #expect(second.outline == ["EDS b"])
        _ = try exchange.accept(second[0])
        exchange.remove(.endpoints, "b")
        #expect(exchange.changed().outline == ["EDS  -b"])
    }

    @Test("a name that is asked for again is sent again; one that was dropped is not told of any more")
    func again() throws {
        var exchange = Exchange(.delta)
        exchange.put(.endpoints, ["a": "1", "b": "1"])
        let first = try exchange.ask(.endpoints, ["a", "b"])
        _ = try exchange.accept(first[0])
        let second = try exchange.ask(.endpoints, ["a"])
        #expect(second.outline == ["EDS a"])
        var request = DiscoveryRequest(.endpoints, nonce: second[0].nonce)
        request.dropped = ["b"]
        #expect(try exchange.send(request).isEmpty)
        exchange.put(.endpoints, ["b": "2"])
        #expect(exchange.changed().isEmpty)
    }

    @Test("of a dropped name that the wildcard covers the client is told anew")
    func droppedUnderWildcard() throws {
        var exchange = Exchange(.delta)
        exchange.put(.cluster, ["a": "1", "b": "1"])
        let first = try exchange.ask(.cluster, ["*", "a", "x"])
        #expect(first.outline == ["CDS a b -x"])
        _ = try exchange.accept(first[0])
        var request = DiscoveryRequest(.cluster)
        request.dropped = ["a", "x"]
        let second = try exchange.send(request)
        #expect(second.outline == ["CDS a -x"])
        _ = try exchange.accept(second[0])
        request.dropped = ["*"]
        #expect(try exchange.send(request).isEmpty)
        exchange.put(.cluster, ["a": "2"])
        #expect(exchange.changed().isEmpty)
    }

    @Test("a client that comes again says what it holds, and gets the difference")
    func initialVersions() throws {
        var exchange = Exchange(.delta)
        exchange.put(.cluster, ["a": "1", "b": "1", "c": "1"])
        let held = Dictionary(
            uniqueKeysWithValues: try exchange.ask(.cluster)[0].resources.map { ($0.name, $0.version) }
        )
        exchange.stream = DiscoveryStream(.delta)
        exchange.put(.cluster, ["b": "2", "d": "1"])
        exchange.remove(.cluster, "c")
        var request = DiscoveryRequest(.cluster)
        request.held = held
        #expect(try exchange.send(request).outline == ["CDS b d -c"])
        exchange.stream = DiscoveryStream(.delta)
        exchange.put(.endpoints, ["a": "1"])
        var endpoints = DiscoveryRequest(.endpoints, names: ["a"])
        endpoints.held = ["a": "of another server", "z": "1"]
        #expect(try exchange.send(endpoints).outline == ["EDS a"])
    }

    @Test("changes of names count even when their request answers an old response")
    func stale() throws {
        var exchange = Exchange(.delta)
        exchange.put(.endpoints, ["a": "1", "b": "1"])
        let first = try exchange.ask(.endpoints, ["a"])
        #expect(try exchange.ask(.endpoints, ["b"], nonce: "none of ours").isEmpty)
        #expect(try exchange.accept(first[0]).outline == ["EDS b"])
    }

    @Test("what was refused waits for its change, and is told when it is gone")
    func refusal() throws {
        var exchange = Exchange(.delta)
        exchange.put(.cluster, ["a": "1", "b": "1"])
        let first = try exchange.ask(.cluster)
        _ = try exchange.accept(first[0])
        exchange.put(.cluster, ["b": "bad"])
        let bad = exchange.changed()
        #expect(try exchange.refuse(bad[0]).isEmpty)
        exchange.put(.cluster, ["a": "2"])
        let next = exchange.changed()
        #expect(next.outline == ["CDS a"])
        _ = try exchange.accept(next[0])
        exchange.remove(.cluster, "b")
        #expect(exchange.changed().outline == ["CDS  -b"])
    }

    @Test("a large change is split, each piece after the answer to the one before")
    func split() throws {
        var exchange = Exchange(.delta)
        let large = String(repeating: "x", count: DiscoveryStream.responseBytes * 2 / 3)
        exchange.put(.route, ["a": large, "b": large, "c": large])
        var due = try exchange.ask(.route, ["a", "b", "c"])
        var pieces: [[String]] = []
        while let response = due.first {
            pieces.append(response.resources.map(\.name))
            due = try exchange.accept(response)
        }
        #expect(pieces == [["a", "b"], ["c"]])
    }

    @Test("endpoints of a changed cluster are sent again, and a cluster goes after the routes that named it")
    func order() throws {
        var exchange = Exchange(.delta)
        exchange.put(.cluster, ["old": "1", "other": "1"])
        exchange.put(.endpoints, ["other": "1"])
        exchange.put(.route, ["r": "old"])
        for (type, names) in [(DiscoveryType.cluster, []), (.endpoints, ["other"]), (.route, ["r"])] {
            _ = try exchange.accept(try exchange.ask(type, names)[0])
        }
        exchange.put(.cluster, ["new": "1", "other": "2"])
        exchange.remove(.cluster, "old")
        exchange.put(.route, ["r": "new"])
        let due = exchange.changed()
        #expect(due.outline == ["CDS new other", "EDS other"])
        _ = try exchange.accept(due[1])
        let routes = try exchange.accept(due[0])
        #expect(routes.outline == ["RDS r"])
        #expect(try exchange.accept(try #require(routes.first)).outline == ["CDS  -old"])
    }
}

@Suite("xDS, messages")
struct DiscoveryMessageTests {
    @Test("requests that are no requests are refused, never a trap")
    func hostile() {
        for bytes: [UInt8] in [[0xFF], [0x12, 0x7F], [0x0A], Array(repeating: 0x0A, count: 64)] {
            for variant in DiscoveryVariant.allCases {
                #expect(throws: GRPCStatus.self) { _ = try DiscoveryRequest(bytes, variant) }
            }
        }
    }

    @Test("whatever comes, a stream answers or ends: it never traps")
    func random() {
        var state: UInt64 = 7
        func next(_ limit: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % limit
        }
        let types = DiscoveryType.allCases.map { Array($0.url.utf8) }
        var understood = 0
        for round in 0..<2000 {
            let variant = DiscoveryVariant.allCases[round % 2]
            var exchange = Exchange(variant, isProxyless: round % 3 == 0)
            exchange.put(.cluster, ["a": "1"])
            exchange.put(.endpoints, ["a": "1"])
            for _ in 0..<4 {
                var bytes: [UInt8] = []
                for _ in 0..<next(6) {
                    let type = types[next(types.count)]
                    let content = [type, Array("a".utf8), Array("1".utf8), [0x0A, 0x01, 0x61], []][next(5)]
                    bytes += [UInt8(next(9) << 3 | 2), UInt8(content.count)] + content
                }
                if next(4) == 0, !bytes.isEmpty { bytes[next(bytes.count)] = UInt8(next(256)) }
                guard let request = try? DiscoveryRequest(bytes, variant) else { continue }
                understood += 1
                _ = try? exchange.send(request)
                _ = exchange.changed()
            }
        }
        #expect(understood > 1000)
    }

    @Test("equal bytes have equal versions, in every run")
    func digest() {
        let resource = DiscoveryResource(name: "a", bytes: Array("some bytes of a resource".utf8))
        #expect(resource.version == DiscoveryResource(name: "b", bytes: resource.bytes).version)
        #expect(DiscoveryDigest.parse(resource.version) == resource.digest)
        var seen: Set<UInt64> = []
        for count in 0..<64 { seen.insert(DiscoveryDigest.of(Array(repeating: 0, count: count))) }
        #expect(seen.count == 64)
    }
}
