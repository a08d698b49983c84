import Reactor
import TLS
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
    /// The only chain, where it takes every connection.
    let onlyChain: FilterChainConfiguration?
    /// Whether server names lead to chains with different rules about who may connect.
    let hasSeveralTLSRules: Bool

    /// What makes up the listening sockets: while this stays equal they stay open.
    struct Socket: Sendable, Equatable {
        var addresses: [Address] = []
        /// Beside each address what is set on its socket.
        var options: [[SocketOption]] = []
        /// False: no socket; only connections handed over by original destination arrive here.
        var bindsToPort = true
        var backlog: Int32 = 4096
        var reusesPort = true
    }

    struct Settings: Sendable {
        /// Hand connections to the listener of their original destination.
        var usesOriginalDestination = false
        /// Read SO_ORIGINAL_DST on accept (listener filter `original_dst`).
        var readsOriginalDestination = false
        /// Look for HTTP in the first bytes (listener filter `http_inspector`).
        var inspectsHTTP = false
        /// Look for TLS in the first bytes (listener filter `tls_inspector`, or a chain that asks for what it finds).
        var inspectsTLS = false
        /// The filter itself stands there: every client has to speak before the time of the listener's filters is over.
        var hasTLSInspector = false
        /// The PROXY protocol is demanded (listener filter `proxy_protocol`).
        var proxyProtocol: ProxyProtocolRule?
        /// Time for the listener filters, nanoseconds; 0 = none.
        var filtersTimeout: UInt64 = 15_000_000_000
        /// When it runs out, go on with what is known; false: close.
        var continuesOnFiltersTimeout = false
        var perConnectionBufferLimit = 1 << 20
        /// Connections taken per readiness of the socket.
        var accepts = Worker.Limits.accepts
        /// The limit of the process does not hold for this listener.
        var ignoresProcessLimit = false
        /// The admin's `/healthcheck/fail` leaves its connections alone.
        var drainsOnlyWhenChanged = false
        /// The caller's labels; 0 = none. A listener reached by hand-over keeps the labels of the one that accepted.
        var callerLabels: LabelSetIndex = 0
        var accessLogs: [AccessLogIndex] = []
        /// Names its numbers in place of the address.
        var statPrefix = ""
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
        onlyChain = chains.count == 1 && chains[0].match == ChainMatch() ? chains[0] : nil
        hasSeveralTLSRules =
            settings.inspectsTLS && Self.haveSeveralTLSRules(chains + [defaultChain].compactMap { $0 })
    }
}

/// What is done with the connections of a chain.
final class FilterChainConfiguration: Sendable {
    enum Filter: Sendable {
        case http(HTTPChainConfiguration)
        case tcp(TCPChainConfiguration)
        /// The same bytes for everybody, then the end.
        case text([UInt8])
        /// What comes goes back.
        case echo
    }
    let name: String
    let match: ChainMatch
    let filter: Filter
    /// nil: bytes are taken as they are.
    let tls: TLSHolder?
    /// For the TLS handshake, nanoseconds; 0 = no limit.
    let handshakeTimeout: UInt64
    /// Bounds that stand before the filter.
    let limits: [ConnectionLimit]
    /// Who is let in, once it is known who comes: behind TLS, before the first byte.
    let access: [AccessFilter]

    init(
        name: String,
        match: ChainMatch,
        filter: Filter,
        tls: TLSHolder? = nil,
        handshakeTimeout: UInt64 = 15_000_000_000,
        limits: [ConnectionLimit] = [],
        access: [AccessFilter] = []
    ) {
        self.limits = limits
        self.access = access
        self.name = name
        self.match = match
        self.filter = filter
        self.tls = tls
        self.handshakeTimeout = handshakeTimeout
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
    /// Balancers of hashes go by the client's address.
    let hashesClient: Bool
    /// The request after whose answer the endpoint relays; empty: it does so at once.
    let connectHead: [UInt8]
    let more: More

    /// What few configurations ask for. Times in nanoseconds.
    struct More: Sendable {
        /// Between tries to connect; 0 = at the next turn.
        var backoffBase: UInt64 = 0
        var backoffMost: UInt64 = 0
        /// Up to this is added to the whole life.
        var durationJitter: UInt64 = 0
        /// A line is written when the endpoint is reached, and again and again after this time; 0 = only at the end.
        var logsConnected = false
        var logInterval: UInt64 = 0
        /// What endpoints are asked for, by the place of the cluster; empty: nothing.
        var criteria: [SubsetCriteria?] = []

        /// Before the try after `tries` that failed: chance spreads those that failed together.
        func backoff(after tries: Int, random: UInt64) -> UInt64 {
            guard backoffBase > 0 else { return 0 }
            let most = min(backoffMost, backoffBase << UInt64(min(20, max(0, tries - 1))))
            return random % max(1, most)
        }
    }

    init(
        statPrefix: String,
        clusters: [(cluster: Int32, weight: UInt32)],
        idleTimeout: UInt64 = 3_600_000_000_000,
        maxConnectAttempts: UInt32 = 1,
        maxConnectionDuration: UInt64 = 0,
        accessLogs: [AccessLogIndex] = [],
        hashesClient: Bool = false,
        connectHead: [UInt8] = [],
        more: More = More()
    ) {
        self.more = more
        self.statPrefix = statPrefix
        self.clusters = clusters
        self.idleTimeout = idleTimeout
        self.maxConnectAttempts = maxConnectAttempts
        self.maxConnectionDuration = maxConnectionDuration
        self.accessLogs = accessLogs
        self.hashesClient = hashesClient
        self.connectHead = connectHead
    }

    /// The cluster for one connection, and its place among them.
    func cluster(random: UInt64) -> (cluster: Int32, place: Int) {
        guard clusters.count > 1 else { return (clusters.first?.cluster ?? -1, 0) }
        var point = random % max(1, clusters.reduce(0) { $0 + UInt64($1.weight) })
        for (place, entry) in clusters.enumerated() {
            if point < UInt64(entry.weight) { return (entry.cluster, place) }
            point -= UInt64(entry.weight)
        }
        return (clusters.last?.cluster ?? -1, max(0, clusters.count - 1))
    }
}
