/// A set of HTTP status codes 100...599: a bit for each, no memory of its own.
public struct StatusSet: BitwiseCopyable, Sendable, Equatable {
    private var words: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)

    public init() {}

    package mutating func insert(_ status: Int) {
        guard (100..<600).contains(status) else { return }
        let bit = status - 100
        withUnsafeMutableBytes(of: &words) { bytes in bytes[bit / 8] |= 1 << UInt8(bit % 8) }
    }

    package func contains(_ status: Int) -> Bool {
        guard (100..<600).contains(status) else { return false }
        let bit = status - 100
        return withUnsafeBytes(of: words) { bytes in bytes[bit / 8] & (1 << UInt8(bit % 8)) != 0 }
    }

    public static func == (left: StatusSet, right: StatusSet) -> Bool {
        left.words.0 == right.words.0 && left.words.1 == right.words.1 && left.words.2 == right.words.2
            && left.words.3 == right.words.3 && left.words.4 == right.words.4 && left.words.5 == right.words.5
            && left.words.6 == right.words.6 && left.words.7 == right.words.7
    }
}

/// Which failures a route retries, how often and how fast (Envoy's `RetryPolicy`).
/// Safety: `extras` leads into the arena of the route's table, which never changes.
public struct RetryPolicy: BitwiseCopyable, @unchecked Sendable {
    public struct Conditions: OptionSet, BitwiseCopyable, Sendable {
        public let rawValue: UInt16
        public init(rawValue: UInt16) { self.rawValue = rawValue }

        /// Any 5xx status, and every failure without a status.
        public static let serverError = Conditions(rawValue: 1 << 0)
        /// 502, 503 and 504, and every failure without a status.
        public static let gatewayError = Conditions(rawValue: 1 << 1)
        /// The upstream closed or reset the connection, or said nothing until the try timed out.
        public static let reset = Conditions(rawValue: 1 << 2)
        /// A reset before one byte of the request was handed to the kernel.
        public static let resetBeforeRequest = Conditions(rawValue: 1 << 3)
        /// No connection could be made (refused, unreachable, timed out).
        public static let connectFailure = Conditions(rawValue: 1 << 4)
        /// 409.
        public static let retriable4xx = Conditions(rawValue: 1 << 5)
        /// A status of `statuses`.
        public static let statusCodes = Conditions(rawValue: 1 << 6)
        /// The stream was refused by the peer (HTTP/2).
        public static let refusedStream = Conditions(rawValue: 1 << 7)
        /// A call of gRPC that was answered with CANCELLED, DEADLINE_EXCEEDED, INTERNAL, RESOURCE_EXHAUSTED or UNAVAILABLE, and
        /// nothing before.
        public static let callCancelled = Conditions(rawValue: 1 << 8)
        public static let callDeadline = Conditions(rawValue: 1 << 9)
        public static let callInternal = Conditions(rawValue: 1 << 10)
        public static let callExhausted = Conditions(rawValue: 1 << 11)
        public static let callUnavailable = Conditions(rawValue: 1 << 12)
        /// An answer with `x-envoy-ratelimited`, which without this is never retried.
        public static let rateLimited = Conditions(rawValue: 1 << 13)
        /// An answer with one of the retriable headers.
        public static let retriableHeaders = Conditions(rawValue: 1 << 14)
    }

    public var conditions: Conditions = []
    /// Tries after the first one.
    public var retries: UInt32 = 0
    public var statuses = StatusSet()
    /// 0 = only the route's timeout counts.
    public var perTryTimeout: UInt64 = 0
    public var perTryIdleTimeout: UInt64 = 0
    public var backOffBase: UInt64 = 25_000_000
    public var backOffMaximum: UInt64 = 250_000_000
    /// A retry goes to an endpoint that was not tried before, where there is one (`previous_hosts`).
    public var avoidsPreviousEndpoints = true
    /// Draws until an endpoint is found that a retry may go to.
    public var hostSelectionAttempts: UInt32 = 3
    /// Retries avoid endpoints with `envoy.lb: {canary: true}` (`omit_canary_hosts`).
    public var avoidsCanaries = false
    /// Answers below 400 may be retried too: `judgesEveryAnswer`, settled.
    public var examinesAll = false
    /// What few policies have, apart so that it costs the others nothing.
    public var extras: UnsafePointer<RetryExtras>?

    public init() {}
}

/// How a try ended without success.
public enum TryFailure: UInt8, BitwiseCopyable, Sendable {
    /// No connection: refused, unreachable or timed out.
    case connect
    /// The connection broke before a byte of the request was accepted by the kernel.
    case resetBeforeRequest
    /// The connection was reused from the pool and the peer closed it before one byte of the response came: the race of
    /// keep-alive, which no policy is needed for (RFC 9110 section 9.2.2, RFC 9112 section 9.3.1).
    case staleConnection
    /// The connection broke after the request went out, before the response's head.
    case resetBeforeResponse
    /// The try's own time-out passed before the response's head.
    case timeout
    /// The upstream's bytes are no HTTP.
    case protocolError
    case refusedStream
    /// A complete response head with a status came.
    case status
}

/// What to do after a failed try.
public enum RetryVerdict: UInt8, BitwiseCopyable, Sendable {
    case retry
    /// At once, beside the policy's count and the budget: the request never reached an endpoint.
    case retryAtOnce
    /// The policy does not cover this failure.
    case notRetriable
    /// All tries that the policy allows are used up.
    case limitReached
    /// The request cannot be sent again: a part of its body is gone, or a part of the response was sent.
    case notReplayable
}

extension RetryPolicy {
    /// Tries at once that one request may take beside those that the policy counts.
    package static var silentLimit: Int { 3 }

    /// Whether a failed try may be repeated. The budget and the deadline are asked by the caller afterwards.
    ///
    /// A try that was never sent (no connection, or one that broke before a byte of the request was accepted) costs no endpoint any
    /// work: while there is an endpoint that was not tried, it is repeated there at once and does not count.
    ///
    /// - Parameters:
    ///   - failure: how the try ended.
    ///   - status: the response's status when `failure` is `.status`, else 0.
    ///   - retriesDone: retries already made for this request, those at once not counted.
    ///   - silentDone: retries at once already made for it.
    ///   - hasUntried: an endpoint is there to which the request was not sent yet.
    ///   - isIdempotent: GET, HEAD, OPTIONS, TRACE, PUT or DELETE (RFC 9110 section 9.2.2).
    ///   - isCovered: whether the answer's fields decide that it is retried, or that it is not; nil: its status does.
    ///   - isReplayable: every byte of the request can be sent again, and no byte of a response went downstream.
    /// - Returns: `.retry`, or why not.
    package func verdict(
        after failure: TryFailure,
        status: Int,
        retriesDone: Int,
        silentDone: Int = 0,
        hasUntried: Bool = false,
        isIdempotent: Bool,
        isCovered: Bool? = nil,
        isReplayable: Bool
    ) -> RetryVerdict {
        guard isReplayable else { return .notReplayable }
        // One silent repetition on a fresh connection repairs the keep-alive race, with or without a policy.
        if failure == .staleConnection, isIdempotent, silentDone == 0 { return .retryAtOnce }
        // The endpoint has not begun with it (RFC 9113 section 8.7): nothing speaks against sending it once more.
        if failure == .refusedStream, silentDone == 0 { return .retryAtOnce }
        guard isCovered ?? covers(failure, status: status, isIdempotent: isIdempotent) else { return .notRetriable }
        let wasNeverSent = failure == .connect || failure == .resetBeforeRequest
        if wasNeverSent, hasUntried, silentDone < Self.silentLimit { return .retryAtOnce }
        return retriesDone < Int(retries) ? .retry : .limitReached
    }

    private func covers(_ failure: TryFailure, status: Int, isIdempotent: Bool) -> Bool {
        switch failure {
        case .connect:
            return !conditions.isDisjoint(with: [.connectFailure, .serverError, .gatewayError])
        case .resetBeforeRequest:
            return !conditions.isDisjoint(with: [.resetBeforeRequest, .reset, .serverError, .gatewayError])
        case .refusedStream:
            return !conditions.isDisjoint(with: [.refusedStream, .reset, .serverError, .gatewayError])
        case .staleConnection, .resetBeforeResponse, .timeout, .protocolError:
            // The upstream may have acted on the request: only a request that may be repeated is (RFC 9110 9.2.2).
            guard isIdempotent else { return false }
            return !conditions.isDisjoint(with: [.reset, .serverError, .gatewayError])
        case .status:
            if conditions.contains(.statusCodes), statuses.contains(status) { return true }
            if conditions.contains(.retriable4xx), status == 409 { return true }
            if conditions.contains(.serverError), (500...599).contains(status) { return true }
            return conditions.contains(.gatewayError) && (502...504).contains(status)
        }
    }

    /// The pause before retry number `retry` (1 for the first): full jitter over a doubling window.
    ///
    /// The window of retry n is `min(base × (2^n − 1), maximum)`, as Envoy's; the pause is drawn evenly from it.
    package func backOff(retry: Int, random: UInt64) -> UInt64 {
        let doublings = UInt64(1) << UInt64(min(max(retry, 1), 30))
        let (window, overflow) = backOffBase.multipliedReportingOverflow(by: doublings - 1)
        let capped = overflow ? backOffMaximum : min(window, max(backOffMaximum, backOffBase))
        guard capped > 0 else { return 0 }
        return random % capped
    }
}
