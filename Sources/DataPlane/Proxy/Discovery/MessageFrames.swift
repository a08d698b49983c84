/// Cuts the bytes of a gRPC stream into messages ("gRPC over HTTP2", Length-Prefixed-Message). Compressed ones are refused.
struct MessageFrames {
    /// A message longer than this ends the stream.
    let limit: Int
    private var bytes: [UInt8] = []
    private var start = 0

    init(limit: Int) { self.limit = limit }

    enum Fault: Error, Equatable {
        case tooLong(Int), compressed
    }

    mutating func append(_ more: UnsafeRawBufferPointer) { bytes.append(contentsOf: more) }

    /// The next whole message, or nil.
    mutating func next() throws(Fault) -> [UInt8]? {
        guard bytes.count - start >= 5 else { return nil }
        guard bytes[start] == 0 else { throw .compressed }
        var length = 0
        for index in 1...4 { length = length << 8 | Int(bytes[start + index]) }
        guard length <= limit else { throw .tooLong(length) }
        let end = start + 5 + length
        guard bytes.count >= end else { return nil }
        let message = Array(bytes[start + 5..<end])
        start = end
        if start == bytes.count {
            // A large message leaves no room behind that nobody needs.
            bytes.removeAll(keepingCapacity: bytes.count <= 1 << 16)
            start = 0
        } else if start > 1 << 20 {
            bytes.removeFirst(start)
            start = 0
        }
        return message
    }

    /// A message with its length before it.
    static func frame(_ message: [UInt8]) -> [UInt8] {
        let count = UInt32(message.count)
        return [0] + (0..<4).map { UInt8(truncatingIfNeeded: count >> UInt32(24 - 8 * $0)) } + message
    }
}

/// Waits between tries to reach a control plane: doubling from half a second to half a minute, by chance spread over the upper
/// half, so that the proxies that one control plane has lost do not come back together. One on the same machine, at a Unix
/// socket, has few clients, and what its absence costs them is a failed `connect`: from 20 ms to a quarter of a second.
struct ReconnectDelay {
    static let least: UInt64 = 500_000_000
    static let most: UInt64 = 30_000_000_000
    static let leastLocal: UInt64 = 20_000_000
    static let mostLocal: UInt64 = 250_000_000

    private var tries: UInt64 = 0

    /// The wait before the next try; `random` is any number.
    mutating func next(_ random: UInt64, isLocal: Bool = false) -> UInt64 {
        let (least, most) = isLocal ? (Self.leastLocal, Self.mostLocal) : (Self.least, Self.most)
        let whole = min(most, least << min(tries, 10))
        tries += 1
        return whole / 2 + random % (whole / 2 + 1)
    }

    /// A stream served: the next wait is a short one.
    mutating func reset() { tries = 0 }
}
