import Bytes
import CWeft
import Glibc

/// The one bridge of the node's rooms between descriptors and tasks: a task waits here until a descriptor is ready.
///
/// One thread waits for all. Safe from any task. A descriptor may be waited for by one task at a time, and must stay open
/// until its wait has returned.
package final class Poller: Sendable {
    package static let shared = Poller()

    package enum Interest: UInt32, Sendable {
        case readable = 1
        case writable = 4
    }

    package enum Outcome: Sendable, Equatable {
        case ready
        case timedOut
        /// The task was cancelled.
        case cancelled
        /// The descriptor cannot be waited for; the errno.
        case failed(Int32)
    }

    private struct Wait {
        let fd: Int32
        let deadline: ContinuousClock.Instant?
        let continuation: CheckedContinuation<Outcome, Never>
    }

    private struct State {
        var waits: [UInt64: Wait] = [:]
        var nextID: UInt64 = 1
    }

    private let state = Lock(State())
    private let epoll: Int32
    private let wakeup: Int32

    private init() {
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        wakeup = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
        var event = epoll_event()
        event.events = Interest.readable.rawValue
        event.data.u64 = 0
        epoll_ctl(epoll, EPOLL_CTL_ADD, wakeup, &event)
        startThread()
    }

    /// Waits until `fd` is ready (or has failed or ended, which counts as ready), or until the deadline.
    package func wait(
        _ fd: Int32,
        _ interest: Interest,
        until deadline: ContinuousClock.Instant? = nil
    ) async -> Outcome {
        let id = state.withLock { state in
            defer { state.nextID += 1 }
            return state.nextID
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                add(id, Wait(fd: fd, deadline: deadline, continuation: continuation), interest)
            }
        } onCancel: {
            finish(id, .cancelled)
        }
    }

    private func add(_ id: UInt64, _ wait: Wait, _ interest: Interest) {
        state.withLock { $0.waits[id] = wait }
        var event = epoll_event()
        event.events = interest.rawValue
        event.data.u64 = id
        if epoll_ctl(epoll, EPOLL_CTL_ADD, wait.fd, &event) != 0 {
            finish(id, .failed(cweft_errno()), registered: false)
            return
        }
        if Task.isCancelled { finish(id, .cancelled) }
        if wait.deadline != nil {
            var one: UInt64 = 1
            _ = write(wakeup, &one, 8)
        }
    }

    /// Ends a wait once; who comes second finds nothing.
    private func finish(_ id: UInt64, _ outcome: Outcome, registered: Bool = true) {
        // The descriptor leaves epoll under the lock: after its wait has ended its number may be another's.
        let ended = state.withLock { state -> Wait? in
            guard let wait = state.waits.removeValue(forKey: id) else { return nil }
            if registered { epoll_ctl(epoll, EPOLL_CTL_DEL, wait.fd, nil) }
            return wait
        }
        ended?.continuation.resume(returning: outcome)
    }

    private func startThread() {
        var thread = pthread_t()
        // Safety: the poller is a static and never freed; the thread runs as long as the process.
        let context = Unmanaged.passRetained(self).toOpaque()
        pthread_create(
            &thread,
            nil,
            { context in
                guard let context else { return nil }
                cweft_name_thread("weft-node-io")
                Unmanaged<Poller>.fromOpaque(context).takeUnretainedValue().run()
                return nil
            },
            context
        )
        pthread_detach(thread)
    }

    private func run() {
        var events = [epoll_event](repeating: epoll_event(), count: 64)
        while true {
            let count = epoll_wait(epoll, &events, Int32(events.count), timeout())
            for index in 0..<max(Int(count), 0) {
                let id = events[index].data.u64
                if id == 0 { drainWakeup() } else { finish(id, .ready) }
            }
            expire()
        }
    }

    private func drainWakeup() {
        var counter: UInt64 = 0
        _ = read(wakeup, &counter, 8)
    }

    private func timeout() -> Int32 {
        guard let next = state.withLock({ $0.waits.values.compactMap(\.deadline).min() }) else { return -1 }
        let left = next - ContinuousClock.now
        guard left > .zero else { return 0 }
        let milliseconds = left.components.seconds * 1000 + left.components.attoseconds / 1_000_000_000_000_000 + 1
        return Int32(clamping: milliseconds)
    }

    private func expire() {
        let now = ContinuousClock.now
        let late = state.withLock { state in
            state.waits.filter { $0.value.deadline.map { $0 <= now } ?? false }.map(\.key)
        }
        for id in late { finish(id, .timedOut) }
    }
}
