import EnvoyAPI
import Traffic

/// Takes what control planes give.
extension ConfigurationStore {
    /// Takes an update over: as a whole or not at all, or resource by resource, as the update says.
    ///
    /// - Returns: what is wrong with which resource; nothing of these is in force.
    func take(_ update: DiscoveryUpdate, from server: Int) -> [ResourceFault] {
        context.reset()
        let faults: [ResourceFault]
        switch update.kind {
        case .cluster: faults = takeClusters(update, server)
        case .listener: faults = takeListeners(update, server)
        case .endpoints: faults = takeEndpoints(update, server)
        case .routes: faults = takeRoutes(update, server)
        case .secret: faults = takeSecrets(update, server)
        case .runtime: faults = takeLayers(update, server)
        }
        note(update, faults, server)
        if update.kind == .cluster { answer(update, faults, server) }
        if update.kind == .endpoints {
            let names = update.changed.map(\.name) + update.removed + update.expired + update.late
            activateWarm(names.map { ResourceKey(server: server, name: $0) })
        } else {
            activateWarm()
        }
        return faults
    }

    /// Books what was refused, and what is known not to come.
    private func note(_ update: DiscoveryUpdate, _ faults: [ResourceFault], _ server: Int) {
        let kind = update.kind
        for resource in update.changed {
            let key = ResourceKey(server: server, name: resource.name)
            let own = faults.filter { $0.name == resource.name }
            discovered.refusals[kind, default: [:]][key] =
                own.isEmpty
                ? nil
                : DiscoveredState.Refusal(
                    bytes: resource.bytes,
                    version: resource.version,
                    text: own.map(\.text).joined(separator: "; "),
                    since: WallClock.now()
                )
            discovered.absent[kind]?.remove(key)
            // Names that only the refused contents used have got places.
            if !own.isEmpty { changes.removed = true }
        }
        for name in update.removed + update.expired where !kind.isComplete {
            discovered.absent[kind, default: []].insert(ResourceKey(server: server, name: name))
        }
        for name in update.removed + update.expired where kind.isComplete {
            discovered.refusals[kind]?[ResourceKey(server: server, name: name)] = nil
        }
        // Names of clusters on demand are those of requests: nobody is told of each that does not come.
        for name in update.late where kind != .cluster || name.isEmpty {
            discovered.absent[kind, default: []].insert(ResourceKey(server: server, name: name))
            let what = name.isEmpty ? "\(kind.label)s" : "the \(kind.label) \"\(name)\""
            onWarning("\(what) did not come from the control plane in time: going on without")
        }
        let isLate = !update.late.isEmpty
        if faults.isEmpty || !update.isWhole, !isLate {
            discovered.absent[kind]?.remove(ResourceKey(server: server, name: ""))
        }
        // A response that was refused is one all the same: the proxy goes on with what it has.
        if kind == .cluster, discovered.clusterSource?.server == server { discovered.hasClusters = true }
        if kind == .listener, discovered.listenerSource?.server == server { discovered.hasListeners = true }
    }

    private func fault(_ kind: ResourceKind, _ resource: DiscoveredResource, _ text: String) -> ResourceFault {
        ResourceFault(
            name: resource.name,
            text: "resources[\(resource.position)] (\(kind.label) \"\(resource.name)\"): \(text)"
        )
    }

    private func decode<Message: EnvoyMessage>(
        _ type: Message.Type,
        _ kind: ResourceKind,
        _ resource: DiscoveredResource
    ) -> Result<Message, ResourceFault> {
        do throws(SchemaErrors) {
            var warnings: [SchemaProblem] = []
            let message = try Message(protobuf: resource.bytes, warnings: &warnings)
            for warning in warnings { onWarning("\(kind.label) \"\(resource.name)\": \(warning)") }
            return .success(message)
        } catch {
            return .failure(fault(kind, resource, error.problems.map(\.description).joined(separator: "; ")))
        }
    }

    // MARK: Clusters and listeners

    private func takeClusters(_ update: DiscoveryUpdate, _ server: Int) -> [ResourceFault] {
        var faults: [ResourceFault] = []
        var entries: [ClusterEntry] = []
        for resource in update.changed {
            if let known = clusters[resource.name], known.origin != .discovery(server) {
                onWarning("the cluster \"\(resource.name)\" of the control plane is passed over: the bootstrap has it")
                continue
            }
            switch decode(Envoy.Cluster.self, .cluster, resource) {
            case .failure(let fault): faults.append(fault)
            case .success(let message):
                var (entry, problems) = makeCluster(message, origin: .discovery(server), step: "")
                if !problems.isEmpty {
                    faults.append(fault(.cluster, resource, problems.joined(separator: "; ")))
                    continue
                }
                entry.version = resource.version
                entry.since = WallClock.now()
                entries.append(entry)
            }
        }
        guard faults.isEmpty || !update.isWhole else { return faults }
        for name in update.removed + update.expired {
            if discovered.setWarming(nil, name) != nil {
                changes.removed = true
                changes.wishes = true
            }
            if let entry = clusters[name], entry.origin == .discovery(server) { remove(entry) }
        }
        for entry in entries { admit(entry) }
        return faults
    }

    private func takeListeners(_ update: DiscoveryUpdate, _ server: Int) -> [ResourceFault] {
        var faults: [ResourceFault] = []
        var drafts: [ListenerDraft] = []
        var same: [DiscoveredResource] = []
        for resource in update.changed {
            if let known = listeners[resource.name], known.origin != .discovery(server) {
                onWarning("the listener \"\(resource.name)\" of the control plane is passed over: the bootstrap has it")
                continue
            }
            switch decode(Envoy.Listener.self, .listener, resource) {
            case .failure(let fault): faults.append(fault)
            case .success(let message):
                if listeners[resource.name]?.message == message {
                    same.append(resource)
                    continue
                }
                var (draft, problems) = makeListener(
                    message,
                    name: resource.name,
                    origin: .discovery(server),
                    step: ""
                )
                if !problems.isEmpty {
                    faults.append(fault(.listener, resource, problems.joined(separator: "; ")))
                    continue
                }
                draft.entry.version = resource.version
                draft.entry.since = WallClock.now()
                drafts.append(draft)
            }
        }
        guard faults.isEmpty || !update.isWhole else { return faults }
        for name in update.removed + update.expired {
            if discovered.warmingListeners.removeValue(forKey: name) != nil {
                changes.removed = true
                changes.wishes = true
            }
            if let entry = listeners[name], entry.origin == .discovery(server) { remove(entry, name) }
        }
        for resource in same {
            listeners[resource.name]?.version = resource.version
            // What was to come after it is taken back.
            if discovered.warmingListeners.removeValue(forKey: resource.name) != nil { changes.wishes = true }
        }
        for draft in drafts { admit(draft) }
        return faults
    }

    // MARK: Endpoints

    private func takeEndpoints(_ update: DiscoveryUpdate, _ server: Int) -> [ResourceFault] {
        struct Made {
            var entry: ClusterEntry
            var assignment: Envoy.ClusterLoadAssignment
            var endpoints: [EndpointConfiguration]
        }
        var faults: [ResourceFault] = []
        var made: [Made] = []
        var taken: [(ResourceKey, DiscoveredState.Assignment)] = []
        for resource in update.changed {
            let key = ResourceKey(server: server, name: resource.name)
            switch decode(Envoy.ClusterLoadAssignment.self, .endpoints, resource) {
            case .failure(let fault): faults.append(fault)
            case .success(let assignment):
                var problems: [String] = []
                // A cluster that waits for these endpoints compiles them when it is taken into use.
                let waiting = (discovered.waiting[key] ?? []).compactMap { discovered.warmingClusters[$0] }
                let users = (discovered.users[key] ?? []).compactMap { clusters[$0] }
                for (isInUse, entry) in users.map({ (true, $0) }) + waiting.map({ (false, $0) }) {
                    context.reset()
                    let endpoints = endpoints(of: entry, from: assignment)
                    if problems.isEmpty { problems = context.problems }
                    if isInUse { made.append(Made(entry: entry, assignment: assignment, endpoints: endpoints)) }
                }
                context.reset()
                if !problems.isEmpty {
                    faults.append(fault(.endpoints, resource, problems.joined(separator: "; ")))
                    made.removeAll { $0.entry.assignmentKey == key }
                    continue
                }
                taken.append(
                    (
                        key,
                        DiscoveredState.Assignment(
                            bytes: resource.bytes,
                            version: resource.version,
                            since: WallClock.now()
                        )
                    )
                )
            }
        }
        guard faults.isEmpty || !update.isWhole else { return faults }
        for (key, assignment) in taken { discovered.assignments[key] = assignment }
        for one in made { place(one.entry, one.assignment, one.endpoints) }
        // A control plane that does not know the name any more takes nobody out; one whose word has expired does.
        for name in update.expired {
            let key = ResourceKey(server: server, name: name)
            discovered.assignments[key] = nil
            for user in (discovered.users[key] ?? []).compactMap({ clusters[$0] }) { rebuild(user) }
        }
        return faults
    }

    // MARK: Routes

    private func takeRoutes(_ update: DiscoveryUpdate, _ server: Int) -> [ResourceFault] {
        var faults: [ResourceFault] = []
        var made: [String: TableEntry] = [:]
        for resource in update.changed {
            let key = Self.tableKey(ResourceKey(server: server, name: resource.name))
            guard var entry = tables[key] else { continue }
            switch decode(Envoy.RouteConfiguration.self, .routes, resource) {
            case .failure(let fault): faults.append(fault)
            case .success(let message):
                entry.version = resource.version
                guard entry.message != message else {
                    made[key] = entry
                    continue
                }
                context.reset()
                entry.compiled = RouteCompiler.compile(message, context)
                entry.message = message
                entry.clusters = context.referencedClusters
                entry.since = WallClock.now()
                let problems = context.problems
                context.reset()
                if !problems.isEmpty {
                    faults.append(fault(.routes, resource, problems.joined(separator: "; ")))
                    continue
                }
                made[key] = entry
            }
        }
        guard faults.isEmpty || !update.isWhole else { return faults }
        put(made)
        for name in update.expired {
            let key = Self.tableKey(ResourceKey(server: server, name: name))
            guard var entry = tables[key] else { continue }
            entry.message = nil
            entry.compiled = nil
            entry.clusters = []
            put([key: entry])
        }
        return faults
    }

    // MARK: Secrets and runtime layers

    private func takeSecrets(_ update: DiscoveryUpdate, _ server: Int) -> [ResourceFault] {
        let book = context.tls.secrets
        var faults: [ResourceFault] = []
        var before: [ResourceKey: Envoy.Secret?] = [:]
        for resource in update.changed {
            let key = ResourceKey(server: server, name: resource.name)
            switch decode(Envoy.Secret.self, .secret, resource) {
            case .failure(let fault): faults.append(fault)
            case .success(let secret):
                guard secret.type != nil else {
                    faults.append(fault(.secret, resource, "one of tls_certificate, validation_context is required"))
                    continue
                }
                before[key] = .some(book[key])
                book[key] = secret
            }
        }
        // Whoever has all of its secrets now must be able to make use of them.
        let users = context.tls.holders.filter { holder in
            holder.source.discovered.values.contains { before[$0] != nil } && !holder.source.isWaiting(book)
        }
        for holder in users {
            guard case .failure(let error) = holder.source.load(book, unless: holder.report.hash) else { continue }
            for resource in update.changed {
                let key = ResourceKey(server: server, name: resource.name)
                guard before[key] != nil, holder.source.discovered.values.contains(key) else { continue }
                faults.append(fault(.secret, resource, "\(holder.source.owner) cannot use it: \(error)"))
            }
        }
        let refused = Set(faults.map(\.name))
        for (key, old) in before where (update.isWhole && !faults.isEmpty) || refused.contains(key.name) {
            book[key] = old
        }
        guard faults.isEmpty || !update.isWhole else { return faults }
        for resource in update.changed where !refused.contains(resource.name) {
            let key = ResourceKey(server: server, name: resource.name)
            discovered.secretVersions[key] = (resource.version, WallClock.now())
        }
        for holder in users { _ = holder.reload(book) }
        if !users.isEmpty { context.tls.filesMayHaveChanged() }
        return faults
    }

    private func takeLayers(_ update: DiscoveryUpdate, _ server: Int) -> [ResourceFault] {
        var faults: [ResourceFault] = []
        var layers: [ResourceKey: Envoy.Runtime] = [:]
        for resource in update.changed {
            switch decode(Envoy.Runtime.self, .runtime, resource) {
            case .failure(let fault): faults.append(fault)
            case .success(let layer): layers[ResourceKey(server: server, name: resource.name)] = layer
            }
        }
        guard faults.isEmpty || !update.isWhole else { return faults }
        for (key, layer) in layers { discovered.layers[key] = layer }
        for name in update.expired { discovered.layers[ResourceKey(server: server, name: name)] = nil }
        if !layers.isEmpty || !update.expired.isEmpty { runtimeChanged() }
        return faults
    }
}
