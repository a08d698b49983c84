import Telemetry

/// What happens to the connections and tries of a cluster; `/stats` has each under its name in Envoy's form.
enum ClusterCounter: Int, CaseIterable, Sendable {
    case upstreamCxHttp1Total, upstreamCxHttp2Total
    case upstreamCxConnectTimeout, upstreamCxConnectAttemptsExceeded, upstreamCxOverflow
    case upstreamCxDestroy, upstreamCxDestroyLocal, upstreamCxDestroyRemote
    case upstreamCxDestroyWithActiveRq, upstreamCxDestroyLocalWithActiveRq, upstreamCxDestroyRemoteWithActiveRq
    case upstreamCxIdleTimeout, upstreamCxMaxDurationReached, upstreamCxMaxRequests
    case upstreamRqPendingTotal, upstreamRqPendingOverflow, upstreamRqTimeout
    case upstreamRqPerTryTimeout, upstreamRqPerTryIdleTimeout
    case upstreamRqRetrySuccess, upstreamRqRetryOverflow
    case upstreamRqRetryBackoffExponential, upstreamRqRetryBackoffRatelimited
    case upstreamRqTxReset, retryOrShadowAbandoned
    case upstreamInternalRedirectSucceededTotal, upstreamInternalRedirectFailedTotal
    case membershipChange

    static let names = allCases.map { StatsPage.snakeCase("\($0)") }
}

/// What happens to the connections and requests of clients, by `stat_prefix` of their connection manager.
enum ClientCounter: Int, CaseIterable, Sendable {
    case downstreamCxTotal, downstreamCxHttp1Total, downstreamCxSslTotal, downstreamCxUpgradesTotal
    case downstreamCxDestroy, downstreamCxDestroyLocal, downstreamCxDestroyRemote
    case downstreamCxDestroyActiveRq, downstreamCxDestroyLocalActiveRq, downstreamCxDestroyRemoteActiveRq
    case downstreamCxIdleTimeout, downstreamCxMaxDurationReached, downstreamCxMaxRequestsReached
    case downstreamCxDelayedCloseTimeout, downstreamCxDrainClose
    case downstreamRqTimeout, downstreamRqHeaderTimeout, downstreamRqTxReset
    case downstreamRqFailedPathNormalization, downstreamRqRedirectedWithNormalizedPath
    case downstreamRqResponseBeforeRqComplete, downstreamRqWsOnNonWsRoute
    case rqDirectResponse

    static let names = allCases.map { StatsPage.snakeCase("\($0)") }
}

/// Answers by their exact status.
struct StatusCounts: BitwiseCopyable, Sendable {
    private(set) var codes: InlineArray<16, UInt16> = .init(repeating: 0)
    private(set) var counts: InlineArray<16, UInt64> = .init(repeating: 0)

    /// More different ones than sixteen are not counted apart.
    mutating func count(_ status: UInt16, _ amount: UInt64 = 1) {
        if codes[0] == status {
            counts[0] &+= amount
            return
        }
        guard status >= 100, status < 600 else { return }
        for index in 0..<16 where codes[index] == status || codes[index] == 0 {
            codes[index] = status
            counts[index] &+= amount
            return
        }
    }

    mutating func add(_ other: StatusCounts) {
        for index in 0..<16 where other.codes[index] != 0 { count(other.codes[index], other.counts[index]) }
    }

    /// By status.
    var all: [(code: UInt16, count: UInt64)] {
        (0..<16).filter { codes[$0] != 0 }.map { (codes[$0], counts[$0]) }.sorted { $0.0 < $1.0 }
    }
}

/// What a worker counts of one cluster beside its answers. Made when the first of it happens.
struct ClusterTally: BitwiseCopyable, Sendable {
    private(set) var counts: InlineArray<32, UInt64> = .init(repeating: 0)
    var lengths = SpanHistogram()
    var connects = SpanHistogram()
    var statuses = StatusCounts()
    /// Those of requests of the house.
    var internalStatuses = StatusCounts()

    subscript(_ counter: ClusterCounter) -> UInt64 { counts[counter.rawValue] }
    mutating func count(_ counter: ClusterCounter) { counts[counter.rawValue] &+= 1 }
    mutating func count(_ counter: ClusterCounter, times: UInt64) { counts[counter.rawValue] &+= times }

    mutating func add(_ other: ClusterTally) {
        for index in 0..<32 { counts[index] &+= other.counts[index] }
        lengths.add(other.lengths)
        connects.add(other.connects)
        statuses.add(other.statuses)
        internalStatuses.add(other.internalStatuses)
    }
}

/// What a worker counts of the clients of one `stat_prefix`, and how many there are at present.
struct ClientTally: BitwiseCopyable, Sendable {
    private(set) var counts: InlineArray<32, UInt64> = .init(repeating: 0)
    var lengths = SpanHistogram()
    // Filled in for reports.
    var active: Int64 = 0
    var activeHTTP1: Int64 = 0
    var activeTLS: Int64 = 0
    var activeUpgrades: Int64 = 0
    var activeRequests: Int64 = 0

    subscript(_ counter: ClientCounter) -> UInt64 { counts[counter.rawValue] }
    mutating func count(_ counter: ClientCounter) { counts[counter.rawValue] &+= 1 }

    mutating func add(_ other: ClientTally) {
        for index in 0..<32 { counts[index] &+= other.counts[index] }
        lengths.add(other.lengths)
        active += other.active
        activeHTTP1 += other.activeHTTP1
        activeTLS += other.activeTLS
        activeUpgrades += other.activeUpgrades
        activeRequests += other.activeRequests
    }
}

/// What a worker counts of relayed connections of one `stat_prefix`.
struct RelayTally: Sendable {
    var total: UInt64 = 0
    var noRoute: UInt64 = 0
    var received: UInt64 = 0
    var sent: UInt64 = 0
    var idleTimeouts: UInt64 = 0
    var durationTimeouts: UInt64 = 0

    mutating func add(_ other: RelayTally) {
        total &+= other.total
        noRoute &+= other.noRoute
        received &+= other.received
        sent &+= other.sent
        idleTimeouts &+= other.idleTimeouts
        durationTimeouts &+= other.durationTimeouts
    }
}

/// What a worker counts of the connections of one listener, beside their number.
struct ListenerTally: Sendable {
    var lengths = SpanHistogram()
    var noChain: UInt64 = 0
    /// Refused by the limit of all listeners.
    var refused: UInt64 = 0
    /// Connections whose chain is not known yet.
    var undecided: Int64 = 0
    var undecidedTimeouts: UInt64 = 0
    var handshakeTimeouts: UInt64 = 0
    /// Refused by the limit of the listener.
    var limited: UInt64 = 0

    mutating func add(_ other: ListenerTally) {
        lengths.add(other.lengths)
        noChain &+= other.noChain
        refused &+= other.refused
        undecided += other.undecided
        undecidedTimeouts &+= other.undecidedTimeouts
        handshakeTimeouts &+= other.handshakeTimeouts
        limited &+= other.limited
    }
}

/// What is counted of some routes' requests: of those with a `stat_prefix`, and of virtual clusters.
struct RouteTally: Sendable {
    var numbers = AnswerNumbers()
    var statuses = StatusCounts()
    var total: UInt64 = 0
    var retries: UInt64 = 0
    var retriesSucceeded: UInt64 = 0
    var timeouts: UInt64 = 0

    mutating func add(_ other: RouteTally) {
        numbers.add(other.numbers)
        statuses.add(other.statuses)
        total &+= other.total
        retries &+= other.retries
        retriesSucceeded &+= other.retriesSucceeded
        timeouts &+= other.timeouts
    }
}
