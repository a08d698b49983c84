import Testing
import Traffic

@Suite("Subsets of endpoints")
struct SubsetTests {
    static func rules(_ change: (inout SubsetRules) -> Void = { _ in }) -> SubsetRules {
        var rules = SubsetRules()
        rules.selectors = [
            .init(names: ["v"]), .init(names: ["v", "s"], fallback: .fewer(["s"])), .init(names: ["s"]),
        ]
        change(&rules)
        return rules
    }

    static func set(_ rules: SubsetRules?, _ traits: [EndpointTraits], unhealthy: Set<Int> = []) -> EndpointSet {
        var set = EndpointSet(policy: .roundRobin, panicThreshold: 0)
        let specs = traits.indices.map { EndpointSpec(id: UInt64($0 + 1), isHealthy: !unhealthy.contains($0)) }
        _ = set.update(specs)
        set.setSubsets(rules, traits)
        return set
    }

    /// The ids of the endpoints that 12 requests go to.
    static func chosen(_ set: inout EndpointSet, _ criteria: [String: String]?) -> Set<UInt64> {
        var random = FixedRandom(3)
        var ids: Set<UInt64> = []
        for _ in 0..<12 {
            let choice = set.choose(criteria: criteria.map { SubsetCriteria($0) }, now: 1, random: random.next())
            if case .endpoint(let slot) = choice { ids.insert(set[slot].id) }
        }
        return ids
    }

    static let traits: [EndpointTraits] = [
        ["v": ["1"], "s": ["p"]], ["v": ["2"], "s": ["p"]], ["v": ["1", "3"]], [:],
    ]

    @Test("criteria lead to the subset of exactly these names and values, or to what stands in for it")
    func ways() {
        var set = Self.set(Self.rules(), Self.traits)
        #expect(Self.chosen(&set, ["v": "1"]) == [1, 3])
        #expect(Self.chosen(&set, ["v": "3"]) == [3])
        #expect(Self.chosen(&set, ["v": "1", "s": "p"]) == [1])
        #expect(Self.chosen(&set, ["v": "9", "s": "p"]) == [1, 2])
        #expect(Self.chosen(&set, ["v": "9", "s": "x"]).isEmpty)
        #expect(Self.chosen(&set, ["x": "1"]).isEmpty)
        #expect(Self.chosen(&set, nil).isEmpty)
        let nobody = set.choose(criteria: nil, now: 1, random: 1)
        #expect(nobody == .noSubset)
        set.setSubsets(Self.rules { $0.fallback = .any }, Self.traits)
        #expect(Self.chosen(&set, nil) == [1, 2, 3, 4])
        set.setSubsets(
            Self.rules {
                $0.fallback = .defaultSubset
                $0.defaults = ["v": "2"]
            },
            Self.traits
        )
        #expect(Self.chosen(&set, ["v": "9"]) == [2])
        #expect(set.subsetCounts?.fallback == 12)
        set.setSubsets(nil, [])
        #expect(!set.hasSubsets)
        #expect(Self.chosen(&set, ["v": "1"]) == [1, 2, 3, 4])
    }

    @Test("health counts within a subset; other requests are not touched")
    func health() {
        var set = Self.set(Self.rules { $0.fallback = .any }, Self.traits, unhealthy: [0])
        #expect(Self.chosen(&set, ["v": "1"]) == [3])
        #expect(Self.chosen(&set, ["v": "1", "s": "p"]).isEmpty)
        #expect(Self.chosen(&set, nil) == [2, 3, 4])
        var tried = TriedEndpoints()
        let atFirst = set.hasUntried(besides: tried, criteria: SubsetCriteria(["v": "1"]))
        #expect(atFirst)
        if let slot = set.slot(of: 3) { tried.insert(slot) }
        let within = set.hasUntried(besides: tried, criteria: SubsetCriteria(["v": "1"]))
        let among = set.hasUntried(besides: tried, criteria: nil)
        #expect(!within)
        #expect(among)
    }

    @Test("subsets come and go with the endpoints")
    func updates() {
        var set = Self.set(Self.rules(), Self.traits)
        let before = set.subsetCounts
        #expect(before?.active == 6 && before?.created == 6)
        _ = set.update([EndpointSpec(id: 1), EndpointSpec(id: 9)])
        set.setSubsets(Self.rules(), [["v": ["1"]], ["v": ["7"]]])
        #expect(Self.chosen(&set, ["v": "1"]) == [1])
        #expect(Self.chosen(&set, ["v": "7"]) == [9])
        #expect(Self.chosen(&set, ["v": "2"]).isEmpty)
        #expect(set.subsetCounts?.active == 2)
        #expect(set.subsetCounts?.removed == 5)
    }

    @Test("an endpoint is in a bounded number of subsets")
    func bounds() {
        let many = (0..<200).map(String.init)
        let traits: EndpointTraits = ["a": many, "b": many, "c": many]
        let rules = Self.rules { $0.selectors = [.init(names: ["a", "b", "c"]), .init(names: ["a"])] }
        #expect(rules.keys(of: traits).count <= SubsetRules.limit)
    }
}
