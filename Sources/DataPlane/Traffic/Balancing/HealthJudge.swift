/// What active health checks say of an endpoint.
public enum CheckState: UInt8, BitwiseCopyable, Sendable {
    /// It is not checked.
    case none
    /// No check has ended yet: it counts as failed.
    case pending
    case healthy, degraded, failed

    @inlinable public var isUsable: Bool { self != .pending && self != .failed }
}

/// What a single check gave.
package enum CheckResult: Sendable, Equatable {
    case healthy, degraded
    /// The endpoint itself says that it is not well: that counts at once.
    case failed
    /// An answer that counts towards the threshold only.
    case retriable
    /// No answer, or none in time.
    case network
    /// An answer to a request said that the endpoint is to be left out at once.
    case passive

    package var isSuccess: Bool { self == .healthy || self == .degraded }
}

/// Judges the checks of one endpoint as Envoy does: thresholds, but the first check decides at once.
package struct HealthJudge: Sendable, Equatable {
    package enum Transition: Sendable, Equatable {
        case unchanged
        case changed
        /// The threshold is not reached yet.
        case pending
    }

    package private(set) var state: CheckState
    private var successes: UInt32 = 0
    private var failures: UInt32 = 0
    package private(set) var isFirst = true
    /// What the last check that succeeded said; it stays while the endpoint fails.
    package private(set) var isDegraded = false

    package init(_ state: CheckState = .pending) { self.state = state }

    /// Takes a result over.
    package mutating func judge(_ result: CheckResult, healthyThreshold: UInt32, unhealthyThreshold: UInt32)
        -> Transition
    {
        defer { isFirst = false }
        if result.isSuccess { return succeed(isDegraded: result == .degraded, healthyThreshold) }
        successes = 0
        guard state.isUsable else {
            // What was unknown is known now.
            let wasPending = state == .pending
            state = .failed
            return wasPending ? .changed : .unchanged
        }
        failures += 1
        let isImmediate = result == .failed || result == .passive
        guard isImmediate || failures >= max(1, unhealthyThreshold) else { return .pending }
        failures = 0
        state = .failed
        return .changed
    }

    private mutating func succeed(isDegraded: Bool, _ threshold: UInt32) -> Transition {
        failures = 0
        self.isDegraded = isDegraded
        let wanted: CheckState = isDegraded ? .degraded : .healthy
        guard !state.isUsable else {
            defer { state = wanted }
            return state == wanted ? .unchanged : .changed
        }
        successes += 1
        guard isFirst || successes >= max(1, threshold) else { return .pending }
        successes = 0
        state = wanted
        return .changed
    }
}

/// How long until the next check; nanoseconds.
package struct CheckIntervals: Sendable, Equatable {
    package var healthy: UInt64
    package var unhealthy: UInt64
    package var healthyEdge: UInt64
    package var unhealthyEdge: UInt64
    package var noTraffic: UInt64
    package var noTrafficHealthy: UInt64
    package var jitter: UInt64 = 0
    package var jitterPercent: UInt32 = 0
    package var initialJitter: UInt64 = 0

    /// All the same, and a minute without traffic.
    package init(_ interval: UInt64) {
        healthy = interval
        unhealthy = interval
        healthyEdge = interval
        unhealthyEdge = interval
        noTraffic = 60_000_000_000
        noTrafficHealthy = noTraffic
    }

    /// The wait after a check; `random` are 64 fresh random bits.
    package func wait(
        after transition: HealthJudge.Transition,
        isHealthy: Bool,
        hasTraffic: Bool,
        random: UInt64
    ) -> UInt64 {
        let isEdge = transition == .pending
        let base: UInt64
        if hasTraffic {
            base = isHealthy ? (isEdge ? healthyEdge : healthy) : (isEdge ? unhealthyEdge : unhealthy)
        } else {
            base = isHealthy && !isEdge ? noTrafficHealthy : noTraffic
        }
        var wait = base
        let (product, overflow) = base.multipliedReportingOverflow(by: UInt64(jitterPercent))
        let share = overflow ? base : product / 100
        if share > 0 { wait &+= (random >> 32) % share }
        if jitter > 0 { wait &+= random % jitter }
        return max(wait, base)
    }
}

/// Whether all pieces occur in the bytes, one behind the other.
package func holdsInOrder(_ bytes: [UInt8], _ pieces: [[UInt8]]) -> Bool {
    var position = 0
    for piece in pieces {
        guard !piece.isEmpty else { continue }
        var found = false
        while position + piece.count <= bytes.count {
            if bytes[position..<(position + piece.count)].elementsEqual(piece) {
                found = true
                position += piece.count
                break
            }
            position += 1
        }
        guard found else { return false }
    }
    return true
}
