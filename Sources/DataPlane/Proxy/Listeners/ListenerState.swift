import Glibc
import Reactor

/// What a worker keeps of a listener: its sockets and counts. Touched per connection, not per request.
final class ListenerState {
    var configuration: ListenerConfiguration
    var sockets: [ListenSocket] = []
    var connections = 0
    var connectionsTotal: UInt64 = 0
    var tally = ListenerTally()
    /// Opening failed; it is tried again about once a second.
    var hasFailed = false
    /// Since when a path of a Unix socket belongs to another process; 0: none does.
    var isTakenSince: UInt64 = 0
    var lastError: String?

    init(_ configuration: ListenerConfiguration) { self.configuration = configuration }

}

extension ListenerConfiguration.Socket {
    /// Whether it listens on Unix sockets.
    var hasPaths: Bool { !paths.isEmpty }

    /// No file stands in the way any more. Of abstract names only an attempt can tell.
    var isVacant: Bool {
        paths.allSatisfy { path in
            var facts = stat()
            return path.hasPrefix("@") || lstat(path, &facts) != 0
        }
    }

    private var paths: [String] {
        addresses.compactMap { address in
            if case .pipe(let path) = address.host { path } else { nil }
        }
    }
}

/// One listening socket.
struct ListenSocket {
    var fd: Int32
    /// Where it listens, with the real port.
    var address: SocketAddress
    var generation: UInt32
    var isPaused = false
    /// `NetworkPlace.identity`; 0 = the proxy's own network; nil = the keeper does not hear of the socket.
    var network: UInt64?
    /// Of a Unix socket, which the workers share.
    var path: String?
}
