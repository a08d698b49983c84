import EnvoyAPI

/// What the machine's own proxy is served, but for endpoints: told of a whole configuration, it finds what is different.
struct MachineView: Sendable {
    private var told = ProxyConfiguration()

    mutating func update(_ new: ProxyConfiguration) -> [DiscoveryUpdate] {
        defer { told = new }
        let routes = (told.routes.values.sorted { $0.name < $1.name }, new.routes.values.sorted { $0.name < $1.name })
        return [
            Self.changes(.cluster, told.clusters, new.clusters, name: \.name, DiscoveryEncoding.cluster),
            Self.changes(.listener, told.listeners, new.listeners, name: \.name, DiscoveryEncoding.listener),
            Self.changes(.route, routes.0, routes.1, name: \.name, DiscoveryEncoding.routes),
        ].filter { !$0.isEmpty }
    }

    /// Walks two lists that are in the order of their names.
    private static func changes<Message: Equatable>(
        _ type: DiscoveryType,
        _ old: [Message],
        _ new: [Message],
        name: (Message) -> String,
        _ encode: (Message) -> DiscoveryResource
    ) -> DiscoveryUpdate {
        var update = DiscoveryUpdate(type)
        var position = 0
        for message in new {
            let key = name(message)
            while position < old.count, name(old[position]) < key {
                update.removed.append(name(old[position]))
                position += 1
            }
            if position < old.count, name(old[position]) == key {
                if old[position] != message { update.changed.append(encode(message)) }
                position += 1
            } else {
                update.changed.append(encode(message))
            }
        }
        update.removed += old[position...].map(name)
        return update
    }
}
