package import Wire

/// `google.protobuf.Duration` as text and as numbers.
enum ProtoDuration {
    /// Ten thousand years, the bound of the type.
    static let limit: Int64 = 315_576_000_000

    /// As proto3's JSON has it: `1s`, `1.500s`, `0.000000001s`.
    static func text(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let nanoseconds = attoseconds / 1_000_000_000
        let sign = seconds < 0 || nanoseconds < 0 ? "-" : ""
        guard nanoseconds != 0 else { return "\(seconds)s" }
        var digits = "\(nanoseconds.magnitude)"
        digits = String(repeating: "0", count: max(0, 9 - digits.count)) + digits
        while digits.hasSuffix("000") { digits.removeLast(3) }
        return "\(sign)\(seconds.magnitude).\(digits)s"
    }

    /// The duration behind a text as `1.5s`, or nil.
    static func parse(_ text: String) -> Duration? {
        guard text.utf8.count <= 32, text.hasSuffix("s") else { return nil }
        var body = text.dropLast()
        let isNegative = body.hasPrefix("-")
        if isNegative { body = body.dropFirst() }
        let parts = body.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard let whole = parts.first, isDigits(whole), let seconds = Int64(whole), seconds <= limit else { return nil }
        var nanoseconds: Int64 = 0
        if parts.count == 2 {
            guard isDigits(parts[1]), parts[1].utf8.count <= 9 else { return nil }
            guard let fraction = Int64(parts[1] + String(repeating: "0", count: 9 - parts[1].utf8.count)) else {
                return nil
            }
            nanoseconds = fraction
        }
        let duration = Duration.seconds(seconds) + .nanoseconds(nanoseconds)
        return isNegative ? .zero - duration : duration
    }

    private static func isDigits(_ text: Substring) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }
}

extension Codec where T == Duration {
    package static let duration = Codec(
        zero: nil,
        read: { value, reader in
            if case .string(let text) = value, let duration = ProtoDuration.parse(text) { return duration }
            reader.wrongType("a duration as \"1.5s\"", value)
            return nil
        },
        write: { .string(ProtoDuration.text($0)) },
        decode: { content, reader in
            guard let bytes = reader.run(content) else { return nil }
            var seconds: Int64 = 0
            var nanoseconds: Int64 = 0
            reader.fields(of: bytes) { field, reader in
                guard let number = reader.varint(field.content) else { return }
                if field.number == 1 { seconds = Int64(truncatingIfNeeded: number) }
                if field.number == 2 { nanoseconds = Int64(Int32(truncatingIfNeeded: number)) }
            }
            guard (-ProtoDuration.limit...ProtoDuration.limit).contains(seconds),
                nanoseconds.magnitude < 1_000_000_000,
                seconds == 0 || nanoseconds == 0 || (seconds < 0) == (nanoseconds < 0)
            else {
                reader.report(.outOfRange, "\(seconds) s and \(nanoseconds) ns are no duration")
                return nil
            }
            return .seconds(seconds) + .nanoseconds(nanoseconds)
        },
        encode: { duration, number, writer in
            let (seconds, attoseconds) = duration.components
            let nanoseconds = attoseconds / 1_000_000_000
            var inner = ProtobufWriter()
            if seconds != 0 { inner.varint(1, UInt64(bitPattern: seconds)) }
            if nanoseconds != 0 { inner.varint(2, UInt64(bitPattern: nanoseconds)) }
            writer.run(number, inner.bytes)
        },
        subject: { .duration($0) },
        isMergeable: true
    )
}

extension Codec where T == Value {
    /// `google.protobuf.Struct`: any JSON object.
    package static let object = Codec(
        zero: nil,
        read: { value, reader in
            guard case .object = value else {
                reader.wrongType("an object", value)
                return nil
            }
            return value
        },
        write: { $0 },
        decode: { content, reader in reader.run(content).map { Struct.decode($0, depth: 0, &reader) } },
        encode: { value, number, writer in writer.run(number, Struct.encode(value)) },
        isMergeable: true
    )
}

/// The messages `Struct`, `Value` and `ListValue` of `google.protobuf`.
private enum Struct {
    /// Deeper nesting is refused: the walk is recursive.
    static let depthLimit = 64

    static func encode(_ object: Value) -> [UInt8] {
        var writer = ProtobufWriter()
        let fields = object.fields ?? Fields()
        for name in fields.names.sorted() {
            var entry = ProtobufWriter()
            if !name.isEmpty { entry.text(1, name) }
            entry.run(2, encode(value: fields[name] ?? .null))
            writer.run(1, entry.bytes)
        }
        return writer.bytes
    }

    private static func encode(value: Value) -> [UInt8] {
        var writer = ProtobufWriter()
        switch value {
        case .null: writer.varint(1, 0)
        case .bool(let flag): writer.varint(4, flag ? 1 : 0)
        case .int(let number): writer.fixed64(2, Double(number).bitPattern)
        case .double(let number): writer.fixed64(2, number.bitPattern)
        case .string(let text): writer.text(3, text)
        case .object: writer.run(5, encode(value))
        case .array(let elements):
            var list = ProtobufWriter()
            for element in elements { list.run(1, encode(value: element)) }
            writer.run(6, list.bytes)
        }
        return writer.bytes
    }

    static func decode(_ bytes: ArraySlice<UInt8>, depth: Int, _ reader: inout SchemaReader) -> Value {
        guard isShallow(depth, &reader) else { return .null }
        var object = Fields()
        reader.fields(of: bytes) { field, reader in
            guard field.number == 1, let entry = reader.run(field.content) else { return }
            var name = ""
            var value = Value.null
            reader.fields(of: entry) { part, reader in
                if part.number == 1 { name = Codec<String>.string.decode(part.content, &reader) ?? "" }
                if part.number == 2, let run = reader.run(part.content) {
                    value = decode(value: run, depth: depth + 1, &reader)
                }
            }
            object[name] = value
        }
        return .object(object)
    }

    private static func decode(value bytes: ArraySlice<UInt8>, depth: Int, _ reader: inout SchemaReader) -> Value {
        guard isShallow(depth, &reader) else { return .null }
        var value = Value.null
        reader.fields(of: bytes) { field, reader in
            switch field.number {
            case 1: value = .null
            case 2: value = Codec<Double>.double.decode(field.content, &reader).map(number) ?? .null
            case 3: value = Codec<String>.string.decode(field.content, &reader).map { .string($0) } ?? .null
            case 4: value = Codec<Bool>.bool.decode(field.content, &reader).map { .bool($0) } ?? .null
            case 5: value = reader.run(field.content).map { decode($0, depth: depth + 1, &reader) } ?? .null
            case 6: value = reader.run(field.content).map { list($0, depth: depth + 1, &reader) } ?? .null
            default: break
            }
        }
        return value
    }

    private static func list(_ bytes: ArraySlice<UInt8>, depth: Int, _ reader: inout SchemaReader) -> Value {
        var elements: [Value] = []
        reader.fields(of: bytes) { field, reader in
            guard field.number == 1, let run = reader.run(field.content) else { return }
            elements.append(decode(value: run, depth: depth + 1, &reader))
        }
        return .array(elements)
    }

    private static func number(_ double: Double) -> Value {
        Int64(exactly: double).map { .int($0) } ?? .double(double)
    }

    private static func isShallow(_ depth: Int, _ reader: inout SchemaReader) -> Bool {
        if depth > depthLimit { reader.report(.malformed, "objects are nested deeper than \(depthLimit) levels") }
        return depth <= depthLimit
    }
}
