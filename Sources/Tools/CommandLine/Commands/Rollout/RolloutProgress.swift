import Resources
import Wire

/// How far a workload's rollout got, in kubectl's words.
struct RolloutProgress: Equatable {
    enum State: Equatable { case underWay, done, failed }

    let state: State
    let line: String

    init(_ workload: Value, of type: ResourceType, name: String) {
        let view = View(workload: workload, name: name)
        (state, line) =
            switch type {
            case ResourceTypes.statefulSets: view.statefulSet
            case ResourceTypes.daemonSets: view.daemonSet
            default: view.deployment
            }
    }

    private struct View {
        let workload: Value
        let name: String

        var status: Value { workload["status"] ?? .null }
        var wanted: Int { workload.at("spec", "replicas")?.intValue ?? 1 }
        var isSeen: Bool {
            count("observedGeneration") >= workload.at("metadata", "generation")?.intValue ?? 0
        }

        func count(_ field: String) -> Int { status[field]?.intValue ?? 0 }

        var deployment: (State, String) {
            func waiting(_ text: String) -> (State, String) {
                (.underWay, "Waiting for deployment \"\(name)\" rollout to finish: \(text)...")
            }
            guard isSeen else { return (.underWay, "Waiting for deployment spec update to be observed...") }
            let hasTimedOut = status.list("conditions").contains {
                $0.text("type") == "Progressing" && $0.text("reason") == "ProgressDeadlineExceeded"
            }
            if hasTimedOut {
                return (.failed, "deployment \"\(name)\" exceeded its progress deadline; see weft get events")
            }
            let (updated, all, available) = (count("updatedReplicas"), count("replicas"), count("availableReplicas"))
            if updated < wanted { return waiting("\(updated) out of \(wanted) new replicas have been updated") }
            if all > updated { return waiting("\(all - updated) old replicas are pending termination") }
            if available < updated { return waiting("\(available) of \(updated) updated replicas are available") }
            return (.done, "deployment \"\(name)\" successfully rolled out")
        }

        var statefulSet: (State, String) {
            let spec = StatefulSetSpec(workload["spec"] ?? .null)
            guard !spec.updatesOnDelete else {
                return (.failed, "rollout status is only available for RollingUpdate strategy type")
            }
            guard isSeen else { return (.underWay, "Waiting for statefulset spec update to be observed...") }
            let (updated, ready) = (count("updatedReplicas"), count("readyReplicas"))
            if ready < wanted { return (.underWay, "Waiting for \(wanted - ready) pods to be ready...") }
            if spec.partition > 0 {
                let goal = max(0, wanted - spec.partition)
                return updated < goal
                    ? (
                        .underWay,
                        "Waiting for partitioned roll out to finish: \(updated) out of \(goal) new pods have been updated..."
                    )
                    : (.done, "partitioned roll out complete: \(updated) new pods have been updated...")
            }
            let revision = status.text("updateRevision") ?? ""
            if revision != status.text("currentRevision") || count("replicas") > wanted {
                let what =
                    "waiting for statefulset rolling update to complete \(updated) pods at revision \(revision)..."
                return (.underWay, what)
            }
            let current = count("currentReplicas")
            return (.done, "statefulset rolling update complete \(current) pods at revision \(revision)...")
        }

        var daemonSet: (State, String) {
            guard !DaemonSetSpec(workload["spec"] ?? .null).updatesOnDelete else {
                return (.failed, "rollout status is only available for RollingUpdate strategy type")
            }
            guard isSeen else { return (.underWay, "Waiting for daemon set spec update to be observed...") }
            let (updated, desired) = (count("updatedNumberScheduled"), count("desiredNumberScheduled"))
            let available = count("numberAvailable")
            func waiting(_ text: String) -> (State, String) {
                (.underWay, "Waiting for daemon set \"\(name)\" rollout to finish: \(text)...")
            }
            if updated < desired { return waiting("\(updated) out of \(desired) new pods have been updated") }
            if available < desired { return waiting("\(available) of \(desired) updated pods are available") }
            return (.done, "daemon set \"\(name)\" successfully rolled out")
        }
    }
}
