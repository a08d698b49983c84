import CWeft

/// Reads the field lines of a head or of trailers. Every deviation from RFC 9112 section 5 is a fault; nothing is repaired.
struct FieldParser {
    static let cr: UInt8 = 13
    static let lf: UInt8 = 10

    let base: UnsafeRawPointer
    let count: Int
    var position: Int

    @inline(__always)
    func byte(_ index: Int) -> UInt8 { base.load(fromByteOffset: index, as: UInt8.self) }

    /// Reads fields up to and including the empty line.
    mutating func parse(_ table: inout FieldTable, _ limits: HeadLimits) -> HeadOutcome {
        table.count = 0
        let limit = min(limits.fields, FieldTable.capacity)
        while true {
            guard position < count else { return .incomplete }
            if byte(position) == Self.cr {
                guard position + 1 < count else { return .incomplete }
                guard byte(position + 1) == Self.lf else { return .failed(.badLineEnd) }
                position += 2
                return .complete
            }
            guard table.count < limit else { return .failed(.tooManyFields) }
            let outcome = parseLine(&table, limits)
            guard outcome == .complete else { return outcome }
        }
    }

    private mutating func parseLine(_ table: inout FieldTable, _ limits: HeadLimits) -> HeadOutcome {
        let name = position
        let nameLength = cweft_scan_token(base + name, count - name)
        guard name + nameLength < count else { return nameLength == 0 ? .failed(.badFieldName) : .incomplete }
        guard nameLength > 0 else { return .failed(byte(name) == Self.lf ? .badLineEnd : .badFieldName) }
        guard byte(name + nameLength) == 0x3A else {
            let stop = byte(name + nameLength)
            return .failed(stop == Self.cr || stop == Self.lf || stop == 0x20 ? .fieldWithoutColon : .badFieldName)
        }
        if limits.rejectsUnderscores, cweft_find(base + name, nameLength, 0x5F) >= 0 {
            return .failed(.underscoreInFieldName)
        }
        var value = name + nameLength + 1
        while value < count, byte(value) == 0x20 || byte(value) == 0x09 { value += 1 }
        let stop = value + cweft_scan_value(base + value, count - value)
        guard stop < count else { return .incomplete }
        guard byte(stop) == Self.cr else { return .failed(byte(stop) == Self.lf ? .badLineEnd : .badFieldValue) }
        guard stop + 1 < count else { return .incomplete }
        guard byte(stop + 1) == Self.lf else { return .failed(.badLineEnd) }
        var end = stop
        while end > value, byte(end - 1) == 0x20 || byte(end - 1) == 0x09 { end -= 1 }
        table.fields[table.count] = Field(
            nameStart: UInt32(truncatingIfNeeded: name),
            nameLength: UInt32(truncatingIfNeeded: nameLength),
            valueStart: UInt32(truncatingIfNeeded: value),
            valueLength: UInt32(truncatingIfNeeded: end - value)
        )
        table.names[table.count] = FieldName.recognise(base + name, count: nameLength)
        table.count += 1
        position = stop + 2
        return .complete
    }
}

/// The facts that framing and routing need, gathered from the fields of one head.
struct FieldFacts {
    var contentLength: UInt64 = 0
    var hasContentLength = false
    var isChunked = false
    var hasTransferEncoding = false
    var hosts = 0
    var host = -1
    var flags: HeadFlags = []

    /// Looks at every known field once.
    mutating func gather(_ base: UnsafeRawPointer, _ table: borrowing FieldTable) -> HTTPFault? {
        for index in 0..<table.count {
            let name = table.names[index]
            guard name != .other else { continue }
            let field = table.fields[index]
            let value = base + Int(field.valueStart)
            let length = Int(field.valueLength)
            var fault: HTTPFault?
            switch name {
            case .host:
                hosts += 1
                host = index
            case .contentLength: fault = takeLength(value, length)
            case .transferEncoding: fault = takeCoding(value, length)
            case .connection: fault = takeConnection(value, length)
            case .upgrade: takeUpgrade(value, length)
            case .expect:
                guard length == 12, cweft_equals_lower(value, "100-continue", 12) != 0 else {
                    return .unknownExpectation
                }
                flags.insert(.expectsContinue)
            case .envoy: flags.insert(.hasEnvoyFields)
            default: continue
            }
            if let fault { return fault }
        }
        if hasTransferEncoding, hasContentLength { return .transferEncodingWithLength }
        return nil
    }

    /// RFC 9110 section 8.6: digits only. 18 digits keep the number far from overflow.
    private mutating func takeLength(_ value: UnsafeRawPointer, _ length: Int) -> HTTPFault? {
        guard !hasContentLength else { return .severalContentLengths }
        guard length > 0, length <= 18 else { return .badContentLength }
        var number: UInt64 = 0
        for offset in 0..<length {
            let digit = value.load(fromByteOffset: offset, as: UInt8.self) &- 0x30
            guard digit <= 9 else {
                return cweft_find(value, length, 0x2C) >= 0 ? .severalContentLengths : .badContentLength
            }
            number = number &* 10 &+ UInt64(digit)
        }
        contentLength = number
        hasContentLength = true
        return nil
    }

    /// One field, one coding: `chunked`.
    private mutating func takeCoding(_ value: UnsafeRawPointer, _ length: Int) -> HTTPFault? {
        guard !hasTransferEncoding else { return .badTransferEncoding }
        hasTransferEncoding = true
        guard length == 7, cweft_equals_lower(value, "chunked", 7) != 0 else {
            return length > 0 && cweft_scan_token(value, length) == length
                ? .unknownTransferCoding : .badTransferEncoding
        }
        isChunked = true
        return nil
    }

    private mutating func takeConnection(_ value: UnsafeRawPointer, _ length: Int) -> HTTPFault? {
        var position = 0
        while position < length {
            let separator = cweft_find(value + position, length - position, 0x2C)
            let end = separator < 0 ? length : position + separator
            var first = position
            var last = end
            while first < last, isSpace(value, first) { first += 1 }
            while last > first, isSpace(value, last - 1) { last -= 1 }
            if last > first {
                guard cweft_scan_token(value + first, last - first) == last - first else { return .badConnection }
                takeOption(value + first, last - first)
            }
            position = end + 1
        }
        return nil
    }

    private func isSpace(_ value: UnsafeRawPointer, _ index: Int) -> Bool {
        let byte = value.load(fromByteOffset: index, as: UInt8.self)
        return byte == 0x20 || byte == 0x09
    }

    private mutating func takeOption(_ option: UnsafeRawPointer, _ length: Int) {
        if length == 5, cweft_equals_lower(option, "close", 5) != 0 {
            flags.insert(.wantsClose)
        } else if length == 10, cweft_equals_lower(option, "keep-alive", 10) != 0 {
            flags.insert(.wantsKeepAlive)
        } else if length == 7, cweft_equals_lower(option, "upgrade", 7) != 0 {
            flags.insert(.nominatesUpgrade)
        } else {
            flags.insert(.nominatesFields)
        }
    }

    private mutating func takeUpgrade(_ value: UnsafeRawPointer, _ length: Int) {
        flags.insert(.hasUpgrade)
        if length == 9, cweft_equals_lower(value, "websocket", 9) != 0 { flags.insert(.isWebSocket) }
    }
}

/// What the fields of a head say, beside framing.
public struct HeadFlags: OptionSet, BitwiseCopyable, Sendable {
    public let rawValue: UInt16

    @inlinable
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    public static let wantsClose = HeadFlags(rawValue: 1)
    public static let wantsKeepAlive = HeadFlags(rawValue: 2)
    /// `Connection` names `upgrade`.
    public static let nominatesUpgrade = HeadFlags(rawValue: 4)
    /// `Connection` names further fields, which then hold for this connection only.
    public static let nominatesFields = HeadFlags(rawValue: 8)
    public static let expectsContinue = HeadFlags(rawValue: 16)
    public static let hasUpgrade = HeadFlags(rawValue: 32)
    /// `Upgrade: websocket`.
    public static let isWebSocket = HeadFlags(rawValue: 64)
    /// The target came as an absolute URI.
    public static let isAbsolute = HeadFlags(rawValue: 128)
    /// There are fields whose names begin with `x-envoy-`.
    public static let hasEnvoyFields = HeadFlags(rawValue: 1 << 14)
}
