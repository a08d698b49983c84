import Glibc

/// Turns requests away while too many of those before them failed (Envoy's `admission_control`), by a chance that grows with
/// the failures.
///
/// Owned by one worker; pure, O(1) for each request: time and chance are arguments.
package struct AdmissionController: Sendable {
    package struct Settings: Sendable, Equatable, BitwiseCopyable {
        /// Nanoseconds.
        package var window: UInt64 = 30_000_000_000
        /// 1 is linear; more turns away earlier.
        package var aggression = 1.0
        /// Shares of 1.
        package var successThreshold = 0.95
        package var maxRejection = 0.8
        /// Below so many requests a second nobody is turned away.
        package var rateThreshold: UInt32 = 0

        package init() {}
    }

    private struct Second {
        var start: UInt64
        var requests: UInt32
        var successes: UInt32
    }

    package let settings: Settings
    /// A ring of seconds.
    private var seconds: [Second]
    private var first = 0
    private var used = 0
    package private(set) var requests: UInt64 = 0
    package private(set) var successes: UInt64 = 0

    package init(_ settings: Settings) {
        self.settings = settings
        let count = min(3600, Int(clamping: settings.window / 1_000_000_000) + 2)
        seconds = Array(repeating: Second(start: 0, requests: 0, successes: 0), count: count)
    }

    /// Notes how an admitted request went.
    package mutating func record(isSuccess: Bool, now: UInt64) {
        forget(now)
        let last = (first + used - 1) % seconds.count
        if used == 0 || now >= seconds[last].start &+ 1_000_000_000 {
            if used == seconds.count { drop() }
            seconds[(first + used) % seconds.count] = Second(start: now, requests: 0, successes: 0)
            used += 1
        }
        let place = (first + used - 1) % seconds.count
        seconds[place].requests &+= 1
        requests &+= 1
        guard isSuccess else { return }
        seconds[place].successes &+= 1
        successes &+= 1
    }

    /// Whether the next request is turned away; the remainder of `random` by 10,000 decides.
    package mutating func rejects(now: UInt64, random: UInt64) -> Bool {
        forget(now)
        guard rate(now) >= settings.rateThreshold else { return false }
        return probability * 10_000 > Double(random % 10_000)
    }

    /// With what chance.
    package var probability: Double {
        guard settings.successThreshold > 0 else { return 0 }
        let excess = Double(requests) - Double(successes) / settings.successThreshold
        guard excess > 0 else { return 0 }
        let linear = excess / Double(requests + 1)
        return min(settings.aggression == 1 ? linear : pow(linear, 1 / settings.aggression), settings.maxRejection)
    }

    /// Requests a second over what is remembered.
    private func rate(_ now: UInt64) -> UInt64 {
        guard used > 0 else { return 0 }
        return requests / max(1, (now &- seconds[first].start) / 1_000_000_000)
    }

    private mutating func forget(_ now: UInt64) {
        while used > 0, now >= seconds[first].start, now - seconds[first].start >= settings.window { drop() }
    }

    private mutating func drop() {
        requests &-= UInt64(seconds[first].requests)
        successes &-= UInt64(seconds[first].successes)
        first = (first + 1) % seconds.count
        used -= 1
    }
}

/// Which answers are successes.
package struct AdmissionCriteria: Sendable, Equatable {
    /// From, up to and without.
    package var statuses: [Range<Int32>] = [100..<500]
    /// Bits by gRPC's status; without failures of the service itself.
    package var callStatuses: UInt32 = defaultCallStatuses

    package init() {}

    /// 0 OK, 1 cancelled, 2 unknown, 3, 5, 6, 7, 9, 11, 12, 16: what the caller is to blame for.
    package static let defaultCallStatuses: UInt32 = [0, 1, 2, 3, 5, 6, 7, 9, 11, 12, 16].reduce(0) { $0 | 1 << $1 }

    package func isSuccess(status: UInt16) -> Bool { statuses.contains { $0.contains(Int32(status)) } }

    /// A negative status: the call ended without one.
    package func isSuccess(callStatus: Int8) -> Bool {
        callStatus >= 0 && callStatus < 32 && callStatuses & 1 << UInt32(callStatus) != 0
    }
}
