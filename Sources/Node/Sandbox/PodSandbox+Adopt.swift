import CWeft
import Glibc

/// A pod that an earlier weft made and that runs on.
package struct AdoptedPod: Sendable {
    package let sandbox: PodSandbox
    /// The last run of every container that was started.
    package let runs: [ContainerRun]
}

extension PodSandbox {
    /// How long a container that is being started may take to have started or failed.
    private static let startPatience: Duration = .seconds(5)

    /// Takes over the pod that runs in a directory. The process is known by its number and its start time.
    ///
    /// - Returns: nil when none runs there, or it cannot be spoken to; `Leftovers.clear` ends what there is then.
    package static func adopt(_ directory: String, hiddenDirectory: String) async -> AdoptedPod? {
        guard let record = PodRecord.read(directory), record.process.isAlive, record.process.isPodInit else {
            return nil
        }
        let pidfd = cweft_pidfd_open(record.process.pid)
        let control = cweft_pod_connect("\(directory)/control.sock", Int32(SOCK_STREAM.rawValue))
        // The descriptor holds whatever has the number now: only after a second look it is the one.
        guard pidfd >= 0, control >= 0, record.process.isAlive else {
            if pidfd >= 0 { close(pidfd) }
            if control >= 0 { close(control) }
            return nil
        }
        var spec = SandboxSpec(
            namespace: record.namespace,
            name: record.name,
            uid: record.uid,
            directory: directory,
            hiddenDirectory: hiddenDirectory,
            address: record.address
        )
        spec.isolation = record.isolation
        let sandbox = PodSandbox(spec: spec, process: record.process, pidfd: pidfd, control: control)
        await sandbox.listen()
        guard let runs = await sandbox.settledContainers() else { return nil }
        return AdoptedPod(sandbox: sandbox, runs: runs)
    }

    /// The containers once none is in the middle of its start.
    private func settledContainers() async -> [ContainerRun]? {
        let deadline = ContinuousClock.now + Self.startPatience
        while let runs = try? await containers() {
            if !runs.contains(where: { $0.state == .starting }) { return runs }
            guard ContinuousClock.now < deadline else { return nil }
            try? await Task.sleep(for: .milliseconds(5))
        }
        return nil
    }
}
