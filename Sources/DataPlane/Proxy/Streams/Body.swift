import Bytes
import CWeft
import HTTP

/// How far a message's body has been read: a plain value that follows the framing.
struct Body: BitwiseCopyable {
    enum Kind: UInt8, BitwiseCopyable { case none, length, chunked, untilClose }

    private(set) var kind = Kind.none
    private(set) var remaining: UInt64 = 0
    private var decoder = ChunkedDecoder()
    /// The last byte was read.
    private(set) var isComplete = true
    /// Bytes of data so far, without framing.
    private(set) var carried: UInt64 = 0

    init() {}

    /// How much is still to come, where that is known: else 0.
    var left: UInt64 { kind == .length ? remaining : 0 }

    /// Bytes of a body of known length went their way unseen; at most `left`.
    mutating func pass(_ count: Int) {
        remaining &-= min(remaining, UInt64(count))
        isComplete = remaining == 0
        carried &+= UInt64(count)
    }

    /// Counts the body of the proxy's own answer.
    mutating func count(own bytes: Int) { carried &+= UInt64(bytes) }

    init(_ framing: Framing) {
        switch framing {
        case .none: break
        case .length(let count):
            kind = .length
            remaining = count
            isComplete = count == 0
        case .chunked:
            kind = .chunked
            isComplete = false
        case .untilClose:
            kind = .untilClose
            isComplete = false
        }
    }

    /// What a piece of input gave: data and raw trailer lines stand at its front.
    struct Step: BitwiseCopyable {
        var consumed = 0
        var data = 0
        var trailers = 0
    }

    /// Takes the bytes that belong to the body. The memory may be rearranged.
    mutating func take(_ bytes: UnsafeMutableRawPointer, _ count: Int) throws(HTTPFault) -> Step {
        switch kind {
        case .none: return Step()
        case .length:
            let taken = Int(min(remaining, UInt64(count)))
            remaining -= UInt64(taken)
            isComplete = remaining == 0
            carried &+= UInt64(taken)
            return Step(consumed: taken, data: taken)
        case .untilClose:
            carried &+= UInt64(count)
            return Step(consumed: count, data: count)
        case .chunked:
            let step = try decoder.decode(bytes, count: count)
            isComplete = decoder.isDone
            carried &+= UInt64(step.data)
            return Step(consumed: step.consumed, data: step.data, trailers: step.trailers)
        }
    }

    /// The peer closed: that ends a body without other delimiter; for every other one it is a truncation.
    mutating func endOfStream() -> Bool {
        guard kind == .untilClose else { return isComplete }
        isComplete = true
        return true
    }
}
