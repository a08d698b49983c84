import Bytes
import CWeft
import Glibc
import Reactor

/// The listening Unix sockets of the process. A path has one socket, and each worker accepts from a duplicate of it.
final class UnixListeners: Sendable {
    private struct Entry {
        var fd: Int32
        var users: Int
        var name: KeptPath
    }

    private let entries = Lock<[String: Entry]>([:])

    /// A descriptor of the path's socket, to be closed by the caller and given back.
    ///
    /// The socket of the proxy before this one, if a keeper has it, is served on. Else a socket file on which nobody listens any
    /// more is replaced; anything else in its place is an error.
    func take(_ path: String, mode: UInt16, backlog: Int32, from vault: ListenerVault?) throws(SystemError) -> Int32 {
        let result: Result<Int32, SystemError> = entries.withLock { entries in
            if var known = entries[path] {
                let fd = Socket.duplicate(known.fd)
                guard fd >= 0 else { return .failure(SystemError(code: cweft_errno(), operation: "listen on \(path)")) }
                known.users += 1
                entries[path] = known
                return .success(fd)
            }
            do throws(SystemError) {
                let kept = vault?.take(path)
                let fd: Int32
                if let kept {
                    fd = kept.fd
                    Self.resume(fd, path, mode, backlog)
                } else {
                    fd = try Self.listen(path, mode, backlog)
                }
                let own = Socket.duplicate(fd)
                guard own >= 0 else {
                    Socket.close(fd)
                    throw SystemError(code: cweft_errno(), operation: "listen on \(path)")
                }
                entries[path] = Entry(fd: own, users: 1, name: kept?.name ?? KeptPath(openedAt: path))
                return .success(fd)
            } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// The name under which a keeper holds the path's socket.
    func name(of path: String) -> KeptPath? { entries.withLock { $0[path]?.name } }

    /// A user of the path's socket is gone; with the last one the socket ends and its file goes away, unless somebody `keeps` it.
    ///
    /// - Returns: the inode of a socket that ended.
    @discardableResult
    func giveBack(_ path: String, keeps: Bool = false) -> UInt64? {
        entries.withLock { entries in
            guard var known = entries[path] else { return nil }
            known.users -= 1
            entries[path] = known.users > 0 ? known : nil
            guard known.users == 0 else { return nil }
            defer { Socket.close(known.fd) }
            guard !keeps else { return nil }
            let inode = Socket.inode(known.fd)
            // A keeper may hold it, too.
            Socket.stopListening(known.fd)
            known.name.removeFile()
            return inode
        }
    }

    /// A socket that already listens gets what the configuration says now.
    private static func resume(_ fd: Int32, _ path: String, _ mode: UInt16, _ backlog: Int32) {
        _ = Glibc.listen(fd, backlog)
        if mode != 0, !path.hasPrefix("@") { chmod(path, mode_t(mode)) }
    }

    /// A new listening socket on a path. A socket file on which nobody listens any more is replaced.
    static func listen(_ path: String, _ mode: UInt16, _ backlog: Int32) throws(SystemError) -> Int32 {
        if !path.hasPrefix("@") { try clear(path) }
        let fd = cweft_listen_unix(path, Int32(SOCK_STREAM.rawValue), backlog)
        try SystemError.check(fd, "listen on \(path)")
        if mode != 0, !path.hasPrefix("@"), chmod(path, mode_t(mode)) != 0 {
            let code = cweft_errno()
            Socket.close(fd)
            unlink(path)
            throw SystemError(code: code, operation: "set the permissions of \(path)")
        }
        return fd
    }

    /// Removes a socket file that a process left behind.
    private static func clear(_ path: String) throws(SystemError) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw SystemError(code: EEXIST, operation: "listen on \(path), where something stands that is no socket")
        }
        let probe = cweft_connect_unix(path, Int32(SOCK_STREAM.rawValue), 1)
        if probe >= 0 { Socket.close(probe) }
        guard probe == -ECONNREFUSED else {
            throw SystemError(code: EADDRINUSE, operation: "listen on \(path), where another process listens")
        }
        unlink(path)
    }
}
