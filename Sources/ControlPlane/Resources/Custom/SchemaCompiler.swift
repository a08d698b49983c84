import Wire

/// Reads a schema of a definition (`openAPIV3Schema`) into its compiled form, and says what in it is not structural.
struct SchemaCompiler {
    private(set) var errors: [FieldError] = []
    /// Schemas of one version, those inside `anyOf` and the like included: more is refused.
    static let maximumNodes = 20_000
    private var nodes = 0
    /// The same expression is compiled once.
    private var patterns: [String: LinearPattern] = [:]

    mutating func add(_ path: String, _ reason: FieldError.Reason, _ message: String) {
        if errors.count < 100 { errors.append(FieldError(path, reason, message)) }
    }

    mutating func pattern(_ text: String) throws(LinearPattern.Failure) -> LinearPattern {
        if let known = patterns[text] { return known }
        let made = try LinearPattern(text)
        patterns[text] = made
        return made
    }

    /// Counts a part of the schema; false when there are too many.
    mutating func enter(_ path: String) -> Bool {
        nodes += 1
        if nodes == Self.maximumNodes + 1 {
            add(path, .tooMany, "Too many: a schema may have at most \(Self.maximumNodes) parts")
        }
        return nodes <= Self.maximumNodes
    }

    /// The compiled form of a whole schema; nil when it is no schema at all.
    mutating func compile(root schema: Value, _ path: String) -> StructuralSchema? {
        guard schema.fields != nil else {
            add(path, .required, "Required value: schemas are required")
            return nil
        }
        if schema.text("type") != "object" {
            if let type = schema.text("type"), !type.isEmpty {
                add("\(path).type", .invalid, "Invalid value: \"\(type)\": must be object at the root")
            } else {
                add("\(path).type", .required, "Required value: must not be empty at the root")
            }
        }
        if schema.flag("nullable") {
            add("\(path).nullable", .forbidden, "Forbidden: nullable cannot be true at the root")
        }
        checkMetadata(schema["properties"]?["metadata"], "\(path).properties[metadata]")
        return node(schema, path, isRoot: true)
    }

    private mutating func checkMetadata(_ schema: Value?, _ path: String) {
        guard let schema, let fields = schema.fields else { return }
        let allowed: Set<String> = ["type", "description", "properties", "title", "example", "externalDocs"]
        let isPlain = fields.names.allSatisfy(allowed.contains)
        let inner = schema["properties"]?.fields?.names ?? []
        if !isPlain || !inner.allSatisfy({ $0 == "name" || $0 == "generateName" }) {
            add(
                path,
                .forbidden,
                "Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified"
            )
        }
    }

    // MARK: Structure

    private mutating func node(_ schema: Value, _ path: String, isRoot: Bool = false) -> StructuralSchema {
        guard enter(path) else { return .anything }
        checkForbidden(schema, path)
        var parts = StructuralSchema.Parts()
        parts.isNullable = schema.flag("nullable")
        parts.keepsUnknown = schema.flag("x-kubernetes-preserve-unknown-fields")
        parts.isEmbedded = schema.flag("x-kubernetes-embedded-resource")
        parts.isIntOrString = schema.flag("x-kubernetes-int-or-string")
        kind(of: schema, path, &parts)
        children(of: schema, path, &parts, isRoot: isRoot)
        lists(of: schema, path, &parts)
        parts.checks = checks(of: schema, path, under: schema, isRoot: true)
        checkEmbedded(schema, path, parts)
        let plain = StructuralSchema(parts)
        guard let fallback = schema["default"] else { return plain }
        guard let completed = self.fallback(fallback, of: plain, path, isRoot: isRoot) else { return plain }
        parts.fallback = completed
        return StructuralSchema(parts)
    }

    /// What a structural schema may not have.
    private mutating func checkForbidden(_ schema: Value, _ path: String) {
        for name in ["$ref", "definitions", "dependencies", "patternProperties", "additionalItems", "id", "$schema"]
        where schema[name] != nil && schema[name] != .null {
            if schema.text(name) == "" { continue }
            add("\(path).\(name)", .forbidden, "Forbidden: \(name) is not supported")
        }
        if schema.flag("uniqueItems") {
            add(
                "\(path).uniqueItems",
                .forbidden,
                "Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
            )
        }
        if schema["x-kubernetes-preserve-unknown-fields"] == false {
            add(
                "\(path).x-kubernetes-preserve-unknown-fields",
                .invalid,
                "Invalid value: false: must be true or undefined"
            )
        }
    }

    private mutating func kind(of schema: Value, _ path: String, _ parts: inout StructuralSchema.Parts) {
        let type = schema.text("type") ?? ""
        if parts.isIntOrString {
            if !type.isEmpty {
                add(
                    "\(path).type",
                    .invalid,
                    "Invalid value: \"\(type)\": must be empty if x-kubernetes-int-or-string is true"
                )
            }
            return
        }
        if type.isEmpty {
            if !parts.keepsUnknown {
                add("\(path).type", .required, "Required value: must not be empty for specified \(Self.place(path))")
            }
            return
        }
        guard let kind = StructuralSchema.Kind(rawValue: type), kind != .any else {
            add(
                "\(path).type",
                .notSupported,
                "Unsupported value: \"\(type)\": supported values: \"array\", \"boolean\", \"integer\", \"number\", "
                    + "\"object\", \"string\""
            )
            return
        }
        parts.kind = kind
        if parts.isEmbedded, kind != .object {
            add(
                "\(path).type",
                .invalid,
                "Invalid value: \"\(type)\": must be object if x-kubernetes-embedded-resource is true"
            )
        }
    }

    private static func place(_ path: String) -> String {
        path.hasSuffix(".items") ? "array items" : "object fields"
    }

    private mutating func children(
        of schema: Value,
        _ path: String,
        _ parts: inout StructuralSchema.Parts,
        isRoot: Bool
    ) {
        let properties = schema["properties"]?.fields
        if let properties, !properties.isEmpty, parts.kind != .object {
            if parts.kind != .any {
                add("\(path).properties", .forbidden, "Forbidden: must be empty for type \(parts.kind.rawValue)")
            }
        }
        for (name, child) in properties ?? Fields() {
            let at = "\(path).properties[\(name)]"
            guard child.fields != nil else {
                add(at, .invalid, "Invalid value: must be a schema")
                continue
            }
            if isRoot || parts.isEmbedded, name == "metadata" {
                parts.properties.append((name, metadata(child, at)))
            } else {
                parts.properties.append((name, node(child, at)))
            }
        }
        switch schema["additionalProperties"] {
        case nil, .null?, .bool(false)?:
            if schema["additionalProperties"] == false {
                add("\(path).additionalProperties", .forbidden, "Forbidden: must not be false")
            }
        case .bool?:
            parts.additional = .anything
        case let child?:
            if isRoot {
                add("\(path).additionalProperties", .forbidden, "Forbidden: must not be used at the root")
            }
            parts.additional = node(child, "\(path).additionalProperties")
        }
        if parts.additional != nil, !(properties?.isEmpty ?? true) {
            add(
                "\(path).additionalProperties",
                .forbidden,
                "Forbidden: additionalProperties and properties are mutual exclusive"
            )
        }
        items(of: schema, path, &parts)
    }

    private mutating func items(of schema: Value, _ path: String, _ parts: inout StructuralSchema.Parts) {
        switch schema["items"] {
        case nil, .null?:
            if parts.kind == .array { add("\(path).items", .required, "Required value: must be specified") }
        case .array?:
            add("\(path).items", .forbidden, "Forbidden: items must be a schema object and not an array")
        case let child?: parts.items = node(child, "\(path).items")
        }
    }

    /// The declared part of `metadata`: names and their checks alone.
    private mutating func metadata(_ schema: Value, _ path: String) -> StructuralSchema {
        var parts = StructuralSchema.Parts()
        parts.kind = .object
        parts.keepsUnknown = true
        for name in ["name", "generateName"] {
            guard let child = schema["properties"]?[name], child.fields != nil else { continue }
            parts.properties.append((name, node(child, "\(path).properties[\(name)]")))
        }
        return StructuralSchema(parts)
    }

    private mutating func checkEmbedded(_ schema: Value, _ path: String, _ parts: StructuralSchema.Parts) {
        guard parts.isEmbedded, !parts.keepsUnknown, parts.properties.isEmpty else { return }
        add(
            "\(path).properties",
            .required,
            "Required value: must not be empty if x-kubernetes-embedded-resource is true without "
                + "x-kubernetes-preserve-unknown-fields"
        )
    }

    // MARK: Lists and maps

    private mutating func lists(of schema: Value, _ path: String, _ parts: inout StructuralSchema.Parts) {
        let at = "\(path).x-kubernetes-list-type"
        let keys = schema.texts("x-kubernetes-list-map-keys")
        if let type = schema.text("x-kubernetes-list-type") {
            if parts.kind != .array {
                add(
                    "\(path).type",
                    .invalid,
                    "Invalid value: \"\(parts.kind.rawValue)\": must be array if x-kubernetes-list-type is specified"
                )
            }
            switch type {
            case "atomic": break
            case "set":
                parts.list = .set
                checkSet(parts.items, "\(path).items", at)
            case "map":
                parts.list = .map(keys)
                checkMap(schema, parts.items, keys, path)
            default:
                add(
                    at,
                    .notSupported,
                    "Unsupported value: \"\(type)\": supported values: \"atomic\", \"set\", \"map\""
                )
            }
        }
        if !keys.isEmpty, schema.text("x-kubernetes-list-type") != "map" {
            add(at, .invalid, "Invalid value: must be map if x-kubernetes-list-map-keys is non-empty")
        }
        switch schema.text("x-kubernetes-map-type") {
        case nil, "granular"?: break
        case "atomic"?: parts.isAtomicMap = true
        case let other?:
            add(
                "\(path).x-kubernetes-map-type",
                .notSupported,
                "Unsupported value: \"\(other)\": supported values: \"atomic\", \"granular\""
            )
        }
        if schema["x-kubernetes-map-type"] != nil, parts.kind != .object {
            add(
                "\(path).type",
                .invalid,
                "Invalid value: \"\(parts.kind.rawValue)\": must be object if x-kubernetes-map-type is specified"
            )
        }
    }

    private mutating func checkSet(_ items: StructuralSchema?, _ path: String, _ at: String) {
        guard let items else { return }
        if items.isNullable {
            add("\(path).nullable", .forbidden, "Forbidden: cannot be nullable when x-kubernetes-list-type is set")
        }
        if items.kind == .object, !items.isAtomicMap {
            add(at, .invalid, "Invalid value: \"set\": items as object must have x-kubernetes-map-type: atomic")
        }
        if items.kind == .array, items.list != .atomic {
            add(at, .invalid, "Invalid value: \"set\": items as list must have x-kubernetes-list-type: atomic")
        }
    }

    private mutating func checkMap(_ schema: Value, _ items: StructuralSchema?, _ keys: [String], _ path: String) {
        let at = "\(path).x-kubernetes-list-map-keys"
        if keys.isEmpty {
            add(at, .required, "Required value: must not be empty if x-kubernetes-list-type is map")
        }
        if Set(keys).count != keys.count { add(at, .invalid, "Invalid value: must not contain duplicates") }
        guard let items else { return }
        guard items.kind == .object else {
            add(
                "\(path).items.type",
                .invalid,
                "Invalid value: \"\(items.kind.rawValue)\": must be object if x-kubernetes-list-type is map"
            )
            return
        }
        let required = schema["items"]?.texts("required") ?? []
        for (index, key) in keys.enumerated() {
            guard let child = items.property(key) else {
                add("\(at)[\(index)]", .invalid, "Invalid value: \"\(key)\": must be a defined property of the items")
                continue
            }
            if child.kind == .array || child.kind == .object {
                add(
                    "\(path).items.properties[\(key)].type",
                    .invalid,
                    "Invalid value: \"\(child.kind.rawValue)\": must be a scalar type if parent array's x-kubernetes-list-type is map"
                )
            }
            if child.isNullable {
                add(
                    "\(path).items.properties[\(key)].nullable",
                    .forbidden,
                    "Forbidden: this property is in x-kubernetes-list-map-keys, so it cannot be nullable"
                )
            }
            if !required.contains(key), child.fallback == nil {
                add(
                    "\(path).items.properties[\(key)].default",
                    .required,
                    "Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a "
                        + "required property"
                )
            }
        }
    }

    // MARK: Defaults

    /// A default, completed by the defaults inside it; nil when it is none for its schema.
    private mutating func fallback(_ value: Value, of node: StructuralSchema, _ path: String, isRoot: Bool) -> Value? {
        let at = "\(path).default"
        if isRoot {
            add(at, .forbidden, "Forbidden: must not be set at the root")
            return nil
        }
        if value.isNull {
            if !node.isNullable { return nil }
            return value
        }
        var shaping = CustomShaping(collectsUnknown: true)
        let completed = shaping.shape(value, node) ?? value
        if let unknown = shaping.unknown.first {
            add(at, .invalid, "Invalid value: must not have unspecified fields: \(unknown)")
            return nil
        }
        var validation = CustomValidation()
        validation.validate(completed, node, nil)
        guard let first = validation.errors.first else { return completed }
        add(first.path.isEmpty ? at : "\(at).\(first.path)", first.reason, first.message)
        return nil
    }
}
