import EnvoyAPI
import Traffic

extension ConfigurationStore {
    /// Makes these the clusters of an origin: others of the same origin go.
    ///
    /// - Throws: all problems; nothing is changed then.
    func setClusters(_ messages: [Envoy.Cluster], origin: Origin, step: String) throws(ConfigurationProblems) {
        var problems: [String] = []
        var entries: [ClusterEntry] = []
        var seen: Set<String> = []
        for (index, message) in messages.enumerated() {
            if !seen.insert(message.name).inserted {
                problems.append("\(step)[\(index)]: the name \"\(message.name)\" stands here twice")
            } else if let other = clusters[message.name], other.origin != origin {
                problems.append(
                    "\(step)[\(index)]: the cluster \"\(message.name)\" is defined by the bootstrap already"
                )
            } else if let known = clusters[message.name], known.message == message {
                entries.append(known)
            } else {
                let (entry, found) = makeCluster(message, origin: origin, step: "\(step)[\(index)]")
                problems += found
                entries.append(entry)
            }
        }
        guard problems.isEmpty else { throw ConfigurationProblems(lines: problems) }
        for (name, entry) in clusters where entry.origin == origin && !seen.contains(name) { remove(entry) }
        for entry in entries { admit(entry) }
    }

    func makeCluster(
        _ message: Envoy.Cluster,
        origin: Origin,
        step: String
    ) -> (ClusterEntry, [String]) {
        context.reset()
        let compiler = ClusterCompiler(context: context)
        let entry: ClusterEntry = context.at(step) {
            var settings = compiler.settings(message)
            settings.checkVersion = takeVersion()
            var entry = ClusterEntry(
                message: message,
                origin: origin,
                index: context.clusters.place(of: message.name),
                settings: settings,
                names: compiler.names(message),
                traffic: clusters[message.name]?.traffic ?? TrafficMark(),
                usage: clusters[message.name]?.usage ?? ClusterUsage()
            )
            if message.type == .eds {
                entry.source = context.at("eds_cluster_config.eds_config") {
                    context.source(message.edsClusterConfig?.edsConfig, .endpoints)
                }
            }
            entry.secrets = context.referencedSecrets
            if message.type != .eds, message.type != .originalDst {
                context.at("load_assignment") { _ = endpoints(of: entry, from: message.loadAssignment) }
            }
            return entry
        }
        defer { context.reset() }
        return (entry, context.problems)
    }

    /// Takes a cluster into use.
    func put(_ entry: ClusterEntry) {
        let old = clusters[entry.message.name]
        if let old, old.message == entry.message {
            clusters[entry.message.name]?.version = entry.version
            return
        }
        if let key = old?.assignmentKey, key != entry.assignmentKey { stopUsing(key, by: entry.message.name) }
        if let key = entry.assignmentKey { discovered.users[key, default: []].insert(entry.message.name) }
        // What is wanted by a new cluster was wanted when it came.
        if let old, old.assignmentKey != entry.assignmentKey || old.secrets != entry.secrets { changes.wishes = true }
        if let path = old?.assignmentPath, path != entry.assignmentPath { stopUsing(path, by: entry.message.name) }
        clusters[entry.message.name] = entry
        counts.clusters.count(isNew: old == nil)
        if old == nil { changes.clusterNames = true }
        if let path = entry.assignmentPath {
            assignmentUsers[path, default: []].insert(entry.message.name)
            var directory: String?
            if case .file(_, let watched) = entry.source { directory = watched }
            want(path: path, watchedDirectory: directory)
        }
        rebuild(entry)
    }

    func remove(_ entry: ClusterEntry) {
        let name = entry.message.name
        clusters[name] = nil
        counts.clusters.removed &+= 1
        changes.wishes = true
        if let key = entry.assignmentKey { stopUsing(key, by: name) }
        for host in entry.hostNames { resolved[NameKey(cluster: name, name: host)] = nil }
        if let path = entry.assignmentPath { stopUsing(path, by: name) }
        if compiledClusters.indices.contains(Int(entry.index)) {
            for endpoint in compiledClusters[Int(entry.index)]?.endpoints ?? [] { health[endpoint.identity] = nil }
            compiledClusters[Int(entry.index)] = nil
        }
        changes.clusters = true
        changes.clusterNames = true
        changes.removed = true
    }

    private func stopUsing(_ path: String, by cluster: String) {
        assignmentUsers[path]?.remove(cluster)
        if assignmentUsers[path]?.isEmpty == true {
            assignmentUsers[path] = nil
            changes.removed = true
        }
    }

    private func stopUsing(_ key: ResourceKey, by cluster: String) {
        discovered.users[key]?.remove(cluster)
        if discovered.users[key]?.isEmpty == true { discovered.users[key] = nil }
    }

    func endpoints(
        of entry: ClusterEntry,
        from assignment: Envoy.ClusterLoadAssignment?
    ) -> [EndpointConfiguration] {
        let isResolved = entry.isResolved
        let message = entry.message
        return ClusterCompiler(context: context).endpoints(
            assignment,
            cluster: context.clusters.identity(entry.index),
            base: entry.settings.labels,
            transports: entry.settings.transports,
            settings: entry.settings,
            resolve: isResolved ? { self.resolved[NameKey(cluster: message.name, name: $0)] ?? [] } : nil,
            isOneLogical: message.type == .logicalDns
        )
    }

    /// Compiles a cluster with its newest endpoints into its place. Endpoints with problems were refused before.
    func rebuild(_ entry: ClusterEntry) {
        var assignment = entry.message.loadAssignment
        if let path = entry.assignmentPath {
            assignment = files[path]?.response?.clusterLoadAssignments
                .first { $0.clusterName == entry.assignmentName }
        } else if let key = entry.assignmentKey {
            assignment = discovered.assignment(key)
        }
        let made = endpoints(of: entry, from: assignment)
        context.reset()
        place(entry, assignment, made)
    }

    /// Makes endpoints that were compiled those of a cluster.
    func place(
        _ entry: ClusterEntry,
        _ assignment: Envoy.ClusterLoadAssignment?,
        _ endpoints: [EndpointConfiguration]
    ) {
        let leaving = leaving(entry, besides: endpoints)
        var made = leaving.isEmpty ? endpoints : endpoints + leaving
        if entry.settings.endpointConnections != nil { entry.usage.share(with: &made) }
        Self.grow(&compiledClusters, to: Int(entry.index) + 1)
        compiledClusters[Int(entry.index)] = ClusterConfiguration(
            index: entry.index,
            identity: context.clusters.identity(entry.index),
            version: takeVersion(),
            name: entry.message.name,
            settings: entry.$settings,
            endpoints: made,
            traffic: entry.traffic,
            usage: entry.usage,
            balancing: ClusterCompiler(context: context).balancing(assignment, entry.settings)
        )
        changes.clusters = true
    }

    /// Endpoints that are no longer named, but whose checks still pass: a source of endpoints that errs takes nobody out.
    private func leaving(
        _ entry: ClusterEntry,
        besides made: [EndpointConfiguration]
    ) -> [EndpointConfiguration] {
        guard entry.settings.check != nil, !entry.settings.ignoresHealthOnRemoval,
            compiledClusters.indices.contains(Int(entry.index)), let old = compiledClusters[Int(entry.index)],
            old.identity == context.clusters.identity(entry.index)
        else { return [] }
        let named = Set(made.map(\.identity))
        return old.endpoints.compactMap { endpoint in
            guard !named.contains(endpoint.identity), endpoint.check != nil,
                health[endpoint.identity]?.isUsable ?? false
            else { return nil }
            var kept = endpoint
            kept.isLeaving = true
            return kept
        }
    }

    /// Takes over what health checks say of an endpoint; one that was only waiting for that goes.
    func setHealth(_ change: HealthChange) {
        health[change.endpoint] = change.state.isUsable ? change.state : nil
        guard !change.state.isUsable, compiledClusters.indices.contains(Int(change.cluster)),
            let cluster = compiledClusters[Int(change.cluster)], cluster.identity == change.identity,
            cluster.endpoints.contains(where: { $0.identity == change.endpoint && $0.isLeaving }),
            let entry = clusters[cluster.name]
        else { return }
        rebuild(entry)
    }

    /// Checks the assignments of a file for the clusters that use it.
    func assignmentProblems(_ response: Envoy.DiscoveryResponse, users: Set<String>) -> [String] {
        context.reset()
        defer { context.reset() }
        for (index, assignment) in response.clusterLoadAssignments.enumerated() {
            let compiler = ClusterCompiler(context: context)
            context.at("resources[\(index)]") {
                _ = compiler.endpoints(assignment, cluster: 1, base: 0, resolve: nil)
            }
        }
        for name in users.sorted().compactMap({ clusters[$0]?.assignmentName }) {
            guard !response.clusterLoadAssignments.contains(where: { $0.clusterName == name }) else { continue }
            context.report("resources: no ClusterLoadAssignment with the cluster_name \"\(name)\" in it")
        }
        return context.problems
    }

    // MARK: Names

    /// All host names that clusters need the addresses of.
    var nameRequests: Set<NameRequest> {
        clusters.values.reduce(into: Set<NameRequest>()) { $0.formUnion($1.nameRequests) }
    }

    /// Takes over the addresses of a name.
    func setAddresses(_ addresses: [Address], of key: NameKey) {
        guard resolved[key] != addresses, let entry = clusters[key.cluster], entry.hostNames.contains(key.name) else {
            return
        }
        resolved[key] = addresses
        rebuild(entry)
    }
}
