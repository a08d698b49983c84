import EnvoyAPI
import Traffic

/// The numbers of control planes and of what they give, under Envoy's names.
extension EnvoyStats {
    mutating func add(_ discovery: DiscoveryManager, _ store: ConfigurationStore) {
        let state = store.discovered
        let clusters = Scope(prefix: "cluster_manager.", family: "cluster_manager", labels: [])
        gauge(clusters, "warming_clusters", Int64(state.warmingClusters.count))
        let listeners = Scope(prefix: "listener_manager.", family: "listener_manager", labels: [])
        gauge(listeners, "total_listeners_warming", Int64(state.warmingListeners.count))
        guard discovery.isUsed else { return }
        let plane = Scope(prefix: "control_plane.", family: "control_plane", labels: [])
        let isConnected = discovery.clients.values.contains { $0.isConnected }
        gauge(plane, "connected_state", isConnected ? 1 : 0)
        if let source = state.clusterSource { subscription(discovery, .cluster, source, clusters, "cds.") }
        if let source = state.listenerSource { subscription(discovery, .listener, source, listeners, "lds.") }
        addNamed(discovery, store)
    }

    private mutating func subscription(
        _ discovery: DiscoveryManager,
        _ kind: ResourceKind,
        _ source: ResourceSource,
        _ scope: Scope,
        _ name: String
    ) {
        guard let server = source.server, let client = discovery.clients[server] else { return }
        let numbers = client.session[kind].numbers
        counter(scope, name + "update_attempt", numbers.attempts)
        counter(scope, name + "update_success", numbers.successes)
        counter(scope, name + "update_failure", numbers.failures)
        counter(scope, name + "update_rejected", numbers.rejections)
        counter(scope, name + "init_fetch_timeout", numbers.timeouts)
        gauge(scope, name + "version", Int64(numbers.version >> 1))
    }

    /// What is subscribed to by name: the numbers of each name.
    private mutating func addNamed(_ discovery: DiscoveryManager, _ store: ConfigurationStore) {
        for entry in store.clusters.values.sorted(by: { $0.message.name < $1.message.name }) {
            guard let key = entry.assignmentKey else { continue }
            let label = entry.statName
            let scope = Scope(
                prefix: "cluster.\(label).",
                family: "cluster",
                labels: [("envoy_cluster_name", label)]
            )
            named(discovery, .endpoints, key, scope, "")
        }
        var chains: [Int32: Set<String>] = [:]
        for listener in store.listeners.values {
            for chain in listener.compiled.chains + [listener.compiled.defaultChain].compactMap({ $0 }) {
                guard case .http(let http) = chain.filter else { continue }
                chains[http.settings.routeTable, default: []].insert(http.settings.statPrefix)
            }
        }
        for table in store.tables.values.sorted(by: { $0.name < $1.name }) {
            guard let key = table.key else { continue }
            for prefix in (chains[table.index] ?? []).sorted() {
                let scope = Scope(
                    prefix: "http.\(prefix).",
                    family: "http",
                    labels: [("envoy_http_conn_manager_prefix", prefix), ("envoy_rds_route_config", table.name)]
                )
                named(discovery, .routes, key, scope, "rds.\(table.name).", family: "rds.")
            }
        }
        for key in store.context.tls.secrets.keys.sorted(by: { $0.name < $1.name }) {
            let scope = Scope(prefix: "sds.\(key.name).", family: "sds", labels: [("envoy_secret_name", key.name)])
            named(discovery, .secret, key, scope, "")
        }
    }

    private mutating func named(
        _ discovery: DiscoveryManager,
        _ kind: ResourceKind,
        _ key: ResourceKey,
        _ scope: Scope,
        _ name: String,
        family: String = ""
    ) {
        guard let client = discovery.clients[key.server] else { return }
        let numbers = client.session[kind].named[key.name] ?? DiscoveryNumbers()
        for (field, value) in [
            ("update_attempt", numbers.attempts), ("update_success", numbers.successes),
            ("update_failure", client.session[kind].numbers.failures), ("update_rejected", numbers.rejections),
            ("init_fetch_timeout", numbers.timeouts),
        ] { counter(scope, name + field, value, family: family + field) }
    }
}
