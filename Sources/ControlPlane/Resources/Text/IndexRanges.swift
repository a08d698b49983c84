/// A set of whole numbers from 0, kept and written as ranges: `0,2-4,7`, as Jobs write the indexes that succeeded.
package struct IndexRanges: Sendable, Equatable {
    /// Ascending, apart from each other by at least one number.
    package private(set) var ranges: [ClosedRange<Int>] = []

    package init() {}

    package init(_ numbers: some Sequence<Int>) {
        for number in numbers.sorted() where number >= 0 {
            guard let last = ranges.last, number <= last.upperBound + 1 else {
                ranges.append(number...number)
                continue
            }
            ranges[ranges.count - 1] = last.lowerBound...max(last.upperBound, number)
        }
    }

    /// Reads a text; nil unless it holds ascending numbers and ranges without overlap, all below `limit`.
    package init?(text: String, below limit: Int) {
        guard !text.isEmpty else { return }
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Self.number($0) }
            guard let first = ends.first ?? nil, let last = ends.last ?? nil, ends.count <= 2, first <= last,
                last < limit, (ranges.last?.upperBound ?? -1) < first
            else { return nil }
            if let before = ranges.last, before.upperBound + 1 == first {
                ranges[ranges.count - 1] = before.lowerBound...last
            } else {
                ranges.append(first...last)
            }
        }
    }

    private static func number(_ text: Substring) -> Int? {
        text.utf8.allSatisfy { (48...57).contains($0) } ? Int(text) : nil
    }

    package var isEmpty: Bool { ranges.isEmpty }

    package var count: Int { ranges.reduce(0) { $0 + $1.count } }

    package func contains(_ number: Int) -> Bool {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound < number { low = middle + 1 } else { high = middle }
        }
        return low < ranges.count && ranges[low].contains(number)
    }

    /// Every number of both.
    package func union(_ numbers: some Sequence<Int>) -> IndexRanges {
        let new = IndexRanges(numbers)
        guard !new.isEmpty else { return self }
        var merged: [ClosedRange<Int>] = []
        for range in (ranges + new.ranges).sorted(by: { $0.lowerBound < $1.lowerBound }) {
            guard let last = merged.last, range.lowerBound <= last.upperBound + 1 else {
                merged.append(range)
                continue
            }
            merged[merged.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
        }
        var result = IndexRanges()
        result.ranges = merged
        return result
    }

    /// How many numbers both have.
    package func commonCount(_ other: IndexRanges) -> Int {
        var total = 0
        var left = ranges[...]
        var right = other.ranges[...]
        while let a = left.first, let b = right.first {
            let low = max(a.lowerBound, b.lowerBound)
            let high = min(a.upperBound, b.upperBound)
            if low <= high { total += high - low + 1 }
            if a.upperBound < b.upperBound { left = left.dropFirst() } else { right = right.dropFirst() }
        }
        return total
    }
}

extension IndexRanges: CustomStringConvertible {
    /// Two neighbours are written apart, three and more as a range.
    package var description: String {
        ranges.map { range in
            switch range.count {
            case 1: "\(range.lowerBound)"
            case 2: "\(range.lowerBound),\(range.upperBound)"
            default: "\(range.lowerBound)-\(range.upperBound)"
            }
        }.joined(separator: ",")
    }
}
