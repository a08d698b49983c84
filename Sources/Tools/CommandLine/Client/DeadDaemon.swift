import Glibc
import Sandbox

/// What a daemon that was killed leaves behind, and its removal.
enum DeadDaemon {
    /// Ends the pods of a dead daemon and removes its files; with `keepsObjects` its store stays.
    static func clean(_ state: StateDirectory, keepsObjects: Bool) async throws -> ExitCode {
        guard access(state.path, F_OK) == 0 else {
            Terminal.note("nothing runs with the state directory \(state.path)")
            return .success
        }
        guard access(state.path + "/store.db", F_OK) == 0 || access(state.path + "/pods", F_OK) == 0 else {
            throw CommandError("\(state.path) is no state directory of Weft; nothing was removed")
        }
        let problems = await Leftovers.sweep(stateDirectory: state.path)
        guard problems.isEmpty else { throw CommandError(problems.joined(separator: "\n")) }
        return .success
    }
}
