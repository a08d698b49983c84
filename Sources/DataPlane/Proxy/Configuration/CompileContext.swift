import EnvoyAPI
import Telemetry
import Traffic

/// What compiling one resource needs of the rest of the configuration, and the problems that it finds.
///
/// Names become places here; a place that was handed out stays with its name until nobody uses it any more.
final class CompileContext {
    /// `path: what is wrong`, in the order of finding.
    private(set) var problems: [String] = []
    /// Clusters that the resource under compilation names.
    private(set) var referencedClusters: Set<Int32> = []
    /// Secrets of control planes that it names, with how long each is waited for.
    private(set) var referencedSecrets: [ResourceKey: UInt64] = [:]
    let clusters: PlaceBook
    let routeTables: PlaceBook
    let labels: Interner<LabelSet>
    let accessLogs: AccessLogBook
    /// Under which numbers routes' requests are counted.
    let series = RouteSeries()
    let tls = TLSBook()
    /// Names of HTTP filters, by which routes speak of them.
    let filterNames = Interner<String>(first: "")
    let filterStats = FilterStatBook()
    let listenerLimits = ListenerLimitBook()
    let gradients = GradientBook()
    let tracers = TracerBook()
    /// A filter asks for clusters when requests want them: names may be of clusters that are not there yet.
    var hasClustersOnDemand = false
    /// Of the listener under compilation.
    var isOutbound = false
    var listenerMetadata: Envoy.Metadata?
    /// The bootstrap's.
    var secrets = StaticSecrets()
    let servers = DiscoveryServers()
    /// The bootstrap's clusters, and which of them speak HTTP/2.
    var fixedClusters: [String: Bool] = [:]
    /// What the bootstrap's runtime layers say.
    var runtime = RuntimeValues()
    /// The service cluster that the node belongs to, as the bootstrap says.
    var nodeCluster = ""
    /// Whether there is a cluster with a name at present.
    var isDefined: (String) -> Bool = { _ in true }
    private var path: [String] = []

    /// More problems than this help nobody.
    private static let problemLimit = 100

    init(clusters: PlaceBook, routeTables: PlaceBook, labels: Interner<LabelSet>, accessLogs: AccessLogBook) {
        self.clusters = clusters
        self.routeTables = routeTables
        self.labels = labels
        self.accessLogs = accessLogs
    }

    var isSound: Bool { problems.isEmpty }

    /// Reports a problem at the present place. A message that begins with the name of a field and `: ` is about that field.
    func report(_ message: String) {
        guard problems.count < Self.problemLimit else { return }
        let place = path.joined()
        guard !place.isEmpty else {
            problems.append(message)
            return
        }
        let field = message.utf8.prefix { $0 != 0x3A }
        let isNamed = field.allSatisfy {
            ($0 >= 0x61 && $0 <= 0x7A) || ($0 >= 0x30 && $0 <= 0x39) || $0 == 0x5F || $0 == 0x2E
        }
        problems.append(isNamed && field.count < message.utf8.count ? "\(place).\(message)" : "\(place): \(message)")
    }

    /// Works on a field, an element or a key: problems found meanwhile carry its name.
    func at<Result>(_ step: String, _ work: () -> Result) -> Result {
        path.append(path.isEmpty || step.hasPrefix("[") ? step : ".\(step)")
        defer { path.removeLast() }
        return work()
    }

    /// Works on each element of a list.
    func each<Element, Result>(_ step: String, _ elements: [Element], _ work: (Element) -> Result) -> [Result] {
        elements.enumerated().map { index, element in at("\(step)[\(index)]") { work(element) } }
    }

    /// The place of a cluster, whether or not it exists yet.
    func cluster(_ name: String) -> Int32 {
        let place = clusters.place(of: name)
        referencedClusters.insert(place)
        return place
    }

    func refer(toSecret key: ResourceKey, wait: UInt64) { referencedSecrets[key] = wait }

    /// Begins the next resource.
    func reset() {
        problems = []
        referencedClusters = []
        referencedSecrets = [:]
        path = []
    }
}

/// Values that are known by a number from their first use on. Numbers are never taken back: only for few, small values.
final class Interner<Value: Hashable> {
    private(set) var values: [Value]
    private var places: [Value: Int32]

    /// - Parameter first: gets the number 0.
    init(first: Value) {
        values = [first]
        places = [first: 0]
    }

    func number(of value: Value) -> Int32 {
        if let known = places[value] { return known }
        let number = Int32(values.count)
        places[value] = number
        values.append(value)
        return number
    }
}

/// The places of names in an array of the snapshot.
///
/// A place whose name is given up is not used again for a quarter of an hour: a request that was routed by an older snapshot
/// may still look there for its retry, and must find nothing rather than another name's endpoints.
final class PlaceBook {
    private static let quarantine: UInt64 = 900_000_000_000

    private var places: [String: Int32] = [:]
    private var identities: [UInt64] = []
    private var free: [(place: Int32, since: UInt64)] = []
    private var nextIdentity: UInt64 = 1
    /// The wall clock, set by the owner before it works.
    var now: UInt64 = 0

    var count: Int { identities.count }
    var names: some Collection<String> { places.keys }

    func place(of name: String) -> Int32 {
        if let known = places[name] { return known }
        let place: Int32
        if let oldest = free.first, now >= oldest.since &+ Self.quarantine {
            place = oldest.place
            free.removeFirst()
        } else {
            place = Int32(identities.count)
            identities.append(0)
        }
        identities[Int(place)] = nextIdentity
        nextIdentity += 1
        places[name] = place
        return place
    }

    func known(_ name: String) -> Int32? { places[name] }

    /// The number of the name that stands in a place: different for every name that ever stood there.
    func identity(_ place: Int32) -> UInt64 { identities.indices.contains(Int(place)) ? identities[Int(place)] : 0 }

    /// Gives up a name.
    func remove(_ name: String) {
        guard let place = places.removeValue(forKey: name) else { return }
        free.append((place, now))
    }
}

/// The access logs of the configuration by number: equal ones share one. Numbers are never taken back.
final class AccessLogBook {
    private(set) var logs: [AccessLogConfiguration] = []

    func number(
        _ sink: AccessLogConfiguration.Sink,
        _ format: AccessLogFormat,
        _ filter: AccessLogFilter?,
        span: SpanShape? = nil
    ) -> AccessLogIndex {
        let known = logs.firstIndex {
            $0.sink == sink && $0.format == format && $0.filter?.source == filter?.source && $0.span == span
        }
        if let known { return AccessLogIndex(known) }
        logs.append(AccessLogConfiguration(sink: sink, format: format, filter: filter, span: span))
        return AccessLogIndex(logs.count - 1)
    }
}

/// A duration of the API in nanoseconds; negative ones count as 0, and those beyond 100 years as that.
func nanoseconds(_ duration: Duration) -> UInt64 {
    let (seconds, attoseconds) = duration.components
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    return UInt64(min(seconds, 3_153_600_000)) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
}

func nanoseconds(_ duration: Duration?) -> UInt64? { duration.map { nanoseconds($0) } }
