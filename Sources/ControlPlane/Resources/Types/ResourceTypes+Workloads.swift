// The kinds above pods, beside Deployments and ReplicaSets.
extension ResourceTypes {
    package static let statefulSets = acted(
        "apps",
        "v1",
        "statefulsets",
        "StatefulSet",
        ["sts"],
        ["all"],
        status: true,
        scale: true
    )
    package static let daemonSets = acted("apps", "v1", "daemonsets", "DaemonSet", ["ds"], ["all"], status: true)
    package static let controllerRevisions = acted("apps", "v1", "controllerrevisions", "ControllerRevision")
    package static let jobs = acted("batch", "v1", "jobs", "Job", [], ["all"], status: true)
    package static let cronJobs = acted("batch", "v1", "cronjobs", "CronJob", ["cj"], ["all"], status: true)
    package static let autoscalers = acted(
        "autoscaling",
        "v2",
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
        ["hpa"],
        ["all"],
        status: true
    )
    package static let disruptionBudgets = acted(
        "policy",
        "v1",
        "poddisruptionbudgets",
        "PodDisruptionBudget",
        ["pdb"],
        status: true
    )

    package static let limitRanges = acted("", "v1", "limitranges", "LimitRange", ["limits"])
    package static let resourceQuotas = acted("", "v1", "resourcequotas", "ResourceQuota", ["quota"], status: true)
    package static let priorityClasses = ResourceType(
        group: "scheduling.k8s.io",
        version: "v1",
        plural: "priorityclasses",
        kind: "PriorityClass",
        shortNames: ["pc"],
        isNamespaced: false,
        isActedOn: true
    )

    /// All of them, in the order of discovery.
    static let workloads = [
        statefulSets, daemonSets, controllerRevisions, jobs, cronJobs, autoscalers, disruptionBudgets, limitRanges,
        resourceQuotas, priorityClasses,
    ]

    private static func acted(
        _ group: String,
        _ version: String,
        _ plural: String,
        _ kind: String,
        _ shortNames: [String] = [],
        _ categories: [String] = [],
        status: Bool = false,
        scale: Bool = false
    ) -> ResourceType {
        ResourceType(
            group: group,
            version: version,
            plural: plural,
            kind: kind,
            shortNames: shortNames,
            categories: categories,
            isActedOn: true,
            hasStatus: status,
            hasScale: scale
        )
    }
}
