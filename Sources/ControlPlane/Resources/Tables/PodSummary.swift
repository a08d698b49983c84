/// The READY, STATUS and RESTARTS cells of a pod, by kubectl's rules.
package struct PodSummary: Sendable, Equatable {
    /// `1/2`.
    package let ready: String
    /// `Running`, `CrashLoopBackOff`, `Init:0/1`, `ErrImagePull`, `Terminating` ...
    package let status: String
    /// `3 (20s ago)`.
    package let restarts: String
    package let restartCount: Int
    package let readyCount: Int
    package let containerCount: Int

    /// The summary of a pod at a moment.
    package init(_ pod: Object, at now: Timestamp) {
        let spec = PodSpec(pod.spec)
        let status = PodStatus(pod.status)
        let sidecars = Set(spec.initContainers.filter { $0.restartPolicy == "Always" }.map(\.name))
        let counted = status.containerStatuses + status.initContainerStatuses.filter { sidecars.contains($0.name) }
        readyCount = counted.filter { $0.ready && Self.isRunning($0) }.count
        containerCount = spec.containers.count + sidecars.count
        ready = "\(readyCount)/\(containerCount)"

        var reason = status.reason.isEmpty ? status.phase : status.reason
        if status.conditions.first(ofType: "PodScheduled")?.reason == "SchedulingGated" { reason = "SchedulingGated" }
        let initReason = Self.initReason(spec, status, sidecars)
        var restarted = status.initContainerStatuses.filter { initReason != nil || sidecars.contains($0.name) }
        if let initReason {
            reason = initReason
        } else {
            restarted += status.containerStatuses
            reason = Self.mainReason(status, fallback: reason)
        }
        if pod.isDeleting {
            reason = status.reason == "NodeLost" ? "Unknown" : "Terminating"
        }
        self.status = reason
        restartCount = restarted.reduce(0) { $0 + max($1.restartCount, 0) }
        restarts = Self.restarts(restartCount, restarted, now)
    }

    private static func isRunning(_ container: ContainerStatus) -> Bool {
        if case .running? = container.state { return true }
        return false
    }

    /// The state of the first init container that is not done, or nil when all are.
    private static func initReason(_ spec: PodSpec, _ status: PodStatus, _ sidecars: Set<String>) -> String? {
        for (index, container) in status.initContainerStatuses.enumerated() {
            switch container.state {
            case .terminated(let end)? where end.exitCode == 0: continue
            case .running? where sidecars.contains(container.name) && container.started: continue
            case .terminated(let end)?: return "Init:" + reason(of: end)
            case .waiting(let reason, _)? where !reason.isEmpty && reason != "PodInitializing": return "Init:" + reason
            default: return "Init:\(index)/\(spec.initContainers.count)"
            }
        }
        return nil
    }

    private static func reason(of end: ContainerStatus.Termination) -> String {
        if !end.reason.isEmpty { return end.reason }
        return end.signal != 0 ? "Signal:\(end.signal)" : "ExitCode:\(end.exitCode)"
    }

    private static func mainReason(_ status: PodStatus, fallback: String) -> String {
        var reason = fallback
        var hasRunning = false
        for container in status.containerStatuses.reversed() {
            switch container.state {
            case .waiting(let why, _)? where !why.isEmpty: reason = why
            case .terminated(let end)?: reason = Self.reason(of: end)
            case .running? where container.ready: hasRunning = true
            default: break
            }
        }
        if reason == "Completed", hasRunning { return status.isReady ? "Running" : "NotReady" }
        return reason
    }

    private static func restarts(_ count: Int, _ containers: [ContainerStatus], _ now: Timestamp) -> String {
        let last = containers.compactMap { container -> Timestamp? in
            guard case .terminated(let end)? = container.lastState else { return nil }
            return end.finishedAt
        }.max()
        guard count > 0, let last else { return String(count) }
        return "\(count) (\(HumanDuration.age(of: last, at: now)) ago)"
    }
}
