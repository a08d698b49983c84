import Bytes
import CWeft
import Glibc
import Reactor

/// The listening Unix sockets of the process. A path has one socket, and each worker accepts from a duplicate of it.
final class UnixListeners: Sendable {
    private struct Entry {
        var fd: Int32
        var users: Int
        /// The file that stands for it; nil: the name is abstract.
        var file: FileIdentity?
    }

    private struct FileIdentity: Equatable {
        var device: UInt64
        var inode: UInt64
    }

    private let entries = Lock<[String: Entry]>([:])

    /// A descriptor of the path's socket, to be closed by the caller and given back.
    ///
    /// A socket file on which nobody listens any more is replaced; anything else in its place is an error.
    func take(_ path: String, mode: UInt16, backlog: Int32) throws(SystemError) -> Int32 {
        let result: Result<Int32, SystemError> = entries.withLock { entries in
            if var known = entries[path] {
                let fd = Socket.duplicate(known.fd)
                guard fd >= 0 else { return .failure(SystemError(code: cweft_errno(), operation: "listen on \(path)")) }
                known.users += 1
                entries[path] = known
                return .success(fd)
            }
            do throws(SystemError) {
                let fd = try Self.listen(path, mode, backlog)
                let own = Socket.duplicate(fd)
                guard own >= 0 else {
                    Socket.close(fd)
                    throw SystemError(code: cweft_errno(), operation: "listen on \(path)")
                }
                entries[path] = Entry(fd: own, users: 1, file: path.hasPrefix("@") ? nil : Self.identity(path))
                return .success(fd)
            } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// A user of the path's socket is gone; with the last one the socket ends and its file goes away.
    func giveBack(_ path: String) {
        entries.withLock { entries in
            guard var known = entries[path] else { return }
            known.users -= 1
            entries[path] = known.users > 0 ? known : nil
            guard known.users == 0 else { return }
            Socket.close(known.fd)
            // Only our own: another process may have put its socket there meanwhile.
            if let file = known.file, Self.identity(path) == file { unlink(path) }
        }
    }

    private static func identity(_ path: String) -> FileIdentity? {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        return FileIdentity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
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
