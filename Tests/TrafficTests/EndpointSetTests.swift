import Testing
import Traffic

@Suite("Choosing endpoints")
struct EndpointSetTests {
    static func set(
        _ policy: BalancerPolicy,
        weights: [UInt32] = [1, 1, 1, 1],
        panic: Double = 50,
        outlier: OutlierSettings? = nil
    ) -> EndpointSet {
        var set = EndpointSet(policy: policy, outlier: outlier, panicThreshold: panic)
        _ = set.update(weights.enumerated().map { EndpointSpec(id: UInt64($0.offset + 1), weight: $0.element) })
        return set
    }

    /// How often each endpoint (by id) is chosen in `rounds` draws.
    static func counts(_ set: inout EndpointSet, rounds: Int = 12_000, now: UInt64 = second) -> [UInt64: Int] {
        var random = FixedRandom(7)
        var counts: [UInt64: Int] = [:]
        for _ in 0..<rounds {
            guard case .endpoint(let slot) = set.choose(now: now, random: random.next()) else { continue }
            counts[set[slot].id, default: 0] += 1
        }
        return counts
    }

    static let policies: [BalancerPolicy] = [.roundRobin, .random, .leastRequest(choices: 2), .peakEWMA(PeakEWMA())]

    @Test("equal endpoints get equal shares", arguments: policies)
    func even(policy: BalancerPolicy) {
        var set = Self.set(policy)
        let counts = Self.counts(&set)
        for id in 1...4 { #expect((2700...3300).contains(counts[UInt64(id)] ?? 0), "\(policy): \(counts)") }
    }

    @Test("weights are honoured", arguments: policies)
    func weighted(policy: BalancerPolicy) {
        var set = Self.set(policy, weights: [1, 2, 3])
        let counts = Self.counts(&set)
        #expect((1600...2600).contains(counts[1] ?? 0), "\(policy): \(counts)")
        #expect((3500...4500).contains(counts[2] ?? 0), "\(policy): \(counts)")
        #expect((5000...6800).contains(counts[3] ?? 0), "\(policy): \(counts)")
    }

    @Test("round robin by weight spreads evenly: no endpoint twice in a row where it need not be")
    func smooth() {
        var set = Self.set(.roundRobin, weights: [1, 1, 2])
        var random = FixedRandom()
        var order: [UInt64] = []
        for _ in 0..<40 {
            guard case .endpoint(let slot) = set.choose(now: 0, random: random.next()) else { continue }
            order.append(set[slot].id)
        }
        #expect(order.count { $0 == 3 } == 20)
        #expect(!zip(order, order.dropFirst()).contains { $0 == $1 && $0 != 3 })
    }

    @Test("an empty set and one without a healthy endpoint are told apart")
    func nothing() {
        var empty = EndpointSet(policy: .random)
        #expect(empty.choose(now: 0, random: 1) == .noEndpoints)
        var sick = EndpointSet(policy: .random, panicThreshold: 0)
        _ = sick.update([EndpointSpec(id: 1, isHealthy: false)])
        #expect(sick.choose(now: 0, random: 1) == .allUnhealthy)
    }

    @Test("unhealthy endpoints get nothing while enough are healthy", arguments: policies)
    func unhealthy(policy: BalancerPolicy) {
        var set = EndpointSet(policy: policy)
        _ = set.update((1...4).map { EndpointSpec(id: $0, isHealthy: $0 > 1) })
        let counts = Self.counts(&set)
        #expect(counts[1] == nil)
        #expect(counts.count == 3)
        #expect(set.healthyCount == 3)
        #expect(!set.isInPanic)
    }

    @Test("below the panic threshold health is ignored")
    func panic() {
        var set = EndpointSet(policy: .random, panicThreshold: 50)
        _ = set.update((1...4).map { EndpointSpec(id: $0, isHealthy: $0 == 1) })
        #expect(set.isInPanic)
        #expect(Self.counts(&set).count == 4)
    }

    @Test("the next priority takes what the first cannot carry")
    func priorities() {
        var set = EndpointSet(policy: .random, panicThreshold: 0)
        var specs = (1...4).map { EndpointSpec(id: UInt64($0), isHealthy: $0 <= 2) }
        specs += (5...8).map { EndpointSpec(id: UInt64($0), priority: 1) }
        _ = set.update(specs)
        let counts = Self.counts(&set, rounds: 10_000)
        let first = (1...4).reduce(0) { $0 + (counts[UInt64($1)] ?? 0) }
        // Half of the first priority is healthy, times 1.4: it keeps 70 %.
        #expect((6700...7300).contains(first))
        _ = set.update((1...8).map { EndpointSpec(id: UInt64($0), priority: $0 <= 4 ? 0 : 1) })
        #expect(Self.counts(&set).keys.allSatisfy { $0 <= 4 })
    }

    @Test("endpoints that were tried are avoided while there is another", arguments: policies)
    func excluding(policy: BalancerPolicy) {
        var set = Self.set(policy)
        var random = FixedRandom(3)
        for _ in 0..<500 {
            var tried = TriedEndpoints()
            for slot: Int32 in [0, 1, 3] { tried.insert(slot) }
            #expect(set.choose(now: 0, random: random.next(), excluding: tried) == .endpoint(2))
        }
        var all = TriedEndpoints()
        for slot: Int32 in 0..<4 { all.insert(slot) }
        guard case .endpoint = set.choose(now: 0, random: 5, excluding: all) else {
            Issue.record("nothing was chosen")
            return
        }
    }

    @Test("least request prefers the idle one")
    func leastRequest() {
        var set = Self.set(.leastRequest(choices: 2), weights: [1, 1])
        for _ in 0..<10 { set.requestStarted(0) }
        #expect(Self.counts(&set)[1] == nil)
    }

    @Test("peak EWMA leaves the slow one alone, and comes back to it when it has been quiet")
    func peakEWMA() {
        var set = Self.set(.peakEWMA(PeakEWMA()), weights: [1, 1])
        for (slot, time) in [(Int32(0), 500 * millisecond), (1, 5 * millisecond)] {
            set.requestStarted(slot)
            _ = set.requestEnded(slot, result: .success, time: time, now: second)
        }
        #expect(Self.counts(&set, now: 2 * second)[1] == nil)
        // 500 ms falls below 5 ms after ln(100) x 10 s = 46 s of silence, while the fast one keeps being used.
        set.requestStarted(1)
        _ = set.requestEnded(1, result: .success, time: 5 * millisecond, now: 60 * second)
        #expect((Self.counts(&set, now: 60 * second)[1] ?? 0) > 0)
    }

    @Test("peak EWMA counts requests in flight")
    func peakEWMAInFlight() {
        var set = Self.set(.peakEWMA(PeakEWMA()), weights: [1, 1])
        for slot: Int32 in [0, 1] {
            set.requestStarted(slot)
            _ = set.requestEnded(slot, result: .success, time: 10 * millisecond, now: second)
        }
        for _ in 0..<3 { set.requestStarted(0) }
        #expect(Self.counts(&set, now: second)[1] == nil)
    }

    @Test("an endpoint that fails at once does not look fast")
    func failurePenalty() {
        var set = Self.set(.peakEWMA(PeakEWMA()), weights: [1, 1])
        set.requestStarted(0)
        _ = set.requestEnded(0, result: .localFailure, time: 100_000, now: second)
        #expect(Self.counts(&set, now: second)[1] == nil)
    }

    // MARK: Updates

    @Test("an endpoint that stays keeps its slot, its estimate and what is in flight")
    func updateKeeps() {
        var set = Self.set(.peakEWMA(PeakEWMA()))
        set.requestStarted(2)
        _ = set.requestEnded(2, result: .success, time: 77 * millisecond, now: second)
        set.requestStarted(2)
        let update = set.update([EndpointSpec(id: 9), EndpointSpec(id: 3), EndpointSpec(id: 1)])
        #expect(set.slot(of: 3) == 2)
        #expect(set[2].ewma == Double(77 * millisecond))
        #expect(set[2].requestsInFlight == 1)
        #expect(update.added.count == 1)
        #expect(Set(update.removed) == [1, 3])
        #expect(update.slots.map { set[$0].id } == [9, 3, 1])
    }

    @Test("a slot is used again only after it was given back")
    func recycling() {
        var set = Self.set(.random, weights: [1, 1])
        _ = set.update([EndpointSpec(id: 1)])
        _ = set.update([EndpointSpec(id: 1), EndpointSpec(id: 7)])
        #expect(set.slot(of: 7) == 2)
        set.recycle(1)
        _ = set.update([EndpointSpec(id: 1), EndpointSpec(id: 7), EndpointSpec(id: 8)])
        #expect(set.slot(of: 8) == 1)
        set.recycle(1)
        #expect(set.slot(of: 8) == 1, "an endpoint in use cannot be given back")
    }

    @Test("an endpoint that comes back before its slot was given back finds it again")
    func comingBack() {
        var set = Self.set(.random, weights: [1, 1])
        _ = set.update([EndpointSpec(id: 1)])
        let update = set.update([EndpointSpec(id: 1), EndpointSpec(id: 2)])
        #expect(update.added == [1])
        #expect(set.slot(of: 2) == 1)
    }

    @Test("slots that do not exist are answered, not trapped on", arguments: [Int32(-1), 99])
    func badSlots(slot: Int32) {
        var set = Self.set(.random)
        set.requestStarted(slot)
        set.connectionOpened(slot)
        set.connectionClosed(slot)
        #expect(set.requestEnded(slot, result: .serverError, time: 1, now: 1) == nil)
        set.recycle(slot)
        #expect(set[slot].id == 0)
    }
}
