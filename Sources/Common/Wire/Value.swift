/// A tree of JSON's types: what every manifest, API object and configuration file is read into and written from.
///
/// Whole numbers that fit 64 bits keep every digit (`int`); all others are `double`. Fields keep the order in which they
/// were written, and two objects are equal when they hold the same fields in any order (RFC 8259 section 4).
public enum Value: Sendable, Equatable {
    case null
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case string(String)
    case array([Value])
    case object(Fields)
}

extension Value {
    /// The field of an object, or nil when there is none or this is no object. Setting nil removes the field; setting a
    /// field of `null` makes it an object; setting a field of any other kind of value replaces that value by an object.
    public subscript(name: String) -> Value? {
        get {
            guard case .object(let fields) = self else { return nil }
            return fields[name]
        }
        set {
            var fields: Fields
            if case .object(let present) = self { fields = present } else { fields = Fields() }
            self = .null
            fields[name] = newValue
            self = .object(fields)
        }
    }

    /// The element of an array, or nil when it is out of range or this is no array.
    public subscript(index: Int) -> Value? {
        guard case .array(let elements) = self, elements.indices.contains(index) else { return nil }
        return elements[index]
    }

    /// The value behind a path of field names, or nil when a step is missing.
    public func at(_ path: String...) -> Value? { at(path: path) }

    /// The value behind a path of field names, or nil when a step is missing.
    public func at(path: [String]) -> Value? {
        var value = self
        for step in path {
            guard let next = value[step] else { return nil }
            value = next
        }
        return value
    }

    /// Sets (or with nil removes) the value behind a path of field names; objects are made on the way where they miss.
    public mutating func set(_ path: [String], _ new: Value?) {
        guard let first = path.first else {
            self = new ?? .null
            return
        }
        guard path.count > 1 else {
            self[first] = new
            return
        }
        var child = self[first] ?? .null
        if new == nil, case .null = child { return }
        child.set(Array(path.dropFirst()), new)
        self[first] = child
    }

    public var isNull: Bool { self == .null }

    public var boolValue: Bool? {
        guard case .bool(let value) = self else { return nil }
        return value
    }

    /// A whole number: an `int`, or a `double` without fraction that fits.
    public var intValue: Int? {
        switch self {
        case .int(let value): Int(exactly: value)
        case .double(let value): Int(exactly: value)
        default: nil
        }
    }

    public var doubleValue: Double? {
        switch self {
        case .int(let value): Double(value)
        case .double(let value): value
        default: nil
        }
    }

    public var stringValue: String? {
        guard case .string(let value) = self else { return nil }
        return value
    }

    public var arrayValue: [Value]? {
        guard case .array(let value) = self else { return nil }
        return value
    }

    public var fields: Fields? {
        guard case .object(let value) = self else { return nil }
        return value
    }

    /// The name of this value's type in messages: `null`, `boolean`, `integer`, `number`, `string`, `array`, `object`.
    public var typeName: String {
        switch self {
        case .null: "null"
        case .bool: "boolean"
        case .int: "integer"
        case .double: "number"
        case .string: "string"
        case .array: "array"
        case .object: "object"
        }
    }
}

extension Value: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(integerLiteral value: Int64) { self = .int(value) }
    public init(floatLiteral value: Double) { self = .double(value) }
    public init(arrayLiteral elements: Value...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, Value)...) {
        self = .object(Fields(elements))
    }
    public init(nilLiteral: ()) { self = .null }
}
