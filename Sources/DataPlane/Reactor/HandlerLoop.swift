import Glibc

/// Receives the events of a descriptor or timer of a `HandlerLoop`, on that loop's thread.
public protocol EventHandler: AnyObject {
    func ready(_ readiness: Readiness)
    func timerFired()
}

extension EventHandler {
    public func timerFired() {}
}

/// A loop for code that is not hot: one handler object per descriptor, closures from other threads.
///
/// `run` belongs to one thread. `post` and `stop` may be called from all.
public final class HandlerLoop {
    private struct Slot {
        var handler: (any EventHandler)?
        var generation: UInt32
        var fd: Int32
        var timer: TimerID
    }

    private let loop: EventLoop
    private var slots: [Slot] = []
    private var free: [Int] = []
    private var isRunning = true
    /// Hands work to this loop from other threads.
    public let remote: LoopRemote

    public init() throws(SystemError) {
        loop = try EventLoop()
        remote = LoopRemote(mailbox: Mailbox(waker: loop.waker))
    }

    /// The clock as it stood when the last wait ended.
    public var now: Instant { loop.now }

    /// Watches a descriptor (-1: none, timer only) for a handler. The key stays valid until `remove`.
    public func add(_ fd: Int32, _ interest: Readiness, _ handler: any EventHandler) throws(SystemError) -> HandlerKey {
        let index = free.popLast() ?? slots.count
        if index == slots.count { slots.append(Slot(handler: nil, generation: 1, fd: -1, timer: .none)) }
        let key = HandlerKey(index: UInt32(index), generation: slots[index].generation)
        if fd >= 0 {
            do {
                try loop.watch(fd, interest, token: key.token)
            } catch {
                free.append(index)
                throw error
            }
        }
        slots[index].handler = handler
        slots[index].fd = fd
        return key
    }

    /// Changes what is wanted of the descriptor.
    public func change(_ key: HandlerKey, _ interest: Readiness) {
        guard let index = index(key), slots[index].fd >= 0 else { return }
        loop.change(slots[index].fd, interest, token: key.token)
    }

    /// Calls `timerFired` at the deadline; nil cancels.
    public func setTimer(_ key: HandlerKey, _ deadline: Instant?) {
        guard let index = index(key) else { return }
        if slots[index].timer == .none { slots[index].timer = loop.timers.make(token: key.token | HandlerKey.timerBit) }
        loop.timers.set(slots[index].timer, deadline ?? .distantFuture)
    }

    /// Forgets the handler; the descriptor stays open and is no longer watched.
    public func remove(_ key: HandlerKey) {
        guard let index = index(key) else { return }
        if slots[index].fd >= 0 { loop.unwatch(slots[index].fd) }
        if slots[index].timer != .none { loop.timers.free(slots[index].timer) }
        slots[index] = Slot(handler: nil, generation: slots[index].generation &+ 1, fd: -1, timer: .none)
        free.append(index)
    }

    private func index(_ key: HandlerKey) -> Int? {
        let index = Int(key.index)
        guard index < slots.count, slots[index].generation == key.generation, slots[index].handler != nil else {
            return nil
        }
        return index
    }

    /// Works until `stop`.
    public func run() {
        while isRunning {
            runOnce()
        }
    }

    /// One turn: waits at most `milliseconds` (-1: as long as the timers allow), then delivers what came.
    public func runOnce(milliseconds: Int32 = -1) {
        let count = loop.wait(milliseconds: milliseconds)
        for position in 0..<count {
            guard let event = loop.event(position) else { continue }
            handler(event.token)?.ready(event.readiness)
        }
        while let token = loop.nextTimer() { handler(token & ~HandlerKey.timerBit)?.timerFired() }
        for work in remote.mailbox.take() { work(self) }
    }

    /// Ends `run` after the present turn.
    public func stop() { isRunning = false }

    private func handler(_ token: UInt64) -> (any EventHandler)? {
        index(HandlerKey(token: token)).flatMap { slots[$0].handler }
    }
}

/// Names a handler of one `HandlerLoop`.
public struct HandlerKey: Sendable, Hashable {
    static let timerBit: UInt64 = 1 << 63
    let index: UInt32
    let generation: UInt32

    init(index: UInt32, generation: UInt32) {
        self.index = index
        self.generation = generation & 0x7FFF_FFFF
    }

    init(token: UInt64) {
        self.init(index: UInt32(truncatingIfNeeded: token), generation: UInt32(truncatingIfNeeded: token >> 32))
    }

    var token: UInt64 { UInt64(generation) << 32 | UInt64(index) }
}

/// Hands closures to a `HandlerLoop` from any thread.
public final class LoopRemote: Sendable {
    let mailbox: Mailbox<@Sendable (HandlerLoop) -> Void>

    init(mailbox: Mailbox<@Sendable (HandlerLoop) -> Void>) { self.mailbox = mailbox }

    /// Runs `work` on the loop's thread, after those posted before.
    public func post(_ work: @escaping @Sendable (HandlerLoop) -> Void) { mailbox.post(work) }

    /// Ends the loop.
    public func stop() { post { $0.stop() } }
}
