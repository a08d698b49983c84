import Wire

// The kinds above pods, beside Deployments and ReplicaSets.
extension Defaults {
    static func statefulSet(_ spec: inout Value) {
        spec.fill("replicas", 1)
        spec.fill("podManagementPolicy", "OrderedReady")
        spec.fill("revisionHistoryLimit", 10)
        spec.fill("serviceName", "")
        spec.update("updateStrategy", orCreate: true) { strategy in
            strategy.fill("type", "RollingUpdate")
            guard strategy.text("type") == "RollingUpdate" else { return }
            strategy.update("rollingUpdate", orCreate: true) { $0.fill("partition", 0) }
        }
        spec.update("persistentVolumeClaimRetentionPolicy", orCreate: true) {
            $0.fill("whenDeleted", "Retain")
            $0.fill("whenScaled", "Retain")
        }
        spec.update("template") { $0.update("spec", pod) }
        spec.updateEach("volumeClaimTemplates") { claim in
            claim.fill("apiVersion", "v1")
            claim.fill("kind", "PersistentVolumeClaim")
            claim.update("spec") { $0.fill("volumeMode", "Filesystem") }
            claim.fill("status", ["phase": "Pending"])
        }
    }

    static func daemonSet(_ spec: inout Value) {
        spec.fill("revisionHistoryLimit", 10)
        spec.update("updateStrategy", orCreate: true) { strategy in
            strategy.fill("type", "RollingUpdate")
            guard strategy.text("type") == "RollingUpdate" else { return }
            strategy.update("rollingUpdate", orCreate: true) {
                $0.fill("maxSurge", 0)
                $0.fill("maxUnavailable", 1)
            }
        }
        spec.update("template") { $0.update("spec", pod) }
    }

    /// A Job chooses its pods by its own uid, unless its author insists on choosing them.
    static func job(_ object: inout Object) {
        let (uid, name) = (object.uid, object.name)
        object.value.update("spec") { spec in
            jobSpec(&spec)
            guard !spec.flag("manualSelector"), !uid.isEmpty else { return }
            spec.fill("selector", ["matchLabels": [JobLabels.controller: .string(uid)]])
            guard spec.at("selector", "matchLabels", JobLabels.controller)?.stringValue == uid else { return }
            for (label, text) in [
                (JobLabels.controller, uid), (JobLabels.oldController, uid), (JobLabels.name, name),
                (JobLabels.oldName, name),
            ] {
                spec.set(["template", "metadata", "labels", label], .string(text))
            }
        }
    }

    private static func jobSpec(_ spec: inout Value) {
        if spec["completions"] == nil, spec["parallelism"] == nil {
            spec["completions"] = 1
            spec["parallelism"] = 1
        }
        spec.fill("parallelism", 1)
        // With a limit for each index there is none for all.
        spec.fill("backoffLimit", spec["backoffLimitPerIndex"] == nil ? 6 : 2_147_483_647)
        spec.fill("completionMode", "NonIndexed")
        spec.fill("suspend", false)
        spec.fill("podReplacementPolicy", spec["podFailurePolicy"] == nil ? "TerminatingOrFailed" : "Failed")
        spec.update("podFailurePolicy") { policy in
            policy.updateEach("rules") { rule in
                rule.updateEach("onPodConditions") { $0.fill("status", "True") }
            }
        }
        spec.update("template") { $0.update("spec", pod) }
    }

    static func cronJob(_ spec: inout Value) {
        spec.fill("concurrencyPolicy", "Allow")
        spec.fill("suspend", false)
        spec.fill("successfulJobsHistoryLimit", 3)
        spec.fill("failedJobsHistoryLimit", 1)
        spec.update("jobTemplate") { template in
            template.update("spec") { spec in
                spec.update("template") { $0.update("spec", pod) }
            }
        }
    }

    static func autoscaler(_ spec: inout Value) {
        spec.fill("minReplicas", 1)
        if spec.list("metrics").isEmpty {
            spec["metrics"] = [
                [
                    "type": "Resource",
                    "resource": ["name": "cpu", "target": ["type": "Utilization", "averageUtilization": 80]],
                ]
            ]
        }
        spec.update("behavior") { behavior in
            let policies: [(String, [Value])] = [
                (
                    "scaleUp",
                    [
                        ["type": "Pods", "value": 4, "periodSeconds": 15],
                        ["type": "Percent", "value": 100, "periodSeconds": 15],
                    ]
                ),
                ("scaleDown", [["type": "Percent", "value": 100, "periodSeconds": 15]]),
            ]
            for (direction, policies) in policies {
                behavior.update(direction, orCreate: true) { rules in
                    if direction == "scaleUp" { rules.fill("stabilizationWindowSeconds", 0) }
                    rules.fill("selectPolicy", "Max")
                    if rules.list("policies").isEmpty { rules["policies"] = .array(policies) }
                }
            }
        }
    }
}

/// The labels and annotations by which the pods of a Job are known.
package enum JobLabels {
    package static let controller = "batch.kubernetes.io/controller-uid"
    package static let name = "batch.kubernetes.io/job-name"
    package static let oldController = "controller-uid"
    package static let oldName = "job-name"
    /// The index of a pod of an Indexed Job: label and annotation.
    package static let index = "batch.kubernetes.io/job-completion-index"
    /// How often the index of a pod failed before.
    package static let indexFailures = "batch.kubernetes.io/job-index-failure-count"
    /// Held by a pod that its Job has not counted yet.
    package static let finalizer = "batch.kubernetes.io/job-tracking"
    /// The time for which a CronJob made a Job.
    package static let scheduled = "batch.kubernetes.io/cronjob-scheduled-timestamp"
}
