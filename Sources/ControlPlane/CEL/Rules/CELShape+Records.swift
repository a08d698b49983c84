package import Resources
package import Wire

extension CELShape {
    /// The shape of a kind of the house, by the table of its fields; nil for kinds without one.
    package static func record(of type: ResourceType) -> CELShape? {
        guard case .record(let name) = Schema.shape(of: type) else { return nil }
        return CELShape(schema: schema(.record(name), within: []), isRoot: false)
    }

    /// The shape of whole objects of a custom kind, all of their metadata included.
    package static func custom(schema: Value) -> CELShape {
        var whole = schema
        for name in ["apiVersion", "kind"] { whole.set(["properties", name], ["type": "string"]) }
        whole.set(["properties", "metadata"], self.schema(.record("ObjectMeta"), within: []))
        return CELShape(schema: whole, isRoot: false)
    }

    private static let anything: Value = ["x-kubernetes-int-or-string": true]

    /// A table's shape as a schema; what a record holds of its own kind is left to the evaluation.
    private static func schema(_ shape: Shape, within records: [String]) -> Value {
        switch shape {
        case .string, .choice, .bytes: return ["type": "string"]
        case .time: return ["type": "string", "format": "date-time"]
        case .bool: return ["type": "boolean"]
        case .integer: return ["type": "integer"]
        case .number: return ["type": "number"]
        case .intOrString, .quantity, .any, .custom, .customObject: return anything
        case .list(let element, _): return ["type": "array", "items": schema(element, within: records)]
        case .map(let value): return ["type": "object", "additionalProperties": schema(value, within: records)]
        case .record(let name):
            guard let record = Schema.record(name), !records.contains(name), records.count < 16 else { return anything }
            var properties: Value = [:]
            for field in record.names.compactMap({ record.fields[$0] }) {
                properties[field.name] = schema(field.shape, within: records + [name])
            }
            return ["type": "object", "properties": properties]
        }
    }
}
