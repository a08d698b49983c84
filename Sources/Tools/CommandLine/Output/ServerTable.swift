import Wire

/// A `meta.k8s.io/v1` Table from the API, printed as kubectl prints it.
struct ServerTable {
    static let mediaType = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

    private let shownColumns: [Int]
    private let titles: [String]
    private let hasNamespace: Bool
    private(set) var rows: [[String]] = []
    private var widths: [Int] = []

    /// - Parameters:
    ///   - table: the API's answer.
    ///   - isWide: shows the columns of priority 1 and above too.
    ///   - hasNamespace: puts each object's namespace into a first column.
    init(_ table: Value, isWide: Bool, hasNamespace: Bool) {
        let definitions = table["columnDefinitions"]?.arrayValue ?? []
        shownColumns = definitions.indices.filter { isWide || (definitions[$0]["priority"]?.intValue ?? 0) == 0 }
        let names = shownColumns.map { definitions[$0]["name"]?.stringValue?.uppercased() ?? "" }
        titles = (hasNamespace ? ["NAMESPACE"] : []) + names
        self.hasNamespace = hasNamespace
        replaceRows(table)
        widths = titles.indices.map { column in
            max(titles[column].count, rows.map { $0[column].count }.max() ?? 0)
        }
    }

    /// Takes the rows of another Table with the same columns; the widths stay.
    mutating func replaceRows(_ table: Value) {
        rows = (table["rows"]?.arrayValue ?? []).map { row in
            let cells = row["cells"]?.arrayValue ?? []
            let texts = shownColumns.map { cells.indices.contains($0) ? Self.text(cells[$0]) : "" }
            let namespace = row.at("object", "metadata", "namespace")?.stringValue ?? ""
            return (hasNamespace ? [namespace] : []) + texts
        }
    }

    func text(hasHeader: Bool, namePrefix: String = "") -> String {
        var table = TextTable(titles)
        let nameColumn = hasNamespace ? 1 : 0
        table.rows = rows.map { row in
            row.enumerated().map { column, cell in
                let text = column == nameColumn ? namePrefix + cell : cell
                return widths.indices.contains(column) ? text.padded(to: widths[column]) : text
            }
        }
        return table.text(hasHeader: hasHeader)
    }

    private static func text(_ cell: Value) -> String {
        switch cell {
        case .null: "<none>"
        case .string(let text): text
        case .int(let number): "\(number)"
        case .double(let number): "\(number)"
        case .bool(let value): value ? "true" : "false"
        default: JSON.write(cell)
        }
    }
}
