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
    private let count = SharedCount()

    init(most: Int, delay: UInt64 = 0) {
        self.most = most
        self.delay = delay
    }

    /// Takes a place; false when there is none.
    func take() -> Bool { count.take(most: most) }

    func giveBack() { count.giveBack() }
}
