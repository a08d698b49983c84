/// The compiled form of one route and of what hangs on it. Plain values only: all bytes stand in the arena of the
/// `RouteTable` that owns them, so a route may be read through a pointer without touching a reference count.
public struct Route: BitwiseCopyable, Sendable {
    public var name: ByteRun = .empty
    public var path = PathMatch()
    public var headers = ArenaArray<HeaderMatch>()
    public var query = ArenaArray<QueryMatch>()
    /// The route matches for this many of a million random draws.
    public var fractionPerMillion: UInt32 = 1_000_000
    /// What few routes ask of a request beside all that.
    public var demands: Demands = []
    /// The changes of the answer name fields of the request, whose head is therefore kept.
    public var remembersRequest = false
    /// Where its requests are counted apart (`stat_prefix`), a number of the configuration's; -1: nowhere.
    public var numbers: Int32 = -1
    /// It or its host's virtual clusters count requests apart.
    public var isCounted = false
    /// The number of its series among those that all routes have; -1: it has none.
    public var series: Int32 = -1
    public var action: Action = .notFound
    /// Applied to the request before it is sent upstream, in order: the route's, then its virtual host's, then the table's.
    public var requestEdits = ArenaArray<HeaderEdit>()
    /// Applied to every answer that this route gives, in the same order.
    public var responseEdits = ArenaArray<HeaderEdit>()
    /// The name of the spans of its requests; empty: none of its own.
    public var operation: ByteRun = .empty
    /// What is said of the chain's filters here: the route's own entries first, then its virtual host's, then the table's.
    public var filters = ArenaArray<RouteFilter>()

    public struct Demands: OptionSet, BitwiseCopyable, Sendable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// `content-type: application/grpc`, alone or with `+` or `;` behind it.
        public static let grpc = Demands(rawValue: 1)
        /// The client presented a certificate that was found good, or none.
        public static let certificate = Demands(rawValue: 2)
        public static let noCertificate = Demands(rawValue: 4)
    }

    public enum Action: BitwiseCopyable, @unchecked Sendable {
        /// In the configuration's arena: it is read in place, since it is long and every request reads it many times.
        case forward(UnsafePointer<Forward>)
        case redirect(UnsafePointer<Redirect>)
        case direct(UnsafePointer<DirectResponse>)
        /// A route for others (`non_forwarding_action`): the proxy answers 503.
        case notFound
    }

    public init() {}
}

/// How a route matches a path (never the query).
public struct PathMatch: BitwiseCopyable, Sendable {
    public enum Kind: UInt8, BitwiseCopyable, Sendable {
        case prefix, exact
        /// The prefix itself, or the prefix followed by `/`.
        case separatedPrefix
        /// Only CONNECT requests.
        case connect
        /// The whole path, as `pattern` says.
        case pattern
    }
    public var kind: Kind = .prefix
    public var isCaseSensitive = true
    public var bytes: ByteRun = .empty
    public var pattern: Pattern?

    public init() {}
}

/// How a text must look.
public struct TextMatch: BitwiseCopyable, Sendable {
    public enum Kind: UInt8, BitwiseCopyable, Sendable { case exact, prefix, suffix, contains, pattern }
    public var kind: Kind = .exact
    public var ignoresCase = false
    public var bytes: ByteRun = .empty
    public var pattern: Pattern?

    public init() {}
}

/// A condition on a request header. A header that occurs several times matches when one of its values does.
public struct HeaderMatch: BitwiseCopyable, Sendable {
    public enum Target: UInt8, BitwiseCopyable, Sendable {
        case field, method, path, authority, scheme
        /// The first cookie of the name, which is not in lower case.
        case cookie
    }
    public enum Rule: BitwiseCopyable, Sendable {
        case text(TextMatch)
        /// A decimal number, `start` included, `end` excluded.
        case range(start: Int64, end: Int64)
        case present(Bool)
    }
    public var target: Target = .field
    /// The field's name in lower case.
    public var name: ByteRun = .empty
    public var rule: Rule = .present(true)
    public var isInverted = false
    public var treatsMissingAsEmpty = false

    public init() {}
}

/// A condition on the first query parameter of a name; bytes are compared as they came, without decoding.
public struct QueryMatch: BitwiseCopyable, Sendable {
    public var name: ByteRun = .empty
    /// What the value must be; nil when presence (`mustBePresent`) is all that counts.
    public var text: TextMatch?
    public var mustBePresent = true

    public init() {}
}

/// Where a matched request goes, and under which rules.
/// Safety: `extras` leads into the arena of the route's table, which never changes.
public struct Forward: BitwiseCopyable, @unchecked Sendable {
    public var choice: ClusterChoice = .cluster(-1)
    /// From the request's end to the response's end, all tries together; 0 = no limit.
    public var timeout: UInt64 = 15_000_000_000
    /// Silence allowed on this stream; nil = the connection manager's.
    public var idleTimeout: UInt64?
    /// Whole life of the stream, nil = the connection manager's, 0 = no limit.
    public var maxStreamDuration: UInt64?
    public var retry = RetryPolicy()
    public var priority: Priority = .normal
    /// Replaces the matched prefix (or, for an exact path, the whole path).
    public var prefixRewrite: ByteRun?
    /// What few routes have, apart so that it costs the others nothing.
    public var extras: UnsafePointer<ForwardExtras>?
    public var hostRewrite: ByteRun?
    /// Host becomes the chosen endpoint's hostname, where it has one.
    public var autoHostRewrite = false
    /// The host before a rewrite goes into X-Forwarded-Host.
    public var appendsForwardedHost = false
    /// `x-envoy-attempt-count` upstream and downstream.
    public var addsAttemptCount = false
    public var addsAttemptCountToResponse = false
    /// `x-envoy-expected-rq-timeout-ms`, as it goes upstream; empty = none.
    public var expectedTimeout: ByteRun = .empty
    /// nil: as the connection manager says.
    public var allowsWebSocket: Bool?
    /// Status when the cluster does not exist: 503 or 404.
    public var clusterNotFoundStatus: UInt16 = 503

    public init() {}
}

/// Which cluster a forwarded request goes to. Clusters are named by their index in the snapshot.
public enum ClusterChoice: BitwiseCopyable, Sendable {
    case cluster(Int32)
    /// Drawn by weight; `total` is the sum of weights, at least 1.
    case weighted(ArenaArray<WeightedCluster>, total: UInt64)
    /// The cluster named by this request header (lower case).
    case header(ByteRun)
}

public struct WeightedCluster: BitwiseCopyable, Sendable {
    /// -1: the request header `header` names it.
    public var cluster: Int32
    public var weight: UInt32
    public var header: ByteRun = .empty
    /// Stand in place of the route's edits, which are in them.
    public var requestEdits: ArenaArray<HeaderEdit>
    public var responseEdits: ArenaArray<HeaderEdit>
    public var hostRewrite: ByteRun?
    /// Stand in place of the route's, which are in them.
    public var filters = ArenaArray<RouteFilter>()
    /// The `SubsetCriteria` in place of the route's, which are in them.
    public var criteria = ByteRun.empty

    public init(cluster: Int32, weight: UInt32) {
        self.cluster = cluster
        self.weight = weight
        requestEdits = ArenaArray()
        responseEdits = ArenaArray()
    }
}

/// Envoy's two classes of circuit-breaker thresholds.
public enum Priority: UInt8, BitwiseCopyable, Sendable { case normal = 0, high = 1 }

/// One change of a header list.
public struct HeaderEdit: BitwiseCopyable, Sendable {
    public enum Kind: UInt8, BitwiseCopyable, Sendable {
        case append
        case addIfAbsent
        /// Every present field of the name goes, then one is added.
        case overwrite
        /// Only when the name is present: replaced.
        case overwriteIfPresent
        case remove
    }
    public var kind: Kind
    /// Lower case.
    public var name: ByteRun
    /// The value's parts in order; one literal for almost every edit.
    public var value: ArenaArray<ValuePart>
    public var keepsEmptyValue: Bool

    public init(kind: Kind, name: ByteRun, value: ArenaArray<ValuePart>, keepsEmptyValue: Bool = false) {
        self.kind = kind
        self.name = name
        self.value = value
        self.keepsEmptyValue = keepsEmptyValue
    }
}

/// What one level of a route configuration says of a filter.
public struct RouteFilter: BitwiseCopyable, Sendable {
    /// The number of the filter's name.
    public var name: Int32
    /// What `settings` leads to, as the owner of the filters numbers it; 0 = nothing is set.
    public var kind: UInt8
    public var isDisabled: Bool
    /// The address of an object that the table's arena keeps.
    public var settings: ByteRun

    public init(name: Int32, kind: UInt8, isDisabled: Bool, settings: ByteRun) {
        self.name = name
        self.kind = kind
        self.isDisabled = isDisabled
        self.settings = settings
    }
}

/// A piece of a header value or of a text that is put together per request.
public struct ValuePart: BitwiseCopyable, Sendable {
    public enum Kind: UInt8, BitwiseCopyable, Sendable {
        case literal
        case downstreamRemoteAddress, downstreamRemoteAddressWithoutPort
        /// The peer of the connection, whatever headers say.
        case directRemoteAddress, directRemoteAddressWithoutPort
        case downstreamLocalAddress, downstreamLocalPort
        case upstreamHost, upstreamCluster, routeName, protocolName, responseCode, responseFlags, hostname
        case downstreamLocalAddressWithoutPort, upstreamHostWithoutPort, connectionID, attempts, serverName
        /// The start of the request, as the pattern in `bytes` says.
        case startTime
        /// What the object at `bytes` makes of the request (`Arena.keep`); it wants the request's head, or does not.
        case formatted, formattedWithRequest
        /// The request header named by `bytes`, else the one named by `alternative`.
        case requestHeader
        /// The response header named by `bytes`, else the one named by `alternative`.
        case responseHeader
    }
    public var kind: Kind
    public var bytes: ByteRun
    public var alternative: ByteRun
    /// Bytes of a header's value that are taken.
    public var limit: Int

    public init(kind: Kind, bytes: ByteRun, alternative: ByteRun = .empty, limit: Int = .max) {
        self.kind = kind
        self.bytes = bytes
        self.alternative = alternative
        self.limit = limit
    }
}

public struct Redirect: BitwiseCopyable, Sendable {
    public var status: UInt16 = 301
    public var host: ByteRun?
    public var port: UInt16?
    public var usesHTTPS = false
    public var scheme: ByteRun?
    public var path: ByteRun?
    public var prefixRewrite: ByteRun?
    public var pathRewrite: PatternRewrite?
    public var stripsQuery = false

    public init() {}
}

public struct DirectResponse: BitwiseCopyable, Sendable {
    public var status: UInt16
    public var body: ByteRun

    public init(status: UInt16, body: ByteRun) {
        self.status = status
        self.body = body
    }
}

/// The compiled form of a virtual host.
public struct VirtualHost: BitwiseCopyable, Sendable {
    public enum TLSRule: UInt8, BitwiseCopyable, Sendable { case none, externalOnly, all }
    public var name: ByteRun
    public var routes: ArenaArray<Route>
    public var requiresTLS: TLSRule = .none
    /// The first one whose conditions a request meets counts it; the last one has none.
    public var virtualClusters = ArenaArray<VirtualCluster>()

    public init(name: ByteRun, routes: ArenaArray<Route>) {
        self.name = name
        self.routes = routes
    }
}
