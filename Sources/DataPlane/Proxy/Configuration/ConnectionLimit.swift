import Synchronization

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

/// A bound on connections that all workers keep together.
final class ConnectionLimit: Sendable {
    let most: Int
    /// How long a connection beyond the bound is held before it is closed, nanoseconds.
    let delay: UInt64
    /// It holds for a whole listener.
    let isOfListener: Bool
    private let count = SharedCount()

    init(most: Int, delay: UInt64 = 0, isOfListener: Bool = false) {
        self.isOfListener = isOfListener
        self.most = most
        self.delay = delay
    }

    /// Takes a place; false when there is none.
    func take() -> Bool { count.take(most: most) }

    func giveBack() { count.giveBack() }
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
