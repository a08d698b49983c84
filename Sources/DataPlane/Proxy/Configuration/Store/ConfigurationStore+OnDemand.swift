import EnvoyAPI
import Traffic

/// Clusters that requests ask for, one by one.
extension ConfigurationStore {
    /// Questions that are not answered yet; what requests name is theirs to choose.
    private static let questionLimit = 256

    /// A worker's request waits for a cluster. False: it need not wait.
    func want(_ question: ClusterQuestion) -> Bool {
        guard let name = name(of: question.wanted) else { return false }
        // It is there, or on its way to the workers.
        guard clusters[name] == nil, discovered.warmingClusters[name] == nil else { return true }
        let key = ResourceKey(server: question.wanted.server, name: name)
        if discovered.asked[key] == nil {
            guard discovered.asked.count < Self.questionLimit else { return false }
            discovered.demanded[key] = question.timeout
            discovered.demandedServers.insert(key.server)
            changes.wishes = true
        }
        discovered.asked[key, default: []].insert(question.wanted)
        return true
    }

    private func name(of wanted: WantedCluster) -> String? {
        switch wanted.name {
        case .text(let name): name
        case .place(let place): context.clusters.names.first { context.clusters.known($0) == place }
        }
    }

    /// Books what an update says of clusters that were asked for.
    func answer(_ update: DiscoveryUpdate, _ faults: [ResourceFault], _ server: Int) {
        guard !discovered.demanded.isEmpty else { return }
        let missing = Set(update.removed + update.expired + update.late + faults.map(\.name))
        for name in missing {
            let key = ResourceKey(server: server, name: name)
            guard discovered.demanded[key] != nil, clusters[name] == nil, discovered.warmingClusters[name] == nil else {
                continue
            }
            // It is asked for anew when it is wanted again: what does not exist takes no room.
            discovered.demanded[key] = nil
            discovered.missing += discovered.asked.removeValue(forKey: key) ?? []
            changes.wishes = true
        }
        for resource in update.changed where !missing.contains(resource.name) {
            discovered.asked[ResourceKey(server: server, name: resource.name)] = nil
        }
    }

    /// Whom workers need not wait for any more.
    func takeMissing() -> [WantedCluster] {
        defer { discovered.missing = [] }
        return discovered.missing
    }
}
