import Wire

// The kinds above pods, beside Deployments and ReplicaSets.
extension TableLayouts {
    static let statefulSets = Layout(columns: columns("Name", "Ready", "Age", "Containers*", "Images*")) {
        object,
        now in
        let spec = ReplicaSetSpec(object.spec)
        return [
            .string(object.name), .string("\(ScaleStatus(object.status).readyReplicas)/\(spec.replicas)"),
            age(object, now),
        ] + containers(spec.template)
    }

    static let daemonSets = Layout(
        columns: columns(
            "Name",
            "Desired#",
            "Current#",
            "Ready#",
            "Up-to-date#",
            "Available#",
            "Node Selector",
            "Age",
            "Containers*",
            "Images*",
            "Selector*"
        )
    ) { object, now in
        let spec = DaemonSetSpec(object.spec)
        let counts = [
            "desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled",
            "numberAvailable",
        ].map { count(object.status.integer($0) ?? 0) }
        let places = LabelSelector(matching: spec.template.spec.value.textMap("nodeSelector")).description
        return [.string(object.name)] + counts + [orNone(places), age(object, now)] + containers(spec.template)
            + [orNone(spec.selector.description)]
    }

    static let jobs = Layout(
        columns: columns("Name", "Status", "Completions", "Duration", "Age", "Containers*", "Images*", "Selector*")
    ) { object, now in
        let spec = JobSpec(object.spec)
        let status = JobStatus(object.status)
        return [
            .string(object.name), .string(jobState(object)), .string(completions(spec, status)),
            .string(duration(status, now)), age(object, now),
        ] + containers(spec.template) + [orNone(spec.selector.description)]
    }

    private static func jobState(_ job: Object) -> String {
        let conditions = JobStatus(job.status).conditions
        func has(_ type: String) -> Bool { conditions.first(ofType: type)?.isTrue ?? false }
        if has("Complete") { return "Complete" }
        if has("Failed") { return "Failed" }
        if job.isDeleting { return "Terminating" }
        if has("Suspended") { return "Suspended" }
        if has("FailureTarget") { return "FailureTarget" }
        if has("SuccessCriteriaMet") { return "SuccessCriteriaMet" }
        return "Running"
    }

    private static func completions(_ spec: JobSpec, _ status: JobStatus) -> String {
        if let wanted = spec.completions { return "\(status.succeeded)/\(wanted)" }
        return spec.parallelism > 1 ? "\(status.succeeded)/1 of \(spec.parallelism)" : "\(status.succeeded)/1"
    }

    private static func duration(_ status: JobStatus, _ now: Timestamp) -> String {
        guard let start = status.startTime else { return "" }
        return HumanDuration.text(seconds: max((status.completionTime ?? now).seconds(since: start), 0))
    }

    static let cronJobs = Layout(
        columns: columns(
            "Name",
            "Schedule",
            "Timezone",
            "Suspend",
            "Active#",
            "Last Schedule",
            "Age",
            "Containers*",
            "Images*",
            "Selector*"
        )
    ) { object, now in
        let spec = CronJobSpec(object.spec)
        let template = JobSpec(spec.jobTemplate["spec"] ?? .null)
        let last = object.status.text("lastScheduleTime").flatMap(Timestamp.init)
        return [
            .string(object.name), .string(spec.schedule), orNone(spec.timeZone ?? ""),
            .string(spec.isSuspended ? "True" : "False"), count(object.status.list("active").count),
            .string(last.map { HumanDuration.age(of: $0, at: now) } ?? "<none>"), age(object, now),
        ] + containers(template.template) + [orNone(template.selector.description)]
    }

    static let controllerRevisions = Layout(columns: columns("Name", "Controller", "Revision#", "Age")) { object, now in
        let owner = object.controller.map { owner in
            let type = ResourceTypes.find(apiVersion: owner.apiVersion, kind: owner.kind)
            return "\(type?.qualifiedSingular ?? owner.kind.lowercased())/\(owner.name)"
        }
        return [
            .string(object.name), orNone(owner ?? ""), count(object.value.integer("revision") ?? 0), age(object, now),
        ]
    }

    static let autoscalers = Layout(
        columns: columns("Name", "Reference", "Targets", "MinPods#", "MaxPods#", "Replicas#", "Age")
    ) { object, now in
        let spec = object.spec
        let target = spec["scaleTargetRef"] ?? .null
        return [
            .string(object.name), .string("\(target.text("kind") ?? "")/\(target.text("name") ?? "")"),
            .string(targets(spec.list("metrics"), object.status.list("currentMetrics"))),
            count(spec.integer("minReplicas") ?? 1), count(spec.integer("maxReplicas") ?? 0),
            count(object.status.integer("currentReplicas") ?? 0), age(object, now),
        ]
    }

    /// `cpu: 30%/80%`, two of them at most, then how many more there are.
    private static func targets(_ metrics: [Value], _ current: [Value]) -> String {
        guard !metrics.isEmpty else { return "<none>" }
        let shown = metrics.prefix(2).enumerated().map { index, metric in
            target(metric, index < current.count ? current[index] : .null)
        }
        let rest = metrics.count > 2 ? " + \(metrics.count - 2) more..." : ""
        return shown.joined(separator: ", ") + rest
    }

    private static func target(_ metric: Value, _ present: Value) -> String {
        let type = metric.text("type") ?? ""
        let field = type.prefix(1).lowercased() + type.dropFirst()
        let source = metric[field] ?? .null
        let now = present[field]?["current"]
        let target = source["target"] ?? .null
        let name = type.hasSuffix("Resource") ? "\(source.text("name") ?? ""): " : ""
        switch target.text("type") {
        case "Utilization":
            let used = now?.integer("averageUtilization").map { "\($0)%" } ?? "<unknown>"
            return "\(name)\(used)/\(target.integer("averageUtilization") ?? 0)%"
        case "AverageValue":
            let average = type == "Object" ? " (avg)" : ""
            return "\(name)\(now?.text("averageValue") ?? "<unknown>")/\(target.text("averageValue") ?? "")\(average)"
        default: return "\(name)\(now?.text("value") ?? "<unknown>")/\(target.text("value") ?? "")"
        }
    }

    static let disruptionBudgets = Layout(
        columns: columns("Name", "Min Available", "Max Unavailable", "Allowed Disruptions#", "Age")
    ) { object, now in
        func limit(_ name: String) -> Value {
            .string(IntOrString(object.spec[name]).map(\.description) ?? "N/A")
        }
        return [
            .string(object.name), limit("minAvailable"), limit("maxUnavailable"),
            count(object.status.integer("disruptionsAllowed") ?? 0), age(object, now),
        ]
    }
}
