package import Resources
import Store
import Wire

/// Writes down how much of each ResourceQuota is used. What may be used is decided where objects are written.
package struct QuotaReconciler: Reconciler {
    package let name = "quota"
    private let cluster: Cluster

    package init(_ cluster: Cluster) { self.cluster = cluster }

    package func keys(for change: Change, in state: borrowing ClusterState) -> [ObjectKey] {
        if change.key.type == ResourceTypes.resourceQuotas { return [change.key] }
        guard change.key.type.isNamespaced else { return [] }
        let quotas = state.list(ResourceTypes.resourceQuotas, namespace: change.key.namespace)
        guard !quotas.isEmpty else { return [] }
        return quotas.compactMap { quota in
            let rules = QuotaRules(quota)
            let old = change.old.map { rules.usage(of: $0, change.key.type) } ?? [:]
            let new = change.new.map { rules.usage(of: $0, change.key.type) } ?? [:]
            return old == new ? nil : quota.key
        }
    }

    package func reconcile(_ key: ObjectKey) async throws(APIError) -> Int? {
        guard let quota = await cluster.get(key), !quota.isDeleting else { return nil }
        let rules = QuotaRules(quota)
        var objects: [(ResourceType, [Object])] = []
        for type in rules.types {
            if ObjectCache.watchedTypes.contains(type) {
                objects.append((type, await cluster.read { $0.list(type, namespace: key.namespace) }))
            } else {
                objects.append((type, try await cluster.store.list(type, namespace: key.namespace)))
            }
        }
        let used = rules.usage(of: objects.map { (type: $0.0, objects: $0.1) })
        var written = quota
        written.value.set(["status", "hard"], quota.spec["hard"] ?? [:])
        let texts = used.map { ($0.key, rules.text($0.value, $0.key)) }
        written.value.set(
            ["status", "used"],
            Value.map(Dictionary(texts, uniquingKeysWith: { first, _ in first })) ?? [:]
        )
        try await cluster.updateStatus(written, from: quota)
        return nil
    }
}
