/// `HttpConnectionManager`, compiled. All times in nanoseconds, 0 = no limit.
final class HTTPChainConfiguration: Sendable {
    let settings: Settings

    init(_ settings: Settings) { self.settings = settings }

    struct Settings: Sendable {
        var statPrefix = ""
        /// Index into `Snapshot.routeTables`; the table may be missing while its file has not come yet: 404 (`NR`).
        var routeTable: Int32 = -1
        var codec = Codec.auto
        var http2 = HTTP2Options()
        /// `server:` of answers.
        var serverName: [UInt8] = Array("weft".utf8)
        var serverHeader = ServerHeader.overwrite
        /// `Via` that is added to requests and answers; empty = none.
        var via: [UInt8] = []
        /// Downstream connection without a request.
        var idleTimeout: UInt64 = 3_600_000_000_000
        var maxConnectionDuration: UInt64 = 0
        var maxStreamDuration: UInt64 = 0
        /// Silence of a stream.
        var streamIdleTimeout: UInt64 = 300_000_000_000
        /// From the first byte of a request to its last.
        var requestTimeout: UInt64 = 0
        /// From the first byte of a request to the end of its head.
        var requestHeadersTimeout: UInt64 = 10_000_000_000
        var drainTimeout: UInt64 = 5_000_000_000
        var delayedCloseTimeout: UInt64 = 1_000_000_000
        /// Bytes of a request's head: request line and fields.
        var maxRequestHeaderBytes = 60 * 1024
        var maxHeaderCount = 100
        /// 0 = no limit.
        var maxRequestsPerConnection: UInt32 = 0
        var allowsWebSocket = false
        /// CONNECT requests are passed on where the route says nothing about them.
        var allowsConnect = false
        /// The peer's address is the client's: X-Forwarded-For gets it appended and what came is not trusted.
        var usesRemoteAddress = false
        var trustedHops: UInt32 = 0
        /// How the client's address is found; nil: by the two above.
        var clientAddress: ClientAddressRule?
        /// What `:scheme` says; nil: as the client's connection.
        var isHTTPS: Bool?
        /// Endpoints are told the scheme that they are spoken to with.
        var schemeFollowsEndpoint = false
        /// Lines of the access log beside those of the ends of requests.
        var logsStarts = false
        var logsTunnels = false
        /// Clients in these are of the house: what their `x-envoy-` fields ask for is done.
        var internalNetworks: [AddressRange] = []
        var appendsForwardedFor = true
        var generatesRequestID = true
        var keepsExternalRequestID = false
        var normalizesPath = true
        var mergesSlashes = true
        var escapedSlashes = EscapedSlashes.reject
        var stripsPort = StripPort.never
        var stripsTrailingHostDot = false
        var rejectsUnderscoreNames = true
        var acceptsHTTP10 = true
        /// For requests of HTTP/1.0 that name none; empty = none.
        var defaultHost: [UInt8] = []
        /// `x-forwarded-port` for the upstream.
        var appendsForwardedPort = false
        var setsRequestIDInResponse = false
        /// `100 Continue` is left to the upstream instead of being answered here.
        var proxiesContinue = false
        /// `x-envoy-upstream-service-time` in answers.
        var addsUpstreamTime = true
        var clientCertificate = ClientCertificate()
        var accessLogs: [AccessLogIndex] = []
        /// nil: requests have no spans.
        var tracing: TracingSettings?
        /// nil: the router alone.
        var filters: FilterChain?
        /// The names that `POST /tap` knows the chain by, besides the one of all chains.
        var taps: [TapPoint] = []
        /// nil: `proxy-status` is not told.
        var proxyStatus: ProxyStatusRule?
        /// nil: the proxy's own answers stay as they are.
        var localReplies: LocalReplyRules?

        init() {}
    }

    /// What becomes of `x-forwarded-client-cert`.
    struct ClientCertificate: Sendable {
        enum Mode: UInt8, Sendable { case remove, forward, append, set, forwardAlways }

        struct Parts: OptionSet, Sendable {
            let rawValue: UInt8
            static let certificate = Parts(rawValue: 1)
            static let chain = Parts(rawValue: 2)
            static let subject = Parts(rawValue: 4)
            static let uri = Parts(rawValue: 8)
            static let dns = Parts(rawValue: 16)
        }
        var mode = Mode.remove
        var parts: Parts = []
    }

    enum Codec: Sendable { case auto, http1, http2 }
    enum ServerHeader: Sendable { case overwrite, appendIfAbsent, passThrough }
    /// What becomes of `%2F` and `%5C` in a path.
    enum EscapedSlashes: Sendable { case keep, reject, unescapeAndRedirect, unescapeAndForward }
    enum StripPort: Sendable { case never, matching, any }
}
