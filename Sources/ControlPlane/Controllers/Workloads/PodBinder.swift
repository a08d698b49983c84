package import Resources
import Store
import Wire

/// Gives every new pod to this machine's node: there is only one, so there is nothing to weigh.
package struct PodBinder: Reconciler {
    /// The name of the one node.
    package static let nodeName = "weft"

    package let name = "binder"
    private let cluster: Cluster

    package init(_ cluster: Cluster) { self.cluster = cluster }

    package func keys(for change: Change, in state: borrowing ClusterState) -> [ObjectKey] {
        guard change.key.type == ResourceTypes.pods, let pod = change.new, !pod.isDeleting,
            PodSpec(pod.spec).nodeName == nil
        else { return [] }
        return [change.key]
    }

    package func reconcile(_ key: ObjectKey) async throws(APIError) -> Int? {
        guard var pod = await cluster.get(key), !pod.isDeleting, PodSpec(pod.spec).nodeName == nil else { return nil }
        pod.value.set(["spec", "nodeName"], .string(Self.nodeName))
        let bound = try await cluster.replace(pod)
        cluster.events.record(
            bound,
            .normal,
            reason: "Scheduled",
            message: "Successfully assigned \(key.namespace)/\(key.name) to \(Self.nodeName)",
            component: "default-scheduler"
        )
        return nil
    }
}
