/// A histogram of cumulative buckets, as it is scraped: each bound with the number of observations up to it.
package struct CumulativeHistogram: Equatable, Sendable {
    /// Upper bounds in rising order, the last one infinite, with the observations at or below each.
    package private(set) var buckets: [(bound: Double, count: Double)] = []

    package init() {}

    package init(_ buckets: [(Double, Double)]) {
        for (bound, count) in buckets { add(bound: bound, count: count) }
    }

    package static func == (left: CumulativeHistogram, right: CumulativeHistogram) -> Bool {
        left.buckets.elementsEqual(right.buckets) { $0.bound == $1.bound && $0.count == $1.count }
    }

    /// Adds observations to the bucket of a bound; made when it is new.
    package mutating func add(bound: Double, count: Double) {
        guard !bound.isNaN else { return }
        // Buckets come in rising order in practice, so the search begins at the end.
        var position = buckets.count
        while position > 0, buckets[position - 1].bound > bound { position -= 1 }
        if position > 0, buckets[position - 1].bound == bound {
            buckets[position - 1].count += count
        } else {
            buckets.insert((bound, count), at: position)
        }
    }

    /// All observations.
    package var total: Double { buckets.last?.count ?? 0 }

    /// The value below which the given share of observations lies: linear within its bucket, as Prometheus'
    /// `histogram_quantile` computes it; in the infinite bucket the highest finite bound.
    ///
    /// - Returns: nil without observations.
    package func quantile(_ share: Double) -> Double? {
        guard (0...1).contains(share), total > 0 else { return nil }
        let rank = share * total
        guard let index = buckets.firstIndex(where: { $0.count >= rank && $0.count > 0 }) else { return nil }
        let bucket = buckets[index]
        if bucket.bound == .infinity { return index > 0 ? buckets[index - 1].bound : nil }
        let lower = index > 0 ? buckets[index - 1] : (bound: 0, count: 0)
        let within = bucket.count - lower.count
        guard within > 0 else { return bucket.bound }
        let start = index > 0 ? lower.bound : min(0, bucket.bound)
        return start + (bucket.bound - start) * (rank - lower.count) / within
    }
}
