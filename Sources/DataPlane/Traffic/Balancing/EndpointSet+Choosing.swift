import Glibc

func decayFactor(elapsed: UInt64, decay: UInt64) -> Double { exp(-Double(elapsed) / Double(decay)) }

/// Spreads one random number into as many as are needed (SplitMix64).
struct Draws {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

extension EndpointSet {
    /// The endpoint for the next request; `random` is 64 fresh random bits. An endpoint that the request was already sent
    /// to (`tried`) is chosen only when there is no other.
    package mutating func choose(now: UInt64, random: UInt64, excluding tried: TriedEndpoints = .init())
        -> EndpointChoice
    {
        guard presentCount > 0 else { return .noEndpoints }
        guard !groups.isEmpty else { return .allUnhealthy }
        var draws = Draws(random)
        let group = groups.count == 1 ? 0 : group(for: UInt32(truncatingIfNeeded: draws.next() % 1_000_000))
        guard groups[group].members.count > 1 else { return .endpoint(groups[group].members[0]) }
        // Four tries find a fresh endpoint almost always; after that the first one that is not excluded is good enough.
        var choice: Int32 = -1
        for _ in 0..<(tried.isEmpty ? 1 : 4) {
            choice = pick(group, now: now, random: draws.next())
            if !tried.contains(choice) { return .endpoint(choice) }
        }
        if tried.isEmpty { return .endpoint(choice) }
        for member in groups[group].members where !tried.contains(member) { return .endpoint(member) }
        return .endpoint(choice)
    }

    /// Whether some endpoint that may be chosen is not among the tried ones. O(n): asked after failures only.
    package func hasUntried(besides tried: TriedEndpoints) -> Bool {
        groups.contains { group in group.members.contains { !tried.contains($0) } }
    }

    private func group(for point: UInt32) -> Int {
        for (index, group) in groups.enumerated() where point < group.loadUpTo { return index }
        return groups.count - 1
    }

    private mutating func pick(_ group: Int, now: UInt64, random: UInt64) -> Int32 {
        switch policy {
        case .roundRobin, .originalDestination:
            let position = groups[group].schedule.next()
            return groups[group].members[position]
        case .random:
            return groups[group].draw(UInt32(truncatingIfNeeded: random))
        case .leastRequest(let choices):
            return leastRequest(group, choices: choices, random: random)
        case .peakEWMA(let numbers):
            return peakEWMA(group, numbers: numbers, now: now, random: random)
        }
    }

    /// Requests in flight per weight decide; a tie goes to the one drawn first, and drawing is by weight, so that the
    /// weights hold for idle endpoints too.
    private func leastRequest(_ group: Int, choices: Int, random: UInt64) -> Int32 {
        var draws = Draws(random)
        var best = groups[group].draw(UInt32(truncatingIfNeeded: random))
        var bestLoad = load(best)
        for _ in 1..<max(2, min(choices, 16)) {
            let other = distinct(from: best, in: group, draws: &draws)
            let otherLoad = load(other)
            if otherLoad < bestLoad { (best, bestLoad) = (other, otherLoad) }
        }
        return best
    }

    private func load(_ slot: Int32) -> Double {
        Double(slots[Int(slot)].requestsInFlight) / Double(slots[Int(slot)].weight)
    }

    private func peakEWMA(_ group: Int, numbers: PeakEWMA, now: UInt64, random: UInt64) -> Int32 {
        var draws = Draws(random)
        let first = groups[group].draw(UInt32(truncatingIfNeeded: random))
        let second = distinct(from: first, in: group, draws: &draws)
        return cost(second, group, numbers, now) < cost(first, group, numbers, now) ? second : first
    }

    private func cost(_ slot: Int32, _ group: Int, _ numbers: PeakEWMA, _ now: UInt64) -> Double {
        let state = slots[Int(slot)]
        let share = Double(state.requestsInFlight) * groups[group].meanWeight / Double(state.weight)
        return state.estimate(now: now, numbers: numbers) * (share + 1)
    }

    /// A second draw that differs from the first.
    private func distinct(from first: Int32, in group: Int, draws: inout Draws) -> Int32 {
        for _ in 0..<4 {
            let other = groups[group].draw(UInt32(truncatingIfNeeded: draws.next()))
            if other != first { return other }
        }
        // A heavy endpoint was drawn again and again: any other one will do.
        let members = groups[group].members
        let start = Int(draws.next() % UInt64(members.count))
        for step in 0..<members.count {
            let other = members[(start + step) % members.count]
            if other != first { return other }
        }
        return first
    }

    // MARK: Who may be chosen

    /// Envoy's overprovisioning factor: a priority takes all its load while 72 % of its endpoints are healthy.
    private static var overprovisioning: Double { 1.4 }

    /// Rebuilds the groups after a change of endpoints, health or ejections. O(n log n): not per request.
    mutating func rebuild() {
        let cursor = groups.first?.schedule.cursor ?? 0
        let present = slots.indices.filter {
            slots[$0].isPresent && !(ignoresUnchecked && slots[$0].check == .pending)
        }
        presentCount = present.count
        ejectedCount = present.count { slots[$0].isEjected }
        let priorities = Set(present.map { slots[$0].priority }).sorted()
        var shares: [Double] = []
        for priority in priorities {
            let members = present.filter { slots[$0].priority == priority }
            let healthy = members.count { isUsable($0) }
            shares.append(min(1, Self.overprovisioning * Double(healthy) / Double(members.count)))
        }
        let total = min(1, shares.reduce(0, +))
        var left = 1.0
        var rebuilt: [EndpointGroup] = []
        for (priority, share) in zip(priorities, shares) {
            // With too little health everywhere the load is spread by what health there is; with none, evenly.
            let load = total > 0 ? min(left, total < 1 ? share / total : share) : 1 / Double(priorities.count)
            guard load > 0 else { continue }
            left = max(0, left - load)
            let reached = UInt32(((1 - left) * 1_000_000).rounded())
            if let group = makeGroup(priority, among: present, loadUpTo: reached, cursor: cursor) {
                rebuilt.append(group)
            }
        }
        groups = rebuilt
    }

    private func makeGroup(_ priority: UInt8, among present: [Int], loadUpTo: UInt32, cursor: UInt64) -> EndpointGroup?
    {
        let all = present.filter { slots[$0].priority == priority }
        let healthy = all.filter { isUsable($0) }
        let isPanic = Double(healthy.count) * 100 < panicThreshold * Double(all.count)
        let members = isPanic ? all : healthy
        guard !members.isEmpty else { return nil }
        return EndpointGroup(
            loadUpTo: loadUpTo,
            isPanic: isPanic,
            members: members.map(Int32.init),
            weights: members.map { slots[$0].weight },
            cursor: cursor
        )
    }

    private func isUsable(_ index: Int) -> Bool {
        slots[index].isHealthy && slots[index].check.isUsable && !slots[index].isEjected
    }
}
