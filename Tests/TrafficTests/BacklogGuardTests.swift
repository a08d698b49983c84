import Testing

@testable import Traffic

@Suite("backlog guard")
struct BacklogGuardTests {
    /// A guard with requests before it.
    private final class Line {
        var backlog: BacklogGuard

        /// A further step of 100 ms.
        var time: UInt64 {
            steps += 1
            return 1_000_001_000 + steps * 100_000_000
        }
        private var steps: UInt64 = 0

        init(bound: UInt64 = 200) { backlog = BacklogGuard(bound: bound) }

        /// After a wait that was measured every 100 ms for a second.
        convenience init(waiting wait: UInt64, bound: UInt64 = 200) {
            self.init(bound: bound)
            for step in 0...10 { backlog.note(wait, isAll: true, now: 1000 + UInt64(step) * 100_000_000) }
        }

        func refuses(after time: UInt64, age: UInt64 = 0, isHighPriority: Bool = false) -> Bool {
            backlog.refuses(after: time, age: age, isHighPriority: isHighPriority)
        }

        /// Steps of 100 ms with 100 requests, of which the second half comes late; how many are refused.
        func serve(from: UInt64, steps: UInt64, late: UInt64) -> Int {
            var refused = 0
            for step in 0..<steps {
                for request in 0..<100 where refuses(after: request < 50 ? 0 : late) { refused += 1 }
                backlog.note(1, isAll: false, now: from + (step + 1) * 100_000_000)
            }
            return refused
        }
    }

    @Test("a wait that stands is a queue, one that goes away now and then is not")
    func standingQueue() {
        #expect(Line(waiting: 201).backlog.isShedding)
        #expect(!Line(waiting: 200).backlog.isShedding)
        let bursts = Line()
        for step in 0..<100 {
            bursts.backlog.note(step % 5 == 4 ? 0 : 5000, isAll: true, now: UInt64(step) * 100_000_000)
        }
        #expect(!bursts.backlog.isShedding)
    }

    @Test(
        "a shorter wait is a queue while clients give up waiting, or are turned away",
        arguments: [
            (21, 5, false, true), (21, 0, true, true), (20, 5, true, false), (21, 1, false, false),
            (21, 0, false, false),
        ]
    )
    func leavingClients(wait: UInt64, leaving: Int, overflows: Bool, isQueue: Bool) {
        let line = Line()
        for step in 0..<20 {
            for _ in 0..<100 { _ = line.refuses(after: 0) }
            for _ in 0..<leaving { line.backlog.leaves() }
            if overflows { line.backlog.overflows() }
            line.backlog.note(wait, isAll: false, now: 1000 + UInt64(step) * 100_000_000)
        }
        #expect(line.backlog.isShedding == isQueue)
    }

    @Test("who waited for more than half of the bound is refused, with high priority for more than all of it")
    func oldRequests() {
        let line = Line(waiting: 500)
        #expect(line.refuses(after: 0, isHighPriority: true))
        line.backlog.note(90, isAll: true, now: 1_050_000_000)
        // One of a turn is served in any case.
        #expect(!line.refuses(after: 500))
        #expect(!line.refuses(after: 10))
        #expect(line.refuses(after: 11))
        #expect(line.refuses(after: 0, age: 101))
        #expect(!line.refuses(after: 110, isHighPriority: true))
        #expect(line.refuses(after: .max, isHighPriority: true))
    }

    @Test("while it costs nothing the limit sinks; where fewer are served for it, it rises")
    func limits() {
        let line = Line(waiting: 501_000_000, bound: 500_000_000)
        #expect(line.backlog.limit == 250_000_000)
        #expect(line.serve(from: 2_000_000_000, steps: 12, late: 300_000_000) == 650)
        #expect(line.backlog.limit == 200_000)
        // Now everybody is late: fewer are served.
        for step in 0..<10 {
            for _ in 0..<100 { _ = line.refuses(after: 2_000_000) }
            line.backlog.note(1, isAll: false, now: 4_000_000_000 + UInt64(step) * 100_000_000)
        }
        #expect(line.backlog.limit > 2_000_000)
    }

    @Test("refusals end their connections while they take more than a tenth of the time")
    func closes() {
        let line = Line(waiting: 500)
        for (spent, closes) in [(4_000_000, false), (6_000_000, true), (4_000_000, false)] as [(UInt64, Bool)] {
            line.backlog.spends(spent)
            _ = line.refuses(after: 1000)
            _ = line.refuses(after: 1000)
            line.backlog.note(1, isAll: false, now: line.time)
            #expect(line.backlog.closesRefused == closes)
        }
    }

    @Test("it ends when nobody was refused for a second and the wait is short")
    func ends() {
        let line = Line(waiting: 500)
        #expect(line.serve(from: 2_000_000_000, steps: 5, late: 1000) > 0)
        #expect(line.serve(from: 3_000_000_000, steps: 10, late: 0) == 0)
        #expect(line.backlog.isShedding)
        #expect(line.serve(from: 4_000_000_000, steps: 2, late: 0) == 0)
        #expect(!line.backlog.isShedding && !line.backlog.isWatching)
        #expect(!line.refuses(after: 10_000))
    }

    @Test("without a bound nothing is refused; another bound begins anew")
    func bounds() {
        let line = Line(waiting: 500)
        line.backlog.use(bound: 200)
        #expect(line.backlog.isShedding)
        line.backlog.use(bound: 0)
        for step in 0...100 { line.backlog.note(.max, isAll: true, now: UInt64(step) * 100_000_000) }
        #expect(!line.backlog.isShedding && !line.refuses(after: .max))
    }
}
