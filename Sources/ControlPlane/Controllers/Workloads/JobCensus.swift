import Resources
import Wire

/// The pods of a Job and what became of them, together with what the Job's status remembers.
///
/// A pod holds a finalizer until its end is counted. Counting takes two steps, so that a crash in between counts nothing
/// twice: its uid is written into `uncountedTerminatedPods`, then the finalizer goes, then the uid becomes a number.
struct JobCensus {
    let job: Object
    let spec: JobSpec
    /// Neither ended nor ending.
    private(set) var active: [Object] = []
    private(set) var ready = 0
    /// Ending, and not ended.
    private(set) var ending: [Object] = []
    /// Everything of the Job that has an end time, counted or not: for the wait after failures.
    private(set) var failureTimes: [Timestamp] = []
    private(set) var successTimes: [Timestamp] = []

    /// Numbers and uids as the status is to say them.
    private(set) var succeededCount: Int
    private(set) var failedCount: Int
    private(set) var uncountedSucceeded: [String] = []
    private(set) var uncountedFailed: [String] = []
    /// Of an Indexed Job.
    private(set) var succeededIndexes = IndexRanges()
    private(set) var failedIndexes = IndexRanges()
    /// Pods whose finalizer may go once the status is written.
    private var counted: [Object] = []
    /// How often each index failed so far.
    private(set) var failuresByIndex: [Int: Int] = [:]
    /// When each index failed last.
    private(set) var lastFailureByIndex: [Int: Timestamp] = [:]
    /// The message of a rule `FailJob` that a pod met.
    private(set) var failJobMessage: String?

    /// Uids that wait at once; the rest waits for its turn.
    private static let uncountedLimit = 500

    init(_ job: Object, pods: [Object], now: Timestamp) {
        self.job = job
        spec = JobSpec(job.spec)
        let status = JobStatus(job.status)
        (succeededCount, failedCount) = (status.succeeded, status.failed)
        let completions = spec.completions ?? 0
        if spec.isIndexed {
            succeededIndexes =
                IndexRanges(text: status.value.text("completedIndexes") ?? "", below: completions)
                ?? IndexRanges()
            failedIndexes =
                IndexRanges(text: status.value.text("failedIndexes") ?? "", below: completions)
                ?? IndexRanges()
        }
        settle(status, pods)
        for pod in pods.sorted(by: { $0.uid < $1.uid }) { take(pod, now) }
        if spec.isIndexed { succeededCount = succeededIndexes.count }
    }

    /// Uids whose pods let go of the finalizer become numbers.
    private mutating func settle(_ status: JobStatus, _ pods: [Object]) {
        let holding = Set(pods.lazy.filter { $0.finalizers.contains(JobLabels.finalizer) }.map(\.uid))
        let uncounted = status.value["uncountedTerminatedPods"] ?? .null
        for uid in uncounted.texts("succeeded") {
            if holding.contains(uid) { uncountedSucceeded.append(uid) } else { succeededCount += 1 }
        }
        for uid in uncounted.texts("failed") {
            if holding.contains(uid) { uncountedFailed.append(uid) } else { failedCount += 1 }
        }
    }

    static func index(of pod: Object) -> Int? { pod.annotation(JobLabels.index).flatMap(Int.init) }

    private mutating func take(_ pod: Object, _ now: Timestamp) {
        let phase = PodStatus(pod.status).phase
        let isGone = pod.isDeleting && pod.deletionGracePeriodSeconds == 0
        let hasFailed = phase == "Failed" || (isGone && phase != "Succeeded")
        if phase == "Succeeded" {
            successTimes.append(Self.end(of: pod) ?? now)
            count(success: pod)
        } else if hasFailed {
            count(failure: pod, now)
        } else if pod.isDeleting {
            ending.append(pod)
            // One that was dismissed as too many has no finalizer any more, and counts as nothing.
            let isCounted = pod.finalizers.contains(JobLabels.finalizer)
            if isCounted, !spec.replacesOnlyEnded { count(failure: pod, now) }
        } else {
            active.append(pod)
            if PodStatus(pod.status).isReady { ready += 1 }
        }
    }

    private mutating func count(success pod: Object) {
        guard pod.finalizers.contains(JobLabels.finalizer) else { return }
        guard !spec.isIndexed else {
            // The index alone says it: no pod is counted twice.
            if let index = Self.index(of: pod), index < spec.completions ?? 0 {
                succeededIndexes = succeededIndexes.union([index])
            }
            counted.append(pod)
            return
        }
        if !uncountedSucceeded.contains(pod.uid) {
            guard uncountedSucceeded.count + uncountedFailed.count < Self.uncountedLimit else { return }
            uncountedSucceeded.append(pod.uid)
        }
        counted.append(pod)
    }

    private mutating func count(failure pod: Object, _ now: Timestamp) {
        let verdict = PodFailureVerdict(spec.failureRules, pod: pod)
        if verdict.action == .failJob { failJobMessage = failJobMessage ?? verdict.message }
        guard verdict.action != .ignore else {
            if pod.finalizers.contains(JobLabels.finalizer) { counted.append(pod) }
            return
        }
        let time = Self.end(of: pod) ?? pod.deletionTimestamp.map { min($0, now) } ?? now
        failureTimes.append(time)
        var keepsForIndex = false
        if let limit = spec.backoffLimitPerIndex, let index = Self.index(of: pod) {
            let failures = Self.failures(of: pod) + 1
            let known = failuresByIndex[index] ?? 0
            failuresByIndex[index] = max(known, failures)
            lastFailureByIndex[index] = max(lastFailureByIndex[index] ?? time, time)
            if failures > limit || verdict.action == .failIndex {
                failedIndexes = failedIndexes.union([index])
            } else {
                keepsForIndex = true
            }
        }
        guard pod.finalizers.contains(JobLabels.finalizer) else { return }
        if !uncountedFailed.contains(pod.uid) {
            guard uncountedSucceeded.count + uncountedFailed.count < Self.uncountedLimit else { return }
            uncountedFailed.append(pod.uid)
        }
        // Until its index runs again the pod tells how often it failed.
        if keepsForIndex { held.append(pod) } else { counted.append(pod) }
    }

    /// Failed pods that their index still needs.
    private var held: [Object] = []

    /// The pods that may let go of their finalizer: what they tell stands in the status, or in a successor.
    ///
    /// - Parameter isEnding: the Job is about to end, and no index will be tried again.
    /// - Returns: pods as they were seen.
    func released(isEnding: Bool) -> [Object] {
        let successors = Dictionary(
            active.compactMap { pod in Self.index(of: pod).map { ($0, Self.failures(of: pod)) } },
            uniquingKeysWith: max
        )
        return counted
            + held.filter { pod in
                guard !isEnding, let index = Self.index(of: pod) else { return true }
                let failures = Self.failures(of: pod) + 1
                return (successors[index] ?? -1) >= failures || (failuresByIndex[index] ?? 0) > failures
                    || succeededIndexes.contains(index) || failedIndexes.contains(index)
            }
    }

    /// How often the index of a pod had failed when the pod was made.
    private static func failures(of pod: Object) -> Int {
        min(max(pod.annotation(JobLabels.indexFailures).flatMap(Int.init) ?? 0, 0), Int(Int32.max))
    }

    /// Successes, whether they are numbers already or not.
    var succeeded: Int { spec.isIndexed ? succeededIndexes.count : succeededCount + uncountedSucceeded.count }
    var failed: Int { failedCount + uncountedFailed.count }
    var hasUncounted: Bool { !uncountedSucceeded.isEmpty || !uncountedFailed.isEmpty }

    /// Restarts of containers of the pods that run, for the limit of Jobs whose pods restart by themselves.
    var restarts: Int {
        active.reduce(0) { sum, pod in
            let status = PodStatus(pod.status)
            return sum + (status.containerStatuses + status.initContainerStatuses).reduce(0) { $0 + $1.restartCount }
        }
    }

    /// When the last container of a pod ended.
    private static func end(of pod: Object) -> Timestamp? {
        PodStatus(pod.status).containerStatuses.compactMap { container -> Timestamp? in
            guard case .terminated(let end)? = container.state else { return nil }
            return end.finishedAt
        }.max()
    }
}
