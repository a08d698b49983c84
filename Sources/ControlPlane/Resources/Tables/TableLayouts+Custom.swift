import Wire

// The columns that definitions name.
extension TableLayouts {
    static func layout(of custom: CustomVersion) -> Layout {
        let own = custom.columns
        guard !own.isEmpty else {
            return Layout(columns: columns("Name", "Age")) { [.string($0.name), age($0, $1)] }
        }
        let columns = own.map { column in
            Table.Column(
                column.name,
                type: column.type,
                isWide: column.priority > 0,
                format: column.format,
                description: column.description
            )
        }
        return Layout(columns: [Table.Column("Name")] + columns) { object, now in
            [.string(object.name)] + own.map { cell($0, object, now) }
        }
    }

    /// What a column shows of an object; null where it has nothing, or something of another type.
    private static func cell(_ column: CustomVersion.Column, _ object: Object, _ now: Timestamp) -> Value {
        guard let value = column.path.first(in: object.value), !value.isNull else { return .null }
        switch column.type {
        case "string":
            if case .string = value { return value }
            return .string(JSON.write(value))
        case "integer": return value.intValue.map { .int(Int64($0)) } ?? .null
        case "number": return value.doubleValue == nil ? .null : value
        case "boolean": return value.boolValue.map(Value.bool) ?? .null
        case "date":
            guard let time = value.stringValue.flatMap(Timestamp.init) else { return .null }
            return .string(HumanDuration.age(of: time, at: now))
        default: return .null
        }
    }
}
