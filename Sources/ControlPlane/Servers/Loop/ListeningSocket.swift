import CWeft
import Glibc
import Reactor

/// One listening socket of a server; what it accepts is the server's. Lives on the loop's thread.
final class ListeningSocket: EventHandler {
    private let fd: Int32
    private unowned let loop: HandlerLoop
    private let accepted: (Int32) -> Void
    private var key: HandlerKey?
    /// Connections taken in one turn, so that others on the loop get their share.
    private static let batch = 16
    /// Milliseconds of rest when there are no descriptors: the level-triggered readiness would spin.
    private static let rest: UInt64 = 100

    /// Takes over the descriptor, which is closed when this throws. `accepted` gets descriptors that do not block, and owns them.
    init(_ fd: Int32, _ loop: HandlerLoop, accepted: @escaping (Int32) -> Void) throws(SystemError) {
        self.fd = fd
        self.loop = loop
        self.accepted = accepted
        do throws(SystemError) {
            key = try loop.add(fd, .read, self)
        } catch {
            Glibc.close(fd)
            throw error
        }
    }

    /// Accepts no more; connections that were accepted stay.
    func close() {
        if let key { loop.remove(key) }
        key = nil
        Glibc.close(fd)
    }

    func ready(_ readiness: Readiness) {
        for _ in 0..<Self.batch {
            let flags = Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
            let connection = accept4(fd, __SOCKADDR_ARG(__sockaddr__: nil), nil, flags)
            guard connection >= 0 else {
                if errno == EMFILE || errno == ENFILE, let key {
                    loop.change(key, [])
                    loop.setTimer(key, loop.now.advanced(byMilliseconds: Self.rest))
                }
                return
            }
            accepted(connection)
        }
    }

    func timerFired() {
        if let key { loop.change(key, .read) }
    }
}
