import Bytes
import Reactor
import TLS

/// A connection to an endpoint. A plain value in a slab; idle it holds no buffer.
struct Upstream: SlabElement {
    enum State: UInt8, BitwiseCopyable { case connecting, handshaking, idle, busy, tunnel, http2 }

    struct Flags: OptionSet, BitwiseCopyable {
        let rawValue: UInt16
        static let readPaused = Flags(rawValue: 1)
        static let writeArmed = Flags(rawValue: 2)
        /// It carried a request before the present one.
        static let isReused = Flags(rawValue: 4)
        /// A byte of the present response came.
        static let hasAnswered = Flags(rawValue: 8)
        static let readEnded = Flags(rawValue: 16)
        static let writeEnded = Flags(rawValue: 32)
        /// Counted as an open connection of its endpoint.
        static let isOpen = Flags(rawValue: 64)
        /// Taken out of epoll while paused, because a broken connection reports itself without end.
        static let isUnwatched = Flags(rawValue: 128)
        static let closesAfterResponse = Flags(rawValue: 256)
        /// A stream of an HTTP/2 connection: an element without a descriptor.
        static let isStream = Flags(rawValue: 512)
        /// Streams: the library has closed it.
        static let isOver = Flags(rawValue: 1024)
        /// Streams that relay bytes: nothing follows what waits.
        static let endsSending = Flags(rawValue: 2048)
        /// The endpoint ended it.
        static let endedThere = Flags(rawValue: 1 << 14)
        /// It ends after an answer that was whole.
        static let isAnswered = Flags(rawValue: 1 << 13)
        /// A session that ends while requests are on it.
        static let diedBusy = Flags(rawValue: 1 << 12)
        /// It serves one client, or one host, only: the worker's `keyed` says which.
        static let isKeyed = Flags(rawValue: 1 << 15)
    }

    var generation: UInt32 = 0
    var nextFree: Int32 = -1
    var isLive = false
    var state = State.connecting
    var flags: Flags = []
    /// `Priority.rawValue` under which the connection is counted.
    var priority: UInt8 = 0
    var fd: Int32 = -1
    /// The endpoint's slot in its cluster; -1 for an original destination.
    var endpoint: Int32 = -1
    var exchange: Int32 = -1
    var requestsServed: UInt32 = 0
    /// One read takes at most this much (`per_connection_buffer_limit_bytes`), and no further one while it waits to go on.
    var readLimit = Int32.max
    var timer = TimerID.none
    /// The HTTP/2 session that it carries, or whose stream it is; -1 = none.
    var session: Int32 = -1
    /// The number of the stream; 0: not begun yet, or a connection.
    var stream: Int32 = 0
    /// Bytes of the stream's body for which the endpoint's window was not given back.
    var unconsumed: Int32 = 0
    /// Neighbours in the endpoint's stack of idle connections, or among the streams of the session.
    var above: Int32 = -1
    var below: Int32 = -1
    var cluster: ClusterPlace
    /// Bytes go through it; nil: they are as they are.
    var tls: TLSSession?
    /// Received, not consumed yet: an incomplete head.
    var input = Buffer()
    var address = SocketAddress()
    var openedAt: UInt64 = 0

    init() { cluster = ClusterState.nowhere }

    @inline(__always) var isStream: Bool { flags.contains(.isStream) }

    var interest: Readiness {
        var wanted: Readiness = []
        if !flags.contains(.readPaused) { wanted.insert(.read) }
        if flags.contains(.writeArmed) { wanted.insert(.write) }
        return wanted
    }
}

typealias UpstreamPlace = UnsafeMutablePointer<Upstream>
