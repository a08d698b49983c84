/// Statuses of gRPC, as far as a proxy acts on them.
public enum CallStatus {
    /// What a status means in HTTP, for those who judge endpoints by that: gRPC answers failures with 200.
    public static func http(_ status: Int) -> UInt16 {
        switch status {
        case 0: 200
        case 3, 9, 11: 400
        case 16: 401
        case 7: 403
        case 5: 404
        case 6, 10: 409
        case 8: 429
        case 1: 499
        case 12: 501
        case 14: 503
        case 4: 504
        default: 500
        }
    }

    /// Whether the call failed for what the server is to blame for: the classes of Linkerd's metrics.
    public static func isFailure(_ status: Int) -> Bool {
        switch status {
        case 2, 4, 7, 13, 14, 15: true
        default: false
        }
    }

    /// The status that a head or trailers name; nil: none, or no number of a status.
    package static func status(in fields: RequestView) -> Int? {
        guard let text = fields.value(of: statusName.run) else { return nil }
        return status(text)
    }

    public static func status(_ text: ByteRun) -> Int? {
        guard text.count <= 2, let number = text.decimal, number >= 0 else { return nil }
        return Int(number)
    }

    private static let statusName = StaticRun("grpc-status")
}

/// How long a call may take by what its client says (`grpc-timeout`).
public struct CallTimeout: BitwiseCopyable, Sendable {
    /// The longest that is granted, nanoseconds; 0 = no limit.
    public var maximum: UInt64
    /// Taken off what the client says, so that the answer is there in time.
    public var offset: UInt64
    /// It stands in place of the route's timeout, also for calls that say nothing (`max_grpc_timeout`).
    public var isRouteTimeout: Bool

    public init(maximum: UInt64, offset: UInt64, isRouteTimeout: Bool) {
        self.maximum = maximum
        self.offset = offset
        self.isRouteTimeout = isRouteTimeout
    }

    /// Nanoseconds for a call, 0 = no limit; nil: the route's own rules stay.
    public func time(_ asked: UInt64?) -> UInt64? {
        guard asked != nil || isRouteTimeout else { return nil }
        var time = asked ?? 0
        if time > offset { time -= offset }
        if maximum > 0, time == 0 || time > maximum { time = maximum }
        // A deadline that is over already: what is 0 would mean none.
        if asked == 0, maximum == 0 { return 1 }
        return time
    }

    /// Nanoseconds of a `grpc-timeout`: up to eight digits and a unit; nil when it is none.
    public static func parse(_ text: ByteRun) -> UInt64? {
        guard text.count >= 2, text.count <= 9, let unit = text[text.count - 1],
            // No sign: `-0` is none of the grammar's.
            let first = text[0], first >= 0x30, let number = text.first(text.count - 1).decimal, number >= 0
        else { return nil }
        let factor: UInt64
        switch unit {
        case 0x48: factor = 3_600_000_000_000
        case 0x4D: factor = 60_000_000_000
        case 0x53: factor = 1_000_000_000
        case 0x6D: factor = 1_000_000
        case 0x75: factor = 1_000
        case 0x6E: factor = 1
        default: return nil
        }
        let (time, overflow) = UInt64(number).multipliedReportingOverflow(by: factor)
        return overflow ? UInt64.max / 4 : min(time, .max / 4)
    }
}

extension RetryPolicy.Conditions {
    /// Those about statuses of gRPC.
    public static let calls: RetryPolicy.Conditions = [
        .callCancelled, .callDeadline, .callInternal, .callExhausted, .callUnavailable,
    ]

    /// Whether a status of gRPC is among them.
    package func covers(call status: Int) -> Bool {
        switch status {
        case 1: contains(.callCancelled)
        case 4: contains(.callDeadline)
        case 8: contains(.callExhausted)
        case 13: contains(.callInternal)
        case 14: contains(.callUnavailable)
        default: false
        }
    }
}
