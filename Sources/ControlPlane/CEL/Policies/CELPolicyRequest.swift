package import Resources
package import Wire

/// A write that policies judge.
package struct CELPolicyRequest: Sendable {
    package enum Operation: String, Sendable {
        case create = "CREATE"
        case update = "UPDATE"
        case delete = "DELETE"
    }

    package let operation: Operation
    package let type: ResourceType
    package var subresource = ""
    package var namespace = ""
    package var name = ""
    /// As it is to be stored; nil when it is to be deleted.
    package var object: Object?
    /// As it is stored; nil when it is new.
    package var old: Object?
    package var namespaceObject: Object?
    /// Who asks: `username`, `uid`, `groups`.
    package var user: Value = [:]
    package var isDryRun = false
    /// What that one may do; nil where nobody asks, and everything is allowed.
    package var access: CELAccess?

    package init(_ operation: Operation, _ type: ResourceType) {
        self.operation = operation
        self.type = type
    }

    /// The variable `request`.
    var value: Value {
        let kind: Value = [
            "group": .string(type.group), "version": .string(type.version), "kind": .string(type.kind),
        ]
        let resource: Value = [
            "group": .string(type.group), "version": .string(type.version), "resource": .string(type.plural),
        ]
        return [
            "kind": kind, "resource": resource, "subResource": .string(subresource), "requestKind": kind,
            "requestResource": resource, "requestSubResource": .string(subresource), "name": .string(name),
            "namespace": .string(namespace), "operation": .string(operation.rawValue), "userInfo": user,
            "dryRun": .bool(isDryRun), "options": options,
        ]
    }

    private var options: Value {
        let kind =
            switch operation {
            case .create: "CreateOptions"
            case .update: "UpdateOptions"
            case .delete: "DeleteOptions"
            }
        var options: Value = ["kind": .string(kind), "apiVersion": "meta.k8s.io/v1"]
        if isDryRun { options["dryRun"] = ["All"] }
        return options
    }
}

/// Which writes a policy or binding is about: `matchConstraints`, `matchResources`.
package struct CELMatch: Sendable {
    private struct Rule: Sendable {
        let groups: [String]
        let versions: [String]
        let operations: [String]
        let resources: [String]
        let names: [String]
        let scope: String

        init(_ value: Value) {
            groups = value.texts("apiGroups")
            versions = value.texts("apiVersions")
            operations = value.texts("operations")
            resources = value.texts("resources")
            names = value.texts("resourceNames")
            scope = value.text("scope") ?? "*"
        }

        func matches(_ request: CELPolicyRequest, isExact: Bool) -> Bool {
            let type = request.type
            guard Self.has(groups, type.group), !isExact || Self.has(versions, type.version),
                Self.has(operations, request.operation.rawValue),
                names.isEmpty || names.contains(request.name), matchesScope(request)
            else { return false }
            return resources.contains { matchesResource($0, type.plural, request.subresource) }
        }

        static func has(_ list: [String], _ word: String) -> Bool { list.contains("*") || list.contains(word) }

        private func matchesScope(_ request: CELPolicyRequest) -> Bool {
            switch scope {
            case "Cluster": !request.type.isNamespaced
            case "Namespaced": request.type.isNamespaced
            default: true
            }
        }

        /// `pods`, `pods/status`, `pods/*`, `*/status`, `*`, `*/*`.
        private func matchesResource(_ pattern: String, _ plural: String, _ subresource: String) -> Bool {
            let parts = pattern.split(separator: "/", maxSplits: 1).map(String.init)
            guard let resource = parts.first, resource == "*" || resource == plural else { return false }
            guard parts.count == 2 else { return subresource.isEmpty }
            return parts[1] == "*" || parts[1] == subresource
        }
    }

    private let rules: [Rule]
    private let excluded: [Rule]
    private let isExact: Bool
    private let namespaces: LabelSelector
    private let objects: LabelSelector

    package init(_ value: Value) {
        rules = value.list("resourceRules").map(Rule.init)
        excluded = value.list("excludeResourceRules").map(Rule.init)
        isExact = value.text("matchPolicy") == "Exact"
        namespaces = LabelSelector(value["namespaceSelector"] ?? [:])
        objects = LabelSelector(value["objectSelector"] ?? [:])
    }

    /// Whether a write is meant; `isBinding` for a binding, in which no rules at all mean every write of its policy.
    package func matches(_ request: CELPolicyRequest, isBinding: Bool) -> Bool {
        if !(isBinding && rules.isEmpty) {
            guard rules.contains(where: { $0.matches(request, isExact: isExact) }) else { return false }
        }
        if excluded.contains(where: { $0.matches(request, isExact: isExact) }) { return false }
        if !namespaces.isEmpty {
            let isNamespace = request.type == ResourceTypes.namespaces
            if request.type.isNamespaced || isNamespace {
                let space = isNamespace ? request.object ?? request.old : request.namespaceObject
                guard let space, namespaces.matches(space) else { return false }
            }
        }
        return objects.isEmpty || request.object.map { objects.matches($0) } == true
            || request.old.map { objects.matches($0) } == true
    }

    /// The resources that are named without wildcards, for the check of types.
    var named: [(group: String, version: String, resource: String)] {
        rules.flatMap { rule in
            rule.groups.flatMap { group in
                rule.versions.flatMap { version in rule.resources.map { (group, version, $0) } }
            }
        }
        .filter {
            !$0.group.contains("*") && !$0.version.contains("*") && !$0.resource.contains("*")
                && !$0.resource.contains("/")
        }
    }
}
