/// What a worker knows about one endpoint of one cluster. A plain value in a slot of its `EndpointSet`.
public struct EndpointState: BitwiseCopyable, Sendable {
    /// The endpoint's identity: stable over configuration updates, so that this state survives them. 0 = free slot.
    public var id: UInt64 = 0
    public var weight: UInt32 = 1
    public var priority: UInt8 = 0
    /// Named by the newest configuration. A slot that is not is drained by its owner and then recycled.
    public var isPresent = false
    /// What the configuration says of its health (healthy, unknown and degraded count as healthy).
    public var isHealthy = true
    /// What active health checks say.
    public var check = CheckState.none
    /// Healthy, but to be used only when the others cannot carry the load.
    public var isDegraded = false
    /// It was healthy when the groups were made last.
    var wasHealthy = false
    /// Its locality's index.
    public var locality: UInt16 = 0
    /// Its place in the newest configuration.
    var position: Int32 = -1
    /// Since when it is healthy, for slow start.
    public var healthySince: UInt64 = 0
    /// 0 = not ejected, else the time at which the ejection ends.
    public var ejectedUntil: UInt64 = 0
    /// Ejections in a row: the next one lasts that many times the base.
    public var ejections: UInt32 = 0
    public var requestsInFlight: Int32 = 0
    public var connections: Int32 = 0
    /// Why it was ejected last, where this worker decided that: `EjectionCause.rawValue` and one.
    var ejectionNumber: UInt8 = 0
    /// Peak EWMA of the response time in nanoseconds, as of `ewmaTime`.
    public var ewma: Double = 0
    public var ewmaTime: UInt64 = 0
    public var consecutive5xx: UInt32 = 0
    public var consecutiveGateway: UInt32 = 0
    public var consecutiveLocal: UInt32 = 0
    /// Answers and successes since the last statistical sweep.
    public var intervalRequests: UInt32 = 0
    public var intervalSuccesses: UInt32 = 0
    /// Tries and those that reached the endpoint, where failures of the connection are counted apart.
    public var localRequests: UInt32 = 0
    public var localSuccesses: UInt32 = 0
    // Counters for `/clusters`.
    public var requestsTotal: UInt64 = 0
    public var successesTotal: UInt64 = 0
    public var errorsTotal: UInt64 = 0
    public var timeoutsTotal: UInt64 = 0
    public var connectionsTotal: UInt64 = 0
    public var connectFailuresTotal: UInt64 = 0

    public init() {}

    @inlinable public var isEjected: Bool { ejectedUntil != 0 }

    /// Why this worker ejected it last.
    package var ejectionCause: EjectionCause? {
        ejectionNumber > 0 ? EjectionCause(rawValue: ejectionNumber - 1) : nil
    }
}

/// What a configuration says of an endpoint, as far as balancing is concerned.
package struct EndpointSpec: Sendable, Equatable {
    package var id: UInt64
    package var weight: UInt32
    package var priority: UInt8
    package var isHealthy: Bool
    /// Health checks watch it: a new endpoint counts as failed until the first one ends.
    package var isChecked = false
    package var isDegraded: Bool
    package var locality: UInt16

    package init(
        id: UInt64,
        weight: UInt32 = 1,
        priority: UInt8 = 0,
        isHealthy: Bool = true,
        isDegraded: Bool = false,
        locality: UInt16 = 0
    ) {
        self.id = id
        self.weight = max(1, weight)
        self.priority = priority
        self.isHealthy = isHealthy
        self.isDegraded = isDegraded
        self.locality = locality
    }
}

/// How a cluster's endpoints are drawn.
package enum BalancerPolicy: Sendable, Equatable {
    case roundRobin
    case random
    /// The one with the fewest requests in flight of `choices` drawn ones; endpoints of different weights take turns, each
    /// with its weight divided by its requests in flight (and one) to the power of `bias`.
    case leastRequest(choices: Int, bias: Double = 1)
    /// The one that a hash of the request leads to.
    case hash(HashSettings)
    /// The cheaper of two drawn ones, cost = response time × requests in flight (Linkerd's balancer).
    case peakEWMA(PeakEWMA)
    /// Every connection dials the address it was meant for; there is nothing to choose.
    case originalDestination
}

/// The numbers of peak EWMA.
package struct PeakEWMA: Sendable, Equatable {
    /// Assumed for an endpoint that was never used.
    package var defaultTime: UInt64 = 30_000_000
    /// After this time without a sample an estimate falls to 1/e.
    package var decay: UInt64 = 10_000_000_000
    /// What a failure counts as, at least: an endpoint that fails at once must not look fast.
    package var failurePenalty: UInt64 = 1_000_000_000

    package init() {}
}

/// Endpoints that a request was already sent to: up to four slots, the last ones win.
public struct TriedEndpoints: BitwiseCopyable, Sendable {
    private var slots: (Int32, Int32, Int32, Int32) = (-1, -1, -1, -1)
    public private(set) var isEmpty = true

    public init() {}

    public mutating func insert(_ slot: Int32) {
        isEmpty = false
        slots = (slot, slots.0, slots.1, slots.2)
    }

    public func contains(_ slot: Int32) -> Bool {
        !isEmpty && (slots.0 == slot || slots.1 == slot || slots.2 == slot || slots.3 == slot)
    }
}

/// What a balancer answers.
public enum EndpointChoice: Equatable, BitwiseCopyable, Sendable {
    case endpoint(Int32)
    /// The cluster has no endpoint at all.
    case noEndpoints
    /// All endpoints are unhealthy or ejected, and the panic threshold is off.
    case allUnhealthy
    /// No endpoint has the metadata that the request asks for.
    case noSubset
}

/// How a request to an endpoint ended, as outlier detection and peak EWMA see it.
public enum EndpointResult: UInt8, BitwiseCopyable, Sendable {
    /// A complete answer below 500.
    case success
    /// A complete answer with 500, 501 or 505...599.
    case serverError
    /// A complete answer with 502, 503 or 504.
    case gatewayError
    /// Connection refused, unreachable or reset, or bytes that are no HTTP.
    case localFailure
    /// No connection, or no answer, in time.
    case localTimeout
    /// The client went away: says nothing about the endpoint.
    case cancelled
}
