package import Resources
import Store
import Wire

/// Keeps one pod of a DaemonSet on this machine, if the machine is one that its pods ask for.
package struct DaemonSetReconciler: Reconciler {
    private static let component = "daemonset-controller"
    /// Seconds after the end of a failed pod until it is made anew, and for one that had lived for a minute.
    private static let failureWait = (young: 10, old: 1)

    package let name = "daemonset"
    private let cluster: Cluster

    package init(_ cluster: Cluster) { self.cluster = cluster }

    package func keys(for change: Change, in state: borrowing ClusterState) -> [ObjectKey] {
        switch change.key.type {
        case ResourceTypes.daemonSets: return [change.key]
        case ResourceTypes.pods:
            return change.owners(of: ResourceTypes.daemonSets, in: state) { DaemonSetSpec($0.spec).selector }
        case ResourceTypes.nodes:
            guard
                change.old?.metadata["labels"] != change.new?.metadata["labels"] || change.old?.spec != change.new?.spec
            else { return [] }
            return state.list(ResourceTypes.daemonSets).compactMap(\.key)
        default: return []
        }
    }

    package func reconcile(_ key: ObjectKey) async throws(APIError) -> Int? {
        guard let set = await cluster.get(key), !set.isDeleting else { return nil }
        let spec = DaemonSetSpec(set.spec)
        let crew = PodCrew(cluster: cluster, owner: set, component: Self.component)
        try await crew.adoptAndRelease(spec.selector)
        let history = RevisionHistory(cluster: cluster, owner: set)
        let revision = try await history.current()
        let hash = RevisionHistory.hash(of: revision)
        let template = Self.template(set)
        let node = await cluster.get(ObjectKey(ResourceTypes.nodes, name: PodBinder.nodeName))
        let problem = node.map { NodeFit.problem(template["spec"] ?? .null, on: $0) } ?? "there is no node"
        let arithmetic = DaemonArithmetic(
            belongsHere: problem == nil,
            mayStay: node.map { Self.mayStay(template["spec"] ?? .null, on: $0) } ?? false,
            updatesOnDelete: spec.updatesOnDelete,
            surges: spec.surges
        )
        let pods = await pods(of: set)
        let census = PodCensus(pods, minReadySeconds: spec.minReadySeconds, now: cluster.now())
        let step = arithmetic.step(pods.map { Self.view($0, hash, census) })
        var wait = census.nextAvailable.map { $0 * 1000 + 50 }
        for name in step.deletes {
            guard let pod = pods.first(where: { $0.name == name }) else { continue }
            guard let left = waitForFailed(pod) else {
                try await end(pod, crew)
                continue
            }
            wait = min(wait ?? left, left)
        }
        if step.creates {
            var pod = crew.pod(of: template)
            pod.value.set(["metadata", "labels", RevisionHistory.label], .string(hash))
            pod.value.set(["metadata", "labels", "pod-template-generation"], .string("\(set.generation)"))
            try await crew.create([pod])
        }
        try await writeStatus(key, spec, hash, belongsHere: problem == nil)
        let used = Set(pods.compactMap { $0.label(RevisionHistory.label) }).union([revision.name, hash])
        try await history.forget(keeping: spec.revisionHistoryLimit, used: used)
        return wait
    }

    /// Only what ends pods that run already sends a pod of the set away: a machine that was not asked for, or such a taint.
    private static func mayStay(_ pod: Value, on node: Object) -> Bool {
        NodeFit.isChosen(pod, node) && NodeFit.secondsLeft(pod, under: NodeFit.evictingTaints(of: node)) != 0
    }

    private func pods(of set: Object) async -> [Object] {
        await cluster.read { $0.controlled(by: set.uid, ResourceTypes.pods) }
    }

    private func end(_ pod: Object, _ crew: PodCrew) async throws(APIError) {
        if PodStatus(pod.status).phase == "Failed" {
            let what =
                "Found failed daemon pod \(pod.namespace)/\(pod.name) on node \(PodBinder.nodeName), will try to kill it"
            crew.tell(.warning, "FailedDaemonPod", what)
        }
        try await crew.delete(pod.name)
    }

    /// Milliseconds until a failed pod may be made anew; nil when it may be now.
    private func waitForFailed(_ pod: Object) -> Int? {
        guard PodStatus(pod.status).phase == "Failed", let made = pod.creationTimestamp else { return nil }
        let ended = PodStatus(pod.status).containerStatuses.compactMap { container -> Timestamp? in
            guard case .terminated(let end)? = container.state else { return nil }
            return end.finishedAt
        }.max()
        guard let ended else { return nil }
        let wait = ended.seconds(since: made) >= 60 ? Self.failureWait.old : Self.failureWait.young
        let left = wait - max(0, cluster.now().seconds(since: ended))
        return left > 0 ? left * 1000 + 50 : nil
    }

    private static func view(_ pod: Object, _ hash: String, _ census: PodCensus) -> DaemonArithmetic.Pod {
        let phase = PodStatus(pod.status).phase
        return DaemonArithmetic.Pod(
            pod.name,
            isNew: pod.label(RevisionHistory.label) == hash,
            isEnding: pod.isDeleting,
            hasFailed: phase == "Failed" || phase == "Succeeded",
            isAvailable: census.isAvailable(pod),
            created: pod.metadata.text("creationTimestamp") ?? ""
        )
    }

    /// The template with the tolerations that pods of every DaemonSet have.
    private static func template(_ set: Object) -> Value {
        var template = set.spec["template"] ?? .null
        let usual: [Value] = [
            ("not-ready", "NoExecute"), ("unreachable", "NoExecute"), ("disk-pressure", "NoSchedule"),
            ("memory-pressure", "NoSchedule"), ("pid-pressure", "NoSchedule"), ("unschedulable", "NoSchedule"),
        ].map { name, effect in
            ["key": .string("node.kubernetes.io/\(name)"), "operator": "Exists", "effect": .string(effect)]
        }
        let given = template["spec"]?.list("tolerations") ?? []
        template.set(["spec", "tolerations"], .array(given + usual.filter { !given.contains($0) }))
        return template
    }

    private func writeStatus(
        _ key: ObjectKey,
        _ spec: DaemonSetSpec,
        _ hash: String,
        belongsHere: Bool
    ) async throws(APIError) {
        guard let set = await cluster.get(key) else { return }
        let census = PodCensus(await pods(of: set), minReadySeconds: spec.minReadySeconds, now: cluster.now())
        let isHere = !census.active.isEmpty
        // One machine: every number is 0 or 1, of the best pod there is.
        func flag(_ isTrue: Bool) -> Int { isTrue ? 1 : 0 }
        let new = census.active.filter { $0.label(RevisionHistory.label) == hash }
        let numbers: [(String, Int?)] = [
            ("currentNumberScheduled", flag(belongsHere && isHere)),
            ("numberMisscheduled", flag(!belongsHere && isHere)),
            ("desiredNumberScheduled", flag(belongsHere)), ("numberReady", flag(belongsHere && census.ready > 0)),
            ("updatedNumberScheduled", flag(belongsHere && !new.isEmpty)),
            ("numberAvailable", flag(belongsHere && census.available > 0)),
            ("numberUnavailable", flag(belongsHere && census.available == 0)),
        ]
        let always = ["currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"]
        var status = set.status.isNull ? [:] : set.status
        status["observedGeneration"] = .int(Int64(set.generation))
        for (name, number) in numbers {
            let number = number ?? 0
            status[name] = number > 0 || always.contains(name) ? .int(Int64(number)) : nil
        }
        var written = set
        written.status = status
        try await cluster.updateStatus(written, from: set)
    }
}
