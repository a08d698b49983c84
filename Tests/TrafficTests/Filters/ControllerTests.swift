import Testing
import Traffic

private let oneSecond: UInt64 = 1_000_000_000

@Suite struct AdmissionControllerTests {
    private func settings(_ change: (inout AdmissionController.Settings) -> Void = { _ in })
        -> AdmissionController.Settings
    {
        var settings = AdmissionController.Settings()
        change(&settings)
        return settings
    }

    private func after(
        _ requests: Int,
        successes: Int,
        _ change: (inout AdmissionController.Settings) -> Void = { _ in }
    ) -> AdmissionController {
        var controller = AdmissionController(settings(change))
        for number in 0..<requests { controller.record(isSuccess: number < successes, now: 100 * oneSecond) }
        return controller
    }

    @Test func theChanceGrowsWithTheFailures() {
        #expect(after(0, successes: 0).probability == 0)
        #expect(after(100, successes: 100).probability == 0)
        #expect(after(100, successes: 95).probability == 0)
        #expect(abs(after(100, successes: 50).probability - (100 - 50 / 0.95) / 101) < 1e-9)
        #expect(after(100, successes: 0).probability == 0.8)
        #expect(after(100, successes: 0) { $0.maxRejection = 0.3 }.probability == 0.3)
        #expect(after(100, successes: 50) { $0.aggression = 2 }.probability > after(100, successes: 50).probability)
        #expect(after(100, successes: 60) { $0.successThreshold = 0.5 }.probability == 0)
    }

    @Test func chanceDecides() {
        var controller = after(100, successes: 0)
        do {
            let isRejected = controller.rejects(now: 100 * oneSecond, random: 7999)
            #expect(isRejected)
        }
        do {
            let isRejected = controller.rejects(now: 100 * oneSecond, random: 8000)
            #expect(!isRejected)
        }
        do {
            let isRejected = controller.rejects(now: 100 * oneSecond, random: 10_000)
            #expect(isRejected)
        }
    }

    @Test func whatIsOldIsForgotten() {
        var controller = after(100, successes: 0)
        do {
            let isRejected = controller.rejects(now: 129 * oneSecond, random: 0)
            #expect(isRejected)
        }
        do {
            let isRejected = controller.rejects(now: 130 * oneSecond, random: 0)
            #expect(!isRejected)
        }
        #expect(controller.requests == 0 && controller.successes == 0)
        for step in 0..<100_000 as Range<UInt64> {
            controller.record(isSuccess: step % 2 == 0, now: 200 * oneSecond + step * oneSecond / 7)
        }
        #expect(controller.requests <= 31 * 7 && controller.requests >= 29 * 7)
    }

    @Test func fewRequestsAreNeverTurnedAway() {
        var controller = after(100, successes: 0) { $0.rateThreshold = 101 }
        do {
            let isRejected = controller.rejects(now: 100 * oneSecond, random: 0)
            #expect(!isRejected)
        }
        for _ in 0..<10 { controller.record(isSuccess: false, now: 100 * oneSecond) }
        do {
            let isRejected = controller.rejects(now: 100 * oneSecond, random: 0)
            #expect(isRejected)
        }
        do {
            let isRejected = controller.rejects(now: 110 * oneSecond, random: 0)
            #expect(!isRejected)
        }
    }

    @Test func criteriaTellSuccessesFromFailures() {
        var criteria = AdmissionCriteria()
        #expect(criteria.isSuccess(status: 200) && criteria.isSuccess(status: 499) && !criteria.isSuccess(status: 500))
        #expect(!criteria.isSuccess(status: 0))
        #expect(
            criteria.isSuccess(callStatus: 0) && criteria.isSuccess(callStatus: 5)
                && !criteria.isSuccess(callStatus: 14)
        )
        #expect(!criteria.isSuccess(callStatus: -1) && !criteria.isSuccess(callStatus: 4))
        criteria.statuses = [200..<300, 404..<405]
        #expect(criteria.isSuccess(status: 404) && !criteria.isSuccess(status: 403))
    }
}

@Suite struct GradientControllerTests {
    private func settings() -> GradientController.Settings {
        var settings = GradientController.Settings()
        settings.minRTTRequests = 5
        settings.jitter = 0
        return settings
    }

    private let millisecond: UInt64 = 1_000_000

    /// So many requests of this latency, one after another.
    private func serve(_ controller: inout GradientController, _ count: Int, _ latency: UInt64, _ now: inout UInt64) {
        for _ in 0..<count {
            guard controller.admit(now: now) else { continue }
            let start = now
            now += latency
            controller.record(startedAt: start, now: now, random: 0)
        }
    }

    @Test func fewPassWhileTheLeastLatencyIsMeasured() {
        var now: UInt64 = oneSecond
        var controller = GradientController(settings(), now: now)
        #expect(controller.isMeasuring && controller.limit == 3)
        let admitted = (0..<4).map { _ in controller.admit(now: now) }
        #expect(admitted == [true, true, true, false])
        controller.cancel()
        #expect(controller.inFlight == 2)
        controller.cancel()
        controller.cancel()
        controller.cancel()
        #expect(controller.inFlight == 0)
        serve(&controller, 5, 10 * millisecond, &now)
        #expect(!controller.isMeasuring && controller.minRTT > 9_000 && controller.minRTT < 11_000)
    }

    @Test func theLimitFollowsTheLatency() {
        var now: UInt64 = oneSecond
        var controller = GradientController(settings(), now: now)
        serve(&controller, 5, 10 * millisecond, &now)
        for _ in 0..<30 { serve(&controller, 20, 10 * millisecond, &now) }
        let high = controller.limit
        #expect(high > 20)
        serve(&controller, 8, 80 * millisecond, &now)
        #expect(controller.limit < high / 2)
        #expect(controller.gradient == 0.5)
    }

    @Test func theLimitStaysWithinItsBounds() {
        var now: UInt64 = oneSecond
        var bounded = settings()
        bounded.maxLimit = 12
        var controller = GradientController(bounded, now: now)
        for _ in 0..<100 { serve(&controller, 20, millisecond, &now) }
        #expect(controller.limit == 12)
        bounded.fixedMinRTT = 5 * millisecond
        controller = GradientController(bounded, now: now)
        #expect(!controller.isMeasuring && controller.minRTT == 5000)
        for _ in 0..<100 { serve(&controller, 20, 500 * millisecond, &now) }
        #expect(controller.limit == 3 && !controller.isMeasuring)
    }

    @Test func theLeastLatencyIsMeasuredAgain() {
        var now: UInt64 = oneSecond
        var controller = GradientController(settings(), now: now)
        serve(&controller, 5, 10 * millisecond, &now)
        now += 61 * oneSecond
        let isAdmitted = controller.admit(now: now)
        #expect(isAdmitted && controller.isMeasuring)
        controller.record(startedAt: now - 61 * oneSecond, now: now, random: 0)
        serve(&controller, 4, 20 * millisecond, &now)
        #expect(controller.isMeasuring, "a request from before counts for nothing")
        serve(&controller, 1, 20 * millisecond, &now)
        #expect(!controller.isMeasuring && controller.minRTT > 19_000)
    }

    @Test func aLimitThatStaysAtTheBottomIsDoubted() {
        var now: UInt64 = oneSecond
        var controller = GradientController(settings(), now: now)
        serve(&controller, 5, millisecond, &now)
        var measured = false
        for _ in 0..<400 where !measured {
            serve(&controller, 1, 120 * millisecond, &now)
            measured = controller.isMeasuring
        }
        #expect(measured && now < 60 * oneSecond)
    }
}

@Suite struct SessionTextTests {
    @Test func addressesComeBack() {
        let address = Array("127.0.0.1:8080".utf8)
        #expect(SessionText.address(field: SessionText.field(address)) == address)
        #expect(SessionText.address(cookie: SessionText.cookie(address, expires: 0), now: 5) == address)
        #expect(SessionText.address(cookie: SessionText.cookie(address, expires: 100), now: 100) == address)
        #expect(SessionText.address(cookie: SessionText.cookie(address, expires: 100), now: 101) == nil)
    }

    @Test func whatIsNoSessionIsNone() {
        for bad in ["", "***", "AAAA", String(repeating: "A", count: 4000), "CgA="] {
            #expect(SessionText.address(cookie: Array(bad.utf8), now: 0) == nil, "\(bad.prefix(10))")
        }
        #expect(SessionText.address(field: SessionText.field([0x31, 0x0A])) == nil)
    }

    @Test func cookiesHoldForTheirPath() {
        let matches = { (path: StaticString, cookie: StaticString) in
            SessionText.matches(FieldText.run(path), cookiePath: FieldText.run(cookie))
        }
        #expect(matches("/shop/cart", "/shop") && matches("/shop", "/shop") && matches("/shop/", "/shop/"))
        #expect(matches("/any", "") && matches("/any", "/") && !matches("/shopping", "/shop") && !matches("/", "/shop"))
    }

    @Test func cookiesAreFoundByName() {
        let text: StaticString = "a=1; session=\"two\"; xsession=3; session=4"
        let found = CookieText.values(FieldText.run(text), named: Array("session".utf8))
        #expect(found.map { String(decoding: $0, as: UTF8.self) } == ["two", "4"])
    }
}
