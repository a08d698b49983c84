/// Who may be chosen: shares of the load by priority, health and locality.
extension EndpointSet {
    /// The endpoints of one priority, in the order of the configuration.
    private struct Level {
        var all: [Int32] = []
        var healthy: [Int32] = []
        var degraded: [Int32] = []
        /// Share of healthy and of degraded ones times the overprovisioning, 0...100.
        var healthyShare: UInt32 = 0
        var degradedShare: UInt32 = 0
        var healthyLoad: UInt32 = 0
        var degradedLoad: UInt32 = 0
        var isPanic = false

        func filtered(_ members: Set<Int32>) -> Level {
            var level = self
            level.all.removeAll { !members.contains($0) }
            level.healthy.removeAll { !members.contains($0) }
            level.degraded.removeAll { !members.contains($0) }
            return level
        }
    }

    /// Rebuilds the groups after a change of endpoints, health or ejections. O(n log n): not per request.
    mutating func rebuild() {
        usesHash = tables != nil
        let levels = collect()
        let localityWeights = settings.localityWeights
        if let rules = book?.rules {
            if !rules.weighsLocalities { settings.localityWeights = nil }
            for place in 0..<(book?.subsets.count ?? 0) { fillSubset(place, levels, rules, localityWeights) }
        }
        fill(levels, cursor: groups.first?.schedule.cursor ?? 0)
        settings.localityWeights = localityWeights
    }

    /// Makes the groups of a subset.
    private mutating func fillSubset(_ place: Int, _ levels: [Level], _ rules: SubsetRules, _ weights: [UInt32]?) {
        guard var taken = book.take() else { return }
        let members = taken.subsets[place].members
        let own = levels.map { $0.filtered(members) }
        swap(&groups, &taken.subsets[place].groups)
        swap(&tiers, &taken.subsets[place].tiers)
        if rules.weighsLocalities, rules.scalesLocalities, let weights {
            settings.localityWeights = scaled(weights, own, of: levels)
        }
        fill(own, cursor: groups.first?.schedule.cursor ?? 0)
        if rules.weighsLocalities { settings.localityWeights = weights }
        swap(&groups, &taken.subsets[place].groups)
        swap(&tiers, &taken.subsets[place].tiers)
        book = taken
    }

    /// The weights of localities times the share of their endpoints that a subset has.
    private func scaled(_ weights: [UInt32], _ own: [Level], of all: [Level]) -> [UInt32] {
        let part = byLocality(own.flatMap(\.all), count: weights.count)
        let whole = byLocality(all.flatMap(\.all), count: weights.count)
        return weights.indices.map { index in
            guard !whole[index].isEmpty else { return 0 }
            return UInt32(
                (Double(weights[index]) * Double(part[index].count) / Double(whole[index].count)).rounded()
            )
        }
    }

    private mutating func fill(_ collected: [Level], cursor: UInt64) {
        var levels = collected
        measure(&levels)
        distribute(&levels)
        groups = []
        tiers = []
        var reached: UInt32 = 0
        for level in levels where level.healthyLoad > 0 {
            reached += level.healthyLoad
            add(level, level.isPanic ? level.all : level.healthy, loadUpTo: reached, cursor: cursor)
        }
        for level in levels where level.degradedLoad > 0 {
            reached += level.degradedLoad
            // As in Envoy, hashes lead to degraded endpoints only when no other one is left.
            let spare = usesHash && !level.healthy.isEmpty ? level.healthy : level.degraded
            add(level, level.isPanic ? level.all : spare, loadUpTo: reached, cursor: cursor)
        }
        if groups.count == 1 { tiers = [] }
        if groups.allSatisfy({ $0.members.isEmpty }) { groups = [] }
    }

    /// Endpoints that there are, and those of them that requests may go to by what is known of their health.
    package var membership: (total: Int, usable: Int) {
        var usable = 0
        var total = 0
        for slot in slotOfPosition where slot >= 0 && slots[Int(slot)].isPresent {
            total += 1
            if isUsable(Int(slot)) { usable += 1 }
        }
        return (total, usable)
    }

    private mutating func collect() -> [Level] {
        var levels: [Level] = []
        presentCount = 0
        ejectedCount = 0
        for slot in slotOfPosition where slot >= 0 {
            let index = Int(slot)
            guard slots[index].isPresent, !(ignoresUnchecked && slots[index].check == .pending) else { continue }
            presentCount += 1
            if slots[index].isEjected { ejectedCount += 1 }
            let isHealthy = slots[index].isHealthy && slots[index].check.isUsable
            if isHealthy != slots[index].wasHealthy {
                slots[index].wasHealthy = isHealthy
                if isHealthy { slots[index].healthySince = clock }
            }
            let priority = Int(slots[index].priority)
            while levels.count <= priority { levels.append(Level()) }
            levels[priority].all.append(slot)
            guard isUsable(index) else { continue }
            if slots[index].isDegraded || slots[index].check == .degraded {
                levels[priority].degraded.append(slot)
            } else {
                levels[priority].healthy.append(slot)
            }
        }
        return levels
    }

    private func isUsable(_ index: Int) -> Bool {
        slots[index].isHealthy && slots[index].check.isUsable && !slots[index].isEjected
    }

    private func measure(_ levels: inout [Level]) {
        func sum(_ members: [Int32]) -> UInt64 {
            guard settings.weighsPriorityHealth else { return UInt64(members.count) }
            return members.reduce(0) { $0 + UInt64(slots[Int($1)].weight) }
        }
        for index in levels.indices where !levels[index].all.isEmpty {
            let total = Double(sum(levels[index].all))
            let factor = Double(settings.overprovisioning)
            levels[index].healthyShare = UInt32(min(100, factor * Double(sum(levels[index].healthy)) / total))
            levels[index].degradedShare = UInt32(min(100, factor * Double(sum(levels[index].degraded)) / total))
        }
    }

    /// Each priority takes what its health can carry of what those before it left; degraded endpoints take what then is left.
    private func distribute(_ levels: inout [Level]) {
        let available = levels.reduce(UInt32(0)) { min(100, $0 + $1.healthyShare + $1.degradedShare) }
        if available > 0 {
            var left: UInt32 = 100
            for index in levels.indices {
                levels[index].healthyLoad = min(left, levels[index].healthyShare * 100 / available)
                left -= levels[index].healthyLoad
            }
            for index in levels.indices {
                levels[index].degradedLoad = min(left, levels[index].degradedShare * 100 / available)
                left -= levels[index].degradedLoad
            }
            // What rounding left over.
            if let first = levels.firstIndex(where: { $0.healthyShare > 0 }) {
                levels[first].healthyLoad += left
            } else if let first = levels.firstIndex(where: { $0.degradedShare > 0 }) {
                levels[first].degradedLoad += left
            }
        }
        guard available < 100, panicThreshold > 0 else { return }
        var isTotal = true
        for index in levels.indices {
            let usable = Double(levels[index].healthy.count + levels[index].degraded.count) * 100
            let total = Double(levels[index].all.count)
            levels[index].isPanic = levels[index].all.isEmpty || usable < min(100, panicThreshold) * total
            isTotal = isTotal && levels[index].isPanic
        }
        if isTotal { distributeInPanic(&levels) }
    }

    /// All priorities are in panic: the load goes by the number of endpoints.
    private func distributeInPanic(_ levels: inout [Level]) {
        let total = levels.reduce(0) { $0 + $1.all.count }
        guard total > 0 else { return }
        var left: UInt32 = 100
        for index in levels.indices {
            levels[index].healthyLoad = UInt32(100 * levels[index].all.count / total)
            levels[index].degradedLoad = 0
            left -= levels[index].healthyLoad
        }
        if let first = levels.firstIndex(where: { !$0.all.isEmpty }) { levels[first].healthyLoad += left }
    }

    private mutating func add(_ level: Level, _ members: [Int32], loadUpTo: UInt32, cursor: UInt64) {
        let first = groups.count
        let members = level.isPanic && settings.failsInPanic ? [] : members
        var turns = WeightedSchedule(weights: [], count: 1, start: 0)
        if usesHash {
            groups.append(makeHashGroup(level, members))
        } else if let parts = localityParts(level, members) {
            for part in parts { groups.append(makeGroup(part.members, isPanic: false, cursor: cursor)) }
            turns = WeightedSchedule(weights: parts.map(\.weight), count: parts.count, start: cursor)
        } else {
            groups.append(makeGroup(members, isPanic: level.isPanic, cursor: cursor))
        }
        tiers.append(EndpointTier(loadUpTo: loadUpTo, first: first, count: groups.count - first, turns: turns))
    }

    private func makeGroup(_ members: [Int32], isPanic: Bool, cursor: UInt64) -> EndpointGroup {
        var slowUntil: UInt64 = 0
        if let slowStart = settings.slowStart {
            for member in members {
                let until = slots[Int(member)].healthySince &+ slowStart.window
                if until > clock { slowUntil = max(slowUntil, until) }
            }
        }
        return EndpointGroup(
            isPanic: isPanic,
            members: members,
            weights: members.map { slots[Int($0)].weight },
            cursor: cursor,
            slowUntil: slowUntil
        )
    }

    // MARK: Localities

    private func byLocality(_ members: [Int32], count: Int) -> [[Int32]] {
        var parts = [[Int32]](repeating: [], count: count)
        for member in members where Int(slots[Int(member)].locality) < count {
            parts[Int(slots[Int(member)].locality)].append(member)
        }
        return parts
    }

    /// The members by locality with each locality's share, which falls with its health; nil when localities do not count.
    private func localityParts(_ level: Level, _ members: [Int32]) -> [(members: [Int32], weight: Double)]? {
        guard let weights = settings.localityWeights, !level.isPanic else { return nil }
        let all = byLocality(level.all, count: weights.count)
        var parts: [(members: [Int32], weight: Double)] = []
        for (index, part) in byLocality(members, count: weights.count).enumerated() {
            guard weights[index] > 0, !part.isEmpty else { continue }
            let ratio = Double(settings.overprovisioning) / 100 * Double(part.count) / Double(all[index].count)
            parts.append((part, Double(weights[index]) * min(1, ratio)))
        }
        return parts.isEmpty ? nil : parts
    }

    // MARK: Hashes

    private func makeHashGroup(_ level: Level, _ members: [Int32]) -> EndpointGroup {
        var group = EndpointGroup(isPanic: level.isPanic, members: members, weights: [], cursor: 0)
        let shares = hashMembers(level, members)
        if let tables, !shares.isEmpty {
            let table = tables.table(shares)
            group.table = table
            group.view = table.view
        }
        return group
    }

    /// The members with their shares of all weights.
    private func hashMembers(_ level: Level, _ members: [Int32]) -> [HashMember] {
        func shares(_ part: [Int32], of whole: Double) -> [HashMember] {
            let sum = part.reduce(UInt64(0)) { $0 + UInt64(slots[Int($1)].weight) }
            return part.map { slot in
                let state = slots[Int(slot)]
                return HashMember(position: state.position, weight: Double(state.weight) * whole / Double(sum))
            }
        }
        guard let weights = settings.localityWeights else { return shares(members, of: 1) }
        let all = byLocality(level.all, count: weights.count)
        let sum = weights.indices.reduce(UInt64(0)) { $0 + (all[$1].isEmpty ? 0 : UInt64(weights[$1])) }
        guard sum > 0 else { return [] }
        return byLocality(members, count: weights.count).enumerated().flatMap { index, part in
            weights[index] > 0 ? shares(part, of: Double(weights[index]) / Double(sum)) : []
        }
    }
}
