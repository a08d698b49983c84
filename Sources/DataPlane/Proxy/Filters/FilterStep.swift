import Bytes
import HTTP
import Traffic

/// One filter of a chain, compiled. A plain value: what it leads to is owned by the `FilterChain` that holds the step.
struct FilterStep: BitwiseCopyable, Sendable {
    /// The filters by what they were compiled to.
    enum Kind: BitwiseCopyable, Sendable {
        case headerMutation(Unmanaged<HeaderMutationRules>)
        case compressor(Unmanaged<CompressorSettings>)
        case decompressor(Unmanaged<DecompressorSettings>)
        case externalAuthorization(Unmanaged<AuthorizationSettings>)
        case fault(Unmanaged<FaultFilter>)
        case buffer(Unmanaged<BufferRules>)
        case cors(Unmanaged<CorsFilter>)
        case healthCheck(Unmanaged<HealthCheckFilter>)
        case rateLimit(Unmanaged<RateLimitSettings>)
        case tokens(Unmanaged<TokenSettings>)
        case admission(Unmanaged<AdmissionSettings>)
        case concurrency(Unmanaged<ConcurrencySettings>)
        case session(Unmanaged<SessionSettings>)
        case rbac(Unmanaged<AccessFilter>)
        case localRateLimit(Unmanaged<LocalRateLimitFilter>)
        case fallback(Unmanaged<FallbackRules>)
        case onDemand(Unmanaged<OnDemandSettings>)
    }

    /// What a step takes part in: what it does not name costs it nothing.
    struct Parts: OptionSet, BitwiseCopyable, Sendable {
        let rawValue: UInt8
        static let request = Parts(rawValue: 1)
        static let answer = Parts(rawValue: 2)
        /// It wants to know how the request ended.
        static let end = Parts(rawValue: 4)
        /// Its answer phase looks at the request's head.
        static let remembersRequest = Parts(rawValue: 8)
    }

    let kind: Kind
    let parts: Parts
    /// The number of its name, by which routes speak of it.
    let name: Int32
    /// It works only for routes that say something of it.
    let isDisabled: Bool
}

/// The types of settings that routes may have for a filter; `RouteFilter.kind` holds the number.
enum RouteFilterKind: UInt8 {
    case headerMutation = 1
    case compressor = 20
    case externalAuthorization = 30
    case fault = 2
    case buffer = 3
    case cors = 4
    case rateLimit = 31
    /// `rate_limits` of a route or virtual host: of no filter alone.
    case rateLimits = 32
    case tokens = 21
    case session = 22
    case rbac = 5
    case fallback = 6
    case localRateLimit = 7
    case onDemand = 8
}

/// The filters of a connection manager before its router, in order.
final class FilterChain: Sendable {
    let steps: [FilterStep]
    /// What the steps lead to.
    private let owners: [any AnyObject & Sendable]

    init(steps: [FilterStep], owners: [any AnyObject & Sendable]) {
        self.steps = steps
        self.owners = owners
    }
}

/// What a filter keeps of one request, by step. A filter that needs something adds its case.
enum FilterState {
    case none
    case coding(CodingState)
    /// It waits for the answer of a call (`call`), or has it.
    case calling(CallToken)
    case called(CallAnswer)
    /// What it changes in the answer.
    case answerEdits(HeadEdits)
    case fault(FaultState)
    case cors(CorsState)
    /// The request asks about health.
    case healthCheck
    /// For whose keys the request waited.
    case tokens(Set<Int>)
    /// When the request was let through.
    case admitted(UInt64)
    case session(SessionState)
    case cluster(ClusterWait)
}

/// What a step makes of a request.
enum FilterVerdict {
    /// The next step's turn.
    case next
    /// The proxy answers itself.
    case answered(FilterReply)
    /// The request waits. Something else calls `resumeFilters` (or the exchange's `wakeDeadline` passes), and the same step is
    /// called again: it knows from its state that it was here.
    case suspended
    /// The step wants the body before it decides: it is called again when the body is whole or longer than so many bytes
    /// (`FilterPass.collected`).
    case collects(Int)
}

/// An answer that a filter gives in place of the endpoint.
struct FilterReply {
    var status: UInt16
    var body: [UInt8] = []
    /// `%RESPONSE_CODE_DETAILS%`, and `x-weft-reason`.
    var details: [UInt8]
    var flags: ResponseFlags = []
    /// `grpc-status` for calls; nil: what follows from `status`.
    var callStatus: UInt8?
    /// Fields of the answer.
    var fields = HeadEdits()

    init(status: UInt16, body: String = "", details: String, flags: ResponseFlags = []) {
        self.status = status
        self.body = Array(body.utf8)
        self.details = Array(details.utf8)
        self.flags = flags
    }
}

/// A request in the hands of a step.
struct FilterPass {
    /// How much of the body is at hand.
    enum Collected { case nothing, whole, beginning }

    let index: Int32
    let exchange: ExchangePlace
    let place: DownstreamPlace
    let chain: ChainPlace
    /// Which step of the chain this is.
    var step = 0
    /// The request as it stands after the steps before.
    var facts: RequestFacts
    var match: RouteMatch
    /// What the step changes in the head; done after it.
    var edits = HeadEdits()
    /// The route is looked for again after the changes.
    var clearsRoute = false
    /// From now on pieces of the body go through `transform`.
    var transformsBody = false

    /// Whether a body follows the head.
    var hasBody: Bool { !exchange.pointee.requestBody.isComplete || collected != .nothing }

    var collected: Collected { exchange.filterRun?.pointee.collected ?? .nothing }

    var route: UnsafePointer<Route>? {
        if case .route(let route, _) = match { return route }
        return nil
    }
}

/// An answer in the hands of a step.
struct AnswerPass {
    let exchange: ExchangePlace
    let place: DownstreamPlace
    let chain: ChainPlace
    var step = 0
    var status: UInt16
    /// The fields of the answer as it stands after the steps before.
    var view: RequestView
    /// The proxy's own.
    let isLocal: Bool
    /// Bytes follow the head.
    let hasBody: Bool
    /// The declared length of the body, where there is one.
    let length: UInt64?
    var edits = HeadEdits()
    /// From now on pieces of the body go through `transform`; only where `hasBody`, and not for the proxy's own answers.
    var transformsBody = false
}

/// The way of one request through its filters; lives in the exchange's extras.
struct FilterRun {
    /// The next step, or the one that waits.
    var position = 0
    var states: [FilterState] = []
    /// `health_check` answers it, or lets it through.
    var isHealthCheck = false
    var match = RouteMatch.noVirtualHost
    /// The number of the drawn cluster; nil: not drawn.
    var cluster: Int32?
    /// The cluster that came on demand, held; it counts before the drawn one.
    var found: ClusterPlace?
    /// The request's head, once it was changed or has to wait.
    var head = Buffer()
    var parsed = RequestHead()
    /// The answer's head, once it was changed.
    var answer = Buffer()
    /// What is told of the proxy's own answer.
    var details = Buffer()
    var callStatus: UInt8?
    var fields = HeadEdits()
    /// Decoded bytes of the body that were collected, and how many of them are on their way.
    var stored: [UInt8] = []
    var fed = 0
    var limit = 0
    var collected = FilterPass.Collected.nothing
    var isCollecting = false
    /// What is left of the time for the body, while the request waits.
    var bodyTime: UInt64 = .max
    /// The body of a request that a redirect made: raw, as it stands behind the head.
    var redirected = Buffer()
    /// What stands in for an answer that does not come.
    var fallback: FallbackState?
    /// Steps that change the bodies, in the order of their work.
    var requestTransforms: [Int] = []
    var answerTransforms: [Int] = []
}

extension UnsafeMutablePointer where Pointee == Exchange {
    /// The request's way through filters; nil for requests without any.
    var filterRun: UnsafeMutablePointer<FilterRun>? {
        guard let extras = pointee.extras else { return nil }
        return extras.pointee.filters
    }
}
