package import Wire

/// A schema of a custom kind, compiled once: what a value may hold, its defaults, and the checks of values.
///
/// Immutable; its descriptions stay in the definition, from which the documents for clients are made.
package final class StructuralSchema: Sendable {
    package enum Kind: String, Sendable {
        case object, array, string, integer, number, boolean
        /// No type: any value is kept as it is.
        case any
    }

    /// How elements of a list are told apart.
    package enum ListType: Sendable, Equatable {
        case atomic
        case set
        /// By these fields of the elements.
        case map([String])
    }

    package let kind: Kind
    package let isNullable: Bool
    /// Unknown fields stay (`x-kubernetes-preserve-unknown-fields`).
    package let keepsUnknown: Bool
    /// A whole object with `apiVersion`, `kind` and `metadata` (`x-kubernetes-embedded-resource`).
    package let isEmbedded: Bool
    package let isIntOrString: Bool
    /// The fields of the schema, by name.
    package let names: [String]
    let nodes: [StructuralSchema]
    private let places: [String: Int]?
    /// The schema of all other fields (`additionalProperties`).
    package let additional: StructuralSchema?
    package let items: StructuralSchema?
    /// What stands in for a missing value, completed by the defaults inside it.
    package let fallback: Value?
    package let list: ListType
    /// An object that has one owner as a whole (`x-kubernetes-map-type: atomic`).
    package let isAtomicMap: Bool
    let checks: ValueChecks?
    /// Whether a declared field has a default.
    let hasDefaults: Bool

    /// The parts of a schema while it is read.
    struct Parts {
        var kind = Kind.any
        var isNullable = false
        var keepsUnknown = false
        var isEmbedded = false
        var isIntOrString = false
        var properties: [(String, StructuralSchema)] = []
        var additional: StructuralSchema?
        var items: StructuralSchema?
        var fallback: Value?
        var list = ListType.atomic
        var isAtomicMap = false
        var checks: ValueChecks?
    }

    init(_ parts: Parts) {
        kind = parts.kind
        isNullable = parts.isNullable
        keepsUnknown = parts.keepsUnknown
        isEmbedded = parts.isEmbedded
        isIntOrString = parts.isIntOrString
        names = parts.properties.map(\.0)
        nodes = parts.properties.map(\.1)
        // A scan finds a name among few faster than a dictionary, and takes no room.
        places =
            names.count > 8
            ? Dictionary(names.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first }) : nil
        additional = parts.additional
        items = parts.items
        fallback = parts.fallback
        list = parts.list
        isAtomicMap = parts.isAtomicMap
        checks = parts.checks
        hasDefaults = nodes.contains { $0.fallback != nil }
    }

    /// Anything at all.
    static let anything: StructuralSchema = {
        var parts = Parts()
        parts.keepsUnknown = true
        return StructuralSchema(parts)
    }()

    /// The schema of a declared field, or nil.
    package func property(_ name: String) -> StructuralSchema? {
        if let places { return places[name].map { nodes[$0] } }
        return names.firstIndex(of: name).map { nodes[$0] }
    }

    /// The schema of a field, declared or not; nil for one that is unknown.
    package func child(_ name: String) -> StructuralSchema? { property(name) ?? additional }

    /// The word for messages.
    var typeName: String { isIntOrString ? "integer,string" : kind.rawValue }

    /// Whether a value that is not null has the type of this schema.
    func fits(_ value: Value) -> Bool {
        if isIntOrString {
            switch value {
            case .string: return true
            case .int: return true
            case .double: return value.intValue != nil
            default: return false
            }
        }
        switch (kind, value) {
        case (.any, _), (.object, .object), (.array, .array), (.string, .string), (.boolean, .bool), (.integer, .int),
            (.number, .int), (.number, .double):
            return true
        case (.integer, .double(let number)): return number == number.rounded() && number.isFinite
        default: return false
        }
    }
}

/// The checks of a value beside its type (`minimum`, `pattern`, `anyOf` …).
///
/// What stands in `allOf`, `anyOf`, `oneOf` and `not` is made of these alone: it checks and changes nothing.
final class ValueChecks: Sendable {
    struct Bound: Sendable {
        let value: Double
        let isExclusive: Bool
    }

    /// The parts while they are read.
    struct Parts: Sendable {
        /// Of int-or-string branches alone.
        var kind: StructuralSchema.Kind?
        var choices: [Value]?
        var pattern: LinearPattern?
        var format: TextFormat?
        var minimum: Bound?
        var maximum: Bound?
        var multipleOf: Double?
        var lengths = (low: 0, high: Int.max)
        var items = (low: 0, high: Int.max)
        var properties = (low: 0, high: Int.max)
        var required: [String] = []
        var fields: [(String, ValueChecks)] = []
        var additional: ValueChecks?
        var element: ValueChecks?
        var allOf: [ValueChecks] = []
        var anyOf: [ValueChecks] = []
        var oneOf: [ValueChecks] = []
        var not: ValueChecks?
        var isSet = false
    }

    let parts: Parts

    init(_ parts: Parts) { self.parts = parts }
}
