/// Protobuf's wire format: fields of number and content (protobuf.dev, "Encoding"). Groups are refused.
public enum Protobuf {
    /// The content of one field as it stands in the bytes.
    public enum Content: Sendable, Equatable {
        case varint(UInt64)
        case fixed64(UInt64)
        case fixed32(UInt32)
        case bytes(ArraySlice<UInt8>)
    }

    /// One field of a message.
    public struct Field: Sendable, Equatable {
        public let number: Int
        public let content: Content

        public init(number: Int, content: Content) {
            self.number = number
            self.content = content
        }
    }
}

/// Reads the fields of a message one after the other. Bounded by the bytes given; never traps.
public struct ProtobufReader: Sendable {
    private let bytes: ArraySlice<UInt8>
    private var position: Int

    public init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    public init(_ bytes: [UInt8]) { self.init(bytes[...]) }

    /// The next field, or nil at the end of the message.
    ///
    /// - Throws: `WireError` for a truncated or impossible field.
    public mutating func next() throws(WireError) -> Protobuf.Field? {
        guard position < bytes.endIndex else { return nil }
        let key = try varint()
        guard let number = Int(exactly: key >> 3), (1...536_870_911).contains(number) else {
            throw WireError("protobuf: no field has the number \(key >> 3)")
        }
        switch key & 7 {
        case 0: return Protobuf.Field(number: number, content: .varint(try varint()))
        case 1: return Protobuf.Field(number: number, content: .fixed64(try fixed(8)))
        case 2: return Protobuf.Field(number: number, content: .bytes(try run()))
        case 5: return Protobuf.Field(number: number, content: .fixed32(UInt32(truncatingIfNeeded: try fixed(4))))
        default: throw WireError("protobuf: field \(number) has the wire type \(key & 7), which is not supported")
        }
    }

    /// The varints of a packed repeated field.
    public static func packed(_ bytes: ArraySlice<UInt8>) throws(WireError) -> [UInt64] {
        var reader = ProtobufReader(bytes)
        var numbers: [UInt64] = []
        while reader.position < bytes.endIndex { numbers.append(try reader.varint()) }
        return numbers
    }

    private mutating func varint() throws(WireError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < bytes.endIndex {
            let byte = bytes[position]
            position += 1
            // The tenth byte holds one bit only.
            guard shift < 63 || byte <= 1 else { throw WireError("protobuf: a number is longer than 64 bits") }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
            guard shift <= 63 else { throw WireError("protobuf: a number is longer than 64 bits") }
        }
        throw WireError("protobuf: the message ends inside a number")
    }

    private mutating func fixed(_ count: Int) throws(WireError) -> UInt64 {
        guard bytes.endIndex - position >= count else { throw WireError("protobuf: the message ends inside a field") }
        var value: UInt64 = 0
        for index in 0..<count { value |= UInt64(bytes[position + index]) << UInt64(8 * index) }
        position += count
        return value
    }

    private mutating func run() throws(WireError) -> ArraySlice<UInt8> {
        let length = try varint()
        guard let count = Int(exactly: length), count <= bytes.endIndex - position else {
            throw WireError("protobuf: a field of \(length) bytes does not fit the \(bytes.endIndex - position) left")
        }
        defer { position += count }
        return bytes[position..<position + count]
    }
}

/// Writes the fields of a message in the order of the calls.
public struct ProtobufWriter: Sendable {
    public private(set) var bytes: [UInt8] = []

    public init() {}

    public mutating func varint(_ number: Int, _ value: UInt64) {
        key(number, 0)
        append(value)
    }

    public mutating func fixed64(_ number: Int, _ value: UInt64) {
        key(number, 1)
        for index in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index))) }
    }

    public mutating func fixed32(_ number: Int, _ value: UInt32) {
        key(number, 5)
        for index in 0..<4 { bytes.append(UInt8(truncatingIfNeeded: value >> UInt32(8 * index))) }
    }

    public mutating func run(_ number: Int, _ content: some Collection<UInt8>) {
        key(number, 2)
        append(UInt64(content.count))
        bytes.append(contentsOf: content)
    }

    public mutating func text(_ number: Int, _ text: String) { run(number, text.utf8) }

    public mutating func packed(_ number: Int, _ values: [UInt64]) {
        var inner = ProtobufWriter()
        for value in values { inner.append(value) }
        run(number, inner.bytes)
    }

    private mutating func key(_ number: Int, _ wireType: UInt64) { append(UInt64(number) << 3 | wireType) }

    private mutating func append(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }
}
