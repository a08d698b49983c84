import EnvoyAPI
import Traffic

extension ConfigurationStore {
    /// Makes these the listeners of an origin: others of the same origin go.
    ///
    /// - Throws: all problems; nothing is changed then.
    func setListeners(_ messages: [Envoy.Listener], origin: Origin, step: String) throws(ConfigurationProblems) {
        var problems: [String] = []
        var drafts: [ListenerDraft] = []
        var seen: Set<String> = []
        for (index, message) in messages.enumerated() {
            let place = "\(step)[\(index)]"
            let name = message.name.isEmpty ? "listener_\(index)" : message.name
            if !seen.insert(name).inserted {
                problems.append("\(place): the name \"\(name)\" stands here twice")
            } else if let other = listeners[name], other.origin != origin {
                problems.append("\(place): the listener \"\(name)\" is defined by the bootstrap already")
            } else if let known = listeners[name], known.message == message {
                continue
            } else {
                let (draft, found) = makeListener(message, name: name, origin: origin, step: place)
                problems += found
                drafts.append(draft)
            }
        }
        guard problems.isEmpty else { throw ConfigurationProblems(lines: problems) }
        for (name, entry) in listeners where entry.origin == origin && !seen.contains(name) { remove(entry, name) }
        for draft in drafts { admit(draft) }
    }

    func makeListener(
        _ message: Envoy.Listener,
        name: String,
        origin: Origin,
        step: String
    ) -> (ListenerDraft, [String]) {
        context.reset()
        context.listenerLimits.listener = name
        defer { context.reset() }
        var found: [String: TableEntry] = [:]
        let compiler = ListenerCompiler(context: context) { source in
            let (key, table) = self.makeTable(source)
            found[key] = table
            return table.index
        }
        var named = message
        named.name = name
        let index = listenerPlaces.place(of: name)
        let compiled = context.at(step) {
            if message.filterChains.isEmpty, message.defaultFilterChain == nil {
                context.report("filter_chains: a listener needs at least one chain")
            }
            return ListenerConfiguration(
                index: index,
                identity: listenerPlaces.identity(index),
                version: takeVersion(),
                name: name,
                socket: withPorts(compiler.socket(named), name),
                settings: compiler.settings(named),
                chains: compiler.chains(named, old: listeners[name]),
                defaultChain: message.defaultFilterChain.flatMap { chain in
                    context.at("default_filter_chain") { compiler.chain(chain, "\(name)/default") }
                        .map { listeners[name]?.chain(of: chain, like: $0) ?? $0 }
                }
            )
        }
        var entry = ListenerEntry(
            message: message,
            origin: origin,
            compiled: compiled,
            tables: Set(found.keys),
            clusters: context.referencedClusters
        )
        entry.secrets = context.referencedSecrets
        return (ListenerDraft(entry: entry, tables: found), context.problems)
    }

    /// The socket with real ports where 0 is configured.
    private func withPorts(_ socket: ListenerConfiguration.Socket, _ name: String) -> ListenerConfiguration.Socket {
        guard let ports, socket.bindsToPort else { return socket }
        var chosen = socket
        for (position, address) in socket.addresses.enumerated() where address.port == 0 && address.namespacePath == nil
        {
            if let port = ports.port(address, listener: name, position: position) {
                chosen.addresses[position].port = port
                chosen.reusesPort = true
            }
        }
        return chosen
    }

    private func makeTable(_ source: ListenerCompiler.RouteSource) -> (key: String, TableEntry) {
        switch source {
        case .named(let name, let source):
            let key: String
            switch source {
            case .file(let path, _): key = "\(path)\u{0}\(name)"
            case .discovery(let server, _): key = Self.tableKey(ResourceKey(server: server, name: name))
            }
            if let known = tables[key] { return (key, known) }
            let index = context.routeTables.place(of: key)
            return (key, TableEntry(source: source, name: name, index: index))
        case .inline(let message, let owner):
            // An inline table lives and dies with its chain.
            let key = "\u{0}\(owner)"
            var entry = TableEntry(name: message.name, index: context.routeTables.place(of: key), message: message)
            if let known = tables[key], known.message == message {
                entry.compiled = known.compiled
                entry.clusters = known.clusters
            } else {
                entry.compiled = context.at("route_config") { RouteCompiler.compile(message, context) }
                entry.clusters = context.referencedClusters
            }
            return (key, entry)
        }
    }

    /// Takes a listener into use.
    func put(_ draft: ListenerDraft) {
        let name = draft.entry.compiled.name
        let index = Int(draft.entry.compiled.index)
        counts.listeners.count(isNew: listeners[name] == nil)
        changes.wishes = true
        if let old = listeners[name], !old.tables.subtracting(draft.entry.tables).isEmpty { changes.removed = true }
        listeners[name] = draft.entry
        Self.grow(&compiledListeners, to: index + 1)
        compiledListeners[index] = draft.entry.compiled
        changes.listeners = true
        for (key, table) in draft.tables {
            guard table.source == nil else {
                register(table, key)
                continue
            }
            tables[key] = table
            place(table)
        }
    }

    /// Notes a table that comes from elsewhere, and fills it with what is known.
    func register(_ table: TableEntry, _ key: String) {
        if case .file(let path, let directory) = table.source {
            tableUsers[path, default: []].insert(key)
            want(path: path, watchedDirectory: directory)
        }
        guard tables[key] == nil else { return }
        tables[key] = table
        changes.wishes = true
        fillTable(key)
    }

    func remove(_ entry: ListenerEntry, _ name: String) {
        listeners[name] = nil
        counts.listeners.removed &+= 1
        changes.wishes = true
        ports?.release(name)
        compiledListeners[Int(entry.compiled.index)] = nil
        listenerPlaces.remove(name)
        changes.listeners = true
        changes.removed = true
    }

    func place(_ table: TableEntry) {
        Self.grow(&compiledTables, to: Int(table.index) + 1)
        compiledTables[Int(table.index)] = table.compiled
        changes.tables = true
    }

    // MARK: Route files

    /// Compiles the tables of a route file.
    ///
    /// - Returns: the tables by key, or the problems.
    func makeTables(_ response: Envoy.DiscoveryResponse, path: String) -> Result<
        [String: TableEntry], ConfigurationProblems
    > {
        var made: [String: TableEntry] = [:]
        var problems: [String] = []
        for (index, message) in response.routeConfigurations.enumerated() {
            let key = "\(path)\u{0}\(message.name)"
            guard var entry = tables[key], entry.message != message else { continue }
            context.reset()
            entry.compiled = context.at("resources[\(index)]") { RouteCompiler.compile(message, context) }
            entry.message = message
            entry.clusters = context.referencedClusters
            problems += context.problems
            made[key] = entry
        }
        context.reset()
        for key in (tableUsers[path] ?? []).sorted() {
            guard let name = tables[key]?.name, !response.routeConfigurations.contains(where: { $0.name == name })
            else {
                continue
            }
            problems.append("resources: no RouteConfiguration with the name \"\(name)\" in it")
        }
        return problems.isEmpty ? .success(made) : .failure(ConfigurationProblems(lines: problems))
    }

    func put(_ made: [String: TableEntry]) {
        for (key, entry) in made {
            // The clusters that the old table named may be named by nobody now.
            if let old = tables[key], !old.clusters.isSubset(of: entry.clusters) { changes.removed = true }
            tables[key] = entry
            place(entry)
        }
    }

    /// Fills a table that became wanted after its file was read.
    private func fillTable(_ key: String) {
        guard let path = tables[key]?.path, let response = files[path]?.response else { return }
        if case .success(let made) = makeTables(response, path: path) { put(made.filter { $0.key == key }) }
    }
}
