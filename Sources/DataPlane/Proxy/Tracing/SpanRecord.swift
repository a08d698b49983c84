import Traffic

/// What a worker tells of a span beside the texts of its format: fixed numbers, then the name where it is not the format's, then
/// the state of the trace. As bytes in the ring.
struct SpanRecord: Equatable {
    enum Kind: UInt8 { case server = 2, client = 3 }

    var high: UInt64 = 0
    var low: UInt64 = 0
    var span: UInt64 = 0
    /// 0 = none.
    var parent: UInt64 = 0
    /// Wall clock, nanoseconds.
    var start: UInt64 = 0
    var end: UInt64 = 0
    var kind = Kind.server
    var isError = false
    /// The head of the trace decided for it; else it is told because it failed.
    var isSampled = true
    /// Tries before this one.
    var retries: UInt16 = 0
    /// Empty: as the format has it.
    var name: [UInt8] = []
    var state: [UInt8] = []

    private static let fixed = 54

    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.fixed + name.count + state.count)
        for number in [high, low, span, parent, start, end] {
            withUnsafeBytes(of: number.bigEndian) { bytes.append(contentsOf: $0) }
        }
        bytes.append(kind.rawValue)
        bytes.append((isError ? 1 : 0) | (isSampled ? 2 : 0))
        withUnsafeBytes(of: retries.bigEndian) { bytes.append(contentsOf: $0) }
        withUnsafeBytes(of: UInt16(clamping: name.count).bigEndian) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: name)
        bytes.append(contentsOf: state)
        return bytes
    }

    init() {}

    init?(_ bytes: [UInt8]) {
        guard bytes.count >= Self.fixed else { return nil }
        func number(_ place: Int, _ count: Int) -> UInt64 {
            bytes[place..<place + count].reduce(0) { $0 << 8 | UInt64($1) }
        }
        (high, low, span) = (number(0, 8), number(8, 8), number(16, 8))
        (parent, start, end) = (number(24, 8), number(32, 8), number(40, 8))
        guard let kind = Kind(rawValue: bytes[48]) else { return nil }
        self.kind = kind
        isError = bytes[49] & 1 != 0
        isSampled = bytes[49] & 2 != 0
        retries = UInt16(number(50, 2))
        let length = Int(number(52, 2))
        guard bytes.count >= Self.fixed + length else { return nil }
        name = Array(bytes[Self.fixed..<Self.fixed + length])
        state = Array(bytes[(Self.fixed + length)...])
    }
}
