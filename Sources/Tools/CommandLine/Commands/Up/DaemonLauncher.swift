import CWeft
import Glibc

/// Starts the daemon in the background when none runs.
struct DaemonLauncher: Sendable {
    let state: StateDirectory

    /// How long a daemon may take until its API answers; it opens a store and sweeps leftovers of a predecessor.
    static let patience = Duration.seconds(20)

    /// Makes sure that a daemon answers; true when this call started it.
    ///
    /// - Throws: `CommandError` with the end of the daemon's log when it does not come up.
    func ensureRunning(_ client: APIClient) async throws -> Bool {
        if await client.isAnswering() { return false }
        try state.make()
        let start = ContinuousClock.now
        let pid = try spawn()
        while ContinuousClock.now - start < Self.patience {
            if await client.isAnswering() { return true }
            var status: Int32 = 0
            if waitpid(pid, &status, WNOHANG) == pid {
                throw CommandError("the daemon ended while it started:\n\(logEnd())")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        kill(pid, SIGTERM)
        throw CommandError("the daemon did not answer within \(Self.patience.components.seconds) s:\n\(logEnd())")
    }

    /// Runs `weft serve` in a session of its own, with its output in the log.
    private func spawn() throws(CommandError) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, state.log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSID))
        let words = ["weft", "serve", "--state-dir", state.path]
        var arguments = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, &arguments, Glibc.environ)
        guard code == 0 else { throw CommandError("the daemon cannot be started: \(FileReader.describe(code))") }
        return pid
    }

    private func logEnd() -> String {
        guard let bytes = try? FileReader.bytes(of: state.log) else { return "  (no log at \(state.log))" }
        let lines = String(decoding: bytes.suffix(4096), as: UTF8.self).split(separator: "\n").suffix(8)
        return lines.map { "  \(Terminal.harmless(String($0)))" }.joined(separator: "\n") + "\n  (log: \(state.log))"
    }
}
