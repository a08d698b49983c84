package import Resources
import Store

/// Deletes the objects of a custom kind whose definition is being deleted, then lets the definition go.
package struct DefinitionReconciler: Reconciler {
    /// How often the objects are looked at again while finalizers hold some.
    private static let retryMilliseconds = 200

    package let name = "definition"
    private let cluster: Cluster

    package init(_ cluster: Cluster) { self.cluster = cluster }

    package func keys(for change: Change, in state: borrowing ClusterState) -> [ObjectKey] {
        guard change.key.type == ResourceTypes.definitions, change.new?.isDeleting ?? false else { return [] }
        return [change.key]
    }

    package func reconcile(_ key: ObjectKey) async throws(APIError) -> Int? {
        guard let definition = try await cluster.store.find(key), definition.isDeleting,
            definition.finalizers.contains(Definition.finalizer)
        else { return nil }
        if let type = cluster.store.types.custom[key.name]?.storage {
            let objects = try await cluster.store.list(type)
            for object in objects where !object.isDeleting {
                try await cluster.delete(ObjectKey(type, namespace: object.namespace, name: object.name))
            }
            guard objects.isEmpty else { return Self.retryMilliseconds }
        }
        do throws(APIError) {
            try await cluster.store.modify(key) { (object) throws(APIError) in
                object.finalizers.removeAll { $0 == Definition.finalizer }
            }
        } catch {
            guard error.reason == .notFound else { throw error }
        }
        return nil
    }
}
