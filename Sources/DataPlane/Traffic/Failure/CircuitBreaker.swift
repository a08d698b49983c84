/// The limits of one priority of a cluster (Envoy's `CircuitBreakers.Thresholds`).
package struct BreakerLimits: Sendable, Equatable, BitwiseCopyable {
    package var connections = 1024
    package var pending = 1024
    package var requests = 1024
    package var retries = 3
    /// Percent and minimum concurrency; when set it stands in place of `retries`.
    package var budgetPercent: Double?
    package var budgetMinimum = 3

    package init() {}
}

/// What a breaker counts.
package enum BreakerResource: UInt8, CaseIterable, Sendable { case connections, pending, requests, retries }

/// Counts what a cluster has in use and refuses what would go over its limits.
///
/// Owned by one worker, which is given its share of the configured limits. Pure; every call is O(1).
package struct CircuitBreaker: Sendable {
    package private(set) var limits: BreakerLimits
    package private(set) var connections = 0
    package private(set) var pending = 0
    package private(set) var requests = 0
    package private(set) var retries = 0
    private var budget: RetryBudget?

    package init(_ limits: BreakerLimits) {
        self.limits = limits
        budget = limits.budgetPercent.map { RetryBudget(percent: $0, minimumConcurrency: limits.budgetMinimum) }
    }

    /// New limits for the same counts: what is in use stays in use.
    package mutating func setLimits(_ new: BreakerLimits) {
        guard new != limits else { return }
        limits = new
        budget = new.budgetPercent.map { RetryBudget(percent: $0, minimumConcurrency: new.budgetMinimum) }
        for _ in 0..<requests { budget?.requestStarted() }
        for _ in 0..<retries { _ = budget?.startRetry() }
    }

    /// Takes one of `resource`; false when its limit is reached.
    package mutating func take(_ resource: BreakerResource) -> Bool {
        switch resource {
        case .connections:
            guard connections < limits.connections else { return false }
            connections += 1
        case .pending:
            guard pending < limits.pending else { return false }
            pending += 1
        case .requests:
            guard requests < limits.requests else { return false }
            requests += 1
            budget?.requestStarted()
        case .retries:
            let granted = budget?.startRetry() ?? (retries < limits.retries)
            guard granted else { return false }
            retries += 1
        }
        return true
    }

    /// Gives one of `resource` back.
    package mutating func giveBack(_ resource: BreakerResource) {
        switch resource {
        case .connections: connections = max(0, connections - 1)
        case .pending: pending = max(0, pending - 1)
        case .requests:
            requests = max(0, requests - 1)
            budget?.requestEnded()
        case .retries:
            retries = max(0, retries - 1)
            budget?.retryEnded()
        }
    }

    package func isOpen(_ resource: BreakerResource) -> Bool {
        switch resource {
        case .connections: connections >= limits.connections
        case .pending: pending >= limits.pending
        case .requests: requests >= limits.requests
        case .retries: retries >= (budget?.limit ?? limits.retries)
        }
    }
}
