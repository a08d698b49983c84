import CWeft
import Glibc
import Resources
import Sandbox
import Servers
import Store

/// Keeps a daemon from starting with an empty store where there was a full one: it would end every pod that it does not know.
enum StoreGuard {
    /// Removes what a daemon that was killed while it copied its store has left, and looks whether the store is there.
    ///
    /// - Throws: `CommandError` when the store is gone from a directory that shows that there was one.
    static func check(_ state: StateDirectory) throws(CommandError) {
        cweft_remove_tree("\(state.path)/copies")
        var facts = stat()
        guard stat(state.store, &facts) != 0 || facts.st_size == 0 else { return }
        let remedy =
            "Put a copy in its place with 'weft restore FILE'. Without one end what still runs with 'weft down', and apply "
            + "your manifests again"
        if access(StoreFile.unfinished(state.store), F_OK) == 0 {
            throw CommandError(
                "the store \(state.store) is missing, a 'weft restore' was broken off; nothing was changed. Call it again: what "
                    + "stood there before is in \(state.path)/replaced"
            )
        }
        let pods = listDirectory("\(state.path)/pods").count
        guard pods == 0 else {
            throw CommandError(
                "the store \(state.store) is missing, but \(state.path)/pods holds \(pods) pod\(pods == 1 ? "" : "s") that it "
                    + "knew; nothing was changed, since a new store would end them. \(remedy)"
            )
        }
        guard stat("\(state.store)-wal", &facts) != 0 || facts.st_size == 0 else {
            throw CommandError(
                "the store \(state.store) is missing, but its log \(state.store)-wal is there; nothing was changed. \(remedy)"
            )
        }
    }
}

/// `backup`: the whole store as a stream.
enum BackupRoute {
    /// Copies the store to a file in the state directory that has no name any more when the answer begins.
    static func answer(_ request: HTTPRequest, _ store: SQLiteStore, _ state: StateDirectory) async -> HTTPResponse {
        guard request.method == "GET" else {
            return KubernetesAPI.refusal(
                APIError(code: 405, reason: .methodNotAllowed, message: "backup takes GET only")
            )
        }
        guard request.origin.transport == .unix else {
            return KubernetesAPI.refusal(
                APIError(
                    code: 403,
                    reason: .forbidden,
                    message: "a backup holds every Secret: it is given on the Unix socket only"
                )
            )
        }
        let folder = "\(state.path)/copies"
        mkdir(folder, 0o700)
        let path = "\(folder)/\(UInt64.random(in: 0 ... .max)).db"
        defer { unlink(path) }
        do throws(APIError) { try await store.copy(to: path) } catch { return KubernetesAPI.refusal(error) }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            return KubernetesAPI.refusal(.unavailable("cannot read \(path): \(FileReader.describe(errno))"))
        }
        let file = OpenFile(descriptor: descriptor)
        return HTTPResponse(
            status: 200,
            headers: ["Content-Type": "application/vnd.sqlite3"],
            body: .stream { writer in
                while let piece = try file.read(1 << 17) { try await writer.write(piece) }
            }
        )
    }

    /// Closed with its last user, so that a client that goes away leaves nothing.
    private final class OpenFile: Sendable {
        private let descriptor: Int32

        init(descriptor: Int32) { self.descriptor = descriptor }

        deinit { close(descriptor) }

        /// The next bytes, nil at the end.
        func read(_ limit: Int) throws(CommandError) -> [UInt8]? {
            var bytes = [UInt8](repeating: 0, count: limit)
            let count = Glibc.read(descriptor, &bytes, limit)
            guard count >= 0 else { throw CommandError("reading a copy of the store: \(FileReader.describe(errno))") }
            return count == 0 ? nil : Array(bytes[..<count])
        }
    }
}
