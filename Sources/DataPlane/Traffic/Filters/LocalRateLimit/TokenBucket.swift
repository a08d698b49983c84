import Synchronization

/// Tokens that requests take and that come back with time, for all threads.
///
/// What is kept is the moment at which the bucket was, or will be, empty: a bucket that was left alone is full. So one atomic
/// number is enough, and no timer fills anything.
package final class TokenBucket: Sendable {
    package let capacity: UInt64
    /// Nanoseconds until a token comes back.
    package let interval: UInt64
    private let emptyAt = Atomic<UInt64>(0)

    /// - Parameters:
    ///   - capacity: at least 1.
    ///   - perFill: tokens that come back in `fillInterval` nanoseconds, at least 1.
    ///   - fillInterval: nanoseconds.
    package init(capacity: UInt64, perFill: UInt64, fillInterval: UInt64) {
        self.capacity = max(1, capacity)
        interval = max(1, fillInterval / max(1, perFill))
    }

    /// Nanoseconds in which an empty bucket becomes full. Moments are counted from so long before the clock's zero: it may have
    /// begun only just.
    private var span: UInt64 {
        let (whole, overflows) = interval.multipliedReportingOverflow(by: capacity)
        return overflows ? 1 << 62 : min(whole, 1 << 62)
    }

    /// Takes tokens. False, and nothing is taken, when there are not so many.
    package func take(_ count: UInt64 = 1, now: UInt64) -> Bool {
        let (cost, overflows) = interval.multipliedReportingOverflow(by: count)
        guard !overflows, cost <= span else { return false }
        let moment = now &+ span
        var seen = emptyAt.load(ordering: .relaxed)
        while true {
            let base = max(seen, now)
            guard base &+ cost <= moment else { return false }
            let (isDone, current) = emptyAt.compareExchange(
                expected: seen,
                desired: base &+ cost,
                ordering: .relaxed
            )
            if isDone { return true }
            seen = current
        }
    }

    /// Whole tokens that are there.
    package func remaining(now: UInt64) -> UInt64 {
        let base = max(emptyAt.load(ordering: .relaxed), now)
        let moment = now &+ span
        return moment > base ? min(capacity, (moment - base) / interval) : 0
    }

    /// Seconds until the bucket is full, rounded up.
    package func secondsUntilFull(now: UInt64) -> UInt64 {
        let base = max(emptyAt.load(ordering: .relaxed), now)
        return (base - now + 999_999_999) / 1_000_000_000
    }
}

/// Buckets for all requests and for those that are counted under some entries.
package struct LocalLimits: Sendable {
    package struct Entry: Sendable {
        package var entries: [RateLimitDescriptor.Entry]
        package var bucket: TokenBucket

        package init(entries: [RateLimitDescriptor.Entry], bucket: TokenBucket) {
            self.entries = entries
            self.bucket = bucket
        }
    }

    /// For requests that no entry means; nil: they pass.
    package var usual: TokenBucket?
    /// The slowest first.
    package let entries: [Entry]
    /// The usual bucket counts the others, too.
    package var alwaysUsesUsual: Bool

    package init(usual: TokenBucket?, entries: [Entry], alwaysUsesUsual: Bool) {
        self.usual = usual
        self.entries = entries.sorted { $0.bucket.interval > $1.bucket.interval }
        self.alwaysUsesUsual = alwaysUsesUsual
    }

    /// Whether a request may pass, and the bucket that tells how it stands.
    package func judge(_ descriptors: [RateLimitDescriptor], now: UInt64) -> (isAllowed: Bool, bucket: TokenBucket?) {
        var first: TokenBucket?
        for entry in entries {
            guard let match = descriptors.first(where: { $0.entries == entry.entries }) else { continue }
            guard entry.bucket.take(match.hits ?? 1, now: now) else { return (false, entry.bucket) }
            first = first ?? entry.bucket
        }
        if first == nil || alwaysUsesUsual, let usual, !usual.take(now: now) { return (false, usual) }
        return (true, first ?? usual)
    }
}
