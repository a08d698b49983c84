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
        if change.new == nil, let gone = change.old {
            // Its dependents go with it, and an owner that waits for it may be free.
            return Array(state.dependents(of: gone.uid)) + gone.ownerReferences.compactMap { key(of: $0, gone) }
        }
        guard let new = change.new else { return [] }
        if new.isDeleting, new.finalizers.contains(ObjectRules.foreground) { return [change.key] }
        return change.old == nil && !new.ownerReferences.isEmpty ? [change.key] : []
    }

    package func reconcile(_ key: ObjectKey) async throws(APIError) -> Int? {
        // As it is stored: the view may not yet know that an owner has let go of it.
        guard let object = try await cluster.store.find(key) else { return nil }
        if object.isDeleting, object.finalizers.contains(ObjectRules.foreground) {
            return try await deleteDependents(of: object, key)
        }
        guard !object.isDeleting, !object.ownerReferences.isEmpty else { return nil }
        var present: [OwnerReference] = []
        for owner in object.ownerReferences where try await exists(owner, of: object) { present.append(owner) }
        guard present.count < object.ownerReferences.count else { return nil }
        if present.isEmpty {
            try await cluster.delete(key, DeleteOptions(uid: object.uid, resourceVersion: object.resourceVersion))
        } else {
            var updated = object
            updated.ownerReferences = present
            try await cluster.replace(updated)
        }
        return nil
    }

    /// Deletes what belongs to an owner that waits for it, and lets the owner go when nothing is left that holds it.
    private func deleteDependents(of owner: Object, _ key: ObjectKey) async throws(APIError) -> Int? {
        let keys = await cluster.read { $0.dependents(of: owner.uid) }
        var holds = false
        for dependent in keys {
            guard let object = try await cluster.store.find(dependent) else { continue }
            let reference = object.ownerReferences.first { $0.uid == owner.uid }
            guard let reference else { continue }
            if reference.value.flag("blockOwnerDeletion") { holds = true }
            guard !object.isDeleting else { continue }
            do throws(APIError) {
                try await cluster.delete(dependent, DeleteOptions(uid: object.uid, propagation: .foreground))
            } catch {
                guard error.reason == .notFound || error.reason == .conflict else { throw error }
            }
        }
        guard !holds else { return nil }
        try await cluster.store.modify(key) { (object) throws(APIError) in
            object.finalizers.removeAll { $0 == ObjectRules.foreground }
        }
        return nil
    }

    private func key(of owner: OwnerReference, _ dependent: Object) -> ObjectKey? {
        cluster.store.types.find(apiVersion: owner.apiVersion, kind: owner.kind).map {
            ObjectKey($0, namespace: dependent.namespace, name: owner.name)
        }
    }

    /// Whether an owner is there. One of a kind that nobody here serves counts as there: nothing is known about it.
    private func exists(_ owner: OwnerReference, of object: Object) async throws(APIError) -> Bool {
        guard let type = cluster.store.types.find(apiVersion: owner.apiVersion, kind: owner.kind) else { return true }
        let key = ObjectKey(type, namespace: object.namespace, name: owner.name)
        return try await cluster.store.find(key)?.uid == owner.uid
    }
}
