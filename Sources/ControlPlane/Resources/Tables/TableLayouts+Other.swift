import Wire

// Kinds that are mostly kept: accounts, access, classes.
extension TableLayouts {
    /// The layout of one of these kinds; nil for all others.
    static func other(_ kind: String) -> Layout? {
        switch kind {
        case "ServiceAccount": serviceAccounts
        case "ResourceQuota": quotas
        case "LimitRange", "Role", "ClusterRole", "CustomResourceDefinition": created
        case "RoleBinding", "ClusterRoleBinding": bindings
        case "NetworkPolicy": networkPolicies
        case "IngressClass": ingressClasses
        case "StorageClass": storageClasses
        case "Lease": leases
        case "PriorityClass": priorityClasses
        case "ValidatingAdmissionPolicy": policies
        case "ValidatingAdmissionPolicyBinding": policyBindings
        default: nil
        }
    }

    private static func text(_ text: String?, _ fallback: String = "<none>") -> Value {
        .string(text.flatMap { $0.isEmpty ? nil : $0 } ?? fallback)
    }

    private static let created = Layout(columns: columns("Name", "Created At")) { object, _ in
        [.string(object.name), text(object.creationTimestamp?.description, "")]
    }

    private static let policies = Layout(columns: columns("Name", "Validations", "ParamKind", "Age")) { object, now in
        let kind = object.spec["paramKind"]
        let name = kind.map { "\($0.text("apiVersion") ?? "")/\($0.text("kind") ?? "")" }
        return [
            .string(object.name), .int(Int64(object.spec.list("validations").count)), text(name, "<unset>"),
            age(object, now),
        ]
    }

    private static let policyBindings = Layout(columns: columns("Name", "PolicyName", "ParamRef", "Age")) {
        object,
        now in
        let reference = object.spec["paramRef"]
        let name = [reference?.text("namespace"), reference?.text("name")].compactMap { $0 }.joined(separator: "/")
        return [.string(object.name), text(object.spec.text("policyName")), text(name, "<unset>"), age(object, now)]
    }

    private static let serviceAccounts = Layout(columns: columns("Name", "Secrets#", "Age")) {
        [.string($0.name), .int(Int64($0.value.list("secrets").count)), age($0, $1)]
    }

    private static let quotas = Layout(columns: columns("Name", "Request", "Limit", "Age")) { object, now in
        let hard = object.status["hard"] ?? object.spec["hard"] ?? [:]
        let used = object.status["used"] ?? [:]
        var requests: [String] = []
        var limits: [String] = []
        for (name, amount) in hard.fields ?? Fields() {
            let shown = "\(name): \(used.text(name) ?? "0")/\(amount.stringValue ?? "")"
            if name.hasPrefix("limits.") { limits.append(shown) } else { requests.append(shown) }
        }
        return [
            .string(object.name), .string(requests.sorted().joined(separator: ", ")),
            .string(limits.sorted().joined(separator: ", ")), age(object, now),
        ]
    }

    private static let bindings = Layout(
        columns: columns("Name", "Role", "Age", "Users*", "Groups*", "ServiceAccounts*")
    ) { object, now in
        let role = object.value["roleRef"] ?? .null
        let names = { (kind: String) in
            Value.string(
                object.value.list("subjects").filter { $0.text("kind") == kind }.map { subject in
                    let name = subject.text("name") ?? ""
                    return kind == "ServiceAccount" ? "\(subject.text("namespace") ?? "")/\(name)" : name
                }.joined(separator: ", ")
            )
        }
        return [
            .string(object.name), .string("\(role.text("kind") ?? "")/\(role.text("name") ?? "")"), age(object, now),
            names("User"), names("Group"), names("ServiceAccount"),
        ]
    }

    private static let networkPolicies = Layout(columns: columns("Name", "Pod-Selector", "Age")) {
        [.string($0.name), text(LabelSelector($0.spec["podSelector"] ?? [:]).description), age($0, $1)]
    }

    private static let ingressClasses = Layout(columns: columns("Name", "Controller", "Parameters", "Age")) {
        object,
        now in
        let parameters = object.spec["parameters"].map { "\($0.text("kind") ?? "")/\($0.text("name") ?? "")" }
        return [.string(object.name), text(object.spec.text("controller")), text(parameters), age(object, now)]
    }

    private static let storageClasses = Layout(
        columns: columns("Name", "Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion", "Age")
    ) { object, now in
        let isDefault = object.annotation("storageclass.kubernetes.io/is-default-class") == "true"
        return [
            .string(object.name + (isDefault ? " (default)" : "")), text(object.value.text("provisioner"), ""),
            text(object.value.text("reclaimPolicy"), "Delete"),
            text(object.value.text("volumeBindingMode"), "Immediate"),
            .string(object.value.flag("allowVolumeExpansion") ? "true" : "false"), age(object, now),
        ]
    }

    private static let leases = Layout(columns: columns("Name", "Holder", "Age")) {
        [.string($0.name), text($0.spec.text("holderIdentity"), ""), age($0, $1)]
    }

    private static let priorityClasses = Layout(columns: columns("Name", "Value#", "Global-Default", "Age")) {
        [
            .string($0.name), .int(Int64($0.value.integer("value") ?? 0)),
            .string($0.value.flag("globalDefault") ? "true" : "false"), age($0, $1),
        ]
    }
}
