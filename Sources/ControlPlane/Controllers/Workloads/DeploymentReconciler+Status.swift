import Resources
import Wire

extension DeploymentReconciler {
    /// Writes counts and conditions.
    ///
    /// - Returns: in how many milliseconds to look again: when a pod becomes available, or the deadline passes.
    func writeStatus(_ rollout: Rollout) async throws(APIError) -> Int? {
        let now = cluster.now()
        var status = rollout.deployment.status
        if status.isNull { status = [:] }
        let before = ScaleStatus(status)
        func count(_ number: Int) -> Value? { number > 0 ? .int(Int64(number)) : nil }
        status["observedGeneration"] = .int(Int64(rollout.deployment.generation))
        status["replicas"] = count(rollout.total.existing)
        status["updatedReplicas"] = count(rollout.updated.existing)
        status["readyReplicas"] = count(rollout.total.ready)
        status["availableReplicas"] = count(rollout.total.available)
        status["unavailableReplicas"] = count(
            max(0, max(rollout.spec.replicas, rollout.total.existing) - rollout.total.available)
        )
        var conditions = before.conditions
        let isAvailable = rollout.total.available >= rollout.arithmetic.floor
        conditions.update(
            "Available",
            isAvailable,
            isAvailable ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
            isAvailable
                ? "Deployment has minimum availability." : "Deployment does not have minimum availability.",
            now
        )
        let wait = updateProgress(&conditions, rollout, before: before, after: ScaleStatus(status), now)
        updateReplicaFailure(&conditions, rollout)
        status["conditions"] = .array(conditions.map(\.value))
        var updated = rollout.deployment
        updated.status = status
        try await cluster.updateStatus(updated, from: rollout.deployment)
        let available = rollout.nextAvailable.map { $0 * 1000 + 50 }
        return [wait, available].compactMap { $0 }.min()
    }

    /// Sets the condition Progressing; gives the milliseconds until its deadline.
    private func updateProgress(
        _ conditions: inout [Condition],
        _ rollout: Rollout,
        before: ScaleStatus,
        after: ScaleStatus,
        _ now: Timestamp
    ) -> Int? {
        let current = conditions.first(ofType: "Progressing")
        let deadline = rollout.spec.progressDeadlineSeconds
        let name = rollout.new?.name ?? rollout.deployment.name
        if rollout.spec.paused {
            if current?.reason != "DeploymentPaused" {
                conditions.replace("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", now)
            }
            return nil
        }
        if rollout.isComplete {
            if current?.reason != "NewReplicaSetAvailable" || current?.isTrue != true {
                let message = "ReplicaSet \"\(name)\" has successfully progressed."
                conditions.replace("Progressing", "True", "NewReplicaSetAvailable", message, now)
            }
            return nil
        }
        // A finished rollout whose pods merely fail later does not begin to progress again.
        if current?.reason == "NewReplicaSetAvailable", rollout.deployment.generation == before.observedGeneration,
            !rollout.hasOldPods
        {
            return nil
        }
        guard let current, current.reason != "DeploymentPaused" else {
            let isNew = rollout.sets.count <= 1
            conditions.replace(
                "Progressing",
                "True",
                conditions.isEmpty || isNew ? "NewReplicaSetCreated" : "ReplicaSetUpdated",
                "Created new replica set \"\(name)\"",
                now
            )
            return deadline * 1000
        }
        let hasProgressed =
            after.updatedReplicas > before.updatedReplicas || after.readyReplicas > before.readyReplicas
            || after.availableReplicas > before.availableReplicas
            || after.replicas - after.updatedReplicas < before.replicas - before.updatedReplicas
            || rollout.deployment.generation != before.observedGeneration
        if hasProgressed || current.reason == "NewReplicaSetAvailable" {
            conditions.replace(
                "Progressing",
                "True",
                "ReplicaSetUpdated",
                "ReplicaSet \"\(name)\" is progressing.",
                now
            )
            return deadline * 1000
        }
        guard current.isTrue else { return nil }
        let since = current.lastUpdateTime ?? current.lastTransitionTime ?? now
        let left = deadline - now.seconds(since: since)
        guard left <= 0 else { return left * 1000 + 50 }
        let message = "ReplicaSet \"\(name)\" has timed out progressing."
        conditions.replace("Progressing", "False", "ProgressDeadlineExceeded", message, now)
        cluster.events.record(
            rollout.deployment,
            .warning,
            reason: "ProgressDeadlineExceeded",
            message: message,
            component: "deployment-controller"
        )
        return nil
    }

    private func updateReplicaFailure(_ conditions: inout [Condition], _ rollout: Rollout) {
        let failure = rollout.sets.lazy.compactMap {
            ScaleStatus($0.status).conditions.first(ofType: "ReplicaFailure")
        }.first
        if let failure {
            conditions.set(failure)
        } else {
            conditions.removeAll { $0.type == "ReplicaFailure" }
        }
    }
}

extension [Condition] {
    /// Sets a condition when its status or reason differs.
    fileprivate mutating func update(
        _ type: String,
        _ status: Bool,
        _ reason: String,
        _ message: String,
        _ now: Timestamp
    ) {
        let text = status ? "True" : "False"
        if let present = first(ofType: type), present.status == text, present.reason == reason { return }
        replace(type, text, reason, message, now)
    }

    /// Sets a condition with a new time of update; the time of transition stays when its status did not change.
    fileprivate mutating func replace(
        _ type: String,
        _ status: String,
        _ reason: String,
        _ message: String,
        _ now: Timestamp
    ) {
        let time = Value.string(now.description)
        set(
            Condition([
                "type": .string(type), "status": .string(status), "reason": .string(reason),
                "message": .string(message), "lastUpdateTime": time, "lastTransitionTime": time,
            ])
        )
    }
}
