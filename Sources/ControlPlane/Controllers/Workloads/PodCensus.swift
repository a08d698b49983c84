import Resources

/// Pods of one owner, counted.
struct PodCensus {
    /// Neither ended nor ending.
    private(set) var active: [Object] = []
    /// Being ended, and still there.
    private(set) var terminating: [Object] = []
    /// Active and ready.
    private(set) var ready = 0
    /// Active and ready for long enough.
    private(set) var available = 0
    private var availableNames: Set<String> = []
    /// Seconds until the next ready pod counts as available.
    private(set) var nextAvailable: Int?

    /// - Parameters:
    ///   - pods: every pod of the owner.
    ///   - minReadySeconds: how long a pod must have been ready to count as available.
    ///   - now: the time of day.
    init(_ pods: [Object], minReadySeconds: Int, now: Timestamp) {
        for pod in pods {
            let status = PodStatus(pod.status)
            if pod.isDeleting {
                terminating.append(pod)
                continue
            }
            guard status.phase != "Succeeded", status.phase != "Failed" else { continue }
            active.append(pod)
            guard status.isReady else { continue }
            ready += 1
            let since = status.conditions.first(ofType: "Ready")?.lastTransitionTime ?? now
            let missing = minReadySeconds - now.seconds(since: since)
            if minReadySeconds == 0 || missing <= 0 {
                available += 1
                availableNames.insert(pod.name)
            } else {
                nextAvailable = min(nextAvailable ?? missing, missing)
            }
        }
    }

    func isAvailable(_ pod: Object) -> Bool { availableNames.contains(pod.name) }

    /// The ranks of the active pods, for choosing which go first.
    func ranks(now: Timestamp) -> [PodRank] {
        active.map { pod in
            let status = PodStatus(pod.status)
            let since = status.conditions.first(ofType: "Ready").flatMap { $0.isTrue ? $0.lastTransitionTime : nil }
            return PodRank(
                name: pod.name,
                isAssigned: PodSpec(pod.spec).nodeName != nil,
                phase: status.phase == "Running" ? .running : status.phase == "Unknown" ? .unknown : .pending,
                isReady: status.isReady,
                deletionCost: pod.annotation("controller.kubernetes.io/pod-deletion-cost").flatMap(Int.init) ?? 0,
                readySiblings: ready,
                secondsReady: since.map { now.seconds(since: $0) },
                restarts: status.containerStatuses.map(\.restartCount).max() ?? 0,
                created: pod.metadata.text("creationTimestamp") ?? ""
            )
        }
    }
}
