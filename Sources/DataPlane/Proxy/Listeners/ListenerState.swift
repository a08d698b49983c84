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
    var lastError: String?

    init(_ configuration: ListenerConfiguration) { self.configuration = configuration }
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
