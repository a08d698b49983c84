import Bytes

/// What an event or a timer is about: a kind, a slot and the slot's generation in one number.
struct Token: BitwiseCopyable {
    enum Kind: UInt8 {
        case listener = 1, downstream, upstream, downstreamTimer, upstreamTimer, workerTimer
    }
    static let generationMask = SlabGeneration.mask

    let raw: UInt64

    @inline(__always)
    init(raw: UInt64) { self.raw = raw }

    @inline(__always)
    init(_ kind: Kind, _ index: Int32, generation: UInt32) {
        raw =
            UInt64(kind.rawValue) << 60 | UInt64(generation & Self.generationMask) << 32
            | UInt64(UInt32(bitPattern: index))
    }

    @inline(__always) var kind: Kind? { Kind(rawValue: UInt8(truncatingIfNeeded: raw >> 60)) }
    @inline(__always) var index: Int32 { Int32(truncatingIfNeeded: raw) }
    @inline(__always) var generation: UInt32 { UInt32(truncatingIfNeeded: raw >> 32) & Self.generationMask }
}
