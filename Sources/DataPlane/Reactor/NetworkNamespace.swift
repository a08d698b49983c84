import CWeft
import Glibc

/// A place for sockets, named by a path: a namespace file (`/proc/1/ns/net`) or a broker's Unix socket.
///
/// Opening the file once keeps the namespace reachable while it is in use.
public final class NetworkPlace: Sendable {
    public let path: String
    public let network: Socket.Network
    private let fd: Int32

    /// - Throws: when the path is neither an openable file nor a socket.
    public init(path: String) throws(SystemError) {
        self.path = path
        var status = stat()
        guard stat(path, &status) == 0 else { throw SystemError(code: cweft_errno(), operation: "open \(path)") }
        if status.st_mode & S_IFMT == S_IFSOCK {
            fd = -1
            network = .broker(path)
            return
        }
        let opened = open(path, O_RDONLY | O_CLOEXEC)
        fd = try SystemError.check(opened < 0 ? -cweft_errno() : opened, "open \(path)")
        network = .namespace(fd)
    }

    deinit {
        if fd >= 0 { close(fd) }
    }
}
