package import Resources
import Store

/// Deletes objects whose owners are all gone, in the background.
///
/// It follows the types of the cache; each dependent is looked at when an owner disappears, and once when it appears
/// itself, so that one created just after its owner went is found too.
package struct GarbageCollector: Reconciler {
    package let name = "garbage"
    private let cluster: Cluster

    package init(_ cluster: Cluster) { self.cluster = cluster }

    package func keys(for change: Change, in state: borrowing ClusterState) -> [ObjectKey] {
        if change.new == nil, let gone = change.old { return Array(state.dependents(of: gone.uid)) }
        guard change.old == nil, let new = change.new, !new.ownerReferences.isEmpty else { return [] }
        return [change.key]
    }

    package func reconcile(_ key: ObjectKey) async throws(APIError) -> Int? {
        guard let object = await cluster.get(key), !object.isDeleting, !object.ownerReferences.isEmpty else {
            return nil
        }
        var present: [OwnerReference] = []
        for owner in object.ownerReferences where try await exists(owner, of: object) { present.append(owner) }
        guard present.count < object.ownerReferences.count else { return nil }
        if present.isEmpty {
            try await cluster.delete(key, DeleteOptions(uid: object.uid))
        } else {
            var updated = object
            updated.ownerReferences = present
            try await cluster.replace(updated)
        }
        return nil
    }

    /// Whether an owner is there. One of a kind that nobody here serves counts as there: nothing is known about it.
    private func exists(_ owner: OwnerReference, of object: Object) async throws(APIError) -> Bool {
        guard let type = ResourceTypes.find(apiVersion: owner.apiVersion, kind: owner.kind) else { return true }
        let key = ObjectKey(type, namespace: object.namespace, name: owner.name)
        return try await cluster.store.find(key)?.uid == owner.uid
    }
}
