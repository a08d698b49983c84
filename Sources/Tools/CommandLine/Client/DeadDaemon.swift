import Controllers
import Glibc
import Sandbox
import Servers

/// What a daemon that was killed leaves behind, and its removal.
enum DeadDaemon {
    /// How long a daemon may take from its lock to its first answer.
    private static let patience = Duration.seconds(10)

    /// Whether a daemon answers; one that has only just begun is waited for, one that hangs is asked twice.
    static func isAlive(_ state: StateDirectory, _ client: APIClient) async -> Bool {
        let end = ContinuousClock.now + patience
        var silences = 0
        while silences < 2 {
            let asked = ContinuousClock.now
            if await client.isAnswering() { return true }
            if ContinuousClock.now - asked > .seconds(1) { silences += 1 }
            guard DaemonLock.holder(of: state) != nil, ContinuousClock.now < end else { return false }
            try? await Task.sleep(for: .milliseconds(50))
        }
        return false
    }

    /// Ends the pods and the proxy of a dead daemon and removes its files; with `keepsObjects` its store stays.
    ///
    /// - Throws: `CommandError` when the directory is none of ours, a daemon holds it without answering, or something does
    ///   not end.
    static func clean(_ state: StateDirectory, keepsObjects: Bool) async throws -> ExitCode {
        guard access(state.path, F_OK) == 0 else {
            Terminal.note("nothing runs with the state directory \(state.path)")
            return .success
        }
        guard
            ["weft.pid", "store.db", "pods", "proxy", "volumes"].contains(where: {
                access("\(state.path)/\($0)", F_OK) == 0
            })
        else {
            throw CommandError("\(state.path) is no state directory of Weft; nothing was removed")
        }
        let lock = try takeLock(state)
        defer {
            lock.release()
            rmdir(state.path)
        }
        ProxySupervisor.sweep(pidFile: "\(state.path)/proxy/weft-proxy.pid")
        await NameKeeper.sweep(NamesCommand.settings(state))
        let problems = await Leftovers.sweep(stateDirectory: state.path)
        guard problems.isEmpty else { throw CommandError(problems.joined(separator: "\n")) }
        guard !keepsObjects else { return .success }
        unlink(state.socket)
        StateFiles(state: state).remove()
        try StateFiles(state: state).complainOfRest()
        Terminal.note("removed what a daemon that was killed had left in \(state.path)")
        return .success
    }

    /// - Throws: `CommandError` for a daemon that is there but does not answer: it is stopped, or stuck.
    private static func takeLock(_ state: StateDirectory) throws(CommandError) -> DaemonLock {
        if let pid = DaemonLock.holder(of: state) {
            throw CommandError(
                "the daemon (pid \(pid)) has the state directory \(state.path), but does not answer; end it with "
                    + "'kill -9 \(pid)', then run 'weft down' again"
            )
        }
        return try DaemonLock(state, onlyReads: true)
    }
}
