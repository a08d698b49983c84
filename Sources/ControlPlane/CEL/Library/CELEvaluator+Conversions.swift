import Resources
import Wire

// From one type to another, and sizes.
extension CELEvaluator {
    mutating func convert(_ function: CELFunction, _ values: [CELValue]) throws(CELFailure) -> CELValue? {
        guard values.count == 1 else { return nil }
        let value = values[0]
        switch function {
        case .dyn: return value
        case .type: return .type(value.typeName)
        case .size:
            if case .string(let text) = value { try spend(bytes: text.utf8.count) }
            return value.size.map { .int(Int64($0)) }
        case .negate: return try negated(value)
        case .bool: return try Self.truth(value)
        case .int: return try Self.whole(value).map { .int($0) }
        case .uint: return try Self.natural(value).map { .uint($0) }
        case .double: return try Self.real(value)
        case .string: return try string(value)
        case .bytes:
            guard case .string(let text) = value else { return if case .bytes = value { value } else { nil } }
            try spend(bytes: text.utf8.count)
            return .bytes(Array(text.utf8))
        case .timestamp: return try Self.moment(value)
        case .duration: return try Self.span(value)
        default: return nil
        }
    }

    private func negated(_ value: CELValue) throws(CELFailure) -> CELValue? {
        switch value {
        case .int(let number):
            guard number != .min else { throw .overflow }
            return .int(-number)
        case .double(let number): return .double(-number)
        default: return nil
        }
    }

    private static func truth(_ value: CELValue) throws(CELFailure) -> CELValue? {
        switch value {
        case .bool: return value
        case .string(let text):
            switch text {
            case "1", "t", "T", "true", "TRUE", "True": return .bool(true)
            case "0", "f", "F", "false", "FALSE", "False": return .bool(false)
            default: throw CELFailure("type conversion error from 'string' to 'bool'")
            }
        default: return nil
        }
    }

    private static func whole(_ value: CELValue) throws(CELFailure) -> Int64? {
        switch value {
        case .int(let number): return number
        case .uint(let number):
            guard let result = Int64(exactly: number) else { throw .overflow }
            return result
        case .double(let number):
            // The ends of the range are not exact as doubles, so they are left out.
            guard number > -9_223_372_036_854_775_808, number < 9_223_372_036_854_775_808 else { throw .overflow }
            return Int64(number)
        case .string(let text):
            guard let result = Int64(text) else { throw CELFailure("type conversion error from 'string' to 'int'") }
            return result
        case .timestamp(let time): return time.seconds
        case .duration(let nanoseconds): return nanoseconds
        default: return nil
        }
    }

    private static func natural(_ value: CELValue) throws(CELFailure) -> UInt64? {
        switch value {
        case .uint(let number): return number
        case .int(let number):
            guard let result = UInt64(exactly: number) else { throw CELFailure("unsigned integer overflow") }
            return result
        case .double(let number):
            guard number >= 0, number < 18_446_744_073_709_551_616 else {
                throw CELFailure("unsigned integer overflow")
            }
            return UInt64(number)
        case .string(let text):
            guard let result = UInt64(text) else { throw CELFailure("type conversion error from 'string' to 'uint'") }
            return result
        default: return nil
        }
    }

    private static func real(_ value: CELValue) throws(CELFailure) -> CELValue? {
        switch value {
        case .double: return value
        case .int(let number): return .double(Double(number))
        case .uint(let number): return .double(Double(number))
        case .string(let text):
            guard let number = Double(text) else { throw CELFailure("type conversion error from 'string' to 'double'") }
            return .double(number)
        default: return nil
        }
    }

    private mutating func string(_ value: CELValue) throws(CELFailure) -> CELValue? {
        switch value {
        case .string: return value
        case .bytes(let bytes):
            try spend(bytes: bytes.count)
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw CELFailure("invalid UTF-8 in bytes, cannot convert to string")
            }
            return .string(text)
        case .bool, .int, .uint, .double, .timestamp, .duration: return .string(value.text)
        case .opaque(.ip), .opaque(.cidr): return .string(value.text)
        default: return nil
        }
    }

    private static func moment(_ value: CELValue) throws(CELFailure) -> CELValue? {
        switch value {
        case .timestamp: return value
        case .int(let seconds):
            guard CELTime.range.contains(seconds) else { throw CELFailure("timestamp overflow") }
            return .timestamp(Timestamp(seconds: seconds))
        case .string(let text):
            guard let time = CELTime.timestamp(text) else {
                throw CELFailure("type conversion error from 'string' to 'google.protobuf.Timestamp'")
            }
            return .timestamp(time)
        default: return nil
        }
    }

    private static func span(_ value: CELValue) throws(CELFailure) -> CELValue? {
        switch value {
        case .duration: return value
        case .int(let nanoseconds): return .duration(nanoseconds)
        case .string(let text):
            guard let nanoseconds = CELTime.duration(text) else {
                throw CELFailure("type conversion error from 'string' to 'google.protobuf.Duration'")
            }
            return .duration(nanoseconds)
        default: return nil
        }
    }
}
