import Resources
import Wire

// Custom kinds: what a write of a definition changes, and the versions in which objects are kept.
extension WriteBatch {
    /// Checks a definition, writes its status and serves its kind.
    mutating func define(_ object: inout Object, replacing old: Object?) throws(APIError) {
        let name = object.name
        let known = types.custom[name]
        let isSame =
            old.map { $0.spec == object.spec && $0.annotations == object.annotations } ?? false
            && known?.definition == name
        var kind = known
        if !isSame {
            let definition = Definition(object, replacing: old, rules: SchemaRules.compile)
            guard definition.errors.isEmpty else { throw .invalid(ResourceTypes.definitions, name, definition.errors) }
            kind = definition.kind
        }
        DefinitionStatus.update(&object, taken: taken(besides: name, group: object.spec.text("group") ?? ""), now: now)
        serve(object, kind)
    }

    private mutating func serve(_ object: Object, _ kind: CustomKind?) {
        let isEstablished = DefinitionStatus.isTrue("Established", object)
        types.set(object.name, isEstablished ? kind : nil, isTerminating: object.isDeleting)
    }

    /// The names that a definition of a group may not have.
    private func taken(besides name: String, group: String) -> DefinitionStatus.Taken {
        var taken = DefinitionStatus.Taken()
        for type in ResourceTypes.all where type.group == group { taken.add(type) }
        for other in list(ResourceTypes.definitions, namespace: nil)
        where other.name != name && other.spec.text("group") == group {
            taken.add(other.status["acceptedNames"] ?? .null)
        }
        return taken
    }

    /// Takes an object away; with a definition its objects go, too, and others may have its names.
    mutating func remove(_ key: ObjectKey, old: Object, new: Object) -> Object {
        let removed = record(key, old: old, new: new, isDeletion: true)
        guard key.type == ResourceTypes.definitions else { return removed }
        if let type = types.custom[key.name]?.storage {
            for object in list(type, namespace: nil) {
                let key = ObjectKey(type, namespace: object.namespace, name: object.name)
                _ = record(key, old: object, new: object, isDeletion: true)
            }
        }
        types.set(key.name, nil)
        let group = old.spec.text("group")
        for other in list(ResourceTypes.definitions, namespace: nil).sorted(by: { $0.name < $1.name })
        where other.spec.text("group") == group && !DefinitionStatus.isTrue("NamesAccepted", other) {
            var freed = other
            let taken = taken(besides: other.name, group: group ?? "")
            DefinitionStatus.update(&freed, taken: taken, now: now)
            guard freed != other else { continue }
            serve(freed, Definition.kind(of: freed, rules: SchemaRules.compile))
            _ = record(ObjectKey(ResourceTypes.definitions, name: other.name), old: other, new: freed)
        }
        return removed
    }

    /// A kept object as a version of its kind shows it.
    func shown(_ object: Object, _ type: ResourceType) -> Object {
        type.custom?.shown(object, apiVersion: type.apiVersion) ?? object
    }

    /// Puts an object into the version in which its kind is kept.
    func keep(_ object: inout Object, _ type: ResourceType) {
        guard let custom = type.custom, object.apiVersion != custom.storageAPIVersion else { return }
        object.apiVersion = custom.storageAPIVersion
    }
}
