import Testing
import Traffic

@Suite("Consistent hashing")
struct HashTableTests {
    static func set(
        _ kind: HashSettings.Kind,
        keys: [String],
        weights: [UInt32] = [],
        factor: UInt32 = 0,
        unhealthy: Set<UInt64> = []
    ) -> EndpointSet {
        let settings = HashSettings(kind: kind, balanceFactor: factor)
        var set = EndpointSet(policy: .hash(settings))
        let specs = keys.indices.map { index in
            EndpointSpec(
                id: UInt64(index + 1),
                weight: weights.isEmpty ? 1 : weights[index],
                isHealthy: !unhealthy.contains(UInt64(index + 1))
            )
        }
        _ = set.update(specs, tables: HashTables(settings: settings, keys: keys))
        return set
    }

    static func chosen(_ set: inout EndpointSet, _ hash: UInt64, tried: TriedEndpoints = .init()) -> UInt64? {
        guard case .endpoint(let slot) = set.choose(now: 1, random: 99, hash: hash, excluding: tried) else {
            return nil
        }
        return set[slot].id
    }

    static let keys = (1...5).map { "10.0.0.\($0):80" }
    static let ring = HashSettings.Kind.ring(minimum: 1024, maximum: 8_388_608, function: .xxHash64)
    static let kinds: [HashSettings.Kind] = [
        ring, .ring(minimum: 1024, maximum: 8_388_608, function: .murmurHash2), .maglev(size: 65_537),
    ]

    static func hashes(_ count: Int) -> [UInt64] {
        var random = FixedRandom(5)
        return (0..<count).map { _ in random.next() &* 0x9E37_79B9_7F4A_7C15 }
    }

    @Test("XXH64 and MurmurHash2 give the published values")
    func functions() {
        func hash(_ function: HashFunction, _ text: String) -> UInt64 {
            Array(text.utf8).withUnsafeBytes { function.hash($0) }
        }
        #expect(hash(.xxHash64, "") == 0xEF46_DB37_51D8_E999)
        #expect(hash(.xxHash64, "abc") == 0x44BC_2CF5_AD77_0999)
        // std::hash<std::string> of libstdc++.
        #expect(hash(.murmurHash2, "") == 0x553E_9390_1E46_2A6E)
        #expect(hash(.murmurHash2, "127.0.0.1:80_0") == 0xF46E_F02B_BE93_9E15)
    }

    @Test("every endpoint gets about its share, a hash always the same endpoint", arguments: kinds)
    func shares(kind: HashSettings.Kind) {
        var set = Self.set(kind, keys: Self.keys, weights: [1, 1, 2, 2, 4])
        var again = Self.set(kind, keys: Self.keys, weights: [1, 1, 2, 2, 4])
        var counts: [UInt64: Int] = [:]
        for hash in Self.hashes(10_000) {
            let id = Self.chosen(&set, hash)
            #expect(id == Self.chosen(&again, hash))
            if let id { counts[id, default: 0] += 1 }
        }
        for (id, share) in [1: 1000, 2: 1000, 3: 2000, 4: 2000, 5: 4000] as [UInt64: Int] {
            #expect((share * 7 / 10...share * 13 / 10).contains(counts[id] ?? 0), "\(kind): \(counts)")
        }
    }

    @Test("an endpoint that goes takes only its own hashes along", arguments: kinds)
    func stability(kind: HashSettings.Kind) {
        var all = Self.set(kind, keys: Self.keys)
        var fewer = Self.set(kind, keys: Self.keys, unhealthy: [3])
        var moved = 0
        let hashes = Self.hashes(2000)
        for hash in hashes {
            let before = Self.chosen(&all, hash)
            let after = Self.chosen(&fewer, hash)
            #expect(after != 3)
            if before != 3, before != after { moved += 1 }
        }
        // The others share the points or places that come free; little else moves.
        #expect(moved <= hashes.count * 15 / 100)
    }

    @Test("Maglev does not depend on the order of endpoints")
    func order() {
        var forward = Self.set(.maglev(size: 1009), keys: Self.keys)
        var backward = Self.set(.maglev(size: 1009), keys: Self.keys.reversed())
        for hash in Self.hashes(500) {
            #expect(Self.chosen(&forward, hash) == Self.chosen(&backward, hash).map { 6 - $0 })
        }
    }

    @Test("a retry goes to another endpoint", arguments: kinds)
    func retries(kind: HashSettings.Kind) throws {
        var set = Self.set(kind, keys: Self.keys)
        for hash in Self.hashes(200) {
            var tried = TriedEndpoints()
            var seen: Set<UInt64> = []
            for _ in 0..<4 {
                let id = try #require(Self.chosen(&set, hash, tried: tried))
                #expect(seen.insert(id).inserted)
                tried.insert(try #require(set.slot(of: id)))
            }
        }
    }

    @Test("with a bound an endpoint that has too much passes requests on, the same ones to the same place")
    func bound() throws {
        var set = Self.set(.maglev(size: 65_537), keys: Self.keys, factor: 120)
        let hash: UInt64 = 123_456
        let own = try #require(Self.chosen(&set, hash))
        let slot = try #require(set.slot(of: own))
        for _ in 0..<10 { set.requestStarted(slot) }
        let other = try #require(Self.chosen(&set, hash))
        #expect(other != own)
        #expect(Self.chosen(&set, hash) == other)
        for _ in 0..<10 { _ = set.requestEnded(slot, result: .success, time: 1, now: 1) }
        #expect(Self.chosen(&set, hash) == own)
    }

    @Test("the sizes of a ring are those that its limits and weights make")
    func sizes() throws {
        let even = Self.set(Self.ring, keys: Self.keys)
        #expect(try #require(even.hashTableSizes).count == 1025)
        #expect(even.hashTableSizes?.fewest == 205)
        let capped = Self.set(
            .ring(minimum: 1, maximum: 7, function: .xxHash64),
            keys: Self.keys,
            weights: [1, 1, 1, 1, 96]
        )
        #expect(capped.hashTableSizes?.count == 7)
    }

    @Test("workers share one table")
    func shared() {
        let settings = HashSettings(kind: Self.ring)
        let tables = HashTables(settings: settings, keys: Self.keys)
        var sets = [EndpointSet(policy: .hash(settings)), EndpointSet(policy: .hash(settings))]
        for index in sets.indices { _ = sets[index].update((1...5).map { EndpointSpec(id: $0) }, tables: tables) }
        #expect(tables.built == 1)
    }

    @Test("no endpoint, or none that is healthy, is told")
    func nothing() {
        var empty = Self.set(Self.ring, keys: [])
        #expect(empty.choose(now: 1, random: 1, hash: 5) == .noEndpoints)
        var sick = Self.set(Self.ring, keys: ["a"], unhealthy: [1])
        sick.panicThreshold = 0
        _ = sick.update(
            [EndpointSpec(id: 1, isHealthy: false)],
            tables: HashTables(settings: .init(kind: Self.ring), keys: ["a"])
        )
        #expect(sick.choose(now: 1, random: 1, hash: 5) == .allUnhealthy)
    }

    @Test(
        "prime numbers",
        arguments: [(2, true), (9, false), (1009, true), (65_537, true), (5_000_011, true), (65_536, false)]
            as [(UInt64, Bool)]
    )
    func primes(number: UInt64, isPrime: Bool) { #expect(HashSettings.isPrime(number) == isPrime) }

    // MARK: What is hashed

    static func rules(_ rules: [HashRule]) -> ArenaArray<HashRule> { arena.copy(rules) }
    static let arena = Arena()

    static func hash(_ request: TestRequest, _ rules: [HashRule]) -> RequestHash {
        request.view.hash(arena.copy(rules), address: arena.copy("10.1.2.3"), cookie: arena.copy("0123456789abcdef"))
    }

    static func rule(_ source: HashRule.Source, _ name: String = "") -> HashRule {
        HashRule(source: source, name: arena.copy(name))
    }

    static func text(_ text: String) -> UInt64 { hash64(arena.copy(text)) }

    @Test("each part of a request gives the hash of its value")
    func parts() throws {
        let request = TestRequest("GET", "host", "/a?x=1&y=2&x=3", [("k", "v"), ("cookie", "a=1; b=\"two\"")])
        #expect(Self.hash(request, [Self.rule(.header, "k")]).hash == Self.text("v"))
        #expect(Self.hash(request, [Self.rule(.cookie, "b")]).hash == Self.text("two"))
        #expect(Self.hash(request, [Self.rule(.query, "x")]).hash == Self.text("1"))
        #expect(Self.hash(request, [Self.rule(.clientAddress)]).hash == Self.text("10.1.2.3"))
        #expect(Self.hash(request, [Self.rule(.path)]).hash == Self.text("/a?x=1&y=2&x=3"))
        #expect(Self.hash(request, [Self.rule(.header, "none")]).hash == nil)
        var rewritten = Self.rule(.header, "k")
        rewritten.rewrite = PatternRewrite(pattern: try Self.arena.compile("v"), substitution: Self.arena.copy("w"))
        #expect(Self.hash(request, [rewritten]).hash == Self.text("w"))
    }

    @Test("the order of a header's values does not count; parts add up, and a terminal one ends the list")
    func several() throws {
        let rule = Self.rule(.header, "k")
        let one = Self.hash(TestRequest("GET", "a", "/", [("k", "b"), ("k", "a")]), [rule])
        let two = Self.hash(TestRequest("GET", "a", "/", [("k", "a"), ("k", "b")]), [rule])
        #expect(one == two && one.hash != nil)
        let request = TestRequest("GET", "a", "/?q=1", [("k", "v")])
        let first = Self.text("v")
        let both = (first << 1 | first >> 63) ^ Self.text("1")
        #expect(Self.hash(request, [rule, Self.rule(.query, "q")]).hash == both)
        var terminal = rule
        terminal.isTerminal = true
        #expect(Self.hash(request, [terminal, Self.rule(.query, "q")]).hash == first)
        var absent = Self.rule(.header, "none")
        absent.isTerminal = true
        #expect(Self.hash(request, [absent, Self.rule(.query, "q")]).hash == Self.text("1"))
    }

    @Test("a cookie with a life is made where it is missing")
    func newCookie() {
        var rule = Self.rule(.cookie, "c")
        #expect(Self.hash(TestRequest(), [rule]) == RequestHash())
        rule.cookieTail = Self.arena.copy("; HttpOnly")
        let made = Self.hash(TestRequest(), [rule])
        #expect(made.hash == Self.text("0123456789abcdef"))
        #expect(made.newCookies == 1)
        let known = Self.hash(TestRequest("GET", "a", "/", [("cookie", "c=0123456789abcdef")]), [rule])
        #expect(known.hash == made.hash && known.newCookies == 0)
    }
}
