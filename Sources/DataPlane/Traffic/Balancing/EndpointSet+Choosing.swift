import Glibc

func power(_ base: Double, _ exponent: Double) -> Double { pow(base, exponent) }
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
    /// The endpoint for the next request; `random` is 64 fresh random bits, and `hash` what the policies of hashes go by (nil:
    /// the random bits). An endpoint that the request was already sent to (`tried`) is chosen only when there is no other.
    package mutating func choose(
        now: UInt64,
        random: UInt64,
        hash: UInt64? = nil,
        excluding tried: TriedEndpoints = .init()
    ) -> EndpointChoice {
        guard presentCount > 0 else { return .noEndpoints }
        guard !groups.isEmpty else { return .allUnhealthy }
        if usesHash { return choose(byHash: hash ?? random, excluding: tried) }
        var draws = Draws(random)
        let group = tiers.isEmpty ? 0 : group(for: UInt32(truncatingIfNeeded: draws.next() % 100))
        if groups[group].isPanic { panicChoices &+= 1 }
        guard groups[group].members.count > 1 else {
            return groups[group].members.isEmpty ? .allUnhealthy : .endpoint(groups[group].members[0])
        }
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

    /// The group of the tier that a point of 0...99 falls into; localities of a tier take turns.
    mutating func group(for point: UInt32) -> Int {
        var tier = 0
        while tier < tiers.count - 1, point >= tiers[tier].loadUpTo { tier += 1 }
        guard tiers[tier].count > 1 else { return tiers[tier].first }
        return tiers[tier].first + tiers[tier].turns.next()
    }

    private mutating func pick(_ group: Int, now: UInt64, random: UInt64) -> Int32 {
        switch policy {
        case .roundRobin, .originalDestination, .hash:
            if now < groups[group].slowUntil { return takeTurn(group, bias: 0, now: now) }
            let position = groups[group].schedule.next()
            return groups[group].members[position]
        case .random:
            return groups[group].draw(UInt32(truncatingIfNeeded: random))
        case .leastRequest(let choices, let bias):
            if groups[group].schedule.isWeighted { return takeTurn(group, bias: bias, now: now) }
            return leastRequest(group, choices: choices, random: random)
        case .peakEWMA(let numbers):
            return peakEWMA(group, numbers: numbers, now: now, random: random)
        }
    }

    /// The member whose turn it is; its next turn comes by its weight as of now.
    private mutating func takeTurn(_ group: Int, bias: Double, now: UInt64) -> Int32 {
        let member = groups[group].members[groups[group].schedule.due]
        let state = slots[Int(member)]
        var weight = Double(state.weight)
        if bias == 1 {
            weight /= Double(state.requestsInFlight) + 1
        } else if bias > 0 {
            weight /= power(Double(state.requestsInFlight) + 1, bias)
        }
        if now < groups[group].slowUntil, let slowStart = settings.slowStart {
            weight *= slowStart.share(after: now > state.healthySince ? now - state.healthySince : 0)
        }
        groups[group].schedule.advance(weight: weight)
        return member
    }

    /// Requests in flight decide; a tie goes to the one drawn first.
    private func leastRequest(_ group: Int, choices: Int, random: UInt64) -> Int32 {
        var draws = Draws(random)
        var best = groups[group].draw(UInt32(truncatingIfNeeded: random))
        var bestLoad = slots[Int(best)].requestsInFlight
        for _ in 1..<max(2, min(choices, 16)) {
            let other = distinct(from: best, in: group, draws: &draws)
            let otherLoad = slots[Int(other)].requestsInFlight
            if otherLoad < bestLoad { (best, bestLoad) = (other, otherLoad) }
        }
        return best
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
}
