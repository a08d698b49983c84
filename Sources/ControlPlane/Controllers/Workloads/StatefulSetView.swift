import Resources
import Wire

/// A StatefulSet's pods at one moment.
struct StatefulSetView {
    let pods: [Object]
    private let byOrdinal: [Int: Object]
    private(set) var arithmeticPods: [StatefulSetArithmetic.Pod] = []
    /// Seconds until a ready pod counts as available.
    private(set) var nextAvailable: Int?
    /// Pods that are there and not ended, those that are ready, and those that are available.
    private(set) var existing = 0
    private(set) var ready = 0
    private(set) var available = 0
    /// Of them by revision.
    private(set) var byRevision: [String: Int] = [:]

    init(_ set: Object, pods: [Object], now: Timestamp) {
        self.pods = pods
        let wait = StatefulSetSpec(set.spec).minReadySeconds
        var byOrdinal: [Int: Object] = [:]
        for pod in pods.sorted(by: { $0.name < $1.name }) {
            guard let ordinal = Self.ordinal(of: pod, in: set) else { continue }
            byOrdinal[ordinal] = pod
            let status = PodStatus(pod.status)
            let hasEnded = status.phase == "Succeeded" || status.phase == "Failed"
            let isReady = status.phase == "Running" && status.isReady
            let since = status.conditions.first(ofType: "Ready")?.lastTransitionTime ?? now
            let left = wait - now.seconds(since: since)
            let isAvailable = isReady && (wait == 0 || left <= 0)
            if isReady, !isAvailable, !pod.isDeleting { nextAvailable = min(nextAvailable ?? left, left) }
            let revision = pod.label(RevisionHistory.label) ?? ""
            arithmeticPods.append(
                StatefulSetArithmetic.Pod(
                    ordinal,
                    revision,
                    isEnding: pod.isDeleting,
                    hasEnded: hasEnded,
                    isReady: isReady,
                    isAvailable: isAvailable
                )
            )
            guard !hasEnded else { continue }
            existing += 1
            if isReady, !pod.isDeleting { ready += 1 }
            if isAvailable, !pod.isDeleting { available += 1 }
            if !pod.isDeleting { byRevision[revision, default: 0] += 1 }
        }
        self.byOrdinal = byOrdinal
    }

    func pod(_ ordinal: Int) -> Object? { byOrdinal[ordinal] }

    func hasEnded(_ pod: Object) -> Bool { ["Succeeded", "Failed"].contains(PodStatus(pod.status).phase) }

    /// The number at the end of a pod's name; nil when the name is none of the set's.
    static func ordinal(of pod: Object, in set: Object) -> Int? {
        guard pod.name.hasPrefix("\(set.name)-") else { return nil }
        let text = pod.name.dropFirst(set.name.count + 1)
        guard let number = Int(text), number >= 0, "\(number)" == text else { return nil }
        return number
    }
}

extension StatefulSetReconciler {
    func writeStatus(
        _ key: ObjectKey,
        _ spec: StatefulSetSpec,
        current: Object,
        update: Object
    ) async throws(APIError) {
        guard let set = await cluster.get(key) else { return }
        let pods = await cluster.read { $0.controlled(by: set.uid, ResourceTypes.pods) }
        let view = StatefulSetView(set, pods: pods, now: cluster.now())
        var status = set.status.isNull ? [:] : set.status
        let updated = view.byRevision[update.name] ?? 0
        var currentName = current.name
        // The update is through: from now on the new revision is the one to keep.
        if !spec.updatesOnDelete, updated == spec.replicas, view.ready == spec.replicas { currentName = update.name }
        status["observedGeneration"] = .int(Int64(set.generation))
        for (name, number) in [
            ("replicas", view.existing), ("availableReplicas", view.available), ("readyReplicas", view.ready),
            ("currentReplicas", view.byRevision[currentName] ?? 0), ("updatedReplicas", updated),
        ] {
            let isKept = name == "replicas" || name == "availableReplicas"
            status[name] = number > 0 || isKept ? .int(Int64(number)) : nil
        }
        status["currentRevision"] = .string(currentName)
        status["updateRevision"] = .string(update.name)
        status["collisionCount"] = status["collisionCount"] ?? 0
        var written = set
        written.status = status
        try await cluster.updateStatus(written, from: set)
    }
}
