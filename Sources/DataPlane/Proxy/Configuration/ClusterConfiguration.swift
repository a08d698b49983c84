import Bytes
import EnvoyAPI
import Reactor
import Synchronization
import Traffic
import Wire

/// One cluster, compiled. Immutable: an update makes a new object in the same place of the snapshot.
///
/// A worker compares `version` with the one it applied last, and takes over what changed into its own state; on the path of a
/// request it reads its own copies only, so that no reference count is shared between threads.
final class ClusterConfiguration: Sendable {
    enum Discovery: Sendable {
        /// The endpoints of `endpoints` (STATIC, EDS, and DNS types with what was resolved).
        case endpoints
        /// Dial the connection's original destination (ORIGINAL_DST).
        case originalDestination
    }

    /// Its place in `Snapshot.clusters`, the same as long as the name is known. A place may pass to another name later.
    let index: Int32
    /// Different for every name that ever stood in this place.
    let identity: UInt64
    /// Grows with every change of anything below.
    let version: UInt64
    let name: String
    /// Shared with the configured cluster, whose endpoints change more often.
    var settings: Settings { shared.wrappedValue }
    private let shared: Boxed<Settings>
    let endpoints: [EndpointConfiguration]
    /// Paths of the networks in which endpoints are dialled.
    let networks: Set<String>
    let traffic: TrafficMark
    /// What the workers have in use: the same object as long as the cluster is known.
    let usage: ClusterUsage

    /// How its numbers are named.
    var statName: String { settings.statName.isEmpty ? name : settings.statName }
    let balancing: BalancerSettings
    /// nil unless the policy goes by hashes.
    let hashTables: HashTables?

    /// What `original_dst_lb_config` says.
    struct OriginalDestination: Sendable {
        /// In lower case; nil: the connection's own destination.
        var header: [UInt8]?
        var port: UInt16 = 0
    }

    struct Settings: Sendable {
        var original: OriginalDestination?
        var discovery = Discovery.endpoints
        /// Nanoseconds, TCP (and later TLS) together.
        var connectTimeout: UInt64 = 5_000_000_000
        var policy = BalancerPolicy.roundRobin
        var outlier: OutlierSettings?
        var panicThreshold: Double = 50
        /// What of balancing does not come with the endpoints.
        var balancing = BalancerSettings()
        var weighsLocalities = false
        /// nil: routes cannot ask for some of the endpoints.
        var subsets: SubsetRules?
        /// Each element of a list in an endpoint's metadata counts as a value.
        var listsAsAny = false
        /// The consistent balancers hash the endpoints' host names in place of their addresses.
        var hashesHostnames = false
        /// Every change of the endpoints ends the connections to all of them.
        var closesOnChange = false
        /// How long a request waits for a first endpoint, from the moment when there was none; nanoseconds, 0 = not at all.
        var endpointWait: UInt64 = 0
        /// Clients stay with their endpoint until they stay away for so long; nanoseconds, 0 = they do not.
        var clientTimeout: UInt64 = 0
        /// Priorities whose breakers tell what is left.
        var tracksRemaining: Set<String> = []
        /// Each endpoint has series of its own (`track_cluster_stats`).
        var tracksEndpoints = false
        var check: HealthCheckSettings?
        /// Different for every `check` that was ever compiled.
        var checkVersion: UInt64 = 0
        /// Whether readiness waits for the first checks.
        var isAwaited = true
        var ignoresUnchecked = false
        /// Connections to an endpoint are closed when its checks fail.
        var closesUnhealthy = false
        /// An endpoint that is no longer named goes at once, whatever its checks say.
        var ignoresHealthOnRemoval = false
        /// By `Priority.rawValue`; for the whole process.
        var breakers = [Self.standardBreaker, Self.standardBreaker]
        /// Connections to one endpoint, by `Priority.rawValue`; nil: as many as the cluster has.
        var endpointConnections: [Int]?
        /// A pooled connection without a request is closed after this time; 0 = never.
        var idleTimeout: UInt64 = 3_600_000_000_000
        var speaks = EndpointProtocol.http1
        var http2 = HTTP2Options()
        /// Whole life of an upstream connection; 0 = no limit.
        var maxConnectionDuration: UInt64 = 0
        /// 0 = no limit.
        var maxRequestsPerConnection: UInt32 = 0
        var perConnectionBufferLimit = 1 << 20
        /// nil: endpoints are spoken to in the clear.
        var tls: TLSHolder?
        /// What endpoints are told first; nil: nothing.
        var introduction: ProxyIntroduction?
        /// Some endpoints are spoken to in another way.
        var transports: [TransportMatch] = []
        /// What of a request's host goes into TLS.
        var naming: TransportConfiguration.Naming = []
        /// Set on sockets before they connect.
        var socketOptions: [SocketOption] = []
        /// Local address to bind to before connecting, and with ORIGINAL_DST the namespace in which is dialled.
        var source: Address?
        /// Interned in `Snapshot.labels`: what the cluster says of all its endpoints.
        var labels: LabelSetIndex = 0
        /// Names its numbers in place of its own name (`alt_stat_name`).
        var statName = ""

        init() {}

        /// Envoy's limits, but retries by a budget: a fixed number of them is too few under load and too many without.
        static var standardBreaker: BreakerLimits {
            var limits = BreakerLimits()
            limits.budget = RetryBudget()
            return limits
        }
    }

    init(
        index: Int32,
        identity: UInt64,
        version: UInt64,
        name: String,
        settings shared: Boxed<Settings>,
        endpoints: [EndpointConfiguration],
        traffic: TrafficMark = TrafficMark(),
        usage: ClusterUsage = ClusterUsage(),
        balancing: BalancerSettings? = nil
    ) {
        self.index = index
        self.identity = identity
        self.version = version
        self.name = name
        self.shared = shared
        let settings = shared.wrappedValue
        self.endpoints = endpoints
        networks = Set(endpoints.lazy.compactMap(\.address.namespacePath))
        self.traffic = traffic
        self.usage = usage
        self.balancing = balancing ?? settings.balancing
        if case .hash(let hash) = settings.policy {
            let keys = endpoints.map {
                $0.hashKey ?? (settings.hashesHostnames ? $0.hostname ?? $0.display : $0.display)
            }
            hashTables = HashTables(settings: hash, keys: keys)
        } else {
            hashTables = nil
        }
    }

    /// What an `EndpointSet` wants to know.
    var specs: [EndpointSpec] {
        endpoints.map { endpoint in
            var spec = EndpointSpec(
                id: endpoint.identity,
                weight: endpoint.weight,
                priority: endpoint.priority,
                isHealthy: endpoint.health.isUsable,
                isDegraded: endpoint.health == .degraded,
                locality: endpoint.locality
            )
            spec.isChecked = endpoint.check != nil && settings.check != nil
            return spec
        }
    }
}

/// What all workers together have in use of a cluster, by `Priority.rawValue`.
final class ClusterUsage: Sendable {
    /// Safety: the counts are atomic; the memory is this object's.
    nonisolated(unsafe) let counts: UnsafeMutablePointer<BreakerCounts>
    /// Which endpoint each client stays with.
    let clients = Lock(ClientTable())
    /// By the identity of an endpoint, where the cluster has limits for each.
    private let endpoints = Lock<[UInt64: EndpointUsage]>([:])

    init() {
        counts = .allocate(capacity: 2)
        for place in 0..<2 { (counts + place).initialize(to: BreakerCounts()) }
    }

    /// Gives endpoints what is in use of them; that of others is forgotten.
    func share(with configured: inout [EndpointConfiguration]) {
        endpoints.withLock { known in
            var kept: [UInt64: EndpointUsage] = [:]
            for index in configured.indices {
                let usage = known[configured[index].identity] ?? EndpointUsage()
                kept[configured[index].identity] = usage
                configured[index].usage = usage
            }
            known = kept
        }
    }

    deinit {
        counts.deinitialize(count: 2)
        counts.deallocate()
    }
}

/// What all workers together have in use of an endpoint.
final class EndpointUsage: Sendable {
    private let connections = Atomic<Int>(0)
    var open: Int { connections.load(ordering: .relaxed) }

    func add(_ change: Int) { connections.wrappingAdd(change, ordering: .relaxed) }
}

/// One endpoint of a cluster.
struct EndpointConfiguration: Sendable {
    enum Health: UInt8, Sendable {
        case unknown, healthy, unhealthy, draining, timeout, degraded

        var isUsable: Bool { self == .unknown || self == .healthy || self == .degraded }
    }

    /// The same for the same address and namespace in the same cluster, over all updates; never 0.
    var identity: UInt64
    var address: Address
    var weight: UInt32 = 1
    var priority: UInt8 = 0
    var health = Health.unknown
    /// Where it is checked; nil: not at all.
    var check: CheckTarget?
    /// The configuration does not name it any more, and it stays until its checks fail.
    var isLeaving = false
    /// Index into the weights of the localities.
    var locality: UInt16 = 0
    /// Its metadata say `envoy.lb: {hash_key: ...}`.
    var hashKey: String?
    /// For `auto_host_rewrite`.
    var hostname: String?
    /// Its metadata say `envoy.lb: {canary: true}`.
    var isCanary = false
    /// The cluster's and the endpoint's labels together; what edges are counted by.
    var labels: LabelSetIndex = 0
    /// What the cluster's subsets ask of it.
    var traits: EndpointTraits = [:]
    /// nil: it has no limits of its own.
    var usage: EndpointUsage?
    /// nil: as the cluster says.
    var transport: TransportConfiguration?
    /// `address:port`, as logs and `/clusters` show it.
    var display: String
}

/// How endpoints are spoken to whose metadata hold all of these fields under `envoy.transport_socket_match`.
struct TransportMatch: Sendable {
    var fields: Fields
    var transport: TransportConfiguration

    static let section = "envoy.transport_socket_match"

    func accepts(_ metadata: Envoy.Metadata?) -> Bool {
        let own = metadata?.filterMetadata[Self.section]?.fields
        return fields.allSatisfy { name, value in own?[name] == value }
    }
}
