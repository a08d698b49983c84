import Wire

// Checks of values, in the structure and in `allOf`, `anyOf`, `oneOf` and `not`.
extension SchemaCompiler {
    /// The checks of a schema; nil when there are none. Inside a junction (`isRoot` false) only checks may stand, for places
    /// that the structure outside (`under`) has.
    mutating func checks(of schema: Value, _ path: String, under outer: Value, isRoot: Bool) -> ValueChecks? {
        var parts = ValueChecks.Parts()
        scalars(of: schema, path, &parts)
        bounds(of: schema, path, &parts)
        junctions(of: schema, path, under: outer, &parts)
        parts.required = schema.texts("required")
        if !parts.required.isEmpty { parts.isSet = true }
        if !isRoot { inner(of: schema, path, under: outer, &parts) }
        return parts.isSet ? ValueChecks(parts) : nil
    }

    private mutating func scalars(of schema: Value, _ path: String, _ parts: inout ValueChecks.Parts) {
        if let choices = schema["enum"]?.arrayValue, !choices.isEmpty {
            parts.choices = choices
            parts.isSet = true
        }
        if let text = schema.text("pattern"), !text.isEmpty {
            do {
                parts.pattern = try pattern(text)
                parts.isSet = true
            } catch {
                add(
                    "\(path).pattern",
                    .invalid,
                    "Invalid value: \"\(text.prefix(80))\": must be a valid regular expression, but isn't: \(error.message)"
                )
            }
        }
        if let format = schema.text("format").flatMap(TextFormat.init(word:)) {
            parts.format = format
            parts.isSet = true
        }
        if let minimum = schema["minimum"]?.doubleValue {
            parts.minimum = ValueChecks.Bound(value: minimum, isExclusive: schema.flag("exclusiveMinimum"))
            parts.isSet = true
        }
        if let maximum = schema["maximum"]?.doubleValue {
            parts.maximum = ValueChecks.Bound(value: maximum, isExclusive: schema.flag("exclusiveMaximum"))
            parts.isSet = true
        }
        if let multiple = schema["multipleOf"]?.doubleValue {
            if multiple > 0 {
                parts.multipleOf = multiple
                parts.isSet = true
            } else {
                add("\(path).multipleOf", .invalid, "Invalid value: must be greater than 0")
            }
        }
    }

    private mutating func bounds(of schema: Value, _ path: String, _ parts: inout ValueChecks.Parts) {
        func bound(_ low: String, _ high: String) -> (low: Int, high: Int)? {
            let (least, most) = (schema.integer(low), schema.integer(high))
            return least == nil && most == nil ? nil : (least ?? 0, most ?? Int.max)
        }
        if let lengths = bound("minLength", "maxLength") { (parts.lengths, parts.isSet) = (lengths, true) }
        if let items = bound("minItems", "maxItems") { (parts.items, parts.isSet) = (items, true) }
        if let properties = bound("minProperties", "maxProperties") {
            (parts.properties, parts.isSet) = (properties, true)
        }
        for name in ["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"] {
            if let number = schema.integer(name), number < 0 {
                add("\(path).\(name)", .invalid, "Invalid value: \(number): must be greater than or equal to 0")
            }
        }
    }

    private mutating func junctions(
        of schema: Value,
        _ path: String,
        under outer: Value,
        _ parts: inout ValueChecks.Parts
    ) {
        var lists: [String: [ValueChecks]] = [:]
        for name in ["allOf", "anyOf", "oneOf"] {
            for (index, branch) in schema.list(name).enumerated() {
                let made = self.branch(branch, "\(path).\(name)[\(index)]", under: outer)
                lists[name, default: []].append(made)
                parts.isSet = true
            }
        }
        parts.allOf = lists["allOf"] ?? []
        parts.anyOf = lists["anyOf"] ?? []
        parts.oneOf = lists["oneOf"] ?? []
        if let branch = schema["not"], branch.fields != nil {
            parts.not = self.branch(branch, "\(path).not", under: outer)
            parts.isSet = true
        }
    }

    private mutating func branch(_ schema: Value, _ path: String, under outer: Value) -> ValueChecks {
        guard enter(path) else { return ValueChecks(ValueChecks.Parts()) }
        for name in [
            "description", "type", "default", "title", "nullable", "x-kubernetes-preserve-unknown-fields",
            "x-kubernetes-embedded-resource", "x-kubernetes-int-or-string", "x-kubernetes-list-type",
            "x-kubernetes-list-map-keys", "x-kubernetes-map-type", "x-kubernetes-validations",
        ] where schema[name] != nil && schema[name] != .null && schema[name] != "" && schema[name] != false {
            if name == "type", outer.flag("x-kubernetes-int-or-string") { continue }
            add("\(path).\(name)", .forbidden, "Forbidden: must be empty to be structural")
        }
        if let additional = schema["additionalProperties"], !additional.isNull {
            add("\(path).additionalProperties", .forbidden, "Forbidden: must be undefined to be structural")
        }
        return checks(of: schema, path, under: outer, isRoot: false) ?? ValueChecks(ValueChecks.Parts())
    }

    /// The parts of a branch below its own place: each must stand in the structure, too.
    private mutating func inner(of schema: Value, _ path: String, under outer: Value, _ parts: inout ValueChecks.Parts)
    {
        if outer.flag("x-kubernetes-int-or-string"), let type = schema.text("type") {
            parts.kind = StructuralSchema.Kind(rawValue: type)
            parts.isSet = true
        }
        for (name, child) in schema["properties"]?.fields ?? Fields() {
            let at = "\(path).properties[\(name)]"
            let declared = outer["properties"]?[name] ?? outer["additionalProperties"]
            if declared == nil, name != "metadata" {
                add(
                    at,
                    .required,
                    "Required value: because it is defined in \(at), it must be defined in the structural schema, too"
                )
            }
            parts.fields.append((name, branch(child, at, under: declared ?? [:])))
            parts.isSet = true
        }
        if let items = schema["items"], items.fields != nil {
            if outer["items"] == nil {
                add(
                    "\(path).items",
                    .required,
                    "Required value: because it is defined in \(path).items, it must be defined in the structural schema, too"
                )
            }
            parts.element = branch(items, "\(path).items", under: outer["items"] ?? [:])
            parts.isSet = true
        }
    }
}
