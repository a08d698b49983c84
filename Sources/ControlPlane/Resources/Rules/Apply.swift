import Wire

/// Applies a manifest to a stored object: what the manifest says is set, what an earlier manifest said and this one does not
/// is removed, everything else (defaults, addresses, other people's fields) stays.
package enum Apply {
    /// Where the last applied manifest is kept, as kubectl keeps it.
    package static let annotation = "kubectl.kubernetes.io/last-applied-configuration"

    /// All annotations of an object may have 256 KiB; what is larger than this is not remembered.
    private static let mostRemembered = 240_000

    /// A manifest ready to be created: with itself, as JSON, in the annotation. A definition for which that is too large
    /// goes without: its `spec` is the manifest's alone, and needs no memory.
    package static func annotated(_ manifest: Object) -> Object {
        var object = manifest
        let record = record(of: manifest)
        let isTooLarge = manifest.type == ResourceTypes.definitions && record.utf8.count > mostRemembered
        if isTooLarge {
            if object.annotation(annotation) != nil {
                object.value.set(["metadata", "annotations", annotation], nil)
            }
        } else {
            object.value.set(["metadata", "annotations", annotation], .string(record))
        }
        return object
    }

    /// The manifest as it is remembered: without what the server writes.
    private static func record(of manifest: Object) -> String {
        var plain = manifest
        plain.value.set(["metadata", "annotations", annotation], nil)
        plain.value["status"] = nil
        plain.value.set(["metadata", "creationTimestamp"], nil)
        return JSON.write(SchemaCheck.withoutNulls(plain.value)) + "\n"
    }

    /// The object to write so that `live` says what the manifest says; equal to `live` when it does already.
    ///
    /// The result goes through the store's defaults before it is compared there, so a field that only spells out a default
    /// changes nothing either.
    package static func merge(_ manifest: Object, onto live: Object, of type: ResourceType) -> Object {
        var placed = manifest
        placed.namespace = live.namespace
        var wanted = annotated(placed)
        // Without a sub-resource of its own a custom kind's status is a field like others.
        let hasOwnStatus = type.custom == nil || type.hasStatus
        if hasOwnStatus { wanted.value["status"] = nil }
        var before: Value = .null
        if let text = live.annotation(annotation), let last = try? JSON.parse(text) { before = last }
        let isRemembered = wanted.annotation(annotation) != nil
        if !isRemembered { before["spec"] = live.value["spec"] }
        var merged = Object(
            three(before: before, wanted: wanted.value, live: live.value, shape: Schema.shape(of: type))
        )
        if !isRemembered, live.annotation(annotation) != nil {
            merged.value.set(["metadata", "annotations", annotation], nil)
        }
        // Identity, and the lock against writes in between, are the stored object's.
        for name in ["resourceVersion", "uid", "namespace"] {
            merged.value.set(["metadata", name], live.metadata[name])
        }
        if hasOwnStatus { merged.value["status"] = live.value["status"] }
        return isSame(merged, live, type) ? live : merged
    }

    /// Whether two objects say the same once defaults are filled in.
    private static func isSame(_ merged: Object, _ live: Object, _ type: ResourceType) -> Bool {
        guard let prepared = try? ObjectRules.prepareReplace(merged, of: type, stored: live) else { return false }
        var left = prepared
        var right = live
        left.resourceVersion = ""
        right.resourceVersion = ""
        left.value.set(["metadata", "annotations", annotation], nil)
        right.value.set(["metadata", "annotations", annotation], nil)
        guard withoutEmpty(left.value) == withoutEmpty(right.value) else { return false }
        // The remembered manifest counts when it is another one, not when it only orders its fields differently.
        let remembered = { (object: Object) in
            object.annotation(annotation).flatMap { try? JSON.parse($0) }
        }
        return remembered(merged) == remembered(live)
    }

    /// `labels: {}` and no labels say the same in metadata.
    private static func withoutEmpty(_ value: Value) -> Value {
        var value = value
        value.update("metadata") { metadata in
            for name in ["labels", "annotations"] where metadata[name]?.fields?.isEmpty ?? false {
                metadata[name] = nil
            }
        }
        return value
    }

    private static func three(before: Value, wanted: Value, live: Value, shape: Shape) -> Value {
        guard case .object(let wantedFields) = wanted, case .object = live else { return wanted }
        var result = live
        for name in before.fields?.names ?? [] where wantedFields[name] == nil || wantedFields[name]?.isNull == true {
            result[name] = nil
        }
        for (name, item) in wantedFields {
            if item.isNull {
                result[name] = nil
                continue
            }
            let child = field(name, of: shape)
            guard let present = live[name] else {
                result[name] = item
                continue
            }
            if case .list(let element, let key?) = child, let items = item.arrayValue {
                result[name] = .array(
                    list(before[name]?.arrayValue ?? [], items, present.arrayValue ?? [], key, element)
                )
            } else {
                result[name] = three(before: before[name] ?? .null, wanted: item, live: present, shape: child)
            }
        }
        dropAlternatives(&result, wanted: wantedFields, shape: shape)
        return result
    }

    /// Of fields that exclude one another the manifest's choice counts: a default that stood for another choice goes.
    private static func dropAlternatives(_ result: inout Value, wanted: Fields, shape: Shape) {
        switch shape {
        case .record("Volume"):
            guard wanted.count > 1 else { return }
            for name in result.fields?.names ?? [] where wanted[name] == nil { result[name] = nil }
        case .record("DeploymentStrategy"):
            if wanted["type"] == "Recreate", wanted["rollingUpdate"] == nil { result["rollingUpdate"] = nil }
        default: return
        }
    }

    /// Elements are matched by key and come in the manifest's order; those that others added stay behind them.
    private static func list(
        _ before: [Value],
        _ wanted: [Value],
        _ live: [Value],
        _ key: String,
        _ element: Shape
    ) -> [Value] {
        let same = { (items: [Value], item: Value) in items.first { $0[key] != nil && $0[key] == item[key] } }
        var result: [Value] = []
        for item in wanted {
            guard let present = same(live, item) else {
                result.append(item)
                continue
            }
            result.append(three(before: same(before, item) ?? .null, wanted: item, live: present, shape: element))
        }
        for item in live where same(wanted, item) == nil && same(before, item) == nil { result.append(item) }
        return result
    }

    private static func field(_ name: String, of shape: Shape) -> Shape {
        switch shape {
        case .record(let record): Schema.record(record)?.fields[name]?.shape ?? .any
        case .map(let element): element
        default: .any
        }
    }
}
