import CWeft
import Glibc
import Sandbox

/// The daemon's entry: everything behind `weft serve`.
enum ServeCommand {
    /// Runs until it is told to stop, by a signal or through its API.
    ///
    /// Calls `ready` when the API answers. With `leavesPods` a signal ends the daemon alone.
    ///
    /// - Returns: the exit code: 0 after an orderly end.
    /// - Throws: `CommandError` or `APIError` that says why it cannot start.
    static func run(
        _ state: StateDirectory,
        _ isolation: Isolation,
        _ discovery: DiscoveryChoice,
        _ telemetry: TelemetryChoice,
        _ api: APIChoice,
        leavesPods: Bool,
        ready: () -> Void
    ) async throws -> Int32 {
        signal(SIGPIPE, SIG_IGN)
        raiseFileLimit()
        // Started as /proc/self/exe, the process would be called "exe" in every list of processes.
        nameProcess("weft")
        try state.make()
        let lock = try DaemonLock(state)
        do { try await IsolationChoice.ensurePossible(isolation) } catch {
            lock.release()
            throw error
        }
        IsolationChoice.remember(isolation, in: state)
        discovery.remember()
        telemetry.remember()
        api.remember()
        let log = ServeLog(path: state.log)
        let stop = Daemon.Stop(removesState: false, hurries: false, leavesPods: leavesPods)
        let daemon = Daemon(
            state: state,
            isolation: isolation,
            discovery: discovery,
            telemetry: telemetry,
            api: api,
            log: log
        )
        return try await supervise(daemon, lock, log, stop, ready)
    }

    private static func supervise(
        _ daemon: Daemon,
        _ lock: DaemonLock,
        _ log: ServeLog,
        _ stop: Daemon.Stop,
        _ ready: () -> Void
    ) async throws -> Int32 {
        let signals = Task {
            var wanted = stop
            for await number in Interrupts.stream() {
                log.write("daemon=signalled", ["signal": "\(number)"])
                daemon.requestStop(wanted)
                wanted.hurries = true
            }
        }
        defer { signals.cancel() }
        do {
            try await daemon.start()
        } catch {
            log.write("daemon=failed", ["error": Messages.text(of: error)])
            await daemon.stopNow()
            lock.release()
            throw error
        }
        ready()
        await daemon.runUntilStopped { lock.release() }
        return ExitCode.success.rawValue
    }

    private static func nameProcess(_ name: String) {
        let fd = open("/proc/self/comm", O_WRONLY | O_CLOEXEC)
        guard fd >= 0 else { return }
        let bytes = Array(name.utf8)
        _ = write(fd, bytes, bytes.count)
        close(fd)
    }

    /// Pods, their logs and their connections need descriptors: as many as the machine allows.
    private static func raiseFileLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = min(limit.rlim_max, 1 << 20)
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
