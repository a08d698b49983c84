/// The type of an expression; `dyn` where only the evaluation can tell.
package indirect enum CELType: Sendable, Equatable {
    case dyn
    case null
    case bool
    case int
    case uint
    case double
    case string
    case bytes
    case timestamp
    case duration
    case list(CELType)
    case map(CELType, CELType)
    case optional(CELType)
    /// The type of types.
    case type
    /// What a schema describes.
    case object(CELShape)
    /// A value of a library, by the name of its type.
    case opaque(CELOpaqueType)
    /// Any of int, uint and double: in signatures only.
    case number
    /// A type that a call settles: in signatures only.
    case parameter(Character)

    /// Whether a value of this type may turn out to have another: `dyn` may be anything, null stands for absent values.
    func mayBe(_ other: CELType) -> Bool {
        switch (self, other) {
        case (.dyn, _), (_, .dyn), (.parameter, _), (_, .parameter): true
        case (.list(let left), .list(let right)), (.optional(let left), .optional(let right)): left.mayBe(right)
        case (.map(let key, let value), .map(let otherKey, let otherValue)):
            key.mayBe(otherKey) && value.mayBe(otherValue)
        case (.object, .object): true
        case (.null, .object), (.null, .opaque), (.null, .optional), (.null, .timestamp), (.null, .duration): true
        case (.object, .null), (.opaque, .null), (.optional, .null), (.timestamp, .null), (.duration, .null): true
        case (.number, .int), (.number, .uint), (.number, .double): true
        case (.int, .number), (.uint, .number), (.double, .number): true
        default: self == other
        }
    }

    /// The type that two have in common.
    func joined(_ other: CELType) -> CELType {
        if self == other { return self }
        switch (self, other) {
        case (.list(let left), .list(let right)): return .list(left.joined(right))
        case (.map(let key, let value), .map(let otherKey, let otherValue)):
            return .map(key.joined(otherKey), value.joined(otherValue))
        case (.optional(let left), .optional(let right)): return .optional(left.joined(right))
        case (.null, _) where other.mayBe(.null): return other
        case (_, .null) where mayBe(.null): return self
        default: return .dyn
        }
    }
}

/// The types of Kubernetes' libraries.
package enum CELOpaqueType: String, Sendable, CaseIterable {
    case ip = "net.IP"
    case cidr = "net.CIDR"
    case url = "kubernetes.URL"
    case quantity = "kubernetes.Quantity"
    case format = "kubernetes.NamedFormat"
    case semver = "kubernetes.Semver"
    case authorizer = "kubernetes.authorization.Authorizer"
    case pathCheck = "kubernetes.authorization.PathCheck"
    case groupCheck = "kubernetes.authorization.GroupCheck"
    case resourceCheck = "kubernetes.authorization.ResourceCheck"
    case decision = "kubernetes.authorization.Decision"
}

extension CELType: CustomStringConvertible {
    package var description: String {
        switch self {
        case .dyn: "dyn"
        case .null: "null"
        case .bool: "bool"
        case .int: "int"
        case .uint: "uint"
        case .double: "double"
        case .string: "string"
        case .bytes: "bytes"
        case .timestamp: "timestamp"
        case .duration: "duration"
        case .list(let element): "list(\(element))"
        case .map(let key, let value): "map(\(key), \(value))"
        case .optional(let wrapped): "optional_type(\(wrapped))"
        case .type: "type"
        case .object(let shape): shape.name
        case .opaque(let name): name.rawValue
        case .number: "number"
        case .parameter(let letter): String(letter)
        }
    }
}
