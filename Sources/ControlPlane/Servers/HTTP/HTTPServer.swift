import CWeft
import Glibc
import HTTP
package import Reactor
package import TLS

/// An HTTP/1.1 server for the control plane.
///
/// Its sockets live on `LoopThread.shared`; the handler runs as a task per request, which is cancelled when the client goes
/// away. Requests of one connection are answered one after the other.
package final class HTTPServer: Sendable {
    package typealias Handler = @Sendable (HTTPRequest) async -> HTTPResponse

    /// Bounds on what a caller may send or hold open.
    package struct Limits: Sendable {
        /// Kubernetes' own limit for one object is about 3 MiB.
        package var bodyBytes = 3 << 20
        package var connections = 1024
        /// Milliseconds from the first byte of a head, or from accepting, to its last.
        package var headMilliseconds: UInt64 = 10_000
        /// Milliseconds from the head to the last byte of the body.
        package var bodyMilliseconds: UInt64 = 30_000
        /// Milliseconds that a kept connection may rest.
        package var idleMilliseconds: UInt64 = 120_000

        package init() {}
    }

    private let core: ServerCore

    package init(limits: Limits = Limits(), handler: @escaping Handler) {
        core = ServerCore(limits: limits, handler: handler)
    }

    /// Serves a Unix socket with mode 0600. A socket left by a dead server is replaced; a living one is not.
    ///
    /// - Throws: `SystemError` with `EADDRINUSE` when somebody answers there.
    package func listen(unix path: String) async throws(SystemError) {
        try await core.serve(try UnixListener.make(path), .unix)
    }

    /// Serves a TCP address, and returns the one that it got (port 0 asks for any).
    ///
    /// A private one is for this process's user and root: others may have few connections, each for one request, so that they are
    /// told why the handler refuses them and cannot fill the server.
    package func listen(_ address: SocketAddress, isPrivate: Bool = false) async throws(SystemError) -> SocketAddress {
        try await listen(address, .tcp(isPrivate: isPrivate))
    }

    /// Serves a TCP address with TLS, and returns the one that it got.
    package func listen(_ address: SocketAddress, tls: TLSContext) async throws(SystemError) -> SocketAddress {
        try await listen(address, .tls(tls))
    }

    private func listen(_ address: SocketAddress, _ kind: ListenerKind) async throws(SystemError) -> SocketAddress {
        let options = address.isIPv6 ? [SocketOption.ipv6Only(true)] : []
        let fd = try Socket.listen(address, options: options)
        let own = Socket.localAddress(fd) ?? address
        try await core.serve(fd, kind)
        return own
    }

    /// Serves a port of 127.0.0.1 (0 asks for any), and returns the one that it got.
    package func listenOnLoopback(port: Int) async throws(SystemError) -> Int {
        let wished = UInt16(exactly: port).flatMap { SocketAddress("127.0.0.1", port: $0) }
        guard let address = wished else { throw SystemError(code: EINVAL, operation: "listen on port \(port)") }
        return Int(try await listen(address).port)
    }

    /// Stops accepting, lets requests end within `grace`, then closes what is left.
    package func shutdown(grace: Duration = .seconds(1)) async {
        await core.stopAccepting()
        let end = ContinuousClock.now + grace
        while await core.busyConnections() > 0, ContinuousClock.now < end {
            try? await Task.sleep(for: .milliseconds(5))
        }
        await core.closeAll()
    }
}

/// What stands between a listening socket and HTTP.
enum ListenerKind {
    case unix
    case tcp(isPrivate: Bool)
    case tls(TLSContext)
}

/// The server's state on the loop.
///
/// Safety: every stored property but the constants is touched on `LoopThread.shared`'s thread only.
final class ServerCore: @unchecked Sendable {
    let limits: HTTPServer.Limits
    let handler: HTTPServer.Handler
    private var listeners: [ListeningSocket] = []
    private var connections: [ObjectIdentifier: ServerConnection] = [:]
    private(set) var isStopping = false
    /// Connections of other users to a private address.
    private static let mostStrangers = 16

    init(limits: HTTPServer.Limits, handler: @escaping HTTPServer.Handler) {
        self.limits = limits
        self.handler = handler
    }

    func serve(_ fd: Int32, _ kind: ListenerKind) async throws(SystemError) {
        try await LoopThread.shared.run { [self] (loop: HandlerLoop) throws(SystemError) in
            listeners.append(
                try ListeningSocket(fd, loop) { [unowned self] in accepted($0, kind, loop: loop) }
            )
        }
    }

    func stopAccepting() async {
        await LoopThread.shared.run { [self] _ in
            isStopping = true
            for listener in listeners { listener.close() }
            listeners = []
            for connection in connections.values where connection.isIdle { connection.end() }
        }
    }

    func busyConnections() async -> Int {
        await LoopThread.shared.run { [self] _ in connections.values.count { !$0.isIdle } }
    }

    func closeAll() async {
        await LoopThread.shared.run { [self] _ in
            for connection in connections.values { connection.end() }
        }
    }

    func accepted(_ fd: Int32, _ kind: ListenerKind, loop: HandlerLoop) {
        guard connections.count < limits.connections, !isStopping else {
            close(fd)
            return
        }
        var session: TLSSession?
        if case .tls(let context) = kind {
            session = TLSSession(context, fd: fd)
            guard session != nil else {
                close(fd)
                return
            }
        }
        let origin = Self.origin(fd, kind)
        var isStranger = false
        if case .tcp(isPrivate: true) = kind { isStranger = !PeerOwner.mayConnect(origin.uid) }
        guard !isStranger || connections.values.count(where: \.isStranger) < Self.mostStrangers else {
            close(fd)
            return
        }
        let connection = ServerConnection(fd: fd, origin, session, isStranger: isStranger, core: self, loop: loop)
        guard connection.start() else {
            session?.free()
            close(fd)
            return
        }
        connections[ObjectIdentifier(connection)] = connection
    }

    func forget(_ connection: ServerConnection) { connections[ObjectIdentifier(connection)] = nil }

    private static func origin(_ fd: Int32, _ kind: ListenerKind) -> RequestOrigin {
        var origin = RequestOrigin()
        switch kind {
        case .unix: origin.uid = PeerOwner.uid(fd, isUnix: true)
        case .tcp:
            origin.transport = .tcp
            origin.uid = PeerOwner.uid(fd, isUnix: false)
        case .tls: origin.transport = .tls
        }
        if origin.transport != .unix {
            Socket.setNoDelay(fd)
            origin.address = Socket.peerAddress(fd)?.host ?? ""
        }
        return origin
    }
}
