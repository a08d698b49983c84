import CWeft
import Glibc

/// Where a Weft keeps its state: its socket, its store, its pods' files.
package struct StateDirectory: Sendable, Equatable {
    package let path: String

    package init(path: String) { self.path = path }

    /// The directory named by `--state-dir`, else by `$WEFT_STATE_DIR`, else the default of this user.
    ///
    /// - Throws: `CommandError` when the path is too long for the Unix sockets in it (108 bytes, `unix(7)`).
    package init(_ arguments: Arguments) throws(CommandError) {
        let chosen = arguments.value("state-dir") ?? Self.environment("WEFT_STATE_DIR") ?? Self.fallback
        path = FileReader.absolute(chosen)
        guard path.utf8.count <= 60 else {
            throw CommandError(
                "the state directory \(path) has too long a name: Unix sockets inside it allow 60 bytes; "
                    + "choose a shorter one with --state-dir"
            )
        }
    }

    /// Whether a daemon has kept objects here.
    var holdsObjects: Bool { access(store, F_OK) == 0 }

    package var store: String { path + "/store.db" }
    package var socket: String { path + "/weft.sock" }
    package var log: String { path + "/serve.log" }
    package var pidFile: String { path + "/weft.pid" }

    private static var fallback: String {
        if geteuid() == 0 { return "/var/lib/weft" }
        // The specification of XDG has relative paths ignored.
        if let state = environment("XDG_STATE_HOME"), state.hasPrefix("/") { return state + "/weft" }
        guard let home = environment("HOME") ?? homeOfUser, home.hasPrefix("/") else { return "/tmp/weft-\(geteuid())" }
        return home + "/.local/state/weft"
    }

    /// The home directory as the user database has it: services and cron jobs may have no `$HOME`.
    private static var homeOfUser: String? {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 4096)
        guard getpwuid_r(geteuid(), &entry, &buffer, buffer.count, &found) == 0, found != nil, let home = entry.pw_dir
        else { return nil }
        let path = String(cString: home)
        return access(path, W_OK) == 0 ? path : nil
    }

    /// Makes the directory and its parents, for this user alone.
    ///
    /// - Throws: `CommandError` when that cannot be, or the directory belongs to somebody else: `/tmp` is everybody's.
    package func make() throws(CommandError) {
        var made = ""
        for part in path.split(separator: "/") {
            made += "/\(part)"
            guard mkdir(made, 0o700) == 0 || errno == EEXIST else {
                throw CommandError(
                    "the state directory \(path) cannot be made: \(made): \(FileReader.describe(errno)); "
                        + "choose another with --state-dir"
                )
            }
        }
        var facts = stat()
        guard stat(path, &facts) == 0 else {
            throw CommandError("the state directory \(path) cannot be read: \(FileReader.describe(errno))")
        }
        guard geteuid() == 0 || facts.st_uid == geteuid() else {
            throw CommandError(
                "the state directory \(path) belongs to user \(facts.st_uid), not to user \(geteuid()); "
                    + "choose another with --state-dir"
            )
        }
        guard access(path, R_OK | W_OK | X_OK) == 0 else {
            throw CommandError(
                "the state directory \(path) cannot be written: \(FileReader.describe(errno)); make it writable, or "
                    + "choose another with --state-dir; nothing was changed"
            )
        }
    }

    private static func environment(_ name: String) -> String? {
        guard let value = getenv(name), value.pointee != 0 else { return nil }
        return String(cString: value)
    }
}
