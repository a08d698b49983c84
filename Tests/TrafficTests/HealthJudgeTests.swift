import Testing
import Traffic

@Suite("Judging health checks")
struct HealthJudgeTests {
    private func run(_ results: [CheckResult], healthy: UInt32 = 2, unhealthy: UInt32 = 3) -> [CheckState] {
        var judge = HealthJudge()
        return results.map {
            _ = judge.judge($0, healthyThreshold: healthy, unhealthyThreshold: unhealthy)
            return judge.state
        }
    }

    @Test("the first check decides at once, later ones by the thresholds")
    func thresholds() {
        #expect(run([.healthy]) == [.healthy])
        #expect(run([.network]) == [.failed])
        #expect(run([.network, .healthy, .healthy]) == [.failed, .failed, .healthy])
        #expect(run([.healthy, .network, .network, .network]) == [.healthy, .healthy, .healthy, .failed])
        #expect(run([.healthy, .retriable, .network, .healthy, .retriable, .retriable]).last == .healthy)
        #expect(
            run([.network, .healthy, .network, .healthy, .healthy]) == [.failed, .failed, .failed, .failed, .healthy]
        )
    }

    @Test("what an endpoint says of itself counts at once", arguments: [CheckResult.failed, .passive])
    func immediate(result: CheckResult) {
        #expect(run([.healthy, result]) == [.healthy, .failed])
    }

    @Test("a degraded endpoint is usable, and told of when it changes")
    func degraded() {
        var judge = HealthJudge()
        func take(_ result: CheckResult) -> HealthJudge.Transition {
            judge.judge(result, healthyThreshold: 1, unhealthyThreshold: 2)
        }
        #expect(take(.degraded) == .changed && judge.state == .degraded && judge.state.isUsable)
        #expect(take(.degraded) == .unchanged)
        #expect(take(.healthy) == .changed && judge.state == .healthy)
        #expect(take(.network) == .pending && judge.state == .healthy)
        #expect(take(.network) == .changed && judge.state == .failed)
        #expect(take(.network) == .unchanged)
    }

    @Test("the wait before the next check depends on health, on the edge to another state, and on traffic")
    func intervals() {
        var intervals = CheckIntervals(10)
        intervals.unhealthy = 20
        intervals.healthyEdge = 30
        intervals.unhealthyEdge = 40
        intervals.noTraffic = 50
        intervals.noTrafficHealthy = 60
        func wait(_ transition: HealthJudge.Transition, _ isHealthy: Bool, _ hasTraffic: Bool) -> UInt64 {
            intervals.wait(after: transition, isHealthy: isHealthy, hasTraffic: hasTraffic, random: 0)
        }
        #expect(wait(.unchanged, true, true) == 10 && wait(.changed, true, true) == 10)
        #expect(wait(.unchanged, false, true) == 20 && wait(.pending, true, true) == 30)
        #expect(wait(.pending, false, true) == 40 && wait(.unchanged, false, false) == 50)
        #expect(wait(.unchanged, true, false) == 60 && wait(.pending, true, false) == 50)
        intervals.jitter = 7
        intervals.jitterPercent = 50
        let jittered = intervals.wait(after: .unchanged, isHealthy: true, hasTraffic: true, random: 3 << 32 | 6)
        #expect(jittered == 10 + 3 + ((3 << 32 | 6) % 7))
    }

    @Test(
        "pieces are found in their order, not necessarily side by side",
        arguments: [
            ("abcdef", ["ab", "ef"], true), ("abcdef", ["ef", "ab"], false), ("aab", ["a", "a", "a"], false),
            ("", [], true),
        ]
    )
    func pieces(text: String, wanted: [String], expected: Bool) {
        #expect(holdsInOrder(Array(text.utf8), wanted.map { Array($0.utf8) }) == expected)
    }

    @Test("a checked endpoint takes requests after its first check, one that was there before checks came goes on")
    func endpointSet() {
        var set = EndpointSet(policy: .roundRobin, panicThreshold: 0)
        var checked = EndpointSpec(id: 1)
        checked.isChecked = true
        let slot = set.update([checked]).slots[0]
        #expect(set.choose(now: 0, random: 1) == .allUnhealthy)
        set.setCheck(slot, .healthy)
        #expect(set.choose(now: 0, random: 1) == .endpoint(slot))
        set.setCheck(slot, .failed)
        #expect(set.choose(now: 0, random: 1) == .allUnhealthy)
        _ = set.update([checked])
        #expect(set[slot].check == .failed, "an update forgets nothing")
        _ = set.update([EndpointSpec(id: 1)])
        #expect(set.choose(now: 0, random: 1) == .endpoint(slot), "without checks nothing is held against it")
        _ = set.update([checked])
        #expect(set.choose(now: 0, random: 1) == .endpoint(slot))
    }

    @Test("endpoints that are new do not count where that is wanted")
    func ignoresNew() {
        var set = EndpointSet(policy: .roundRobin, panicThreshold: 50)
        set.ignoresUnchecked = true
        let specs = (1...4).map { id -> EndpointSpec in
            var spec = EndpointSpec(id: UInt64(id))
            spec.isChecked = id > 1
            return spec
        }
        let slots = set.update(specs).slots
        #expect(!set.isInPanic && (0..<8).allSatisfy { set.choose(now: 0, random: $0) == .endpoint(slots[0]) })
    }
}
