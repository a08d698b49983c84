import Wire

// LimitRanges, ResourceQuotas, PriorityClasses.
extension Validation {
    mutating func limitRange(_ object: Object) {
        for (index, item) in object.spec.list("limits").enumerated() {
            let at = "spec.limits[\(index)]"
            let type = item.text("type") ?? ""
            if type != "Container" {
                for name in ["default", "defaultRequest"] where !(item[name]?.fields?.isEmpty ?? true) {
                    add("\(at).\(name)", .forbidden, "Forbidden: may not be specified when `type` is '\(type)'")
                }
            }
            let ordered = [
                ("min", "max"), ("min", "default"), ("min", "defaultRequest"), ("default", "max"),
                ("defaultRequest", "max"), ("defaultRequest", "default"),
            ]
            for (low, high) in ordered {
                for (name, amount) in item[low]?.fields ?? Fields() {
                    guard let least = Quantity(amount), let most = Quantity(item.at(high, name)), least > most else {
                        continue
                    }
                    let why =
                        "\(low) value \(amount.stringValue ?? "") is greater than \(high) value "
                        + (item.at(high, name)?.stringValue ?? "")
                    invalid("\(at).\(low)[\(name)]", amount.stringValue ?? "", why)
                }
            }
        }
    }

    private static let scopes = ["Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass"]

    mutating func quota(_ object: Object, _ old: Object?) {
        for (name, amount) in object.spec["hard"]?.fields ?? Fields() {
            if Quantity(amount)?.isNegative ?? false {
                invalid("spec.hard[\(name)]", amount.stringValue ?? "", "must be greater than or equal to 0")
            }
        }
        for (index, scope) in object.spec.texts("scopes").enumerated() where !Self.scopes.contains(scope) {
            unknownScope("spec.scopes[\(index)]", scope)
        }
        for (index, scope) in (object.spec["scopeSelector"]?.list("matchExpressions") ?? []).enumerated() {
            let at = "spec.scopeSelector.matchExpressions[\(index)]"
            let name = scope.text("scopeName") ?? ""
            if !Self.scopes.contains(name) { unknownScope("\(at).scopeName", name) }
            let takesValues = ["In", "NotIn"].contains(scope.text("operator") ?? "")
            if takesValues, scope.texts("values").isEmpty {
                required("\(at).values", "must be at least one value when `operator` is 'In' or 'NotIn'")
            }
            if name != "PriorityClass", scope.text("operator") != "Exists" {
                invalid("\(at).operator", scope.text("operator") ?? "", "must be 'Exists' for this scope")
            }
        }
        if let old, old.spec["scopes"] != object.spec["scopes"] {
            add("spec.scopes", .invalid, "Invalid value: field is immutable")
        }
    }

    private mutating func unknownScope(_ path: String, _ name: String) {
        let list = Self.scopes.map { "\"\($0)\"" }.joined(separator: ", ")
        add(path, .notSupported, "Unsupported value: \"\(name.prefix(64))\": supported values: \(list)")
    }

    /// The highest value that people may give.
    private static let highestPriority = 1_000_000_000

    mutating func priorityClass(_ object: Object, _ old: Object?) {
        let value = object.value.integer("value") ?? 0
        let system = ["system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000]
        if object.name.hasPrefix("system-") {
            if system[object.name] != value {
                let why = "Forbidden: priority class names with 'system-' prefix are reserved for system use only"
                add("metadata.name", .forbidden, why)
            }
        } else if value > Self.highestPriority {
            add(
                "value",
                .forbidden,
                "Forbidden: maximum allowed value of a user defined priority is \(Self.highestPriority)"
            )
        } else if value < Int(Int32.min) {
            invalid("value", value, "must be greater than or equal to \(Int32.min)")
        }
        guard let old else { return }
        for name in ["value", "preemptionPolicy"] where old.value[name] != object.value[name] {
            add(name, .forbidden, "Forbidden: may not be changed in an update.")
        }
    }
}
