import Resources
import Testing
import Wire

@Suite("Kinds above pods")
struct WorkloadRulesTests {
    private static let template = "template: {metadata: {labels: {app: a}}, spec: {containers: [{name: a, image: b}]}}"
    private static let jobTemplate = "template: {spec: {restartPolicy: Never, containers: [{name: a, image: b}]}}"

    private static func manifest(_ kind: String, _ spec: String) -> String {
        let group = [
            "StatefulSet": "apps/v1", "DaemonSet": "apps/v1", "Job": "batch/v1", "CronJob": "batch/v1",
            "HorizontalPodAutoscaler": "autoscaling/v2", "PodDisruptionBudget": "policy/v1",
        ]
        return "{apiVersion: \(group[kind] ?? ""), kind: \(kind), metadata: {name: a}, spec: {\(spec)}}"
    }

    private static func set(_ kind: String, _ more: String = "") -> String {
        manifest(kind, "selector: {matchLabels: {app: a}}, \(template)\(more.isEmpty ? "" : ", ")\(more)")
    }

    private static func job(_ more: String = "") -> String {
        manifest("Job", "\(jobTemplate)\(more.isEmpty ? "" : ", ")\(more)")
    }

    private static func cron(_ more: String) -> String {
        manifest("CronJob", "jobTemplate: {spec: {\(jobTemplate)}}, \(more)")
    }

    private static func scaler(_ more: String) -> String {
        manifest(
            "HorizontalPodAutoscaler",
            "scaleTargetRef: {kind: Deployment, name: web, apiVersion: apps/v1}, \(more)"
        )
    }

    @Test("a Job is completed with its own labels and selector")
    func jobDefaults() throws {
        let object = try stored(Self.job())
        let spec = JobSpec(object.spec)
        #expect(spec.completions == 1 && spec.parallelism == 1 && spec.backoffLimit == 6 && !spec.isSuspended)
        #expect(object.spec.at("selector", "matchLabels") == ["batch.kubernetes.io/controller-uid": "u-1"])
        #expect(
            spec.template.labels == [
                "batch.kubernetes.io/controller-uid": "u-1", "controller-uid": "u-1",
                "batch.kubernetes.io/job-name": "a",
                "job-name": "a",
            ]
        )
        #expect(object.generation == 1)
        let indexed = try stored(Self.job("completionMode: Indexed, completions: 3, backoffLimitPerIndex: 1"))
        #expect(JobSpec(indexed.spec).backoffLimit == 2_147_483_647)
        #expect(try complaints(Self.job()) == [])
        // Applying the same manifest again changes nothing.
        let live = try stored(Self.job())
        let once = Apply.merge(try plain(Self.job()), onto: live, of: ResourceTypes.jobs)
        #expect(once.spec == live.spec)
    }

    private func plain(_ yaml: String) throws -> Object { try object(yaml) }

    @Test("sets, autoscalers and CronJobs are completed as Kubernetes completes them")
    func defaults() throws {
        let stateful = try stored(Self.set("StatefulSet"))
        #expect(stateful.spec["podManagementPolicy"] == "OrderedReady" && stateful.spec["replicas"] == 1)
        #expect(stateful.spec["updateStrategy"] == ["type": "RollingUpdate", "rollingUpdate": ["partition": 0]])
        let retention: Value = ["whenDeleted": "Retain", "whenScaled": "Retain"]
        #expect(stateful.spec["persistentVolumeClaimRetentionPolicy"] == retention)
        let daemon = try stored(Self.set("DaemonSet"))
        let rolling: Value = ["type": "RollingUpdate", "rollingUpdate": ["maxSurge": 0, "maxUnavailable": 1]]
        #expect(daemon.spec["updateStrategy"] == rolling)
        let cron = CronJobSpec(try stored(Self.cron("schedule: '@daily'")).spec)
        #expect(cron.concurrency == .allow && cron.successfulHistory == 3 && cron.failedHistory == 1)
        let scaler = try stored(Self.scaler("maxReplicas: 3"))
        #expect(scaler.spec["minReplicas"] == 1)
        #expect(scaler.spec.list("metrics").first?.at("resource", "target", "averageUtilization") == 80)
    }

    @Test(
        "a mistake is named by its path",
        arguments: [
            (set("StatefulSet", "replica: 1"), "spec.replica: unknown field (did you mean \"replicas\"?)"),
            (set("StatefulSet", "podManagementPolicy: Fast"), "spec.podManagementPolicy: Unsupported value"),
            (
                set("StatefulSet", "volumeClaimTemplates: [{metadata: {name: d}, spec: {}}]"),
                "spec.volumeClaimTemplates[0].spec.accessModes: Required value"
            ),
            (
                set("StatefulSet", "updateStrategy: {type: OnDelete, rollingUpdate: {partition: 1}}"),
                "spec.updateStrategy.rollingUpdate: Forbidden"
            ),
            (
                set("StatefulSet", "updateStrategy: {rollingUpdate: {maxUnavailable: 0}}"),
                "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: 0"
            ),
            (
                set("DaemonSet", "updateStrategy: {rollingUpdate: {maxUnavailable: 0}}"),
                "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0"
            ),
            (
                set("DaemonSet", "updateStrategy: {rollingUpdate: {maxSurge: 1}}"),
                "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value"
            ),
            (set("DaemonSet", "replicas: 2"), "spec.replicas: unknown field"),
            (set("StatefulSet", "ordinals: {start: 9223372036854775807}"), "spec.ordinals.start: Invalid value"),
            (set("StatefulSet", "replicas: 9223372036854775807"), "spec.replicas: Invalid value"),
            (
                set("StatefulSet", "updateStrategy: {rollingUpdate: {maxUnavailable: 9223372036854775807}}"),
                "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value"
            ),
            (
                scaler(
                    "maxReplicas: 2, behavior: {scaleUp: {policies: [{type: Pods, value: 9223372036854775807, periodSeconds: 1}]}}"
                ),
                "spec.behavior.scaleUp.policies[0].value: Invalid value"
            ),
            (job("backoffLimit: -1"), "spec.backoffLimit: Invalid value: -1"),
            (job("backoffLimitPerIndex: 1"), "spec.backoffLimitPerIndex: Invalid value: \"NonIndexed\""),
            (
                job("completionMode: Indexed, completions: 2, maxFailedIndexes: 1"),
                "spec.backoffLimitPerIndex: Required value"
            ),
            (job("completionMode: Indexed, completions: 200000"), "spec.completions: Invalid value: 200000"),
            (job("podFailurePolicy: {rules: [{action: FailJob}]}"), "spec.podFailurePolicy.rules[0]: Invalid value"),
            (
                job("podFailurePolicy: {rules: [{action: FailJob, onExitCodes: {operator: In, values: [3, 1]}}]}"),
                "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: \"1\": must be ordered"
            ),
            (
                job("completionMode: Indexed, completions: 2, successPolicy: {rules: [{succeededIndexes: '1-5'}]}"),
                "spec.successPolicy.rules[0].succeededIndexes: Invalid value: \"1-5\""
            ),
            (cron("schedule: '* * *'"), "spec.schedule: Invalid value: \"* * *\": expected 5 fields"),
            (cron("schedule: '@daily', timeZone: Local"), "spec.timeZone: Invalid value: \"Local\""),
            (cron("schedule: '@daily', concurrencyPolicy: Never"), "spec.concurrencyPolicy: Unsupported value"),
            (scaler("maxReplicas: 0"), "spec.maxReplicas: Invalid value: 0"),
            (scaler("maxReplicas: 2, minReplicas: 3"), "spec.maxReplicas: Invalid value: 2"),
            (
                scaler("maxReplicas: 2, metrics: [{type: External, external: {}}]"),
                "spec.metrics[0].type: Unsupported value"
            ),
            (scaler("maxReplicas: 2, metrics: [{type: Resource}]"), "spec.metrics[0].resource: Required value"),
            (
                scaler(
                    "maxReplicas: 2, metrics: [{type: Pods, pods: {metric: {name: latency-p99}, target: {type: AverageValue, averageValue: 1}}}]"
                ),
                "spec.metrics[0].pods.metric.name: Unsupported value: \"latency-p99\""
            ),
            (
                scaler("maxReplicas: 2, behavior: {scaleUp: {stabilizationWindowSeconds: 4000}}"),
                "spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 4000"
            ),
            (
                manifest(
                    "HorizontalPodAutoscaler",
                    "maxReplicas: 2, scaleTargetRef: {kind: DaemonSet, name: x, apiVersion: apps/v1}"
                ),
                "spec.scaleTargetRef.kind: Unsupported value"
            ),
            (manifest("PodDisruptionBudget", "minAvailable: 1, maxUnavailable: 1"), "spec: Invalid value"),
            (manifest("PodDisruptionBudget", "minAvailable: 101%"), "spec.minAvailable: Invalid value: \"101%\""),
            (manifest("PodDisruptionBudget", "minAvailable: some"), "spec.minAvailable: Invalid value: \"some\""),
        ]
    )
    func mistakes(_ yaml: String, _ expected: String) throws {
        let found = try complaints(yaml)
        #expect(found.contains { $0.hasPrefix(expected) }, "\(found)")
    }

    @Test("what may not change is refused")
    func immutable() throws {
        func refusals(_ old: String, _ new: String) throws -> [String] {
            let live = try stored(old)
            let wanted = try object(new)
            let type = try #require(live.type)
            var placed = wanted
            placed.namespace = live.namespace
            let changed = try ObjectRules.prepareReplace(placed, of: type, stored: live)
            return Validation(changed, of: type, replacing: live).errors.map(\.path)
        }
        #expect(try refusals(Self.job("completions: 2"), Self.job("completions: 3")) == ["spec.completions"])
        #expect(
            try refusals(Self.job("parallelism: 2, completions: 4"), Self.job("parallelism: 3, completions: 4")) == []
        )
        let elastic = "completionMode: Indexed, completions: 2, parallelism: 2"
        let wider = "completionMode: Indexed, completions: 3, parallelism: 3"
        #expect(try refusals(Self.job(elastic), Self.job(wider)) == [])
        let other = Self.job().replacing("image: b", with: "image: c")
        #expect(try refusals(Self.job(), other) == ["spec.template"])
        #expect(try refusals(Self.set("StatefulSet"), Self.set("StatefulSet", "serviceName: x")) == ["spec"])
        #expect(try refusals(Self.set("StatefulSet"), Self.set("StatefulSet", "replicas: 5")) == [])
    }
}

extension String {
    fileprivate func replacing(_ part: String, with other: String) -> String {
        var pieces: [Substring] = []
        var rest = self[...]
        while let place = rest.firstRange(of: part) {
            pieces.append(rest[..<place.lowerBound])
            rest = rest[place.upperBound...]
        }
        return (pieces + [rest]).joined(separator: other)
    }
}
