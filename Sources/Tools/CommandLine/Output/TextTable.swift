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

extension String {
    func paddedZeros(to width: Int) -> String { String(repeating: "0", count: max(0, width - count)) + self }
}
