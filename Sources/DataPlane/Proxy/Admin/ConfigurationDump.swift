import EnvoyAPI
import Traffic
import Wire

/// `/config_dump` in Envoy's shape: what is in force, not what the files say now.
enum ConfigurationDump {
    private static let prefix = "type.googleapis.com/envoy.admin.v3."

    /// What of it is asked for.
    struct Choice {
        /// A list by its name, as `dynamic_listeners`: its elements alone.
        var resource: String?
        /// Fields by their paths: everything else is left out.
        var mask: [String] = []
        /// Resources whose names it matches.
        var name: Pattern?
        var includesEndpoints = false
    }

    static func make(_ store: ConfigurationStore, bootstrap: Envoy.Bootstrap, _ choice: Choice) -> Value {
        var configs: [Value] = [
            ["@type": .string(prefix + "BootstrapConfigDump"), "bootstrap": bootstrap.jsonValue], clusters(store),
        ]
        if choice.includesEndpoints { configs.append(endpoints(store)) }
        configs += [listeners(store), routes(store)]
        configs = configs.map { filtered(redacted($0), choice) }
        if let resource = choice.resource {
            configs = configs.flatMap { $0[resource]?.arrayValue ?? ($0[resource].map { [$0] } ?? []) }
        }
        if !choice.mask.isEmpty { configs = configs.map { masked($0, choice.mask) } }
        return ["configs": .array(configs)]
    }

    /// Keys and passwords are nobody's business.
    static func redacted(_ value: Value, isSecret: Bool = false) -> Value {
        switch value {
        case .array(let elements): return .array(elements.map { redacted($0, isSecret: isSecret) })
        case .object(let fields):
            let rows = fields.map { name, field -> (String, Value) in
                if isSecret, name == "inline_string" { return (name, "[redacted]") }
                // The same text in Base64.
                if isSecret, name == "inline_bytes" { return (name, "W3JlZGFjdGVkXQ==") }
                let secret = isSecret || ["private_key", "password", "session_ticket_keys"].contains(name)
                return (name, redacted(field, isSecret: secret))
            }
            return .object(Fields(rows))
        default: return value
        }
    }

    /// Leaves out the resources of lists whose names do not match.
    private static func filtered(_ dump: Value, _ choice: Choice) -> Value {
        guard let pattern = choice.name, let fields = dump.fields else { return dump }
        let rows = fields.map { name, field -> (String, Value) in
            guard let elements = field.arrayValue else { return (name, field) }
            return (name, .array(elements.filter { holds($0, pattern) }))
        }
        return .object(Fields(rows))
    }

    private static func holds(_ resource: Value, _ pattern: Pattern) -> Bool {
        let names = ["name", "cluster_name"]
        let inner = (resource.fields?.map(\.value) ?? []).filter { $0.fields != nil }
        for value in [resource] + inner {
            for name in names {
                guard let text = value[name]?.stringValue else { continue }
                if Array(text.utf8).withUnsafeBytes({ pattern.matches(ByteRun($0)) }) { return true }
            }
        }
        return false
    }

    /// Keeps the fields that the paths name, and the types.
    private static func masked(_ value: Value, _ paths: [String]) -> Value {
        guard let fields = value.fields else { return value }
        var rows: [(String, Value)] = []
        for (name, field) in fields {
            if name == "@type" || paths.contains(name) {
                rows.append((name, field))
                continue
            }
            let deeper = paths.filter { $0.hasPrefix(name + ".") }.map { String($0.dropFirst(name.utf8.count + 1)) }
            guard !deeper.isEmpty else { continue }
            if let elements = field.arrayValue {
                rows.append((name, .array(elements.map { masked($0, deeper) })))
            } else {
                rows.append((name, masked(field, deeper)))
            }
        }
        return .object(Fields(rows))
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
