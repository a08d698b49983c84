import Reactor
import Traffic

/// Why a line is written; with Envoy's names and numbers.
enum AccessLogKind: UInt8, CaseIterable, BitwiseCopyable, Sendable {
    case notSet = 0
    case tcpUpstreamConnected = 1
    case tcpPeriodic = 2
    case tcpConnectionEnd = 3
    case downstreamStart = 4
    case downstreamEnd = 6
    case downstreamTunnelSuccessfullyEstablished = 10

    /// With a capital letter.
    var name: String {
        let name = "\(self)"
        return name.prefix(1).uppercased() + name.dropFirst()
    }
}

/// The numbers of one finished request or TCP connection.
struct AccessLogNumbers: BitwiseCopyable, Sendable {
    /// Wall clock at the start, nanoseconds since 1970.
    var startTime: UInt64 = 0
    var kind = AccessLogKind.notSet
    /// From the start, nanoseconds: to the last byte received, to the last try, to the first byte of the response's head from
    /// upstream (0 = none came), to the end.
    var requestTime: UInt64 = 0
    var tryTime: UInt64 = 0
    var responseTime: UInt64 = 0
    var duration: UInt64 = 0
    /// Bytes of bodies; of a TCP connection all.
    var bytesReceived: UInt64 = 0
    var bytesSent: UInt64 = 0
    /// With heads and framing.
    var wireReceived: UInt64 = 0
    var wireSent: UInt64 = 0
    var requestHeaders: UInt32 = 0
    var responseHeaders: UInt32 = 0
    var responseTrailers: UInt32 = 0
    var connectionID: UInt64 = 0
    var flags: ResponseFlags = []
    /// 0 = none was sent.
    var status: UInt16 = 0
    var attempts: UInt16 = 0
    /// 10, 11, 20; 0 = not HTTP, or none was reached.
    var version: UInt8 = 0
    var upstreamVersion: UInt8 = 0
    /// `grpc-status` of a gRPC call; -1 = none.
    var grpcStatus: Int32 = -1
    /// The client, as far as trusted headers tell; and the peer of the connection.
    var remote = SocketAddress()
    var directRemote = SocketAddress()
    var local = SocketAddress()
    var directLocal = SocketAddress()
    /// Family 0 = no endpoint was reached.
    var upstream = SocketAddress()
    var upstreamLocal = SocketAddress()

    init() {}
}

/// All that an access log may tell of one request or connection. Read during the call only; nothing of it is kept.
struct AccessLogEntry {
    var numbers = AccessLogNumbers()
    /// Method, authority, path and headers of the request; empty for TCP.
    var request = RequestView(method: .empty, authority: .empty, path: .empty)
    /// Places of the response's headers, as in `RequestView`.
    var response = RequestView(method: .empty, authority: .empty, path: .empty)
    /// Raw lines `name: value` of the response's trailers.
    var trailers: ByteRun = .empty
    var routeName: ByteRun = .empty
    var virtualHost: ByteRun = .empty
    var cluster: ByteRun = .empty
    var filterChain: ByteRun = .empty
    /// Plain words: `via_upstream`, `route_not_found`.
    var details: ByteRun = .empty
    var failure: ByteRun = .empty
    var termination: ByteRun = .empty
    var localReply: ByteRun = .empty
    var isTLS = false
    /// Asks whether requests are welcome (`health_check`).
    var isHealthCheck = false
    /// Texts that were made for this entry: only those that some format wants.
    var made: [LogText: [UInt8]] = [:]

    /// Calls `body` with the text, or with nil where there is none.
    func withText<Result>(_ text: LogText, _ body: (ByteRun?) -> Result) -> Result {
        func plain(_ run: ByteRun) -> Result { body(run.isEmpty ? nil : run) }
        if let bytes = made[text] {
            guard !bytes.isEmpty else { return body(nil) }
            return bytes.withUnsafeBytes { body(ByteRun($0)) }
        }
        switch text {
        case .method: return plain(request.method)
        case .authority: return plain(request.authority)
        case .path: return plain(request.pathAndQuery)
        case .scheme: return plain(request.method.isEmpty ? .empty : isTLS ? Self.https : Self.http)
        case .routeName: return plain(routeName)
        case .virtualHost: return plain(virtualHost)
        case .cluster: return plain(cluster)
        case .filterChain: return plain(filterChain)
        case .details: return plain(details)
        case .failure: return plain(failure)
        case .termination: return plain(termination)
        case .localReply: return plain(localReply)
        case .requestID: return body(request.value(of: Self.requestIDName))
        default: return body(nil)
        }
    }

    /// The value of a trailer, or nil.
    func trailer(_ name: ByteRun) -> ByteRun? {
        var rest = trailers
        while !rest.isEmpty {
            let end = rest.firstIndex(of: 0x0A) ?? rest.count
            var line = rest.first(end)
            rest = rest.dropping(end + 1)
            guard let colon = line.firstIndex(of: 0x3A), line.first(colon).equalsIgnoringCase(name) else { continue }
            line = line.dropping(colon + 1)
            while line[0] == 0x20 || line[0] == 0x09 { line = line.dropping(1) }
            while line.count > 0, let last = line[line.count - 1], last == 0x0D || last == 0x20 || last == 0x09 {
                line = line.first(line.count - 1)
            }
            return line
        }
        return nil
    }

    private static let http = Worker.run("http")
    private static let https = Worker.run("https")
    private static let requestIDName = Worker.run("x-request-id")
}
