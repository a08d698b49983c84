import Testing
import Traffic

@Suite("Priorities, localities, panic, slow start")
struct PriorityTests {
    /// Endpoints of one priority: so many healthy, degraded and unhealthy ones.
    struct Level {
        var healthy = 0
        var degraded = 0
        var unhealthy = 0
    }

    static func set(_ levels: [Level], panic: Double = 50, settings: BalancerSettings = .init()) -> EndpointSet {
        var set = EndpointSet(policy: .random, panicThreshold: panic)
        var specs: [EndpointSpec] = []
        for (priority, level) in levels.enumerated() {
            for index in 0..<(level.healthy + level.degraded + level.unhealthy) {
                specs.append(
                    EndpointSpec(
                        id: UInt64((priority + 1) * 100 + index),
                        priority: UInt8(priority),
                        isHealthy: index < level.healthy + level.degraded,
                        isDegraded: index >= level.healthy && index < level.healthy + level.degraded
                    )
                )
            }
        }
        _ = set.update(specs, settings: settings)
        return set
    }

    /// Percent of 100,000 choices by what `key` makes of an endpoint.
    static func shares(_ set: inout EndpointSet, now: UInt64 = 1, _ key: (EndpointState) -> Int) -> [Int: Double] {
        var random = FixedRandom(11)
        var counts: [Int: Double] = [:]
        for _ in 0..<20_000 {
            guard case .endpoint(let slot) = set.choose(now: now, random: random.next()) else { continue }
            counts[key(set[slot]), default: 0] += 0.005
        }
        return counts
    }

    static func near(_ value: Double?, _ wanted: Double, within: Double = 2) -> Bool {
        abs((value ?? 0) - wanted) <= within
    }

    @Test(
        "the load of priorities is what Envoy's documentation says of this health",
        arguments: [
            ([Level(healthy: 4), Level(healthy: 4)], [100, 0]),
            ([Level(healthy: 72, unhealthy: 28), Level(healthy: 10)], [100, 0]),
            ([Level(healthy: 71, unhealthy: 29), Level(healthy: 10)], [99, 1]),
            ([Level(healthy: 50, unhealthy: 50), Level(healthy: 10)], [70, 30]),
            ([Level(healthy: 25, unhealthy: 75), Level(healthy: 10)], [35, 65]),
            ([Level(unhealthy: 10), Level(healthy: 10)], [0, 100]),
            (
                [Level(healthy: 20, unhealthy: 80), Level(healthy: 20, unhealthy: 80), Level(healthy: 100)],
                [28, 28, 44]
            ),
        ] as [([Level], [Double])]
    )
    func loads(levels: [Level], wanted: [Double]) {
        var set = Self.set(levels, panic: 0)
        let shares = Self.shares(&set) { Int($0.priority) }
        for (priority, share) in wanted.enumerated() {
            #expect(Self.near(shares[priority], share), "\(shares), wanted \(wanted)")
        }
    }

    @Test("the overprovisioning factor, and health by weight")
    func factor() {
        var settings = BalancerSettings()
        settings.overprovisioning = 100
        var set = Self.set([Level(healthy: 1, unhealthy: 1), Level(healthy: 1)], panic: 0, settings: settings)
        #expect(Self.near(Self.shares(&set) { Int($0.priority) }[0], 50))
        settings.weighsPriorityHealth = true
        let specs = [
            EndpointSpec(id: 1, weight: 9), EndpointSpec(id: 2, weight: 1, isHealthy: false),
            EndpointSpec(id: 3, priority: 1),
        ]
        _ = set.update(specs, settings: settings)
        #expect(Self.near(Self.shares(&set) { Int($0.priority) }[0], 90))
    }

    @Test("degraded endpoints take what healthy ones of all priorities leave")
    func degraded() {
        var set = Self.set([Level(healthy: 1, degraded: 3), Level(healthy: 1, unhealthy: 3)], panic: 0)
        let shares = Self.shares(&set) { Int($0.priority) * 2 + ($0.isDegraded ? 1 : 0) }
        // 35 % and 35 % are healthy; the degraded ones of the first priority could carry 100 %.
        #expect(Self.near(shares[0], 35) && Self.near(shares[2], 35) && Self.near(shares[1], 30), "\(shares)")
        var enough = Self.set([Level(healthy: 3, degraded: 1)])
        #expect(Self.shares(&enough) { $0.isDegraded ? 1 : 0 }[1] == nil)
    }

    @Test("panic is of one priority, and only when all together cannot carry the load")
    func panic() {
        // The second priority carries everything: no panic in the first.
        var calm = Self.set([Level(healthy: 1, unhealthy: 9), Level(healthy: 10)])
        #expect(!calm.isInPanic)
        #expect(Self.shares(&calm) { $0.isHealthy ? 1 : 0 }[0] == nil)
        // 14 % and 84 %: the first is in panic and uses all its endpoints for its share.
        var half = Self.set([Level(healthy: 1, unhealthy: 9), Level(healthy: 6, unhealthy: 4)])
        #expect(half.isInPanic)
        let shares = Self.shares(&half) { Int($0.priority) * 2 + ($0.isHealthy ? 1 : 0) }
        #expect((shares[0] ?? 0) > 10 && shares[2] == nil, "\(shares)")
        #expect(half.panicChoices > 0)
        // All in panic: by the number of endpoints.
        var total = Self.set([Level(healthy: 1, unhealthy: 29), Level(unhealthy: 10)])
        #expect(Self.near(Self.shares(&total) { Int($0.priority) }[0], 75))
    }

    @Test("traffic may fail in panic")
    func failing() {
        var settings = BalancerSettings()
        settings.failsInPanic = true
        var set = Self.set([Level(healthy: 1, unhealthy: 9)], settings: settings)
        #expect(set.choose(now: 1, random: 3) == .allUnhealthy)
    }

    @Test("localities get load by weight, and less when they are ill")
    func localities() {
        var settings = BalancerSettings()
        settings.localityWeights = [1, 3, 0]
        var set = EndpointSet(policy: .roundRobin, panicThreshold: 0)
        func specs(_ healthy: Int) -> [EndpointSpec] {
            (0..<12).map {
                EndpointSpec(id: UInt64($0 + 1), isHealthy: !($0 < 8 && $0 >= 4 + healthy), locality: UInt16($0 / 4))
            }
        }
        _ = set.update(specs(4), settings: settings)
        let all = Self.shares(&set) { Int($0.locality) }
        #expect(Self.near(all[0], 25) && Self.near(all[1], 75) && all[2] == nil, "\(all)")
        _ = set.update(specs(2), settings: settings)
        // Half of the second one is healthy: 3 × 0.7 against 1.
        let ill = Self.shares(&set) { Int($0.locality) }
        #expect(Self.near(ill[1], 100 * 2.1 / 3.1), "\(ill)")
    }

    @Test("weights of localities count for hashes too")
    func localityHashes() {
        let settings = HashSettings(kind: .maglev(size: 1009))
        var balancing = BalancerSettings()
        balancing.localityWeights = [1, 3]
        var set = EndpointSet(policy: .hash(settings))
        let specs = (0..<6).map { EndpointSpec(id: UInt64($0 + 1), locality: $0 < 4 ? 0 : 1) }
        _ = set.update(
            specs,
            settings: balancing,
            tables: HashTables(settings: settings, keys: specs.map { "e\($0.id)" })
        )
        #expect(Self.near(Self.shares(&set) { Int($0.locality) }[1], 75))
    }

    @Test("a new endpoint gets its load by and by", arguments: [BalancerPolicy.roundRobin, .leastRequest(choices: 2)])
    func slowStart(policy: BalancerPolicy) {
        var settings = BalancerSettings()
        settings.slowStart = .init(window: 100 * second)
        var set = EndpointSet(policy: policy)
        _ = set.update([EndpointSpec(id: 1)], settings: settings, now: second)
        _ = set.update([EndpointSpec(id: 1), EndpointSpec(id: 2)], settings: settings, now: 200 * second)
        // A tenth at first, then by time.
        #expect(Self.near(Self.shares(&set, now: 201 * second) { Int($0.id) }[2], 100 / 11.0))
        #expect(Self.near(Self.shares(&set, now: 250 * second) { Int($0.id) }[2], 100 / 3.0))
        #expect(Self.near(Self.shares(&set, now: 400 * second) { Int($0.id) }[2], 50))
    }

    @Test(
        "slow start's curve",
        arguments: [(1.0, 25, 0.25), (2.0, 25, 0.5), (0.5, 50, 0.25), (1.0, 1, 0.1), (1.0, 100, 1)]
            as [(Double, UInt64, Double)]
    )
    func curve(aggression: Double, after: UInt64, share: Double) {
        var slowStart = BalancerSettings.SlowStart(window: 100 * second)
        slowStart.aggression = aggression
        #expect(abs(slowStart.share(after: after * second) - share) < 0.001)
    }

    @Test("an endpoint that becomes healthy again starts slowly, one that stays does not")
    func healthyAgain() {
        var settings = BalancerSettings()
        settings.slowStart = .init(window: 100 * second)
        var set = EndpointSet(policy: .roundRobin, panicThreshold: 0)
        let well = (1...2).map { EndpointSpec(id: UInt64($0)) }
        _ = set.update(well, settings: settings, now: second)
        _ = set.update([well[0], EndpointSpec(id: 2, isHealthy: false)], settings: settings, now: 300 * second)
        _ = set.update(well, settings: settings, now: 400 * second)
        #expect(Self.near(Self.shares(&set, now: 401 * second) { Int($0.id) }[2], 100 / 11.0))
    }

    @Test("least request with unequal weights: the weight falls with requests in flight, as the bias says")
    func bias() {
        for (bias, share) in [(1.0, 25.0), (0.0, 50.0), (2.0, 10.0)] {
            var set = EndpointSet(policy: .leastRequest(choices: 2, bias: bias))
            _ = set.update([EndpointSpec(id: 1, weight: 3), EndpointSpec(id: 2, weight: 3), EndpointSpec(id: 3)])
            for _ in 0..<2 { set.requestStarted(0) }
            let shares = Self.shares(&set) { Int($0.id) }
            let ratio = 100 * (shares[1] ?? 0) / ((shares[1] ?? 0) + (shares[2] ?? 0))
            #expect(Self.near(ratio, share, within: 1), "\(bias): \(shares)")
        }
    }

    @Test("one change among 10,000 endpoints keeps all others as they are")
    func many() {
        var set = EndpointSet(policy: .roundRobin)
        var specs = (1...10_000).map { EndpointSpec(id: UInt64($0)) }
        _ = set.update(specs)
        set.requestStarted(5)
        specs[17] = EndpointSpec(id: 20_000)
        let update = set.update(specs)
        #expect(update.added.count == 1 && update.removed == [17])
        #expect(set[5].requestsInFlight == 1 && set.count == 10_000)
    }
}
