import Glibc
import Sandbox

/// The claim of one daemon on its state directory: `weft.pid`, locked while it lives, with its pid and start time.
package final class DaemonLock: Sendable {
    private let path: String
    private let fd: Int32

    /// Who `onlyReads` gets the lock of a directory that cannot be written too.
    ///
    /// - Throws: `CommandError` when another daemon has the directory.
    package init(_ state: StateDirectory, onlyReads: Bool = false) throws(CommandError) {
        path = state.pidFile
        var fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        if fd < 0, onlyReads { fd = open(path, O_RDONLY | O_CLOEXEC) }
        guard fd >= 0 else {
            throw CommandError("cannot open \(state.pidFile): \(FileReader.describe(errno))")
        }
        self.fd = fd
        guard Self.lock(fd) || Self.lockAfterDeath(fd, of: Int32(Self.pid(in: state))) else {
            let holder = Self.pid(in: state)
            close(fd)
            throw CommandError(
                "another weft (pid \(holder)) already runs with the state directory \(state.path); "
                    + "stop it with 'weft down', or choose another directory with --state-dir"
            )
        }
        let text = Array("\(getpid()) \(ProcessIdentity.current(getpid())?.startTime ?? 0)\n".utf8)
        ftruncate(fd, 0)
        pwrite(fd, text, text.count, 0)
    }

    private static func lock(_ fd: Int32) -> Bool {
        for _ in 0..<3 {
            if flock(fd, LOCK_EX | LOCK_NB) == 0 { return true }
            // Whoever only asks has it for an instant.
            usleep(2000)
        }
        return false
    }

    /// One that was killed has the lock until the kernel has taken it apart.
    private static func lockAfterDeath(_ fd: Int32, of holder: Int32?) -> Bool {
        guard let holder else { return false }
        for _ in 0..<200 where ProcessIdentity.isEnding(holder) {
            if flock(fd, LOCK_EX | LOCK_NB) == 0 { return true }
            usleep(10_000)
        }
        return flock(fd, LOCK_EX | LOCK_NB) == 0
    }

    /// The pid of the daemon that has a directory; nil when none has it. `unknown` when its file does not say.
    package static func holder(of state: StateDirectory) -> String? {
        let fd = open(state.pidFile, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return nil }
        // Closing gives back what was taken by trying.
        defer { close(fd) }
        return flock(fd, LOCK_SH | LOCK_NB) == 0 ? nil : pid(in: state)
    }

    private static func pid(in state: StateDirectory) -> String {
        let word = readFile(state.pidFile, limit: 64)?.split(separator: " ").first
        return word.flatMap { Int32($0) }.map(String.init) ?? "unknown"
    }

    /// Gives the directory free for the next one.
    package func release() {
        unlink(path)
        close(fd)
    }
}
