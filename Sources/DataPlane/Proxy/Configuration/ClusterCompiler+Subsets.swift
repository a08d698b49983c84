import EnvoyAPI
import Traffic
import Wire

/// Subsets of endpoints, and what routes ask of them: metadata under `envoy.lb`.
enum SubsetMetadata {
    private static let section = "envoy.lb"

    /// What a route asks for; nil: nothing.
    static func criteria(_ metadata: Envoy.Metadata?) -> SubsetCriteria? {
        guard let fields = metadata?.filterMetadata[section]?.fields else { return nil }
        let items = Self.texts(fields)
        return items.isEmpty ? nil : SubsetCriteria(items)
    }

    /// The newer ones win.
    static func merged(_ older: SubsetCriteria?, _ newer: SubsetCriteria?) -> SubsetCriteria? {
        guard let older else { return newer }
        return newer.map(older.merging) ?? older
    }

    static func texts(_ fields: Fields) -> [String: String] {
        var texts: [String: String] = [:]
        for (name, value) in fields { texts[name] = text(value) }
        return texts
    }

    /// What the rules ask of an endpoint, as its metadata have it.
    static func traits(_ metadata: Envoy.Metadata?, _ names: Set<String>, listsAsAny: Bool) -> EndpointTraits {
        guard let fields = metadata?.filterMetadata[section]?.fields else { return [:] }
        var traits: EndpointTraits = [:]
        for (name, value) in fields where names.contains(name) {
            if listsAsAny, case .array(let elements) = value {
                traits[name] = Array(Set(elements.map(text))).sorted()
            } else {
                traits[name] = [text(value)]
            }
        }
        return traits
    }

    /// The same for the same value: protobuf has one kind of number.
    private static func text(_ value: Value) -> String {
        switch value {
        case .null: "n"
        case .bool(let isOn): isOn ? "t" : "f"
        case .int(let number): "d\(Double(number))"
        case .double(let number): "d\(number)"
        case .string(let text): "s\(text)"
        case .array(let elements): "[" + elements.map { quoted(text($0)) }.joined() + "]"
        case .object(let fields):
            "{" + fields.sorted { $0.0 < $1.0 }.map { quoted($0.0) + quoted(text($0.1)) }.joined() + "}"
        }
    }

    private static func quoted(_ text: String) -> String { "\(text.utf8.count):\(text)" }
}

extension ClusterCompiler {
    /// The rules of `lb_subset_config`; nil: there are no subsets.
    func subsets(_ cluster: Envoy.Cluster, _ settings: inout ClusterConfiguration.Settings) {
        guard let message = cluster.lbSubsetConfig else { return }
        context.at("lb_subset_config") {
            if settings.policy == .originalDestination {
                context.report("clusters of type ORIGINAL_DST have no endpoints to choose among")
            }
            var rules = SubsetRules()
            rules.defaults = SubsetMetadata.texts(message.defaultSubset?.fields ?? Fields())
            switch message.fallbackPolicy {
            case .noFallback: rules.fallback = .none
            case .anyEndpoint: rules.fallback = .any
            case .defaultSubset: rules.fallback = .defaultSubset
            }
            rules.weighsLocalities = message.localityWeightAware
            rules.scalesLocalities = message.scaleLocalityWeight
            if message.scaleLocalityWeight, !message.localityWeightAware {
                context.report("scale_locality_weight: has an effect with locality_weight_aware only")
            }
            if message.localityWeightAware, !settings.weighsLocalities {
                context.report("locality_weight_aware: the cluster has no locality_weighted_lb_config")
            }
            rules.fallsBackToAny = message.panicModeAny
            settings.listsAsAny = message.listAsAny
            rules.selectors = context.each("subset_selectors", message.subsetSelectors) { selector($0) }
            settings.subsets = rules.selectors.isEmpty ? nil : rules
        }
    }

    private func selector(_ message: Envoy.Cluster.LbSubsetConfig.LbSubsetSelector) -> SubsetRules.Selector {
        let names = Set(message.keys)
        let fewer = Set(message.fallbackKeysSubset)
        if message.fallbackPolicy == .keysSubset {
            if fewer.isEmpty || !fewer.isStrictSubset(of: names) {
                context.report("fallback_keys_subset: has to name some of keys, not all, for KEYS_SUBSET")
            }
        } else if !fewer.isEmpty {
            context.report("fallback_keys_subset: has an effect with fallback_policy KEYS_SUBSET only")
        }
        let fallback: SubsetRules.Selector.Fallback =
            switch message.fallbackPolicy {
            case .notDefined: .asConfigured
            case .noFallback: .none
            case .anyEndpoint: .any
            case .defaultSubset: .defaultSubset
            case .keysSubset: .fewer(fewer.sorted())
            }
        return SubsetRules.Selector(names: names, fallback: fallback)
    }

    /// The traits of endpoints as configured, and whether they make too many subsets.
    func traits(_ metadata: Envoy.Metadata?, _ settings: ClusterConfiguration.Settings?) -> EndpointTraits {
        guard let settings, let rules = settings.subsets else { return [:] }
        return SubsetMetadata.traits(metadata, rules.names, listsAsAny: settings.listsAsAny)
    }

    func countSubsets(_ endpoints: [EndpointConfiguration], _ rules: SubsetRules?) {
        guard let rules else { return }
        var keys: Set<String> = []
        for endpoint in endpoints {
            keys.formUnion(rules.keys(of: endpoint.traits))
            guard keys.count <= SubsetRules.limit else {
                context.report("the metadata of the endpoints make more than \(SubsetRules.limit) subsets")
                return
            }
        }
    }
}
