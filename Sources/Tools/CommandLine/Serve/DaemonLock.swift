import Glibc
import Sandbox

/// The claim of one daemon on its state directory: `weft.pid`, locked while it lives, with its pid and start time.
package final class DaemonLock: Sendable {
    private let path: String
    private let fd: Int32

    /// - Throws: `CommandError` when another daemon has the directory.
    package init(_ state: StateDirectory) throws(CommandError) {
        path = state.pidFile
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard fd >= 0 else {
            throw CommandError("cannot open \(state.pidFile): \(FileReader.describe(errno))")
        }
        guard flock(fd, LOCK_EX | LOCK_NB) == 0 else {
            let holder = readFile(state.pidFile, limit: 64)?.split(separator: " ").first.map(String.init) ?? "unknown"
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

    /// Gives the directory free for the next one.
    package func release() {
        unlink(path)
        close(fd)
    }
}
