/// Endpoints of one priority, or of one locality of it, that may be chosen, prepared for drawing.
struct EndpointGroup {
    var isPanic: Bool
    var members: [Int32]
    /// Running sums of the weights; empty when all weights are equal.
    var weightSums: [UInt64]
    var meanWeight: Double
    var schedule: WeightedSchedule
    /// Until then some member gets less than its weight.
    var slowUntil: UInt64
    /// Where hashes lead to; nil unless the policy goes by hashes.
    var view: HashTable.View?
    /// Owns what `view` leads into.
    var table: HashTable?

    init(isPanic: Bool, members: [Int32], weights: [UInt32], cursor: UInt64, slowUntil: UInt64 = 0) {
        self.isPanic = isPanic
        self.members = members
        self.slowUntil = slowUntil
        let isEven = weights.allSatisfy { $0 == weights[0] }
        var sums: [UInt64] = []
        var total: UInt64 = 0
        for weight in weights {
            total += UInt64(weight)
            if !isEven { sums.append(total) }
        }
        weightSums = sums
        meanWeight = members.isEmpty ? 1 : max(1, Double(total) / Double(members.count))
        schedule = WeightedSchedule(
            weights: isEven && slowUntil == 0 ? [] : weights.map(Double.init),
            count: members.count,
            start: cursor
        )
    }

    /// A member drawn by weight from 32 random bits.
    func draw(_ random: UInt32) -> Int32 {
        if weightSums.isEmpty {
            return members[Int((UInt64(random) &* UInt64(members.count)) >> 32)]
        }
        let total = weightSums[weightSums.count - 1]
        let point = UInt64((Double(random) / 4_294_967_296) * Double(total))
        var low = 0
        var high = weightSums.count - 1
        while low < high {
            let middle = (low + high) / 2
            if weightSums[middle] > point { high = middle } else { low = middle + 1 }
        }
        return members[low]
    }
}

/// A priority's share of the load, in groups by locality.
struct EndpointTier {
    /// Percent of the load, up to and including this tier.
    var loadUpTo: UInt32
    /// Its groups in the set's array.
    var first: Int
    var count: Int
    /// Whose turn it is, when there is more than one group.
    var turns: WeightedSchedule
}

/// Earliest-deadline-first: each entry comes up in proportion to its weight, spread evenly.
///
/// Equal weights cost O(1), others O(log n) on a heap.
struct WeightedSchedule {
    private struct Entry {
        var deadline: Double
        var order: UInt64
        var member: Int32
        var step: Double

        func isBefore(_ other: Entry) -> Bool {
            deadline == other.deadline ? order < other.order : deadline < other.deadline
        }
    }

    private var heap: [Entry] = []
    private let count: Int
    private(set) var cursor: UInt64

    /// Whether weights count, so that the positions come from a heap.
    var isWeighted: Bool { !heap.isEmpty }
    /// The position that is due, of a weighted schedule.
    var due: Int { heap.isEmpty ? 0 : Int(heap[0].member) }

    /// A schedule; `weights` is empty when all are equal.
    init(weights: [Double], count: Int, start: UInt64) {
        self.count = count
        cursor = start
        guard !weights.isEmpty else { return }
        for (index, weight) in weights.enumerated() {
            let step = 1 / max(weight, 1e-9)
            heap.append(Entry(deadline: step, order: UInt64(index), member: Int32(index), step: step))
        }
        for index in stride(from: heap.count / 2, through: 0, by: -1) { sink(index) }
        // A start other than 0 keeps many workers from walking in step.
        for _ in 0..<Int(start % UInt64(max(1, count))) { _ = next() }
    }

    /// The position (not the slot) of the next member.
    mutating func next() -> Int {
        cursor &+= 1
        guard count > 0 else { return 0 }
        guard !heap.isEmpty else { return Int(cursor % UInt64(count)) }
        let member = heap[0].member
        heap[0].deadline += heap[0].step
        heap[0].order = cursor &+ UInt64(count)
        sink(0)
        return Int(member)
    }

    /// Puts the position that is due back with the weight that it has now.
    mutating func advance(weight: Double) {
        guard !heap.isEmpty else { return }
        cursor &+= 1
        heap[0].deadline += 1 / max(weight, 1e-9)
        heap[0].order = cursor &+ UInt64(count)
        sink(0)
    }

    private mutating func sink(_ start: Int) {
        var parent = start
        while true {
            let left = parent * 2 + 1
            var least = parent
            if left < heap.count, heap[left].isBefore(heap[least]) { least = left }
            if left + 1 < heap.count, heap[left + 1].isBefore(heap[least]) { least = left + 1 }
            guard least != parent else { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
