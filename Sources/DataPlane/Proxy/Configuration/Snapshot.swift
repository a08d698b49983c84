import Telemetry
import Traffic

/// Index of an interned label set; 0 is the empty one.
typealias LabelSetIndex = Int32
/// Index of an access log in `Snapshot.accessLogs`.
typealias AccessLogIndex = Int32

/// The whole configuration as the workers read it: immutable, shared, replaced as one.
///
/// Things name one another by index. An index belongs to a name as long as the name is in use anywhere, so that a worker may
/// keep its own state in arrays of the same shape. A worker holds each snapshot (a strong reference) until the last stream
/// that reads one of its routes is over, and takes pointers into route tables only from a snapshot that it holds.
final class Snapshot: Sendable {
    /// 1, 2, 3 ...: what `ControlEvent.applied` reports.
    let generation: UInt64
    /// nil = the place is free.
    let listeners: [ListenerConfiguration?]
    let clusters: [ClusterConfiguration?]
    /// nil = named by a listener, but not there yet.
    let routeTables: [RouteTable?]
    let labels: [LabelSet]
    let accessLogs: [AccessLogConfiguration]
    let limits: ProcessLimits
    /// What the numbers of routes' series mean.
    let routeStamps: SeriesStamps
    let countedStamps: SeriesStamps
    /// `routeTables`' views side by side: the hot path reads these plain values without touching a reference count.
    let routeViews: RouteViews
    fileprivate let handOver: HandOverTable
    fileprivate let clusterNames: [String: Int32]

    init(
        generation: UInt64,
        listeners: [ListenerConfiguration?],
        clusters: [ClusterConfiguration?],
        routeTables: [RouteTable?],
        labels: [LabelSet],
        accessLogs: [AccessLogConfiguration],
        limits: ProcessLimits,
        routeStamps: SeriesStamps = SeriesStamps(),
        countedStamps: SeriesStamps = SeriesStamps(),
        unchanged: Unchanged? = nil
    ) {
        self.generation = generation
        self.listeners = listeners
        self.clusters = clusters
        self.routeTables = routeTables
        self.labels = labels
        self.accessLogs = accessLogs
        self.limits = limits
        self.routeStamps = routeStamps
        self.countedStamps = countedStamps
        routeViews = unchanged?.routeViews ?? RouteViews(routeTables)
        handOver = unchanged?.handOver ?? HandOverTable(listeners)
        if let names = unchanged?.clusterNames {
            clusterNames = names
        } else {
            var names: [String: Int32] = [:]
            for case let cluster? in clusters { names[cluster.name] = cluster.index }
            clusterNames = names
        }
    }

    /// Indexes of an earlier snapshot that still hold: most updates change endpoints only.
    struct Unchanged {
        fileprivate var routeViews: RouteViews?
        fileprivate var handOver: HandOverTable?
        fileprivate var clusterNames: [String: Int32]?

        init(since snapshot: Snapshot, routeTables: Bool, listeners: Bool, clusterNames: Bool) {
            routeViews = routeTables ? snapshot.routeViews : nil
            handOver = listeners ? snapshot.handOver : nil
            self.clusterNames = clusterNames ? snapshot.clusterNames : nil
        }
    }

    /// The listener that a connection meant for this address is handed to: the exact address and port, else the address
    /// with any port (a listener on port 0), else the wildcard address with the port. Only listeners that do not bind, and
    /// those that do with the same address, count.
    func listener(forDestination address: IPKey, port: UInt16) -> Int32? {
        handOver.find(address, port)
    }

    /// The index of a cluster by name: for `cluster_header`; hashes a string, so not for every request.
    func clusterIndex(named name: String) -> Int32? { clusterNames[name] }
}

/// Limits of the process.
struct ProcessLimits: Sendable, Equatable {
    /// Downstream connections of all listeners together; 0 = no limit.
    var maxDownstreamConnections = 0
    /// Requests that wait longer in a worker, again and again, are refused; nanoseconds, 0 = none.
    var longestWait: UInt64 = 0
    /// From SIGTERM until connections are cut, nanoseconds.
    var drainTime: UInt64 = 10_000_000_000
    /// Connections are told to end one after another over that time.
    var drainsGradually = false

    init() {}
}

/// The views of all route tables as an array of plain values.
///
/// Safety: `views` is filled in `init`, never changed, and freed in `deinit`; the tables that the views lead into are held by
/// `tables`.
final class RouteViews: @unchecked Sendable {
    private let tables: [RouteTable?]
    private let views: UnsafeMutablePointer<RouteTableView?>
    let count: Int

    init(_ tables: [RouteTable?]) {
        self.tables = tables
        count = tables.count
        views = .allocate(capacity: max(1, tables.count))
        for (index, table) in tables.enumerated() { (views + index).initialize(to: table?.view) }
    }

    deinit { views.deallocate() }

    /// The table's view, or nil when there is no such table (yet).
    subscript(index: Int32) -> RouteTableView? {
        guard index >= 0, Int(index) < count else { return nil }
        return views[Int(index)]
    }
}

/// Original destination -> listener: open addressing over plain values.
struct HandOverTable: Sendable {
    private struct Entry: Sendable, BitwiseCopyable {
        var address = IPKey(high: 0, low: 0)
        var port: UInt16 = 0
        var listener: Int32 = -1
    }
    private var entries: [Entry] = []

    init(_ listeners: [ListenerConfiguration?]) {
        var wanted: [Entry] = []
        for case let listener? in listeners {
            for address in listener.socket.addresses {
                // A listener in another namespace than the proxy's is met by its own connections only.
                guard let key = address.key, !listener.socket.bindsToPort || address.namespacePath == nil else {
                    continue
                }
                wanted.append(Entry(address: key, port: address.port, listener: listener.index))
            }
        }
        guard !wanted.isEmpty else { return }
        var size = 8
        while size < wanted.count * 2 { size *= 2 }
        entries = [Entry](repeating: Entry(), count: size)
        for entry in wanted {
            var place = Self.hash(entry.address, entry.port) & (size - 1)
            while entries[place].listener >= 0 { place = (place + 1) & (size - 1) }
            entries[place] = entry
        }
    }

    func find(_ address: IPKey, _ port: UInt16) -> Int32? {
        if let exact = look(address, port) { return exact }
        if let anyPort = look(address, 0) { return anyPort }
        let wildcard = address.isIPv4 ? IPKey(ipv4: 0) : IPKey(high: 0, low: 0)
        return look(wildcard, port)
    }

    private func look(_ address: IPKey, _ port: UInt16) -> Int32? {
        guard !entries.isEmpty else { return nil }
        var place = Self.hash(address, port) & (entries.count - 1)
        while entries[place].listener >= 0 {
            if entries[place].port == port, entries[place].address == address { return entries[place].listener }
            place = (place + 1) & (entries.count - 1)
        }
        return nil
    }

    private static func hash(_ address: IPKey, _ port: UInt16) -> Int {
        var mixed = (address.high &* 0x9E37_79B9_7F4A_7C15) ^ address.low ^ (UInt64(port) << 40)
        mixed = (mixed ^ (mixed >> 31)) &* 0xBF58_476D_1CE4_E5B9
        return Int(truncatingIfNeeded: (mixed ^ (mixed >> 29)) & 0x7FFF_FFFF_FFFF_FFFF)
    }
}
