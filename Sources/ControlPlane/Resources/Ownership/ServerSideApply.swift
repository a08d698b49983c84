import Wire

/// Merging what a manager wants into an object, and removing what it wants no more.
enum ServerSideApply {
    static func merge(_ config: Value, into live: Value, _ shape: Shape) -> Value {
        switch (FieldParts(config, shape), FieldParts(live, shape)) {
        case (.record(let wanted, let shape), .record):
            var result = live
            for (name, item) in wanted where !item.isNull {
                result[name] = live[name].map { merge(item, into: $0, shape(name)) } ?? item
            }
            return result
        case (.items(let wanted, let element), .items(let present, _)):
            var items = present
            for (place, item) in wanted {
                if let index = items.firstIndex(where: { $0.place == place }) {
                    items[index].value = merge(item, into: items[index].value, element)
                } else {
                    items.append((place, item))
                }
            }
            return .array(items.map(\.value))
        default: return config
        }
    }

    /// Removes fields; an element or object of which others own something stays.
    static func remove(_ set: FieldSet, from value: Value, _ shape: Shape, _ others: [FieldSet]) -> Value {
        guard !set.children.isEmpty else { return value }
        switch FieldParts(value, shape) {
        case .record(let fields, let shape):
            var result = value
            for (name, item) in fields {
                let place = "f:\(name)"
                guard let gone = set.children[place] else { continue }
                let owned = others.compactMap { $0.children[place] }
                if gone.isMember, owned.isEmpty {
                    result[name] = nil
                } else {
                    result[name] = remove(gone, from: item, shape(name), owned)
                }
            }
            return result
        case .items(let items, let element):
            var kept: [Value] = []
            for (place, item) in items {
                guard let gone = set.children[place] else {
                    kept.append(item)
                    continue
                }
                let owned = others.compactMap { $0.children[place] }
                if !gone.isMember || !owned.isEmpty { kept.append(remove(gone, from: item, element, owned)) }
            }
            return .array(kept)
        case .whole: return value
        }
    }
}
