/// Where one field stands, relative to the first byte of its message.
public struct Field: BitwiseCopyable, Sendable {
    public var nameStart: UInt32
    public var nameLength: UInt32
    public var valueStart: UInt32
    public var valueLength: UInt32

    @inlinable
    public init(nameStart: UInt32, nameLength: UInt32, valueStart: UInt32, valueLength: UInt32) {
        self.nameStart = nameStart
        self.nameLength = nameLength
        self.valueStart = valueStart
        self.valueLength = valueLength
    }
}

/// Room for the fields of one head: made once per worker and filled again by each parse.
///
/// Safety: owns two arrays of `capacity` plain values; one thread uses it.
public struct FieldTable: ~Copyable {
    /// Fields that may stand in one head; a configuration may set a lower limit.
    public static let capacity = 256

    public let fields: UnsafeMutablePointer<Field>
    public let names: UnsafeMutablePointer<FieldName>
    public internal(set) var count = 0

    public init() {
        fields = .allocate(capacity: Self.capacity)
        fields.initialize(
            repeating: Field(nameStart: 0, nameLength: 0, valueStart: 0, valueLength: 0),
            count: Self.capacity
        )
        names = .allocate(capacity: Self.capacity)
        names.initialize(repeating: .other, count: Self.capacity)
    }

    /// Takes a field out: it keeps its place, but has no name.
    public func drop(_ index: Int) {
        guard index >= 0, index < count else { return }
        names[index] = .dropped
        fields[index].nameLength = 0
    }

    deinit {
        fields.deallocate()
        names.deallocate()
    }
}

/// Bounds for a head.
public struct HeadLimits: BitwiseCopyable, Sendable {
    /// Start line and fields together. Envoy's default is 60 KiB.
    public var bytes = 60 * 1024
    /// Envoy's default is 100 fields.
    public var fields = 100
    /// RFC 9112 section 3 recommends 8000 at least.
    public var target = 16 * 1024
    /// `a_b: c` is read as `a-b: c` by some servers behind.
    public var rejectsUnderscores = true

    public init() {}
}

/// What became of an attempt to read a head.
public enum HeadOutcome: BitwiseCopyable, Sendable, Equatable {
    case complete
    /// More bytes are needed.
    case incomplete
    case failed(HTTPFault)
}

/// How a body is delimited (RFC 9112 section 6.3).
public enum Framing: BitwiseCopyable, Sendable, Equatable {
    case none
    case length(UInt64)
    case chunked
    /// Responses only.
    case untilClose
}
