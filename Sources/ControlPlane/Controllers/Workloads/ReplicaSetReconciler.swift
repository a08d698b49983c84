package import Resources
import Store
import Wire

/// Keeps as many pods of a ReplicaSet as it wishes: adopts matching ones, lets go of others, creates and deletes.
package struct ReplicaSetReconciler: Reconciler {
    package let name = "replicaset"
    private let cluster: Cluster

    package init(_ cluster: Cluster) { self.cluster = cluster }

    package func keys(for change: Change, in state: borrowing ClusterState) -> [ObjectKey] {
        switch change.key.type {
        case ResourceTypes.replicaSets: return [change.key]
        case ResourceTypes.pods:
            return change.owners(of: ResourceTypes.replicaSets, in: state) { ReplicaSetSpec($0.spec).selector }
        default: return []
        }
    }

    package func reconcile(_ key: ObjectKey) async throws(APIError) -> Int? {
        guard let set = await cluster.get(key), !set.isDeleting else { return nil }
        let spec = ReplicaSetSpec(set.spec)
        let crew = PodCrew(cluster: cluster, owner: set, component: "replicaset-controller")
        try await crew.adoptAndRelease(spec.selector)
        let pods = await cluster.read { $0.controlled(by: set.uid, ResourceTypes.pods) }
        let now = cluster.now()
        let census = PodCensus(pods, minReadySeconds: spec.minReadySeconds, now: now)
        var failure: APIError?
        do {
            try await scale(set, spec, census, crew)
        } catch {
            failure = error
        }
        try await writeStatus(set, spec, failure: failure)
        if let failure { throw failure }
        return census.nextAvailable.map { $0 * 1000 + 50 }
    }

    private func scale(
        _ set: Object,
        _ spec: ReplicaSetSpec,
        _ census: PodCensus,
        _ crew: PodCrew
    ) async throws(APIError) {
        let missing = spec.replicas - census.active.count
        if missing > 0 {
            let pod = crew.pod(of: set.spec["template"] ?? .null)
            try await crew.create(Array(repeating: pod, count: min(missing, SlowStart.burst)))
        } else if missing < 0 {
            let victims = PodRank.victims(of: census.ranks(now: cluster.now()), count: -missing)
            for name in victims { try await crew.delete(name) }
        }
    }

    private func writeStatus(_ set: Object, _ spec: ReplicaSetSpec, failure: APIError?) async throws(APIError) {
        let key = ObjectKey(ResourceTypes.replicaSets, namespace: set.namespace, name: set.name)
        guard let latest = await cluster.get(key), latest.uid == set.uid else { return }
        let pods = await cluster.read { $0.controlled(by: set.uid, ResourceTypes.pods) }
        let now = cluster.now()
        let census = PodCensus(pods, minReadySeconds: spec.minReadySeconds, now: now)
        let labels = spec.template.labels
        let labelled = census.active.count { pod in labels.allSatisfy { pod.label($0.key) == $0.value } }
        var updated = latest
        var status = latest.status
        if status.isNull { status = [:] }
        status["replicas"] = .int(Int64(census.active.count))
        status["fullyLabeledReplicas"] = labelled > 0 ? .int(Int64(labelled)) : nil
        status["readyReplicas"] = census.ready > 0 ? .int(Int64(census.ready)) : nil
        status["availableReplicas"] = census.available > 0 ? .int(Int64(census.available)) : nil
        status["observedGeneration"] = .int(Int64(latest.generation))
        var conditions = ScaleStatus(status).conditions.filter { $0.type != "ReplicaFailure" }
        if let failure {
            var all = ScaleStatus(latest.status).conditions
            let reason = spec.replicas > census.active.count ? "FailedCreate" : "FailedDelete"
            all.set(
                Condition(
                    type: "ReplicaFailure",
                    status: true,
                    reason: reason,
                    message: failure.message,
                    lastTransitionTime: now
                )
            )
            conditions = all
        }
        status["conditions"] = conditions.isEmpty ? nil : .array(conditions.map(\.value))
        updated.status = status
        try await cluster.updateStatus(updated, from: latest)
    }
}
