/// One request that stands for its bucket of a histogram: the trace that tells of it, how long it took, and when it ended.
package struct Exemplar: BitwiseCopyable, Sendable, Equatable {
    /// The trace's number, in two halves.
    package var high: UInt64
    package var low: UInt64
    package var span: UInt64
    package var nanoseconds: UInt64
    /// Wall clock, nanoseconds since 1970; 0 = there is none.
    package var time: UInt64

    package init(high: UInt64 = 0, low: UInt64 = 0, span: UInt64 = 0, nanoseconds: UInt64 = 0, time: UInt64 = 0) {
        (self.high, self.low, self.span) = (high, low, span)
        (self.nanoseconds, self.time) = (nanoseconds, time)
    }

    /// 32 hexadecimal digits, as `traceparent` has them.
    package var traceID: String { Self.hexadecimal(high) + Self.hexadecimal(low) }
    package var spanID: String { Self.hexadecimal(span) }

    private static func hexadecimal(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }
}

/// The exemplars of one `LatencyHistogram`: at most one for each bucket, the newest.
package struct ExemplarRow: Sendable, Equatable {
    private var places: [Exemplar] = []

    package init() {}

    /// The exemplar of a bucket, or nil.
    package subscript(bucket: Int) -> Exemplar? {
        guard places.indices.contains(bucket), places[bucket].time > 0 else { return nil }
        return places[bucket]
    }

    /// Takes the place of the one that its bucket had.
    package mutating func note(_ exemplar: Exemplar) {
        if places.isEmpty { places = [Exemplar](repeating: Exemplar(), count: LatencyHistogram.bucketCount) }
        let bucket = LatencyHistogram.bucket(nanoseconds: exemplar.nanoseconds)
        if exemplar.time >= places[bucket].time { places[bucket] = exemplar }
    }

    /// Of each bucket the newer one.
    package mutating func add(_ other: ExemplarRow) {
        for exemplar in other.places where exemplar.time > 0 { note(exemplar) }
    }
}
