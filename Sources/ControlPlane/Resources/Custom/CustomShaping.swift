import Wire

/// Gives a custom object the shape of its schema: unknown fields and stray nulls go, defaults come.
///
/// What needs no change is not copied.
struct CustomShaping {
    /// The paths of unknown fields, if they are collected.
    private(set) var unknown: [String] = []
    /// Types that are wrong in the metadata of the object or of objects inside it.
    private(set) var errors: [FieldError] = []
    private let collectsUnknown: Bool
    private let fillsDefaults: Bool
    private var steps: [Step] = []

    private enum Step {
        case field(String)
        case index(Int)
    }

    init(collectsUnknown: Bool = false, fillsDefaults: Bool = true) {
        self.collectsUnknown = collectsUnknown
        self.fillsDefaults = fillsDefaults
    }

    /// The whole object in its shape.
    mutating func shape(object value: Value, _ schema: StructuralSchema) -> Value {
        change(ofObject: value, schema) ?? value
    }

    /// The whole object in its shape; nil when it has it already.
    mutating func change(ofObject value: Value, _ schema: StructuralSchema) -> Value? {
        shapeObject(value, schema, isWhole: true)
    }

    /// A value in its shape; nil when it has it already.
    mutating func shape(_ value: Value, _ schema: StructuralSchema) -> Value? {
        switch value {
        case .object: return shapeObject(value, schema, isWhole: schema.isEmbedded)
        case .array(let elements):
            guard let items = schema.items else { return nil }
            var changed: [Value]?
            for (index, element) in elements.enumerated() {
                if collectsUnknown { steps.append(.index(index)) }
                if let shaped = shape(element, items) {
                    if changed == nil { changed = elements }
                    changed?[index] = shaped
                }
                if collectsUnknown { steps.removeLast() }
            }
            return changed.map(Value.array)
        default: return nil
        }
    }

    private mutating func shapeObject(_ value: Value, _ schema: StructuralSchema, isWhole: Bool) -> Value? {
        guard case .object(let fields) = value else { return nil }
        // A value of another type than its schema's is for the validation to refuse.
        guard schema.kind == .object || schema.kind == .any else { return nil }
        var changed: Fields?
        for (name, item) in fields {
            if isWhole {
                if name == "apiVersion" || name == "kind" { continue }
                if name == "metadata" {
                    let metadata = shapeMetadata(item)
                    if metadata != item {
                        if changed == nil { changed = fields }
                        changed?[name] = metadata
                    }
                    continue
                }
            }
            guard let child = schema.child(name) else {
                guard !schema.keepsUnknown else { continue }
                note(name)
                if changed == nil { changed = fields }
                changed?[name] = nil
                continue
            }
            if item.isNull {
                if child.isNullable || child.kind == .any && !child.isIntOrString { continue }
                if changed == nil { changed = fields }
                changed?[name] = nil
                continue
            }
            if collectsUnknown { steps.append(.field(name)) }
            if let shaped = shape(item, child) {
                if changed == nil { changed = fields }
                changed?[name] = shaped
            }
            if collectsUnknown { steps.removeLast() }
        }
        if schema.hasDefaults, fillsDefaults {
            for (place, name) in schema.names.enumerated() {
                guard let fallback = schema.nodes[place].fallback, (changed ?? fields)[name] == nil else { continue }
                if changed == nil { changed = fields }
                changed?[name] = fallback
            }
        }
        return changed.map(Value.object)
    }

    private mutating func shapeMetadata(_ value: Value) -> Value {
        let check = SchemaCheck(metadata: value, path(to: "metadata"))
        for error in check.unknown {
            if collectsUnknown, unknown.count < 100 { unknown.append(error.path) }
        }
        errors += check.errors
        return check.errors.isEmpty ? check.pruned : value
    }

    private mutating func note(_ name: String) {
        if collectsUnknown, unknown.count < 100 { unknown.append(path(to: name)) }
    }

    private func path(to name: String) -> String {
        var text = ""
        for step in steps {
            switch step {
            case .field(let name): text += text.isEmpty ? name : ".\(name)"
            case .index(let index): text += "[\(index)]"
            }
        }
        return text.isEmpty ? name : "\(text).\(name)"
    }
}
