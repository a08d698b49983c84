import EnvoyAPI
import Traffic
import Wire

/// A listener under compilation with what it brought along.
struct ListenerDraft {
    var entry: ListenerEntry
    var tables: [String: TableEntry]
}

/// What control planes gave, what waits for more of it, and what was refused.
struct DiscoveredState {
    struct Assignment {
        var bytes: [UInt8]
        var version: String
        var since: UInt64
    }

    /// A resource that was refused and never replaced by a good one.
    struct Refusal {
        var bytes: [UInt8]
        var version: String
        var text: String
        var since: UInt64
    }

    /// Where clusters and listeners come from, if control planes give them.
    var clusterSource: ResourceSource?
    var listenerSource: ResourceSource?
    /// Their first response came, or was waited for long enough.
    var hasClusters = false
    var hasListeners = false
    /// The first listeners are in use. They come together: one that hands connections over must not open before the others.
    fileprivate(set) var hasFirstListeners = false
    /// Endpoints stay in protobuf: most of them are never looked at again.
    var assignments: [ResourceKey: Assignment] = [:]
    /// The clusters in use by the assignment that they have their endpoints from.
    var users: [ResourceKey: Set<String>] = [:]
    /// Came, but have not all they need; those before are still in use.
    private(set) var warmingClusters: [String: ClusterEntry] = [:]
    /// The warming clusters by the assignment that they wait for.
    private(set) var waiting: [ResourceKey: Set<String>] = [:]
    var warmingListeners: [String: ListenerDraft] = [:]
    /// Waited for long enough, or unknown to the control plane: what needs them goes on without.
    var absent: [ResourceKind: Set<ResourceKey>] = [:]
    var refusals: [ResourceKind: [ResourceKey: Refusal]] = [:]
    var secretVersions: [ResourceKey: (version: String, since: UInt64)] = [:]
    /// Clusters that requests asked for, with how long the answer is waited for; and the control planes that were ever asked so.
    var demanded: [ResourceKey: UInt64] = [:]
    var demandedServers: Set<Int> = []
    /// Whoever waits for the answer; and for whom there is none.
    var asked: [ResourceKey: Set<WantedCluster>] = [:]
    var missing: [WantedCluster] = []
    /// Layers of runtime values by the number of their control plane and their name.
    var layers: [ResourceKey: Envoy.Runtime] = [:]
    /// Of the bootstrap's.
    var runtime: Envoy.LayeredRuntime?
    /// By the name of their layer: what is subscribed to, and where.
    var runtimeSources: [String: (source: ResourceSource, resource: String)] = [:]

    /// Makes this, or nothing, what is warming under a name; what was.
    @discardableResult
    mutating func setWarming(_ entry: ClusterEntry?, _ name: String) -> ClusterEntry? {
        let old = warmingClusters[name]
        if let key = old?.assignmentKey {
            waiting[key]?.remove(name)
            if waiting[key]?.isEmpty == true { waiting[key] = nil }
        }
        warmingClusters[name] = entry
        if let key = entry?.assignmentKey { waiting[key, default: []].insert(name) }
        return old
    }

    func assignment(_ key: ResourceKey) -> Envoy.ClusterLoadAssignment? {
        // It was read without problems when it came.
        assignments[key].flatMap { try? Envoy.ClusterLoadAssignment(protobuf: $0.bytes) }
    }

    func isAbsent(_ kind: ResourceKind, _ key: ResourceKey) -> Bool { absent[kind]?.contains(key) ?? false }
}

extension ConfigurationStore {
    static func tableKey(_ key: ResourceKey) -> String { "\u{1}\(key.server)\u{0}\(key.name)" }

    // MARK: The bootstrap

    /// The control plane for all kinds, and whether clusters may be control planes: before anything that names them.
    func loadServers(_ bootstrap: Envoy.Bootstrap) -> [String] {
        context.reset()
        defer { context.reset() }
        let compiler = ClusterCompiler(context: context)
        for cluster in bootstrap.staticResources?.clusters ?? [] {
            context.fixedClusters[cluster.name] = compiler.speaksHTTP2(cluster)
        }
        if let ads = bootstrap.dynamicResources?.adsConfig {
            let server = context.at("dynamic_resources.ads_config") { () -> DiscoveryServer? in
                if ads.apiType == .aggregatedGrpc || ads.apiType == .aggregatedDeltaGrpc {
                    context.report("api_type: this is the stream for all kinds itself; use GRPC or DELTA_GRPC")
                }
                return context.server(ads, nil)
            }
            if let server { context.servers.setAggregated(server) }
        }
        discovered.runtime = bootstrap.layeredRuntime
        for (index, layer) in (bootstrap.layeredRuntime?.layers ?? []).enumerated() {
            guard case .rtdsLayer(let message) = layer.layerSpecifier else { continue }
            let source = context.at("layered_runtime.layers[\(index)].rtds_layer.rtds_config") {
                context.source(message.rtdsConfig, .runtime)
            }
            if case .file = source {
                context.report("layered_runtime.layers[\(index)].rtds_layer: only control planes are supported")
            }
            guard let source else { continue }
            discovered.runtimeSources[layer.name] = (source, message.name.isEmpty ? layer.name : message.name)
        }
        let dynamic = bootstrap.dynamicResources
        if let config = dynamic?.cdsConfig {
            let source = context.at("dynamic_resources.cds_config") { context.source(config, .cluster) }
            if source?.server != nil { discovered.clusterSource = source }
        }
        if let config = dynamic?.ldsConfig {
            let source = context.at("dynamic_resources.lds_config") { context.source(config, .listener) }
            if source?.server != nil { discovered.listenerSource = source }
        }
        let problems = context.problems
        setRuntime()
        return problems
    }

    func loadSubscriptions(_ bootstrap: Envoy.Bootstrap) {
        discovered.hasClusters = discovered.clusterSource == nil
        discovered.hasListeners = discovered.listenerSource == nil
        changes.wishes = true
        activateWarm()
    }

    // MARK: Wishes

    /// What is wanted of a control plane by name, each with how long a first response is waited for.
    func wishes(of server: Int) -> [ResourceKind: [String: UInt64]] {
        var wishes: [ResourceKind: [String: UInt64]] = [.endpoints: [:], .secret: [:], .routes: [:], .runtime: [:]]
        func add(_ kind: ResourceKind, _ source: ResourceSource?, _ name: String) {
            guard case .discovery(server, let wait) = source else { return }
            wishes[kind]?[name] = wait
        }
        for entry in clusters.values { add(.endpoints, entry.source, entry.assignmentName) }
        for entry in discovered.warmingClusters.values { add(.endpoints, entry.source, entry.assignmentName) }
        for table in tables.values { add(.routes, table.source, table.name) }
        for layer in discovered.runtimeSources.values { add(.runtime, layer.source, layer.resource) }
        if discovered.demandedServers.contains(server) {
            wishes[.cluster] = [:]
            for (key, wait) in discovered.demanded where key.server == server { wishes[.cluster]?[key.name] = wait }
        }
        let needs =
            clusters.values.map(\.secrets) + listeners.values.map(\.secrets)
            + discovered.warmingClusters.values.map(\.secrets)
            + discovered.warmingListeners.values.map(\.entry.secrets)
        for need in needs {
            for (key, wait) in need where key.server == server { wishes[.secret]?[key.name] = wait }
        }
        forgetUnwanted(wishes, server)
        return wishes
    }

    /// The resource behind a layer; nil: it is not subscribed to.
    private func runtimeKey(ofLayer name: String) -> ResourceKey? {
        guard let layer = discovered.runtimeSources[name], let server = layer.source.server else { return nil }
        return ResourceKey(server: server, name: layer.resource)
    }

    /// What nobody wants any more is not kept either: it would be out of date when it is wanted again.
    private func forgetUnwanted(_ wishes: [ResourceKind: [String: UInt64]], _ server: Int) {
        func isUnwanted(_ kind: ResourceKind, _ key: ResourceKey) -> Bool {
            key.server == server && wishes[kind]?[key.name] == nil
        }
        for key in Array(discovered.assignments.keys) where isUnwanted(.endpoints, key) {
            discovered.assignments[key] = nil
        }
        for key in Array(context.tls.secrets.keys) where isUnwanted(.secret, key) {
            context.tls.secrets[key] = nil
            discovered.secretVersions[key] = nil
        }
        for kind in wishes.keys where kind != .cluster {
            discovered.absent[kind] = discovered.absent[kind]?.filter { !isUnwanted(kind, $0) }
            discovered.refusals[kind] = discovered.refusals[kind]?.filter { !isUnwanted(kind, $0.key) }
        }
    }

    // MARK: Warming

    /// Takes a cluster into use when it has all it needs, else lets it wait; the one before serves meanwhile.
    func admit(_ entry: ClusterEntry) {
        let name = entry.message.name
        // The bootstrap's are named by others from the start.
        guard entry.origin != .bootstrap, !isWarm(entry) else {
            discovered.setWarming(nil, name)
            changes.wishes = true
            return put(entry)
        }
        discovered.setWarming(entry, name)
        changes.wishes = true
    }

    func admit(_ draft: ListenerDraft) {
        let name = draft.entry.compiled.name
        for (key, table) in draft.tables where table.source != nil { register(table, key) }
        guard !discovered.hasFirstListeners || !isWarm(draft.entry) else {
            discovered.warmingListeners[name] = nil
            return put(draft)
        }
        discovered.warmingListeners[name] = draft
        changes.wishes = true
    }

    private func isWarm(_ entry: ClusterEntry) -> Bool {
        if let key = entry.assignmentKey, discovered.assignments[key] == nil, !discovered.isAbsent(.endpoints, key) {
            return false
        }
        return hasSecrets(entry.secrets)
    }

    private func isWarm(_ entry: ListenerEntry) -> Bool {
        let misses = entry.tables.contains { name in
            guard let table = tables[name], let key = table.key, table.compiled == nil else { return false }
            return !discovered.isAbsent(.routes, key)
        }
        return !misses && hasSecrets(entry.secrets)
    }

    private func hasSecrets(_ secrets: [ResourceKey: UInt64]) -> Bool {
        secrets.keys.allSatisfy { context.tls.secrets[$0] != nil || discovered.isAbsent(.secret, $0) }
    }

    /// Takes into use what has got all it needs; with keys only clusters that waited for these assignments.
    func activateWarm(_ assignments: [ResourceKey]? = nil) {
        if let assignments {
            for name in assignments.flatMap({ discovered.waiting[$0] ?? [] }) {
                if let entry = discovered.warmingClusters[name] { activate(entry) }
            }
            return
        }
        for entry in discovered.warmingClusters.values { activate(entry) }
        if !discovered.hasFirstListeners {
            guard discovered.hasListeners, discovered.warmingListeners.values.allSatisfy({ isWarm($0.entry) }) else {
                return
            }
            discovered.hasFirstListeners = true
        }
        for (name, draft) in discovered.warmingListeners where isWarm(draft.entry) {
            discovered.warmingListeners[name] = nil
            put(draft)
        }
    }

    private func activate(_ entry: ClusterEntry) {
        guard isWarm(entry) else { return }
        discovered.setWarming(nil, entry.message.name)
        put(entry)
    }

    /// Whether the first clusters are there with all that they need, so that listeners may be asked for.
    var areClustersSettled: Bool {
        guard discovered.hasClusters, discovered.warmingClusters.isEmpty, hasRuntime else { return false }
        return clusters.values.allSatisfy { $0.origin != .bootstrap || isWarm($0) }
    }

    private var hasRuntime: Bool {
        discovered.runtimeSources.keys.allSatisfy { name in
            guard let key = runtimeKey(ofLayer: name) else { return true }
            return discovered.layers[key] != nil || discovered.isAbsent(.runtime, key)
        }
    }

    /// Whether everything that was waited for at the start is there, or was waited for long enough.
    var isSettled: Bool {
        areClustersSettled && discovered.hasListeners && discovered.warmingListeners.isEmpty
            // Without any listener nothing can be served: a control plane that never spoke is still waited for.
            && (discovered.listenerSource == nil || !listeners.isEmpty || !isLate(.listener))
    }

    private func isLate(_ kind: ResourceKind) -> Bool {
        let source = kind == .listener ? discovered.listenerSource : discovered.clusterSource
        return discovered.isAbsent(kind, ResourceKey(server: source?.server ?? -1, name: ""))
    }

    /// What is waited for, as `/ready` says it.
    var waitingReason: String {
        if !discovered.hasClusters { return "PRE_INITIALIZING: waiting for clusters from the control plane" }
        if let name = discovered.warmingClusters.keys.min() {
            return "PRE_INITIALIZING: the cluster \(name) waits for its endpoints or secrets"
        }
        if !areClustersSettled { return "PRE_INITIALIZING: waiting for the control plane" }
        if let name = discovered.warmingListeners.keys.min() {
            return "INITIALIZING: the listener \(name) waits for its routes or secrets"
        }
        if !discovered.hasListeners || isLate(.listener) {
            return "INITIALIZING: waiting for listeners from the control plane"
        }
        return "INITIALIZING"
    }

    // MARK: Runtime

    /// The layers of the bootstrap with what came for those that are subscribed to.
    func setRuntime() {
        context.runtime = RuntimeValues(discovered.runtime, admin: overrides) { name in
            runtimeKey(ofLayer: name).flatMap { discovered.layers[$0]?.layer }
        }
        counts.runtimeLoads &+= 1
        counts.runtimeKeys = context.runtime.keys.count
        counts.overridesRuntime = !overrides.isEmpty
        counts.runtimeLayers = discovered.runtime?.layers.count ?? 0
    }

    /// The values of a layer, whoever gives them.
    func values(of layer: Envoy.RuntimeLayer) -> Value? {
        switch layer.layerSpecifier {
        case .staticLayer(let values): return values
        case .rtdsLayer:
            return runtimeKey(ofLayer: layer.name).flatMap { discovered.layers[$0]?.layer }
        case .adminLayer: return .object(Fields(overrides.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }))
        case nil: return nil
        }
    }

    /// Compiles what reads runtime values again.
    func runtimeChanged() {
        setRuntime()
        for (key, table) in tables {
            guard let message = table.message else { continue }
            context.reset()
            tables[key]?.compiled = RouteCompiler.compile(message, context)
            context.reset()
            if let table = tables[key] { place(table) }
        }
        applyRuntimeToClusters()
    }
}
