package import Wire

/// A typed way of reading a part of an object's tree, with Kubernetes' names and defaults.
///
/// A view never traps and never validates: what was stored has been checked and defaulted before.
package protocol ValueView: Sendable, Equatable {
    var value: Value { get }
    init(_ value: Value)
}

extension Value {
    /// The elements of a list field as views.
    package func views<View: ValueView>(_ name: String) -> [View] { list(name).map(View.init) }

    /// A field as a view, or nil when it is missing.
    package func view<View: ValueView>(_ name: String) -> View? {
        guard let value = self[name], !value.isNull else { return nil }
        return View(value)
    }
}

/// `spec` of a Deployment.
package struct DeploymentSpec: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    package var replicas: Int { max(value.integer("replicas") ?? 1, 0) }
    package var selector: LabelSelector { LabelSelector(value["selector"] ?? .null) }
    package var template: PodTemplate { PodTemplate(value["template"] ?? .null) }
    package var minReadySeconds: Int { max(value.integer("minReadySeconds") ?? 0, 0) }
    package var revisionHistoryLimit: Int { max(value.integer("revisionHistoryLimit") ?? 10, 0) }
    package var progressDeadlineSeconds: Int { value.integer("progressDeadlineSeconds") ?? 600 }
    package var paused: Bool { value.flag("paused") }
    /// `RollingUpdate` or `Recreate`.
    package var strategyType: String { value["strategy"]?.text("type") ?? "RollingUpdate" }
    package var maxSurge: IntOrString {
        IntOrString(value.at("strategy", "rollingUpdate", "maxSurge")) ?? .text("25%")
    }
    package var maxUnavailable: IntOrString {
        IntOrString(value.at("strategy", "rollingUpdate", "maxUnavailable")) ?? .text("25%")
    }

    /// How many pods more and how many fewer than wanted a rollout may run: surge rounds up, unavailable rounds down,
    /// and when both come to zero one pod may be unavailable, so that a rollout can move at all.
    package var rollingLimits: (surge: Int, unavailable: Int) {
        guard strategyType == "RollingUpdate" else { return (0, replicas) }
        let surge = max(maxSurge.scaled(of: replicas, roundingUp: true) ?? 0, 0)
        let unavailable = max(maxUnavailable.scaled(of: replicas, roundingUp: false) ?? 0, 0)
        return surge == 0 && unavailable == 0 ? (0, 1) : (surge, min(unavailable, replicas))
    }
}

/// `spec` of a ReplicaSet.
package struct ReplicaSetSpec: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    package var replicas: Int { max(value.integer("replicas") ?? 1, 0) }
    package var selector: LabelSelector { LabelSelector(value["selector"] ?? .null) }
    package var template: PodTemplate { PodTemplate(value["template"] ?? .null) }
    package var minReadySeconds: Int { max(value.integer("minReadySeconds") ?? 0, 0) }
}

/// `status` of a Deployment or a ReplicaSet: counts of pods.
package struct ScaleStatus: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    package var replicas: Int { value.integer("replicas") ?? 0 }
    package var updatedReplicas: Int { value.integer("updatedReplicas") ?? 0 }
    package var readyReplicas: Int { value.integer("readyReplicas") ?? 0 }
    package var availableReplicas: Int { value.integer("availableReplicas") ?? 0 }
    package var unavailableReplicas: Int { value.integer("unavailableReplicas") ?? 0 }
    package var observedGeneration: Int { value.integer("observedGeneration") ?? 0 }
    package var conditions: [Condition] { value.views("conditions") }
}

/// The template of a workload's pods: metadata and `spec`.
package struct PodTemplate: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    package var labels: [String: String] { value["metadata"]?.textMap("labels") ?? [:] }
    package var annotations: [String: String] { value["metadata"]?.textMap("annotations") ?? [:] }
    package var spec: PodSpec { PodSpec(value["spec"] ?? .null) }
}

/// One entry of `status.conditions`.
package struct Condition: ValueView {
    package let value: Value
    package init(_ value: Value) { self.value = value }

    package init(
        type: String,
        status: Bool,
        reason: String = "",
        message: String = "",
        lastTransitionTime: Timestamp? = nil
    ) {
        var value: Value = ["type": .string(type), "status": status ? "True" : "False"]
        if let lastTransitionTime { value["lastTransitionTime"] = .string(lastTransitionTime.description) }
        if !reason.isEmpty { value["reason"] = .string(reason) }
        if !message.isEmpty { value["message"] = .string(message) }
        self.value = value
    }

    package var type: String { value.text("type") ?? "" }
    /// `True`, `False` or `Unknown`.
    package var status: String { value.text("status") ?? "Unknown" }
    package var isTrue: Bool { status == "True" }
    package var reason: String { value.text("reason") ?? "" }
    package var message: String { value.text("message") ?? "" }
    package var lastTransitionTime: Timestamp? { value.text("lastTransitionTime").flatMap(Timestamp.init) }
    package var lastUpdateTime: Timestamp? { value.text("lastUpdateTime").flatMap(Timestamp.init) }
}

extension [Condition] {
    /// The condition of a type, or nil.
    package func first(ofType type: String) -> Condition? { first { $0.type == type } }

    /// Sets a condition; its transition time stays when its status did not change.
    package mutating func set(_ condition: Condition) {
        guard let index = firstIndex(where: { $0.type == condition.type }) else { return append(condition) }
        var value = condition.value
        if self[index].status == condition.status, let time = self[index].value["lastTransitionTime"] {
            value["lastTransitionTime"] = time
        }
        self[index] = Condition(value)
    }
}
