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
    /// Share of the endpoints that may be ejected at the same time; one may always be.
    package var maximumPercent: UInt32 = 10
    /// Ejection of endpoints whose success rate lies below mean − factor × standard deviation; nil = off.
    package var successRate: SuccessRate?

    package struct SuccessRate: Sendable, Equatable {
        package var minimumHosts = 5
        package var minimumRequests: UInt32 = 100
        package var deviations = 1.9

        package init() {}
    }

    package init() {}
}

/// Why an endpoint was ejected.
package enum EjectionCause: UInt8, CaseIterable, Sendable {
    case consecutive5xx, consecutiveGateway, consecutiveLocal, successRate
}
