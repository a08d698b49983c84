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
            var names: Set<String> = []
            for pod in [change.old, change.new] {
                if let owner = pod?.controller, owner.kind == "ReplicaSet" { names.insert(owner.name) }
            }
            if let pod = change.new, pod.controller == nil {
                for set in state.list(ResourceTypes.replicaSets, namespace: pod.namespace)
                where ReplicaSetSpec(set.spec).selector.matches(pod) {
                    names.insert(set.name)
                }
            }
            return names.map { ObjectKey(ResourceTypes.replicaSets, namespace: change.key.namespace, name: $0) }
        default: return []
        }
    }

    package func reconcile(_ key: ObjectKey) async throws(APIError) -> Int? {
        guard let set = await cluster.get(key), !set.isDeleting else { return nil }
        let spec = ReplicaSetSpec(set.spec)
        try await adoptAndRelease(set, spec)
        let pods = await cluster.read { $0.controlled(by: set.uid, ResourceTypes.pods) }
        let now = cluster.now()
        let census = PodCensus(pods, minReadySeconds: spec.minReadySeconds, now: now)
        var failure: APIError?
        do {
            try await scale(set, spec, census)
        } catch {
            failure = error
        }
        try await writeStatus(set, spec, failure: failure)
        if let failure { throw failure }
        return census.nextAvailable.map { $0 * 1000 + 50 }
    }

    private func scale(_ set: Object, _ spec: ReplicaSetSpec, _ census: PodCensus) async throws(APIError) {
        let missing = spec.replicas - census.active.count
        if missing > 0 {
            let pod = template(of: set)
            for batch in SlowStart(total: missing) {
                try await create(batch, of: pod, for: set)
            }
        } else if missing < 0 {
            let victims = PodRank.victims(of: census.ranks(now: cluster.now()), count: -missing)
            for name in victims {
                let key = ObjectKey(ResourceTypes.pods, namespace: set.namespace, name: name)
                try await cluster.delete(key)
                cluster.events.record(
                    set,
                    .normal,
                    reason: "SuccessfulDelete",
                    message: "Deleted pod: \(name)",
                    component: "replicaset-controller"
                )
            }
        }
    }

    /// Creates pods side by side, so that the store can write them in one turn.
    private func create(_ count: Int, of pod: Object, for set: Object) async throws(APIError) {
        let results = await withTaskGroup(of: Result<Object, APIError>.self) { group in
            for _ in 0..<count {
                group.addTask {
                    do throws(APIError) { return .success(try await cluster.create(pod)) } catch {
                        return .failure(error)
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        for result in results {
            switch result {
            case .success(let created):
                cluster.events.record(
                    set,
                    .normal,
                    reason: "SuccessfulCreate",
                    message: "Created pod: \(created.name)",
                    component: "replicaset-controller"
                )
            case .failure(let error):
                cluster.events.record(
                    set,
                    .warning,
                    reason: "FailedCreate",
                    message: "Error creating: \(error.message)",
                    component: "replicaset-controller"
                )
                throw error
            }
        }
    }

    private func template(of set: Object) -> Object {
        let template = set.spec["template"] ?? .null
        var metadata: Value = [
            "generateName": .string(String(set.name.prefix(246)) + "-"), "namespace": .string(set.namespace),
        ]
        metadata["labels"] = template["metadata"]?["labels"]
        metadata["annotations"] = template["metadata"]?["annotations"]
        metadata["finalizers"] = template["metadata"]?["finalizers"]
        var pod = Object(["apiVersion": "v1", "kind": "Pod", "metadata": metadata])
        pod.spec = template["spec"] ?? .null
        pod.ownerReferences = [OwnerReference(to: set)]
        return pod
    }

    private func adoptAndRelease(_ set: Object, _ spec: ReplicaSetSpec) async throws(APIError) {
        let selector = spec.selector
        let (orphans, strangers) = await cluster.read { state in
            let orphans = state.list(ResourceTypes.pods, namespace: set.namespace).filter {
                $0.controller == nil && !$0.isDeleting && !selector.isEmpty && selector.matches($0)
                    && !["Succeeded", "Failed"].contains(PodStatus($0.status).phase)
            }
            let strangers = state.controlled(by: set.uid, ResourceTypes.pods).filter {
                !$0.isDeleting && !selector.matches($0)
            }
            return (orphans, strangers)
        }
        for var pod in orphans {
            pod.ownerReferences.append(OwnerReference(to: set))
            try await cluster.replace(pod)
        }
        for var pod in strangers {
            pod.ownerReferences.removeAll { $0.uid == set.uid }
            try await cluster.replace(pod)
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
