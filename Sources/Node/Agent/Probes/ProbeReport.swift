package import Resources

/// What a probe of a container found last.
package struct ProbeReport: Sendable, Equatable {
    package struct Place: Sendable, Hashable {
        package let container: String
        package let kind: ProbeStateMachine.Kind
    }

    package let place: Place
    package let outcome: ProbeOutcome
    package let verdict: ProbeStateMachine.Verdict
    /// How often in a row it was so.
    package let runLength: Int
    package let time: Timestamp

    init(_ place: Place, _ outcome: ProbeOutcome, _ machine: ProbeStateMachine, at time: Timestamp) {
        self.place = place
        self.outcome = outcome
        verdict = machine.verdict
        runLength = machine.runLength
        self.time = time
    }
}

extension Agent {
    /// What the probes of some pods found last, by the pod's uid.
    package func probeReports(of uids: [String]) async -> [String: [ProbeReport]] {
        var reports: [String: [ProbeReport]] = [:]
        for uid in uids {
            guard let worker = worker(of: uid) else { continue }
            reports[uid] = await worker.probeReports.values.sorted {
                ($0.place.container, $0.place.kind.rawValue) < ($1.place.container, $1.place.kind.rawValue)
            }
        }
        return reports
    }
}
