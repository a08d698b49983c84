import Testing
import Traffic

@Suite("Outlier detection")
struct OutlierTests {
    private static func set(_ count: Int = 4, _ change: (inout OutlierSettings) -> Void = { _ in }) -> EndpointSet {
        var settings = OutlierSettings()
        settings.maximumPercent = 50
        change(&settings)
        return EndpointSetTests.set(.random, weights: [UInt32](repeating: 1, count: count), outlier: settings)
    }

    private static func fail(
        _ set: inout EndpointSet,
        _ slot: Int32,
        _ times: Int,
        _ result: EndpointResult = .serverError,
        now: UInt64 = second
    ) -> [EjectionCause] {
        (0..<times).compactMap { _ in
            set.requestStarted(slot)
            return set.requestEnded(slot, result: result, time: millisecond, now: now)
        }
    }

    @Test("five failures in a row eject, four do not, and a success between starts anew")
    func consecutive() {
        var set = Self.set()
        #expect(Self.fail(&set, 0, 4).isEmpty)
        _ = Self.fail(&set, 0, 1, .success)
        #expect(Self.fail(&set, 0, 4).isEmpty)
        #expect(Self.fail(&set, 0, 1) == [.consecutive5xx])
        #expect(set[0].isEjected)
        #expect(EndpointSetTests.counts(&set)[1] == nil)
    }

    @Test("failures of the connection count like 5xx unless they are split off", arguments: [false, true])
    func localFailures(splits: Bool) {
        var set = Self.set {
            $0.splitsLocalFailures = splits
            $0.consecutiveLocal = 3
        }
        let causes = Self.fail(&set, 0, 5, .localTimeout)
        #expect(causes == [splits ? .consecutiveLocal : .consecutive5xx])
    }

    @Test("gateway failures have a count of their own")
    func gateway() {
        var set = Self.set {
            $0.consecutive5xx = 0
            $0.consecutiveGateway = 2
        }
        #expect(Self.fail(&set, 0, 9, .serverError).isEmpty)
        #expect(Self.fail(&set, 0, 2, .gatewayError) == [.consecutiveGateway])
    }

    @Test("a client that goes away says nothing about the endpoint")
    func cancelled() {
        var set = Self.set()
        #expect(Self.fail(&set, 0, 50, .cancelled).isEmpty)
        #expect(set[0].requestsInFlight == 0)
    }

    @Test(
        "the share of ejected endpoints is bounded, but where it is wanted one may always go",
        arguments: [(4, UInt32(50), 2, 2), (4, 10, 0, 1), (10, 30, 3, 3), (1, 10, 0, 1), (3, 0, 0, 1)]
    )
    func share(count: Int, percent: UInt32, expected: Int, expectedWithOne: Int) {
        for (one, wanted) in [(false, expected), (true, expectedWithOne)] {
            var set = Self.set(count) {
                $0.maximumPercent = percent
                $0.ejectsOneAlways = one
            }
            for slot in 0..<count { _ = Self.fail(&set, Int32(slot), 5) }
            #expect(set.ejected == wanted)
            #expect(set.outlierCounts.overflow == UInt64(count - wanted))
        }
    }

    @Test("a share of detections is enforced; each detection wants as many failures again")
    func enforcement() {
        var none = Self.set { $0.shares[Int(EjectionCause.consecutive5xx.rawValue)] = 0 }
        #expect(Self.fail(&none, 0, 25).isEmpty)
        #expect(none.outlierCounts.detected[0] == 5 && none.outlierCounts.enforced[0] == 0)
        var ejections = 0
        for seed in 0..<200 {
            var half = Self.set { $0.shares[Int(EjectionCause.consecutive5xx.rawValue)] = 50 }
            half.outlierSeed = UInt64(seed)
            ejections += Self.fail(&half, 0, 5).count
        }
        #expect((60...140).contains(ejections))
    }

    @Test("an endpoint that fails as often as the threshold says is ejected, apart for failures of the connection")
    func failurePercentage() {
        for splits in [false, true] {
            var set = Self.set(6) {
                $0.consecutive5xx = 0
                $0.consecutiveLocal = 0
                $0.splitsLocalFailures = splits
                $0.failurePercentage = OutlierSettings.FailurePercentage()
            }
            for slot: Int32 in 0..<6 {
                for number in 0..<100 {
                    let fails = slot == 2 ? number < 85 : slot == 4 && number < 84
                    _ = Self.fail(&set, slot, 1, fails ? .localFailure : .success)
                }
            }
            #expect(set.sweep(now: 20 * second).ejected == [2])
            let cause = splits ? EjectionCause.localFailurePercentage : .failurePercentage
            #expect(set.outlierCounts.enforced[Int(cause.rawValue)] == 1)
        }
    }

    @Test("the worker that decides has the numbers of the others, and they follow it")
    func workers() {
        let change: (inout OutlierSettings) -> Void = {
            $0.consecutive5xx = 0
            $0.successRate = OutlierSettings.SuccessRate()
        }
        var first = Self.set(6, change)
        var second = Self.set(6, change)
        for slot: Int32 in 0..<6 {
            for number in 0..<60 {
                let result: EndpointResult = slot == 3 && number % 2 == 0 ? .serverError : .success
                _ = Self.fail(&first, slot, 1, result)
                _ = Self.fail(&second, slot, 1, result)
            }
        }
        #expect(second.sweep(now: 20_000_000_000, decides: false).ejected.isEmpty)
        first.add(second.takeTallies())
        #expect(second.takeTallies().isEmpty, "numbers are told once")
        #expect(first.sweep(now: 20_000_000_000).ejected == [3], "60 requests alone would not have been enough")
        let ejection = first.ejection(of: 3)
        if let ejection { second.follow(ejection) }
        #expect(second[3].ejectedUntil == first[3].ejectedUntil && second.ejected == 1)
    }

    @Test("time at random is added to an ejection, and a health check may end it")
    func jitterAndChecks() {
        var set = Self.set { $0.ejectionJitter = 10 * second }
        set.outlierSeed = 7
        _ = Self.fail(&set, 0, 5, now: second)
        #expect(set[0].ejectedUntil > 31 * second && set[0].ejectedUntil <= 41 * second)
        set.setCheck(0, .healthy)
        #expect(set[0].isEjected)
        set.setCheck(0, .healthy, unejects: true)
        #expect(!set[0].isEjected && set.ejected == 0)
    }

    @Test("an ejection ends after its time, and the next one lasts longer")
    func ends() {
        var set = Self.set()
        _ = Self.fail(&set, 0, 5, now: second)
        #expect(set.sweep(now: 30 * second).returned.isEmpty)
        #expect(set.sweep(now: 31 * second).returned == [0])
        #expect(!set[0].isEjected)
        _ = Self.fail(&set, 0, 5, now: 32 * second)
        #expect(set.sweep(now: 90 * second).returned.isEmpty)
        #expect(set.sweep(now: 92 * second).returned == [0])
    }

    @Test("an ejection never lasts longer than the maximum")
    func maximum() {
        var set = Self.set { $0.maximumEjection = 40 * second }
        var now = second
        for _ in 0..<5 {
            _ = Self.fail(&set, 0, 5, now: now)
            #expect(set[0].ejectedUntil <= now + 40 * second)
            now += 41 * second
            _ = set.sweep(now: now)
        }
    }

    @Test("good conduct takes ejections off the count")
    func forgiveness() {
        var set = Self.set()
        _ = Self.fail(&set, 0, 5, now: second)
        for time in 1...20 { _ = set.sweep(now: UInt64(time) * 31 * second) }
        _ = Self.fail(&set, 0, 5, now: 700 * second)
        #expect(set[0].ejectedUntil == 730 * second)
    }

    @Test("an endpoint whose success rate stands out is ejected")
    func successRate() {
        var set = Self.set(6) {
            $0.consecutive5xx = 0
            $0.successRate = OutlierSettings.SuccessRate()
        }
        for slot: Int32 in 0..<6 {
            for number in 0..<200 {
                _ = Self.fail(&set, slot, 1, slot == 3 && number % 2 == 0 ? .serverError : .success)
            }
        }
        #expect(set.sweep(now: 20 * second).ejected == [3])
    }

    @Test("with too few requests or hosts the success rate says nothing", arguments: [(4, 200), (6, 50)])
    func tooFew(hosts: Int, requests: Int) {
        var set = Self.set(hosts) {
            $0.consecutive5xx = 0
            $0.successRate = OutlierSettings.SuccessRate()
        }
        for slot in 0..<hosts {
            for _ in 0..<requests { _ = Self.fail(&set, Int32(slot), 1, slot == 1 ? .serverError : .success) }
        }
        #expect(set.sweep(now: 20 * second).ejected.isEmpty)
    }

    @Test("all endpoints ejected: panic serves them all the same")
    func panic() {
        var set = Self.set(2) { $0.maximumPercent = 100 }
        for slot: Int32 in 0..<2 { _ = Self.fail(&set, slot, 5) }
        #expect(set.ejected == 2)
        #expect(set.isInPanic)
        #expect(EndpointSetTests.counts(&set).count == 2)
    }
}
