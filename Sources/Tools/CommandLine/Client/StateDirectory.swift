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

    package var socket: String { path + "/weft.sock" }
    package var log: String { path + "/serve.log" }
    package var pidFile: String { path + "/weft.pid" }

    private static var fallback: String {
        if geteuid() == 0 { return "/var/lib/weft" }
        if let state = environment("XDG_STATE_HOME") { return state + "/weft" }
        return (environment("HOME") ?? "/tmp") + "/.local/state/weft"
    }

    private static func environment(_ name: String) -> String? {
        guard let value = getenv(name), value.pointee != 0 else { return nil }
        return String(cString: value)
    }
}
