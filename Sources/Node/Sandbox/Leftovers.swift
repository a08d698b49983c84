import CWeft
import Glibc

/// Ends and removes the pods of a weft that is no more.
package enum Leftovers {
    /// Ends every pod below `STATE/pods` and removes its directory. Call before the first pod is made.
    ///
    /// - Returns: what could not be ended or removed, each with its reason; empty when all is clean.
    @discardableResult
    package static func sweep(stateDirectory: String) async -> [String] {
        var problems: [String] = []
        for uid in listDirectory("\(stateDirectory)/pods") {
            do throws(SandboxError) {
                try await clear(uid, stateDirectory: stateDirectory)
            } catch { problems.append(error.message) }
        }
        return problems
    }

    /// Ends what runs of one pod and removes what is in its directory, but for the entries in `keeping`; without any the
    /// directory goes too.
    package static func clear(
        _ uid: String,
        stateDirectory: String,
        keeping kept: Set<String> = []
    ) async throws(SandboxError) {
        let directory = "\(stateDirectory)/pods/\(uid)"
        let isPlain = PodRecord.read(directory)?.isolation == Isolation.none
        if let process = findInit(directory), !(await end(process, isPlain: isPlain)) {
            throw SandboxError(.refused, "the pod init \(process.pid) of \(directory) does not end")
        }
        await ControlGroups.ofThisMachine.remove(pod: uid)
        guard !kept.isEmpty else { return try remove(directory) }
        for entry in listDirectory(directory) where !kept.contains(entry) { try remove("\(directory)/\(entry)") }
    }

    /// The pod init that serves a directory: by its record, else by asking who listens on its socket.
    private static func findInit(_ directory: String) -> ProcessIdentity? {
        if let recorded = PodRecord.read(directory)?.process, recorded.isAlive { return recorded }
        let socket = cweft_pod_connect("\(directory)/control.sock", Int32(SOCK_STREAM.rawValue))
        guard socket >= 0 else { return nil }
        defer { close(socket) }
        let pid = cweft_peer_process(socket)
        guard pid > 1, let process = ProcessIdentity.current(pid), process.isPodInit else { return nil }
        return process
    }

    private static func end(_ process: ProcessIdentity, isPlain: Bool) async -> Bool {
        let pidfd = cweft_pidfd_open(process.pid)
        guard pidfd >= 0 else { return !process.isAlive }
        defer { close(pidfd) }
        // The descriptor holds whatever has the number now; the start time tells whether that is the one.
        guard process.isAlive else { return true }
        if isPlain {
            // Without namespaces the init itself ends what the pod started.
            _ = cweft_pidfd_signal(pidfd, cweft_pod_end_signal())
            if await Poller.shared.wait(pidfd, .readable, until: .now + .seconds(10)) == .ready { return true }
        }
        _ = cweft_pidfd_signal(pidfd, SIGKILL)
        return await Poller.shared.wait(pidfd, .readable, until: .now + .seconds(10)) == .ready
    }

    package static func remove(_ path: String) throws(SandboxError) {
        let error = cweft_remove_tree(path)
        guard error != 0 else { return }
        throw SandboxError(.refused, "cannot remove \(path): \(SandboxError.text(error))")
    }
}
