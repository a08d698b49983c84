import Wire

/// Checks objects by the rules of their kinds and collects what is wrong.
///
/// Runs after `SchemaCheck` and `Defaults`: types are right and defaults are set, values may still be anything.
package struct Validation: Sendable {
    package private(set) var errors: [FieldError] = []

    /// Checks a new object (`old` nil) or a change of a stored one.
    package init(_ object: Object, of type: ResourceType, replacing old: Object? = nil) {
        metadata(object, of: type)
        guard type.isActedOn else { return }
        switch type.kind {
        case "Pod": pod(object, old)
        case "Deployment", "ReplicaSet": workload(object, of: type, old)
        case "StatefulSet": statefulSet(object, of: type, old)
        case "DaemonSet": daemonSet(object, of: type, old)
        case "ControllerRevision": revision(object, old)
        case "Job": job(object, old)
        case "CronJob": cronJob(object)
        case "HorizontalPodAutoscaler": autoscaler(object)
        case "PodDisruptionBudget": disruptionBudget(object)
        case "Service": service(object, old)
        case "ConfigMap", "Secret": configuration(object, of: type, old)
        case "Ingress": ingress(object)
        case "Image": image(object)
        case "PersistentVolumeClaim": claim(object, old)
        case "PersistentVolume": persistentVolume(object, old)
        case "LimitRange": limitRange(object)
        case "ResourceQuota": quota(object, old)
        case "PriorityClass": priorityClass(object, old)
        case "RoleBinding", "ClusterRoleBinding":
            if let old, old["roleRef"] != object["roleRef"] {
                add("roleRef", .invalid, "Invalid value: cannot change roleRef")
            }
        default: break
        }
    }

    mutating func add(_ path: String, _ reason: FieldError.Reason, _ message: String) {
        if errors.count < 100 { errors.append(FieldError(path, reason, message)) }
    }

    /// Puts a path in front of those of the errors from an index on.
    mutating func prefix(_ path: String, from index: Int) {
        for position in errors.indices.dropFirst(index) {
            let error = errors[position]
            errors[position] = FieldError(path + error.path, error.reason, error.message)
        }
    }

    mutating func required(_ path: String, _ why: String = "") {
        add(path, .required, why.isEmpty ? "Required value" : "Required value: \(why)")
    }

    mutating func invalid(_ path: String, _ value: String, _ why: String) {
        add(path, .invalid, "Invalid value: \"\(value.prefix(80))\": \(why)")
    }

    mutating func invalid(_ path: String, _ value: Int, _ why: String) {
        add(path, .invalid, "Invalid value: \(value): \(why)")
    }

    mutating func duplicate(_ path: String, _ value: String) {
        add(path, .duplicate, "Duplicate value: \"\(value.prefix(80))\"")
    }

    mutating func check(_ path: String, _ value: String, _ rule: (String) -> String?) {
        if let problem = rule(value) { invalid(path, value, problem) }
    }

    mutating func notNegative(_ value: Value, _ name: String, _ path: String) {
        guard let number = value.integer(name) else { return }
        if number < 0 { invalid("\(path).\(name)", number, "must be greater than or equal to 0") }
        notHuge(number, "\(path).\(name)")
    }

    /// Kubernetes' numbers have 32 bits: with larger ones nobody can reckon.
    mutating func notHuge(_ number: Int, _ path: String) {
        if number > Int(Int32.max) { invalid(path, number, "must be less than or equal to \(Int32.max)") }
    }

    mutating func portNumber(_ number: Int, _ path: String) {
        if !(1...65535).contains(number) { invalid(path, number, "must be between 1 and 65535, inclusive") }
    }

    mutating func portNumberOrName(_ port: IntOrString?, _ path: String) {
        switch port {
        case .number(let number)?: portNumber(number, path)
        case .text(let name)?: check(path, name, NameRules.portName)
        case nil: required(path)
        }
    }
}

// Metadata.
extension Validation {
    private static let pathNamed: Set<String> = ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"]

    private mutating func metadata(_ object: Object, of type: ResourceType) {
        let name = object.name
        if name.isEmpty {
            required("metadata.name", object.generateName.isEmpty ? "name or generateName is required" : "")
        } else {
            switch type.custom == nil ? type.kind : "" {
            case "Service": check("metadata.name", name, NameRules.label1035)
            case "Namespace": check("metadata.name", name, NameRules.label)
            case let kind where Self.pathNamed.contains(kind):
                if name.contains("/") || name.contains("%") || name == "." || name == ".." {
                    invalid("metadata.name", name, "may not contain '/' or '%' and may not be '.' or '..'")
                }
            default: check("metadata.name", name, NameRules.subdomain)
            }
        }
        if type.isNamespaced, object.namespace.isEmpty {
            required("metadata.namespace")
        } else if type.isNamespaced {
            check("metadata.namespace", object.namespace, NameRules.label)
        } else if !object.namespace.isEmpty {
            add("metadata.namespace", .forbidden, "Forbidden: not allowed on this type")
        }
        labels(object.metadata["labels"], "metadata.labels")
        annotations(object.metadata["annotations"])
        for (index, owner) in object.ownerReferences.enumerated() where owner.uid.isEmpty || owner.name.isEmpty {
            required("metadata.ownerReferences[\(index)]", "name and uid must not be empty")
        }
        for finalizer in object.finalizers { check("metadata.finalizers", finalizer, NameRules.labelKey) }
    }

    mutating func labels(_ value: Value?, _ path: String) {
        guard let fields = value?.fields else { return }
        for (key, text) in fields {
            check(path, key, NameRules.labelKey)
            if let text = text.stringValue { check("\(path)[\(key)]", text, NameRules.labelValue) }
        }
    }

    private mutating func annotations(_ value: Value?) {
        guard let fields = value?.fields else { return }
        var size = 0
        for (key, text) in fields {
            check("metadata.annotations", key.lowercased(), NameRules.labelKey)
            size += key.utf8.count + (text.stringValue?.utf8.count ?? 0)
        }
        if size > 262_144 {
            add("metadata.annotations", .tooLong, "Too long: may not be more than 262144 bytes together")
        }
    }

    mutating func selector(_ value: Value?, _ path: String) {
        guard let value else { return }
        labels(value["matchLabels"], "\(path).matchLabels")
        for (index, expression) in value.list("matchExpressions").enumerated() {
            let at = "\(path).matchExpressions[\(index)]"
            check("\(at).key", expression.text("key") ?? "", NameRules.labelKey)
            let values = expression.texts("values")
            switch expression.text("operator") {
            case "In", "NotIn":
                if values.isEmpty { required("\(at).values", "must be specified when `operator` is 'In' or 'NotIn'") }
            default:
                if !values.isEmpty {
                    add(
                        "\(at).values",
                        .forbidden,
                        "Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                    )
                }
            }
        }
    }
}

// Kinds without a file of their own.
extension Validation {
    private mutating func configuration(_ object: Object, of type: ResourceType, _ old: Object?) {
        var size = 0
        var seen: Set<String> = []
        for field in ["data", "binaryData"] {
            guard let fields = object[field]?.fields else { continue }
            for (key, text) in fields {
                check("\(field)[\(key)]", key, NameRules.configKey)
                if !seen.insert(key).inserted { invalid("\(field)[\(key)]", key, "is given in data and in binaryData") }
                size += text.stringValue?.utf8.count ?? 0
            }
        }
        // The limit is on decoded bytes; base64 is a third longer.
        let limit = type.kind == "Secret" ? 1_398_104 : 1_048_576
        if size > limit { add("data", .tooLong, "Too long: may not be more than 1048576 bytes together") }
        guard let old, old.value.flag("immutable") else {
            if let old, type.kind == "Secret", old["type"] != object["type"] {
                add("type", .invalid, "Invalid value: field is immutable")
            }
            return
        }
        if !object.value.flag("immutable") {
            add("immutable", .forbidden, "Forbidden: field is immutable when `immutable` is set")
        }
        for field in ["data", "binaryData"] where old[field] != object[field] {
            add(field, .forbidden, "Forbidden: field is immutable when `immutable` is set")
        }
    }

    private mutating func image(_ object: Object) {
        let spec = ImageSpec(object.spec)
        if !spec.directory.isEmpty, !spec.directory.hasPrefix("/") {
            invalid(
                "spec.directory",
                spec.directory,
                "must be an absolute path (`weft apply` makes one of a path beside the manifest)"
            )
        }
        if spec.directory.isEmpty, object.spec["directory"] != nil { required("spec.directory") }
        if object.spec.text("directory")?.utf8.contains(0) ?? false {
            invalid("spec.directory", spec.directory, "must not hold a null character")
        }
        if spec.command.first?.isEmpty ?? false { required("spec.command[0]", "the program to run") }
        environment(object.spec.list("env"), "spec.env")
    }

    mutating func environment(_ variables: [Value], _ path: String) {
        for (index, variable) in variables.enumerated() {
            let at = "\(path)[\(index)]"
            check("\(at).name", variable.text("name") ?? "", NameRules.envName)
            guard let from = variable["valueFrom"]?.fields else { continue }
            if !(variable.text("value") ?? "").isEmpty {
                add("\(at).valueFrom", .invalid, "Invalid value: may not be specified when `value` is not empty")
            }
            if from.count != 1 {
                add(
                    "\(at).valueFrom",
                    .invalid,
                    "Invalid value: must specify exactly one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
                )
            }
            for reference in ["configMapKeyRef", "secretKeyRef"] {
                guard let key = from[reference] else { continue }
                if (key.text("name") ?? "").isEmpty { required("\(at).valueFrom.\(reference).name") }
                check("\(at).valueFrom.\(reference).key", key.text("key") ?? "", NameRules.configKey)
            }
        }
    }
}
