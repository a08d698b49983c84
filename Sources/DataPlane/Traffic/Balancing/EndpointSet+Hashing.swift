extension EndpointSet {
    /// The endpoint that a hash leads to. A request that was sent already goes on to the next places of its hash.
    mutating func choose(byHash hash: UInt64, excluding tried: TriedEndpoints) -> EndpointChoice {
        let group = tiers.isEmpty ? 0 : group(for: UInt32(hash % 100))
        if groups[group].isPanic { panicChoices &+= 1 }
        guard let view = groups[group].view, view.count > 0 else { return .allUnhealthy }
        // After so many places of its hash any other endpoint will do.
        var choice: Int32 = -1
        for attempt in 0..<(tried.isEmpty ? 1 : 32) {
            choice = slot(view, byHash: hash, attempt: attempt)
            if !tried.contains(choice) { return .endpoint(choice) }
        }
        for member in groups[group].members where !tried.contains(member) { return .endpoint(member) }
        return .endpoint(choice)
    }

    private func slot(_ view: HashTable.View, byHash hash: UInt64, attempt: Int) -> Int32 {
        let member = view.member(hash, attempt: attempt)
        guard case .hash(let settings) = policy, settings.balanceFactor > 0 else { return slot(view, member) }
        guard isOver(view, member, settings.balanceFactor) > 1 else { return slot(view, member) }
        return slot(view, alternative(to: member, view, hash: hash, factor: settings.balanceFactor))
    }

    private func slot(_ view: HashTable.View, _ member: Int) -> Int32 {
        slotOfPosition[Int(view.members[member].position)]
    }

    /// Requests in flight over those that the bound allows: more than 1 is too much.
    private func isOver(_ view: HashTable.View, _ member: Int, _ factor: UInt32) -> Double {
        let all = ((UInt64(inFlight) + 1) &* UInt64(factor) &+ 99) / 100
        let places = max(1, (Double(all) * view.members[member].weight).rounded(.up))
        return Double(slots[Int(slot(view, member))].requestsInFlight) / places
    }

    /// Another member with room, in an order that the hash alone decides; without any the one that is least over. O(n), and
    /// only for a request whose own endpoint is full.
    private func alternative(to member: Int, _ view: HashTable.View, hash: UInt64, factor: UInt32) -> Int {
        withUnsafeTemporaryAllocation(of: Int32.self, capacity: view.memberCount) { order in
            for index in 0..<view.memberCount { order.initializeElement(at: index, to: Int32(index)) }
            var random = MersenneTwister(seed: hash)
            var best = member
            var least = isOver(view, member, factor)
            for index in 0..<view.memberCount {
                let other = index + Int(random.below(UInt32(view.memberCount - index)))
                order.swapAt(index, other)
                let candidate = Int(order[index])
                guard candidate != member else { continue }
                let load = isOver(view, candidate, factor)
                if load <= 1 { return candidate }
                if load < least { (best, least) = (candidate, load) }
            }
            return best
        }
    }

    /// The sizes of the tables in use: all points or places, and the fewest and most of one endpoint.
    package var hashTableSizes: (count: Int, fewest: Int, most: Int)? {
        let tables = groups.compactMap(\.table)
        guard let first = tables.first else { return nil }
        return tables.dropFirst().reduce((first.view.count, first.fewest, first.most)) { sizes, table in
            (sizes.0 + table.view.count, min(sizes.1, table.fewest), max(sizes.2, table.most))
        }
    }
}
