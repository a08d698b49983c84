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

    /// The page of a choice. The bootstrap comes without its clusters, which the store has.
    static func make(_ store: ConfigurationStore, bootstrap: Envoy.Bootstrap, _ choice: Choice) -> Value {
        var whole = bootstrap
        let fixed = store.fixedClusters.compactMap { store.clusters[$0]?.message }
        if !fixed.isEmpty { whole.staticResources?.clusters = fixed }
        var configs: [Value] = [
            ["@type": .string(prefix + "BootstrapConfigDump"), "bootstrap": whole.jsonValue], clusters(store),
        ]
        if choice.includesEndpoints { configs.append(endpoints(store)) }
        configs += [listeners(store), routes(store)]
        let secrets = secrets(store)
        if let secrets { configs.append(secrets) }
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

    /// Names and inner values of a resource in force or under way: as Envoy's `DynamicCluster` and its like have them.
    private static func row(
        _ origin: Origin,
        _ version: String,
        _ since: UInt64,
        _ more: [(String, Value)],
        _ store: ConfigurationStore
    ) -> [(String, Value)] {
        guard case .discovery = origin else { return [("version_info", Self.version(origin, store))] + more }
        return [("version_info", .string(version))] + more + [("last_updated", time(since))]
    }

    private static func time(_ nanoseconds: UInt64) -> Value {
        .string(CalendarTime.text(nanoseconds: nanoseconds, pattern: nil))
    }

    /// What was refused last, beside what is in force.
    private static func refusal(_ refusal: DiscoveredState.Refusal) -> Value {
        [
            "last_update_attempt": time(refusal.since), "details": .string(refusal.text),
            "version_info": .string(refusal.version),
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
                let rows = row(entry.origin, entry.version, entry.since, [("cluster", cluster)], store)
                let error = store.refusal(.cluster, entry.message.name).map { [("error_state", refusal($0))] } ?? []
                dynamic.append(.object(Fields(rows + error)))
            }
        }
        var warming = store.discovered.warmingClusters.values.sorted { $0.message.name < $1.message.name }
            .map { entry -> Value in
                let cluster = typed(entry.message.jsonValue, Envoy.Cluster.typeURL)
                return .object(Fields(row(entry.origin, entry.version, entry.since, [("cluster", cluster)], store)))
            }
        for (name, refused) in store.refusals(.cluster) where store.clusters[name] == nil {
            warming.append(["cluster": ["name": .string(name)], "error_state": refusal(refused)])
        }
        return [
            "@type": .string(prefix + "ClustersConfigDump"),
            "version_info": .string(store.clusterFile.flatMap { store.files[$0]?.state.version } ?? ""),
            "static_clusters": .array(fixed), "dynamic_active_clusters": .array(dynamic),
            "dynamic_warming_clusters": .array(warming),
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
        for (key, one) in store.discovered.assignments.sorted(by: { $0.key.name < $1.key.name }) {
            guard let assignment = store.discovered.assignment(key) else { continue }
            dynamic.append([
                "version_info": .string(one.version), "last_updated": time(one.since),
                "endpoint_config": typed(assignment.jsonValue, Envoy.ClusterLoadAssignment.typeURL),
            ])
        }
        return ["@type": .string(prefix + "EndpointsConfigDump"), "dynamic_endpoint_configs": .array(dynamic)]
    }

    private static func listeners(_ store: ConfigurationStore) -> Value {
        var fixed: [Value] = []
        var dynamic: [String: [(String, Value)]] = [:]
        func state(_ entry: ListenerEntry) -> Value {
            let listener = typed(entry.message.jsonValue, Envoy.Listener.typeURL)
            return .object(Fields(row(entry.origin, entry.version, entry.since, [("listener", listener)], store)))
        }
        for (name, entry) in store.listeners {
            guard entry.origin != .bootstrap else { continue }
            dynamic[name, default: []].append(("active_state", state(entry)))
        }
        for entry in store.listeners.sorted(by: { $0.key < $1.key }).map(\.value) where entry.origin == .bootstrap {
            fixed.append(["listener": typed(entry.message.jsonValue, Envoy.Listener.typeURL)])
        }
        for (name, draft) in store.discovered.warmingListeners {
            dynamic[name, default: []].append(("warming_state", state(draft.entry)))
        }
        for (name, refused) in store.refusals(.listener) {
            dynamic[name, default: []].append(("error_state", refusal(refused)))
        }
        let rows = dynamic.sorted { $0.key < $1.key }
            .map { name, rows -> Value in .object(Fields([("name", .string(name))] + rows)) }
        return [
            "@type": .string(prefix + "ListenersConfigDump"),
            "version_info": .string(store.listenerFile.flatMap { store.files[$0]?.state.version } ?? ""),
            "static_listeners": .array(fixed), "dynamic_listeners": .array(rows),
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
            } else if let key = table.key {
                var rows: [(String, Value)] = [
                    ("version_info", .string(table.version)), ("route_config", route),
                    ("last_updated", time(table.since)),
                ]
                if let refused = store.discovered.refusals[.routes]?[key] {
                    rows.append(("error_state", refusal(refused)))
                }
                dynamic.append(.object(Fields(rows)))
            } else {
                fixed.append(["route_config": route])
            }
        }
        return [
            "@type": .string(prefix + "RoutesConfigDump"), "static_route_configs": .array(fixed),
            "dynamic_route_configs": .array(dynamic),
        ]
    }

    /// Secrets of control planes; nil: there are none.
    private static func secrets(_ store: ConfigurationStore) -> Value? {
        var active: [Value] = []
        for (key, state) in store.discovered.secretVersions.sorted(by: { $0.key.name < $1.key.name }) {
            guard let secret = store.context.tls.secrets[key] else { continue }
            active.append([
                "name": .string(key.name), "version_info": .string(state.version), "last_updated": time(state.since),
                "secret": typed(secret.jsonValue, Envoy.Secret.typeURL),
            ])
        }
        guard !active.isEmpty else { return nil }
        return ["@type": .string(prefix + "SecretsConfigDump"), "dynamic_active_secrets": .array(active)]
    }
}

extension ConfigurationStore {
    /// What was refused of a kind and has not been replaced by something good, by name.
    fileprivate func refusals(_ kind: ResourceKind) -> [(String, DiscoveredState.Refusal)] {
        (discovered.refusals[kind] ?? [:]).map { ($0.key.name, $0.value) }.sorted { $0.0 < $1.0 }
    }

    fileprivate func refusal(_ kind: ResourceKind, _ name: String) -> DiscoveredState.Refusal? {
        refusals(kind).first { $0.0 == name }?.1
    }
}
