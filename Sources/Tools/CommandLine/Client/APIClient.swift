import Resources
import Wire

/// A client of the daemon's API: Kubernetes-shaped JSON over the Unix socket in the state directory.
///
/// Stateless; safe to use from several tasks. Every call makes its own request.
struct APIClient: Sendable {
    let state: StateDirectory
    let transport: UnixTransport

    init(_ state: StateDirectory) {
        self.state = state
        transport = UnixTransport(path: state.socket)
    }

    /// A client of a daemon that must be there.
    ///
    /// - Throws: `CommandError` that tells how to start one.
    static func connected(_ arguments: Arguments) async throws -> APIClient {
        let client = APIClient(try StateDirectory(arguments))
        guard await client.isAnswering() else {
            throw CommandError(
                "no Weft is running with the state directory \(client.state.path). "
                    + "Start one with 'weft up PATH', or name another with --state-dir"
            )
        }
        return client
    }

    /// True when a daemon answers on the socket.
    func isAnswering() async -> Bool {
        guard let answer = try? await transport.send("GET", "/healthz", timeout: .seconds(2)) else { return false }
        return answer.status == 200
    }

    func get(_ path: String, timeout: Duration = .seconds(30)) async throws -> Value {
        try await call("GET", path, timeout: timeout)
    }

    func post(_ path: String, _ body: Value, timeout: Duration = .seconds(30)) async throws -> Value {
        try await call("POST", path, body: body, timeout: timeout)
    }

    func put(_ path: String, _ body: Value) async throws -> Value {
        try await call("PUT", path, body: body)
    }

    func delete(_ path: String, _ body: Value = .object(Fields())) async throws -> Value {
        try await call("DELETE", path, body: body)
    }

    func mergePatch(_ path: String, _ body: Value) async throws -> Value {
        try await call("PATCH", path, body: body, contentType: "application/merge-patch+json")
    }

    /// The value, or nil when there is no such object.
    func find(_ path: String) async throws -> Value? {
        do {
            return try await get(path)
        } catch let error as APIError where error.code == 404 {
            return nil
        }
    }

    /// One request whose answer must be a success.
    ///
    /// - Throws: `APIError` as the daemon said it; `CommandError` when it cannot be reached.
    func call(
        _ method: String,
        _ path: String,
        body: Value? = nil,
        contentType: String = "application/json",
        accept: String = "application/json",
        timeout: Duration = .seconds(30)
    ) async throws -> Value {
        let answer = try await transport.send(
            method,
            path,
            headers: [("Content-Type", contentType), ("Accept", accept)],
            body: body.map { Array(JSON.write($0).utf8) } ?? [],
            timeout: timeout
        )
        for warning in answer.warnings { Terminal.warn(warning) }
        let value = answer.body.isEmpty ? Value.null : try JSON.parse(answer.body)
        guard (200..<300).contains(answer.status) else { throw Self.failure(value, answer.status) }
        return value
    }

    /// The lines of an answer that goes on, such as a watch or followed logs.
    func lines(_ path: String) async throws -> UnixTransport.Lines {
        let stream = try await transport.open("GET", path)
        guard (200..<300).contains(stream.status) else {
            throw Self.failure(try await stream.rest(limit: 1 << 20), stream.status)
        }
        return stream
    }

    static func failure(_ body: [UInt8], _ code: Int) -> APIError { failure((try? JSON.parse(body)) ?? .null, code) }

    private static func failure(_ status: Value, _ code: Int) -> APIError {
        APIError(status: status)
            ?? APIError(code: code, reason: .internalError, message: "the API answered with status \(code)")
    }
}

/// Paths of the API's objects.
enum APIPath {
    /// `/api/v1/namespaces/shop/pods[/NAME]`, `/apis/apps/v1/deployments` and so on; `namespace` nil means all namespaces.
    static func of(_ type: ResourceType, namespace: String?, name: String? = nil, subresource: String? = nil) -> String
    {
        var path = type.group.isEmpty ? "/api/\(type.version)" : "/apis/\(type.group)/\(type.version)"
        if type.isNamespaced, let namespace { path += "/namespaces/\(escape(namespace))" }
        path += "/\(type.plural)"
        if let name { path += "/\(escape(name))" }
        if let subresource { path += "/\(subresource)" }
        return path
    }

    /// A query string with every value escaped; empty values are left out.
    static func query(_ items: [(String, String?)]) -> String {
        let parts = items.compactMap { name, value in value.map { "\(name)=\(escape($0))" } }
        return parts.isEmpty ? "" : "?" + parts.joined(separator: "&")
    }

    /// Percent-encodes all but RFC 3986's unreserved characters.
    static func escape(_ text: String) -> String {
        var escaped = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                escaped.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                escaped += "%" + (digits.count == 1 ? "0" : "") + digits
            }
        }
        return escaped
    }
}
