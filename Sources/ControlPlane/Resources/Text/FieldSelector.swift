import Wire

/// Chooses objects by the values of single fields: `metadata.name=web,status.phase!=Running`.
package struct FieldSelector: Sendable, Equatable {
    /// One field that must (or must not) have a value; a missing field reads as empty text.
    package struct Requirement: Sendable, Equatable {
        package let path: String
        package let value: String
        package let isEqual: Bool
    }

    package var requirements: [Requirement]

    package init(requirements: [Requirement] = []) { self.requirements = requirements }

    /// The object of a name.
    package init(name: String) { requirements = [Requirement(path: "metadata.name", value: name, isEqual: true)] }

    package var isEmpty: Bool { requirements.isEmpty }

    /// Reads a text for a type.
    ///
    /// - Throws: `APIError` 400 for a field that the type cannot be chosen by.
    package init(text: String, for type: ResourceType) throws(APIError) {
        requirements = []
        for term in text.split(separator: ",") {
            let term = String(term).trimmed
            let isEqual = term.split(at: "!=") == nil
            guard let (path, value) = term.split(at: isEqual ? (term.split(at: "==") == nil ? "=" : "==") : "!=") else {
                throw APIError.badRequest("invalid field selector \"\(text)\": \"\(term)\" is not field=value")
            }
            guard Self.fields(of: type).contains(path) else {
                throw APIError.badRequest("field label not supported: \(path)")
            }
            requirements.append(Requirement(path: path, value: value, isEqual: isEqual))
        }
    }

    package func matches(_ object: Object) -> Bool {
        requirements.allSatisfy { requirement in
            var value = object.value
            for step in requirement.path.split(separator: ".") { value = value[String(step)] ?? .null }
            let text: String
            switch value {
            case .string(let string): text = string
            case .bool(let bool): text = bool ? "true" : "false"
            case .int(let number): text = String(number)
            default: text = requirement.path == "spec.unschedulable" ? "false" : ""
            }
            return (text == requirement.value) == requirement.isEqual
        }
    }

    private static func fields(of type: ResourceType) -> [String] {
        let common = type.isNamespaced ? ["metadata.name", "metadata.namespace"] : ["metadata.name"]
        if let custom = type.custom { return common + custom.selectable }
        switch type.kind {
        case "Pod":
            return common + [
                "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
                "spec.hostNetwork", "status.phase", "status.podIP", "status.nominatedNodeName",
            ]
        case "Event":
            return common + [
                "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
                "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
                "reportingComponent", "source", "type",
            ]
        case "Namespace": return common + ["status.phase"]
        case "Secret": return common + ["type"]
        case "Node": return common + ["spec.unschedulable"]
        case "Service": return common + ["spec.clusterIP", "spec.type"]
        case "Job": return common + ["status.successful"]
        case "ReplicaSet", "ReplicationController": return common + ["status.replicas"]
        default: return common
        }
    }
}
