import Testing
import Traffic

@Suite("Overload")
struct OverloadTests {
    @Test("a trigger is taken wholly from its bound on, or more and more between two")
    func triggers() {
        #expect([0, 0.49, 0.5, 1].map { OverloadTrigger.threshold(0.5).level(at: $0) } == [0, 0, 1, 1])
        #expect(
            [0.4, 0.5, 0.625, 0.75, 2].map { OverloadTrigger.scaled(from: 0.5, to: 0.75).level(at: $0) } == [
                0, 0, 0.5, 1, 1,
            ]
        )
        #expect(OverloadTrigger.threshold(0.5).level(at: .nan) == 0)
    }

    @Test("of the triggers of an action the strongest counts, and an unknown resource asks for nothing")
    func policy() {
        let policy = OverloadPolicy([
            .init(.stopAcceptingRequests, 0, .scaled(from: 0.9, to: 1)),
            .init(.stopAcceptingRequests, 1, .threshold(0.5)),
            .init(.disableKeepAlive, 0, .threshold(0.8)),
            .init(.shrinkHeap, 7, .threshold(0)),
        ])
        var levels = policy.levels([0.95, 0.1])
        #expect(levels[.stopAcceptingRequests] == 499 || levels[.stopAcceptingRequests] == 500)
        #expect(levels.isWhole(.disableKeepAlive) && !levels.isWhole(.shrinkHeap))
        levels = policy.levels([0.95, 0.5])
        #expect(levels.isWhole(.stopAcceptingRequests))
        #expect(policy.levels([0.1, 0]).isCalm)
    }

    @Test("what hurts most comes last as memory runs out")
    func order() {
        let policy = OverloadPolicy.standard(memory: 0, loopLag: 1)
        func active(_ pressure: Double) -> [OverloadAction] {
            let levels = policy.levels([pressure])
            return OverloadAction.allCases.filter { levels.isWhole($0) }
        }
        #expect(active(0.89) == [])
        #expect(active(0.9) == [.shrinkHeap])
        #expect(active(0.93) == [.shrinkHeap, .disableKeepAlive])
        #expect(active(0.96) == [.shrinkHeap, .disableKeepAlive, .stopAcceptingConnections])
        #expect(active(0.99).last == .stopAcceptingRequests)
    }

    @Test("requests of high priority are refused only where more than half of the others are")
    func priorities() {
        func share(_ level: UInt16, _ isHigh: Bool) -> Int {
            var levels = OverloadLevels()
            levels[.stopAcceptingRequests] = level
            return (0..<1000).filter { levels.refuses(isHighPriority: isHigh, random: UInt64($0)) }.count
        }
        #expect([0, 250, 500, 750, 1000].map { share($0, false) } == [0, 250, 500, 750, 1000])
        #expect([0, 250, 500, 750, 1000].map { share($0, true) } == [0, 0, 0, 500, 1000])
    }

    @Test("one long pause is no overload, a delay that lasts is")
    func lag() {
        var lag = LastingLag()
        #expect([5000, 10, 20, 30, 40, 2000, 3000, 4000].map { lag.take($0) } == [0, 0, 10, 10, 20, 30, 40, 2000])
    }
}
