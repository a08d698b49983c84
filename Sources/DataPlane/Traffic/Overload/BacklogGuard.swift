/// Decides by how long work waits in a worker whether its next request is refused.
///
/// A wait that goes away now and then is a burst; one that never does is a standing queue, in which everybody gets old (after
/// CoDel). While there is one, requests that waited longer than half of the bound are refused at once, so that the others are
/// served in time. Pure: times are arguments, in nanoseconds of one clock.
package struct BacklogGuard: Sendable, BitwiseCopyable {
    /// So long a wait has to stand before it counts.
    package static let patience: UInt64 = 1_000_000_000

    /// 0: nothing is refused.
    package private(set) var bound: UInt64
    package private(set) var isShedding = false
    /// What was measured last.
    package private(set) var wait: UInt64 = 0
    /// Since when the wait is on the other side of its bound; 0 = it is not.
    private var turnedAt: UInt64 = 0

    package init(bound: UInt64 = 0) { self.bound = bound }

    /// Takes over another bound; a standing queue is found anew.
    package mutating func use(bound new: UInt64) {
        if new != bound { self = BacklogGuard(bound: new) }
    }

    /// Something waits that is worth another look, or did when it was last looked.
    package var isRaised: Bool { wait > Self.unnoticed || isShedding }
    private static let unnoticed: UInt64 = 1_000_000

    /// The wait of work that was ready and is dealt with now.
    package mutating func note(_ wait: UInt64, now: UInt64) {
        self.wait = wait
        guard bound > 0 else { return }
        let isOver = isShedding ? wait > bound / 4 : wait > bound
        guard isOver != isShedding else {
            turnedAt = 0
            return
        }
        if turnedAt == 0 { turnedAt = max(1, now) }
        guard now > turnedAt, now &- turnedAt >= Self.patience else { return }
        isShedding = isOver
        turnedAt = 0
    }

    /// Whether a request is refused that waits since the last measurement and for some further time.
    package func refuses(after time: UInt64, isHighPriority: Bool) -> Bool {
        guard isShedding else { return false }
        let (waited, isOver) = wait.addingReportingOverflow(time)
        return isOver || waited > (isHighPriority ? bound : bound / 2)
    }
}
