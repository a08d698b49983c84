import CWeft
import Glibc
import Sandbox

/// The files of a state directory, and their removal.
struct StateFiles {
    let state: StateDirectory

    /// What a daemon makes; anything else in the directory belongs to somebody else and stays.
    private static let names = [
        "store.db", "store.db-wal", "store.db-shm", "store.db-journal", "store.db.restoring", "store.db.restoring-wal",
        "store.db.restoring-journal", "replaced", "copies", "serve.log", "serve.log.1", "pods", "proxy",
        "names", "claim", "isolation", "telemetry", "xds", "xds-address",
        "pki", "api-port", "api-bound", "api-tls", "audit-log",
    ]

    /// Removes everything but the socket and the pid file, which say until the end that somebody is there.
    func remove() {
        for name in Self.names { _ = cweft_remove_tree("\(state.path)/\(name)") }
        VolumeFiles(state: state).removeEmpty()
        ImageChoice(state: state).removeEmpty()
    }

    /// Whether there are any.
    var areThere: Bool { Self.names.contains { access("\(state.path)/\($0)", F_OK) == 0 } }

    /// - Throws: `CommandError` that names what could not be removed, and why.
    func complainOfRest() throws(CommandError) {
        for name in Self.names {
            let path = "\(state.path)/\(name)"
            let error = cweft_remove_tree(path)
            guard error != 0 else { continue }
            throw CommandError(
                "everything has ended, but \(path) cannot be removed: \(FileReader.describe(error)); remove "
                    + "\(state.path) yourself"
            )
        }
    }
}
