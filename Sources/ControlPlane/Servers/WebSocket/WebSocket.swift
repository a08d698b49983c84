/// The server's end of an open WebSocket.
///
/// One task receives; any task sends. Memory is bounded both ways: a peer that does not read holds up `send`, and what is
/// not received is not read from the socket.
package final class WebSocket: Sendable {
    private let connection: UpgradedConnection

    init(_ connection: UpgradedConnection) { self.connection = connection }

    /// What the peer sends, for one task.
    func messages(limit: Int = 1 << 20) -> Messages {
        Messages(socket: self, reader: WebSocketReader(role: .server, limit: limit))
    }

    /// Sends a message; returns when there is room for more.
    ///
    /// - Throws: `HTTPFailure` `.closed` when the peer has gone.
    func send(_ payload: [UInt8]) async throws {
        try await connection.write(WebSocketFrame.bytes(.binary, payload))
    }

    func close(_ code: UInt16, _ reason: String = "") async {
        try? await connection.write(WebSocketFrame.close(code, reason))
    }

    /// The data messages of the peer. Pings are answered, a breach of the protocol ends the socket with its code.
    struct Messages {
        fileprivate let socket: WebSocket
        fileprivate var reader: WebSocketReader

        /// The next message; nil when the peer has closed or gone.
        mutating func next() async -> [UInt8]? {
            while true {
                do throws(WebSocketFault) {
                    while let message = try reader.next() {
                        switch message {
                        case .data(let payload, _): return payload
                        case .ping(let payload):
                            try? await socket.connection.write(WebSocketFrame.bytes(.pong, payload))
                        case .pong: continue
                        case .close(let code):
                            await socket.close(code ?? 1000)
                            return nil
                        }
                    }
                } catch {
                    await socket.close(error.code, error.reason)
                    return nil
                }
                guard let bytes = await socket.connection.read() else { return nil }
                reader.append(bytes)
            }
        }
    }
}
