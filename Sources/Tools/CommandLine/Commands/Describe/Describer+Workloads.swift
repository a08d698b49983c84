import Resources
import Wire

// Deployments and ReplicaSets.
extension Describer {
    func deployment(_ text: inout Description) async throws {
        let spec = DeploymentSpec(object.spec)
        let status = ScaleStatus(object.status)
        text.field("Created", moment(object.creationTimestamp))
        labels(&text)
        text.field("Selector", spec.selector.description)
        text.field(
            "Replicas",
            "\(spec.replicas) desired | \(status.updatedReplicas) updated | \(status.replicas) total | "
                + "\(status.availableReplicas) available | \(status.unavailableReplicas) unavailable"
        )
        if spec.paused { text.field("Paused", "true: changes of the template wait") }
        text.field("Strategy", spec.strategyType)
        if spec.strategyType == "RollingUpdate" {
            text.field("Rolling Update", "\(spec.maxUnavailable) max unavailable, \(spec.maxSurge) max surge")
        }
        text.field("Min Ready Seconds", "\(spec.minReadySeconds)")
        template(spec.template, &text)
        Self.conditions(status.conditions, &text)
        let sets = try await list(ResourceTypes.replicaSets).filter { $0.controller?.uid == object.uid }
        let revision = "deployment.kubernetes.io/revision"
        text.table(
            "ReplicaSets",
            ["Name", "Revision", "Desired", "Ready", "Age", ""],
            sets.sorted { Int($0.annotation(revision) ?? "") ?? 0 > Int($1.annotation(revision) ?? "") ?? 0 }.map {
                set in
                let isNew = set.annotation(revision) == object.annotation(revision)
                return [
                    set.name, set.annotation(revision) ?? "", "\(ReplicaSetSpec(set.spec).replicas)",
                    "\(ScaleStatus(set.status).readyReplicas)", HumanDuration.age(of: set.creationTimestamp, at: now),
                    isNew ? "present" : "",
                ]
            }
        )
        podTable(try await pods(spec.selector), &text)
    }

    func replicaSet(_ text: inout Description) async throws {
        let spec = ReplicaSetSpec(object.spec)
        let status = ScaleStatus(object.status)
        text.field("Created", moment(object.creationTimestamp))
        text.field("Selector", spec.selector.description)
        labels(&text)
        owner(&text)
        text.field("Replicas", "\(status.replicas) current / \(spec.replicas) desired")
        let mine = try await pods(spec.selector).filter { $0.controller?.uid == object.uid }
        let phases = ["Running", "Pending", "Succeeded", "Failed"].map { phase in
            let count = mine.count { PodStatus($0.status).phase == phase }
            return "\(count) \(phase == "Pending" ? "Waiting" : phase)"
        }
        text.field("Pods Status", phases.joined(separator: " / "))
        template(spec.template, &text)
        Self.conditions(status.conditions, &text)
        podTable(mine, &text)
    }
}
