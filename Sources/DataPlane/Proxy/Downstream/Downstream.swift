import Bytes
import HTTP
import Reactor
import TLS

/// A client's connection. A plain value in a slab; idle it holds no buffer.
struct Downstream: SlabElement {
    enum State: UInt8, BitwiseCopyable {
        /// The header of the PROXY protocol is awaited.
        case introducing
        /// The first bytes are awaited to tell the protocol.
        case detecting
        /// TLS is being agreed on.
        case handshaking
        /// HTTP/1, with or without a request in work.
        case http
        /// HTTP/2: its streams are elements of their own.
        case http2
        /// Bytes are relayed as they come.
        case tunnel
        /// Bytes go back as they come, or a fixed answer is on its way out.
        case echo
        /// The last answer is out; what the client still sends is thrown away for a while, so that the kernel does not
        /// answer it with a reset that would destroy the answer (RFC 9112 section 9.6).
        case lingering
    }

    struct Flags: OptionSet, BitwiseCopyable {
        let rawValue: UInt16
        /// Read interest is taken back: nothing may be read now.
        static let readPaused = Flags(rawValue: 1)
        static let writeArmed = Flags(rawValue: 2)
        /// The client will send no more.
        static let readEnded = Flags(rawValue: 4)
        static let closesAfterResponse = Flags(rawValue: 8)
        static let closesWhenFlushed = Flags(rawValue: 16)
        /// Waits in the worker's list for another look at its input.
        static let isQueued = Flags(rawValue: 32)
        static let writeEnded = Flags(rawValue: 64)
        /// Detection waits for either side to speak, with a connection to the TCP chain's cluster.
        static let isSpeculating = Flags(rawValue: 128)
        /// Bytes of a request's head are there, and its deadline runs.
        static let headStarted = Flags(rawValue: 256)
        /// Detection has waited for the client; the TCP chain was asked, if there is one.
        static let isQuietOver = Flags(rawValue: 512)
        /// Other server names of the listener have other rules about certificates: each request's host is looked at.
        static let checksHost = Flags(rawValue: 1024)
        /// Something about it stands in the worker's `notes`.
        static let isNoted = Flags(rawValue: 1 << 15)
        /// Nobody: the client's side of a mirrored request. It has no descriptor.
        static let isShadow = Flags(rawValue: 1 << 14)
        /// The first bytes tell HTTP/1 from HTTP/2.
        static let mayBeHTTP2 = Flags(rawValue: 2048)
        /// Streams: the answer has a body, or its head ended it.
        static let sendsBody = Flags(rawValue: 4096)
        /// Streams: nothing follows what waits in `output`.
        static let streamEnds = Flags(rawValue: 8192)
    }

    var generation: UInt32 = 0
    var nextFree: Int32 = -1
    var isLive = false
    var state = State.http
    var flags: Flags = []
    var fd: Int32 = -1
    var listener: Int32 = -1
    var callerLabels: Int32 = 0
    /// The HTTP/2 session that it carries, or whose stream it is; -1 = none.
    var session: Int32 = -1
    /// The number of the stream that it is; 0: a connection, with a descriptor.
    var stream: Int32 = 0
    /// Neighbours among the streams of the session.
    var nextStream: Int32 = -1
    var previousStream: Int32 = -1
    /// Bytes of the stream's body for which the client's window was not given back.
    var unconsumed: Int32 = 0
    /// The request in work, or -1.
    var exchange: Int32 = -1
    var requestsServed: UInt32 = 0
    /// One read takes at most this much (`per_connection_buffer_limit_bytes`), and no further one while it waits to go on.
    var readLimit = Int32.max
    var timer = TimerID.none
    /// The HTTP chain that serves it; nil until it is known and for TCP.
    var chain: ChainPlace?
    /// Bytes go through it; nil: they are as they are.
    var tls: TLSSession?
    /// Received, not consumed yet.
    var input = Buffer()
    /// To be sent.
    var output = Buffer()
    /// Streams: what follows the body.
    var trailers = Buffer()
    var peer = SocketAddress()
    /// The original destination where it is known, else the local address.
    var destination = SocketAddress()
    var acceptedAt: UInt64 = 0
    /// What the timer waits for at present: the moment the state began.
    var since: UInt64 = 0
    var id: UInt64 = 0

    init() {}

    @inline(__always) var isStream: Bool { stream > 0 }

    var interest: Readiness {
        var wanted: Readiness = []
        if !flags.contains(.readPaused) { wanted.insert(.read) }
        if flags.contains(.writeArmed) { wanted.insert(.write) }
        return wanted
    }
}

typealias DownstreamPlace = UnsafeMutablePointer<Downstream>
