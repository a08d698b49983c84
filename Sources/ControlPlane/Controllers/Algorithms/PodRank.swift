/// What decides which pod of a ReplicaSet goes first when there are too many.
package struct PodRank: Equatable, Sendable {
    package enum Phase: Int, Sendable { case pending, unknown, running }

    package var name: String
    package var isAssigned: Bool
    package var phase: Phase
    package var isReady: Bool
    /// The annotation `controller.kubernetes.io/pod-deletion-cost`; dearer pods stay.
    package var deletionCost: Int
    /// Ready pods of the same owner on the same node.
    package var readySiblings: Int
    /// Seconds for which it has been ready; nil when it is not.
    package var secondsReady: Int?
    package var restarts: Int
    /// RFC 3339 text; newer pods go first.
    package var created: String

    package init(
        name: String,
        isAssigned: Bool = true,
        phase: Phase = .running,
        isReady: Bool = true,
        deletionCost: Int = 0,
        readySiblings: Int = 0,
        secondsReady: Int? = nil,
        restarts: Int = 0,
        created: String = ""
    ) {
        self.name = name
        self.isAssigned = isAssigned
        self.phase = phase
        self.isReady = isReady
        self.deletionCost = deletionCost
        self.readySiblings = readySiblings
        self.secondsReady = secondsReady
        self.restarts = restarts
        self.created = created
    }

    /// Whether `self` is ended before `other`.
    package func dies(before other: PodRank) -> Bool {
        if isAssigned != other.isAssigned { return !isAssigned }
        if phase != other.phase { return phase.rawValue < other.phase.rawValue }
        if isReady != other.isReady { return !isReady }
        if deletionCost != other.deletionCost { return deletionCost < other.deletionCost }
        if readySiblings != other.readySiblings { return readySiblings > other.readySiblings }
        if readyBucket != other.readyBucket { return readyBucket < other.readyBucket }
        if restarts != other.restarts { return restarts > other.restarts }
        if created != other.created { return created > other.created }
        return name > other.name
    }

    /// Times are compared by powers of two, so that a second more or less decides nothing.
    private var readyBucket: Int {
        guard let secondsReady, secondsReady > 0 else { return 0 }
        return Int.bitWidth - secondsReady.leadingZeroBitCount
    }

    /// The names of the `count` pods that go first.
    package static func victims(of pods: [PodRank], count: Int) -> [String] {
        guard count > 0 else { return [] }
        return pods.sorted { $0.dies(before: $1) }.prefix(count).map(\.name)
    }
}

/// The sizes of batches in which pods are created: 1, 2, 4 ..., so that a fault (a full quota, a refused template) shows
/// after one failure and not after five hundred.
package struct SlowStart: Sequence, IteratorProtocol, Sendable {
    /// No more than this many in one reconciliation.
    package static let burst = 500
    private var remaining: Int
    private var size = 1

    package init(total: Int) {
        remaining = Swift.min(Swift.max(0, total), Self.burst)
    }

    package mutating func next() -> Int? {
        guard remaining > 0 else { return nil }
        let batch = Swift.min(size, remaining)
        remaining -= batch
        size *= 2
        return batch
    }
}
