package import Resources
import Store
import Wire

/// Keeps a StatefulSet's pods: each with its number, its name, its claims, in order.
package struct StatefulSetReconciler: Reconciler {
    static let component = "statefulset-controller"
    private static let nameLabel = "statefulset.kubernetes.io/pod-name"
    private static let indexLabel = "apps.kubernetes.io/pod-index"

    package let name = "statefulset"
    let cluster: Cluster

    package init(_ cluster: Cluster) { self.cluster = cluster }

    package func keys(for change: Change, in state: borrowing ClusterState) -> [ObjectKey] {
        switch change.key.type {
        case ResourceTypes.statefulSets: return [change.key]
        case ResourceTypes.pods:
            return change.owners(of: ResourceTypes.statefulSets, in: state) { StatefulSetSpec($0.spec).selector }
        case ResourceTypes.volumeClaims where change.new == nil:
            // A claim that is gone is made again before its pod is.
            let sets = state.list(ResourceTypes.statefulSets, namespace: change.key.namespace)
            return sets.filter { !$0.spec.list("volumeClaimTemplates").isEmpty }.compactMap(\.key)
        default: return []
        }
    }

    package func reconcile(_ key: ObjectKey) async throws(APIError) -> Int? {
        guard let set = await cluster.get(key), !set.isDeleting else { return nil }
        let spec = StatefulSetSpec(set.spec)
        let crew = PodCrew(cluster: cluster, owner: set, component: Self.component)
        try await adoptAndRelease(crew, spec.selector)
        let history = RevisionHistory(cluster: cluster, owner: set)
        let update = try await history.current()
        let revisions = await history.all()
        let named = set.status.text("currentRevision")
        let current = revisions.first { $0.name == named } ?? update
        let view = StatefulSetView(set, pods: await pods(of: set), now: cluster.now())
        var arithmetic = StatefulSetArithmetic(
            replicas: spec.replicas,
            currentRevision: current.name,
            updateRevision: update.name
        )
        arithmetic.start = spec.start
        arithmetic.isParallel = spec.isParallel
        arithmetic.updatesOnDelete = spec.updatesOnDelete
        arithmetic.partition = spec.partition
        arithmetic.maxUnavailable = spec.maxUnavailable
        try await keepClaims(set, spec, view)
        var failure: APIError?
        do {
            for step in arithmetic.steps(view.arithmeticPods) {
                try await take(step, set, spec, view, crew, current: current, update: update)
            }
        } catch {
            failure = error
        }
        try await writeStatus(key, spec, current: current, update: update)
        let used = Set(view.pods.compactMap { $0.label(RevisionHistory.label) }).union([current.name, update.name])
        try await history.forget(keeping: spec.revisionHistoryLimit, used: used)
        if let failure { throw failure }
        return view.nextAvailable.map { $0 * 1000 + 50 }
    }

    private func pods(of set: Object) async -> [Object] {
        await cluster.read { $0.controlled(by: set.uid, ResourceTypes.pods) }
    }

    /// Only pods with a name of the set can be its own.
    private func adoptAndRelease(_ crew: PodCrew, _ selector: LabelSelector) async throws(APIError) {
        let owner = crew.owner
        let foreign = await cluster.read { state in
            state.list(ResourceTypes.pods, namespace: owner.namespace).contains { pod in
                pod.controller == nil && selector.matches(pod) && StatefulSetView.ordinal(of: pod, in: owner) == nil
            }
        }
        guard !foreign else { return }
        try await crew.adoptAndRelease(selector)
    }

    // MARK: Steps

    private func take(
        _ step: StatefulSetArithmetic.Step,
        _ set: Object,
        _ spec: StatefulSetSpec,
        _ view: StatefulSetView,
        _ crew: PodCrew,
        current: Object,
        update: Object
    ) async throws(APIError) {
        switch step {
        case .create(let ordinal, let revision):
            try await makeClaims(set, spec, ordinal)
            let source = revision == current.name ? current : update
            try await create(pod(set, spec, ordinal, source, crew), crew)
        case .replace(let ordinal):
            guard let pod = view.pod(ordinal) else { return }
            if view.hasEnded(pod) {
                crew.tell(
                    .warning,
                    "RecreatingFailedPod",
                    "StatefulSet \(set.namespace)/\(set.name) is recreating failed Pod \(pod.name)"
                )
            }
            try await delete(pod, set, crew)
        case .remove(let ordinal):
            guard let pod = view.pod(ordinal) else { return }
            if spec.deletesClaimsWithPods { try await tie(set, spec, ordinal, to: pod) }
            try await delete(pod, set, crew)
        }
    }

    private func create(_ pod: Object, _ crew: PodCrew) async throws(APIError) {
        let what = "create Pod \(pod.name) in StatefulSet \(crew.owner.name)"
        do {
            _ = try await cluster.create(pod)
            crew.tell(.normal, "SuccessfulCreate", "\(what) successful")
        } catch {
            crew.tell(.warning, "FailedCreate", "\(what) failed error: \(error.message)")
            throw error
        }
    }

    private func delete(_ pod: Object, _ set: Object, _ crew: PodCrew) async throws(APIError) {
        let key = ObjectKey(ResourceTypes.pods, namespace: pod.namespace, name: pod.name)
        try await cluster.delete(key, DeleteOptions(uid: pod.uid))
        crew.tell(.normal, "SuccessfulDelete", "delete Pod \(pod.name) in StatefulSet \(set.name) successful")
    }

    private func pod(
        _ set: Object,
        _ spec: StatefulSetSpec,
        _ ordinal: Int,
        _ revision: Object,
        _ crew: PodCrew
    ) -> Object {
        let name = "\(set.name)-\(ordinal)"
        var pod = crew.pod(of: RevisionHistory.template(of: revision), name: name)
        for (label, text) in [
            (Self.nameLabel, name), (Self.indexLabel, "\(ordinal)"), (RevisionHistory.label, revision.name),
        ] { pod.value.set(["metadata", "labels", label], .string(text)) }
        pod.value.set(["spec", "hostname"], .string(name))
        if !spec.serviceName.isEmpty { pod.value.set(["spec", "subdomain"], .string(spec.serviceName)) }
        let claims = Self.claims(set, spec, ordinal)
        guard !claims.isEmpty else { return pod }
        let own = Set(claims.map(\.volume))
        let others = pod.spec.list("volumes").filter { !own.contains($0.text("name") ?? "") }
        let volumes: [Value] = claims.map { claim in
            ["name": .string(claim.volume), "persistentVolumeClaim": ["claimName": .string(claim.name)]]
        }
        pod.value.set(["spec", "volumes"], .array(others + volumes))
        return pod
    }
}
