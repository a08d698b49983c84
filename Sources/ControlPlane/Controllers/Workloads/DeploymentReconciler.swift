package import Resources
import Store
import Wire

/// Rolls a Deployment's template out over ReplicaSets, and says how far it got.
///
/// One direction per step: the new ReplicaSet grows first; when it may not, the old ones shrink. The change of pods that
/// follows calls for the next step.
package struct DeploymentReconciler: Reconciler {
    package let name = "deployment"
    let cluster: Cluster

    package init(_ cluster: Cluster) { self.cluster = cluster }

    package func keys(for change: Change, in state: borrowing ClusterState) -> [ObjectKey] {
        switch change.key.type {
        case ResourceTypes.deployments: return [change.key]
        case ResourceTypes.replicaSets:
            var names = Set([change.old, change.new].compactMap { owner(of: $0) })
            if let set = change.new, set.controller == nil {
                for deployment in state.list(ResourceTypes.deployments, namespace: set.namespace)
                where DeploymentSpec(deployment.spec).selector.matches(set) {
                    names.insert(deployment.name)
                }
            }
            return names.map { ObjectKey(ResourceTypes.deployments, namespace: change.key.namespace, name: $0) }
        case ResourceTypes.pods:
            guard let owner = change.latest?.controller, owner.kind == "ReplicaSet" else { return [] }
            let key = ObjectKey(ResourceTypes.replicaSets, namespace: change.key.namespace, name: owner.name)
            guard let name = self.owner(of: state.get(key)) else { return [] }
            return [ObjectKey(ResourceTypes.deployments, namespace: change.key.namespace, name: name)]
        default: return []
        }
    }

    private func owner(of set: Object?) -> String? {
        guard let owner = set?.controller, owner.kind == "Deployment" else { return nil }
        return owner.name
    }

    package func reconcile(_ key: ObjectKey) async throws(APIError) -> Int? {
        guard let deployment = await cluster.get(key) else { return nil }
        if !deployment.isDeleting {
            try await adoptAndRelease(deployment)
            let rollout = await view(of: deployment)
            if rollout.spec.paused || rollout.wasScaled {
                try await scale(rollout)
            } else if rollout.spec.strategyType == "Recreate" {
                try await recreate(rollout)
            } else {
                try await roll(rollout)
            }
        }
        guard let latest = await cluster.get(key), latest.uid == deployment.uid else { return nil }
        return try await writeStatus(await view(of: latest))
    }

    /// Everything a step needs to know.
    private func view(of deployment: Object) async -> Rollout {
        let now = cluster.now()
        return await cluster.read { Rollout(deployment, in: $0, now: now) }
    }

    private func adoptAndRelease(_ deployment: Object) async throws(APIError) {
        let selector = DeploymentSpec(deployment.spec).selector
        guard !selector.isEmpty else { return }
        let (orphans, strangers) = await cluster.read { state in
            (
                state.list(ResourceTypes.replicaSets, namespace: deployment.namespace).filter {
                    $0.controller == nil && !$0.isDeleting && selector.matches($0)
                },
                state.controlled(by: deployment.uid, ResourceTypes.replicaSets).filter {
                    !$0.isDeleting && !selector.matches($0)
                }
            )
        }
        let adopts = orphans.isEmpty ? false : await cluster.mayAdopt(deployment)
        for var set in orphans where adopts {
            set.ownerReferences.append(OwnerReference(to: deployment))
            try await cluster.replace(set)
        }
        for var set in strangers {
            set.ownerReferences.removeAll { $0.uid == deployment.uid }
            try await cluster.replace(set)
        }
    }

    // MARK: Steps

    private func roll(_ rollout: Rollout) async throws(APIError) {
        let rollout = try await withNewSet(rollout, initialReplicas: nil)
        guard let new = rollout.new else { return }
        let wanted = rollout.arithmetic.newSize(current: rollout.size(of: new), old: rollout.old.map(rollout.size))
        if wanted != rollout.size(of: new).desired {
            try await resize(new, to: wanted, in: rollout)
            return
        }
        let shrinking = rollout.arithmetic.shrink(current: rollout.size(of: new), old: rollout.old.map(rollout.size))
        for scaling in shrinking {
            guard let set = rollout.old.first(where: { $0.name == scaling.name }) else { continue }
            try await resize(set, to: scaling.to, in: rollout)
        }
        if shrinking.isEmpty, rollout.isComplete { try await forgetHistory(rollout) }
    }

    private func recreate(_ rollout: Rollout) async throws(APIError) {
        let running = rollout.old.filter { rollout.size(of: $0).desired > 0 }
        if !running.isEmpty {
            for set in running { try await resize(set, to: 0, in: rollout) }
            return
        }
        // The old pods must be gone, not only ending: two versions never run at the same time.
        guard !rollout.hasOldPods else { return }
        let rollout = try await withNewSet(rollout, initialReplicas: rollout.spec.replicas)
        guard let new = rollout.new else { return }
        if rollout.size(of: new).desired != rollout.spec.replicas {
            try await resize(new, to: rollout.spec.replicas, in: rollout)
        } else if rollout.isComplete {
            try await forgetHistory(rollout)
        }
    }

    /// Scaling without a rollout: the Deployment is paused, or its size was changed in the middle of one.
    private func scale(_ rollout: Rollout) async throws(APIError) {
        let active = rollout.sets.filter { rollout.size(of: $0).desired > 0 }
        let single = active.count == 1 ? active.first : active.isEmpty ? rollout.new ?? rollout.sets.last : nil
        if let single {
            try await resize(single, to: rollout.spec.replicas, in: rollout)
            return
        }
        if let new = rollout.new, rollout.size(of: new).available >= rollout.spec.replicas,
            rollout.size(of: new).desired == rollout.spec.replicas
        {
            for set in rollout.old where rollout.size(of: set).desired > 0 {
                try await resize(set, to: 0, in: rollout)
            }
            return
        }
        guard rollout.spec.strategyType == "RollingUpdate" else { return }
        let scalings = rollout.arithmetic.proportional(active.map(rollout.size))
        for set in active {
            let wanted = scalings.first { $0.name == set.name }?.to ?? rollout.size(of: set).desired
            try await resize(set, to: wanted, in: rollout)
        }
    }

    /// The rollout with a ReplicaSet for its template: the one there is (with the revision brought up to date), or a new one.
    private func withNewSet(_ rollout: Rollout, initialReplicas: Int?) async throws(APIError) -> Rollout {
        let deployment = rollout.deployment
        let revision = rollout.nextRevision
        if let set = rollout.new {
            let annotated = rollout.annotated(set, revision: revision)
            if annotated != set { try await cluster.replace(annotated) }
        } else {
            let replicas =
                initialReplicas
                ?? rollout.arithmetic.newSize(
                    current: ReplicaSetSize(name: "", desired: 0, existing: 0, available: 0),
                    old: rollout.old.map(rollout.size)
                )
            try await createSet(rollout, replicas: replicas, revision: revision)
        }
        var current = await cluster.get(rollout.key) ?? deployment
        if current.annotation(Rollout.revisionAnnotation) != String(revision) {
            current.annotations[Rollout.revisionAnnotation] = String(revision)
            current = try await cluster.replace(current)
        }
        return await view(of: current)
    }

    private func createSet(_ rollout: Rollout, replicas: Int, revision: Int) async throws(APIError) {
        let set = rollout.makeSet(replicas: replicas, revision: revision)
        do {
            let created = try await cluster.create(set)
            tellScaling(rollout, created, from: 0, to: replicas)
        } catch {
            guard error.reason == .alreadyExists else { throw error }
            // Another template has the same hash, or somebody else's ReplicaSet the same name: take another name.
            let key = ObjectKey(ResourceTypes.replicaSets, namespace: set.namespace, name: set.name)
            let present = try await cluster.store.get(key)
            guard present.controller?.uid != rollout.deployment.uid else { return }
            var updated = rollout.deployment
            let collisions = min(max(updated.status.integer("collisionCount") ?? 0, 0), 1_000_000)
            updated.value.set(["status", "collisionCount"], .int(Int64(collisions + 1)))
            try await cluster.updateStatus(updated, from: rollout.deployment)
            throw error
        }
    }

    /// Gives a ReplicaSet its new size and the annotations that later proportional scaling needs.
    private func resize(_ set: Object, to replicas: Int, in rollout: Rollout) async throws(APIError) {
        let from = ReplicaSetSpec(set.spec).replicas
        var updated = set
        updated.value.set(["spec", "replicas"], .int(Int64(replicas)))
        updated.annotations.merge(rollout.sizeAnnotations) { $1 }
        guard updated != set else { return }
        let written = try await cluster.replace(updated)
        if from != replicas { tellScaling(rollout, written, from: from, to: replicas) }
    }

    private func tellScaling(_ rollout: Rollout, _ set: Object, from: Int, to: Int) {
        guard from != to else { return }
        cluster.events.record(
            rollout.deployment,
            .normal,
            reason: "ScalingReplicaSet",
            message: "Scaled \(to > from ? "up" : "down") replica set \(set.name) from \(from) to \(to)",
            component: "deployment-controller"
        )
    }

    /// Deletes the oldest emptied ReplicaSets beyond the history that the Deployment keeps.
    private func forgetHistory(_ rollout: Rollout) async throws(APIError) {
        let empty = rollout.old.filter { rollout.size(of: $0).desired == 0 && rollout.podCount(of: $0) == 0 }
            .sorted { Rollout.revision(of: $0) < Rollout.revision(of: $1) }
        for set in empty.prefix(max(0, empty.count - rollout.spec.revisionHistoryLimit)) {
            let key = ObjectKey(ResourceTypes.replicaSets, namespace: set.namespace, name: set.name)
            try await cluster.delete(key, DeleteOptions(uid: set.uid))
        }
    }
}
