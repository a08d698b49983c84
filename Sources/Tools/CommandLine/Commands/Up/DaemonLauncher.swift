import CWeft
import Glibc
import Sandbox

/// Starts the daemon in the background when none runs.
struct DaemonLauncher: Sendable {
    let state: StateDirectory
    let isolation: IsolationChoice
    let discovery: DiscoveryChoice
    let telemetry: TelemetryChoice
    let api: APIChoice

    /// How long a daemon may take until its API answers; it opens a store and sweeps leftovers of a predecessor.
    static let patience = Duration.seconds(20)

    /// A daemon that was started: its process, and where it says why it could not.
    private struct Started {
        let pid: pid_t
        let report: Int32
    }

    /// Makes sure that a daemon answers; true when this call started it.
    ///
    /// - Throws: `CommandError` with the daemon's own words, else the end of its log, when it does not come up.
    func ensureRunning(_ client: APIClient) async throws -> Bool {
        if await client.isAnswering() {
            try await isolation.ensureMatches(client)
            return false
        }
        try await IsolationChoice.ensurePossible(isolation.mode)
        try state.make()
        let end = ContinuousClock.now + Self.patience
        let daemon = try spawn()
        defer { close(daemon.report) }
        while ContinuousClock.now < end {
            if await client.isAnswering() { return true }
            var status: Int32 = 0
            if waitpid(daemon.pid, &status, WNOHANG) == daemon.pid {
                // Somebody else's may have been a moment faster: then that one serves.
                if try await isServedByAnother(client, until: end) { return false }
                throw failure("the daemon cannot start: ", daemon, or: "the daemon ended while it started:")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        kill(daemon.pid, SIGTERM)
        throw CommandError("the daemon did not answer within \(Self.patience.components.seconds) s:\n\(logEnd())")
    }

    private func isServedByAnother(_ client: APIClient, until end: ContinuousClock.Instant) async throws -> Bool {
        while DaemonLock.holder(of: state) != nil, ContinuousClock.now < end {
            if await client.isAnswering() { return true }
            try await Task.sleep(for: .milliseconds(20))
        }
        return await client.isAnswering()
    }

    private func failure(_ start: String, _ daemon: Started, or other: String) -> CommandError {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = read(daemon.report, &bytes, bytes.count)
        guard count > 0 else { return CommandError("\(other)\n\(logEnd())") }
        return CommandError("\(start)\(Terminal.harmless(String(decoding: bytes[..<count], as: UTF8.self)))")
    }

    /// Runs `weft serve` in a session of its own, with its output in the log.
    private func spawn() throws(CommandError) -> Started {
        var pipes: [Int32] = [-1, -1]
        guard pipe2(&pipes, O_CLOEXEC | O_NONBLOCK) == 0 else {
            throw CommandError("the daemon cannot be started: \(FileReader.describe(errno))")
        }
        // Where no log can be written, the reason still comes through the pipe.
        let log = open(state.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        defer {
            close(pipes[1])
            if log >= 0 { close(log) }
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        if log >= 0 {
            posix_spawn_file_actions_adddup2(&actions, log, STDOUT_FILENO)
        } else {
            posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
        }
        posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO)
        posix_spawn_file_actions_adddup2(&actions, pipes[1], 3)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSID))
        let words =
            [
                "weft", "serve", "--state-dir", state.path, "--isolation", isolation.mode.rawValue, "--report", "3",
            ] + discovery.words + telemetry.words + api.words
        var arguments = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, &arguments, Glibc.environ)
        guard code == 0 else {
            close(pipes[0])
            throw CommandError("the daemon cannot be started: \(FileReader.describe(code))")
        }
        return Started(pid: pid, report: pipes[0])
    }

    private func logEnd() -> String {
        guard let bytes = try? FileReader.bytes(of: state.log) else { return "  (no log at \(state.log))" }
        let lines = String(decoding: bytes.suffix(4096), as: UTF8.self).split(separator: "\n").suffix(8)
        return lines.map { "  \(Terminal.harmless(String($0)))" }.joined(separator: "\n") + "\n  (log: \(state.log))"
    }
}
