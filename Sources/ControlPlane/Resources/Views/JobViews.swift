package import Wire

/// `spec` of a Job.
package struct JobSpec: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    package var parallelism: Int { max(value.integer("parallelism") ?? 1, 0) }
    /// Nil when any success ends the Job.
    package var completions: Int? { value.integer("completions").map { max($0, 0) } }
    package var isIndexed: Bool { value.text("completionMode") == "Indexed" }
    package var backoffLimit: Int { max(value.integer("backoffLimit") ?? 6, 0) }
    package var backoffLimitPerIndex: Int? { value.integer("backoffLimitPerIndex").map { max($0, 0) } }
    package var maxFailedIndexes: Int? { value.integer("maxFailedIndexes").map { max($0, 0) } }
    package var activeDeadlineSeconds: Int? { value.integer("activeDeadlineSeconds").map { max($0, 0) } }
    package var ttlSecondsAfterFinished: Int? { value.integer("ttlSecondsAfterFinished").map { max($0, 0) } }
    package var isSuspended: Bool { value.flag("suspend") }
    package var selector: LabelSelector { LabelSelector(value["selector"] ?? .null) }
    package var template: PodTemplate { PodTemplate(value["template"] ?? .null) }
    /// A pod that is ending is only replaced when it has ended.
    package var replacesOnlyEnded: Bool { value.text("podReplacementPolicy") == "Failed" }
    package var failureRules: [Value] { value["podFailurePolicy"]?.list("rules") ?? [] }
    package var successRules: [Value] { value["successPolicy"]?.list("rules") ?? [] }
    /// Somebody else looks after this Job.
    package var isManagedElsewhere: Bool {
        value.text("managedBy").map { $0 != "kubernetes.io/job-controller" } ?? false
    }
}

/// `status` of a Job.
package struct JobStatus: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    package var succeeded: Int { count("succeeded") }
    package var failed: Int { count("failed") }
    package var active: Int { count("active") }

    /// A number of pods, whatever somebody wrote there.
    private func count(_ name: String) -> Int { min(max(value.integer(name) ?? 0, 0), Int(Int32.max)) }

    package var conditions: [Condition] { value.views("conditions") }
    package var startTime: Timestamp? { value.text("startTime").flatMap(Timestamp.init) }
    package var completionTime: Timestamp? { value.text("completionTime").flatMap(Timestamp.init) }

    /// `Complete` or `Failed` once the Job has ended.
    package var finish: Condition? {
        conditions.first { ($0.type == "Complete" || $0.type == "Failed") && $0.isTrue }
    }
}

/// `spec` of a CronJob.
package struct CronJobSpec: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    package enum Concurrency: String, Sendable { case allow = "Allow", forbid = "Forbid", replace = "Replace" }

    package var schedule: String { value.text("schedule") ?? "" }
    package var timeZone: String? { value.text("timeZone") }
    package var startingDeadlineSeconds: Int? { value.integer("startingDeadlineSeconds").map { max($0, 0) } }
    package var concurrency: Concurrency {
        value.text("concurrencyPolicy").flatMap(Concurrency.init(rawValue:)) ?? .allow
    }
    package var isSuspended: Bool { value.flag("suspend") }
    package var jobTemplate: Value { value["jobTemplate"] ?? .null }
    /// How many ended Jobs are kept; nil keeps all.
    package var successfulHistory: Int? { value.integer("successfulJobsHistoryLimit").map { max($0, 0) } }
    package var failedHistory: Int? { value.integer("failedJobsHistoryLimit").map { max($0, 0) } }
}
