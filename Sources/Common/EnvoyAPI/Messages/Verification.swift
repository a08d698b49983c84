// What a message needs that no rule of a single field says. What only the proxy can judge (an address that is none, a
// domain that stands twice) is judged there, when the configuration is compiled.

extension Envoy.Bootstrap.StaticResources {
    package static func verify(_ message: Self, _ reader: inout SchemaReader) {
        reader.reportRepeated(message.listeners.map(\.name), in: "listeners", "name")
        reader.reportRepeated(message.clusters.map(\.name), in: "clusters", "name")
    }
}

extension Envoy.Listener {
    package static func verify(_ message: Self, _ reader: inout SchemaReader) {
        if message.address == nil { reader.report(.missing, at: "address", "required") }
        if message.filterChains.isEmpty, message.defaultFilterChain == nil {
            reader.report(.missing, at: "filter_chains", "needs at least one element, or default_filter_chain")
        }
        reader.reportRepeated(message.filterChains.map(\.name), in: "filter_chains", "name")
    }
}

extension Envoy.FilterChain {
    package static func verify(_ message: Self, _ reader: inout SchemaReader) {
        if message.filters.isEmpty { reader.report(.missing, at: "filters", "needs at least one element") }
    }
}

extension Envoy.Filter {
    package static func verify(_ message: Self, _ reader: inout SchemaReader) {
        reader.requireTypedConfig(message.typedConfig)
    }
}

extension Envoy.ListenerFilter {
    package static func verify(_ message: Self, _ reader: inout SchemaReader) {
        reader.requireTypedConfig(message.typedConfig)
    }
}

extension Envoy.HttpFilter {
    package static func verify(_ message: Self, _ reader: inout SchemaReader) {
        reader.requireTypedConfig(message.typedConfig)
    }
}

extension Envoy.AccessLog {
    package static func verify(_ message: Self, _ reader: inout SchemaReader) {
        reader.requireTypedConfig(message.typedConfig)
    }
}

extension Envoy.RetryPolicy.RetryHostPredicate {
    package static func verify(_ message: Self, _ reader: inout SchemaReader) {
        reader.requireTypedConfig(message.typedConfig)
    }
}

extension Envoy.HttpConnectionManager {
    package static func verify(_ message: Self, _ reader: inout SchemaReader) {
        let enabled = message.httpFilters.filter { !$0.disabled }
        guard case .router = enabled.last?.typedConfig else {
            return reader.report(
                .missing,
                at: "http_filters",
                "the last filter has to be envoy.extensions.filters.http.router.v3.Router"
            )
        }
    }
}

extension Envoy.RouteConfiguration {
    package static func verify(_ message: Self, _ reader: inout SchemaReader) {
        reader.reportRepeated(message.virtualHosts.map(\.name), in: "virtual_hosts", "name")
    }
}

extension Envoy.Cluster {
    static let httpOptionsKey = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

    package static func verify(_ message: Self, _ reader: inout SchemaReader) {
        switch message.type {
        case .eds where message.edsClusterConfig == nil:
            reader.report(.missing, at: "eds_cluster_config", "required for type EDS")
        case .eds where message.loadAssignment != nil, .originalDst where message.loadAssignment != nil:
            reader.report(.conflict, at: "load_assignment", "not allowed for the types EDS and ORIGINAL_DST")
        case .strictDns where message.loadAssignment == nil, .logicalDns where message.loadAssignment == nil:
            reader.report(.missing, at: "load_assignment", "required for the types STRICT_DNS and LOGICAL_DNS")
        case .logicalDns where message.loadAssignment?.endpoints.flatMap(\.lbEndpoints).count != 1:
            reader.report(.outOfRange, at: "load_assignment", "type LOGICAL_DNS takes exactly one endpoint")
        default: break
        }
        for key in message.typedExtensionProtocolOptions.keys.sorted() where key != httpOptionsKey {
            reader.within(field: "typed_extension_protocol_options") { reader in
                reader.within(key: key) {
                    $0.report(.unsupported, "not supported by weft-proxy: only \(httpOptionsKey)")
                }
            }
        }
    }
}

extension Envoy.LoadBalancingPolicy {
    package static func verify(_ message: Self, _ reader: inout SchemaReader) {
        let isKnown = message.policies.contains { $0.typedExtensionConfig?.typedConfig != nil }
        guard !message.policies.isEmpty, !isKnown else { return }
        let known = Envoy.LoadBalancingPolicyConfig.members.members.map(\.type).joined(separator: ", ")
        reader.report(.unsupported, at: "policies", "none of them is supported by weft-proxy: use one of \(known)")
    }
}

extension Envoy.FractionalPercent {
    package static func verify(_ message: Self, _ reader: inout SchemaReader) {
        let whole: UInt32 =
            switch message.denominator {
            case .hundred: 100
            case .tenThousand: 10_000
            case .million: 1_000_000
            }
        guard message.numerator > whole else { return }
        reader.report(.outOfRange, at: "numerator", "must be \(whole) or less, is \(message.numerator)")
    }
}

extension Envoy.RetryPolicy.RetryBackOff {
    package static func verify(_ message: Self, _ reader: inout SchemaReader) {
        guard let base = message.baseInterval, let longest = message.maxInterval, longest < base else { return }
        reader.report(.outOfRange, at: "max_interval", "must not be less than base_interval")
    }
}

extension Envoy.Int64Range {
    package static func verify(_ message: Self, _ reader: inout SchemaReader) {
        guard message.end <= message.start else { return }
        reader.report(.outOfRange, at: "end", "must be more than start: the end is not part of the range")
    }
}

extension Envoy.DiscoveryResponse {
    package static func verify(_ message: Self, _ reader: inout SchemaReader) {
        var seen: Set<String> = []
        for (index, resource) in message.resources.enumerated() {
            let (type, name) = resource.identity
            guard !seen.insert("\(type) \(name)").inserted else { continue }
            reader.within(field: "resources") { reader in
                reader.within(element: index) {
                    $0.report(.conflict, "a \(type) named \"\(clip(name))\" is there already")
                }
            }
        }
    }
}

extension Envoy.Resource {
    /// The type and the name that a control plane knows this resource by.
    package var identity: (type: String, name: String) {
        switch self {
        case .listener(let listener): ("Listener", listener.name)
        case .cluster(let cluster): ("Cluster", cluster.name)
        case .routeConfiguration(let routes): ("RouteConfiguration", routes.name)
        case .clusterLoadAssignment(let endpoints): ("ClusterLoadAssignment", endpoints.clusterName)
        case .secret(let secret): ("Secret", secret.name)
        }
    }
}

extension SchemaReader {
    fileprivate mutating func requireTypedConfig(_ config: (some AnyExtension)?) {
        if config == nil { report(.missing, at: "typed_config", "required") }
    }

    /// Reports names that stand twice; an empty name is none.
    fileprivate mutating func reportRepeated(_ names: [String], in list: String, _ field: String) {
        var seen: Set<String> = []
        for (index, name) in names.enumerated() where !name.isEmpty && !seen.insert(name).inserted {
            within(field: list) { reader in
                reader.within(element: index) {
                    $0.report(.conflict, at: field, "\"\(clip(name))\" is there already")
                }
            }
        }
    }
}
