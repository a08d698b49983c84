import HTTP
import Resources
import Wire

/// The opening of a WebSocket (RFC 6455 section 4).
package enum WebSocketHandshake {
    private static let secret = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

    /// The value of `Sec-WebSocket-Accept` that answers a key.
    package static func answer(to key: String) -> String { Base64.encode(SHA1.digest(Array((key + secret).utf8))) }

    /// Whether a request asks for an upgrade to `name`.
    static func asks(_ request: HTTPRequest, for name: String) -> Bool {
        tokens(request, "Upgrade").contains { $0.lowercased() == name }
    }

    /// The head that accepts a request, and the subprotocol: the client's first that is among `protocols`. With `allowsNone` a
    /// client that offers none is taken, too.
    ///
    /// - Throws: `APIError` 400 (426 for another version) that says what is wrong with the request.
    static func accept(
        _ request: HTTPRequest,
        protocols: [String],
        allowsNone: Bool = false
    ) throws(APIError) -> (head: HTTPFields, subprotocol: String) {
        guard request.method == "GET", request.body.isEmpty else {
            throw .badRequest("unable to upgrade: a WebSocket begins with GET without a body")
        }
        guard tokens(request, "Connection").contains(where: { $0.lowercased() == "upgrade" }) else {
            throw .badRequest("unable to upgrade: the Connection header does not name upgrade")
        }
        guard request.headers.all("Sec-WebSocket-Version") == ["13"] else {
            throw APIError(
                code: 426,
                reason: .badRequest,
                message: "unable to upgrade: only version 13 of WebSocket is spoken here"
            )
        }
        let keys = request.headers.all("Sec-WebSocket-Key")
        guard keys.count == 1, let key = keys.first, Base64.decode(key)?.count == 16, key.utf8.count == 24 else {
            throw .badRequest("unable to upgrade: Sec-WebSocket-Key must be 16 bytes in Base64")
        }
        let wished = tokens(request, "Sec-WebSocket-Protocol")
        var head: HTTPFields = [
            "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": answer(to: key),
        ]
        if wished.isEmpty, allowsNone { return (head, "") }
        guard let chosen = wished.first(where: { protocols.contains($0) }) else {
            let names = wished.prefix(8).map { String($0.prefix(40)) }.joined(separator: ", ")
            throw .badRequest(
                "unable to upgrade: none of the subprotocols [\(names)] is spoken here; "
                    + "\(protocols.joined(separator: ", ")) are"
            )
        }
        head["Sec-WebSocket-Protocol"] = chosen
        return (head, chosen)
    }

    private static func tokens(_ request: HTTPRequest, _ name: String) -> [String] {
        request.headers.all(name).flatMap { $0.split(separator: ",") }.map { token in
            String(token.filter { $0 != " " && $0 != "\t" })
        }
    }

    // MARK: The client's side

    /// The request that opens a WebSocket at `target`, which must hold no blanks.
    package static func request(target: String, key: [UInt8], protocols: [String]) -> [UInt8] {
        Array(
            ("GET \(target) HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \(Base64.encode(key))\r\n"
                + "Sec-WebSocket-Protocol: \(protocols.joined(separator: ", "))\r\n\r\n").utf8
        )
    }

    /// The head of a server's answer, once it is whole.
    package struct Answer: Sendable {
        package let status: Int
        package let headers: HTTPFields
        /// Bytes of the head; what follows are frames, or the body of a refusal.
        package let length: Int

        /// Whether the server has agreed, with one of the subprotocols that were offered.
        package func agrees(key: [UInt8], protocols: [String]) -> Bool {
            status == 101 && headers["Sec-WebSocket-Accept"] == WebSocketHandshake.answer(to: Base64.encode(key))
                && protocols.contains(headers["Sec-WebSocket-Protocol"] ?? "")
        }
    }

    /// Reads the head of an answer; nil until it is whole.
    ///
    /// - Throws: `HTTPFailure` when it is no HTTP.
    package static func read(_ bytes: [UInt8]) throws(HTTPFailure) -> Answer? {
        var head = ResponseHead()
        var fields = FieldTable()
        var made: Answer?
        let outcome = bytes.withUnsafeBytes { raw -> HeadOutcome in
            guard let base = raw.baseAddress else { return .incomplete }
            let outcome = head.parse(base, count: raw.count, limits: HeadLimits(), request: .get, fields: &fields)
            if outcome == .complete {
                made = Answer(
                    status: Int(head.status),
                    headers: MessageReading.headers(base, fields),
                    length: head.length
                )
            }
            return outcome
        }
        if case .failed(let fault) = outcome { throw HTTPFailure(.malformed, "the answer is no HTTP: \(fault.reason)") }
        return made
    }
}
