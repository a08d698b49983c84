import Telemetry

/// Lengths of connections and times to connect, in the buckets that Envoy has where none are configured.
struct SpanHistogram: BitwiseCopyable, Sendable {
    /// Counts per bucket, not cumulative; the last one has no bound.
    private(set) var counts: InlineArray<20, UInt64> = .init(repeating: 0)
    private(set) var sumMicroseconds: UInt64 = 0

    /// Upper bounds in milliseconds.
    static let bounds: [Double] = [
        0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300_000, 600_000, 1_800_000,
        3_600_000,
    ]

    mutating func observe(nanoseconds: UInt64) {
        let value = Double(nanoseconds) / 1_000_000
        counts[Self.bounds.firstIndex { value <= $0 } ?? Self.bounds.count] &+= 1
        sumMicroseconds &+= nanoseconds / 1000
    }

    mutating func add(_ other: SpanHistogram) {
        for index in 0..<20 { counts[index] &+= other.counts[index] }
        sumMicroseconds &+= other.sumMicroseconds
    }

    var distribution: Distribution {
        Distribution(
            bounds: Self.bounds,
            counts: (0..<20).map { counts[$0] },
            sum: Double(sumMicroseconds) / 1000
        )
    }
}

/// A histogram as pages show it: upper bounds, counts of each bucket and of what lies beyond the last bound.
struct Distribution: Sendable {
    var bounds: [Double]
    var counts: [UInt64]
    var sum: Double

    var count: UInt64 { counts.reduce(0, &+) }

    /// The value below which `share` (0...1) of the samples lie, drawn straight through its bucket; nil without samples.
    func quantile(_ share: Double) -> Double? {
        let total = count
        guard total > 0 else { return nil }
        let rank = max(1, share * Double(total))
        var below = 0.0
        for (index, bound) in bounds.enumerated() {
            let here = Double(counts[index])
            if here > 0, below + here >= rank {
                let low = index == 0 ? 0 : bounds[index - 1]
                return low + (bound - low) * (rank - below) / here
            }
            below += here
        }
        return bounds.last
    }
}

extension LatencyHistogram {
    var distribution: Distribution {
        Distribution(
            bounds: Self.bounds.map { Double($0) },
            counts: (0..<Self.bucketCount).map { counts[$0] },
            sum: Double(sumMicroseconds) / 1000
        )
    }
}
