package import Resources
package import Wire

/// Whether a machine is one that a pod asks for: `nodeSelector`, required node affinity, taints, cordons.
///
/// Pure.
package enum NodeFit {
    /// The taint of a machine that is cordoned.
    package static let unschedulable = "node.kubernetes.io/unschedulable"

    /// - Returns: why not, in the scheduler's words, or nil.
    package static func problem(_ pod: Value, on node: Object) -> String? {
        let tolerations = pod.list("tolerations")
        if node.spec.flag("unschedulable") {
            let taint: Value = ["key": .string(unschedulable), "effect": "NoSchedule"]
            if !tolerations.contains(where: { tolerates($0, taint) }) { return "node(s) were unschedulable" }
        }
        for taint in taints(of: node, ["NoSchedule", "NoExecute"]) {
            guard !tolerations.contains(where: { tolerates($0, taint) }) else { continue }
            return "node(s) had untolerated taint {\(taint.text("key") ?? ""): \(taint.text("value") ?? "")}"
        }
        return isChosen(pod, node) ? nil : "node(s) didn't match Pod's node affinity/selector"
    }

    /// Whether the pod's `nodeSelector` and its required node affinity choose the machine.
    package static func isChosen(_ pod: Value, _ node: Object) -> Bool {
        for (key, wanted) in pod.textMap("nodeSelector") where node.label(key) != wanted { return false }
        let required = pod.at("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
        return required?.list("nodeSelectorTerms").contains { matches($0, node) } ?? true
    }

    /// The taints that end running pods which do not tolerate them.
    package static func evictingTaints(of node: Object) -> [Value] { taints(of: node, ["NoExecute"]) }

    /// How long a running pod may stay despite the machine's taints.
    ///
    /// - Returns: seconds since the taint came, 0 for at once, nil for as long as it likes.
    package static func secondsLeft(_ pod: Value, under taints: [Value]) -> Int? {
        var shortest: Int?
        for taint in taints {
            let matching = pod.list("tolerations").filter { tolerates($0, taint) }
            guard !matching.isEmpty else { return 0 }
            for seconds in matching.compactMap({ $0.integer("tolerationSeconds") }) {
                shortest = min(shortest ?? .max, max(seconds, 0))
            }
        }
        return shortest
    }

    private static func taints(of node: Object, _ effects: [String]) -> [Value] {
        node.spec.list("taints").filter { effects.contains($0.text("effect") ?? "") && $0.text("key") != unschedulable }
    }

    private static func matches(_ term: Value, _ node: Object) -> Bool {
        let (expressions, fields) = (term.list("matchExpressions"), term.list("matchFields"))
        guard !expressions.isEmpty || !fields.isEmpty else { return false }
        return expressions.allSatisfy { matches($0, node.label($0.text("key") ?? "")) }
            && fields.allSatisfy { $0.text("key") == "metadata.name" && matches($0, node.name) }
    }

    private static func matches(_ expression: Value, _ present: String?) -> Bool {
        let values = expression.texts("values")
        switch expression.text("operator") {
        case "In": return present.map(values.contains) ?? false
        case "NotIn": return present.map { !values.contains($0) } ?? true
        case "Exists": return present != nil
        case "DoesNotExist": return present == nil
        case "Gt", "Lt":
            guard let present = present.flatMap({ Int($0) }), let bound = values.first.flatMap({ Int($0) }) else {
                return false
            }
            return expression.text("operator") == "Gt" ? present > bound : present < bound
        default: return false
        }
    }

    private static func tolerates(_ toleration: Value, _ taint: Value) -> Bool {
        if let effect = toleration.text("effect"), !effect.isEmpty, effect != taint.text("effect") { return false }
        let key = toleration.text("key") ?? ""
        if key.isEmpty { return toleration.text("operator") == "Exists" }
        guard key == taint.text("key") else { return false }
        return toleration.text("operator") == "Exists"
            || (toleration.text("value") ?? "") == (taint.text("value") ?? "")
    }
}
