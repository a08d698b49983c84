import Wire

/// A definition's schema in the words of OpenAPI 2, which knows less: what it cannot say is left out, so that clients check
/// less, never more.
enum CustomSchemaForm {
    private static let dropped: Set<String> = [
        "anyOf", "oneOf", "not", "allOf", "nullable", "default", "example", "externalDocs",
        "x-kubernetes-validations",
    ]

    static func version2(_ schema: Value) -> Value {
        guard case .object(let fields) = schema else { return schema }
        // Where unknown fields stay, and where a value may be null or of two types, nothing is said.
        if schema.flag("x-kubernetes-preserve-unknown-fields") || schema.flag("nullable") {
            var open = Fields()
            open["description"] = fields["description"]
            for (name, item) in fields where name.hasPrefix("x-kubernetes-") && !dropped.contains(name) {
                open[name] = item
            }
            return .object(open)
        }
        if schema.flag("x-kubernetes-int-or-string") {
            return ["type": "string", "format": "int-or-string", "description": fields["description"] ?? ""]
        }
        var kept = Fields()
        for (name, item) in fields where !dropped.contains(name) {
            switch name {
            case "properties":
                kept[name] = .object(Fields((item.fields ?? Fields()).map { ($0.name, version2($0.value)) }))
            case "items": kept[name] = version2(item)
            case "additionalProperties":
                if case .object = item { kept[name] = version2(item) }
            default: kept[name] = item
            }
        }
        return .object(kept)
    }
}
