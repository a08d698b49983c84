package import Wire

/// Walks an object along its schema: what is unknown, of the wrong type, missing, or kept without effect.
package struct SchemaCheck: Sendable {
    /// Fields that the kind does not have, each with the nearest known name.
    package private(set) var unknown: [FieldError] = []
    /// Wrong types, missing required fields, words that are not on the list.
    package private(set) var errors: [FieldError] = []
    /// `path: …` of fields that Weft keeps but does not act on.
    package private(set) var warnings: [String] = []
    /// The object without unknown fields and without nulls.
    package private(set) var pruned: Value = .null

    /// Errors beyond this many are not collected: a hostile manifest shall not fill the memory with messages.
    private static let maximumErrors = 100

    /// Checks a whole object of a type. Objects of kinds without a table only lose their nulls; those of custom kinds get
    /// their defaults, unless told otherwise.
    package init(_ value: Value, of type: ResourceType, fillsDefaults: Bool = true) {
        if let custom = type.custom {
            var shaping = CustomShaping(collectsUnknown: true, fillsDefaults: fillsDefaults)
            pruned = shaping.shape(object: value, custom.schema)
            unknown = shaping.unknown.map { FieldError($0, .unknownField, "unknown field") }
            errors = shaping.errors
            return
        }
        guard Schema.record(of: type) != nil else {
            let known = SchemaField(
                name: "metadata",
                shape: .record("ObjectMeta"),
                isRequired: false,
                isNotActedOn: false
            )
            var rest = value
            rest["metadata"] = nil
            pruned = Self.withoutNulls(rest)
            guard let metadata = value["metadata"], !metadata.isNull else { return }
            pruned["metadata"] = walk(metadata, known.shape, "metadata")
            return
        }
        pruned = walk(value, .record(type.kind), "") ?? .object(Fields())
        if type == ResourceTypes.daemonSets {
            // These decide whether the machine gets a pod of a DaemonSet; of others they are only kept.
            let acted = ["nodeSelector", "affinity"].map { "spec.template.spec.\($0):" }
            warnings.removeAll { warning in acted.contains { warning.hasPrefix($0) } }
        }
        warnings += Advice.warnings(pruned, of: type)
    }

    /// Checks the metadata of an object, found at a path.
    init(metadata value: Value, _ path: String) {
        pruned = walk(value, .record("ObjectMeta"), path) ?? [:]
    }

    /// The checked value without unknown fields; nil when it is to be left out.
    private mutating func walk(_ value: Value, _ shape: Shape, _ path: String) -> Value? {
        if value.isNull { return nil }
        switch shape {
        case .any, .custom, .customObject: return Self.withoutNulls(value)
        case .record(let name): return walkRecord(value, name, path)
        case .list(let element, _):
            guard case .array(let elements) = value else { return mismatch(value, shape, path) }
            var kept: [Value] = []
            kept.reserveCapacity(elements.count)
            for (index, item) in elements.enumerated() {
                if let item = walk(item, element, "\(path)[\(index)]") { kept.append(item) }
            }
            return .array(kept)
        case .map(let element):
            guard case .object(let fields) = value else { return mismatch(value, shape, path) }
            var kept = Fields()
            for (name, item) in fields {
                kept[name] =
                    item.isNull && element == .string ? .string("") : walk(item, element, "\(path)[\(name)]")
            }
            return .object(kept)
        default:
            return walkScalar(value, shape, path)
        }
    }

    private mutating func walkRecord(_ value: Value, _ name: String, _ path: String) -> Value? {
        guard case .object(let fields) = value else { return mismatch(value, .record(name), path) }
        guard let record = Schema.record(name) else { return Self.withoutNulls(value) }
        var kept = Fields()
        for (fieldName, item) in fields {
            let fieldPath = path.isEmpty ? fieldName : "\(path).\(fieldName)"
            guard let field = record.fields[fieldName] else {
                add(unknown: fieldName, fieldPath, record)
                continue
            }
            guard let item = walk(item, field.shape, fieldPath) else { continue }
            if field.isNotActedOn, !Self.isEmpty(item) {
                warnings.append("\(fieldPath): Weft keeps this field but does not act on it")
            }
            kept[fieldName] = item
        }
        for required in record.names where record.fields[required]?.isRequired == true && kept[required] == nil {
            guard fields[required] == nil || fields[required]?.isNull == true else { continue }
            add(FieldError(path.isEmpty ? required : "\(path).\(required)", .required, "Required value"))
        }
        return .object(kept)
    }

    private mutating func walkScalar(_ value: Value, _ shape: Shape, _ path: String) -> Value? {
        switch (shape, value) {
        case (.string, .string), (.bool, .bool), (.intOrString, .string), (.number, .int), (.number, .double):
            return value
        case (.integer, .int), (.intOrString, .int): return value
        case (.integer, .double), (.intOrString, .double):
            guard let whole = value.intValue else { return mismatch(value, shape, path) }
            return .int(Int64(whole))
        case (.time, .string(let text)):
            if Timestamp(text) == nil { add(invalid(path, text, "must be a time such as 2026-01-02T03:04:05Z")) }
            return value
        case (.bytes, .string(let text)):
            if Base64.decode(text) == nil { add(invalid(path, text, "must be base64")) }
            return value
        case (.choice(let words), .string(let text)):
            guard words.contains(text) else {
                if text.isEmpty { return nil }
                let list = words.map { "\"\($0)\"" }.joined(separator: ", ")
                add(FieldError(path, .notSupported, "Unsupported value: \"\(text)\": supported values: \(list)"))
                return value
            }
            return value
        case (.quantity, .string), (.quantity, .int), (.quantity, .double):
            guard Quantity(value) != nil else {
                add(invalid(path, value.stringValue ?? "", "must be a quantity such as 500m, 1.5 or 64Mi"))
                return value
            }
            if case .int(let number) = value { return .string(String(number)) }
            if case .double(let number) = value { return .string(String(number)) }
            return value
        default: return mismatch(value, shape, path)
        }
    }

    private mutating func mismatch(_ value: Value, _ shape: Shape, _ path: String) -> Value? {
        let shown: String
        var advice = ""
        switch value {
        case .string(let text):
            shown = "the string \"\(text.prefix(60))\""
            if case .integer = shape, Int(text) != nil { advice = " (write it without quotes)" }
            if case .bool = shape, text == "true" || text == "false" { advice = " (write it without quotes)" }
        case .int(let number): shown = "the number \(number)"
        case .double(let number): shown = "the number \(number)"
        case .bool(let bool): shown = bool ? "true" : "false"
        case .array: shown = "a list"
        case .object: shown = "an object"
        case .null: shown = "null"
        }
        switch (shape, value) {
        case (.string, .int), (.string, .double), (.string, .bool): advice = " (put it in quotes)"
        default: break
        }
        add(FieldError(path, .typeInvalid, "must be \(shape.expectation), but is \(shown)\(advice)"))
        return nil
    }

    private func invalid(_ path: String, _ text: String, _ why: String) -> FieldError {
        FieldError(path, .invalid, "Invalid value: \"\(text.prefix(60))\": \(why)")
    }

    private mutating func add(_ error: FieldError) {
        if errors.count < Self.maximumErrors { errors.append(error) }
    }

    private mutating func add(unknown name: String, _ path: String, _ record: SchemaRecord) {
        guard unknown.count < Self.maximumErrors else { return }
        let hint = Spelling.nearest(to: name, among: record.names).map { " (did you mean \"\($0)\"?)" } ?? ""
        unknown.append(FieldError(path, .unknownField, "unknown field\(hint)"))
    }

    private static func isEmpty(_ value: Value) -> Bool {
        switch value {
        case .null: true
        case .array(let elements): elements.isEmpty
        case .object(let fields): fields.isEmpty
        case .bool(let isSet): !isSet
        case .string(let text): text.isEmpty
        default: false
        }
    }

    /// The value without the null fields of its objects, at every depth.
    package static func withoutNulls(_ value: Value) -> Value {
        switch value {
        case .array(let elements): return .array(elements.map(withoutNulls))
        case .object(let fields):
            var kept = Fields()
            for (name, item) in fields where !item.isNull { kept[name] = withoutNulls(item) }
            return .object(kept)
        default: return value
        }
    }
}
