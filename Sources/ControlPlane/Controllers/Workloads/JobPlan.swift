import Resources
import Wire

/// What is to become of a Job: whether it goes on, is about to end, or has ended, with the conditions that say so.
struct JobPlan {
    let census: JobCensus
    let now: Timestamp
    let arithmetic: JobArithmetic
    private(set) var conditions: [Condition]
    /// Events to tell once the status is written: severity, reason, message.
    private(set) var events: [(isWarning: Bool, reason: String, message: String)] = []
    /// Seconds until the Job's time is over.
    private(set) var deadlineLeft: Int?
    /// When it began, or begins anew after a suspension.
    private(set) var startTime: Timestamp?

    init(_ census: JobCensus, now: Timestamp) {
        self.census = census
        self.now = now
        let spec = census.spec
        let status = JobStatus(census.job.status)
        conditions = status.conditions
        startTime = status.startTime
        arithmetic = JobArithmetic(
            parallelism: spec.parallelism,
            completions: spec.completions,
            succeeded: census.succeeded,
            active: census.active.count,
            ending: spec.replacesOnlyEnded ? census.ending.count : 0,
            failedIndexes: census.failedIndexes.count
        )
    }

    private func has(_ type: String) -> Condition? { conditions.first { $0.type == type && $0.isTrue } }

    /// The Job is over, as soon as its pods are.
    var isEnding: Bool { has("FailureTarget") != nil || has("SuccessCriteriaMet") != nil }
    /// `Complete` or `Failed`.
    var isOver: Bool { has("Complete") != nil || has("Failed") != nil }

    mutating func judge() {
        suspend()
        if !isEnding { decide() }
        guard isEnding, census.active.isEmpty, census.ending.isEmpty, !census.hasUncounted else { return }
        if let failure = has("FailureTarget") {
            set("Failed", failure.reason, failure.message)
            events.append((true, failure.reason, failure.message))
        } else if let success = has("SuccessCriteriaMet") {
            set("Complete", success.reason, success.message)
            events.append((false, "Completed", "Job completed"))
        }
    }

    private mutating func suspend() {
        let isMarked = has("Suspended") != nil
        if census.spec.isSuspended {
            guard !isMarked else { return }
            set("Suspended", "JobSuspended", "Job suspended")
            events.append((false, "Suspended", "Job suspended"))
        } else {
            if isMarked {
                set("Suspended", "JobResumed", "Job resumed", isTrue: false)
                events.append((false, "Resumed", "Job resumed"))
                startTime = now
            }
            startTime = startTime ?? now
        }
    }

    private mutating func decide() {
        let spec = census.spec
        if let message = census.failJobMessage { return fail("PodFailurePolicy", message) }
        if census.failed > spec.backoffLimit || isPastRestarts {
            return fail("BackoffLimitExceeded", "Job has reached the specified backoff limit")
        }
        if let seconds = spec.activeDeadlineSeconds, !spec.isSuspended, let startTime {
            let left = seconds - now.seconds(since: startTime)
            guard left > 0 else { return fail("DeadlineExceeded", "Job was active longer than specified deadline") }
            deadlineLeft = left
        }
        if spec.isIndexed, let completions = spec.completions {
            let failed = census.failedIndexes.count
            if let limit = spec.maxFailedIndexes, failed > limit {
                let why = "Job has exceeded the specified maximal number of failed indexes"
                return fail("MaxFailedIndexesExceeded", why)
            }
            if failed > 0, failed + census.succeeded >= completions {
                return fail("FailedIndexes", "Job has failed indexes")
            }
            if let rule = JobSuccess.rule(
                spec.successRules,
                succeeded: census.succeededIndexes,
                completions: completions
            ) {
                return set("SuccessCriteriaMet", "SuccessPolicy", "Matched rules at index \(rule)")
            }
        }
        guard !spec.isSuspended || spec.completions == nil || spec.completions == census.succeeded else { return }
        if arithmetic.isComplete {
            set("SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods")
        }
    }

    /// Pods that restart by themselves fail by their restarts.
    private var isPastRestarts: Bool {
        guard census.spec.template.spec.restartPolicy == "OnFailure" else { return false }
        let limit = census.spec.backoffLimit
        return limit == 0 ? census.restarts > 0 : census.restarts >= limit
    }

    private mutating func fail(_ reason: String, _ message: String) { set("FailureTarget", reason, message) }

    private mutating func set(_ type: String, _ reason: String, _ message: String, isTrue: Bool = true) {
        let time = Value.string(now.description)
        conditions.set(
            Condition([
                "type": .string(type), "status": isTrue ? "True" : "False", "lastProbeTime": time,
                "lastTransitionTime": time, "reason": .string(reason), "message": .string(message),
            ])
        )
    }

    /// The status that says all this.
    func status(over old: Value) -> Value {
        var status = old.isNull ? [:] : old
        func count(_ name: String, _ number: Int) { status[name] = number > 0 ? .int(Int64(number)) : nil }
        count("active", census.active.count)
        count("succeeded", census.succeededCount)
        count("failed", census.failedCount)
        status["ready"] = .int(Int64(census.ready))
        status["terminating"] = .int(Int64(census.ending.count))
        status["startTime"] = startTime.map { .string($0.description) }
        if has("Complete") != nil { status["completionTime"] = .string(now.description) }
        var uncounted: Value = [:]
        func uids(_ list: [String]) -> Value? { list.isEmpty ? nil : .array(list.map(Value.string)) }
        uncounted["succeeded"] = uids(census.uncountedSucceeded)
        uncounted["failed"] = uids(census.uncountedFailed)
        status["uncountedTerminatedPods"] = uncounted
        if census.spec.isIndexed {
            let done = census.succeededIndexes
            status["completedIndexes"] = done.isEmpty ? nil : .string(done.description)
            if census.spec.backoffLimitPerIndex != nil {
                status["failedIndexes"] = .string(census.failedIndexes.description)
            }
        }
        status["conditions"] = conditions.isEmpty ? nil : .array(conditions.map(\.value))
        return status
    }
}

extension JobReconciler {
    func writeStatus(_ plan: JobPlan, _ crew: PodCrew) async throws(APIError) {
        var updated = plan.census.job
        updated.status = plan.status(over: updated.status)
        try await cluster.updateStatus(updated, from: plan.census.job)
        for event in plan.events { crew.tell(event.isWarning ? .warning : .normal, event.reason, event.message) }
    }
}
