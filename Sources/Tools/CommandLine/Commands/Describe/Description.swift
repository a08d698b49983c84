/// The text of `weft describe`: names and values in aligned columns, groups indented below their names, tables.
struct Description {
    private indirect enum Part {
        case field(name: String, values: [String], children: [Part])
        case table(name: String, columns: [String], rows: [[String]])
        case text([String])
    }

    private var parts: [Part] = []

    /// A name and its values, one a line; `<none>` when there is none. What stands in `inner` is indented below.
    mutating func field(_ name: String, _ values: [String], _ inner: Description? = nil) {
        parts.append(.field(name: name, values: values.isEmpty ? ["<none>"] : values, children: inner?.parts ?? []))
    }

    mutating func field(_ name: String, _ value: String, _ inner: Description? = nil) { field(name, [value], inner) }

    /// A name alone with a block below it; with an empty block `<none>`.
    mutating func group(_ name: String, _ inner: Description) {
        if inner.parts.isEmpty { return field(name, "<none>") }
        parts.append(.field(name: name, values: [""], children: inner.parts))
    }

    mutating func group(_ name: String, _ build: (inout Description) -> Void) {
        var inner = Description()
        build(&inner)
        group(name, inner)
    }

    /// A table with a line below its titles; `<none>` without rows.
    mutating func table(_ name: String, _ columns: [String], _ rows: [[String]]) {
        if rows.isEmpty { return field(name, "<none>") }
        parts.append(.table(name: name, columns: columns, rows: rows))
    }

    mutating func text(_ lines: [String]) { parts.append(.text(lines)) }

    /// The whole text. Control characters in it are shown, not obeyed.
    var lines: [String] { Self.lines(parts, indent: "") }

    private static func lines(_ parts: [Part], indent: String) -> [String] {
        let widths = parts.compactMap { part -> Int? in
            guard case .field(let name, let values, _) = part, values != [""] else { return nil }
            return TextWidth.of(name)
        }
        let width = (widths.max() ?? 0) + 3
        var lines: [String] = []
        for part in parts {
            switch part {
            case .field(let name, let values, let children):
                for (index, value) in values.enumerated() {
                    let lead = index == 0 ? "\(harmless(name)):" : ""
                    let line = value.isEmpty ? lead : lead.padded(to: width) + harmless(value)
                    lines.append(indent + line)
                }
                lines += Self.lines(children, indent: indent + "  ")
            case .table(let name, let columns, let rows):
                lines.append("\(indent)\(harmless(name)):")
                var table = TextTable(columns)
                table.rows = [columns.map { String(repeating: "-", count: $0.count) }] + rows
                lines += table.lines().map { indent + "  " + $0 }
            case .text(let text): lines += text.map { indent + harmless($0) }
            }
        }
        return lines
    }

    private static func harmless(_ text: String) -> String { Terminal.harmless(text) }
}
