import Reactor
import Traffic

/// What few requests need beside their exchange: rules of their own, copies that are on their way, an id for the answer.
struct ExchangeExtras {
    /// What fields of the request ask for (`x-envoy-retry-on` and its kin), until its route is known.
    var asked = AskedRules()
    /// Stands in place of the route's policy.
    var retry: RetryPolicy?
    /// Stands in place of the route's, nanoseconds; 0 = no limit.
    var timeout: UInt64?
    /// What a call's client granted: the whole life of its stream, nanoseconds; and when it ends.
    var callDuration: UInt64?
    var callDeadline: UInt64 = .max
    var shadows: [ShadowHandle] = []
    /// Tries that took too long and go on beside the present one.
    var hedges: [ShadowHandle] = []
    /// Of such a try: the request that it belongs to.
    var hedgeOf: ShadowHandle?
    /// For the answer (`always_set_request_id_in_response`).
    var requestID: [UInt8] = []
    /// The request may tell things that only the house itself may.
    var isInternal = false
    /// Names of answers' fields that make a retry (`x-envoy-retriable-header-names`), in lower case.
    var retriableNames: [[UInt8]] = []
    /// Redirects followed, the URL that the last of them came from, and the one that it led to.
    var redirects: UInt32 = 0
    var originalURL: [UInt8] = []
    var redirectedURL: [UInt8] = []
    /// Numbers of the route and of the virtual cluster that count it; -1: none.
    var counted: (route: Int32, cluster: Int32) = (-1, -1)
    /// Where a header of the request says that it goes.
    var destination: SocketAddress?
    /// The endpoint that its session wants.
    var session: SessionWish?
    /// By which a balancer of hashes chooses; nil: by chance.
    var hash: UInt64?
    /// What a relay asks of endpoints; that of requests is their route's.
    var criteria: SubsetCriteria?
    /// By the positions of the route's hash rules: cookies that the answer sets.
    var newCookies: UInt32 = 0
    /// Of requests that have spans.
    var trace: TraceState?
    /// Somebody may want to be told of it.
    var tap: TapState?
    /// How slowly the body of its answer is to come; nil: as fast as it can.
    var pace: AnswerPace?
    /// It is a call of the proxy's own.
    var call: SideCall?
    /// The way through the chain's filters; nil where there are none.
    var filters: UnsafeMutablePointer<FilterRun>?
}

/// What the fields of a request ask for.
struct AskedRules: BitwiseCopyable {
    var conditions: RetryPolicy.Conditions = []
    var statuses = StatusSet()
    var retries: UInt32?
    /// Nanoseconds.
    var timeout: UInt64?
    var perTryTimeout: UInt64?
    /// Whether a try that takes too long goes on beside another one.
    var hedges: Bool?

    var asksForRetries: Bool { !conditions.isEmpty || retries != nil || statuses != StatusSet() }
}

/// An exchange beside a request: a copy that is on its way, or a try that was set aside.
struct ShadowHandle: BitwiseCopyable {
    var exchange: Int32
    var generation: UInt32
}
