/// All resources that one kind of client can ask for, with a short memory of what changed.
package struct DiscoveryTables: Sendable {
    private var tables: [DiscoveryTable]
    /// Listeners are found by the names that proxyless clients use for Services.
    private let hasServiceNames: Bool

    package init(hasServiceNames: Bool = false) {
        self.hasServiceNames = hasServiceNames
        tables = DiscoveryType.allCases.map { _ in DiscoveryTable() }
    }

    package subscript(_ type: DiscoveryType) -> DiscoveryTable { tables[type.rawValue] }

    /// Takes changes over.
    ///
    /// - Returns: whether anything is different now.
    @discardableResult
    package mutating func apply(_ updates: [DiscoveryUpdate]) -> Bool {
        var isChanged = false
        for update in updates where tables[update.type.rawValue].apply(update) { isChanged = true }
        return isChanged
    }

    /// The resource of a name; `namespace` completes names of Services that have none.
    package func resource(_ type: DiscoveryType, _ name: String, namespace: String) -> DiscoveryResource? {
        guard hasServiceNames, type == .listener else { return self[type].resources[name] }
        guard let key = ServiceName(name, namespace: namespace)?.key, let found = self[type].resources[key] else {
            return nil
        }
        // The listener is kept without its name, which is the one that was asked for.
        return DiscoveryResource(name: name, bytes: DiscoveryEncoding.text(1, name) + found.bytes, digest: found.digest)
    }

    /// The names that changed after a revision, or nil when every name has to be looked at.
    package func changes(_ type: DiscoveryType, since revision: UInt64) -> Set<String>? {
        hasServiceNames && type == .listener ? nil : self[type].changes(since: revision)
    }
}

/// The resources of one type.
package struct DiscoveryTable: Sendable {
    private struct Entry: Sendable {
        var revision: UInt64
        var names: [String]
    }

    /// Names that are remembered as changed; a client that is further behind looks at all.
    private static let memory = 16_384

    package private(set) var resources: [String: DiscoveryResource] = [:]
    /// Counts the changes.
    package private(set) var revision: UInt64 = 0
    private var journal: [Entry] = []
    private var remembered = 0

    package func changes(since old: UInt64) -> Set<String>? {
        guard old < revision else { return [] }
        guard let first = journal.first, first.revision <= old + 1 else { return nil }
        var names: Set<String> = []
        for entry in journal.reversed() {
            guard entry.revision > old else { break }
            names.formUnion(entry.names)
        }
        return names
    }

    mutating func apply(_ update: DiscoveryUpdate) -> Bool {
        var names: [String] = []
        for resource in update.changed where resources[resource.name]?.digest != resource.digest {
            resources[resource.name] = resource
            names.append(resource.name)
        }
        for name in update.removed where resources.removeValue(forKey: name) != nil { names.append(name) }
        guard !names.isEmpty else { return false }
        revision += 1
        journal.append(Entry(revision: revision, names: names))
        remembered += names.count
        while remembered > Self.memory, let first = journal.first {
            remembered -= first.names.count
            journal.removeFirst()
        }
        return true
    }
}
