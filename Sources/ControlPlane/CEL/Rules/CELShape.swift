import Resources
package import Wire

/// What a structural schema says of a value, as far as expressions can see it. Constant.
package final class CELShape: Sendable, Equatable {
    enum Kind: Equatable {
        case bool, int, double, string, bytes, timestamp, duration
        /// A string or a whole number.
        case either
        case list
        case map
        case object
        /// Nothing is known; an expression may not look inside.
        case unknown
    }

    /// How elements of a list are told apart.
    enum ListKind: Sendable, Equatable {
        case atomic
        case set
        case keyed([String])
    }

    struct Field: Sendable {
        let name: String
        let shape: CELShape
    }

    /// Its name in messages.
    let name: String
    let kind: Kind
    /// The elements of a list or the values of a map.
    let items: CELShape?
    let listKind: ListKind
    /// The format of a text.
    private let format: String
    /// By escaped name.
    private let fields: [String: Field]
    private let escapedNames: [String: String]

    package static func == (left: CELShape, right: CELShape) -> Bool { left === right }

    /// The shape of an `openAPIV3Schema`, or of a part of one; of a root `apiVersion`, `kind` and the names in `metadata` can be
    /// read beside its fields.
    package convenience init(schema: Value, isRoot: Bool = true) {
        self.init(schema, isRoot: isRoot, name: "object", depth: 0)
    }

    private init(_ schema: Value, isRoot: Bool, name: String, depth: Int) {
        self.name = name
        let type = schema.text("type") ?? ""
        let isEither = schema.flag("x-kubernetes-int-or-string")
        var kind = isEither ? Kind.either : Self.kinds[type] ?? .unknown
        format = schema.text("format") ?? ""
        if kind == .string { kind = Self.formats[format] ?? .string }
        var items: CELShape?
        var fields: [String: Field] = [:]
        // Schemas are read with a bound on nesting, too; this one keeps recursion harmless whatever the caller does.
        if depth < 100 {
            if kind == .list, let inner = schema["items"] {
                items = CELShape(
                    inner,
                    isRoot: inner.flag("x-kubernetes-embedded-resource"),
                    name: name + ".@items",
                    depth: depth + 1
                )
            }
            if kind == .object, let inner = schema["additionalProperties"], inner.fields != nil {
                items = CELShape(
                    inner,
                    isRoot: inner.flag("x-kubernetes-embedded-resource"),
                    name: name + ".@values",
                    depth: depth + 1
                )
                kind = .map
            }
            if kind == .object { fields = Self.fields(of: schema, isRoot: isRoot, name, depth) }
        }
        self.kind = kind
        self.items = items
        self.fields = fields
        escapedNames = Dictionary(
            fields.filter { $0.key != $0.value.name }.map { ($0.value.name, $0.key) },
            uniquingKeysWith: { first, _ in first }
        )
        switch schema.text("x-kubernetes-list-type") {
        case "set": listKind = .set
        case "map": listKind = .keyed(schema.texts("x-kubernetes-list-map-keys"))
        default: listKind = .atomic
        }
    }

    private static let kinds: [String: Kind] = [
        "boolean": .bool, "integer": .int, "number": .double, "string": .string, "array": .list, "object": .object,
    ]
    private static let formats: [String: Kind] = [
        "byte": .bytes, "date": .timestamp, "date-time": .timestamp, "duration": .duration,
    ]

    private static let rootMetadata: Value = [
        "type": "object",
        "properties": ["name": ["type": "string"], "generateName": ["type": "string"]],
    ]

    private static func fields(of schema: Value, isRoot: Bool, _ name: String, _ depth: Int) -> [String: Field] {
        var fields: [String: Field] = [:]
        for (property, value) in schema["properties"]?.fields ?? Fields() {
            guard let escaped = CELEscaping.escaped(property) else { continue }
            let child = CELShape(
                value,
                isRoot: value.flag("x-kubernetes-embedded-resource"),
                name: "\(name).\(property)",
                depth: depth + 1
            )
            if child.kind != .unknown { fields[escaped] = Field(name: property, shape: child) }
        }
        guard isRoot else { return fields }
        for text in ["apiVersion", "kind"] {
            fields[text] = Field(
                name: text,
                shape: CELShape(["type": "string"], isRoot: false, name: "\(name).\(text)", depth: depth)
            )
        }
        fields["metadata"] = Field(
            name: "metadata",
            shape: CELShape(rootMetadata, isRoot: false, name: "\(name).metadata", depth: depth)
        )
        return fields
    }

    /// A field by the name that expressions use; words that CEL keeps for itself may stand behind a dot unescaped.
    func field(_ escaped: String) -> Field? { fields[escaped] ?? fields["__\(escaped)__"] }

    /// The name that expressions use for a field's own.
    func escaped(_ name: String) -> String { escapedNames[name] ?? name }

    /// The shape of a map's value or an object's field.
    func shape(of escaped: String) -> CELShape? { kind == .map ? items : fields[escaped]?.shape }

    /// The type of values of this shape.
    package var type: CELType {
        switch kind {
        case .bool: .bool
        case .int: .int
        case .double: .double
        case .string: .string
        case .bytes: .bytes
        case .timestamp: .timestamp
        case .duration: .duration
        case .either, .unknown: .dyn
        case .list: .list(items?.type ?? .dyn)
        case .map: .map(.string, items?.type ?? .dyn)
        case .object: .object(self)
        }
    }

    /// A text as what its format says.
    func read(_ text: String) throws(CELFailure) -> CELValue {
        switch kind {
        case .bytes:
            guard let bytes = Base64.decode(text) else { throw CELFailure("invalid base64") }
            return .bytes(bytes)
        case .timestamp:
            let whole = format == "date" ? text + "T00:00:00Z" : text
            guard let time = CELTime.timestamp(whole) else { throw CELFailure("invalid \(format): \(text)") }
            return .timestamp(time)
        case .duration:
            guard let nanoseconds = CELTime.duration(text) else { throw CELFailure("invalid duration: \(text)") }
            return .duration(nanoseconds)
        default: return .string(text)
        }
    }
}
