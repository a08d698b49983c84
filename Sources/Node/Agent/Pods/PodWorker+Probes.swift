import Resources
import Sandbox

// Probes of a running container.
extension PodWorker {
    /// Probes until the container ends (the task is cancelled) or the verdict is final.
    func probe(
        _ kind: ProbeStateMachine.Kind,
        _ probe: Probe,
        _ container: Container,
        _ runner: ProbeRunner
    ) async {
        guard let action = probe.action else { return }
        let name = container.name
        // A startup probe that has not passed yet holds the others back.
        while kind != .startup, !Task.isCancelled, record(name)?.isStarted == false { await changed() }
        let delay = Duration.seconds(probe.initialDelaySeconds)
        if delay > .zero { try? await Task.sleep(for: delay) }
        var machine = ProbeStateMachine(kind, probe)
        var schedule = ProbeSchedule(probe)
        while !Task.isCancelled, !machine.isFinished, kind == .readiness || !isStopping {
            let isEarly = schedule.isEarly
            let outcome = await runner.run(action, timeout: .seconds(probe.timeoutSeconds))
            guard !Task.isCancelled, record(name)?.isRunning == true else { return }
            if outcome.isSuccess || !isEarly {
                let action = machine.observe(isSuccess: outcome.isSuccess)
                let place = ProbeReport.Place(container: name, kind: kind)
                probeReports[place] = ProbeReport(place, outcome, machine, at: now())
                take(outcome, action, kind, probe, name)
            }
            try? await Task.sleep(for: schedule.next(afterSuccess: outcome.isSuccess))
        }
    }

    private func take(
        _ outcome: ProbeOutcome,
        _ action: ProbeStateMachine.Action,
        _ kind: ProbeStateMachine.Kind,
        _ probe: Probe,
        _ name: String
    ) {
        if case .failure(let why) = outcome {
            event("Unhealthy", "\(kind.rawValue) probe failed: \(why)", isWarning: true)
        }
        switch action {
        case .nothing: return
        case .becomes(let verdict):
            change(name) {
                if kind == .readiness { $0.isProbedReady = verdict == .passed }
                if kind == .startup { $0.isStarted = verdict == .passed }
            }
            publish()
        case .restart:
            slots[name]?.restartReason =
                "Container \(name) failed \(kind.rawValue.lowercased()) probe, will be restarted"
            slots[name]?.restartGrace = probe.terminationGracePeriodSeconds.map { .seconds($0) }
            change(name) { $0.isProbedReady = false }
            publish()
        }
    }
}
