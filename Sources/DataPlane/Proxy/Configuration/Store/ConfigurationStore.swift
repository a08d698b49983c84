import EnvoyAPI
import Telemetry
import Traffic
import Wire

/// The whole configuration on the main thread: what the bootstrap and the watched files say, compiled piece by piece.
///
/// A file is taken as a whole or not at all; what it does not change is not compiled again. `commit` makes the next snapshot
/// from all pieces at once, so that a batch of files becomes one swap.
final class ConfigurationStore {
    let context: CompileContext
    let listenerPlaces = PlaceBook()
    var clusters: [String: ClusterEntry] = [:]
    /// The bootstrap's, in its order.
    private(set) var fixedClusters: [String] = []
    var listeners: [String: ListenerEntry] = [:]
    var tables: [String: TableEntry] = [:]
    var files: [String: FileEntry] = [:]
    /// Paths of the two files that hold complete sets.
    private(set) var listenerFile: String?
    private(set) var clusterFile: String?
    /// By file of endpoints: the clusters that use it.
    var assignmentUsers: [String: Set<String>] = [:]
    /// By file of routes: the keys of tables in it.
    var tableUsers: [String: Set<String>] = [:]
    /// Endpoints whose checks pass, by identity.
    var health: [UInt64: CheckState] = [:]
    /// What look-ups gave.
    var resolved: [NameKey: [Address]] = [:]
    /// What the admin changed of the runtime.
    var overrides: [String: Value] = [:]
    /// Grows whenever `files` gains or loses one.
    private(set) var filesVersion = 0
    /// Files that became wanted and were not read yet.
    var wantedFiles: [String] = []
    /// What control planes gave, and what still waits for it.
    var discovered = DiscoveredState()

    var compiledClusters: [ClusterConfiguration?] = []
    var compiledListeners: [ListenerConfiguration?] = []
    var compiledTables: [RouteTable?] = []
    var changes = Changes()
    /// For pages of numbers.
    var counts = ResourceChanges()
    private(set) var limits = ProcessLimits()
    private(set) var snapshot: Snapshot
    private var nextVersion: UInt64 = 1
    /// For the process log: problems that do not stop anything.
    var onWarning: (String) -> Void = { _ in }

    /// Chooses ports for listeners on port 0; nil: they are left to each worker.
    let ports: PortReserver?

    /// What has changed since the last snapshot.
    struct Changes {
        var listeners = false
        var tables = false
        var clusters = false
        /// Clusters came or went, so that the index by name has to be made anew.
        var clusterNames = false
        var removed = false
        /// What is wanted of control planes may be something else now.
        var wishes = false
        /// Files whose contents go into the next snapshot.
        var files: Set<String> = []

        var isEmpty: Bool { !listeners && !tables && !clusters }

        /// What a snapshot does not settle.
        var remaining: Changes {
            var rest = Changes()
            rest.wishes = wishes
            return rest
        }
    }

    init(limits: ProcessLimits = ProcessLimits(), ports: PortReserver? = nil) {
        self.limits = limits
        self.ports = ports
        context = CompileContext(
            clusters: PlaceBook(),
            routeTables: PlaceBook(),
            labels: Interner(first: .empty),
            accessLogs: AccessLogBook()
        )
        snapshot = Snapshot(
            generation: 0,
            listeners: [],
            clusters: [],
            routeTables: [],
            labels: [.empty],
            accessLogs: [],
            limits: limits
        )
    }

    /// The compiler asks which clusters there are; it lives no longer than this.
    private func tellClusters() {
        context.isDefined = { [weak self] name in self?.clusters[name] != nil }
    }

    func takeVersion() -> UInt64 {
        defer { nextVersion += 1 }
        return nextVersion
    }

    /// Takes over the bootstrap: static resources, and the files that it names.
    func load(_ bootstrap: Envoy.Bootstrap) throws(ConfigurationProblems) {
        setClock()
        let fixed = bootstrap.staticResources
        fixedClusters = fixed?.clusters.map(\.name) ?? []
        tellClusters()
        context.nodeCluster = bootstrap.node?.cluster ?? ""
        var problems = loadServers(bootstrap)
        context.secrets = StaticSecrets(fixed?.secrets ?? []) { problems.append($0) }
        for monitor in bootstrap.overloadManager?.resourceMonitors ?? [] {
            guard case .downstreamConnections(let bound) = monitor.typedConfig else { continue }
            let most = Int(clamping: bound.maxActiveDownstreamConnections)
            if limits.maxDownstreamConnections > 0, most > limits.maxDownstreamConnections {
                onWarning(
                    "overload_manager: \(most) connections need more descriptors than the process has; the bound is "
                        + "\(limits.maxDownstreamConnections). Raise the limit of open files (ulimit -n)"
                )
            } else {
                limits.maxDownstreamConnections = most
            }
        }
        if let most = context.runtime.number(RuntimeKey.connections), bootstrap.overloadManager == nil {
            limits.maxDownstreamConnections =
                limits.maxDownstreamConnections > 0
                ? min(limits.maxDownstreamConnections, Int(clamping: most)) : Int(clamping: most)
        }
        warnOfRuntime()
        do {
            try setClusters(fixed?.clusters ?? [], origin: .bootstrap, step: "static_resources.clusters")
        } catch { problems += error.lines }
        do {
            try setListeners(fixed?.listeners ?? [], origin: .bootstrap, step: "static_resources.listeners")
        } catch { problems += error.lines }
        // Routes of a control plane name clusters that come later.
        if bootstrap.dynamicResources?.cdsConfig == nil, !context.hasClustersOnDemand { problems += missingClusters() }
        guard problems.isEmpty else { throw ConfigurationProblems(lines: problems) }
        clusterFile = want(bootstrap.dynamicResources?.cdsConfig?.pathConfigSource)
        listenerFile = want(bootstrap.dynamicResources?.ldsConfig?.pathConfigSource)
        loadSubscriptions(bootstrap)
        readWanted()
        // Also an empty configuration is one that workers must say they use.
        changes.clusters = true
    }

    /// Without a file of clusters, a name that the bootstrap does not define is a mistake.
    private func missingClusters() -> [String] {
        context.clusters.names.filter { clusters[$0] == nil }.sorted()
            .map { "static_resources: the cluster \"\($0)\" is named by a route or filter, but is not defined" }
    }

    /// Notes a file; its path.
    func want(_ source: Envoy.PathConfigSource?) -> String? {
        guard let source else { return nil }
        want(path: source.path, watchedDirectory: source.watchedDirectory?.path)
        return source.path
    }

    func want(path: String, watchedDirectory: String?) {
        guard files[path] == nil else { return }
        let directory = watchedDirectory ?? Self.directory(of: path)
        filesVersion += 1
        files[path] = FileEntry(state: FileState(path: path), directory: directory)
        wantedFiles.append(path)
    }

    static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// Reads the files that became wanted, those that they want, and so on.
    func readWanted() {
        while let path = wantedFiles.popLast() { read(path) }
    }

    func setClock() {
        let now = WallClock.now()
        context.clusters.now = now
        context.routeTables.now = now
        listenerPlaces.now = now
    }

    // MARK: Snapshots

    /// The next snapshot when anything changed, else nil.
    func commit() -> Snapshot? {
        if changes.removed { forgetUnused() }
        guard !changes.isEmpty else {
            // The same contents under a new version are in force already.
            for path in changes.files { files[path]?.state.generation = snapshot.generation }
            changes = changes.remaining
            return nil
        }
        let unchanged = Snapshot.Unchanged(
            since: snapshot,
            routeTables: !changes.tables && compiledTables.count == snapshot.routeTables.count,
            listeners: !changes.listeners,
            clusterNames: !changes.clusterNames
        )
        Self.grow(&compiledClusters, to: context.clusters.count)
        Self.grow(&compiledTables, to: context.routeTables.count)
        snapshot = Snapshot(
            generation: snapshot.generation + 1,
            listeners: compiledListeners,
            clusters: compiledClusters,
            routeTables: compiledTables,
            labels: context.labels.values,
            accessLogs: context.accessLogs.logs,
            limits: limits,
            routeStamps: context.series.routes.stamps,
            countedStamps: context.series.counted.stamps,
            unchanged: snapshot.generation == 0 ? nil : unchanged
        )
        for path in changes.files { files[path]?.state.generation = snapshot.generation }
        changes = changes.remaining
        return snapshot
    }

    static func grow<Element>(_ array: inout [Element?], to count: Int) {
        while array.count < count { array.append(nil) }
    }

    /// Gives up tables that no listener uses, files that nobody wants, and places of names that nobody names.
    private func forgetUnused() {
        var usedTables = listeners.values.reduce(into: Set<String>()) { $0.formUnion($1.tables) }
        for draft in discovered.warmingListeners.values { usedTables.formUnion(draft.entry.tables) }
        for (key, table) in tables where !usedTables.contains(key) {
            tables[key] = nil
            changes.wishes = true
            if let path = table.path {
                tableUsers[path]?.remove(key)
                if tableUsers[path]?.isEmpty == true { tableUsers[path] = nil }
            }
            if compiledTables.indices.contains(Int(table.index)) { compiledTables[Int(table.index)] = nil }
            context.routeTables.remove(key)
            changes.tables = true
        }
        var named: Set<Int32> = []
        for listener in listeners.values { named.formUnion(listener.clusters) }
        for draft in discovered.warmingListeners.values { named.formUnion(draft.entry.clusters) }
        for table in tables.values { named.formUnion(table.clusters) }
        for name in Array(context.clusters.names)
        where clusters[name] == nil && discovered.warmingClusters[name] == nil {
            if let place = context.clusters.known(name), !named.contains(place) { context.clusters.remove(name) }
        }
        for path in Array(files.keys) where path != clusterFile && path != listenerFile {
            guard assignmentUsers[path] == nil, tableUsers[path] == nil else { continue }
            files[path] = nil
            filesVersion += 1
        }
    }
}
