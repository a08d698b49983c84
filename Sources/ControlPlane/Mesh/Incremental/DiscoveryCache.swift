/// What the clients of xDS are served, kept beside a `MeshIndex`: a change of the index makes anew what depends on it, and
/// nothing else.
package struct DiscoveryCache: Sendable {
    private struct View: Sendable {
        var builder: AudienceBuilder
        /// Of the machine's own proxy.
        var machine = MachineView()
        /// Digests of what was told, by its owner: a Service, or "" for the Ingresses.
        var told: [String: [DiscoveryType: [String: UInt64]]] = [:]
    }

    /// Views at the same time: clients may choose their own port offsets.
    package static let viewLimit = 32

    private let ingressAddress: HostAddress?
    private let nodeAddress: String
    private var views: [DiscoveryAudience: View] = [:]
    private var endpoints: [DiscoveryAudience.Place: EndpointTable] = [:]
    private var builtBefore = 0

    package init(ingressAddress: HostAddress? = nil, nodeAddress: String = "127.0.0.1") {
        self.ingressAddress = ingressAddress
        self.nodeAddress = nodeAddress
    }

    /// Resources that were built since the start, equal to those before or not.
    package var built: Int { builtBefore + endpoints.values.reduce(0) { $0 + $1.built } }

    package var audiences: [DiscoveryAudience] { Array(views.keys) }

    /// Begins to keep what a kind of client is served.
    ///
    /// - Parameters:
    ///   - audience: the kind.
    ///   - index: the objects.
    ///   - configuration: of the machine's own proxy.
    /// - Returns: everything; nil when there are too many kinds already.
    package mutating func open(
        _ audience: DiscoveryAudience,
        _ index: MeshIndex,
        _ configuration: ProxyConfiguration = ProxyConfiguration()
    ) -> [DiscoveryUpdate]? {
        close(audience)
        guard views.count < Self.viewLimit else { return nil }
        var whole = MeshDelta()
        whole.services = Set(index.services.keys)
        whole.hasIngresses = true
        var view = View(builder: AudienceBuilder(audience, ingressAddress: ingressAddress))
        var updates = update(&view, index, whole, configuration)
        views[audience] = view
        var table = endpoints[audience.place] ?? EndpointTable(audience.place, nodeAddress: nodeAddress)
        if endpoints[audience.place] == nil { _ = table.update(index, whole) }
        endpoints[audience.place] = table
        updates.append(table.all)
        return updates
    }

    /// Nobody needs this kind any more.
    package mutating func close(_ audience: DiscoveryAudience) {
        views[audience] = nil
        guard !views.keys.contains(where: { $0.place == audience.place }) else { return }
        builtBefore += endpoints[audience.place]?.built ?? 0
        endpoints[audience.place] = nil
    }

    /// Takes over what changed in the index.
    ///
    /// - Parameters:
    ///   - index: the objects as they are now.
    ///   - delta: what of them is different.
    ///   - configuration: of the machine's own proxy, when it is another one.
    /// - Returns: what is different for each kind of client.
    package mutating func update(
        _ index: MeshIndex,
        _ delta: MeshDelta,
        _ configuration: ProxyConfiguration? = nil
    ) -> [(DiscoveryAudience, [DiscoveryUpdate])] {
        guard !delta.isEmpty, !views.isEmpty else { return [] }
        var changed: [DiscoveryAudience.Place: DiscoveryUpdate] = [:]
        // Copies of the keys: a view of them would hold the dictionary, and every change would copy it.
        for place in Array(endpoints.keys) { changed[place] = endpoints[place]?.update(index, delta) }
        var result: [(DiscoveryAudience, [DiscoveryUpdate])] = []
        for audience in Array(views.keys) {
            guard var view = views.removeValue(forKey: audience) else { continue }
            var updates = update(&view, index, delta, configuration)
            views[audience] = view
            if let endpoints = changed[audience.place], !endpoints.isEmpty { updates.append(endpoints) }
            if !updates.isEmpty { result.append((audience, updates)) }
        }
        return result
    }

    private mutating func update(
        _ view: inout View,
        _ index: MeshIndex,
        _ delta: MeshDelta,
        _ configuration: ProxyConfiguration?
    ) -> [DiscoveryUpdate] {
        guard view.builder.audience.kind != .machine else {
            guard let configuration else { return [] }
            let updates = view.machine.update(configuration)
            builtBefore += updates.reduce(0) { $0 + $1.changed.count }
            return updates
        }
        var updates: [DiscoveryType: DiscoveryUpdate] = [:]
        for key in delta.services.sorted() {
            let made = index.services[key].map { view.builder.resources($0) } ?? [:]
            tell(made, of: key, &view, &updates)
        }
        if view.builder.audience.kind == .gateway, delta.hasIngresses || delta.hasSecrets || !delta.services.isEmpty {
            let made = view.builder.ingress(index)
            tell(made, of: "", &view, &updates)
        }
        return updates.values.filter { !$0.isEmpty }.sorted { $0.type.rawValue < $1.type.rawValue }
    }

    private mutating func tell(
        _ made: [DiscoveryType: [DiscoveryResource]],
        of owner: String,
        _ view: inout View,
        _ updates: inout [DiscoveryType: DiscoveryUpdate]
    ) {
        let before = view.told[owner] ?? [:]
        var now: [DiscoveryType: [String: UInt64]] = [:]
        for (type, resources) in made {
            for resource in resources {
                builtBefore += 1
                now[type, default: [:]][resource.name] = resource.digest
                guard before[type]?[resource.name] != resource.digest else { continue }
                updates[type, default: DiscoveryUpdate(type)].changed.append(resource)
            }
        }
        for (type, names) in before {
            for name in names.keys.sorted() where now[type]?[name] == nil {
                updates[type, default: DiscoveryUpdate(type)].removed.append(name)
            }
        }
        view.told[owner] = now.isEmpty ? nil : now
    }
}
