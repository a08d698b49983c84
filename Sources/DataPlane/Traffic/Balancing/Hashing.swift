import CXXHash

/// The two hash functions of the consistent balancers.
package enum HashFunction: Sendable, Equatable {
    case xxHash64, murmurHash2

    package func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        switch self {
        case .xxHash64: hash64(bytes)
        case .murmurHash2: MurmurHash2.hash(bytes)
        }
    }
}

/// XXH64 of some bytes.
package func hash64(_ bytes: UnsafeRawBufferPointer, seed: UInt64 = 0) -> UInt64 {
    UInt64(XXH64(bytes.baseAddress, bytes.count, XXH64_hash_t(seed)))
}

package func hash64(_ run: ByteRun, seed: UInt64 = 0) -> UInt64 { hash64(run.buffer, seed: seed) }

/// MurmurHash2 for 64 bits, as `std::hash` of libstdc++ has it: with that library's seed.
enum MurmurHash2 {
    private static var multiplier: UInt64 { 0xC6A4_A793_5BD1_E995 }
    private static var seed: UInt64 { 0xC70F_6907 }

    private static func mixed(_ value: UInt64) -> UInt64 { value ^ (value >> 47) }

    static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var hash = seed ^ (UInt64(bytes.count) &* multiplier)
        let whole = bytes.count & ~7
        var offset = 0
        while offset < whole {
            let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            hash = (hash ^ (mixed(word &* multiplier) &* multiplier)) &* multiplier
            offset += 8
        }
        if whole < bytes.count {
            var rest: UInt64 = 0
            for index in stride(from: bytes.count - 1, through: whole, by: -1) {
                rest = rest << 8 | UInt64(bytes[index])
            }
            hash = (hash ^ rest) &* multiplier
        }
        return mixed(mixed(hash) &* multiplier)
    }
}

/// The 32-bit Mersenne Twister: its numbers after a seed are the same everywhere.
struct MersenneTwister: ~Copyable {
    private static var size: Int { 624 }
    private let state: UnsafeMutablePointer<UInt32>
    private var next = 624

    init(seed: UInt64) {
        state = .allocate(capacity: Self.size)
        state.initialize(repeating: 0, count: Self.size)
        state[0] = UInt32(truncatingIfNeeded: seed)
        for index in 1..<Self.size {
            let last = state[index - 1]
            state[index] = 1_812_433_253 &* (last ^ (last >> 30)) &+ UInt32(index)
        }
    }

    deinit { state.deallocate() }

    private mutating func refill() {
        for index in 0..<Self.size {
            let joined = (state[index] & 0x8000_0000) | (state[(index + 1) % Self.size] & 0x7FFF_FFFF)
            let twist: UInt32 = joined & 1 == 0 ? 0 : 0x9908_B0DF
            state[index] = state[(index + 397) % Self.size] ^ (joined >> 1) ^ twist
        }
        next = 0
    }

    private mutating func draw() -> UInt32 {
        if next >= Self.size { refill() }
        var value = state[next]
        next += 1
        value ^= value >> 11
        value ^= (value << 7) & 0x9D2C_5680
        value ^= (value << 15) & 0xEFC6_0000
        return value ^ (value >> 18)
    }

    /// A number below `bound`, all of them equally likely.
    mutating func below(_ bound: UInt32) -> UInt32 {
        guard bound > 1 else {
            _ = draw()
            return 0
        }
        let width = (UInt64(1) << 32) / UInt64(bound)
        while true {
            let value = UInt64(draw()) / width
            if value < UInt64(bound) { return UInt32(value) }
        }
    }
}
