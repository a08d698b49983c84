/// What a route asks of endpoints: names and values of their metadata, in the order of the names.
///
/// Values are texts that are equal where the values are (`EndpointTraits`).
package final class SubsetCriteria: Sendable {
    package let items: [(name: String, value: String)]
    let key: String
    let names: [String]

    package init(_ fields: [String: String]) {
        items = fields.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }
        key = Self.key(items)
        names = items.map(\.name)
    }

    /// These with those of `other`, which win.
    package func merging(_ other: SubsetCriteria) -> SubsetCriteria {
        var fields = Dictionary(items.map { ($0.name, $0.value) }) { first, _ in first }
        for item in other.items { fields[item.name] = item.value }
        return SubsetCriteria(fields)
    }

    /// Those of these names.
    func filtered(_ names: [String]) -> SubsetCriteria {
        let kept = items.filter { names.contains($0.name) }
        return SubsetCriteria(Dictionary(kept.map { ($0.name, $0.value) }) { first, _ in first })
    }

    static func key(_ items: [(name: String, value: String)]) -> String {
        var text = ""
        for item in items { text += "\(item.name.utf8.count):\(item.name)\(item.value.utf8.count):\(item.value)" }
        return text
    }
}

/// What the metadata of an endpoint say: by name, one value or several (`list_as_any`).
package typealias EndpointTraits = [String: [String]]

/// Endpoints that requests may ask for by metadata (`lb_subset_config`).
package struct SubsetRules: Sendable, Equatable {
    package enum Fallback: Sendable, Equatable { case none, any, defaultSubset }

    package struct Selector: Sendable, Equatable {
        package enum Fallback: Sendable, Equatable {
            /// That of the rules.
            case asConfigured
            case none, any, defaultSubset
            /// Fewer names are asked for.
            case fewer([String])
        }
        /// Sorted.
        package let names: [String]
        package let fallback: Fallback

        package init(names: Set<String>, fallback: Fallback = .asConfigured) {
            self.names = names.sorted()
            self.fallback = fallback
        }
    }

    package var fallback = Fallback.none
    package var selectors: [Selector] = []
    /// What the endpoints of the default subset have.
    package var defaults: [String: String] = [:]
    /// Weights of localities count within subsets, and fall with the share of a locality's endpoints that is in the subset.
    package var weighsLocalities = false
    package var scalesLocalities = false
    /// Where the fallback has no endpoint either, any will do.
    package var fallsBackToAny = false

    /// Subsets of a cluster.
    package static let limit = 10_000

    package init() {}

    /// The names that endpoints are asked about.
    package var names: Set<String> {
        selectors.reduce(into: Set(defaults.keys)) { $0.formUnion($1.names) }
    }

    /// The subsets that an endpoint belongs to, by their keys; at most `limit`.
    package func keys(of traits: EndpointTraits) -> [String] {
        var keys: [String] = []
        for selector in selectors where !selector.names.isEmpty {
            var rows: [[(name: String, value: String)]] = [[]]
            for name in selector.names {
                let values = traits[name] ?? []
                guard rows.count * values.count + keys.count <= Self.limit else { return keys }
                rows = rows.flatMap { row in values.map { row + [(name: name, value: $0)] } }
            }
            keys += rows.map(SubsetCriteria.key)
        }
        return keys
    }

    func isDefault(_ traits: EndpointTraits) -> Bool {
        defaults.allSatisfy { traits[$0.key]?.contains($0.value) ?? false }
    }
}

/// What happened to requests by subset.
package struct SubsetCounts: Sendable, Equatable {
    package internal(set) var active: UInt64 = 0
    package internal(set) var created: UInt64 = 0
    package internal(set) var removed: UInt64 = 0
    package internal(set) var selected: UInt64 = 0
    package internal(set) var fallback: UInt64 = 0
    package internal(set) var fallbackPanic: UInt64 = 0

    package init() {}

    package mutating func add(_ other: SubsetCounts) {
        // The workers have the same subsets.
        active = max(active, other.active)
        created = max(created, other.created)
        removed = max(removed, other.removed)
        selected &+= other.selected
        fallback &+= other.fallback
        fallbackPanic &+= other.fallbackPanic
    }
}
