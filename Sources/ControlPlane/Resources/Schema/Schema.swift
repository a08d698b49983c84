import Wire

/// What a field may hold. The tables of `Schema+Fields.swift` are read into these once.
package indirect enum Shape: Sendable, Equatable {
    case string
    case bool
    case integer
    case number
    case intOrString
    case quantity
    case time
    /// Base64 text.
    case bytes
    /// Anything: kept as it is, nulls left out.
    case any
    /// One of these words; an empty text counts as none given.
    case choice([String])
    /// A list; with a merge key its elements are told apart by that field.
    case list(Shape, mergeKey: String?)
    case map(Shape)
    /// A record of the table.
    case record(String)
    /// A place in the schema of a custom kind.
    case custom(StructuralSchema)
    /// A whole custom object, or one inside another: its metadata is Kubernetes' own.
    case customObject(StructuralSchema)

    /// The word for messages.
    package var expectation: String {
        switch self {
        case .string, .choice, .time, .bytes: "a string"
        case .bool: "true or false"
        case .integer: "a whole number"
        case .number: "a number"
        case .intOrString: "a whole number or a string"
        case .quantity: "a quantity such as 500m or 64Mi"
        case .any: "a value"
        case .list: "a list"
        case .map, .record, .customObject: "an object"
        case .custom(let schema): schema.typeName
        }
    }

    package static func == (left: Shape, right: Shape) -> Bool {
        switch (left, right) {
        case (.string, .string), (.bool, .bool), (.integer, .integer), (.number, .number), (.any, .any),
            (.intOrString, .intOrString), (.quantity, .quantity), (.time, .time), (.bytes, .bytes):
            true
        case (.choice(let one), .choice(let other)): one == other
        case (.list(let one, let key), .list(let other, let otherKey)): one == other && key == otherKey
        case (.map(let one), .map(let other)): one == other
        case (.record(let one), .record(let other)): one == other
        case (.custom(let one), .custom(let other)), (.customObject(let one), .customObject(let other)): one === other
        default: false
        }
    }
}

/// One field of a record.
package struct SchemaField: Sendable {
    package let name: String
    package let shape: Shape
    package let isRequired: Bool
    /// Weft keeps the field but does nothing about it, in a way that whoever sets it should know.
    package let isNotActedOn: Bool
}

/// The fields of one record, by name.
package struct SchemaRecord: Sendable {
    package let fields: [String: SchemaField]
    package let names: [String]
}

/// The tables of known fields.
///
/// A table is text, one field a line: `name type`, where a type is `string`, `bool`, `int`, `number`, `intstr`,
/// `quantity`, `time`, `bytes`, `any`, `A|B|C` (one of these words), `[T]` (list), `[T]@key` (list merged by a key),
/// `{T}` (map) or the name of a record. A trailing `!` means required, a trailing `~` kept but not acted on. A line that
/// begins a record is `Name:`.
package enum Schema {
    private static let records: [String: SchemaRecord] = parse(
        metadataTable + podTable + workloadTable + lifeTable + storageTable + networkTable + accessTable
            + liveTable + policyTable + definitionTable
    )

    /// The record of a name, or nil.
    package static func record(_ name: String) -> SchemaRecord? { records[name] }

    /// The top record of a kind, or nil for kinds whose fields are not checked.
    package static func record(of type: ResourceType) -> SchemaRecord? {
        type.isActedOn ? records[type.kind] : nil
    }

    /// The shape behind a field of an object of a type; `any` where nothing is known.
    package static func shape(of type: ResourceType) -> Shape {
        if let custom = type.custom { return .customObject(custom.schema) }
        return records[type.kind] != nil && type.isActedOn ? .record(type.kind) : .any
    }

    static func parse(_ table: String) -> [String: SchemaRecord] {
        var records: [String: SchemaRecord] = [:]
        var name = ""
        var fields: [SchemaField] = []
        for line in table.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard let first = words.first else { continue }
            if first.hasSuffix(":") {
                records[name] = record(fields)
                name = String(first.dropLast())
                fields = []
            } else if words.count == 2 {
                fields.append(field(String(first), words[1]))
            }
        }
        records[name] = record(fields)
        records[""] = nil
        return records
    }

    private static func record(_ fields: [SchemaField]) -> SchemaRecord {
        SchemaRecord(
            fields: Dictionary(fields.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first }),
            names: fields.map(\.name)
        )
    }

    private static func field(_ name: String, _ type: Substring) -> SchemaField {
        var type = type
        let isNotActedOn = type.hasSuffix("~")
        if isNotActedOn { type = type.dropLast() }
        let isRequired = type.hasSuffix("!")
        if isRequired { type = type.dropLast() }
        return SchemaField(name: name, shape: shape(type), isRequired: isRequired, isNotActedOn: isNotActedOn)
    }

    private static let scalars: [Substring: Shape] = [
        "string": .string, "bool": .bool, "int": .integer, "number": .number, "intstr": .intOrString,
        "quantity": .quantity, "time": .time, "bytes": .bytes, "any": .any,
    ]

    private static func shape(_ type: Substring) -> Shape {
        if let scalar = scalars[type] { return scalar }
        if type.hasPrefix("["), let end = type.lastIndex(of: "]") {
            let key = type[end...].dropFirst(2)
            return .list(shape(type[..<end].dropFirst()), mergeKey: key.isEmpty ? nil : String(key))
        }
        if type.hasPrefix("{") { return .map(shape(type.dropFirst().dropLast())) }
        if type.contains("|") { return .choice(type.split(separator: "|").map(String.init)) }
        return .record(String(type))
    }
}
