import CWeft
import Glibc
import Reactor

/// Chooses the ports of listeners that are configured with port 0: once, so that all workers listen on the same one.
///
/// A chosen port stays reserved by a socket that is bound but does not listen, and thus gets no connections.
final class PortReserver {
    private struct Place: Hashable {
        var listener: String
        var position: Int
    }
    private var sockets: [Place: (fd: Int32, port: UInt16)] = [:]

    deinit {
        for socket in sockets.values { close(socket.fd) }
    }

    /// The port for a listener's address; nil when the system gives none.
    func port(_ address: Address, listener: String, position: Int) -> UInt16? {
        let place = Place(listener: listener, position: position)
        if let known = sockets[place] { return known.port }
        guard let wanted = address.socketAddress else { return nil }
        let fd = cweft_socket(wanted.isIPv6 ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue), -1)
        guard fd >= 0 else { return nil }
        var one: Int32 = 1
        guard setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, 4) == 0, Self.bind(fd, wanted),
            let port = Socket.localAddress(fd)?.port
        else {
            close(fd)
            return nil
        }
        sockets[place] = (fd, port)
        return port
    }

    /// Binds so that the kernel chooses the port at once (`cweft_bind` leaves the choice to `connect`).
    private static func bind(_ fd: Int32, _ address: SocketAddress) -> Bool {
        let bytes = address.bytes
        if address.isIPv6 {
            var native = sockaddr_in6()
            native.sin6_family = sa_family_t(AF_INET6)
            withUnsafeMutableBytes(of: &native.sin6_addr) { $0.copyBytes(from: bytes) }
            return bind(fd, &native)
        }
        var native = sockaddr_in()
        native.sin_family = sa_family_t(AF_INET)
        withUnsafeMutableBytes(of: &native.sin_addr) { $0.copyBytes(from: bytes) }
        return bind(fd, &native)
    }

    private static func bind<Native>(_ fd: Int32, _ native: inout Native) -> Bool {
        let size = socklen_t(MemoryLayout<Native>.size)
        return withUnsafePointer(to: &native) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.bind(fd, __CONST_SOCKADDR_ARG(__sockaddr__: $0), size) == 0
            }
        }
    }

    /// Gives up the ports of a listener that is gone.
    func release(_ listener: String) {
        for (place, socket) in sockets where place.listener == listener {
            close(socket.fd)
            sockets[place] = nil
        }
    }
}
