/// Decides by how long work waits in a worker whether its next request is refused.
///
/// A wait that goes away now and then is a burst; one that never does is a standing queue, in which everybody gets old (after
/// CoDel). While there is one, requests that waited longer than a limit are refused at once, so that the others are served in
/// time. A queue is known by a wait over the bound, or over a tenth of it while clients give up waiting. The limit is halved again and again while that costs no served requests, and doubled where it does or where nobody is
/// refused any more. Pure: times are arguments, in nanoseconds of one clock.
package struct BacklogGuard: Sendable, BitwiseCopyable {
    /// So long a wait has to stand before it counts.
    package static let patience: UInt64 = 500_000_000
    /// So long nobody must have been refused until it ends.
    package static let calm: UInt64 = 1_000_000_000
    /// How often the limit is looked at.
    package static let step: UInt64 = 100_000_000
    /// So many requests of a turn are served however long the turn takes: requests may be worth more than the limit.
    private static let leastAdmitted: UInt32 = 1

    /// 0: nothing is refused.
    package private(set) var bound: UInt64
    package private(set) var isShedding = false
    /// What was measured last.
    package private(set) var wait: UInt64 = 0
    /// Who waited longer is refused, while there is a standing queue.
    package private(set) var limit: UInt64 = 0
    /// How long all that is dealt with in the present turn waited before it at least.
    private var standing: UInt64 = 0
    /// Since when the wait is over its bound, or nobody is refused; 0 = it is not.
    private var turnedAt: UInt64 = 0
    /// When the limit was looked at.
    private var steppedAt: UInt64 = 0
    private var admittedInTurn: UInt32 = 0
    /// Since the last look at the limit.
    private var admitted: UInt64 = 0
    private var refused: UInt64 = 0
    /// Clients that gave up, since the last look.
    private var gone: UInt64 = 0
    /// How long refusals took, since the last look.
    private var spent: UInt64 = 0
    /// Refusals take much of the time: they are to end their connections, so that who comes again waits in the kernel, for nothing.
    package private(set) var closesRefused = false
    private var overflow = false
    /// At the last look there were some, compared with those that were served.
    private var clientsLeave = false
    /// How many are admitted in a second, smoothed, and the most that were, forgotten slowly.
    private var rate: UInt64 = 0
    private var most: UInt64 = 0

    package init(bound: UInt64 = 0) { self.bound = bound }

    /// Takes over another bound; a standing queue is found anew.
    package mutating func use(bound new: UInt64) {
        if new != bound { self = BacklogGuard(bound: new) }
    }

    /// Something waits that is worth another look, or did when it was last looked.
    package var isRaised: Bool { wait > Self.unnoticed || isShedding }
    private static let unnoticed: UInt64 = 1_000_000

    /// What waits may be a queue: clients that leave are counted, by `leaves` and `refuses`.
    package var isWatching: Bool { isShedding || (bound > 0 && wait > bound / Self.suspicion) }
    /// This share of the bound is a queue where clients leave.
    private static let suspicion: UInt64 = 10

    /// Clients are turned away before they are heard: as good as many that leave.
    package mutating func overflows() { overflow = true }

    /// A refusal took so long to answer.
    package mutating func spends(_ time: UInt64) { spent &+= time }

    /// A client ended its connection, or took its request back, before it was answered.
    package mutating func leaves() { gone &+= 1 }

    /// The wait of work that was ready and is dealt with in the next turn. `isAll`: all of it waits that long; else some of it, at most.
    package mutating func note(_ wait: UInt64, isAll: Bool, now: UInt64) {
        self.wait = wait
        guard bound > 0 else { return }
        guard isShedding else {
            begin(now)
            return
        }
        standing = isAll ? wait : 0
        admittedInTurn = 0
        guard now > steppedAt, now &- steppedAt >= Self.step else { return }
        let isBusy = refused > 0 || gone > 0 || overflow
        adjust(isBusy, after: now &- steppedAt)
        // Reading what is refused takes as long again as answering it.
        closesRefused = isBusy && spent &* 2 > (now &- steppedAt) / Self.shareOfRefusals
        (admitted, refused, gone, spent, overflow, steppedAt) = (0, 0, 0, 0, false, now)
        // Calm again: for a while nobody was refused or left, and what waits is not old.
        guard !isBusy, wait <= bound / 4 else {
            turnedAt = 0
            return
        }
        if turnedAt == 0 { turnedAt = max(1, now) }
        if now &- turnedAt >= Self.calm { self = BacklogGuard(bound: bound) }
    }

    private mutating func begin(_ now: UInt64) {
        if now > steppedAt, now &- steppedAt >= Self.step {
            clientsLeave = overflow || (gone > 0 && gone &* 20 >= admitted)
            (gone, admitted, overflow, steppedAt) = (0, 0, false, now)
        }
        guard wait > bound || (clientsLeave && wait > bound / Self.suspicion) else {
            turnedAt = 0
            return
        }
        if turnedAt == 0 { turnedAt = max(1, now) }
        guard now > turnedAt, now &- turnedAt >= Self.patience else { return }
        isShedding = true
        limit = bound / 2
        (admitted, refused, gone, spent, overflow, rate, most) = (0, 0, 0, 0, false, 0, 0)
        steppedAt = now
        turnedAt = 0
    }

    private mutating func adjust(_ isBusy: Bool, after time: UInt64) {
        // Per second; turns are long at first, so that one step may have more of them than the next.
        let now = admitted &* 1_000_000_000 / max(1, time)
        rate = rate == 0 ? now : (rate &+ now) / 2
        most = max(rate, most &- most / 32)
        if isBusy, rate >= most &- most / 6 {
            limit = max(limit / 2, bound / Self.depth)
        } else {
            limit = min(limit &* 2, bound / 2)
        }
    }
    /// Refusals may take this share of the time before they end connections.
    private static let shareOfRefusals: UInt64 = 10
    /// The least limit is this share of the bound.
    private static let depth: UInt64 = 2500

    /// Whether a request is refused that is looked at so long after the last measurement. `age`: what is known of it besides.
    package mutating func refuses(after time: UInt64, age: UInt64 = 0, isHighPriority: Bool) -> Bool {
        guard isShedding else {
            admitted &+= 1
            return false
        }
        let (sum, isOver) = standing.addingReportingOverflow(time)
        let waited = isOver ? .max : max(sum, age)
        let isSpared = admittedInTurn < Self.leastAdmitted && max(standing, age) <= bound / 2
        if !isSpared, waited > (isHighPriority ? bound : limit) {
            refused &+= 1
            return true
        }
        admittedInTurn &+= 1
        admitted &+= 1
        return false
    }
}
