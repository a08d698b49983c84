import Resources
import Store
import Wire

// `/openapi/v2` and `/openapi/v3`.
extension KubernetesAPI {
    func openAPI(_ request: HTTPRequest, _ segments: [String]) async throws(APIError) -> HTTPResponse {
        guard request.method == "GET" else { throw Self.wrongMethod }
        switch segments.first {
        case "v2" where segments.count == 1: return try await version2(request)
        case "v3" where segments.count == 1: return try await openAPIIndex()
        case "v3":
            let name = segments.dropFirst().joined(separator: "/")
            let custom = try await customSchemas().filter { "apis/\($0.type.apiVersion)" == name }
            if custom.isEmpty {
                guard let document = OpenAPIDocuments.version3[name] else { throw Self.unknownPath }
                return document.response(contentType: "application/json")
            }
            // Large and seldom asked for: made anew, so that nothing of it stays in memory.
            let value = OpenAPIDocument.version3(name, custom: custom.map { ($0.type, $0.schema) })
            return OpenAPIDocuments.Document(JSON.bytes(value)).response(contentType: "application/json")
        default: throw Self.unknownPath
        }
    }

    private func version2(_ request: HTTPRequest) async throws(APIError) -> HTTPResponse {
        let accept = request.headers.all("Accept").joined(separator: ",")
        let wantsProtobuf = accept.contains("proto-openapi")
        let mediaType = wantsProtobuf ? OpenAPIProtobuf.mediaType : "application/json"
        let custom = try await customSchemas()
        guard !custom.isEmpty else {
            let document = wantsProtobuf ? OpenAPIDocuments.version2Protobuf : OpenAPIDocuments.version2
            return document.response(contentType: mediaType)
        }
        let value = OpenAPIDocument.version2(custom: custom.map { ($0.type, $0.schema) })
        let bytes = wantsProtobuf ? OpenAPIProtobuf.bytes(value) : JSON.bytes(value)
        return OpenAPIDocuments.Document(bytes).response(contentType: mediaType)
    }

    /// The index: hashes change with what is described, so that clients can keep documents.
    private func openAPIIndex() async throws(APIError) -> HTTPResponse {
        var paths: Value = [:]
        for (name, document) in OpenAPIDocuments.version3 {
            paths[name] = ["serverRelativeURL": .string("/openapi/v3/\(name)?hash=\(document.hash)")]
        }
        var revisions: [String: [String]] = [:]
        for (type, _, revision) in try await customSchemas() {
            revisions["apis/\(type.apiVersion)", default: []].append("\(type.plural)=\(revision)")
        }
        for (name, texts) in revisions {
            let own = OpenAPIDocuments.version3[name]?.hash ?? ""
            let hash = OpenAPIDocuments.hash(Array("\(own) \(texts.joined(separator: " "))".utf8))
            paths[name] = ["serverRelativeURL": .string("/openapi/v3/\(name)?hash=\(hash)")]
        }
        return Self.json(["paths": paths])
    }

    /// Each served version of each custom kind, with its schema as it was written.
    private func customSchemas() async throws(APIError) -> [(type: ResourceType, schema: Value, revision: String)] {
        let types = store.types.customTypes
        guard !types.isEmpty else { return [] }
        var schemas: [(type: ResourceType, schema: Value, revision: String)] = []
        let definitions = try await store.list(ResourceTypes.definitions)
        let byName = Dictionary(definitions.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        for type in types {
            guard let definition = byName["\(type.plural).\(type.group)"] else { continue }
            let version = definition.spec.list("versions").first { $0.text("name") == type.version }
            guard let schema = version?.at("schema", "openAPIV3Schema") else { continue }
            schemas.append((type, schema, "\(definition.uid)-\(definition.generation)"))
        }
        return schemas
    }
}

/// The documents of the house's kinds, each made when it is asked for first.
private enum OpenAPIDocuments {
    static func hash(_ bytes: [UInt8]) -> String {
        var sum: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes { sum = (sum ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return String(sum, radix: 16, uppercase: true)
    }

    struct Document: Sendable {
        let bytes: [UInt8]
        /// Changes with the bytes, so that clients can keep what they have.
        let hash: String

        init(_ bytes: [UInt8]) {
            self.bytes = bytes
            hash = OpenAPIDocuments.hash(bytes)
        }

        func response(contentType: String) -> HTTPResponse {
            HTTPResponse(
                status: 200,
                headers: ["Content-Type": contentType, "ETag": "\"\(hash)\"", "Vary": "Accept"],
                body: .bytes(bytes)
            )
        }
    }

    static let version2 = Document(JSON.bytes(OpenAPIDocument.version2()))
    static let version2Protobuf = Document(OpenAPIProtobuf.bytes(OpenAPIDocument.version2()))
    static let version3 = Dictionary(
        uniqueKeysWithValues: OpenAPIDocument.groupVersions.map {
            ($0, Document(JSON.bytes(OpenAPIDocument.version3($0))))
        }
    )
}
