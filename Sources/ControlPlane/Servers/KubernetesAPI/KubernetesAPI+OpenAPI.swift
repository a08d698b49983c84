import Resources
import Wire

// `/openapi/v2` and `/openapi/v3`.
extension KubernetesAPI {
    func openAPI(_ request: HTTPRequest, _ segments: [String]) throws(APIError) -> HTTPResponse {
        guard request.method == "GET" else { throw Self.wrongMethod }
        switch segments.first {
        case "v2" where segments.count == 1: return Self.version2(request)
        case "v3" where segments.count == 1: return Self.index
        case "v3":
            let name = segments.dropFirst().joined(separator: "/")
            guard let document = OpenAPIDocuments.version3[name] else { throw Self.unknownPath }
            return document.response(contentType: "application/json")
        default: throw Self.unknownPath
        }
    }

    private static func version2(_ request: HTTPRequest) -> HTTPResponse {
        let accept = request.headers.all("Accept").joined(separator: ",")
        guard accept.contains("proto-openapi") else {
            return OpenAPIDocuments.version2.response(contentType: "application/json")
        }
        return OpenAPIDocuments.version2Protobuf.response(contentType: OpenAPIProtobuf.mediaType)
    }

    private static var index: HTTPResponse {
        var paths: Value = [:]
        for (name, document) in OpenAPIDocuments.version3 {
            paths[name] = ["serverRelativeURL": .string("/openapi/v3/\(name)?hash=\(document.hash)")]
        }
        return json(["paths": paths])
    }
}

/// The documents, each made when it is asked for first.
private enum OpenAPIDocuments {
    struct Document: Sendable {
        let bytes: [UInt8]
        /// Changes with the bytes, so that clients can keep what they have.
        let hash: String

        init(_ bytes: [UInt8]) {
            self.bytes = bytes
            var sum: UInt64 = 0xcbf2_9ce4_8422_2325
            for byte in bytes { sum = (sum ^ UInt64(byte)) &* 0x100_0000_01b3 }
            hash = String(sum, radix: 16, uppercase: true)
        }

        func response(contentType: String) -> HTTPResponse {
            HTTPResponse(
                status: 200,
                headers: ["Content-Type": contentType, "ETag": "\"\(hash)\"", "Vary": "Accept"],
                body: .bytes(bytes)
            )
        }
    }

    static let version2 = Document(JSON.bytes(OpenAPIDocument.version2))
    static let version2Protobuf = Document(OpenAPIProtobuf.bytes(OpenAPIDocument.version2))
    static let version3 = Dictionary(
        uniqueKeysWithValues: OpenAPIDocument.groupVersions.map {
            ($0, Document(JSON.bytes(OpenAPIDocument.version3($0))))
        }
    )
}
