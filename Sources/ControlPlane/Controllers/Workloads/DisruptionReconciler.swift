package import Resources
import Store
import Wire

/// Counts for every PodDisruptionBudget how many of its pods may be evicted.
package struct DisruptionReconciler: Reconciler {
    /// Seconds for which an evicted pod is expected to go.
    private static let patience = 120
    private static let component = "controllermanager"

    package let name = "disruption"
    private let cluster: Cluster

    package init(_ cluster: Cluster) { self.cluster = cluster }

    package func keys(for change: Change, in state: borrowing ClusterState) -> [ObjectKey] {
        switch change.key.type {
        case ResourceTypes.disruptionBudgets: return [change.key]
        case ResourceTypes.pods:
            return state.list(ResourceTypes.disruptionBudgets, namespace: change.key.namespace).filter { budget in
                guard let selector = budget.spec["selector"].map(LabelSelector.init) else { return false }
                return [change.old, change.new].contains { $0.map { selector.matches($0) } ?? false }
            }.compactMap(\.key)
        case ResourceTypes.deployments, ResourceTypes.replicaSets, ResourceTypes.statefulSets:
            guard change.old?.spec["replicas"] != change.new?.spec["replicas"] else { return [] }
            return state.list(ResourceTypes.disruptionBudgets, namespace: change.key.namespace).compactMap(\.key)
        default: return []
        }
    }

    package func reconcile(_ key: ObjectKey) async throws(APIError) -> Int? {
        guard let budget = await cluster.get(key), !budget.isDeleting else { return nil }
        let now = cluster.now()
        let (pods, scale) = await cluster.read { Self.pods(of: budget, in: $0) }
        let (disrupted, wait) = remembered(budget, pods, now)
        let healthy = pods.count { pod in
            !pod.isDeleting && PodStatus(pod.status).isReady && disrupted[pod.name] == nil
        }
        let arithmetic = DisruptionArithmetic(
            minAvailable: IntOrString(budget.spec["minAvailable"]),
            maxUnavailable: IntOrString(budget.spec["maxUnavailable"]),
            pods: pods.count,
            scale: scale,
            healthy: healthy
        )
        var status = budget.status.isNull ? [:] : budget.status
        for (name, number) in [
            ("currentHealthy", healthy), ("desiredHealthy", arithmetic.desired), ("expectedPods", arithmetic.expected),
            ("disruptionsAllowed", arithmetic.allowed), ("observedGeneration", budget.generation),
        ] { status[name] = .int(Int64(number)) }
        status["disruptedPods"] = Value.map(disrupted.mapValues(\.description))
        var conditions: [Condition] = status.views("conditions")
        let isAllowed = arithmetic.allowed > 0
        conditions.set(
            Condition(
                type: "DisruptionAllowed",
                status: isAllowed,
                reason: isAllowed ? "SufficientPods" : "InsufficientPods",
                lastTransitionTime: now
            )
        )
        status["conditions"] = .array(conditions.map(\.value))
        var updated = budget
        updated.status = status
        try await cluster.updateStatus(updated, from: budget)
        return wait.map { $0 * 1000 + 50 }
    }

    /// The pods that a budget chooses, and how many their controllers want together.
    private static func pods(of budget: Object, in state: borrowing ClusterState) -> ([Object], Int) {
        guard let selector = budget.spec["selector"].map(LabelSelector.init) else { return ([], 0) }
        let pods = state.list(ResourceTypes.pods, namespace: budget.namespace).filter {
            selector.matches($0) && !["Succeeded", "Failed"].contains(PodStatus($0.status).phase)
        }
        var counted: Set<String> = []
        var scale = 0
        for pod in pods {
            guard let workload = workload(of: pod, in: state) else {
                // A pod alone, or of a kind that has no scale, counts as itself.
                if !pod.isDeleting { scale += 1 }
                continue
            }
            if counted.insert(workload.uid).inserted { scale += ReplicaSetSpec(workload.spec).replicas }
        }
        return (pods, scale)
    }

    private static func workload(of pod: Object, in state: borrowing ClusterState) -> Object? {
        guard let owner = pod.controller else { return nil }
        switch owner.kind {
        case ResourceTypes.statefulSets.kind:
            return state.get(ObjectKey(ResourceTypes.statefulSets, namespace: pod.namespace, name: owner.name))
        case ResourceTypes.replicaSets.kind:
            let key = ObjectKey(ResourceTypes.replicaSets, namespace: pod.namespace, name: owner.name)
            guard let set = state.get(key) else { return nil }
            guard let above = set.controller, above.kind == ResourceTypes.deployments.kind else { return set }
            return state.get(ObjectKey(ResourceTypes.deployments, namespace: pod.namespace, name: above.name)) ?? set
        default: return nil
        }
    }

    /// The evicted pods that are still to go, and seconds until one of them is given up.
    private func remembered(
        _ budget: Object,
        _ pods: [Object],
        _ now: Timestamp
    ) -> (pods: [String: Timestamp], wait: Int?) {
        let present = Set(pods.filter { !$0.isDeleting }.map(\.name))
        var kept: [String: Timestamp] = [:]
        var wait: Int?
        for (name, text) in budget.status.textMap("disruptedPods") {
            guard present.contains(name), let time = Timestamp(text) else { continue }
            let left = Self.patience - now.seconds(since: time)
            guard left > 0, left <= Self.patience else {
                cluster.events.record(
                    budget,
                    .warning,
                    reason: "NotDeleted",
                    message: "Pod \(name) was expected to be deleted by its eviction but it wasn't",
                    component: Self.component
                )
                continue
            }
            kept[name] = time
            wait = min(wait ?? left, left)
        }
        return (kept, wait)
    }
}
