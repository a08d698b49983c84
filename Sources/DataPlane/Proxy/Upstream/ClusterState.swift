import Reactor
import Traffic

/// What one worker keeps of a cluster: who may be chosen, idle connections, breakers, the queue.
///
/// Safety: lives at a fixed place, owned by one worker's thread. It outlives its configuration's end until the last
/// connection of it is closed.
struct ClusterState {
    /// Where an `Upstream` points before it is given a cluster; never read.
    nonisolated(unsafe) static let nowhere = ClusterPlace.allocate(capacity: 1)

    let identity: UInt64
    let index: Int32
    var version: UInt64
    var configuration: ClusterConfiguration
    var set: EndpointSet
    /// Beside each slot of `set` what is needed to reach it.
    var pools: UnsafeMutablePointer<EndpointPool>
    var poolCount = 0
    /// Parallel to `pools`; read when a connection is made, not per request.
    var targets: [EndpointTarget] = []
    /// By `Priority.rawValue`; their counts live as long as `configuration`.
    var normal: CircuitBreaker
    var high: CircuitBreaker
    var firstPending: Int32 = -1
    var lastPending: Int32 = -1
    /// Open connections and streams that point here.
    var users = 0
    var isRetired = false
    /// When its last endpoint went away, monotonic nanoseconds; 0 while it has some.
    var emptySince: UInt64 = 0
    var endpointWait: UInt64 = 0
    /// How long a client that stays away is remembered with its endpoint; 0: clients are not remembered.
    var clientTimeout: UInt64 = 0
    var hasChecks = false
    /// Tries that got a connection.
    var requestsTotal: UInt64 = 0
    var retriesTotal: UInt64 = 0
    var numbers = AnswerNumbers()
    /// Made on first use: `Worker.tally`.
    var tally: UnsafeMutablePointer<ClusterTally>?
    /// Updates that changed its endpoints: most clusters of many never have a tally.
    var membershipChanges: UInt64 = 0
    /// Each endpoint's answers are counted apart.
    var tracksEndpoints = false
    /// Of a million requests so many are refused, and how many were.
    var dropPerMillion: UInt32 = 0
    var droppedTotal: UInt64 = 0
    var rateLimits = RateLimitNumbers()
    /// Connections to one endpoint, of both priorities; nil: no limit.
    var endpointLimits: (normal: Int, high: Int)?
    // Plain copies for the hot path.
    var connectTimeout: UInt64
    var idleTimeout: UInt64
    var maxConnectionDuration: UInt64
    var maxRequests: UInt32
    var isOriginalDestination: Bool
    /// A header of the request names the destination.
    var readsDestination = false
    /// Stands in place of the destination's; 0: none.
    var destinationPort: UInt16 = 0
    var speaks: EndpointProtocol
    var http2: HTTP2Options
    /// This worker's connections to original destinations.
    var originals = 0
    /// The first HTTP/2 session with an original destination.
    var sessions: Int32 = -1
    var labels: Int32
    var name: ByteRun
    /// Local address to dial from, and the namespace of original destinations.
    var source: EndpointTarget
    /// nil: endpoints are spoken to in the clear.
    var tls: TLSHolder?
    /// What endpoints are told first; nil: nothing.
    var introduction: ProxyIntroduction?
    var naming: TransportConfiguration.Naming = []
    var socketOptions: [SocketOption] = []
    /// A connection serves requests of one client, or for one host, only.
    var keysConnections = false
    /// Why the last handshake failed, printable.
    var tlsFailure: [UInt8] = []
    /// Owns the bytes of `name`.
    private let arena: Arena

    init(_ configuration: ClusterConfiguration) {
        let settings = configuration.settings
        identity = configuration.identity
        index = configuration.index
        version = 0
        self.configuration = configuration
        set = EndpointSet(
            policy: settings.policy,
            outlier: settings.outlier,
            panicThreshold: settings.panicThreshold
        )
        pools = .allocate(capacity: 1)
        let counts = configuration.usage.counts
        normal = CircuitBreaker(settings.breakers[0], counts: counts)
        high = CircuitBreaker(settings.breakers[1], counts: counts + 1)
        connectTimeout = settings.connectTimeout
        idleTimeout = settings.idleTimeout
        maxConnectionDuration = settings.maxConnectionDuration
        maxRequests = settings.maxRequestsPerConnection
        isOriginalDestination = false
        speaks = settings.speaks
        http2 = settings.http2
        labels = settings.labels
        arena = Arena(blockSize: configuration.name.utf8.count)
        name = arena.copy(configuration.name)
        source = EndpointTarget()
    }

    @inline(__always)
    mutating func take(_ resource: BreakerResource, _ priority: Priority) -> Bool {
        priority == .normal ? normal.take(resource) : high.take(resource)
    }

    @inline(__always)
    mutating func giveBack(_ resource: BreakerResource, _ priority: Priority) {
        if priority == .normal { normal.giveBack(resource) } else { high.giveBack(resource) }
    }

    /// Makes `pools` as long as the set has slots; what is there stays.
    mutating func growPools(to count: Int) {
        guard count > poolCount else { return }
        let larger = UnsafeMutablePointer<EndpointPool>.allocate(capacity: max(4, count * 2))
        larger.moveInitialize(from: pools, count: poolCount)
        (larger + poolCount).initialize(repeating: EndpointPool(), count: max(4, count * 2) - poolCount)
        pools.deallocate()
        pools = larger
        poolCount = count
        while targets.count < count { targets.append(EndpointTarget()) }
    }
}

typealias ClusterPlace = UnsafeMutablePointer<ClusterState>

/// The idle connections of one endpoint, the newest on top: it is the least likely to have been closed meanwhile.
struct EndpointPool: BitwiseCopyable {
    var top: Int32 = -1
    var idle: Int32 = 0
    /// Open and connecting ones.
    var open: Int32 = 0
    var labels: Int32 = 0
    /// The first of its HTTP/2 sessions that take further streams.
    var sessions: Int32 = -1
    /// TLS agreed on HTTP/1 with it, where either would do.
    var speaksHTTP1 = false
    var address = SocketAddress()
    /// Made with its first try where each endpoint is counted apart.
    var tally: UnsafeMutablePointer<EndpointTally>?
}

/// How an endpoint is dialled.
struct EndpointTarget {
    var address = SocketAddress()
    var place: NetworkPlace?
    /// The namespace's path could not be opened: every try fails until the next configuration.
    var isUnreachable = false
    /// A Unix socket in place of an address.
    var pipe: String?
    var hostname: [UInt8] = []
    /// Its metadata say `envoy.lb: {canary: true}`.
    var isCanary = false
    /// nil: as the cluster says.
    var transport: TransportConfiguration?
    /// Where its connections are counted over all workers; nil: nowhere.
    var usage: EndpointUsage?

    var network: Socket.Network { place?.network ?? .own }
}
