import Bytes
import CWeft
import Glibc
import Reactor
import Synchronization

/// Where workers leave events for the main thread: any thread may post, the main thread waits on `fd` and takes them all.
///
/// Not on the path of requests: workers post when asked, or when something rare happens.
final class ControlInbox: Sendable {
    private let events = Lock<[ControlEvent]>([])
    /// The connections of all clients with all workers.
    let connections = SharedCount()
    /// How late workers come to their work, nanoseconds.
    let lag = SharedPeak()
    /// The admin was told to say that no more work is wanted.
    let failsHealthCheck = Atomic<Bool>(false)
    /// Listening Unix sockets of all workers.
    let unixListeners = UnixListeners()
    /// Becomes readable when there is something to take.
    let fd: Int32

    init() throws(SystemError) {
        fd = eventfd(0, Int32(EFD_NONBLOCK) | Int32(EFD_CLOEXEC))
        guard fd >= 0 else { throw SystemError(code: cweft_errno(), operation: "eventfd") }
    }

    deinit { _ = close(fd) }

    func post(_ event: ControlEvent) {
        let isFirst = events.withLock { queue in
            queue.append(event)
            return queue.count == 1
        }
        guard isFirst else { return }
        var one: UInt64 = 1
        _ = write(fd, &one, 8)
    }

    func takeAll() -> [ControlEvent] {
        var count: UInt64 = 0
        _ = read(fd, &count, 8)
        return events.withLock { queue in
            defer { queue = [] }
            return queue
        }
    }
}
