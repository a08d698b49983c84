import Testing
import Traffic

@Suite("Retry budget")
struct RetryBudgetTests {
    @Test("an idle client may still retry", arguments: [0, 1, 3])
    func floorHolds(minimum: Int) {
        let budget = RetryBudget(percent: 20, minimumConcurrency: minimum)
        #expect(budget.limit(requests: 0) == minimum)
        #expect(budget.limit(requests: -5) == minimum)
    }

    @Test("retries stay within the share", arguments: [(20.0, 200), (0.5, 5), (100, 1000), (250, 1000), (-3, 3)])
    func share(percent: Double, expected: Int) {
        let budget = RetryBudget(percent: percent, minimumConcurrency: 3)
        #expect(budget.limit(requests: 1000) == max(3, expected))
    }

    @Test("no number is no share")
    func notANumber() {
        let budget = RetryBudget(percent: .nan, minimumConcurrency: 0)
        #expect(budget.limit(requests: 1000) == 0)
    }
}

/// What breakers of a test share.
private final class Counts {
    private let memory = UnsafeMutablePointer<BreakerCounts>.allocate(capacity: 1)

    init() { memory.initialize(to: BreakerCounts()) }

    deinit {
        memory.deinitialize(count: 1)
        memory.deallocate()
    }

    func breaker(_ limits: BreakerLimits) -> CircuitBreaker { CircuitBreaker(limits, counts: memory) }
}

@Suite("Circuit breaker")
struct CircuitBreakerTests {
    @Test("each resource has its own limit", arguments: BreakerResource.allCases)
    func limits(resource: BreakerResource) {
        var limits = BreakerLimits()
        (limits.connections, limits.pending, limits.requests, limits.retries) = (2, 2, 2, 2)
        let counts = Counts()
        let breaker = counts.breaker(limits)
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
        let counts = Counts()
        #expect(counts.breaker(limits).take(.requests) == false)
        #expect(counts.breaker(limits).inUse(.requests) == 0)
    }

    @Test("a budget stands in place of the fixed number of retries")
    func budget() {
        var limits = BreakerLimits()
        (limits.retries, limits.budget) = (0, RetryBudget(percent: 50, minimumConcurrency: 1))
        let counts = Counts()
        let breaker = counts.breaker(limits)
        for _ in 0..<10 { #expect(breaker.take(.requests) == true) }
        #expect((0..<10).count { _ in breaker.take(.retries) } == 5)
    }

    @Test("new limits keep what is in use")
    func newLimits() {
        let counts = Counts()
        var breaker = counts.breaker(BreakerLimits())
        for _ in 0..<5 { _ = breaker.take(.requests) }
        breaker.limits.requests = 5
        #expect(breaker.take(.requests) == false)
        breaker.giveBack(.requests)
        #expect(breaker.take(.requests) == true)
    }

    @Test("workers share what is in use, and one that may go over a limit counts too")
    func shared() {
        var limits = BreakerLimits()
        (limits.requests, limits.connections) = (3, 1)
        let counts = Counts()
        let one = counts.breaker(limits)
        let other = counts.breaker(limits)
        #expect([one.take(.requests), other.take(.requests), one.take(.requests)] == [true, true, true])
        #expect([one.take(.requests), other.take(.requests)] == [false, false])
        one.giveBack(.requests)
        #expect(other.take(.requests))
        #expect(one.take(.connections))
        other.takeAnyway(.connections)
        #expect(one.inUse(.connections) == 2)
        #expect(other.isOpen(.connections))
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
