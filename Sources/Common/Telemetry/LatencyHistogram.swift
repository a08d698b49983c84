/// Response times in Linkerd's 26 buckets (milliseconds): 1...5, 10...50, 100...500, 1000...5000, 10000...50000, infinity.
///
/// A plain value without memory of its own: an edge's cell holds it in line. `observe` is a dozen instructions.
public struct LatencyHistogram: BitwiseCopyable, Sendable {
    /// Counts per bucket, not cumulative.
    public private(set) var counts: InlineArray<26, UInt64> = .init(repeating: 0)
    /// The sum of all samples in microseconds.
    public private(set) var sumMicroseconds: UInt64 = 0

    /// The upper bounds in milliseconds, without the last one, which is infinity.
    public static let bounds: [UInt64] = [
        1, 2, 3, 4, 5, 10, 20, 30, 40, 50, 100, 200, 300, 400, 500,
        1000, 2000, 3000, 4000, 5000, 10000, 20000, 30000, 40000, 50000,
    ]
    public static let bucketCount = 26

    public init() {}

    public var count: UInt64 {
        var total: UInt64 = 0
        for index in 0..<Self.bucketCount { total &+= counts[index] }
        return total
    }

    /// Takes a sample. A bound belongs to its bucket: 1 ms exactly counts as `le="1"`.
    public mutating func observe(nanoseconds: UInt64) {
        let place = Self.bucket(nanoseconds: nanoseconds)
        counts[place] &+= 1
        sumMicroseconds &+= nanoseconds / 1000
    }

    public mutating func add(_ other: LatencyHistogram) {
        for index in 0..<Self.bucketCount { counts[index] &+= other.counts[index] }
        sumMicroseconds &+= other.sumMicroseconds
    }

    static func bucket(nanoseconds: UInt64) -> Int {
        // Whole milliseconds, rounded up, so that a bound includes itself.
        var value = nanoseconds / 1_000_000
        if value &* 1_000_000 != nanoseconds { value &+= 1 }
        var decade = 0
        while value > 5, decade < 5 {
            value = (value &+ 9) / 10
            decade += 1
        }
        return decade >= 5 ? bucketCount - 1 : decade * 5 + Int(max(1, value)) - 1
    }

    /// The value below which `share` (0...1) of the samples lie, in milliseconds, drawn straight through its bucket; nil
    /// without samples. Beyond the last bound it is that bound.
    package func quantile(_ share: Double) -> Double? {
        let total = count
        guard total > 0 else { return nil }
        let rank = max(1, share * Double(total))
        var below = 0.0
        for index in 0..<(Self.bucketCount - 1) {
            let here = Double(counts[index])
            if here > 0, below + here >= rank {
                let low = index == 0 ? 0 : Double(Self.bounds[index - 1])
                return low + (Double(Self.bounds[index]) - low) * (rank - below) / here
            }
            below += here
        }
        return Double(Self.bounds[Self.bounds.count - 1])
    }
}
