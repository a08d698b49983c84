package import Resources
import Store
import Wire

/// Renews the Lease of this machine's node, by which clients tell that it is alive.
package struct NodeLease: Reconciler {
    /// Kubernetes' own numbers: an agent renews a lease of 40 s every 10 s.
    private static let seconds: Int64 = 40
    private static let renewMilliseconds = 10_000
    private static let key = ObjectKey(ResourceTypes.leases, namespace: "kube-node-lease", name: PodBinder.nodeName)

    package let name = "lease"
    private let cluster: Cluster

    package init(_ cluster: Cluster) { self.cluster = cluster }

    package func keys(for change: Change, in state: borrowing ClusterState) -> [ObjectKey] {
        guard change.key.type == ResourceTypes.nodes, change.old == nil, change.key.name == PodBinder.nodeName else {
            return []
        }
        return [change.key]
    }

    package func reconcile(_ key: ObjectKey) async throws(APIError) -> Int? {
        guard let node = await cluster.get(key) else { return nil }
        let now = Value.string(cluster.now().microDescription)
        if try await cluster.store.find(Self.key) == nil {
            var lease = Object(ResourceTypes.leases, namespace: Self.key.namespace, name: Self.key.name)
            lease.ownerReferences = [OwnerReference(to: node, isController: false, blocksDeletion: false)]
            lease.spec = [
                "holderIdentity": .string(node.name), "leaseDurationSeconds": .int(Self.seconds), "renewTime": now,
            ]
            try await cluster.store.create(lease)
        } else {
            try await cluster.store.modify(Self.key) { (lease) throws(APIError) in
                lease.value.set(["spec", "renewTime"], now)
            }
        }
        return Self.renewMilliseconds
    }
}
