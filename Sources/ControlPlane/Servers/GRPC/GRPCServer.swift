import CWeft
import Glibc
import HTTP
package import Reactor

/// A gRPC server for the control plane: HTTP/2 with prior knowledge over a Unix socket or loopback.
///
/// Its sockets live on `LoopThread.shared`; the handler runs as a task for each call, which is cancelled when the client goes
/// away. Who connects must be the user of this process, or root.
package final class GRPCServer: Sendable {
    /// Answers one call; what it returns is the call's end.
    package typealias Handler = @Sendable (GRPCCall) async -> GRPCStatus

    /// Bounds on what a client may send or hold open.
    package struct Limits: Sendable {
        package var connections = 1024
        /// Calls of one connection at the same time.
        package var calls = 100
        package var messageBytes = 8 << 20
        /// Milliseconds of silence after which a connection is asked whether it lives; without an answer for as long again
        /// it is closed.
        package var silenceMilliseconds: UInt64 = 30_000

        package init() {}
    }

    private let core: GRPCCore

    package init(limits: Limits = Limits(), handler: @escaping Handler) {
        core = GRPCCore(limits: limits, handler: handler)
    }

    /// Serves a Unix socket with mode 0600. A socket left by a dead server is replaced; a living one is not.
    ///
    /// - Throws: `SystemError` with `EADDRINUSE` when somebody answers there.
    package func listen(unix path: String) async throws(SystemError) {
        try await core.serve(try UnixListener.make(path), isUnix: true)
    }

    /// Serves an address of the loopback interface, and returns the one that it got (port 0 asks for any).
    ///
    /// - Throws: `SystemError`, also for an address that others than this machine can reach.
    package func listen(_ address: SocketAddress) async throws(SystemError) -> SocketAddress {
        let isLoopback =
            address.isIPv6 ? address == SocketAddress("::1", port: address.port) : address.bytes.first == 127
        guard isLoopback else {
            throw SystemError(code: EACCES, operation: "listen on \(address): only loopback is served")
        }
        let fd = try Socket.listen(address)
        let own = Socket.localAddress(fd) ?? address
        try await core.serve(fd, isUnix: false)
        return own
    }

    /// Stops accepting, tells the clients, and closes every connection.
    package func shutdown() async { await core.shutdown() }

    /// Connections that are open.
    package func connectionCount() async -> Int { await core.connectionCount() }
}

/// One call: messages come and go.
package struct GRPCCall: Sendable {
    /// `/package.Service/Method`.
    package let path: String
    package let metadata: HTTPFields
    /// Counts the connections of the server.
    package let connection: UInt64
    let stream: GRPCStream

    /// The next message; nil when the client sends no more, or has gone. For one task.
    package func next() async -> [UInt8]? { await stream.next() }

    /// Sends a message; returns when there is room for more.
    ///
    /// - Returns: false when the client has gone.
    package func send(_ message: [UInt8]) async -> Bool { await stream.send(message) }
}

/// The server's state on the loop.
///
/// Safety: every stored property but the constants is touched on `LoopThread.shared`'s thread only.
final class GRPCCore: @unchecked Sendable {
    let limits: GRPCServer.Limits
    let handler: GRPCServer.Handler
    private var listeners: [ListeningSocket] = []
    private var connections: [ObjectIdentifier: GRPCConnection] = [:]
    private var isStopping = false
    private var count: UInt64 = 0
    /// Made with the first listener.
    private(set) var shared: HTTP2Shared?

    init(limits: GRPCServer.Limits, handler: @escaping GRPCServer.Handler) {
        self.limits = limits
        self.handler = handler
    }

    func serve(_ fd: Int32, isUnix: Bool) async throws(SystemError) {
        try await LoopThread.shared.run { [self] (loop: HandlerLoop) throws(SystemError) in
            if shared == nil { shared = HTTP2Shared(seed: UInt64(getpid())) }
            listeners.append(
                try ListeningSocket(fd, loop) { [unowned self] in accepted($0, isUnix: isUnix, loop: loop) }
            )
        }
    }

    func shutdown() async {
        await LoopThread.shared.run { [self] _ in
            isStopping = true
            for listener in listeners { listener.close() }
            listeners = []
            for connection in Array(connections.values) { connection.shutdown() }
        }
    }

    func connectionCount() async -> Int { await LoopThread.shared.run { [self] _ in connections.count } }

    func accepted(_ fd: Int32, isUnix: Bool, loop: HandlerLoop) {
        guard connections.count < limits.connections, !isStopping, let shared,
            PeerOwner.mayConnect(fd, isUnix: isUnix)
        else {
            close(fd)
            return
        }
        count += 1
        guard let connection = GRPCConnection(fd: fd, number: count, core: self, shared: shared, loop: loop) else {
            close(fd)
            return
        }
        connections[ObjectIdentifier(connection)] = connection
        connection.start()
    }

    func forget(_ connection: GRPCConnection) { connections[ObjectIdentifier(connection)] = nil }
}
