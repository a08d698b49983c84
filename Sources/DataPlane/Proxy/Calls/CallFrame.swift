/// Messages of gRPC on a stream: a byte that says whether it is compressed, four of length, the message.
struct CallFrame: Sendable {
    enum Fault: Error {
        /// Nothing was said that allows compression.
        case compressed
        case tooLarge
    }

    /// A message longer than this ends the stream.
    let limit: Int
    /// What came of the message that is not whole yet.
    private var held: [UInt8] = []

    init(limit: Int) { self.limit = limit }

    /// Bytes are missing of a message that has begun.
    var isInside: Bool { !held.isEmpty }

    /// Takes bytes as they came, and gives every message that is whole now.
    mutating func take(_ bytes: UnsafeRawBufferPointer, _ message: ([UInt8]) -> Void) throws(Fault) {
        var rest = bytes[...]
        while !rest.isEmpty {
            if held.count < 5 {
                let head = rest.prefix(5 - held.count)
                held.append(contentsOf: head)
                rest = rest.dropFirst(head.count)
                guard held.count == 5 else { return }
            }
            guard held[0] == 0 else { throw .compressed }
            let length = held[1...4].reduce(0) { $0 << 8 | Int($1) }
            guard length <= limit else { throw .tooLarge }
            let piece = rest.prefix(length - (held.count - 5))
            // Doubling, not what the peer announces: memory is taken for what came.
            held.append(contentsOf: piece)
            rest = rest.dropFirst(piece.count)
            guard held.count - 5 == length else { return }
            message(Array(held.dropFirst(5)))
            held = []
        }
    }

    /// A message as it is sent.
    static func framed(_ message: [UInt8]) -> [UInt8] {
        let count = UInt32(truncatingIfNeeded: message.count)
        var framed: [UInt8] = []
        framed.reserveCapacity(message.count + 5)
        framed.append(0)
        for shift in [24, 16, 8, 0] as [UInt32] { framed.append(UInt8(truncatingIfNeeded: count >> shift)) }
        framed.append(contentsOf: message)
        return framed
    }
}
