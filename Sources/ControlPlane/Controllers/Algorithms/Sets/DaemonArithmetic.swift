package import Resources
package import Wire

/// What a DaemonSet does on one machine.
///
/// Pure.
package struct DaemonArithmetic: Equatable, Sendable {
    package struct Pod: Equatable, Sendable {
        package var name: String
        package var isNew: Bool
        package var isEnding: Bool
        package var hasFailed: Bool
        package var isAvailable: Bool
        /// RFC 3339 text; of several the oldest stays.
        package var created: String

        package init(
            _ name: String,
            isNew: Bool,
            isEnding: Bool = false,
            hasFailed: Bool = false,
            isAvailable: Bool = true,
            created: String = ""
        ) {
            self.name = name
            self.isNew = isNew
            self.isEnding = isEnding
            self.hasFailed = hasFailed
            self.isAvailable = isAvailable
            self.created = created
        }
    }

    package struct Step: Equatable, Sendable {
        package var creates = false
        package var deletes: [String] = []

        package init(creates: Bool = false, deletes: [String] = []) {
            self.creates = creates
            self.deletes = deletes
        }
    }

    /// Whether the machine is one of the set's.
    package var belongsHere: Bool
    package var updatesOnDelete: Bool
    /// A new pod runs before the old one is ended.
    package var surges: Bool

    package init(belongsHere: Bool = true, updatesOnDelete: Bool = false, surges: Bool = false) {
        self.belongsHere = belongsHere
        self.updatesOnDelete = updatesOnDelete
        self.surges = surges
    }

    package func step(_ pods: [Pod]) -> Step {
        let here = pods.filter { !$0.isEnding }
        guard belongsHere else { return Step(deletes: here.map(\.name).sorted()) }
        let failed = here.filter(\.hasFailed).map(\.name).sorted()
        guard failed.isEmpty else { return Step(deletes: failed) }
        // The oldest of several equals stays, an available one before others.
        func order(_ pods: [Pod]) -> [Pod] {
            pods.sorted {
                ($0.isAvailable ? 0 : 1, $0.created, $0.name) < ($1.isAvailable ? 0 : 1, $1.created, $1.name)
            }
        }
        let new = order(here.filter(\.isNew))
        let old = order(here.filter { !$0.isNew })
        var step = Step(deletes: (new.dropFirst() + old.dropFirst()).map(\.name))
        switch (new.first, old.first) {
        case (nil, nil):
            // A pod that is ending still has the machine, unless pods may overlap.
            step.creates = surges || pods.isEmpty
        case (nil, let present?):
            if updatesOnDelete { break }
            if surges {
                step.creates = true
                if !present.isAvailable { step.deletes.append(present.name) }
            } else {
                step.deletes.append(present.name)
            }
        case (let successor?, let present?):
            if updatesOnDelete || successor.isAvailable || !present.isAvailable { step.deletes.append(present.name) }
        case (_?, nil): break
        }
        return step
    }
}

/// Whether a machine is one that a pod asks for: `nodeSelector`, required node affinity, and taints.
package enum NodeFit {
    /// - Returns: why not, or nil.
    package static func problem(_ pod: Value, on node: Object) -> String? {
        for (key, wanted) in pod.textMap("nodeSelector").sorted(by: { $0.key < $1.key })
        where node.label(key) != wanted {
            return "node \"\(node.name)\" has no label \(key)=\(wanted)"
        }
        let required = pod.at("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
        if let terms = required?.list("nodeSelectorTerms"), !terms.contains(where: { matches($0, node) }) {
            return "node \"\(node.name)\" does not match the pod's node affinity"
        }
        let tolerations = pod.list("tolerations")
        for taint in node.spec.list("taints") where ["NoSchedule", "NoExecute"].contains(taint.text("effect") ?? "") {
            guard !tolerations.contains(where: { tolerates($0, taint) }) else { continue }
            return "node \"\(node.name)\" has the taint \(taint.text("key") ?? ""), which the pod does not tolerate"
        }
        return nil
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
