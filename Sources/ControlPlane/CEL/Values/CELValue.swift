package import Resources
package import Wire

/// A value of an expression. Those of an object's tree stay as they are there: only what an expression touches is read.
package indirect enum CELValue: Sendable {
    case null
    case bool(Bool)
    case int(Int64)
    case uint(UInt64)
    case double(Double)
    case string(String)
    case bytes([UInt8])
    case timestamp(Timestamp)
    /// Nanoseconds.
    case duration(Int64)
    case list([CELValue])
    case map(CELMap)
    /// A list of an object's tree with the shape of the list, if it has one.
    case tree([Value], CELShape?)
    /// An object of the tree with its shape, if it has one.
    case fields(Fields, CELShape?)
    /// A type by its name.
    case type(String)
    case optional(CELValue?)
    case opaque(CELOpaque)
    /// A variable that has no value, and why: reading it fails.
    case failure(CELFailure)

    /// A value of an object's tree as an expression sees it.
    ///
    /// - Throws: `CELFailure` when it does not fit its shape.
    package init(_ value: Value, _ shape: CELShape? = nil) throws(CELFailure) {
        switch value {
        case .null: self = .null
        case .bool(let truth): self = .bool(truth)
        case .int(let number): self = shape?.kind == .double ? .double(Double(number)) : .int(number)
        case .double(let number):
            if shape?.kind == .int, let whole = Int64(exactly: number) {
                self = .int(whole)
            } else {
                self = .double(number)
            }
        case .string(let text):
            guard let shape, shape.kind != .string else {
                self = .string(text)
                return
            }
            self = try shape.read(text)
        case .array(let elements): self = .tree(elements, shape)
        case .object(let fields): self = .fields(fields, shape)
        }
    }

    /// A value of a tree without a shape: this cannot fail.
    package init(plain value: Value) {
        switch value {
        case .null: self = .null
        case .bool(let truth): self = .bool(truth)
        case .int(let number): self = .int(number)
        case .double(let number): self = .double(number)
        case .string(let text): self = .string(text)
        case .array(let elements): self = .tree(elements, nil)
        case .object(let fields): self = .fields(fields, nil)
        }
    }

    /// The static type of a literal.
    var type: CELType {
        switch self {
        case .null: .null
        case .bool: .bool
        case .int: .int
        case .uint: .uint
        case .double: .double
        case .string: .string
        case .bytes: .bytes
        case .timestamp: .timestamp
        case .duration: .duration
        case .list, .tree: .list(.dyn)
        case .map, .fields: .map(.dyn, .dyn)
        case .type: .type
        case .optional: .optional(.dyn)
        case .opaque(let value): .opaque(value.type)
        case .failure: .dyn
        }
    }

    /// The name that `type()` gives.
    var typeName: String {
        switch self {
        case .null: "null_type"
        case .list, .tree: "list"
        case .map, .fields: "map"
        case .timestamp: "google.protobuf.Timestamp"
        case .duration: "google.protobuf.Duration"
        case .optional: "optional_type"
        default: type.description
        }
    }

    package var boolValue: Bool? { if case .bool(let truth) = self { truth } else { nil } }
    package var stringValue: String? { if case .string(let text) = self { text } else { nil } }
    package var isNull: Bool { if case .null = self { true } else { false } }

    /// What `optional.ofNonZeroValue` counts as nothing.
    var isZero: Bool {
        switch self {
        case .null: true
        case .bool(let truth): !truth
        case .int(let number): number == 0
        case .uint(let number): number == 0
        case .double(let number): number == 0
        case .string(let text): text.isEmpty
        case .bytes(let bytes): bytes.isEmpty
        case .timestamp(let time): time.seconds == 0 && time.nanoseconds == 0
        case .duration(let nanoseconds): nanoseconds == 0
        case .list(let elements): elements.isEmpty
        case .tree(let elements, _): elements.isEmpty
        case .map(let map): map.isEmpty
        case .fields(let fields, _): fields.isEmpty
        case .optional(let wrapped): wrapped == nil
        case .type, .opaque, .failure: false
        }
    }

    /// How many elements, entries, code points or bytes; nil for what has no size.
    var size: Int? {
        switch self {
        case .string(let text): text.unicodeScalars.count
        case .bytes(let bytes): bytes.count
        case .list(let elements): elements.count
        case .tree(let elements, _): elements.count
        case .map(let map): map.count
        case .fields(let fields, _): fields.count
        default: nil
        }
    }
}

// Lists, wherever their elements stand.
extension CELValue {
    /// The number of elements of a list; nil for anything else.
    var listCount: Int? {
        switch self {
        case .list(let elements): elements.count
        case .tree(let elements, _): elements.count
        default: nil
        }
    }

    /// An element of a list, whose place the caller has checked.
    func element(_ index: Int) throws(CELFailure) -> CELValue {
        switch self {
        case .list(let elements): return elements[index]
        case .tree(let elements, let shape): return try CELValue(elements[index], shape?.items)
        default: throw .noOverload
        }
    }

    /// All elements of a list; nil for anything else.
    func elements() throws(CELFailure) -> [CELValue]? {
        switch self {
        case .list(let elements): return elements
        case .tree(let values, let shape):
            var elements: [CELValue] = []
            elements.reserveCapacity(values.count)
            for value in values { elements.append(try CELValue(value, shape?.items)) }
            return elements
        default: return nil
        }
    }

    /// The keys of a map; nil for anything else.
    var keys: [CELValue]? {
        switch self {
        case .map(let map): map.entries.map(\.key)
        case .fields(let fields, let shape): fields.names.map { .string(shape?.escaped($0) ?? $0) }
        default: nil
        }
    }
}
