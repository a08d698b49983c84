/// When an endpoint that keeps failing is left out (Envoy's `OutlierDetection`, with its defaults).
package struct OutlierSettings: Sendable, Equatable {
    /// Answers 5xx (and, unless split, failures of the connection) in a row; 0 = off.
    package var consecutive5xx: UInt32 = 5
    /// Answers 502, 503 or 504 in a row; 0 = off.
    package var consecutiveGateway: UInt32 = 0
    /// Failures of the connection in a row, counted apart only when `splitsLocalFailures`; 0 = off.
    package var consecutiveLocal: UInt32 = 5
    package var splitsLocalFailures = false
    package var interval: UInt64 = 10_000_000_000
    package var baseEjection: UInt64 = 30_000_000_000
    package var maximumEjection: UInt64 = 300_000_000_000
    /// Added to each ejection at random, up to this much, also beyond the maximum.
    package var ejectionJitter: UInt64 = 0
    /// Share of the endpoints that may be ejected at the same time.
    package var maximumPercent: UInt32 = 10
    /// One may be ejected, however small the share.
    package var ejectsOneAlways = false
    /// A health check that succeeds ends an ejection.
    package var endsWithHealthCheck = true
    /// Ejection of endpoints whose success rate lies below mean − factor × standard deviation; nil = off.
    package var successRate: SuccessRate?
    /// Ejection of endpoints that fail as often as the threshold says; nil = off.
    package var failurePercentage: FailurePercentage?
    /// How many of a hundred detections eject, by `EjectionCause.rawValue`.
    package var shares = [UInt32](repeating: 100, count: EjectionCause.allCases.count)

    package struct SuccessRate: Sendable, Equatable {
        package var minimumHosts = 5
        package var minimumRequests: UInt32 = 100
        package var deviations = 1.9

        package init() {}
    }

    package struct FailurePercentage: Sendable, Equatable {
        package var minimumHosts = 5
        package var minimumRequests: UInt32 = 50
        package var threshold: UInt32 = 85

        package init() {}
    }

    package init() {}

    /// Whether decisions need the numbers of an interval.
    package var usesStatistics: Bool { successRate != nil || failurePercentage != nil }
}

/// Why an endpoint was ejected.
package enum EjectionCause: UInt8, CaseIterable, Sendable {
    case consecutive5xx, consecutiveGateway, consecutiveLocal
    case successRate, localSuccessRate, failurePercentage, localFailurePercentage

    /// As Envoy's statistics name it.
    package var name: String {
        switch self {
        case .consecutive5xx: "consecutive_5xx"
        case .consecutiveGateway: "consecutive_gateway_failure"
        case .consecutiveLocal: "consecutive_local_origin_failure"
        case .successRate: "success_rate"
        case .localSuccessRate: "local_origin_success_rate"
        case .failurePercentage: "failure_percentage"
        case .localFailurePercentage: "local_origin_failure_percentage"
        }
    }
}

/// What outlier detection did, by `EjectionCause.rawValue`.
package struct OutlierCounts: Sendable, Equatable {
    package var detected = [UInt64](repeating: 0, count: EjectionCause.allCases.count)
    package var enforced = [UInt64](repeating: 0, count: EjectionCause.allCases.count)
    /// Ejections that the share of ejected endpoints did not allow.
    package var overflow: UInt64 = 0

    package init() {}

    package static func += (left: inout OutlierCounts, right: OutlierCounts) {
        for index in left.detected.indices {
            left.detected[index] &+= right.detected[index]
            left.enforced[index] &+= right.enforced[index]
        }
        left.overflow &+= right.overflow
    }
}

/// An endpoint's requests of an interval.
package struct OutlierTally: Sendable, Equatable, BitwiseCopyable {
    package var endpoint: UInt64
    package var requests: UInt32
    package var successes: UInt32
    package var localRequests: UInt32
    package var localSuccesses: UInt32
}

/// An ejection that was decided: what another worker needs to follow it.
package struct Ejection: Sendable, Equatable {
    package var endpoint: UInt64
    package var until: UInt64
    package var count: UInt32
}
