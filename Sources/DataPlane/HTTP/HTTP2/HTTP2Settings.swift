/// What a session allows its peer, with Envoy's defaults.
public struct HTTP2Settings: BitwiseCopyable, Sendable {
    /// Streams that the peer may have open at once.
    public var maxConcurrentStreams: UInt32 = 100
    /// What the peer may send on a stream, and on all together, before bytes are given back with `consume`.
    public var streamWindow: UInt32 = 65_536
    public var connectionWindow: UInt32 = 1_048_576
    public var headerTableSize: UInt32 = 4096
    /// Whether a server takes extended CONNECT (RFC 8441).
    public var allowsConnect = false
    /// Bytes and fields of one head, decoded, crumbs of cookies included.
    public var headBytes = 60 * 1024
    public var headFields = 100
    public var maxOutboundFrames = 10_000
    public var maxOutboundControlFrames = 1000
    public var maxEmptyFramesInRow = 1
    public var maxPriorityFramesPerStream = 100
    public var maxWindowUpdatesPerData = 10
    /// CONTINUATION frames of one head.
    public var maxContinuations = 5
    /// Streams reset by the peer, or for its faults, beyond those that ended in order, in 30 seconds.
    public var maxResets = 200
    /// SETTINGS, PING and frames of unknown types in 30 seconds.
    public var maxControlFrames = 10_000
    /// A malformed head ends its stream, not the connection.
    public var resetsBadMessages = true

    public init() {}
}

/// What a session tells its owner: C functions without state, called with the owner's pointer while `feed` or `fill` run.
///
/// In all calls `stream` is the stream's number and `user` what the owner attached to it (0: nothing yet). A call may submit
/// heads, resets and the like, but never `feed`, `fill` or `free`.
public struct HTTP2Events: Sendable {
    public typealias Owner = UnsafeMutableRawPointer
    /// A head is whole: `HTTP2Session.head` tells what it says, for the length of this call. A server attaches its user value now.
    public var head: @convention(c) (Owner, Int32, UInt64) -> Void
    /// Bytes of a body. They are to be given back with `consume` or `consumeConnection`.
    public var data: @convention(c) (Owner, Int32, UInt64, UnsafeMutableRawPointer, Int) -> Void
    /// The peer's side of the stream has ended in order; after the last head or data.
    public var ended: @convention(c) (Owner, Int32, UInt64) -> Void
    /// The stream is over, with this error code (0: in order). The user value is not used again.
    public var closed: @convention(c) (Owner, Int32, UInt64, UInt32) -> Void
    /// How many bytes, up to the limit, the stream has to send now: that many are taken by `copy` directly afterwards. The last
    /// argument is set to the bits of `HTTP2Supply`. -1: nothing at present, `resume` will be called.
    public var supply: @convention(c) (Owner, Int32, UInt64, Int, UnsafeMutablePointer<UInt32>) -> Int
    /// Takes bytes that `supply` promised.
    public var copy: @convention(c) (Owner, Int32, UInt64, UnsafeMutableRawPointer, Int) -> Void
    /// The peer will begin (server) or answer (client) no streams above this one; with its error code.
    public var goAway: @convention(c) (Owner, Int32, UInt32) -> Void
    /// The peer's settings changed.
    public var settings: @convention(c) (Owner) -> Void
    /// A PING of ours was answered; its eight bytes as a number.
    public var pong: @convention(c) (Owner, UInt64) -> Void

    public init(
        head: @escaping @convention(c) (Owner, Int32, UInt64) -> Void,
        data: @escaping @convention(c) (Owner, Int32, UInt64, UnsafeMutableRawPointer, Int) -> Void,
        ended: @escaping @convention(c) (Owner, Int32, UInt64) -> Void,
        closed: @escaping @convention(c) (Owner, Int32, UInt64, UInt32) -> Void,
        supply: @escaping @convention(c) (Owner, Int32, UInt64, Int, UnsafeMutablePointer<UInt32>) -> Int,
        copy: @escaping @convention(c) (Owner, Int32, UInt64, UnsafeMutableRawPointer, Int) -> Void,
        goAway: @escaping @convention(c) (Owner, Int32, UInt32) -> Void,
        settings: @escaping @convention(c) (Owner) -> Void,
        pong: @escaping @convention(c) (Owner, UInt64) -> Void
    ) {
        self.head = head
        self.data = data
        self.ended = ended
        self.closed = closed
        self.supply = supply
        self.copy = copy
        self.goAway = goAway
        self.settings = settings
        self.pong = pong
    }
}

/// What `HTTP2Events.supply` says beside the count.
public enum HTTP2Supply {
    /// The stream ends after these bytes.
    public static var ends: UInt32 { 1 }
    /// These bytes are the last, and trailers follow: the owner calls `sendTrailers` within `supply`.
    public static var trailersFollow: UInt32 { 2 }
}

/// Which side of the connection a session is.
public enum HTTP2Role: UInt8, BitwiseCopyable, Sendable { case server, client }

/// A head that came, as text of HTTP/1: start line, `name: value` lines, empty line. Trailers have neither start line nor
/// empty line, as `Trailers.parse` wants them.
public struct HTTP2Head: BitwiseCopyable {
    public enum Kind: UInt8, BitwiseCopyable, Sendable { case request, response, trailers }
    public var kind = Kind.request
    /// The stream's peer sends nothing behind it.
    public var endsStream = false
    /// The head is beyond its limits; the text is not there.
    public var fault: HTTPFault?
    /// An extended CONNECT for a WebSocket: the text is that of an upgrade in HTTP/1.
    public var isWebSocket = false
    /// Extended CONNECT for another protocol: nothing that can be translated.
    public var isUnknownProtocol = false
    /// `:scheme` is `https`.
    public var isHTTPS = false
    public var text: UnsafeMutableRawPointer?
    public var count = 0

    public init() {}
}
