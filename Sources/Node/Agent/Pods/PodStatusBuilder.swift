package import Resources
package import Wire

/// A pod's status from what is known of its containers, by Kubernetes' rules.
///
/// Pure.
package struct PodStatusBuilder: Sendable {
    package var spec: PodSpec
    package var initContainers: [ContainerRecord]
    package var containers: [ContainerRecord]
    package var isInitialized = false
    /// The pod has its namespaces and address.
    package var hasSandbox = false
    package var address = ""
    package var hostAddress = ""
    package var startTime: Timestamp?
    /// A pod that failed as a whole (a deadline, a volume that cannot be): reason and message.
    package var failure: (reason: String, message: String)?

    package init(spec: PodSpec, initContainers: [ContainerRecord], containers: [ContainerRecord]) {
        self.spec = spec
        self.initContainers = initContainers
        self.containers = containers
    }

    package var phase: String {
        if failure != nil { return "Failed" }
        let sidecars = sidecarNames
        if let failed = initContainers.first(where: {
            ($0.termination?.exitCode ?? 0) != 0 && !sidecars.contains($0.name)
        }),
            !RestartRule.restarts(policy: spec.restartPolicy, exitCode: failed.termination?.exitCode ?? 1),
            !isInitialized
        {
            return "Failed"
        }
        guard isInitialized else { return "Pending" }
        let ended = containers.compactMap(\.termination)
        if ended.count == containers.count,
            ended.allSatisfy({ !RestartRule.restarts(policy: spec.restartPolicy, exitCode: $0.exitCode) })
        {
            return ended.allSatisfy { $0.exitCode == 0 } ? "Succeeded" : "Failed"
        }
        // A container that never ran is waiting for its first start.
        let hasRun = containers.allSatisfy { $0.isRunning || $0.termination != nil || $0.lastTermination != nil }
        return hasRun ? "Running" : "Pending"
    }

    /// Sidecars count as containers do.
    package var isReady: Bool { isInitialized && failure == nil && unready.isEmpty }

    /// The containers and sidecars that are not ready.
    private var unready: [String] {
        let sidecars = sidecarNames
        let counted = containers + initContainers.filter { sidecars.contains($0.name) }
        return counted.filter { !$0.isReady }.map(\.name)
    }

    private var sidecarNames: Set<String> {
        Set(spec.initContainers.lazy.filter { $0.restartPolicy == "Always" }.map(\.name))
    }

    /// Whether nothing will run in this pod any more.
    package var isFinished: Bool { phase == "Succeeded" || phase == "Failed" }

    /// `Guaranteed`, `Burstable` or `BestEffort`.
    package static func qualityOfService(_ spec: PodSpec) -> String {
        let needs = (spec.containers + spec.initContainers).map(\.resources)
        let names = ["cpu", "memory"]
        let asksNothing = needs.allSatisfy { need in
            names.allSatisfy { need.limit($0) == nil && need.request($0) == nil }
        }
        if asksNothing { return "BestEffort" }
        let isExact = needs.allSatisfy { need in
            names.allSatisfy { name in
                guard let limit = need.limit(name) else { return false }
                return (need.request(name) ?? limit) == limit
            }
        }
        return isExact ? "Guaranteed" : "Burstable"
    }

    /// The new status; what others keep in the old one (readiness gates) stays.
    package func status(over old: Value, now: Timestamp) -> Value {
        var status = old
        status["phase"] = .string(phase)
        status["reason"] = failure.map { .string($0.reason) }
        status["message"] = failure.map { .string($0.message) }
        if !hostAddress.isEmpty {
            status["hostIP"] = .string(hostAddress)
            status["hostIPs"] = [["ip": .string(hostAddress)]]
        }
        status["podIP"] = address.isEmpty ? nil : .string(address)
        status["podIPs"] = address.isEmpty ? nil : [["ip": .string(address)]]
        if let startTime { status["startTime"] = .string(startTime.description) }
        status["qosClass"] = .string(Self.qualityOfService(spec))
        if !initContainers.isEmpty { status["initContainerStatuses"] = .array(initContainers.map(\.value)) }
        status["containerStatuses"] = .array(containers.map(\.value))
        status["conditions"] = .array(conditions(over: old, now: now).map(\.value))
        return status
    }

    private func conditions(over old: Value, now: Timestamp) -> [Condition] {
        var conditions: [Condition] = old.views("conditions")
        let unready = unready
        let isOver = phase == "Succeeded"
        let reason = unready.isEmpty ? "" : isOver ? "PodCompleted" : "ContainersNotReady"
        let message =
            unready.isEmpty || isOver ? "" : "containers with unready status: [\(unready.joined(separator: " "))]"
        let waiting = initContainers.filter { $0.termination?.exitCode != 0 && !$0.isRunning }.map(\.name)
        let gates = spec.readinessGates.filter { conditions.first(ofType: $0)?.isTrue != true }
        func set(_ type: String, _ isTrue: Bool, _ reason: String = "", _ message: String = "") {
            conditions.set(
                Condition(type: type, status: isTrue, reason: reason, message: message, lastTransitionTime: now)
            )
        }
        set("PodReadyToStartContainers", hasSandbox)
        if isInitialized || isOver {
            set("Initialized", true, isOver ? "PodCompleted" : "")
        } else {
            let text = "containers with incomplete status: [\(waiting.joined(separator: " "))]"
            set("Initialized", false, "ContainersNotInitialized", text)
        }
        if gates.isEmpty || !isReady {
            set("Ready", isReady, isReady ? "" : reason, isReady ? "" : message)
        } else {
            let text = "the status of pod readiness gates is not True: [\(gates.joined(separator: " "))]"
            set("Ready", false, "ReadinessGatesNotReady", text)
        }
        set("ContainersReady", isReady, isReady ? "" : reason, isReady ? "" : message)
        set("PodScheduled", true)
        return conditions
    }
}
