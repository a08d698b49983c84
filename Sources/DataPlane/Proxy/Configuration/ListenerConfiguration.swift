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
    /// Whether server names lead to chains with different rules about who may connect.
    let hasSeveralTLSRules: Bool

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
        /// Look for TLS in the first bytes (listener filter `tls_inspector`, or a chain that asks for what it finds).
        var inspectsTLS = false
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
        hasSeveralTLSRules =
            settings.inspectsTLS && Self.haveSeveralTLSRules(chains + [defaultChain].compactMap { $0 })
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
    /// nil: the inspector did not look, or found no TLS.
    var hello: ClientHello?
}

/// An application protocol as found in a connection's first bytes.
enum ApplicationProtocol: UInt8, Sendable, BitwiseCopyable {
    case unknown, http10, http11, http2

    var mask: UInt8 { self == .unknown ? 0 : 1 << (rawValue - 1) }
}

extension ListenerConfiguration {
    /// The chain for a connection: the first whose match holds, most specific first, else the default chain.
    func chain(for facts: ConnectionFacts) -> FilterChainConfiguration? {
        if settings.inspectsTLS { return mostSpecificChain(for: facts) ?? defaultChain }
        for chain in chains where chain.match.accepts(facts) { return chain }
        return defaultChain
    }

    /// Where server names count: among the chains that hold, destination before server name before everything else, and of two
    /// equal ones the first.
    private func mostSpecificChain(for facts: ConnectionFacts) -> FilterChainConfiguration? {
        var best: FilterChainConfiguration?
        var bestRank = (-1, -1, -1)
        for chain in chains where chain.match.accepts(facts) {
            let rank = (
                chain.match.destinationRank, chain.match.nameRank(facts.hello?.serverName), chain.match.otherRank
            )
            if rank > bestRank { (best, bestRank) = (chain, rank) }
        }
        return best
    }

    /// Whether any chain asks for the application protocol: else there is nothing to wait for.
    var needsApplicationProtocol: Bool { settings.inspectsHTTP && chains.contains { $0.match.applications != 0 } }

    /// Whether any chain asks for what the client's first TLS message says.
    var needsTLSInspection: Bool {
        settings.inspectsTLS && chains.contains { $0.match.needsTLSInspection || $0.match.applications != 0 }
    }

    fileprivate static func haveSeveralTLSRules(_ chains: [FilterChainConfiguration]) -> Bool {
        guard let first = chains.first(where: { $0.tls != nil })?.tls else { return false }
        return chains.contains { !first.isAsStrict(as: $0.tls) }
    }

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
    /// Further protocols that a client may offer in its TLS hello.
    var protocols: [[UInt8]] = []
    /// Lower case; `*.example.com` stands for every name below.
    var serverNames: [String] = []
    var transport = Transport.any
    /// Only connections from this machine (`SAME_IP_OR_LOOPBACK`), or only others (`EXTERNAL`); nil = all.
    var isFromThisHost: Bool?

    init() {}

    func accepts(_ facts: ConnectionFacts) -> Bool {
        if let destinationPort, destinationPort != facts.destinationPort { return false }
        if !destinations.isEmpty, !destinations.contains(where: { $0.contains(facts.destination) }) { return false }
        guard acceptsApplication(facts), acceptsTLS(facts) else { return false }
        if let isFromThisHost {
            let same = facts.source.isLoopback || facts.source == facts.destination
            if same != isFromThisHost { return false }
        }
        if !sources.isEmpty, !sources.contains(where: { $0.contains(facts.source) }) { return false }
        return sourcePorts.isEmpty || sourcePorts.contains(facts.sourcePort)
    }

    enum Transport: UInt8, Sendable { case any, raw, tls }

    /// Whether the choice needs the first message of TLS.
    var needsTLSInspection: Bool { !serverNames.isEmpty || transport != .any || !protocols.isEmpty }

    private func acceptsApplication(_ facts: ConnectionFacts) -> Bool {
        guard applications != 0 || !protocols.isEmpty else { return true }
        if applications & facts.application.mask != 0 { return true }
        return facts.hello?.protocols.contains { offered in
            protocols.contains(offered) || applications & (ApplicationProtocol(offered)?.mask ?? 0) != 0
        } ?? false
    }

    private func acceptsTLS(_ facts: ConnectionFacts) -> Bool {
        switch transport {
        case .any: break
        case .raw: if facts.hello != nil { return false }
        case .tls: if facts.hello == nil { return false }
        }
        return serverNames.isEmpty || nameRank(facts.hello?.serverName) > 0
    }

    /// 0: no name of the chain holds; else the more, the more of it stands there.
    func nameRank(_ name: String?) -> Int {
        guard let name else { return 0 }
        var rank = 0
        for pattern in serverNames {
            if pattern == name { return 1 << 20 }
            if pattern.hasPrefix("*"), name.utf8.count >= pattern.utf8.count, name.hasSuffix(pattern.dropFirst()) {
                rank = max(rank, pattern.utf8.count)
            }
        }
        return rank
    }

    var destinationRank: Int {
        (destinationPort == nil ? 0 : 1 << 10) + (destinations.map { Int($0.prefixLength) + 1 }.max() ?? 0)
    }

    var otherRank: Int {
        var rank = transport == .any ? 0 : 1 << 12
        if applications != 0 || !protocols.isEmpty { rank += 1 << 11 }
        if isFromThisHost != nil { rank += 1 << 10 }
        rank += (sources.map { Int($0.prefixLength) + 1 }.max() ?? 0) << 1
        return rank + (sourcePorts.isEmpty ? 0 : 1)
    }
}

extension ApplicationProtocol {
    /// From a name that a client offers in its TLS hello.
    init?(_ offered: [UInt8]) {
        if offered.elementsEqual("http/1.1".utf8) {
            self = .http11
        } else if offered.elementsEqual("http/1.0".utf8) {
            self = .http10
        } else if offered.elementsEqual("h2".utf8) {
            self = .http2
        } else {
            return nil
        }
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
    /// nil: bytes are taken as they are.
    let tls: TLSHolder?
    /// For the TLS handshake, nanoseconds; 0 = no limit.
    let handshakeTimeout: UInt64

    init(
        name: String,
        match: ChainMatch,
        filter: Filter,
        tls: TLSHolder? = nil,
        handshakeTimeout: UInt64 = 15_000_000_000
    ) {
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
