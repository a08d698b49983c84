/// Finds what somebody meant to write.
package enum Spelling {
    /// The nearest of `words`, or nil when none is near: at most a third of the letters may differ.
    package static func nearest(to word: String, among words: [String]) -> String? {
        let target = Array(word.lowercased().utf8.prefix(64))
        guard !target.isEmpty else { return nil }
        var best: (word: String, distance: Int)?
        for candidate in words {
            let letters = Array(candidate.lowercased().utf8.prefix(64))
            let limit = max(1, max(target.count, letters.count) / 3)
            guard abs(target.count - letters.count) <= limit else { continue }
            let distance = distance(target, letters)
            if distance <= limit, distance < best?.distance ?? Int.max { best = (candidate, distance) }
        }
        if let best { return best.word }
        // `serviceName` for `service`: one word begins the other.
        return words.first { candidate in
            let letters = Array(candidate.lowercased().utf8)
            return min(letters.count, target.count) >= 4
                && (letters.starts(with: target) || target.starts(with: letters))
        }
    }

    /// Insertions, deletions, replacements and swaps of neighbours between two short words.
    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var rowBefore: [Int] = []
        var previous = Array(0...right.count)
        for i in 0..<left.count {
            var row = [i + 1]
            row.reserveCapacity(right.count + 1)
            for j in 0..<right.count {
                var cost = min(previous[j + 1] + 1, row[j] + 1, previous[j] + (left[i] == right[j] ? 0 : 1))
                if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] {
                    cost = min(cost, rowBefore[j - 1] + 1)
                }
                row.append(cost)
            }
            rowBefore = previous
            previous = row
        }
        return previous[right.count]
    }
}
