import Reactor
import Testing

@Suite("Timer wheel")
struct TimerWheelTests {
    private static func at(_ milliseconds: UInt64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    private static func drain(_ wheel: inout TimerWheel, at milliseconds: UInt64) -> [UInt64] {
        var tokens: [UInt64] = []
        while let token = wheel.next(at(milliseconds)) { tokens.append(token) }
        return tokens.sorted()
    }

    @Test(
        "fires no earlier than asked and at most one grain late",
        arguments: [1, 9, 10, 11, 999, 10_239, 10_240, 60_000] as [UInt64]
    )
    func punctual(delay: UInt64) {
        var wheel = TimerWheel(now: Self.at(1000))
        let timer = wheel.make(token: 7)
        wheel.set(timer, Self.at(1000 + delay))
        var early: [UInt64] = []
        for time in stride(from: 1000, to: 1000 + delay, by: 3) { early += Self.drain(&wheel, at: time) }
        #expect(early.isEmpty)
        #expect(Self.drain(&wheel, at: 1000 + delay + 20) == [7])
        #expect(Self.drain(&wheel, at: 1000 + delay + 40).isEmpty)
    }

    @Test("a deadline that moved later fires once, at the later time")
    func movedLater() {
        var wheel = TimerWheel(now: Self.at(0))
        let timer = wheel.make(token: 1)
        wheel.set(timer, Self.at(100))
        for time in stride(from: 10, to: 5000, by: 10) as StrideTo<UInt64> {
            wheel.set(timer, Self.at(time + 100))
            #expect(Self.drain(&wheel, at: time).isEmpty)
        }
        #expect(Self.drain(&wheel, at: 5200) == [1])
    }

    @Test("a deadline that moved earlier fires at the earlier time")
    func movedEarlier() {
        var wheel = TimerWheel(now: Self.at(0))
        let timer = wheel.make(token: 1)
        wheel.set(timer, Self.at(9000))
        wheel.set(timer, Self.at(50))
        #expect(Self.drain(&wheel, at: 70) == [1])
        #expect(Self.drain(&wheel, at: 20_000).isEmpty)
    }

    @Test("a disarmed or freed timer stays silent, and its place is used again")
    func cancelled() {
        var wheel = TimerWheel(now: Self.at(0))
        let first = wheel.make(token: 1)
        let second = wheel.make(token: 2)
        wheel.set(first, Self.at(30))
        wheel.set(second, Self.at(30))
        wheel.set(first, .distantFuture)
        wheel.free(second)
        let third = wheel.make(token: 3)
        #expect(third == second)
        wheel.set(third, Self.at(40))
        #expect(Self.drain(&wheel, at: 100) == [3])
    }

    @Test("ten thousand timers fire exactly once each")
    func many() {
        var wheel = TimerWheel(now: Self.at(0))
        var state: UInt64 = 42
        for token in 0..<10_000 as Range<UInt64> {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            wheel.set(wheel.make(token: token), Self.at(1 + (state >> 33) % 30_000))
        }
        var fired: [UInt64] = []
        for time in stride(from: 0, through: 30_100, by: 7) as StrideThrough<UInt64> {
            fired += Self.drain(&wheel, at: time)
        }
        #expect(fired.sorted() == Array(0..<10_000))
        #expect(wheel.patience(Self.at(30_100)) == -1)
    }

    @Test("after a long sleep everything due comes at once")
    func longSleep() {
        var wheel = TimerWheel(now: Self.at(0))
        for token in 0..<100 as Range<UInt64> { wheel.set(wheel.make(token: token), Self.at(token * 200)) }
        #expect(Self.drain(&wheel, at: 1_000_000).count == 100)
    }
}
