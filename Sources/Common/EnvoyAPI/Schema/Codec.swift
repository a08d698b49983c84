import Wire

/// How values of one type stand in JSON and in protobuf.
///
/// A class, so that code that is not specialised for `T` holds it without asking for the layout of `T`.
package final class Codec<T: Sendable & Equatable>: Sendable {
    /// Reports what is wrong, and gives nil then.
    let read: @Sendable (Value, inout SchemaReader) -> T?
    let write: @Sendable (T) -> Value
    let decode: @Sendable (Protobuf.Content, inout SchemaReader) -> T?
    let encode: @Sendable (T, Int, inout ProtobufWriter) -> Void
    let subject: @Sendable (T) -> Rule.Subject
    /// All problems inside the value, for values that were made in memory.
    let check: (@Sendable (T, inout SchemaReader) -> Void)?
    /// For numbers that a repeated field packs.
    let varint: (@Sendable (T) -> UInt64)?
    /// Whether two occurrences of a field are one message in two parts.
    let isMergeable: Bool
    /// What stands in it, for pages about the API.
    let outline: FieldOutline
    /// proto3's zero value; nil for types whose absence is nil.
    let zero: T?

    @_semantics("optimize.sil.specialize.generic.never")
    init(
        zero: T?,
        read: @escaping @Sendable (Value, inout SchemaReader) -> T?,
        write: @escaping @Sendable (T) -> Value,
        decode: @escaping @Sendable (Protobuf.Content, inout SchemaReader) -> T?,
        encode: @escaping @Sendable (T, Int, inout ProtobufWriter) -> Void,
        subject: @escaping @Sendable (T) -> Rule.Subject = { _ in .other },
        check: (@Sendable (T, inout SchemaReader) -> Void)? = nil,
        varint: (@Sendable (T) -> UInt64)? = nil,
        isMergeable: Bool = false,
        outline: FieldOutline = .plain
    ) {
        self.zero = zero
        self.read = read
        self.write = write
        self.decode = decode
        self.encode = encode
        self.subject = subject
        self.check = check
        self.varint = varint
        self.isMergeable = isMergeable
        self.outline = outline
    }
}

extension Codec where T == String {
    package static let string = Codec(
        zero: "",
        read: { value, reader in
            if case .string(let text) = value { return text }
            reader.wrongType(isScalar(value) ? "a string (in quotes)" : "a string", value)
            return nil
        },
        write: { .string($0) },
        decode: { content, reader in
            guard let bytes = reader.run(content) else { return nil }
            guard let text = String(validating: bytes, as: UTF8.self) else {
                reader.report(.malformed, "the bytes are not UTF-8")
                return nil
            }
            return text
        },
        encode: { $2.text($1, $0) },
        subject: { .text($0) }
    )
}

extension Codec where T == [UInt8] {
    package static let bytes = Codec(
        zero: [],
        read: { value, reader in
            if case .string(let text) = value, let bytes = base64(text) { return bytes }
            reader.wrongType("bytes in Base64", value)
            return nil
        },
        write: { .string(Base64.encode($0)) },
        decode: { content, reader in reader.run(content).map { Array($0) } },
        encode: { $2.run($1, $0) },
        subject: { .bytes($0.count) }
    )

    /// Also without padding and in the alphabet for URLs, as proto3's JSON allows.
    private static func base64(_ text: String) -> [UInt8]? {
        var standard = text.utf8.map { byte in
            byte == UInt8(ascii: "-") ? UInt8(ascii: "+") : byte == UInt8(ascii: "_") ? UInt8(ascii: "/") : byte
        }
        while standard.count % 4 != 0 { standard.append(UInt8(ascii: "=")) }
        return Base64.decode(String(decoding: standard, as: UTF8.self))
    }
}

extension Codec where T == Bool {
    package static let bool = Codec(
        zero: false,
        read: { value, reader in
            if case .bool(let flag) = value { return flag }
            reader.wrongType("true or false", value)
            return nil
        },
        write: { .bool($0) },
        decode: { content, reader in reader.varint(content).map { $0 != 0 } },
        encode: { $2.varint($1, $0 ? 1 : 0) },
        subject: { .flag($0) },
        varint: { $0 ? 1 : 0 }
    )
    package static let boolValue = wrapper(bool)
}

extension Codec where T == UInt32 {
    package static let uint32 = integer("a whole number from 0 to 4294967295") { .int(Int64($0)) }
    package static let uint32Value = wrapper(uint32)
}

extension Codec where T == UInt64 {
    package static let uint64 = integer("a whole number from 0 to 18446744073709551615") { .string("\($0)") }
    package static let uint64Value = wrapper(uint64)
}

extension Codec where T == Int32 {
    package static let int32 = integer("a whole number of 32 bits") { .int(Int64($0)) }
}

extension Codec where T == Int64 {
    package static let int64 = integer("a whole number of 64 bits") { .string("\($0)") }
}

extension Codec where T: FixedWidthInteger & Sendable {
    /// Whole numbers; proto3's JSON allows them as strings too.
    private static func integer(_ expected: String, write: @escaping @Sendable (T) -> Value) -> Codec {
        Codec(
            zero: 0,
            read: { value, reader in
                let number: T? =
                    switch value {
                    case .int(let number): T(exactly: number)
                    case .double(let number): T(exactly: number)
                    case .string(let text): T(text)
                    default: nil
                    }
                if number == nil { reader.wrongType(expected, value) }
                return number
            },
            write: write,
            decode: { content, reader in reader.varint(content).map { T(truncatingIfNeeded: $0) } },
            encode: { $2.varint($1, UInt64(truncatingIfNeeded: $0)) },
            subject: { .number(Double($0)) },
            varint: { UInt64(truncatingIfNeeded: $0) }
        )
    }
}

extension Codec where T == Double {
    package static let double = Codec(
        zero: 0,
        read: { value, reader in
            let number: Double? =
                switch value {
                case .int(let number): Double(number)
                case .double(let number): number
                case .string("Infinity"): .infinity
                case .string("-Infinity"): -.infinity
                case .string("NaN"): .nan
                case .string(let text): Double(text).flatMap { $0.isFinite ? $0 : nil }
                default: nil
                }
            if number == nil { reader.wrongType("a number", value) }
            return number
        },
        write: { number in
            if let whole = Int64(exactly: number) { return .int(whole) }
            return number.isFinite
                ? .double(number) : .string(number.isNaN ? "NaN" : number < 0 ? "-Infinity" : "Infinity")
        },
        decode: { content, reader in
            if case .fixed64(let bits) = content { return Double(bitPattern: bits) }
            reader.report(.malformed, "expected a number of 64 bits")
            return nil
        },
        encode: { $2.fixed64($1, $0.bitPattern) },
        subject: { .number($0) }
    )
    package static let doubleValue = wrapper(double)
}

extension Codec {
    /// A message `{1: value}` in protobuf and the plain value in JSON, so that absent and zero are told apart.
    static func wrapper(_ plain: Codec) -> Codec {
        Codec(
            zero: nil,
            read: plain.read,
            write: plain.write,
            decode: { content, reader in
                guard let bytes = reader.run(content) else { return nil }
                var value = plain.zero
                reader.fields(of: bytes) { field, reader in
                    if field.number == 1 { value = plain.decode(field.content, &reader) }
                }
                return value
            },
            encode: { value, number, writer in
                var inner = ProtobufWriter()
                if value != plain.zero { plain.encode(value, 1, &inner) }
                writer.run(number, inner.bytes)
            },
            subject: plain.subject,
            isMergeable: true
        )
    }
}

extension Codec where T: EnvoyEnum {
    @_semantics("optimize.sil.specialize.generic.never")
    package static var enumeration: Codec {
        Codec(
            zero: T(rawValue: 0),
            read: { value, reader in
                switch value {
                case .string(let text):
                    // Envoy takes the names in either case, and documents make use of it.
                    let name = text.uppercased()
                    if let found = T.names.supported.first(where: { $0.name.uppercased() == name }) {
                        return T(rawValue: found.number)
                    }
                    let missing = T.names.unsupported.first { $0.name.uppercased() == name }
                    reader.noValue(of: T.names, name: missing?.name ?? text)
                case .int(let number): return known(number, &reader)
                default: reader.wrongType("one of \(T.names.list)", value)
                }
                return nil
            },
            write: { value in
                .string(T.names.supported.first { $0.number == value.rawValue }?.name ?? "\(value.rawValue)")
            },
            decode: { content, reader in
                reader.varint(content).flatMap { known(Int64(truncatingIfNeeded: $0), &reader) }
            },
            encode: { $2.varint($1, UInt64(truncatingIfNeeded: $0.rawValue)) },
            varint: { UInt64(truncatingIfNeeded: $0.rawValue) },
            outline: .enumeration(T.names)
        )
    }

    @_semantics("optimize.sil.specialize.generic.never")
    private static func known(_ number: Int64, _ reader: inout SchemaReader) -> T? {
        if let small = Int32(exactly: number), let value = T(rawValue: small) { return value }
        if let name = T.names.unsupported.first(where: { Int64($0.number) == number })?.name {
            reader.noValue(of: T.names, name: name)
        } else {
            reader.report(.unknown, "\(number) is no value of \(T.names.type): use one of \(T.names.list)")
        }
        return nil
    }
}

extension Codec where T: EnvoyMessage {
    @_semantics("optimize.sil.specialize.generic.never")
    package static var message: Codec {
        Codec(
            zero: nil,
            read: { T.schema.read($0, &$1) },
            write: { T.schema.write($0) },
            decode: { content, reader in reader.run(content).map { T.schema.decode($0, &reader) } },
            encode: { message, number, writer in
                var inner = ProtobufWriter()
                T.schema.encode(message, &inner)
                writer.run(number, inner.bytes)
            },
            check: { T.schema.check($0, &$1) },
            isMergeable: true,
            outline: .message { T.schema.outline }
        )
    }
}

private func isScalar(_ value: Value) -> Bool {
    switch value {
    case .int, .double, .bool: true
    default: false
    }
}

extension EnumNames {
    var list: String { supported.map(\.name).joined(separator: ", ") }
}

extension SchemaReader {
    mutating func noValue(of names: EnumNames, name: String) {
        if names.unsupported.contains(where: { $0.name == name }) {
            report(.unsupported, "\(name) is not supported by weft-proxy: use one of \(names.list)")
        } else {
            report(.unknown, "\"\(clip(name))\" is no value of \(names.type): use one of \(names.list)")
        }
    }

    mutating func run(_ content: Protobuf.Content) -> ArraySlice<UInt8>? {
        if case .bytes(let bytes) = content { return bytes }
        report(.malformed, "expected bytes, got a number")
        return nil
    }

    mutating func varint(_ content: Protobuf.Content) -> UInt64? {
        if case .varint(let value) = content { return value }
        report(.malformed, "expected a number of variable length")
        return nil
    }

    /// Walks over the fields of a message; reports bytes that are none.
    mutating func fields(of bytes: ArraySlice<UInt8>, _ body: (Protobuf.Field, inout SchemaReader) -> Void) {
        var fields = ProtobufReader(bytes)
        do throws(WireError) {
            while let field = try fields.next() { body(field, &self) }
        } catch {
            report(.malformed, error.message)
        }
    }
}
