import Controllers
import Testing
import Wire

@Suite("Arithmetic of a rollout")
struct RolloutArithmeticTests {
    struct Resolution: Sendable {
        var desired: Int
        var surge: PodAllowance
        var unavailable: PodAllowance
        var ceiling: Int
        var floor: Int
    }

    @Test(
        "shares round the surge up and the missing down, and never both to nothing",
        arguments: [
            Resolution(desired: 10, surge: .percent(25), unavailable: .percent(25), ceiling: 13, floor: 8),
            Resolution(desired: 3, surge: .percent(25), unavailable: .percent(25), ceiling: 4, floor: 3),
            Resolution(desired: 1, surge: .percent(25), unavailable: .percent(25), ceiling: 2, floor: 1),
            Resolution(desired: 4, surge: .count(0), unavailable: .count(0), ceiling: 4, floor: 3),
            Resolution(desired: 4, surge: .count(2), unavailable: .count(9), ceiling: 6, floor: 0),
            Resolution(desired: 0, surge: .percent(25), unavailable: .percent(25), ceiling: 0, floor: 0),
        ]
    )
    func resolves(_ row: Resolution) {
        let arithmetic = RolloutArithmetic(
            desired: row.desired,
            maxSurge: row.surge,
            maxUnavailable: row.unavailable
        )
        #expect(arithmetic.ceiling == row.ceiling)
        #expect(arithmetic.floor == row.floor)
    }

    @Test("allowances are read from numbers and percentages, anything else is refused")
    func readsAllowances() {
        #expect(PodAllowance(3) == .count(3))
        #expect(PodAllowance("40%") == .percent(40))
        #expect(PodAllowance("40") == nil)
        #expect(PodAllowance("-1%") == nil)
        #expect(PodAllowance(-1) == nil)
        #expect(PodAllowance(nil) == nil)
        #expect(PodAllowance("9999999999999999999%") == nil)
    }

    @Test("a rollout reaches the new template without leaving the floor or the ceiling", arguments: 0...12)
    func walksToTheEnd(desired: Int) {
        for (surge, missing) in [(25, 25), (0, 50), (100, 0), (0, 0)] {
            let arithmetic = RolloutArithmetic(
                desired: desired,
                maxSurge: .percent(surge),
                maxUnavailable: .percent(missing)
            )
            var new = ReplicaSetSize(name: "new", desired: 0, existing: 0, available: 0, created: "2")
            var old = ReplicaSetSize(name: "old", desired: desired, existing: desired, available: desired, created: "1")
            var steps = 0
            while new.available < desired || old.desired > 0 {
                steps += 1
                guard steps < 100 else {
                    Issue.record("no end: \(arithmetic)")
                    return
                }
                new.desired = arithmetic.newSize(current: new, old: [old])
                #expect(new.desired + old.desired <= max(arithmetic.ceiling, desired))
                for scaling in arithmetic.shrink(current: new, old: [old]) {
                    old.desired = scaling.to
                    old.available = min(old.available, scaling.to)
                }
                #expect(new.available + old.available >= arithmetic.floor)
                // One new pod becomes ready per step.
                new.available = min(new.desired, new.available + 1)
            }
        }
    }

    @Test("old pods that are not available go first, and no available one below the floor")
    func unhealthyFirst() {
        let arithmetic = RolloutArithmetic(desired: 4, maxSurge: .count(1), maxUnavailable: .count(1))
        let scalings = arithmetic.shrink(
            current: ReplicaSetSize(name: "new", desired: 1, existing: 1, available: 0),
            old: [
                ReplicaSetSize(name: "b", desired: 3, existing: 3, available: 3, created: "2"),
                ReplicaSetSize(name: "a", desired: 1, existing: 1, available: 0, created: "1"),
            ]
        )
        #expect(scalings == [Scaling(name: "a", from: 1, to: 0)])
    }

    @Test("a new template that never becomes ready stops the rollout")
    func brokenTemplateStops() {
        let arithmetic = RolloutArithmetic(desired: 4, maxSurge: .count(1), maxUnavailable: .count(1))
        let old = ReplicaSetSize(name: "old", desired: 3, existing: 3, available: 3)
        let new = ReplicaSetSize(name: "new", desired: 2, existing: 2, available: 0)
        #expect(arithmetic.newSize(current: new, old: [old]) == 2)
        #expect(arithmetic.shrink(current: new, old: [old]).isEmpty)
    }

    @Test("scaling in the middle of a rollout keeps the shares")
    func proportionalScaling() {
        let arithmetic = RolloutArithmetic(desired: 20, maxSurge: .count(2), maxUnavailable: .count(1))
        let scalings = arithmetic.proportional([
            ReplicaSetSize(name: "new", desired: 4, existing: 4, available: 2, created: "2", annotatedMaximum: 12),
            ReplicaSetSize(name: "old", desired: 8, existing: 8, available: 8, created: "1", annotatedMaximum: 12),
        ])
        let sizes = Dictionary(uniqueKeysWithValues: scalings.map { ($0.name, $0.to) })
        #expect(sizes["old", default: 0] + sizes["new", default: 0] == 22)
        #expect(sizes["old"] == 15)
        #expect(sizes["new"] == 7)
    }

    @Test("scaling to nothing empties every ReplicaSet")
    func proportionalToNothing() {
        let arithmetic = RolloutArithmetic(desired: 0, maxSurge: .percent(25), maxUnavailable: .percent(25))
        let scalings = arithmetic.proportional([
            ReplicaSetSize(name: "new", desired: 2, existing: 2, available: 2, created: "2"),
            ReplicaSetSize(name: "old", desired: 3, existing: 3, available: 3, created: "1"),
        ])
        #expect(scalings.map(\.to) == [0, 0])
    }
}

@Suite("Which pod goes first")
struct PodRankTests {
    @Test("every rule decides only when the ones before it do not")
    func order() {
        let ranked = [
            PodRank(name: "unassigned", isAssigned: false, phase: .running, isReady: true),
            PodRank(name: "pending", phase: .pending, isReady: false),
            PodRank(name: "unknown", phase: .unknown, isReady: false),
            PodRank(name: "not-ready", isReady: false),
            PodRank(name: "cheap", deletionCost: -1, secondsReady: 4000),
            PodRank(name: "crowded", readySiblings: 3, secondsReady: 4000),
            PodRank(name: "young", readySiblings: 1, secondsReady: 5),
            PodRank(name: "restarted", readySiblings: 1, secondsReady: 4000, restarts: 2, created: "1"),
            PodRank(name: "newer", readySiblings: 1, secondsReady: 4000, created: "2"),
            PodRank(name: "older", readySiblings: 1, secondsReady: 4000, created: "1"),
        ]
        #expect(PodRank.victims(of: ranked.reversed(), count: 10) == ranked.map(\.name))
        #expect(PodRank.victims(of: ranked, count: 0).isEmpty)
        #expect(PodRank.victims(of: ranked, count: 99).count == 10)
    }

    @Test("seconds of readiness are compared by powers of two")
    func buckets() {
        let first = PodRank(name: "a", secondsReady: 1030, created: "1")
        let second = PodRank(name: "b", secondsReady: 2040, created: "2")
        #expect(second.dies(before: first))
    }

    @Test("batches double and end with what is left", arguments: [(0, []), (1, [1]), (6, [1, 2, 3]), (7, [1, 2, 4])])
    func slowStart(total: Int, batches: [Int]) {
        #expect(Array(SlowStart(total: total)) == batches)
    }

    @Test("one reconciliation creates no more than the burst")
    func burst() {
        #expect(SlowStart(total: 10_000).reduce(0, +) == SlowStart.burst)
    }
}
