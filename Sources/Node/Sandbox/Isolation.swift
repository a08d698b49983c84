import CWeft
import Glibc

/// How pods are kept apart from each other and from the machine.
package enum Isolation: String, Sendable, CaseIterable {
    /// User, mount, network, PID, UTS and IPC namespaces for each pod.
    case namespaces
    /// None: plain processes on the machine's own network and files.
    case none

    /// Makes a pod's namespaces once, for a moment. Nil when that works; else what the system does not allow, and what to do.
    package static func obstacle() async -> MachineFinding? {
        var row = Row()
        row.add("probe", "1")
        var helper: pid_t = 0
        var report: Int32 = -1
        let error = row.bytes.withUnsafeBytes { bytes in
            cweft_pod_spawn(bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, &helper, &report)
        }
        guard error == 0 else {
            return MachineFinding("namespaces", .missing, "cannot try them: \(SandboxError.text(error))")
        }
        defer { close(report) }
        let lines = await PodSandbox.readReport(report)
        var status: Int32 = 0
        waitpid(helper, &status, 0)
        guard !lines.contains("ready") else { return nil }
        let reason = lines.lazy.compactMap { $0.hasPrefix("error ") ? String($0.dropFirst(6)) : nil }.first
        let number = lines.lazy.compactMap { $0.hasPrefix("errno ") ? Int32($0.dropFirst(6)) : nil }.first
        return MachineFinding(
            "namespaces",
            .missing,
            reason ?? "the trial ended without a word",
            remedy: MachineCheck.namespaceRemedy(number ?? 0)
        )
    }
}

/// An address and port on which a process listens.
package struct ListeningSocket: Sendable, Equatable {
    package let address: String
    package let port: Int

    /// From `ADDRESS PORT`.
    init?(_ text: String) {
        let parts = text.split(separator: " ")
        guard parts.count == 2, let number = Int(parts[1]) else { return nil }
        address = String(parts[0])
        port = number
    }
}
