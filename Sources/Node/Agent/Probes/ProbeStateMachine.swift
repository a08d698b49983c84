package import Resources

/// One probe of one run of a container: from outcomes to verdicts, by Kubernetes' thresholds.
///
/// Pure. A readiness probe begins as failed, a liveness probe as passed, a startup probe as undecided.
package struct ProbeStateMachine: Sendable {
    package enum Kind: String, Sendable {
        case startup = "Startup"
        case liveness = "Liveness"
        case readiness = "Readiness"
    }

    package enum Verdict: Sendable, Equatable {
        case undecided, passed, failed
    }

    /// What to do about an outcome.
    package enum Action: Sendable, Equatable {
        case nothing
        /// The verdict changed to this.
        case becomes(Verdict)
        /// Liveness or startup failed for good: the container has to be restarted, and probing ends.
        case restart
    }

    package let kind: Kind
    package private(set) var verdict: Verdict
    private let successThreshold: Int
    private let failureThreshold: Int
    private var isRunOfSuccess = false
    /// Outcomes of the same kind in a row, the last one included.
    package private(set) var runLength = 0

    package init(_ kind: Kind, _ probe: Probe) {
        self.kind = kind
        successThreshold = probe.successThreshold
        failureThreshold = probe.failureThreshold
        verdict =
            switch kind {
            case .startup: .undecided
            case .liveness: .passed
            case .readiness: .failed
            }
    }

    /// Takes an outcome of a regular turn.
    package mutating func observe(isSuccess: Bool) -> Action {
        runLength = isSuccess == isRunOfSuccess ? runLength + 1 : 1
        isRunOfSuccess = isSuccess
        guard runLength >= (isSuccess ? successThreshold : failureThreshold) else { return .nothing }
        let new: Verdict = isSuccess ? .passed : .failed
        if new == .failed, kind != .readiness {
            verdict = .failed
            return .restart
        }
        guard new != verdict else { return .nothing }
        verdict = new
        return .becomes(new)
    }

    /// Whether probing goes on: a startup probe ends with its first success, any but readiness with its failure.
    package var isFinished: Bool {
        switch kind {
        case .startup: verdict != .undecided
        case .liveness: verdict == .failed
        case .readiness: false
        }
    }
}

/// When the turns of a probe come.
///
/// Kubernetes asks once a period from the start, so that a program that needs 300 ms to listen is found ready a whole
/// period late, and is told to be unhealthy meanwhile. Here extra turns come early and fast (25 ms, doubling) until the first success or the first period is
/// over; their failures do not count.
package struct ProbeSchedule: Sendable {
    private static let firstEarly: Duration = .milliseconds(25)

    private let period: Duration
    private var early: Duration? = Self.firstEarly
    private var elapsed: Duration = .zero

    package init(_ probe: Probe) { period = .seconds(probe.periodSeconds) }

    /// Whether a failure of the turn at hand counts.
    package var isEarly: Bool { early != nil }

    /// The wait after a turn.
    package mutating func next(afterSuccess: Bool) -> Duration {
        guard let pause = early, !afterSuccess else {
            early = nil
            return period
        }
        guard elapsed + pause < period else {
            early = nil
            return max(period - elapsed, .zero)
        }
        elapsed += pause
        early = pause * 2
        return pause
    }
}
