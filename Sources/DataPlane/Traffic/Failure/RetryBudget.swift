/// Decides whether one more retry may start, so that retries can never multiply an outage.
///
/// A retry may start while those in flight stay below `max(minimum, percent of the requests in flight)` (Envoy's
/// `CircuitBreakers.Thresholds.RetryBudget`). With 20 % a chain of three hops loads its last hop at most 1.2³ = 1.73 times.
///
/// Owned by one worker; pure, O(1), allocates nothing. Counters clamp at zero: a caller's mistake cannot trap the proxy.
package struct RetryBudget: Sendable {
    /// Per hundred thousand of the requests in flight, so that shares such as 0.5 % stay exact.
    private let share: Int
    private let minimum: Int
    package private(set) var requestsInFlight = 0
    package private(set) var retriesInFlight = 0

    /// - Parameters:
    ///   - percent: share of the requests in flight that may be retries; values outside 0...100 are clamped.
    ///   - minimumConcurrency: retries that are always allowed, so that an idle client may retry too.
    package init(percent: Double = 20, minimumConcurrency: Int = 3) {
        share = percent.isNaN ? 0 : Int(min(max(percent, 0), 100) * 1000)
        minimum = max(0, minimumConcurrency)
    }

    package var limit: Int { max(minimum, requestsInFlight &* share / 100_000) }

    package mutating func requestStarted() { requestsInFlight += 1 }
    package mutating func requestEnded() { requestsInFlight = max(0, requestsInFlight - 1) }

    /// Takes a place for a retry; false when the budget is used up. A retry that was granted counts until `retryEnded`.
    package mutating func startRetry() -> Bool {
        guard retriesInFlight < limit else { return false }
        retriesInFlight += 1
        return true
    }

    package mutating func retryEnded() { retriesInFlight = max(0, retriesInFlight - 1) }
}
