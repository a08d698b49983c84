import Resources
import Wire

// StatefulSets, DaemonSets, HorizontalPodAutoscalers and PodDisruptionBudgets.
extension Describer {
    func statefulSet(_ text: inout Description) async throws {
        let spec = StatefulSetSpec(object.spec)
        let status = object.status
        text.field("Created", moment(object.creationTimestamp))
        text.field("Selector", spec.selector.description)
        labels(&text)
        text.field("Service Name", spec.serviceName.isEmpty ? "<none>" : spec.serviceName)
        text.field("Replicas", "\(spec.replicas) desired | \(ScaleStatus(status).replicas) total")
        text.field("Pod Management Policy", spec.isParallel ? "Parallel" : "OrderedReady")
        text.field("Update Strategy", spec.updatesOnDelete ? "OnDelete" : "RollingUpdate")
        if !spec.updatesOnDelete {
            text.field("Partition", "\(spec.partition)")
            text.field("Max Unavailable", "\(spec.maxUnavailable)")
        }
        text.field("Current Revision", status.text("currentRevision") ?? "<none>")
        text.field("Update Revision", status.text("updateRevision") ?? "<none>")
        template(spec.template, &text)
        text.group("Volume Claims") { group in
            for claim in spec.claimTemplates {
                group.group(claim["metadata"]?.text("name") ?? "") { one in
                    let view = VolumeClaim(Object(claim))
                    one.field("Storage Class", view.storageClass.isEmpty ? "<none>" : view.storageClass)
                    one.field("Capacity", claim.at("spec", "resources", "requests")?.text("storage") ?? "")
                    one.field("Access Modes", VolumeClaim.shortModes(view.accessModes))
                }
            }
        }
        try await owned(spec.selector, &text)
    }

    func daemonSet(_ text: inout Description) async throws {
        let spec = DaemonSetSpec(object.spec)
        func count(_ name: String) -> String { "\(object.status.integer(name) ?? 0)" }
        text.field("Created", moment(object.creationTimestamp))
        text.field("Selector", spec.selector.description)
        text.field("Node-Selector", Self.pairs(spec.template.spec.value.textMap("nodeSelector"), "="))
        labels(&text)
        text.field("Desired Number of Nodes Scheduled", count("desiredNumberScheduled"))
        text.field("Current Number of Nodes Scheduled", count("currentNumberScheduled"))
        text.field("Number of Nodes Scheduled with Up-to-date Pods", count("updatedNumberScheduled"))
        text.field("Number of Nodes Scheduled with Available Pods", count("numberAvailable"))
        text.field("Number of Nodes Misscheduled", count("numberMisscheduled"))
        text.field("Update Strategy", spec.updatesOnDelete ? "OnDelete" : "RollingUpdate")
        template(spec.template, &text)
        try await owned(spec.selector, &text)
    }

    /// What of the pods is said of every set, and the pods.
    private func owned(_ selector: LabelSelector, _ text: inout Description) async throws {
        let mine = try await pods(selector).filter { $0.controller?.uid == object.uid }
        let phases = ["Running", "Pending", "Succeeded", "Failed"].map { phase in
            let count = mine.count { PodStatus($0.status).phase == phase }
            return "\(count) \(phase == "Pending" ? "Waiting" : phase)"
        }
        text.field("Pods Status", phases.joined(separator: " / "))
        podTable(mine, &text)
    }

    func autoscaler(_ text: inout Description) {
        let spec = object.spec
        let target = spec["scaleTargetRef"] ?? .null
        labels(&text)
        text.field("Created", moment(object.creationTimestamp))
        text.field("Reference", "\(target.text("kind") ?? "")/\(target.text("name") ?? "")")
        let cells = Table.make([object], of: ResourceTypes.autoscalers, at: now)
        if let column = cells.columns.firstIndex(where: { $0.name == "Targets" }) {
            text.field("Metrics (current / target)", cells.rows.first?.cells[column].stringValue ?? "")
        }
        text.field("Min replicas", "\(spec.integer("minReplicas") ?? 1)")
        text.field("Max replicas", "\(spec.integer("maxReplicas") ?? 0)")
        for (name, field) in [("Scale Up", "scaleUp"), ("Scale Down", "scaleDown")] {
            guard let rules = spec.at("behavior", field) else { continue }
            text.group(name) { group in
                group.field(
                    "Stabilization Window",
                    rules.integer("stabilizationWindowSeconds").map { "\($0) seconds" } ?? "<default>"
                )
                group.field("Select Policy", rules.text("selectPolicy") ?? "Max")
                group.field(
                    "Policies",
                    rules.list("policies").map { policy in
                        "\(policy.integer("value") ?? 0) \(policy.text("type") ?? "") in "
                            + "\(policy.integer("periodSeconds") ?? 0) seconds"
                    }
                )
            }
        }
        let status = object.status
        let kind = target.text("kind") ?? ""
        text.field(
            "\(kind) pods",
            "\(status.integer("currentReplicas") ?? 0) current / \(status.integer("desiredReplicas") ?? 0) desired"
        )
        Self.conditions(status.views("conditions"), &text)
    }

    func disruptionBudget(_ text: inout Description) {
        let (spec, status) = (object.spec, object.status)
        labels(&text)
        for (name, field) in [("Min available", "minAvailable"), ("Max unavailable", "maxUnavailable")] {
            if let limit = IntOrString(spec[field]) { text.field(name, limit.description) }
        }
        text.field("Selector", LabelSelector(spec["selector"] ?? .null).description)
        text.group("Status") { group in
            for (name, field) in [
                ("Allowed disruptions", "disruptionsAllowed"), ("Current", "currentHealthy"),
                ("Desired", "desiredHealthy"), ("Total", "expectedPods"),
            ] { group.field(name, "\(status.integer(field) ?? 0)") }
        }
        Self.conditions(status.views("conditions"), &text)
    }
}
