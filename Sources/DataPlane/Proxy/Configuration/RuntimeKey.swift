/// Keys of the runtime that mean something by themselves, as in Envoy.
enum RuntimeKey {
    /// Connections of all listeners.
    static let connections = "overload.global_downstream_max_connections"
    /// Below this share of healthy endpoints health does not count, for all clusters.
    static let panic = "upstream.healthy_panic_threshold"

    /// Connections of a listener.
    static func connections(ofListener name: String) -> String {
        "envoy.resource_limits.listener.\(name).connection_limit"
    }

    /// A limit of a cluster; `priority` is `default` or `high`.
    static func breaker(_ cluster: String, _ priority: String, _ limit: String) -> String {
        "circuit_breakers.\(cluster).\(priority).\(limit)"
    }

    /// Envoy's own: whatever stands below these is no name that a configuration gave.
    private static let reserved = [
        "envoy.", "overload.", "upstream.", "re2.", "health_check.", "outlier_detection.", "circuit_breakers.",
        "cluster.",
        "http.", "listener.", "server.", "tracing.", "dns.",
    ]

    /// Whether a key is Envoy's own and means nothing here.
    static func isMeaningless(_ key: String) -> Bool {
        guard reserved.contains(where: { key.hasPrefix($0) }), key != connections, key != panic else { return false }
        if key.hasPrefix("envoy.resource_limits.listener."), key.hasSuffix(".connection_limit") { return false }
        let limits = ["max_connections", "max_pending_requests", "max_requests", "max_retries"]
        return !(key.hasPrefix("circuit_breakers.") && limits.contains { key.hasSuffix("." + $0) })
    }
}
