import Wire

// What the first writer of an object owns: everything. Written down at every creation, so it is made without a set in between.
extension FieldOwners {
    private static let metadataKept: Set<String> = [
        "name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields", "resourceVersion",
        "deletionTimestamp", "deletionGracePeriodSeconds",
    ]

    /// Every field of a new object that may have an owner, as `FieldsV1`.
    static func all(of object: Value, _ type: ResourceType) -> Value {
        let record = Schema.record(of: type)
        var set = Fields()
        for (name, item) in object.fields ?? Fields() where !item.isNull {
            if name == "apiVersion" || name == "kind" || name == "status" && type.hasStatus { continue }
            guard name == "metadata" else {
                set["f:\(name)"] = below(item, record?.fields[name]?.shape ?? .any)
                continue
            }
            let shapes = Schema.record("ObjectMeta")
            var metadata = Fields()
            for (key, value) in item.fields ?? Fields() where !value.isNull && !metadataKept.contains(key) {
                metadata["f:\(key)"] = below(value, shapes?.fields[key]?.shape ?? .any)
            }
            if !metadata.isEmpty { set["f:metadata"] = .object(metadata) }
        }
        return .object(set)
    }

    private static func below(_ value: Value, _ shape: Shape) -> Value {
        switch FieldParts(value, shape) {
        case .record(let fields, let shape):
            var set = Fields()
            for (name, item) in fields where !item.isNull { set["f:\(name)"] = below(item, shape(name)) }
            return .object(set)
        case .items(let items, let element):
            var set = Fields()
            for (place, item) in items {
                var inner = below(item, element)
                if inner.fields?.isEmpty == false { inner["."] = [:] }
                set[place] = inner
            }
            return .object(set)
        case .whole: return [:]
        }
    }
}
