import CWeft
import Glibc
import Reactor

/// Who is at the other end of a connection of this machine.
enum PeerOwner {
    /// Whether the peer is the user of this process, or root. A peer that cannot be told may not.
    static func mayConnect(_ fd: Int32, isUnix: Bool) -> Bool {
        guard let uid = isUnix ? unixOwner(fd) : loopbackOwner(fd) else { return false }
        return uid == 0 || uid == geteuid()
    }

    private static func unixOwner(_ fd: Int32) -> uid_t? {
        var credentials = ucred()
        var length = socklen_t(MemoryLayout<ucred>.size)
        guard getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0 else { return nil }
        return credentials.uid
    }

    /// The owner of the socket at the other end, by the kernel's table of sockets.
    private static func loopbackOwner(_ fd: Int32) -> uid_t? {
        guard let peer = Socket.peerAddress(fd), let own = Socket.localAddress(fd) else { return nil }
        guard let file = fopen(peer.isIPv6 ? "/proc/self/net/tcp6" : "/proc/self/net/tcp", "re") else { return nil }
        defer { fclose(file) }
        let wanted = "\(text(peer)) \(text(own))"
        var line = [CChar](repeating: 0, count: 512)
        while fgets(&line, Int32(line.count), file) != nil {
            let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            guard text.contains(wanted) else { continue }
            let fields = text.split(separator: " ")
            return fields.count > 7 ? uid_t(fields[7]) : nil
        }
        return nil
    }

    /// As the table has it: words of the address as this machine reads them, and the port.
    private static func text(_ address: SocketAddress) -> String {
        func hex(_ value: UInt32, _ digits: Int) -> String {
            let text = String(value, radix: 16, uppercase: true)
            return String(repeating: "0", count: digits - text.count) + text
        }
        let bytes = address.bytes
        let words = address.isIPv6 ? 4 : 1
        let parts = (0..<words).map { word in
            hex(bytes[word * 4..<word * 4 + 4].withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }, 8)
        }
        return "\(parts.joined()):\(hex(UInt32(address.port), 4))"
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
