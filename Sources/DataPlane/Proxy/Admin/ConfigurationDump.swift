import EnvoyAPI
import Wire

/// `/config_dump` in Envoy's shape: what is in force, not what the files say now.
enum ConfigurationDump {
    private static let prefix = "type.googleapis.com/envoy.admin.v3."

    static func make(_ store: ConfigurationStore, bootstrap: Envoy.Bootstrap) -> Value {
        [
            "configs": [
                ["@type": .string(prefix + "BootstrapConfigDump"), "bootstrap": bootstrap.jsonValue],
                clusters(store), endpoints(store), listeners(store), routes(store),
            ]
        ]
    }

    private static func version(_ origin: Origin, _ store: ConfigurationStore) -> Value {
        guard case .file(let path) = origin else { return "" }
        return .string(store.files[path]?.state.version ?? "")
    }

    private static func typed(_ value: Value, _ url: String) -> Value {
        var fields: [(String, Value)] = [("@type", .string(url))]
        for (name, field) in value.fields ?? Fields() { fields.append((name, field)) }
        return .object(Fields(fields))
    }

    private static func clusters(_ store: ConfigurationStore) -> Value {
        var fixed: [Value] = []
        var dynamic: [Value] = []
        for entry in store.clusters.values.sorted(by: { $0.message.name < $1.message.name }) {
            let cluster = typed(entry.message.jsonValue, Envoy.Cluster.typeURL)
            if entry.origin == .bootstrap {
                fixed.append(["cluster": cluster])
            } else {
                dynamic.append(["version_info": version(entry.origin, store), "cluster": cluster])
            }
        }
        return [
            "@type": .string(prefix + "ClustersConfigDump"),
            "version_info": .string(store.clusterFile.flatMap { store.files[$0]?.state.version } ?? ""),
            "static_clusters": .array(fixed), "dynamic_active_clusters": .array(dynamic),
        ]
    }

    private static func endpoints(_ store: ConfigurationStore) -> Value {
        var dynamic: [Value] = []
        for path in store.assignmentUsers.keys.sorted() {
            for assignment in store.files[path]?.response?.clusterLoadAssignments ?? [] {
                dynamic.append([
                    "version_info": .string(store.files[path]?.state.version ?? ""),
                    "endpoint_config": typed(assignment.jsonValue, Envoy.ClusterLoadAssignment.typeURL),
                ])
            }
        }
        return ["@type": .string(prefix + "EndpointsConfigDump"), "dynamic_endpoint_configs": .array(dynamic)]
    }

    private static func listeners(_ store: ConfigurationStore) -> Value {
        var fixed: [Value] = []
        var dynamic: [Value] = []
        for (name, entry) in store.listeners.sorted(by: { $0.key < $1.key }) {
            let listener = typed(entry.message.jsonValue, Envoy.Listener.typeURL)
            if entry.origin == .bootstrap {
                fixed.append(["listener": listener])
            } else {
                let state: Value = ["version_info": version(entry.origin, store), "listener": listener]
                dynamic.append(["name": .string(name), "active_state": state])
            }
        }
        return [
            "@type": .string(prefix + "ListenersConfigDump"),
            "version_info": .string(store.listenerFile.flatMap { store.files[$0]?.state.version } ?? ""),
            "static_listeners": .array(fixed), "dynamic_listeners": .array(dynamic),
        ]
    }

    private static func routes(_ store: ConfigurationStore) -> Value {
        var fixed: [Value] = []
        var dynamic: [Value] = []
        for (_, table) in store.tables.sorted(by: { $0.key < $1.key }) {
            guard let message = table.message else { continue }
            let route = typed(message.jsonValue, Envoy.RouteConfiguration.typeURL)
            if let path = table.path {
                dynamic.append([
                    "version_info": .string(store.files[path]?.state.version ?? ""), "route_config": route,
                ])
            } else {
                fixed.append(["route_config": route])
            }
        }
        return [
            "@type": .string(prefix + "RoutesConfigDump"), "static_route_configs": .array(fixed),
            "dynamic_route_configs": .array(dynamic),
        ]
    }
}
