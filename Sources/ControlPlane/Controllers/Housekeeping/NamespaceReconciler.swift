package import Resources
import Store
import Wire

/// Gives a namespace its account, on which pods and clients rely; empties one that is being deleted, then lets it go.
package struct NamespaceReconciler: Reconciler {
    /// How often a namespace is looked at again while pods in it are still ending: nothing else tells of kinds that no
    /// loop watches.
    private static let retryMilliseconds = 100

    package let name = "namespace"
    private let cluster: Cluster

    package init(_ cluster: Cluster) { self.cluster = cluster }

    package func keys(for change: Change, in state: borrowing ClusterState) -> [ObjectKey] {
        guard change.key.type == ResourceTypes.namespaces, let space = change.new,
            space.isDeleting || change.old == nil
        else { return [] }
        return [change.key]
    }

    package func reconcile(_ key: ObjectKey) async throws(APIError) -> Int? {
        guard let space = await cluster.get(key) else { return nil }
        guard space.isDeleting else {
            try await giveAccount(key.name)
            return nil
        }
        var updated = space
        updated.value.set(["status", "phase"], "Terminating")
        try await cluster.updateStatus(updated, from: space)
        guard try await empty(key.name) else { return Self.retryMilliseconds }
        guard var last = await cluster.get(key), !last.spec.list("finalizers").isEmpty else { return nil }
        last.value.set(["spec", "finalizers"], [])
        do {
            try await cluster.replace(last)
        } catch {
            guard error.reason == .notFound else { throw error }
        }
        return nil
    }

    private func giveAccount(_ namespace: String) async throws(APIError) {
        let account = Object(ResourceTypes.serviceAccounts, namespace: namespace, name: "default")
        if let key = account.key, try await cluster.store.find(key) != nil { return }
        do {
            try await cluster.store.create(account)
        } catch {
            // Somebody was faster, or the namespace has gone.
            guard [.alreadyExists, .notFound, .forbidden].contains(error.reason) else { throw error }
        }
    }

    /// Deletes everything in a namespace, owners first; true when nothing is left.
    private func empty(_ namespace: String) async throws(APIError) -> Bool {
        var isEmpty = true
        let first = [
            ResourceTypes.autoscalers, ResourceTypes.cronJobs, ResourceTypes.jobs, ResourceTypes.deployments,
            ResourceTypes.replicaSets, ResourceTypes.statefulSets, ResourceTypes.daemonSets, ResourceTypes.services,
            ResourceTypes.pods,
        ]
        let types = first + cluster.store.types.kinds.filter { $0.isNamespaced && !first.contains($0) }
        for type in types {
            for object in try await cluster.store.list(type, namespace: namespace) {
                // Events may come back while the rest is ending; they never hold a namespace for long.
                if type != ResourceTypes.events { isEmpty = false }
                guard !object.isDeleting else { continue }
                try await cluster.delete(ObjectKey(type, namespace: namespace, name: object.name))
            }
        }
        return isEmpty
    }
}
