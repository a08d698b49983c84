package import Resources
import Store
import Wire

/// Makes Jobs by the clock, and forgets old ones.
package struct CronJobReconciler: Reconciler {
    /// The clock is looked at at least so often: it may be set, and nothing tells.
    private static let longestWait = 60
    private static let component = "cronjob-controller"

    package let name = "cronjob"
    private let cluster: Cluster
    private let zones: @Sendable (String) -> TimeZoneRules?

    /// - Parameters:
    ///   - cluster: what to work on.
    ///   - zones: finds the rules of a time zone.
    package init(
        _ cluster: Cluster,
        zones: @escaping @Sendable (String) -> TimeZoneRules? = ZoneFiles.rules
    ) {
        self.cluster = cluster
        self.zones = zones
    }

    package func keys(for change: Change, in state: borrowing ClusterState) -> [ObjectKey] {
        switch change.key.type {
        case ResourceTypes.cronJobs: return [change.key]
        case ResourceTypes.jobs:
            let names = Set(
                [change.old, change.new].compactMap { job -> String? in
                    guard let owner = job?.controller, owner.kind == "CronJob" else { return nil }
                    return owner.name
                }
            )
            return names.map { ObjectKey(ResourceTypes.cronJobs, namespace: change.key.namespace, name: $0) }
        default: return []
        }
    }

    package func reconcile(_ key: ObjectKey) async throws(APIError) -> Int? {
        guard let cron = await cluster.get(key), !cron.isDeleting else { return nil }
        let spec = CronJobSpec(cron.spec)
        let jobs = await cluster.read { $0.controlled(by: cron.uid, ResourceTypes.jobs) }
        try await forget(jobs, spec, cron)
        var status = settle(cron, jobs)
        var wait: Int?
        if !spec.isSuspended, let (schedule, zone) = read(spec, cron) {
            wait = try await turn(cron, spec, schedule, zone, jobs, &status)
        }
        guard let latest = await cluster.get(key), latest.uid == cron.uid else { return nil }
        var updated = latest
        updated.status = status
        try await cluster.updateStatus(updated, from: latest)
        return wait
    }

    /// The schedule and its zone; what cannot be read is told.
    private func read(_ spec: CronJobSpec, _ cron: Object) -> (CronSchedule, TimeZoneRules)? {
        guard let zone = spec.timeZone.map(zones) ?? .utc else {
            let name = spec.timeZone ?? ""
            let why = "invalid timeZone: \(name): this machine knows no such zone (it looks in /usr/share/zoneinfo)"
            tell(cron, .warning, "UnknownTimeZone", why)
            return nil
        }
        do throws(CronSchedule.Problem) { return (try CronSchedule(spec.schedule), zone) } catch {
            tell(cron, .warning, "UnparseableSchedule", "unparseable schedule: \(spec.schedule): \(error.message)")
            return nil
        }
    }

    // MARK: What was made

    /// The status by what the Jobs say: those that run, and the last success.
    private func settle(_ cron: Object, _ jobs: [Object]) -> Value {
        var status = cron.status.isNull ? [:] : cron.status
        let known = Set(status.list("active").compactMap { $0.text("uid") })
        var active: [Value] = []
        for job in jobs.sorted(by: { $0.name < $1.name }) {
            guard let finish = JobStatus(job.status).finish else {
                if !job.isDeleting { active.append(Self.reference(job)) }
                continue
            }
            if known.contains(job.uid) {
                let what = "Saw completed job: \(job.name), condition: \(finish.type)"
                tell(cron, .normal, "SawCompletedJob", what)
            }
            guard finish.type == "Complete" else { continue }
            let time = (JobStatus(job.status).completionTime ?? finish.lastTransitionTime)?.description
            if let time, time > status.text("lastSuccessfulTime") ?? "" { status["lastSuccessfulTime"] = .string(time) }
        }
        status["active"] = active.isEmpty ? nil : .array(active)
        return status
    }

    private static func reference(_ job: Object) -> Value {
        [
            "apiVersion": .string(job.apiVersion), "kind": .string(job.kind), "name": .string(job.name),
            "namespace": .string(job.namespace), "uid": .string(job.uid),
            "resourceVersion": .string(job.resourceVersion),
        ]
    }

    /// Deletes the oldest ended Jobs beyond the history that is kept.
    private func forget(_ jobs: [Object], _ spec: CronJobSpec, _ cron: Object) async throws(APIError) {
        for (type, limit) in [("Complete", spec.successfulHistory), ("Failed", spec.failedHistory)] {
            guard let limit else { continue }
            let ended = jobs.filter { JobStatus($0.status).finish?.type == type && !$0.isDeleting }.sorted {
                (JobStatus($0.status).startTime?.description ?? "", $0.name)
                    < (JobStatus($1.status).startTime?.description ?? "", $1.name)
            }
            for job in ended.prefix(max(0, ended.count - limit)) { try await delete(job, cron) }
        }
    }

    private func delete(_ job: Object, _ cron: Object) async throws(APIError) {
        let key = ObjectKey(ResourceTypes.jobs, namespace: job.namespace, name: job.name)
        try await cluster.delete(key, DeleteOptions(uid: job.uid))
        tell(cron, .normal, "SuccessfulDelete", "Deleted job \(job.name)")
    }

    // MARK: The clock

    /// Makes the Job that is due.
    ///
    /// - Returns: milliseconds until the clock is to be looked at again.
    private func turn(
        _ cron: Object,
        _ spec: CronJobSpec,
        _ schedule: CronSchedule,
        _ zone: TimeZoneRules,
        _ jobs: [Object],
        _ status: inout Value
    ) async throws(APIError) -> Int? {
        let now = cluster.now()
        let last = status.text("lastScheduleTime").flatMap(Timestamp.init)
        let decision = CronDecision(
            schedule,
            in: zone,
            last: last ?? cron.creationTimestamp ?? now,
            deadline: spec.startingDeadlineSeconds,
            now: now
        )
        switch decision {
        case .wait(let next): return wait(next, now)
        case .tooLate(let missed, let next):
            tell(cron, .warning, "MissSchedule", "Missed scheduled time to start a job: \(missed)")
            return wait(next, now)
        case .start(let time, let missed, let next):
            if missed > CronDecision.manyMissed {
                let what =
                    "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew; "
                    + "only the latest is made up for"
                tell(cron, .warning, "TooManyMissedTimes", what)
            }
            guard last != time else { return wait(next, now) }
            if spec.concurrency == .forbid, !status.list("active").isEmpty {
                let what =
                    "Not starting job because prior execution is running and concurrency policy is Forbid"
                tell(cron, .normal, "JobAlreadyActive", what)
                // It is made up for when the one that runs has ended, as long as the deadline allows.
                return wait(next, now)
            }
            if spec.concurrency == .replace {
                for job in jobs where JobStatus(job.status).finish == nil && !job.isDeleting {
                    try await delete(job, cron)
                }
                status["active"] = nil
            }
            try await start(cron, spec, at: time, zone, &status)
            return wait(next, now)
        }
    }

    private func wait(_ next: Timestamp?, _ now: Timestamp) -> Int {
        let seconds = next.map { $0.seconds(since: now) } ?? Self.longestWait
        // Not a moment too early: the full second that is waited for may have begun already.
        return min(max(seconds, 0), Self.longestWait) * 1000 + 20
    }

    private func start(
        _ cron: Object,
        _ spec: CronJobSpec,
        at time: Timestamp,
        _ zone: TimeZoneRules,
        _ status: inout Value
    ) async throws(APIError) {
        let template = spec.jobTemplate
        let name = Self.name(of: cron, at: time)
        var job = Object(ResourceTypes.jobs, namespace: cron.namespace, name: name)
        job.labels = template["metadata"]?.textMap("labels") ?? [:]
        job.annotations = template["metadata"]?.textMap("annotations") ?? [:]
        job.annotations[JobLabels.scheduled] = Self.local(time, zone)
        job.ownerReferences = [OwnerReference(to: cron)]
        job.spec = template["spec"] ?? .null
        do {
            let made = try await cluster.create(job)
            tell(cron, .normal, "SuccessfulCreate", "Created job \(name)")
            status["active"] = .array(status.list("active") + [Self.reference(made)])
        } catch {
            guard error.reason == .alreadyExists else {
                tell(cron, .warning, "FailedCreate", "Error creating job: \(error.message)")
                throw error
            }
            let key = ObjectKey(ResourceTypes.jobs, namespace: cron.namespace, name: name)
            let present = try await cluster.store.find(key)
            if present?.controller?.uid != cron.uid {
                tell(cron, .warning, "FailedCreate", "a Job \(name) is there already and is not of this CronJob")
            }
        }
        status["lastScheduleTime"] = .string(time.description)
    }

    /// One name for one moment: no moment is made twice.
    static func name(of cron: Object, at time: Timestamp) -> String {
        let isByMinute = time.seconds % 60 == 0
        return "\(cron.name.prefix(52))-\(isByMinute ? "\(time.seconds / 60)" : "\(time.seconds)")"
    }

    /// `2026-03-29T09:00:00+02:00`.
    static func local(_ time: Timestamp, _ zone: TimeZoneRules) -> String {
        let offset = zone.offset(at: time.seconds)
        guard offset != 0 else { return time.description }
        func two(_ number: Int) -> String { (number < 10 ? "0" : "") + "\(number)" }
        let text = time.adding(seconds: offset).description.dropLast()
        let (hours, minutes) = (abs(offset) / 3600, abs(offset) / 60 % 60)
        return "\(text)\(offset < 0 ? "-" : "+")\(two(hours)):\(two(minutes))"
    }

    private func tell(_ cron: Object, _ severity: EventRecorder.Severity, _ reason: String, _ message: String) {
        cluster.events.record(cron, severity, reason: reason, message: message, component: Self.component)
    }
}
