/// What few routes ask for when they forward.
///
/// Safety: all runs lead into the arena of the route's table, which never changes.
public struct ForwardExtras: BitwiseCopyable, @unchecked Sendable {
    /// Stands in place of a prefix rewrite.
    public var pathRewrite: PatternRewrite?
    /// Host becomes the value of this request header (lower case), where it is there.
    public var hostRewriteHeader: ByteRun?
    /// Host becomes the path, without its query, as this rewrites it.
    public var hostRewritePath: PatternRewrite?
    /// Clusters that get a copy of the request.
    public var mirrors = ArenaArray<Mirror>()
    public var internalRedirect: InternalRedirect?
    /// Weighted clusters are drawn by the number in this request header (lower case), where it is there.
    public var drawHeader: ByteRun?
    /// Bytes of a request that are kept for another try.
    public var replayLimit: Int?
    /// nil: as the connection manager says, which passes on or refuses.
    public var connect: ConnectRule?
    /// `x-envoy-is-timeout-retry` on tries that follow a time-out.
    public var tellsTimeoutRetries = false
    /// A try that takes too long goes on, and another one begins beside it (`hedge_on_per_try_timeout`).
    public var hedges = false
    /// What counts of the deadlines of gRPC's clients; nil: they are passed on as they are.
    public var callTimeout: CallTimeout?
    /// What is hashed of a request, for balancers that go by hashes.
    public var hashRules = ArenaArray<HashRule>()
    /// The `SubsetCriteria` that endpoints are asked for, where its start is.
    public var criteria = ByteRun.empty

    public init() {}
}

/// What becomes of CONNECT requests.
public enum ConnectRule: UInt8, BitwiseCopyable, Sendable {
    case refuse
    /// The request goes to the endpoint as it is.
    case passOn
    /// The endpoint gets the bytes alone.
    case terminate
}

/// A copy of some requests goes to a cluster of its own; nobody waits for the answer.
public struct Mirror: BitwiseCopyable, Sendable {
    /// -1: the request header `header` (lower case) names it.
    public var cluster: Int32
    public var header: ByteRun
    /// Of a million requests.
    public var share: UInt32
    /// The copy's host gets `-shadow`.
    public var marksHost: Bool

    public init(cluster: Int32, header: ByteRun = .empty, share: UInt32 = 1_000_000, marksHost: Bool = true) {
        self.cluster = cluster
        self.header = header
        self.share = share
        self.marksHost = marksHost
    }
}

/// Redirects of endpoints that the proxy follows itself.
public struct InternalRedirect: BitwiseCopyable, Sendable {
    public var limit: UInt32 = 1
    public var statuses = StatusSet()
    public var crossesScheme = false
    /// Fields of the redirecting answer that the next request gets (lower case).
    public var copied = ArenaArray<ByteRun>()

    public init() {}

    /// Where a `Location` leads: an authority and a path with its query. Nil when the redirect is not followed: no whole URL, no
    /// HTTP, or another scheme than the request's where that is not allowed.
    package func target(of location: ByteRun, isTLS: Bool) -> (authority: ByteRun, path: ByteRun)? {
        var rest = location
        if let end = rest.firstIndex(of: 0x23) { rest = rest.first(end) }
        let isSecure: Bool
        if rest.first(7).equalsIgnoringCase(StaticRun("http://").run) {
            isSecure = false
            rest = rest.dropping(7)
        } else if rest.first(8).equalsIgnoringCase(StaticRun("https://").run) {
            isSecure = true
            rest = rest.dropping(8)
        } else {
            return nil
        }
        guard crossesScheme || isSecure == isTLS else { return nil }
        let end = rest.firstIndex(of: 0x2F) ?? rest.count
        guard end > 0, rest.first(end).firstIndex(of: 0x40) == nil, rest.first(end).firstIndex(of: 0x3F) == nil else {
            return nil
        }
        return (rest.first(end), rest.dropping(end))
    }
}

extension ByteRun {
    /// The name of a shadow of this host: `-shadow` before its port.
    package func shadowParts() -> (name: ByteRun, port: ByteRun) {
        let name = withoutPort
        return (name, dropping(name.count))
    }
}
