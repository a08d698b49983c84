/// Some endpoints of a set with groups of their own.
struct EndpointSubset {
    /// By slot; rebuilt with every configuration.
    var members: Set<Int32> = []
    var groups: [EndpointGroup] = []
    var tiers: [EndpointTier] = []
}

/// The subsets of a set: rules, and who belongs where.
struct SubsetBook {
    let rules: SubsetRules
    var places: [String: Int] = [:]
    /// At 0 stands the default subset.
    var subsets: [EndpointSubset] = [EndpointSubset()]
    var counts = SubsetCounts()
}

extension EndpointSet {
    /// Whether requests may ask for some of the endpoints.
    @inline(__always)
    package var hasSubsets: Bool { book != nil }
    package var subsetCounts: SubsetCounts? { book?.counts }

    /// Takes over the rules, and what the endpoints of the newest configuration say (by position).
    package mutating func setSubsets(_ rules: SubsetRules?, _ traits: [EndpointTraits]) {
        guard let rules, !rules.selectors.isEmpty else {
            guard book != nil else { return }
            book = nil
            rebuild()
            return
        }
        var made = book?.rules == rules ? book ?? SubsetBook(rules: rules) : SubsetBook(rules: rules)
        for index in made.subsets.indices { made.subsets[index].members = [] }
        for (position, own) in traits.enumerated() where position < slotOfPosition.count {
            let slot = slotOfPosition[position]
            guard slot >= 0 else { continue }
            if rules.isDefault(own) { made.subsets[0].members.insert(slot) }
            for key in rules.keys(of: own) {
                if let place = made.places[key] {
                    made.subsets[place].members.insert(slot)
                } else if made.places.count < SubsetRules.limit {
                    made.places[key] = made.subsets.count
                    made.subsets.append(EndpointSubset(members: [slot]))
                    made.counts.created &+= 1
                }
            }
        }
        book = Self.settled(made)
        rebuild()
    }

    /// Forgets subsets without endpoints.
    private static func settled(_ book: SubsetBook) -> SubsetBook {
        var made = book
        let kept = book.places.filter { !book.subsets[$0.value].members.isEmpty }.sorted { $0.value < $1.value }
        if kept.count < book.places.count {
            made.counts.removed &+= UInt64(book.places.count - kept.count)
            made.places = [:]
            made.subsets = [book.subsets[0]]
            for (key, place) in kept {
                made.places[key] = made.subsets.count
                made.subsets.append(book.subsets[place])
            }
        }
        made.counts.active = UInt64(kept.count)
        return made
    }

    // MARK: Choosing

    private enum Way { case subset(Int), any, none, fallback }

    /// As `choose`, among the endpoints that `criteria` ask for, or that stand in for them.
    package mutating func choose(
        criteria: SubsetCriteria?,
        now: UInt64,
        random: UInt64,
        hash: UInt64? = nil,
        excluding tried: TriedEndpoints = .init()
    ) -> EndpointChoice {
        guard let rules = book?.rules else { return choose(now: now, random: random, hash: hash, excluding: tried) }
        func ask(_ set: inout EndpointSet, _ place: Int) -> EndpointChoice {
            set.inSubset(place) { $0.choose(now: now, random: random, hash: hash, excluding: tried) }
        }
        switch way(criteria, rules) {
        case .subset(let place):
            if place > 0 { book?.counts.selected &+= 1 }
            return ask(&self, place)
        case .any: return choose(now: now, random: random, hash: hash, excluding: tried)
        case .none: return presentCount == 0 ? .noEndpoints : .noSubset
        case .fallback:
            var choice = EndpointChoice.noSubset
            switch rules.fallback {
            case .none: break
            case .any: choice = choose(now: now, random: random, hash: hash, excluding: tried)
            case .defaultSubset: choice = ask(&self, 0)
            }
            if case .endpoint = choice {
                book?.counts.fallback &+= 1
                return choice
            }
            guard rules.fallsBackToAny else { return presentCount == 0 ? .noEndpoints : choice }
            choice = choose(now: now, random: random, hash: hash, excluding: tried)
            if case .endpoint = choice { book?.counts.fallbackPanic &+= 1 }
            return choice
        }
    }

    /// As `hasUntried(besides:)`, among the endpoints that `choose(criteria:)` would choose from.
    package mutating func hasUntried(besides tried: TriedEndpoints, criteria: SubsetCriteria?) -> Bool {
        guard let rules = book?.rules else { return hasUntried(besides: tried) }
        switch way(criteria, rules) {
        case .subset(let place): return inSubset(place) { $0.hasUntried(besides: tried) }
        case .none: return false
        case .fallback where rules.fallback == .defaultSubset && !rules.fallsBackToAny:
            return inSubset(0) { $0.hasUntried(besides: tried) }
        case .any, .fallback: return hasUntried(besides: tried)
        }
    }

    /// Where criteria lead. A selector that falls back to fewer names asks again with these.
    private func way(_ criteria: SubsetCriteria?, _ rules: SubsetRules) -> Way {
        guard var criteria, let book else { return .fallback }
        while true {
            if let place = book.places[criteria.key] { return .subset(place) }
            guard let selector = rules.selectors.first(where: { $0.names == criteria.names }) else { return .fallback }
            switch selector.fallback {
            case .asConfigured: return .fallback
            case .none: return .none
            case .any: return .any
            case .defaultSubset: return .subset(0)
            case .fewer(let names):
                let fewer = criteria.filtered(names)
                // A selector names fewer than its own: this ends.
                guard fewer.items.count < criteria.items.count else { return .none }
                criteria = fewer
            }
        }
    }

    /// Runs `body` with the groups of a subset in place of those of all endpoints.
    private mutating func inSubset<Result>(_ place: Int, _ body: (inout EndpointSet) -> Result) -> Result {
        exchangeGroups(place)
        defer { exchangeGroups(place) }
        return body(&self)
    }

    private mutating func exchangeGroups(_ place: Int) {
        guard var taken = book.take() else { return }
        swap(&groups, &taken.subsets[place].groups)
        swap(&tiers, &taken.subsets[place].tiers)
        book = taken
    }
}
