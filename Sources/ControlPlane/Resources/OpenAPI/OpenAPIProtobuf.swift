package import Wire

/// The document of version 2 as kubectl reads it: protobuf in gnostic's form (`openapi.v2.Document`).
package enum OpenAPIProtobuf {
    /// The name that is answered; the one that is asked for has an `@`, which clients' own parsers refuse.
    package static let mediaType = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

    package static func bytes(_ document: Value) -> [UInt8] {
        var writer = ProtobufWriter()
        writer.text(1, document.text("swagger") ?? "")
        writer.message(2) { info in
            info.text(1, document["info"]?.text("title") ?? "")
            info.text(2, document["info"]?.text("version") ?? "")
        }
        writer.message(8) { paths in
            for (path, item) in document["paths"]?.fields ?? Fields() {
                paths.message(2) { named in
                    named.text(1, path)
                    named.message(2) { write(pathItem: item, to: &$0) }
                }
            }
        }
        writer.message(9) { definitions in
            for (name, schema) in document["definitions"]?.fields ?? Fields() {
                definitions.message(1) { named in
                    named.text(1, name)
                    named.message(2) { write(schema: schema, to: &$0) }
                }
            }
        }
        return writer.bytes
    }

    private static func write(pathItem: Value, to writer: inout ProtobufWriter) {
        for (method, number) in [("get", 2), ("put", 3), ("post", 4), ("delete", 5), ("patch", 8)] {
            guard let operation = pathItem[method] else { continue }
            writer.message(number) { writer in
                writer.text(5, operation.text("operationId") ?? "")
                for parameter in operation.list("parameters") {
                    // A parameter, no reference; one of no body; of the query.
                    writer.message(8) {
                        $0.message(1) {
                            $0.message(2) {
                                $0.message(3) { query in
                                    query.text(2, "query")
                                    query.text(4, parameter.text("name") ?? "")
                                    query.text(6, "string")
                                }
                            }
                        }
                    }
                }
                extensions(of: operation, number: 13, to: &writer)
            }
        }
    }

    private static func write(schema: Value, to writer: inout ProtobufWriter) {
        if let reference = schema.text("$ref") { writer.text(1, reference) }
        if let format = schema.text("format") { writer.text(2, format) }
        if let description = schema.text("description"), !description.isEmpty { writer.text(4, description) }
        for name in schema.texts("required") { writer.text(19, name) }
        if let element = schema["additionalProperties"] {
            writer.message(21) { $0.message(1) { write(schema: element, to: &$0) } }
        }
        if let type = schema.text("type") { writer.message(22) { $0.text(1, type) } }
        if let items = schema["items"] { writer.message(23) { $0.message(1) { write(schema: items, to: &$0) } } }
        if let properties = schema["properties"]?.fields {
            writer.message(25) { writer in
                for (name, property) in properties {
                    writer.message(1) { named in
                        named.text(1, name)
                        named.message(2) { write(schema: property, to: &$0) }
                    }
                }
            }
        }
        extensions(of: schema, number: 31, to: &writer)
    }

    /// Extensions are YAML inside, and JSON is YAML.
    private static func extensions(of value: Value, number: Int, to writer: inout ProtobufWriter) {
        for (name, item) in value.fields ?? Fields() where name.hasPrefix("x-") {
            writer.message(number) { named in
                named.text(1, name)
                named.message(2) { $0.text(2, JSON.write(item)) }
            }
        }
    }
}

extension ProtobufWriter {
    /// A message inside this one.
    fileprivate mutating func message(_ number: Int, _ fill: (inout ProtobufWriter) -> Void) {
        var inner = ProtobufWriter()
        fill(&inner)
        run(number, inner.bytes)
    }
}
