import Bytes
package import Resources
import Store
import Wire

/// Ends running pods that do not tolerate the machine's `NoExecute` taints, at once or after the time that they tolerate.
package struct TaintEvictor: Reconciler {
    private static let key = ObjectKey(ResourceTypes.nodes, name: PodBinder.nodeName)

    package let name = "taints"
    private let cluster: Cluster
    /// When the taints that the machine has came, as far as they do not say so themselves.
    private let came = Seen()

    private final class Seen: Sendable {
        let times = Lock<[(taint: Value, time: Timestamp)]>([])
    }

    package init(_ cluster: Cluster) { self.cluster = cluster }

    package func keys(for change: Change, in state: borrowing ClusterState) -> [ObjectKey] {
        switch change.key.type {
        case ResourceTypes.nodes:
            return change.key == Self.key && change.old?.spec != change.new?.spec ? [Self.key] : []
        case ResourceTypes.pods:
            guard let pod = change.new, change.old?.spec != pod.spec, PodSpec(pod.spec).nodeName != nil,
                let node = state.get(Self.key), !NodeFit.evictingTaints(of: node).isEmpty
            else { return [] }
            return [Self.key]
        default: return []
        }
    }

    package func reconcile(_ key: ObjectKey) async throws(APIError) -> Int? {
        guard let node = await cluster.get(key) else { return nil }
        let taints = NodeFit.evictingTaints(of: node)
        let now = cluster.now()
        let since = came.times.withLock { times in
            times.removeAll { !taints.contains($0.taint) }
            for taint in taints where !times.contains(where: { $0.taint == taint }) {
                times.append((taint, taint.text("timeAdded").flatMap(Timestamp.init) ?? now))
            }
            return times.map(\.time).max() ?? now
        }
        guard !taints.isEmpty else { return nil }
        let pods = await cluster.read { state in
            state.list(ResourceTypes.pods).filter {
                !$0.isDeleting && PodSpec($0.spec).nodeName != nil
                    && !["Succeeded", "Failed"].contains($0.status.text("phase") ?? "")
            }
        }
        var next: Int?
        for pod in pods {
            guard let allowed = NodeFit.secondsLeft(pod.spec, under: taints) else { continue }
            let left = allowed - now.seconds(since: since)
            if left > 0 {
                next = min(next ?? left, left)
            } else {
                try await evict(pod)
            }
        }
        return next.map { $0 * 1000 + 50 }
    }

    private func evict(_ pod: Object) async throws(APIError) {
        guard let key = pod.key else { return }
        var told = pod
        var conditions: [Condition] = pod.status.views("conditions")
        conditions.set(
            Condition(
                type: "DisruptionTarget",
                status: true,
                reason: "DeletionByTaintManager",
                message: "Taint manager: deleting due to NoExecute taint",
                lastTransitionTime: cluster.now()
            )
        )
        told.value.set(["status", "conditions"], .array(conditions.map(\.value)))
        try await cluster.updateStatus(told, from: pod)
        cluster.events.record(
            pod,
            .normal,
            reason: "TaintManagerEviction",
            message: "Marking for deletion Pod \(pod.namespace)/\(pod.name)",
            component: "taint-eviction-controller"
        )
        try await cluster.delete(key, DeleteOptions(uid: pod.uid))
    }
}
