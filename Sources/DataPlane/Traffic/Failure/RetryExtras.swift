/// What few retry policies ask for.
///
/// Safety: all arrays lead into the arena of the route's table, which never changes.
public struct RetryExtras: BitwiseCopyable, @unchecked Sendable {
    /// Answers that have one of these are retried (condition `retriable-headers`).
    public var answers = ArenaArray<HeaderMatch>()
    /// Only requests that have one of these are retried at all; none: all are.
    public var requests = ArenaArray<HeaderMatch>()
    /// Fields in which the endpoint says when it wants to be asked again, in this order.
    public var resets = ArenaArray<ResetField>()
    /// A longer pause than this is not made.
    public var longestReset: UInt64 = 300_000_000_000

    public init() {}
}

/// A field that says when an endpoint wants to be asked again.
public struct ResetField: BitwiseCopyable, Sendable {
    /// Lower case.
    public var name: ByteRun
    /// A moment in seconds since 1970; false: seconds from now.
    public var isMoment: Bool

    public init(name: ByteRun, isMoment: Bool) {
        self.name = name
        self.isMoment = isMoment
    }
}

extension RetryPolicy {
    private static let rateLimitedField = StaticRun("x-envoy-ratelimited")

    /// Whether it has more than what every try looks at.
    package var isSpecial: Bool { extras != nil || examinesAll || perTryIdleTimeout > 0 }

    /// Whether answers below 400 may be retried too.
    package var judgesEveryAnswer: Bool {
        !conditions.isDisjoint(with: .calls) || conditions.contains(.retriableHeaders)
            || (conditions.contains(.statusCodes) && statuses.hasAnyBelow400)
    }

    /// What the fields of an answer decide: that it is retried, that it is not, or nothing.
    package func decision(onFieldsOf answer: RequestView) -> Bool? {
        if answer.value(of: Self.rateLimitedField.run) != nil { return conditions.contains(.rateLimited) }
        if !conditions.isDisjoint(with: .calls), let status = CallStatus.status(in: answer),
            conditions.covers(call: status)
        {
            return true
        }
        guard conditions.contains(.retriableHeaders), let extras else { return nil }
        for index in 0..<extras.pointee.answers.count where extras.pointee.answers[index].matches(answer) {
            return true
        }
        return nil
    }

    /// Whether the policy is about such requests (`retriable_request_headers`).
    package func isFor(_ request: RequestView) -> Bool {
        guard let extras, !extras.pointee.requests.isEmpty else { return true }
        for index in 0..<extras.pointee.requests.count where extras.pointee.requests[index].matches(request) {
            return true
        }
        return false
    }

    /// The pause that an answer asks for, lengthened at random by up to a half; nil when it asks for none that may be made.
    /// `wallClock` counts nanoseconds since 1970.
    package func pause(askedForBy answer: RequestView, wallClock: UInt64, random: UInt64) -> UInt64? {
        guard let extras else { return nil }
        for index in 0..<extras.pointee.resets.count {
            let field = extras.pointee.resets[index]
            guard let text = answer.value(of: field.name), let number = text.decimal, number >= 0,
                number < 1 << 33
            else { continue }
            var seconds = UInt64(number)
            if field.isMoment {
                let present = wallClock / 1_000_000_000
                guard seconds > present else { continue }
                seconds -= present
            }
            let pause = seconds * 1_000_000_000
            guard pause > 0, pause <= extras.pointee.longestReset else { continue }
            return pause + random % (pause / 2)
        }
        return nil
    }
}

extension StatusSet {
    /// Whether it holds a status below 400.
    package var hasAnyBelow400: Bool { (100..<400).contains { contains($0) } }
}

extension RetryPolicy.Conditions {
    /// The condition with a name as configurations have it; nil: there is no such.
    ///
    /// `http3-post-connect-failure` never comes to be here: no endpoint is spoken to with HTTP/3.
    package init?(name: some StringProtocol) {
        switch name {
        case "5xx": self = .serverError
        case "gateway-error": self = .gatewayError
        case "reset": self = .reset
        case "reset-before-request": self = .resetBeforeRequest
        case "connect-failure": self = .connectFailure
        case "envoy-ratelimited": self = .rateLimited
        case "retriable-4xx": self = .retriable4xx
        case "refused-stream": self = .refusedStream
        case "retriable-status-codes": self = .statusCodes
        case "retriable-headers": self = .retriableHeaders
        case "cancelled": self = .callCancelled
        case "deadline-exceeded": self = .callDeadline
        case "internal": self = .callInternal
        case "resource-exhausted": self = .callExhausted
        case "unavailable": self = .callUnavailable
        case "http3-post-connect-failure": self = []
        default: return nil
        }
    }
}
