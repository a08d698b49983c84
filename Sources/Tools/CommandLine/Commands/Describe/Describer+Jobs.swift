import Resources
import Wire

// Jobs and CronJobs.
extension Describer {
    func job(_ text: inout Description) async throws {
        let spec = JobSpec(object.spec)
        let status = JobStatus(object.status)
        text.field("Created", moment(object.creationTimestamp))
        text.field("Selector", spec.selector.description)
        labels(&text)
        owner(&text)
        Self.jobSpec(spec, &text)
        if let start = status.startTime { text.field("Start Time", moment(start)) }
        if let end = status.completionTime { text.field("Completed At", moment(end)) }
        if let start = status.startTime, let end = status.completionTime {
            text.field("Duration", HumanDuration.text(seconds: max(end.seconds(since: start), 0)))
        }
        let ready = status.value.integer("ready") ?? 0
        text.field(
            "Pods Statuses",
            "\(status.active) Active (\(ready) Ready) / \(status.succeeded) Succeeded / \(status.failed) Failed"
        )
        if spec.isIndexed {
            text.field("Completed Indexes", status.value.text("completedIndexes") ?? "<none>")
            if let failed = status.value.text("failedIndexes") {
                text.field("Failed Indexes", failed.isEmpty ? "<none>" : failed)
            }
        }
        template(spec.template, &text)
        Self.conditions(status.conditions, &text)
        podTable(try await pods(spec.selector).filter { $0.controller?.uid == object.uid }, &text)
    }

    private static func jobSpec(_ spec: JobSpec, _ text: inout Description) {
        text.field("Parallelism", "\(spec.parallelism)")
        text.field("Completions", spec.completions.map { "\($0)" } ?? "<unset>")
        text.field("Completion Mode", spec.isIndexed ? "Indexed" : "NonIndexed")
        text.field("Suspend", "\(spec.isSuspended)")
        text.field("Backoff Limit", spec.backoffLimitPerIndex.map { "\($0) for each index" } ?? "\(spec.backoffLimit)")
        if let seconds = spec.activeDeadlineSeconds { text.field("Active Deadline Seconds", "\(seconds)s") }
        if let seconds = spec.ttlSecondsAfterFinished { text.field("TTL Seconds After Finished", "\(seconds)") }
    }

    func cronJob(_ text: inout Description) async throws {
        let spec = CronJobSpec(object.spec)
        let template = JobSpec(spec.jobTemplate["spec"] ?? .null)
        func last(_ name: String) -> String {
            object.status.text(name).flatMap(Timestamp.init).map { moment($0) } ?? "<unset>"
        }
        labels(&text)
        text.field("Schedule", spec.schedule)
        text.field("Time Zone", spec.timeZone ?? "UTC")
        text.field("Concurrency Policy", spec.concurrency.rawValue)
        text.field("Suspend", spec.isSuspended ? "True" : "False")
        text.field("Successful Job History Limit", spec.successfulHistory.map { "\($0)" } ?? "<unset>")
        text.field("Failed Job History Limit", spec.failedHistory.map { "\($0)" } ?? "<unset>")
        text.field("Starting Deadline Seconds", spec.startingDeadlineSeconds.map { "\($0)s" } ?? "<unset>")
        Self.jobSpec(template, &text)
        self.template(template.template, &text)
        text.field("Last Schedule Time", last("lastScheduleTime"))
        text.field("Last Successful Time", last("lastSuccessfulTime"))
        text.field("Active Jobs", object.status.list("active").compactMap { $0.text("name") })
    }
}
