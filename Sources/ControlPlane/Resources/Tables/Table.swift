package import Wire

/// Objects as rows of cells, as kubectl users expect them: what `get` prints and what the API answers with `as=Table`.
package struct Table: Sendable, Equatable {
    package struct Column: Sendable, Equatable {
        package let name: String
        /// `string`, `integer`; of custom kinds `number`, `boolean` and `date`, too.
        package let type: String
        /// True for columns that only `-o wide` shows.
        package let isWide: Bool
        package let format: String
        package let description: String

        package init(
            _ name: String,
            type: String = "string",
            isWide: Bool = false,
            format: String = "",
            description: String = ""
        ) {
            self.name = name
            self.type = type
            self.isWide = isWide
            self.format = format
            self.description = description
        }
    }

    package struct Row: Sendable, Equatable {
        /// One cell per column: texts and whole numbers.
        package let cells: [Value]
        package let object: Object
        /// For kinds of which an object is several rows: what of a row is news when it changes (that time went by is none).
        package let gist: [Value]?

        package init(cells: [Value], object: Object, gist: [Value]? = nil) {
            self.cells = cells
            self.object = object
            self.gist = gist
        }
    }

    package let columns: [Column]
    package var rows: [Row]

    package init(columns: [Column], rows: [Row]) {
        self.columns = columns
        self.rows = rows
    }

    /// What rows carry of their objects.
    package enum IncludedObject: String, Sendable {
        case none = "None"
        case metadata = "Metadata"
        case object = "Object"
    }

    /// The table as the API writes it (`meta.k8s.io/v1`).
    package func value(including: IncludedObject = .metadata, revision: String = "", continuation: String? = nil)
        -> Value
    {
        var metadata: Value = ["resourceVersion": .string(revision)]
        if let continuation { metadata["continue"] = .string(continuation) }
        return [
            "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
            "columnDefinitions": .array(
                columns.map {
                    [
                        "name": .string($0.name), "type": .string($0.type),
                        "format": .string($0.name == "Name" ? "name" : $0.format),
                        "description": .string($0.description),
                        "priority": $0.isWide ? 1 : 0,
                    ]
                }
            ),
            "rows": .array(
                rows.map { row in
                    switch including {
                    case .none: ["cells": .array(row.cells)]
                    case .metadata: ["cells": .array(row.cells), "object": Self.partial(row.object)]
                    case .object: ["cells": .array(row.cells), "object": row.object.value]
                    }
                }
            ),
        ]
    }

    /// An object's metadata alone.
    package static func partial(_ object: Object) -> Value {
        ["kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object.metadata]
    }

    /// The cells as texts, wide columns left out unless asked for: header first, in capitals.
    package func lines(isWide: Bool) -> [[String]] {
        let shown = columns.indices.filter { isWide || !columns[$0].isWide }
        return [shown.map { columns[$0].name.uppercased() }]
            + rows.map { row in
                shown.map { index in index < row.cells.count ? Self.text(row.cells[index]) : "" }
            }
    }

    private static func text(_ cell: Value) -> String {
        switch cell {
        case .string(let text): text
        case .int(let number): String(number)
        case .double(let number): String(number)
        case .bool(let bool): bool ? "true" : "false"
        case .null: "<none>"
        case .array, .object: JSON.write(cell)
        }
    }
}

extension Table {
    /// The table of some objects of one type, at a moment.
    package static func make(_ objects: [Object], of type: ResourceType, at now: Timestamp) -> Table {
        let layout = TableLayouts.layout(of: type)
        return Table(
            columns: layout.columns,
            rows: objects.flatMap { object in
                guard let rows = layout.rows?(object, now) else {
                    return [Row(cells: layout.cells(object, now), object: object)]
                }
                return rows.map { Row(cells: $0.cells, object: object, gist: $0.gist) }
            }
        )
    }
}
