/// How long a container waits before it is started again, as Kubernetes has it: the first restart comes at once, then
/// 10 s, doubling to 300 s; a run of 10 minutes forgets all that.
///
/// Pure: moments are arguments, in any clock's durations since a fixed start.
package struct RestartBackOff: Sendable {
    package static let first: Duration = .seconds(10)
    package static let last: Duration = .seconds(300)
    package static let calm: Duration = .seconds(600)

    private var next: Duration = .zero

    package init() {}

    /// As it stands after so many restarts, each of a short run.
    package init(restarts: Int) {
        for _ in 0..<min(max(0, restarts), 8) { _ = delay(afterRunOf: .zero) }
    }

    /// The wait before the next start, after a run of this length.
    package mutating func delay(afterRunOf length: Duration) -> Duration {
        if length >= Self.calm { next = .zero }
        defer { next = next == .zero ? Self.first : min(next * 2, Self.last) }
        return next
    }
}

/// How long an image that cannot be resolved is left alone: 10 s doubling to 300 s.
package struct ImageBackOff: Sendable {
    private var next = RestartBackOff.first

    package init() {}

    package mutating func delay() -> Duration {
        defer { next = min(next * 2, RestartBackOff.last) }
        return next
    }
}

/// Whether a container that ended is started again.
package enum RestartRule {
    package static func restarts(policy: String, exitCode: Int) -> Bool {
        switch policy {
        case "Never": false
        case "OnFailure": exitCode != 0
        default: true
        }
    }
}
