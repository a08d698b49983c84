import Bytes
import HTTP
import Reactor
import Traffic

/// One request with its answer, or one relayed connection: what ties a client's connection to an endpoint's.
struct Exchange: SlabElement {
    enum State: UInt8, BitwiseCopyable {
        /// No endpoint's connection yet: in the queue, or in the pause before a retry.
        case waiting
        /// A connection is being made.
        case connecting
        /// The request is on its way or out; no final response head yet.
        case awaitingResponse
        /// The response head went to the client.
        case responding
        /// Both sides are relayed.
        case tunnel
    }

    struct Flags: OptionSet, BitwiseCopyable {
        let rawValue: UInt32
        static let isTunnelOnly = Flags(rawValue: 1)
        static let wantsUpgrade = Flags(rawValue: 2)
        static let expectsContinue = Flags(rawValue: 4)
        /// The client speaks HTTP/1.0.
        static let isHTTP10 = Flags(rawValue: 8)
        static let requestIsChunked = Flags(rawValue: 16)
        static let responseIsChunked = Flags(rawValue: 32)
        /// Bytes of the request that were sent are gone: it cannot be sent again.
        static let isNotReplayable = Flags(rawValue: 64)
        static let holdsRequest = Flags(rawValue: 128)
        static let holdsRetry = Flags(rawValue: 256)
        static let holdsPending = Flags(rawValue: 512)
        static let isQueued = Flags(rawValue: 1024)
        static let isBackingOff = Flags(rawValue: 2048)
        static let startedTry = Flags(rawValue: 4096)
        static let countedRequest = Flags(rawValue: 8192)
        static let speculates = Flags(rawValue: 16384)
        static let countedTCP = Flags(rawValue: 32768)
        static let responseEndedEarly = Flags(rawValue: 65536)
        /// A byte of the request was handed to the kernel in this try.
        static let sentBytes = Flags(rawValue: 1 << 17)
        static let hasDirectAnswer = Flags(rawValue: 1 << 18)
        /// The request's head declared a length, of zero perhaps.
        static let declaresLength = Flags(rawValue: 1 << 19)
        /// A retry is due that waits for a place in the budget.
        static let awaitsBudget = Flags(rawValue: 1 << 20)
        /// It waited for a first endpoint.
        static let awaitedEndpoint = Flags(rawValue: 1 << 21)
        /// A CONNECT request that ends here: the endpoint gets the bytes alone.
        static let terminatesConnect = Flags(rawValue: 1 << 26)
        /// Redirects of the endpoint may be followed here.
        static let followsRedirects = Flags(rawValue: 1 << 25)
        /// A copy of another request: nobody waits for its answer.
        static let isShadow = Flags(rawValue: 1 << 31)
        /// Answers below 400 may be retried too.
        static let judgesEveryAnswer = Flags(rawValue: 1 << 30)
        /// The route says how much of a request is kept for another try.
        static let hasReplayLimit = Flags(rawValue: 1 << 29)
        /// A try may not be silent for long, whatever else it does.
        static let hasTryIdleTimeout = Flags(rawValue: 1 << 28)
        /// The try before this one took too long.
        static let followsTimeout = Flags(rawValue: 1 << 27)
        /// Of unknown length, and kept without chunks: for HTTP/2.
        static let isUnframed = Flags(rawValue: 1 << 23)
        /// A filter of the chain waits for something.
        static let isSuspended = Flags(rawValue: 1 << 24)
        /// A call of gRPC: the proxy's own answers say why in `grpc-status`.
        static let isGRPC = Flags(rawValue: 1 << 22)
    }

    var generation: UInt32 = 0
    var nextFree: Int32 = -1
    var isLive = false
    var state = State.waiting
    var method = RequestMethod.other
    var priority = Priority.normal
    var flags: Flags = []
    var downstream: Int32 = -1
    var upstream: Int32 = -1
    /// The endpoint of the present try.
    var endpoint: Int32 = -1
    var edge: Int32 = 0
    var status: UInt16 = 0
    var attempts: UInt16 = 0
    var retries: UInt16 = 0
    /// Retries at once, which the policy does not count.
    var silentRetries: UInt8 = 0
    /// How often a retry waited for a place in the budget.
    var budgetWaits: UInt8 = 0
    var interims: UInt8 = 0
    /// Relays: so much comes at once from the client, or from the endpoint, that it is moved inside the kernel.
    var movesUp = false
    var movesDown = false
    /// `grpc-status` of a call's answer; -1 = none yet.
    var callStatus: Int8 = -1
    var responseFlags: ResponseFlags = []
    /// Neighbours in the cluster's queue.
    var nextPending: Int32 = -1
    var previousPending: Int32 = -1
    var cluster: ClusterPlace?
    var route: UnsafePointer<Route>?
    var weighted: UnsafePointer<WeightedCluster>?
    /// Keeps the memory behind `route` alive.
    var snapshot: SnapshotPlace?
    var tried = TriedEndpoints()
    /// The request as it goes upstream: kept for a further try while it is whole, else what is still to be sent.
    var request = Buffer()
    /// How much of `request` was sent in this try.
    var requestSent: Int32 = 0
    /// The client's head as it came, for the access log.
    var record = Buffer()
    var responseRecord = Buffer()
    /// Raw trailer lines on their way.
    var trailers = Buffer()
    var requestBody = Body()
    var responseBody = Body()
    var bytesReceived: UInt64 = 0
    var bytesSent: UInt64 = 0
    /// Monotonic nanoseconds; 0 = has not happened.
    var startedAt: UInt64 = 0
    var requestEndedAt: UInt64 = 0
    var triedAt: UInt64 = 0
    var respondedAt: UInt64 = 0
    var lastActivity: UInt64 = 0
    /// Deadlines; `.max` = none.
    var routeDeadline: UInt64 = .max
    var tryDeadline: UInt64 = .max
    /// By when the client must have sent its body.
    var bodyDeadline: UInt64 = .max
    var wakeDeadline: UInt64 = .max
    var idleTimeout: UInt64 = 0
    var upstreamAddress = SocketAddress()
    /// From where the endpoint was dialled, where a log wants to know.
    var upstreamLocal = SocketAddress()
    /// Why the last try failed, for the answer and the log.
    var failure = FailureText.none
    /// The TCP chain of a relayed connection; retained while it is set.
    var tcp: Unmanaged<TCPChainConfiguration>?
    /// What few requests need; freed with the exchange.
    var extras: UnsafeMutablePointer<ExchangeExtras>?

    init() {}

    var isTunnel: Bool { state == .tunnel || flags.contains(.isTunnelOnly) }
    /// The endpoint gets the client's bytes as they are, so no pooled connection will do.
    var isRaw: Bool { !flags.isDisjoint(with: [.isTunnelOnly, .terminatesConnect]) }
}

typealias ExchangePlace = UnsafeMutablePointer<Exchange>

/// Why a try failed, in words that stand in answers and logs.
enum FailureText: UInt8, BitwiseCopyable {
    case none, refused, unreachable, connectTimeout, namespaceGone, resetBeforeRequest, resetBeforeResponse,
        closedBeforeResponse
    case timeout, badResponse, outOfDescriptors, otherConnectError, truncatedResponse, tlsFailed

    var text: StaticString {
        switch self {
        case .none: "none"
        case .refused: "connection refused"
        case .unreachable: "no route to the endpoint"
        case .connectTimeout: "no connection within the connect timeout"
        case .namespaceGone: "the endpoint's network namespace is not there"
        case .resetBeforeRequest: "the connection broke before the request was sent"
        case .resetBeforeResponse: "the endpoint reset the connection before it answered"
        case .closedBeforeResponse: "the endpoint closed the connection before it answered"
        case .timeout: "no answer within the timeout"
        case .badResponse: "the endpoint's answer is no acceptable HTTP"
        case .outOfDescriptors: "the proxy has no file descriptor left"
        case .otherConnectError: "the connection could not be made"
        case .tlsFailed: "TLS with the endpoint failed"
        case .truncatedResponse: "the endpoint's answer was cut short"
        }
    }
}
