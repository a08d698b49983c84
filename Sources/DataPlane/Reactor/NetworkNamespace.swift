import CWeft
import Glibc

/// A place for sockets, named by a path: a namespace file (`/proc/1/ns/net`) or a broker's Unix socket.
///
/// Opening the file once keeps the namespace reachable while it is in use.
public final class NetworkPlace: Sendable {
    public let path: String
    public let network: Socket.Network
    /// Tells this network from all others that are there now, also when the path is used again for another one.
    public let identity: UInt64
    private let fd: Int32

    /// - Throws: when the path is neither an openable file nor a socket.
    public init(path: String) throws(SystemError) {
        self.path = path
        var status = stat()
        guard stat(path, &status) == 0 else { throw SystemError(code: cweft_errno(), operation: "open \(path)") }
        if status.st_mode & S_IFMT == S_IFSOCK {
            fd = -1
            // Inodes of files are used again; together with the time they are not.
            identity =
                UInt64(status.st_ino) ^ UInt64(bitPattern: Int64(status.st_ctim.tv_sec)) << 32
                ^ UInt64(bitPattern: Int64(status.st_ctim.tv_nsec)) << 12
            network = .broker(path)
            return
        }
        let opened = open(path, O_RDONLY | O_CLOEXEC)
        fd = try SystemError.check(opened < 0 ? -cweft_errno() : opened, "open \(path)")
        // A namespace's inode: a socket that is kept holds the namespace, so that no other gets its number. Of the opened
        // file: the path may lead elsewhere by now.
        guard fstat(fd, &status) == 0 else {
            let code = cweft_errno()
            close(fd)
            throw SystemError(code: code, operation: "look at \(path)")
        }
        identity = UInt64(status.st_ino)
        network = .namespace(fd)
    }

    deinit {
        if fd >= 0 { close(fd) }
    }
}
