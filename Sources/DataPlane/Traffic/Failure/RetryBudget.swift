/// Decides whether one more retry may start, so that retries can never multiply an outage.
///
/// A retry may start while those in flight stay below `max(minimum, percent of the requests in flight)` (Envoy's
/// `CircuitBreakers.Thresholds.RetryBudget`). With 20 % a chain of three hops loads its last hop at most 1.2³ = 1.73 times.
///
/// A plain value; who counts gives the number of requests.
package struct RetryBudget: Sendable, Equatable, BitwiseCopyable {
    /// Per hundred thousand of the requests in flight, so that shares such as 0.5 % stay exact.
    private let share: Int
    private let minimum: Int

    /// - Parameters:
    ///   - percent: share of the requests in flight that may be retries; values outside 0...100 are clamped.
    ///   - minimumConcurrency: retries that are always allowed, so that an idle client may retry too.
    package init(percent: Double = 20, minimumConcurrency: Int = 3) {
        share = percent.isNaN ? 0 : Int(min(max(percent, 0), 100) * 1000)
        minimum = max(0, minimumConcurrency)
    }

    /// How many retries may be in flight beside so many requests.
    package func limit(requests: Int) -> Int { max(minimum, max(0, requests) &* share / 100_000) }
}
