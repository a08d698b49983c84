import Testing

@testable import Traffic

@Suite("backlog guard")
struct BacklogGuardTests {
    private let bound: UInt64 = 200

    private func standing(_ wait: UInt64, seconds: UInt64 = 1) -> BacklogGuard {
        var backlog = BacklogGuard(bound: bound)
        for step in 0...(seconds * 10) { backlog.note(wait, now: 1000 + step * 100_000_000) }
        return backlog
    }

    @Test("a wait that stands for a second is a queue, one that goes away now and then is not")
    func standingQueue() {
        #expect(standing(201).isShedding)
        #expect(!standing(200).isShedding)
        var bursts = BacklogGuard(bound: bound)
        for step in 0..<100 { bursts.note(step % 9 == 8 ? 0 : 5000, now: UInt64(step) * 100_000_000) }
        #expect(!bursts.isShedding)
    }

    @Test("who waited for more than half of the bound is refused, with high priority for more than all of it")
    func oldRequests() {
        var backlog = standing(500)
        #expect(backlog.refuses(after: 0, isHighPriority: true))
        backlog.note(90, now: 2_000_000_000)
        #expect(!backlog.refuses(after: 10, isHighPriority: false))
        #expect(backlog.refuses(after: 11, isHighPriority: false))
        #expect(!backlog.refuses(after: 110, isHighPriority: true))
        #expect(backlog.refuses(after: .max, isHighPriority: true))
    }

    @Test("it ends when the wait is short for a second")
    func ends() {
        var backlog = standing(500)
        for step in 0...10 { backlog.note(step == 5 ? 60 : 50, now: 5_000_000_000 + UInt64(step) * 100_000_000) }
        #expect(backlog.isShedding)
        for step in 0...10 { backlog.note(50, now: 7_000_000_000 + UInt64(step) * 100_000_000) }
        #expect(!backlog.isShedding)
        #expect(!backlog.refuses(after: 10_000, isHighPriority: false))
    }

    @Test("without a bound nothing is refused; another bound begins anew")
    func bounds() {
        var backlog = standing(500)
        backlog.use(bound: bound)
        #expect(backlog.isShedding)
        backlog.use(bound: 0)
        for step in 0...100 { backlog.note(.max, now: UInt64(step) * 100_000_000) }
        #expect(!backlog.isShedding && !backlog.refuses(after: .max, isHighPriority: false))
    }
}
