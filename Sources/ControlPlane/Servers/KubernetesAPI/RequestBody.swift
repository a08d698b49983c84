import Resources
import Wire

extension HTTPRequest {
    /// The body's media type, without parameters, in small letters; empty when nothing is said.
    var mediaType: String {
        let value = headers["Content-Type"]?.split(separator: ";").first.map(String.init) ?? ""
        return value.lowercased().filter { !$0.isWhitespace }
    }

    /// The body as a value: JSON, YAML or Kubernetes' protobuf, as its type says.
    ///
    /// - Throws: `APIError` 400 for what cannot be read, 415 for another type.
    func readBody() throws(APIError) -> Value {
        switch mediaType {
        case "", "application/json", "*/*":
            do { return try JSON.parse(body) } catch { throw .badRequest("the body is not valid JSON: \(error)") }
        case "application/yaml", "application/x-yaml", "text/yaml": return try readYAML()
        case ProtobufObject.mediaType: return try ProtobufObject.read(body)
        default:
            throw APIError(
                code: 415,
                reason: .unsupportedMediaType,
                message: "the body of the request was in an unknown format (\(mediaType)) - accepted media types "
                    + "include: application/json, application/yaml, \(ProtobufObject.mediaType)"
            )
        }
    }

    private func readYAML() throws(APIError) -> Value {
        let documents: [YAMLDocument]
        do { documents = try YAML.parse(body) } catch { throw .badRequest("the body is not valid YAML: \(error)") }
        guard documents.count == 1, let document = documents.first else {
            throw .badRequest("the body must hold one YAML document, it holds \(documents.count)")
        }
        return document.value
    }
}
