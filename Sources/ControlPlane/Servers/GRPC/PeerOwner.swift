import CWeft
import Glibc
import Reactor

/// Who is at the other end of a connection of this machine.
enum PeerOwner {
    /// Whether the peer is the user of this process, or root. A peer that cannot be told may not.
    static func mayConnect(_ fd: Int32, isUnix: Bool) -> Bool {
        mayConnect(uid(fd, isUnix: isUnix))
    }

    static func mayConnect(_ uid: uid_t?) -> Bool { uid == 0 || uid == geteuid() }

    /// The user at the other end; nil when the kernel does not tell.
    static func uid(_ fd: Int32, isUnix: Bool) -> uid_t? { isUnix ? unixOwner(fd) : loopbackOwner(fd) }

    private static func unixOwner(_ fd: Int32) -> uid_t? {
        var credentials = ucred()
        var length = socklen_t(MemoryLayout<ucred>.size)
        guard getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0 else { return nil }
        return credentials.uid
    }

    /// The owner of the socket at the other end, as the kernel has it.
    private static func loopbackOwner(_ fd: Int32) -> uid_t? {
        var uid: UInt32 = 0
        return cweft_peer_owner(fd, &uid) == 0 ? uid : nil
    }
}

/// Unix sockets to listen on.
enum UnixListener {
    /// A listening socket with mode 0600. One that was left by a dead server is replaced; a living one is not.
    ///
    /// - Throws: `SystemError` with `EADDRINUSE` when somebody answers there.
    static func make(_ path: String) throws(SystemError) -> Int32 {
        let probe = cweft_connect_unix(path, Int32(SOCK_STREAM.rawValue), 0)
        guard probe < 0 else {
            close(probe)
            throw SystemError(code: EADDRINUSE, operation: "listen on \(path)")
        }
        var status = stat()
        guard lstat(path, &status) != 0 || status.st_mode & S_IFMT == S_IFSOCK else {
            throw SystemError(code: EEXIST, operation: "listen on \(path), which is no socket")
        }
        unlink(path)
        let fd = cweft_listen_unix(path, Int32(SOCK_STREAM.rawValue), Socket.backlog)
        guard fd >= 0 else { throw SystemError(code: -fd, operation: "listen on \(path)") }
        cweft_set_nonblocking(fd)
        return fd
    }
}
