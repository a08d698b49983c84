package import Wire

/// The status of a definition: which names it has, whether its kind is served.
package enum DefinitionStatus {
    /// The names that other kinds of the group have.
    package struct Taken: Sendable {
        package var plurals: Set<String> = []
        package var kinds: Set<String> = []
        /// Singular and short names share their space with plurals, list kinds with kinds.
        package var words: Set<String> = []

        package init() {}

        /// Adds the accepted names of another definition.
        package mutating func add(_ names: Value) {
            for field in ["plural", "singular"] { if let text = names.text(field) { words.insert(text) } }
            words.formUnion(names.texts("shortNames"))
            for field in ["kind", "listKind"] { if let text = names.text(field) { kinds.insert(text) } }
        }

        /// Adds the names of a kind of the house.
        package mutating func add(_ type: ResourceType) {
            words.formUnion([type.plural, type.singular] + type.shortNames)
            kinds.formUnion([type.kind, type.listKind])
        }
    }

    /// Whether a condition is true.
    package static func isTrue(_ condition: String, _ object: Object) -> Bool {
        object.status.list("conditions").contains { $0.text("type") == condition && $0.text("status") == "True" }
    }

    /// Brings the status of a definition in line with its spec and with the names of others.
    package static func update(_ object: inout Object, taken: Taken, now: Timestamp) {
        var status = object.status
        if status.fields == nil { status = [:] }
        let names = object.spec["names"] ?? [:]
        let accepted = accept(names, status["acceptedNames"] ?? [:], taken)
        status["acceptedNames"] = accepted.names
        var conditions = Conditions(status.list("conditions"), now)
        conditions.set(
            "NamesAccepted",
            accepted.problem == nil,
            accepted.problem?.reason ?? "NoConflicts",
            accepted.problem?.message ?? "no conflicts found"
        )
        if accepted.problem == nil {
            conditions.set("Established", true, "InitialNamesAccepted", "the initial names have been accepted")
        } else if !isTrue("Established", object) {
            conditions.set("Established", false, "NotAccepted", "not all names are accepted")
        }
        approve(object, &conditions)
        var stored = status.list("storedVersions")
        for version in object.spec.list("versions") where version.flag("storage") {
            if let name = version["name"], !stored.contains(name) { stored.append(name) }
        }
        status["storedVersions"] = .array(stored)
        status["conditions"] = .array(conditions.list)
        object.status = status
    }

    /// Says that the objects of a definition are being deleted.
    package static func terminate(_ object: inout Object, now: Timestamp) {
        var conditions = Conditions(object.status.list("conditions"), now)
        conditions.set(
            "Terminating",
            true,
            "InstanceDeletionInProgress",
            "CustomResource deletion is in progress"
        )
        object.value.set(["status", "conditions"], .array(conditions.list))
    }

    private static func approve(_ object: Object, _ conditions: inout Conditions) {
        guard Definition.isProtected(object.spec.text("group") ?? "") else { return }
        let name = "KubernetesAPIApprovalPolicyConformant"
        switch Definition.Approval(object) {
        case .approved(let text): conditions.set(name, true, "ApprovedAnnotation", "approved in \(text)")
        case .bypassed(let text):
            conditions.set(name, false, "UnapprovedAnnotation", "not approved: \"\(text)\"")
        case .invalid, .missing:
            let why =
                "protected groups must have approval annotation \"\(Definition.approval)\", see https://github.com/kubernetes/enhancements/pull/1111"
            conditions.set(name, false, "MissingAnnotation", why)
        }
    }

    private static func accept(
        _ wanted: Value,
        _ present: Value,
        _ taken: Taken
    ) -> (names: Value, problem: (reason: String, message: String)?) {
        var names = present
        var problem: (reason: String, message: String)?
        func offer(_ field: String, _ isTaken: Bool, _ shown: String, _ reason: String) {
            if isTaken {
                problem = problem ?? (reason, "\"\(shown)\" is already in use")
            } else {
                names[field] = wanted[field]
            }
        }
        for (field, reason) in [("plural", "PluralConflict"), ("singular", "SingularConflict")] {
            let text = wanted.text(field) ?? ""
            offer(field, taken.words.contains(text), text, reason)
        }
        let conflict = wanted.texts("shortNames").first(where: taken.words.contains)
        offer("shortNames", conflict != nil, conflict ?? "", "ShortNamesConflict")
        for (field, reason) in [("kind", "KindConflict"), ("listKind", "ListKindConflict")] {
            let text = wanted.text(field) ?? ""
            offer(field, taken.kinds.contains(text), text, reason)
        }
        names["categories"] = wanted["categories"]
        return (names, problem)
    }

    private struct Conditions {
        var list: [Value]
        let now: Timestamp

        init(_ list: [Value], _ now: Timestamp) {
            self.list = list
            self.now = now
        }

        mutating func set(_ type: String, _ isTrue: Bool, _ reason: String, _ message: String) {
            let status: Value = isTrue ? "True" : "False"
            let place = list.firstIndex { $0.text("type") == type }
            let isSame = place.map { list[$0]["status"] == status } ?? false
            let since = place.flatMap { isSame ? list[$0]["lastTransitionTime"] : nil } ?? .string(now.description)
            let condition: Value = [
                "lastTransitionTime": since, "message": .string(message), "reason": .string(reason), "status": status,
                "type": .string(type),
            ]
            if let place { list[place] = condition } else { list.append(condition) }
        }
    }
}
