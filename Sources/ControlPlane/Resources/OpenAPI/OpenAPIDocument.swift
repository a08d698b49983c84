package import Wire

/// The API as OpenAPI describes it, made from the tables of known fields: clients check, explain and patch by it.
package enum OpenAPIDocument {
    /// How schemas refer to one another and which words they may use.
    enum Dialect { case v2, v3 }

    private static let info: Value = ["title": "Weft", "version": "v1.33.0"]

    // MARK: Version 3: a document for each group and version

    /// The names of the documents: `api/v1`, `apis/apps/v1`.
    package static var groupVersions: [String] {
        var names: [String] = []
        for type in ResourceTypes.all + ResourceTypes.live {
            let name = type.group.isEmpty ? "api/\(type.version)" : "apis/\(type.apiVersion)"
            if !names.contains(name) { names.append(name) }
        }
        return names
    }

    /// The document of a group and version, by its name (`apis/apps/v1`).
    ///
    /// - Parameters:
    ///   - name: `api/v1` or `apis/<group>/<version>`.
    ///   - custom: the custom kinds of that group and version with their schemas as their definitions have them.
    /// - Returns: the document.
    package static func version3(_ name: String, custom: [(type: ResourceType, schema: Value)] = []) -> Value {
        let types = (ResourceTypes.all + ResourceTypes.live).filter {
            ($0.group.isEmpty ? "api/\($0.version)" : "apis/\($0.apiVersion)") == name
        }
        var schemas = Schemas(dialect: .v3)
        var paths: Value = [:]
        for type in types {
            schemas.add(type)
            for (path, item) in Self.paths(of: type) { paths[path] = item }
        }
        for (type, schema) in custom {
            schemas.add(type, schema)
            for (path, item) in Self.paths(of: type) { paths[path] = item }
        }
        return [
            "openapi": "3.0.0", "info": info, "paths": paths, "components": ["schemas": .object(Fields(schemas.made))],
        ]
    }

    // MARK: Version 2: one document for all

    /// The whole document. Kinds without a table have paths but no definition, so that clients check nothing of them.
    package static func version2(custom: [(type: ResourceType, schema: Value)] = []) -> Value {
        var schemas = Schemas(dialect: .v2)
        var paths: Value = [:]
        for type in ResourceTypes.all + ResourceTypes.live {
            if Schema.record(of: type) != nil { schemas.add(type) }
            for (path, item) in Self.paths(of: type) { paths[path] = item }
        }
        for (type, schema) in custom {
            schemas.add(type, schema)
            for (path, item) in Self.paths(of: type) { paths[path] = item }
        }
        return [
            "swagger": "2.0", "info": info, "paths": paths, "definitions": .object(Fields(schemas.made)),
        ]
    }

    // MARK: Paths

    private static func paths(of type: ResourceType) -> [(String, Value)] {
        let root = type.group.isEmpty ? "/api/\(type.version)" : "/apis/\(type.apiVersion)"
        let collection = root + (type.isNamespaced ? "/namespaces/{namespace}" : "") + "/\(type.plural)"
        guard !type.isLive else {
            return [
                (collection, ["get": operation(type, "list", [])]),
                (collection + "/{name}", ["get": operation(type, "read", [])]),
            ]
        }
        return [
            (
                collection,
                [
                    "get": operation(type, "list", []), "post": operation(type, "create", writing),
                    "delete": operation(type, "deletecollection", ["dryRun"]),
                ]
            ),
            (
                collection + "/{name}",
                [
                    "get": operation(type, "read", []), "put": operation(type, "replace", writing),
                    "patch": operation(type, "patch", writing + ["force"]),
                    "delete": operation(type, "delete", ["dryRun", "gracePeriodSeconds", "propagationPolicy"]),
                ]
            ),
        ]
    }

    private static let writing = ["dryRun", "fieldManager", "fieldValidation"]

    private static func operation(_ type: ResourceType, _ action: String, _ parameters: [String]) -> Value {
        [
            "operationId": .string("\(action)\(type.group)\(type.version)\(type.kind)"),
            "parameters": .array(
                parameters.map { ["name": .string($0), "in": "query", "schema": ["type": "string"], "type": "string"] }
            ),
            "responses": ["200": ["description": "OK"]],
            "x-kubernetes-action": .string(action), "x-kubernetes-group-version-kind": names(of: type),
        ]
    }

    static func names(of type: ResourceType) -> Value {
        ["group": .string(type.group), "version": .string(type.version), "kind": .string(type.kind)]
    }
}

/// The schemas of some kinds and of everything that they use.
struct Schemas {
    let dialect: OpenAPIDocument.Dialect
    private(set) var made: [(String, Value)] = []
    private var known: Set<String> = []

    private static let quantity = "io.k8s.apimachinery.pkg.api.resource.Quantity"
    private static let metadata = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"

    init(dialect: OpenAPIDocument.Dialect) { self.dialect = dialect }

    mutating func add(_ type: ResourceType) {
        let name = Self.name(of: type)
        guard known.insert(name).inserted else { return }
        var schema: Value
        if let record = Schema.record(of: type) {
            schema = self.schema(of: record)
        } else {
            _ = reference(toRecord: "ObjectMeta")
            schema = [
                "type": "object",
                "description": .string(
                    type.isActedOn ? "" : "Weft keeps \(type.qualifiedPlural) but does not act on them."
                ),
                "properties": [
                    "apiVersion": ["type": "string"], "kind": ["type": "string"], "metadata": reference(Self.metadata),
                    "spec": anything, "status": anything,
                ],
                "x-kubernetes-preserve-unknown-fields": true,
            ]
        }
        schema["x-kubernetes-group-version-kind"] = [OpenAPIDocument.names(of: type)]
        made.append((name, schema))
    }

    /// A custom kind, as its definition describes it.
    mutating func add(_ type: ResourceType, _ described: Value) {
        let name = type.group.split(separator: ".").reversed().joined(separator: ".") + ".\(type.version).\(type.kind)"
        guard known.insert(name).inserted else { return }
        _ = reference(toRecord: "ObjectMeta")
        var schema = dialect == .v3 ? described : CustomSchemaForm.version2(described)
        var properties = schema["properties"] ?? [:]
        // A definition that keeps everything is said to clients as it is: they check nothing of it.
        properties["apiVersion"] = ["type": "string", "description": .string(Self.words["apiVersion"] ?? "")]
        properties["kind"] = ["type": "string", "description": .string(Self.words["kind"] ?? "")]
        properties["metadata"] =
            dialect == .v3
            ? ["allOf": [reference(Self.metadata)], "description": .string(Self.words["metadata"] ?? "")]
            : reference(Self.metadata)
        schema["properties"] = properties
        schema["x-kubernetes-group-version-kind"] = [OpenAPIDocument.names(of: type)]
        made.append((name, schema))
    }

    private static let words = [
        "apiVersion": "The group and version of this kind, such as apps/v1.", "kind": "The name of this kind.",
        "metadata": "Standard object's metadata.",
    ]

    private static func name(of type: ResourceType) -> String {
        guard let first = type.group.split(separator: ".").first else {
            return "io.k8s.api.core.\(type.version).\(type.kind)"
        }
        return "io.k8s.api.\(first).\(type.version).\(type.kind)"
    }

    private func reference(_ name: String) -> Value {
        ["$ref": .string((dialect == .v2 ? "#/definitions/" : "#/components/schemas/") + name)]
    }

    private mutating func reference(toRecord record: String) -> Value {
        let name = record == "ObjectMeta" ? Self.metadata : "io.k8s.api.core.v1.\(record)"
        if known.insert(name).inserted {
            // Its place is taken before it is made: records may hold themselves.
            let schema = Schema.record(record).map { self.schema(of: $0) } ?? anything
            made.append((name, schema))
        }
        return reference(name)
    }

    private var anything: Value {
        dialect == .v2 ? ["description": ""] : ["x-kubernetes-preserve-unknown-fields": true]
    }

    private mutating func schema(of record: SchemaRecord) -> Value {
        var properties = Fields()
        var required: [Value] = []
        for name in record.names {
            guard let field = record.fields[name] else { continue }
            var property = schema(of: field.shape)
            if field.isNotActedOn { property["description"] = "Weft keeps this field but does not act on it." }
            properties[name] = property
            if field.isRequired, name != "apiVersion", name != "kind" { required.append(.string(name)) }
        }
        var schema: Value = ["type": "object", "description": "", "properties": .object(properties)]
        if !required.isEmpty { schema["required"] = .array(required) }
        return schema
    }

    private mutating func schema(of shape: Shape) -> Value {
        switch shape {
        case .string: return ["type": "string"]
        case .bool: return ["type": "boolean"]
        case .integer: return ["type": "integer", "format": "int64"]
        case .number: return ["type": "number", "format": "double"]
        case .intOrString:
            guard dialect == .v3 else { return ["type": "string", "format": "int-or-string"] }
            return ["x-kubernetes-int-or-string": true, "oneOf": [["type": "integer"], ["type": "string"]]]
        case .quantity:
            if known.insert(Self.quantity).inserted {
                made.append((Self.quantity, ["type": "string", "description": "An amount such as 500m, 1.5 or 64Mi."]))
            }
            return reference(Self.quantity)
        case .time: return ["type": "string", "format": "date-time"]
        case .bytes: return ["type": "string", "format": "byte"]
        case .any: return anything
        case .choice(let words):
            guard dialect == .v3 else { return ["type": "string"] }
            return ["type": "string", "enum": .array(words.map(Value.string))]
        case .list(let element, let key):
            var list: Value = ["type": "array", "items": schema(of: element)]
            if let key {
                list["x-kubernetes-patch-merge-key"] = .string(key)
                list["x-kubernetes-patch-strategy"] = "merge"
                list["x-kubernetes-list-type"] = "map"
                list["x-kubernetes-list-map-keys"] = .array(
                    FieldOwners.keys(of: element, mergeKey: key).map(Value.string)
                )
            } else {
                list["x-kubernetes-list-type"] = "atomic"
            }
            return list
        case .map(let element): return ["type": "object", "additionalProperties": schema(of: element)]
        case .record(let name): return reference(toRecord: name)
        // Custom kinds are described by their definitions.
        case .custom, .customObject: return anything
        }
    }
}
