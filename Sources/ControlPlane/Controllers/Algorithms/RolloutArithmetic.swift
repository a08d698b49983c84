package import Wire

/// A count of pods that a manifest gives as a number or as a share of the desired pods (`maxSurge: 25%`).
package enum PodAllowance: Equatable, Sendable {
    case count(Int)
    case percent(Int)

    /// Which way a share that is no whole pod goes.
    package enum Rounding: Sendable { case up, down }

    /// - Returns: nil when the value is neither a number from 0 up nor a text such as `25%`.
    package init?(_ value: Value?) {
        switch value {
        case .int(let number) where number >= 0 && number <= Int64(Int32.max): self = .count(Int(number))
        case .string(let text):
            guard text.hasSuffix("%"), let number = Int(text.dropLast()), (0...100_000).contains(number) else {
                return nil
            }
            self = .percent(number)
        default: return nil
        }
    }

    /// The number of pods this allows when `desired` are wanted.
    package func resolved(of desired: Int, rounding: Rounding) -> Int {
        switch self {
        case .count(let count): return count
        case .percent(let percent):
            let (product, overflow) = max(0, desired).multipliedReportingOverflow(by: percent)
            guard !overflow else { return Int(Int32.max) }
            return rounding == .up ? (product + 99) / 100 : product / 100
        }
    }
}

/// One ReplicaSet as the arithmetic of a rollout sees it.
package struct ReplicaSetSize: Equatable, Sendable {
    package var name: String
    /// `spec.replicas`: what it was last told to run.
    package var desired: Int
    /// Pods that exist and are not ending.
    package var existing: Int
    /// Pods that have been ready for `minReadySeconds`.
    package var available: Int
    /// RFC 3339 text; older sets lose pods first.
    package var created: String
    /// The annotation `max-replicas` of the last scaling, for proportional scaling.
    package var annotatedMaximum: Int?

    package init(
        name: String,
        desired: Int,
        existing: Int,
        available: Int,
        created: String = "",
        annotatedMaximum: Int? = nil
    ) {
        self.name = name
        self.desired = desired
        self.existing = existing
        self.available = available
        self.created = created
        self.annotatedMaximum = annotatedMaximum
    }
}

/// A ReplicaSet's new size.
package struct Scaling: Equatable, Sendable {
    package var name: String
    package var from: Int
    package var to: Int

    package init(name: String, from: Int, to: Int) {
        self.name = name
        self.from = from
        self.to = to
    }
}

/// The arithmetic of a rolling update: how far the new ReplicaSet may grow and the old ones must shrink.
///
/// Pure. One call decides one step; the caller applies it, watches the pods, and asks again.
package struct RolloutArithmetic: Equatable, Sendable {
    /// Pods the Deployment wants.
    package let desired: Int
    /// Pods beyond `desired` that may exist for a while.
    package let maxSurge: Int
    /// Pods of `desired` that may be missing for a while.
    package let maxUnavailable: Int

    /// Resolves shares: the surge is rounded up, the unavailable down; when both come out as nothing, one pod may be
    /// missing, since otherwise nothing could ever move.
    package init(desired: Int, maxSurge: PodAllowance, maxUnavailable: PodAllowance) {
        self.desired = max(0, desired)
        let surge = maxSurge.resolved(of: desired, rounding: .up)
        var unavailable = min(maxUnavailable.resolved(of: desired, rounding: .down), max(0, desired))
        if surge == 0, unavailable == 0 { unavailable = 1 }
        self.maxSurge = surge
        self.maxUnavailable = unavailable
    }

    /// Pods that may exist at the same time.
    package var ceiling: Int { desired + maxSurge }
    /// Pods that must be available at any time.
    package var floor: Int { max(0, desired - maxUnavailable) }

    /// The size of the new ReplicaSet after this step.
    package func newSize(current: ReplicaSetSize, old: [ReplicaSetSize]) -> Int {
        if current.desired > desired { return desired }
        let all = current.desired + old.reduce(0) { $0 + $1.desired }
        let room = ceiling - all
        guard room > 0 else { return current.desired }
        return current.desired + min(room, desired - current.desired)
    }

    /// What the old ReplicaSets lose in this step: first pods that are not available anyway (oldest set first), then as many
    /// available ones as the floor allows. Empty when nothing may go yet.
    package func shrink(current: ReplicaSetSize, old: [ReplicaSetSize]) -> [Scaling] {
        var sets = old.filter { $0.desired > 0 }.sorted { ($0.created, $0.name) < ($1.created, $1.name) }
        guard !sets.isEmpty else { return [] }
        let before = Dictionary(sets.map { ($0.name, $0.desired) }, uniquingKeysWith: { first, _ in first })
        let all = current.desired + sets.reduce(0) { $0 + $1.desired }
        let newUnavailable = max(0, current.desired - current.available)
        var removable = all - floor - newUnavailable
        guard removable > 0 else { return [] }

        for index in sets.indices where removable > 0 {
            let idle = min(removable, max(0, sets[index].desired - sets[index].available))
            sets[index].desired -= idle
            removable -= idle
        }
        let available = current.available + sets.reduce(0) { $0 + min($1.available, $1.desired) }
        var surplus = available - floor
        for index in sets.indices where surplus > 0 {
            let gone = min(surplus, sets[index].desired)
            sets[index].desired -= gone
            surplus -= gone
        }
        return sets.compactMap { set in
            guard let from = before[set.name], from != set.desired else { return nil }
            return Scaling(name: set.name, from: from, to: set.desired)
        }
    }

    /// New sizes when the Deployment is scaled in the middle of a rollout: every ReplicaSet keeps its share, the largest ones
    /// take what rounding leaves. `sets` are those with a size above 0.
    package func proportional(_ sets: [ReplicaSetSize]) -> [Scaling] {
        let total = sets.reduce(0) { $0 + $1.desired }
        let goal = desired > 0 ? ceiling : 0
        var left = goal - total
        guard left != 0, !sets.isEmpty else { return [] }
        let ordered = sets.sorted { first, second in
            if first.desired != second.desired { return first.desired > second.desired }
            // Growing favours newer sets, shrinking takes from older ones.
            return left > 0 ? first.created > second.created : first.created < second.created
        }
        var result: [Scaling] = []
        for set in ordered {
            let share = left == 0 ? 0 : bounded(proportion(of: set, total: total), left)
            left -= share
            result.append(Scaling(name: set.name, from: set.desired, to: max(0, set.desired + share)))
        }
        if left != 0, let first = result.first {
            result[0].to = max(0, first.to + left)
        }
        return result.filter { $0.from != $0.to }
    }

    private func proportion(of set: ReplicaSetSize, total: Int) -> Int {
        if desired == 0 { return -set.desired }
        let basis = Double(set.annotatedMaximum.flatMap { $0 > 0 ? $0 : nil } ?? max(1, total))
        let share = Double(set.desired) * Double(ceiling) / basis
        return Int(min(share.rounded(), Double(Int32.max))) - set.desired
    }

    private func bounded(_ share: Int, _ left: Int) -> Int {
        left > 0 ? min(max(share, 0), left) : max(min(share, 0), left)
    }
}
