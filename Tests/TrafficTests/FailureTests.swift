import Testing
import Traffic

@Suite("Retry budget")
struct RetryBudgetTests {
    @Test("an idle client may still retry", arguments: [0, 1, 3])
    func floorHolds(minimum: Int) {
        var budget = RetryBudget(percent: 20, minimumConcurrency: minimum)
        for _ in 0..<minimum { #expect(budget.startRetry() == true) }
        #expect(budget.startRetry() == false)
    }

    @Test("retries stay within the share", arguments: [(20.0, 200), (0.5, 5), (100, 1000), (250, 1000), (-3, 3)])
    func share(percent: Double, expected: Int) {
        var budget = RetryBudget(percent: percent, minimumConcurrency: 3)
        for _ in 0..<1000 { budget.requestStarted() }
        #expect((0..<5000).count { _ in budget.startRetry() } == max(3, expected))
    }

    @Test("a retry that ends makes room for one")
    func room() {
        var budget = RetryBudget(percent: 0, minimumConcurrency: 1)
        #expect(budget.startRetry() == true)
        budget.retryEnded()
        budget.retryEnded()
        #expect(budget.startRetry() == true)
        #expect(budget.startRetry() == false)
    }

    @Test("no number is no share")
    func notANumber() {
        let budget = RetryBudget(percent: .nan, minimumConcurrency: 0)
        #expect(budget.limit == 0)
    }
}

@Suite("Circuit breaker")
struct CircuitBreakerTests {
    @Test("each resource has its own limit", arguments: BreakerResource.allCases)
    func limits(resource: BreakerResource) {
        var limits = BreakerLimits()
        (limits.connections, limits.pending, limits.requests, limits.retries) = (2, 2, 2, 2)
        var breaker = CircuitBreaker(limits)
        #expect(breaker.take(resource) == true)
        #expect(!breaker.isOpen(resource))
        #expect(breaker.take(resource) == true)
        #expect(breaker.isOpen(resource))
        #expect(breaker.take(resource) == false)
        breaker.giveBack(resource)
        #expect(breaker.take(resource) == true)
        for other in BreakerResource.allCases where other != resource { #expect(breaker.take(other) == true) }
    }

    @Test("a limit of 0 lets nothing through")
    func zero() {
        var limits = BreakerLimits()
        limits.requests = 0
        var breaker = CircuitBreaker(limits)
        #expect(breaker.take(.requests) == false)
    }

    @Test("a budget stands in place of the fixed number of retries")
    func budget() {
        var limits = BreakerLimits()
        (limits.retries, limits.budgetPercent, limits.budgetMinimum) = (0, 50, 1)
        var breaker = CircuitBreaker(limits)
        for _ in 0..<10 { #expect(breaker.take(.requests) == true) }
        #expect((0..<10).count { _ in breaker.take(.retries) } == 5)
    }

    @Test("new limits keep what is in use")
    func newLimits() {
        var breaker = CircuitBreaker(BreakerLimits())
        for _ in 0..<5 { _ = breaker.take(.requests) }
        var tighter = BreakerLimits()
        tighter.requests = 5
        tighter.budgetPercent = 20
        breaker.setLimits(tighter)
        #expect(breaker.take(.requests) == false)
        breaker.giveBack(.requests)
        #expect(breaker.take(.requests) == true)
        for _ in 0..<50 { breaker.giveBack(.requests) }
        #expect(breaker.requests == 0)
    }
}

@Suite("Retry policy")
struct RetryPolicyTests {
    private static func policy(_ conditions: RetryPolicy.Conditions, retries: UInt32 = 2) -> RetryPolicy {
        var policy = RetryPolicy()
        policy.conditions = conditions
        policy.retries = retries
        policy.statuses.insert(429)
        return policy
    }

    @Test(
        "failures that a condition covers",
        arguments: [
            (RetryPolicy.Conditions.serverError, TryFailure.status, 500, RetryVerdict.retry),
            (.serverError, .status, 599, .retry), (.serverError, .status, 404, .notRetriable),
            (.gatewayError, .status, 500, .notRetriable), (.gatewayError, .status, 503, .retry),
            (.gatewayError, .connect, 0, .retry), (.connectFailure, .connect, 0, .retry),
            (.connectFailure, .status, 503, .notRetriable), (.reset, .connect, 0, .notRetriable),
            (.reset, .resetBeforeResponse, 0, .retry), (.reset, .timeout, 0, .retry),
            (.resetBeforeRequest, .resetBeforeRequest, 0, .retry),
            (.resetBeforeRequest, .resetBeforeResponse, 0, .notRetriable), (.retriable4xx, .status, 409, .retry),
            (.retriable4xx, .status, 408, .notRetriable), (.statusCodes, .status, 429, .retry),
            (.statusCodes, .status, 430, .notRetriable), (.serverError, .protocolError, 0, .retry),
            (.refusedStream, .refusedStream, 0, .retryAtOnce), (RetryPolicy.Conditions(), .status, 503, .notRetriable),
            (RetryPolicy.Conditions(), .connect, 0, .notRetriable),
        ]
    )
    func conditions(condition: RetryPolicy.Conditions, failure: TryFailure, status: Int, expected: RetryVerdict) {
        let verdict = Self.policy(condition).verdict(
            after: failure,
            status: status,
            retriesDone: 0,
            isIdempotent: true,
            isReplayable: true
        )
        #expect(verdict == expected)
    }

    @Test(
        "what may have been acted on is sent again only when that does no harm",
        arguments: [TryFailure.resetBeforeResponse, .timeout, .protocolError]
    )
    func idempotence(failure: TryFailure) {
        let policy = Self.policy([.serverError, .reset])
        for (isIdempotent, expected) in [(true, RetryVerdict.retry), (false, .notRetriable)] {
            let verdict = policy.verdict(
                after: failure,
                status: 0,
                retriesDone: 0,
                isIdempotent: isIdempotent,
                isReplayable: true
            )
            #expect(verdict == expected)
        }
    }

    @Test("a connection that never was may be tried again for every method")
    func connectForAll() {
        let verdict = Self.policy(.connectFailure).verdict(
            after: .connect,
            status: 0,
            retriesDone: 0,
            isIdempotent: false,
            isReplayable: true
        )
        #expect(verdict == .retry)
    }

    @Test("tries are counted, and what is gone cannot be sent again")
    func limits() {
        let policy = Self.policy(.serverError, retries: 2)
        func verdict(_ done: Int, _ isReplayable: Bool) -> RetryVerdict {
            policy.verdict(
                after: .status,
                status: 503,
                retriesDone: done,
                isIdempotent: true,
                isReplayable: isReplayable
            )
        }
        #expect(verdict(1, true) == .retry)
        #expect(verdict(2, true) == .limitReached)
        #expect(verdict(0, false) == .notReplayable)
    }

    @Test("the race of keep-alive is repaired once without any policy")
    func staleConnection() {
        func verdict(_ done: Int, idempotent: Bool) -> RetryVerdict {
            RetryPolicy().verdict(
                after: .staleConnection,
                status: 0,
                retriesDone: 0,
                silentDone: done,
                isIdempotent: idempotent,
                isReplayable: true
            )
        }
        #expect(verdict(0, idempotent: true) == .retryAtOnce)
        #expect(verdict(1, idempotent: true) == .notRetriable)
        #expect(verdict(0, idempotent: false) == .notRetriable)
    }

    @Test(
        "what was never sent goes at once to an endpoint that was not tried, beside the policy's count",
        arguments: [TryFailure.connect, .resetBeforeRequest]
    )
    func neverSent(failure: TryFailure) {
        let policy = Self.policy(.gatewayError, retries: 1)
        func verdict(_ done: Int, silent: Int, hasUntried: Bool) -> RetryVerdict {
            policy.verdict(
                after: failure,
                status: 0,
                retriesDone: done,
                silentDone: silent,
                hasUntried: hasUntried,
                isIdempotent: false,
                isReplayable: true
            )
        }
        #expect(verdict(1, silent: 0, hasUntried: true) == .retryAtOnce)
        #expect(verdict(1, silent: RetryPolicy.silentLimit, hasUntried: true) == .limitReached)
        #expect(verdict(0, silent: 0, hasUntried: false) == .retry)
        #expect(verdict(1, silent: 0, hasUntried: false) == .limitReached)
    }

    @Test(
        "pauses are drawn from a window that doubles up to the maximum",
        arguments: [(1, 25), (2, 75), (3, 175), (4, 250), (60, 250)]
    )
    func backOff(retry: Int, windowMilliseconds: UInt64) {
        let policy = RetryPolicy()
        var random = FixedRandom()
        var longest: UInt64 = 0
        for _ in 0..<2000 {
            let pause = policy.backOff(retry: retry, random: random.next())
            #expect(pause < windowMilliseconds * millisecond)
            longest = max(longest, pause)
        }
        #expect(longest > windowMilliseconds * millisecond * 9 / 10)
    }

    @Test("a set of statuses holds exactly what was put in")
    func statusSet() {
        var set = StatusSet()
        for status in [100, 404, 599, 600, 99, -1] { set.insert(status) }
        #expect((0..<700).filter { set.contains($0) } == [100, 404, 599])
    }
}
