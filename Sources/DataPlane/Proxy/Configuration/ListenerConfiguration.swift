import Traffic

/// One listener, compiled. Immutable.
final class ListenerConfiguration: Sendable {
    /// Its place in `Snapshot.listeners`, the same as long as the name is known.
    let index: Int32
    let identity: UInt64
    /// Grows with every change; a worker reopens the socket only when `socket` differs.
    let version: UInt64
    let name: String
    let socket: Socket
    let settings: Settings
    let chains: [FilterChainConfiguration]
    let defaultChain: FilterChainConfiguration?

    /// What makes up the listening sockets: while this stays equal they stay open.
    struct Socket: Sendable, Equatable {
        var addresses: [Address] = []
        /// False: no socket; only connections handed over by original destination arrive here.
        var bindsToPort = true
        var backlog: Int32 = 4096
        var reusesPort = true
        var isTransparent = false
        var freebind = false
    }

    struct Settings: Sendable {
        /// Hand connections to the listener of their original destination.
        var usesOriginalDestination = false
        /// Read SO_ORIGINAL_DST on accept (listener filter `original_dst`).
        var readsOriginalDestination = false
        /// Look for HTTP in the first bytes (listener filter `http_inspector`).
        var inspectsHTTP = false
        /// The PROXY protocol is demanded (listener filter `proxy_protocol`).
        var proxyProtocol: ProxyProtocolRule?
        /// Time for the listener filters, nanoseconds; 0 = none.
        var filtersTimeout: UInt64 = 15_000_000_000
        /// When it runs out, go on with what is known; false: close.
        var continuesOnFiltersTimeout = false
        var perConnectionBufferLimit = 1 << 20
        /// 0 = no limit.
        var maxConnections: UInt32 = 0
        /// The caller's labels; 0 = none. A listener reached by hand-over keeps the labels of the one that accepted.
        var callerLabels: LabelSetIndex = 0
        var accessLogs: [AccessLogIndex] = []
        /// `traffic_direction` OUTBOUND or INBOUND; shown only.
        var direction = Direction.unspecified

        init() {}
    }

    enum Direction: String, Sendable { case unspecified = "UNSPECIFIED", inbound = "INBOUND", outbound = "OUTBOUND" }

    init(
        index: Int32,
        identity: UInt64,
        version: UInt64,
        name: String,
        socket: Socket,
        settings: Settings,
        chains: [FilterChainConfiguration],
        defaultChain: FilterChainConfiguration?
    ) {
        self.index = index
        self.identity = identity
        self.version = version
        self.name = name
        self.socket = socket
        self.settings = settings
        self.chains = chains
        self.defaultChain = defaultChain
    }
}

/// What is known of a connection when its filter chain is chosen.
struct ConnectionFacts {
    /// Original destination where it is known, else the local address.
    var destination: IPKey
    var destinationPort: UInt16
    var source: IPKey
    var sourcePort: UInt16
    /// What the inspector found.
    var application = ApplicationProtocol.unknown
}

/// An application protocol as found in a connection's first bytes.
enum ApplicationProtocol: UInt8, Sendable, BitwiseCopyable {
    case unknown, http10, http11, http2

    var mask: UInt8 { self == .unknown ? 0 : 1 << (rawValue - 1) }
}

extension ListenerConfiguration {
    /// The chain for a connection: the first whose match holds, most specific first, else the default chain.
    func chain(for facts: ConnectionFacts) -> FilterChainConfiguration? {
        for chain in chains where chain.match.accepts(facts) { return chain }
        return defaultChain
    }

    /// Whether any chain asks for the application protocol: else there is nothing to wait for.
    var needsApplicationProtocol: Bool { settings.inspectsHTTP && chains.contains { $0.match.applications != 0 } }

    /// The chain that a connection gets while nothing is known of its protocol.
    func chainWithoutProtocol(for facts: ConnectionFacts) -> FilterChainConfiguration? {
        var blind = facts
        blind.application = .unknown
        return chain(for: blind)
    }
}

/// Which connections a chain takes. Empty conditions hold for all.
struct ChainMatch: Sendable {
    var destinationPort: UInt16?
    var destinations: [AddressRange] = []
    var sources: [AddressRange] = []
    var sourcePorts: [UInt16] = []
    /// Bits of `ApplicationProtocol.mask`; 0 = any.
    var applications: UInt8 = 0
    /// Only connections from this machine (`SAME_IP_OR_LOOPBACK`), or only others (`EXTERNAL`); nil = all.
    var isFromThisHost: Bool?

    init() {}

    func accepts(_ facts: ConnectionFacts) -> Bool {
        if let destinationPort, destinationPort != facts.destinationPort { return false }
        if !destinations.isEmpty, !destinations.contains(where: { $0.contains(facts.destination) }) { return false }
        if applications != 0, applications & facts.application.mask == 0 { return false }
        if let isFromThisHost {
            let same = facts.source.isLoopback || facts.source == facts.destination
            if same != isFromThisHost { return false }
        }
        if !sources.isEmpty, !sources.contains(where: { $0.contains(facts.source) }) { return false }
        return sourcePorts.isEmpty || sourcePorts.contains(facts.sourcePort)
    }
}

/// What is done with the connections of a chain.
final class FilterChainConfiguration: Sendable {
    enum Filter: Sendable {
        case http(HTTPChainConfiguration)
        case tcp(TCPChainConfiguration)
    }
    let name: String
    let match: ChainMatch
    let filter: Filter

    init(name: String, match: ChainMatch, filter: Filter) {
        self.name = name
        self.match = match
        self.filter = filter
    }
}

/// `tcp_proxy`, compiled.
final class TCPChainConfiguration: Sendable {
    let statPrefix: String
    /// Clusters and weights; one entry almost always.
    let clusters: [(cluster: Int32, weight: UInt32)]
    /// Silence in both directions that ends the connection; 0 = never.
    let idleTimeout: UInt64
    /// Tries to connect, at least 1.
    let maxConnectAttempts: UInt32
    /// Whole life; 0 = no limit.
    let maxConnectionDuration: UInt64
    let accessLogs: [AccessLogIndex]

    init(
        statPrefix: String,
        clusters: [(cluster: Int32, weight: UInt32)],
        idleTimeout: UInt64 = 3_600_000_000_000,
        maxConnectAttempts: UInt32 = 1,
        maxConnectionDuration: UInt64 = 0,
        accessLogs: [AccessLogIndex] = []
    ) {
        self.statPrefix = statPrefix
        self.clusters = clusters
        self.idleTimeout = idleTimeout
        self.maxConnectAttempts = maxConnectAttempts
        self.maxConnectionDuration = maxConnectionDuration
        self.accessLogs = accessLogs
    }

    /// The cluster for one connection.
    func cluster(random: UInt64) -> Int32 {
        guard clusters.count > 1 else { return clusters.first?.cluster ?? -1 }
        var point = random % max(1, clusters.reduce(0) { $0 + UInt64($1.weight) })
        for (cluster, weight) in clusters {
            if point < UInt64(weight) { return cluster }
            point -= UInt64(weight)
        }
        return clusters.last?.cluster ?? -1
    }
}
