import CWeft
import Glibc

/// One descriptor kept back for the time when there are none left: it lets a waiting connection be taken and closed, so
/// that a level-triggered listener does not spin on a connection that nobody can accept.
public struct ReserveDescriptor: ~Copyable {
    private var fd: Int32

    public init() { fd = open("/dev/null", O_RDONLY | O_CLOEXEC) }

    deinit {
        if fd >= 0 { close(fd) }
    }

    /// Accepts one waiting connection and closes it at once; false when there was none.
    public mutating func shed(_ listener: Int32) -> Bool {
        if fd >= 0 { close(fd) }
        var peer = SocketAddress()
        let taken = Socket.accept(listener, peer: &peer)
        if taken >= 0 { close(taken) }
        fd = open("/dev/null", O_RDONLY | O_CLOEXEC)
        return taken >= 0
    }
}
