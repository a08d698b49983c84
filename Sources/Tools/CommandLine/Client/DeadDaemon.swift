import Controllers
import Glibc
import Sandbox
import Servers

/// What a daemon that was killed leaves behind, and its removal.
enum DeadDaemon {
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
        let lock = try DaemonLock(state)
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
        Terminal.note("removed what a daemon that was killed had left in \(state.path)")
        return .success
    }
}
