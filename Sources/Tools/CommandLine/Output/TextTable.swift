/// Rows of text in aligned columns, as kubectl prints them: three spaces between columns, no rules.
struct TextTable {
    struct Column {
        let title: String
        var isRightAligned = false
    }

    var columns: [Column]
    var rows: [[String]] = []

    init(_ titles: [String], rightAligned: Set<Int> = []) {
        columns = titles.enumerated().map { Column(title: $1, isRightAligned: rightAligned.contains($0)) }
    }

    /// The lines of the table, header first, without trailing spaces.
    func lines(hasHeader: Bool = true) -> [String] {
        let cells = (hasHeader ? [columns.map(\.title)] : []) + rows.map { $0.map(Terminal.harmless) }
        let widths = columns.indices.map { column in cells.map { TextWidth.of(cell($0, column)) }.max() ?? 0 }
        return cells.map { row in
            let padded = columns.indices.map { column in
                let text = cell(row, column)
                return columns[column].isRightAligned
                    ? text.paddedLeft(to: widths[column]) : text.padded(to: widths[column])
            }
            var line = padded.joined(separator: "   ")[...]
            while line.last == " " { line.removeLast() }
            return String(line)
        }
    }

    func text(hasHeader: Bool = true) -> String {
        lines(hasHeader: hasHeader).joined(separator: "\n")
    }

    private func cell(_ row: [String], _ column: Int) -> String {
        row.indices.contains(column) ? row[column] : ""
    }
}

/// Numbers as people read them.
enum Figures {
    /// `0`, `0.4`, `12.3`, `1234`: a rate per second.
    static func rate(_ value: Double) -> String {
        guard value.isFinite else { return "-" }
        return value >= 100 ? "\(Int(value.rounded()))" : fixed(value, 1)
    }

    /// `98.7%`, or `-` when nothing was counted.
    static func percent(_ share: Double?) -> String {
        guard let share, share.isFinite else { return "-" }
        let percent = share * 100
        // A single failure must never look like none.
        if share < 1, percent >= 99.95 { return "99.9%" }
        return fixed(percent, percent >= 99.95 ? 0 : 1) + "%"
    }

    /// `3ms`, `0.4ms`, `1.2s`, or `-`: a time given in milliseconds.
    static func milliseconds(_ value: Double?) -> String {
        guard let value, value.isFinite else { return "-" }
        if value >= 1000 { return fixed(value / 1000, 1) + "s" }
        return (value >= 10 ? "\(Int(value.rounded()))" : fixed(value, 1)) + "ms"
    }

    static func fixed(_ value: Double, _ digits: Int) -> String {
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        guard let whole = Int64(exactly: (abs(value) * scale).rounded()) else { return "\(value)" }
        let unit = Int64(scale)
        let sign = value < 0 && whole != 0 ? "-" : ""
        guard digits > 0 else { return "\(sign)\(whole)" }
        let fraction = "\(whole % unit)".paddedZeros(to: digits)
        return "\(sign)\(whole / unit).\(fraction)"
    }
}

extension String {
    func paddedZeros(to width: Int) -> String { String(repeating: "0", count: max(0, width - count)) + self }
}
