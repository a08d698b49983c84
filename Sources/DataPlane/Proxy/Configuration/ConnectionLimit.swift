import Synchronization
import Traffic

/// A number that all workers count together.
final class SharedCount: Sendable {
    private let count = Atomic<Int>(0)

    /// Takes a place; false when there are `most` already. 0 = no limit.
    func take(most: Int) -> Bool {
        guard count.add(1, ordering: .relaxed).newValue > most, most > 0 else { return true }
        giveBack()
        return false
    }

    func giveBack() { count.subtract(1, ordering: .relaxed) }

    var number: Int { count.load(ordering: .relaxed) }
}

/// A bound on connections that all workers keep together: on those that are open, or on those that begin in a time.
final class ConnectionLimit: Sendable {
    /// Of open ones; 0 where a bucket bounds those that begin.
    let most: Int
    private let bucket: TokenBucket?
    /// Places of `FilterStatBook`; -1: not counted there.
    let refused: Int32
    let active: Int32
    /// How long a connection beyond the bound is held before it is closed, nanoseconds.
    let delay: UInt64
    /// It holds for a whole listener.
    let isOfListener: Bool
    private let count = SharedCount()

    init(most: Int, delay: UInt64 = 0, isOfListener: Bool = false, refused: Int32 = -1, active: Int32 = -1) {
        self.isOfListener = isOfListener
        self.most = most
        self.delay = delay
        self.refused = refused
        self.active = active
        bucket = nil
    }

    init(_ bucket: TokenBucket, refused: Int32) {
        self.bucket = bucket
        self.refused = refused
        most = 0
        delay = 0
        isOfListener = false
        active = -1
    }

    /// Takes a place; false when there is none.
    func take(now: UInt64) -> Bool { bucket?.take(now: now) ?? count.take(most: most) }

    func giveBack() { if bucket == nil { count.giveBack() } }
}

/// The bounds of whole listeners, which their chains share.
final class ListenerLimitBook {
    private var known: [String: ConnectionLimit] = [:]
    /// The listener under compilation.
    var listener = ""

    func limit(_ most: Int) -> ConnectionLimit {
        if let limit = known[listener], limit.most == most { return limit }
        let made = ConnectionLimit(most: most, delay: 0, isOfListener: true)
        known[listener] = made
        return made
    }
}
