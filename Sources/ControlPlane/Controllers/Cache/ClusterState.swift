package import Resources

/// The objects that the loops reason about, by type, with the look-ups they need.
///
/// A plain value: the cache owns one and lends it for reading.
package struct ClusterState: Sendable {
    /// The objects of one type.
    private struct Table: Sendable {
        var objects: [String: [String: Object]] = [:]
        var count = 0
    }

    private var tables: [ResourceType: Table] = [:]
    private var owned: [String: Set<ObjectKey>] = [:]

    package init() {}

    /// The object of a key, or nil.
    package func get(_ key: ObjectKey) -> Object? { tables[key.type]?.objects[key.namespace]?[key.name] }

    /// The objects of a type in one namespace, or in all for nil; in no particular order.
    package func list(_ type: ResourceType, namespace: String? = nil) -> [Object] {
        guard let table = tables[type] else { return [] }
        if let namespace { return table.objects[namespace].map { Array($0.values) } ?? [] }
        return table.objects.values.flatMap(\.values)
    }

    package func count(_ type: ResourceType) -> Int { tables[type]?.count ?? 0 }

    /// The objects of a type whose controlling owner has this uid.
    package func controlled(by uid: String, _ type: ResourceType) -> [Object] {
        (owned[uid] ?? []).compactMap { key in
            guard key.type == type, let object = get(key), object.controller?.uid == uid else { return nil }
            return object
        }
    }

    /// The keys of all objects that name this uid as an owner.
    package func dependents(of uid: String) -> Set<ObjectKey> { owned[uid] ?? [] }

    /// Every uid that is named as an owner by somebody.
    package var owners: [String] { Array(owned.keys) }

    /// Stores an object; gives the one that stood there before.
    @discardableResult
    package mutating func set(_ key: ObjectKey, _ object: Object?) -> Object? {
        let old = tables[key.type]?.objects[key.namespace]?.removeValue(forKey: key.name)
        for owner in old?.ownerReferences ?? [] {
            owned[owner.uid]?.remove(key)
            if owned[owner.uid]?.isEmpty == true { owned[owner.uid] = nil }
        }
        if old != nil { tables[key.type]?.count -= 1 }
        guard let object else { return old }
        tables[key.type, default: Table()].objects[key.namespace, default: [:]][key.name] = object
        tables[key.type]?.count += 1
        for owner in object.ownerReferences { owned[owner.uid, default: []].insert(key) }
        return old
    }
}

/// One change of one object in the cache.
package struct Change: Sendable {
    package let key: ObjectKey
    /// Nil when the object is new.
    package let old: Object?
    /// Nil when the object is gone.
    package let new: Object?

    package init(key: ObjectKey, old: Object?, new: Object?) {
        self.key = key
        self.old = old
        self.new = new
    }

    /// The newest state there is.
    package var latest: Object? { new ?? old }
}
