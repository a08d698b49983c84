import CWeft
import Glibc

/// One thread's view of its descriptors and deadlines: epoll, a timer wheel, a cached clock and a wake-up.
///
/// Events come as a batch of (token, readiness): no closures, no generics, no object per descriptor. A token is the
/// caller's: an index with a generation, so that an event of a closed descriptor is recognised as stale. Level-triggered
/// unless a watcher asks otherwise.
///
/// Owned by one thread; `wakeUp` alone may be called from others (through `LoopWaker`).
public final class EventLoop {
    /// Events fetched by one wait: enough to amortise the call, few enough to keep timers punctual.
    public static let batchSize = 256
    /// The token of the wake-up itself; the loop consumes its events.
    static let wakeToken = UInt64.max
    static let probeToken = UInt64.max - 1

    private let epoll: Int32
    private let events: UnsafeMutablePointer<epoll_event>
    /// Lets other threads end a wait.
    public let waker: LoopWaker
    /// The clock as it stood when the last wait ended.
    public private(set) var now: Instant
    public var timers: TimerWheel
    /// True after a wait that another thread ended.
    public private(set) var wasWoken = false
    private let probe: LoopWaker
    private var probedAt: Instant?
    /// How long the last probe waited among what was ready, nanoseconds; nil while it waits, or when none was sent.
    public private(set) var probedWait: UInt64?

    public init() throws(SystemError) {
        epoll = try SystemError.check(EventLoop.makeEpoll(), "epoll_create1")
        events = .allocate(capacity: Self.batchSize)
        events.initialize(repeating: epoll_event(), count: Self.batchSize)
        waker = try LoopWaker()
        probe = try LoopWaker()
        now = .read()
        timers = TimerWheel(now: now)
        try watch(waker.fd, .read, token: Self.wakeToken)
        try watch(probe.fd, .read, token: Self.probeToken)
    }

    deinit {
        close(epoll)
        events.deallocate()
    }

    private static func makeEpoll() -> Int32 {
        let fd = epoll_create1(Int32(EPOLL_CLOEXEC))
        return fd < 0 ? -cweft_errno() : fd
    }

    /// Starts watching a descriptor.
    public func watch(_ fd: Int32, _ interest: Readiness, token: UInt64) throws(SystemError) {
        try SystemError.check(control(EPOLL_CTL_ADD, fd, interest, token), "epoll_ctl add")
    }

    /// Starts watching a descriptor; false when the kernel refuses (its limits).
    public func tryWatch(_ fd: Int32, _ interest: Readiness, token: UInt64) -> Bool {
        control(EPOLL_CTL_ADD, fd, interest, token) == 0
    }

    /// Changes what is wanted of a watched descriptor.
    @discardableResult
    public func change(_ fd: Int32, _ interest: Readiness, token: UInt64) -> Bool {
        control(EPOLL_CTL_MOD, fd, interest, token) == 0
    }

    /// Stops watching. Closing a descriptor does the same.
    public func unwatch(_ fd: Int32) { _ = control(EPOLL_CTL_DEL, fd, [], 0) }

    private func control(_ operation: Int32, _ fd: Int32, _ interest: Readiness, _ token: UInt64) -> Int32 {
        var event = epoll_event()
        event.events = interest.rawValue
        event.data.u64 = token
        return epoll_ctl(epoll, operation, fd, &event) == 0 ? 0 : -cweft_errno()
    }

    /// Waits for events, at most `milliseconds` (-1: as long as the timers allow). The number of events to fetch by `event`.
    public func wait(milliseconds: Int32 = -1) -> Int {
        var limit = timers.patience(now)
        if milliseconds >= 0, limit < 0 || milliseconds < limit { limit = milliseconds }
        let count = Int(epoll_wait(epoll, events, Int32(Self.batchSize), limit))
        now = .read()
        wasWoken = false
        guard count > 0 else { return 0 }
        return count
    }

    /// An event of the last batch; nil for the loop's own.
    @inline(__always)
    public func event(_ index: Int) -> ReadyEvent? {
        let event = events[index]
        let token = event.data.u64
        if token >= Self.probeToken {
            takeOwn(token)
            return nil
        }
        return ReadyEvent(token: token, readiness: Readiness(rawValue: event.events))
    }

    private func takeOwn(_ token: UInt64) {
        if token == Self.wakeToken {
            waker.consume()
            wasWoken = true
        } else {
            probe.consume()
            if let sent = probedAt { probedWait = now.since(sent) }
            probedAt = nil
        }
    }

    /// Makes something ready now: when its turn comes, `probedWait` says how long whatever is ready waits. Does nothing while one waits.
    ///
    /// The kernel hands out what is ready in the order in which it became so.
    public func sendProbe(at time: Instant) {
        guard probedAt == nil else { return }
        probedAt = time
        probedWait = nil
        probe.wakeUp()
    }

    /// How long the probe that is under way waits by now, nanoseconds.
    public func probeAge(at time: Instant) -> UInt64? { probedAt.map { time.since($0) } }

    /// The token of one timer that is due.
    public func nextTimer() -> UInt64? { timers.next(now) }

    /// Reads the clock anew; for work that took long inside one turn.
    public func refreshClock() { now = .read() }
}

/// Ends a loop's wait from any thread.
///
/// Safety: an immutable descriptor; writing to an eventfd is safe from every thread.
public final class LoopWaker: Sendable {
    let fd: Int32

    init() throws(SystemError) {
        let made = eventfd(0, Int32(EFD_NONBLOCK) | Int32(EFD_CLOEXEC))
        fd = try SystemError.check(made < 0 ? -cweft_errno() : made, "eventfd")
    }

    deinit { close(fd) }

    public func wakeUp() {
        var one: UInt64 = 1
        _ = write(fd, &one, 8)
    }

    func consume() {
        var count: UInt64 = 0
        _ = read(fd, &count, 8)
    }
}
