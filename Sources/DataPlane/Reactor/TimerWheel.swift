/// Many coarse deadlines, cheap to move: arm, move and cancel are O(1), and moving one later is a single store.
///
/// Each timer lies in the slot of the tick at which it is next looked at. A deadline that moved later since is noticed then
/// and the timer goes to its new slot (lazy re-arming): a connection can push its idle deadline with every request for
/// almost nothing. Deadlines further away than one turn of the wheel are looked at once per turn.
///
/// Owned by one thread. Reads no clock.
public struct TimerWheel: ~Copyable {
    /// 10 ms: a timeout is never early, and late by at most this much.
    public static let grain: UInt64 = 10_000_000
    /// One turn is 10.24 s.
    static let slotCount = 1024

    @usableFromInline
    struct Entry: BitwiseCopyable {
        /// Nanoseconds; `.max` = not armed.
        @usableFromInline var deadline: UInt64
        /// The tick whose slot holds it; `.max` = in no slot.
        @usableFromInline var tick: UInt64
        @usableFromInline var token: UInt64
        @usableFromInline var next: Int32
        @usableFromInline var previous: Int32

        init(token: UInt64) {
            deadline = .max
            tick = .max
            self.token = token
            next = -1
            previous = -1
        }
    }

    @usableFromInline var entries: UnsafeMutablePointer<Entry>
    private var capacity: Int
    private var used = 0
    private var freeHead: Int32 = -1
    /// First entry of each slot, -1 = empty.
    private let slots: UnsafeMutablePointer<Int32>
    /// The next tick to look at.
    private var cursor: UInt64
    /// Entries that lie in slots.
    private var placed = 0

    public init(now: Instant) {
        capacity = 256
        entries = .allocate(capacity: capacity)
        slots = .allocate(capacity: Self.slotCount)
        slots.initialize(repeating: -1, count: Self.slotCount)
        cursor = now.nanoseconds / Self.grain &+ 1
    }

    deinit {
        entries.deallocate()
        slots.deallocate()
    }

    /// A timer that reports `token`, not armed yet. It lives until `free`.
    public mutating func make(token: UInt64) -> TimerID {
        if freeHead >= 0 {
            let index = freeHead
            freeHead = entries[Int(index)].next
            entries[Int(index)] = Entry(token: token)
            return TimerID(index: index)
        }
        if used == capacity { grow() }
        let index = Int32(used)
        used += 1
        (entries + Int(index)).initialize(to: Entry(token: token))
        return TimerID(index: index)
    }

    /// Gives the timer back; it never reports again.
    public mutating func free(_ id: TimerID) {
        guard isValid(id) else { return }
        unlink(id.index)
        entries[Int(id.index)].token = 0
        entries[Int(id.index)].deadline = .max
        entries[Int(id.index)].next = freeHead
        freeHead = id.index
    }

    /// Moves the deadline. `.distantFuture` disarms.
    @inlinable
    public mutating func set(_ id: TimerID, _ deadline: Instant) {
        let entry = entries + Int(id.index)
        entry.pointee.deadline = deadline.nanoseconds
        // Later than the slot it lies in: it will be found there and moved on.
        if entry.pointee.tick != .max, deadline.nanoseconds / 10_000_000 &+ 1 >= entry.pointee.tick { return }
        place(id.index)
    }

    @usableFromInline
    mutating func place(_ index: Int32) {
        unlink(index)
        let deadline = entries[Int(index)].deadline
        guard deadline != .max else { return }
        let tick = max(deadline / Self.grain &+ 1, cursor)
        let slot = Int(truncatingIfNeeded: tick % UInt64(Self.slotCount))
        let head = slots[slot]
        entries[Int(index)].tick = tick
        entries[Int(index)].next = head
        entries[Int(index)].previous = -1 - Int32(slot) - 1
        if head >= 0 { entries[Int(head)].previous = index }
        slots[slot] = index
        placed += 1
    }

    /// The token of one timer that is due, or nil when none is left up to `now`. The timer is disarmed by it.
    public mutating func next(_ now: Instant) -> UInt64? {
        let present = now.nanoseconds / Self.grain
        while cursor <= present {
            guard placed > 0 else {
                cursor = present &+ 1
                return nil
            }
            let slot = Int(truncatingIfNeeded: cursor % UInt64(Self.slotCount))
            var index = slots[slot]
            while index >= 0 {
                let following = entries[Int(index)].next
                if entries[Int(index)].tick <= cursor {
                    let deadline = entries[Int(index)].deadline
                    unlink(index)
                    if deadline <= now.nanoseconds {
                        entries[Int(index)].deadline = .max
                        return entries[Int(index)].token
                    }
                    placeAfterCursor(index)
                }
                index = following
            }
            cursor &+= 1
        }
        return nil
    }

    private mutating func placeAfterCursor(_ index: Int32) {
        let kept = cursor
        cursor &+= 1
        place(index)
        cursor = kept
    }

    /// Milliseconds until the wheel wants to be asked again; -1 when nothing is armed.
    public func patience(_ now: Instant) -> Int32 {
        guard placed > 0 else { return -1 }
        // Looking at most this many slots ahead bounds the search; an early wake-up is harmless.
        var tick = cursor
        for _ in 0..<100 {
            if slots[Int(truncatingIfNeeded: tick % UInt64(Self.slotCount))] >= 0 { break }
            tick &+= 1
        }
        let due = tick &* Self.grain
        guard due > now.nanoseconds else { return 0 }
        return Int32(truncatingIfNeeded: min((due &- now.nanoseconds) / 1_000_000 &+ 1, 10_000))
    }

    private func isValid(_ id: TimerID) -> Bool { id.index >= 0 && Int(id.index) < used }

    private mutating func unlink(_ index: Int32) {
        let entry = entries[Int(index)]
        guard entry.tick != .max else { return }
        if entry.previous >= 0 {
            entries[Int(entry.previous)].next = entry.next
            if entry.next >= 0 { entries[Int(entry.next)].previous = entry.previous }
        } else {
            slots[Int(-entry.previous - 2)] = entry.next
            if entry.next >= 0 { entries[Int(entry.next)].previous = entry.previous }
        }
        entries[Int(index)].tick = .max
        entries[Int(index)].next = -1
        entries[Int(index)].previous = -1
        placed -= 1
    }

    private mutating func grow() {
        let larger = UnsafeMutablePointer<Entry>.allocate(capacity: capacity * 2)
        larger.moveInitialize(from: entries, count: used)
        entries.deallocate()
        entries = larger
        capacity *= 2
    }
}

/// Names a timer of one wheel.
public struct TimerID: BitwiseCopyable, Sendable, Equatable {
    public let index: Int32

    @inlinable
    public init(index: Int32) { self.index = index }

    /// No timer.
    public static let none = TimerID(index: -1)
}
