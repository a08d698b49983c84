import Reactor
import Traffic

/// Why an answer is not simply the upstream's: Envoy's response flags.
struct ResponseFlags: OptionSet, BitwiseCopyable, Sendable {
    let rawValue: UInt32

    static let noHealthyUpstream = ResponseFlags(rawValue: 1 << 0)
    static let upstreamConnectionFailure = ResponseFlags(rawValue: 1 << 1)
    static let upstreamOverflow = ResponseFlags(rawValue: 1 << 2)
    static let noRoute = ResponseFlags(rawValue: 1 << 3)
    static let upstreamRetryLimit = ResponseFlags(rawValue: 1 << 4)
    static let noCluster = ResponseFlags(rawValue: 1 << 5)
    static let upstreamTimeout = ResponseFlags(rawValue: 1 << 6)
    static let upstreamConnectionTermination = ResponseFlags(rawValue: 1 << 7)
    static let upstreamRemoteReset = ResponseFlags(rawValue: 1 << 8)
    static let localReset = ResponseFlags(rawValue: 1 << 9)
    static let downstreamTermination = ResponseFlags(rawValue: 1 << 10)
    static let downstreamProtocolError = ResponseFlags(rawValue: 1 << 11)
    static let upstreamProtocolError = ResponseFlags(rawValue: 1 << 12)
    static let streamIdleTimeout = ResponseFlags(rawValue: 1 << 13)
    static let durationTimeout = ResponseFlags(rawValue: 1 << 14)
    static let overloadManager = ResponseFlags(rawValue: 1 << 15)
    static let delayInjected = ResponseFlags(rawValue: 1 << 16)
    static let faultInjected = ResponseFlags(rawValue: 1 << 17)
    static let rateLimited = ResponseFlags(rawValue: 1 << 18)

    /// Short names as in Envoy's logs, by bit.
    static let names = [
        "UH", "UF", "UO", "NR", "URX", "NC", "UT", "UC", "UR", "LR", "DC", "DPE", "UPE", "SI", "DT", "OM", "DI", "FI",
        "RL",
    ]

    var text: String {
        guard rawValue != 0 else { return "-" }
        return Self.names.indices.filter { rawValue & (1 << UInt32($0)) != 0 }.map { Self.names[$0] }
            .joined(separator: ",")
    }
}

/// The numbers of one finished request or TCP connection.
struct AccessLogNumbers: BitwiseCopyable, Sendable {
    /// Wall clock at the start, nanoseconds since 1970.
    var startTime: UInt64 = 0
    /// From the start, nanoseconds: to the last byte received, to the first byte of the response's head from upstream
    /// (0 = none came), to the end.
    var requestTime: UInt64 = 0
    var responseTime: UInt64 = 0
    var duration: UInt64 = 0
    var bytesReceived: UInt64 = 0
    var bytesSent: UInt64 = 0
    var connectionID: UInt64 = 0
    var flags: ResponseFlags = []
    /// 0 = none was sent.
    var status: UInt16 = 0
    var attempts: UInt16 = 0
    /// 10, 11, 20; 0 = not HTTP.
    var version: UInt8 = 0
    /// The client, as far as trusted headers tell; and the peer of the connection.
    var remote = SocketAddress()
    var directRemote = SocketAddress()
    var local = SocketAddress()
    /// Family 0 = no endpoint was reached.
    var upstream = SocketAddress()

    init() {}
}

/// All that an access log may tell of one request or connection. Read during the call only; nothing of it is kept.
struct AccessLogEntry {
    var numbers = AccessLogNumbers()
    /// Method, authority, path and headers of the request; empty for TCP.
    var request = RequestView(method: .empty, authority: .empty, path: .empty)
    /// Places of the response's headers, as in `RequestView`.
    var response = RequestView(method: .empty, authority: .empty, path: .empty)
    var routeName: ByteRun = .empty
    var virtualHost: ByteRun = .empty
    var cluster: ByteRun = .empty
    /// The endpoint's address where it is no IP address.
    var upstreamName: ByteRun = .empty
    var listener: ByteRun = .empty
    /// Plain words: `via_upstream`, `route_not_found`, `upstream connect refused (3 attempts)`.
    var details: ByteRun = .empty
    var failure: ByteRun = .empty
}
