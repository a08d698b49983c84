package import Wire

// Values as texts.
extension CELValue {
    /// The value as `string()` writes it, where it does; short words for the rest.
    package var text: String {
        switch self {
        case .null: "null"
        case .bool(let truth): truth ? "true" : "false"
        case .int(let number): String(number)
        case .uint(let number): String(number)
        case .double(let number): Self.text(of: number)
        case .string(let text): text
        case .bytes(let bytes): String(decoding: bytes, as: UTF8.self)
        case .timestamp(let time): CELTime.text(of: time)
        case .duration(let nanoseconds): CELTime.text(of: nanoseconds)
        case .type(let name): name
        case .opaque(.ip(let address)): address.text
        case .opaque(.cidr(let address, let prefix)): "\(address.text)/\(prefix)"
        default: typeName
        }
    }

    static func text(of number: Double) -> String {
        if number.isNaN { return "NaN" }
        if number.isInfinite { return number < 0 ? "-Infinity" : "+Infinity" }
        if number == number.rounded(), abs(number) < 1e15 { return String(Int64(number)) }
        return number.description
    }

    /// The value as a part of a JSON tree; nil for what has no form there.
    package var json: Value? {
        switch self {
        case .null: return .null
        case .bool(let truth): return .bool(truth)
        case .int(let number): return .int(number)
        case .uint(let number): return Int64(exactly: number).map(Value.int) ?? .double(Double(number))
        case .double(let number): return .double(number)
        case .string(let text): return .string(text)
        case .bytes(let bytes): return .string(Base64.encode(bytes))
        case .timestamp, .duration: return .string(text)
        case .tree(let elements, _): return .array(elements)
        case .fields(let fields, _): return .object(fields)
        case .list(let elements): return .array(elements.map { $0.json ?? .null })
        case .map(let map): return .object(Fields(map.entries.map { ($0.key.text, $0.value.json ?? .null) }))
        default: return nil
        }
    }
}
