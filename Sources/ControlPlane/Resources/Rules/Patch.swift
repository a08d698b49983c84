package import Wire

/// Changes to a tree of values, in the forms in which the API takes them.
package enum Patch {
    /// JSON merge patch (RFC 7396): objects are merged, null removes, everything else replaces.
    package static func merge(_ patch: Value, into target: Value) -> Value {
        guard case .object(let changes) = patch else { return patch }
        var result: Value = target.fields == nil ? .object(Fields()) : target
        for (name, change) in changes {
            if change.isNull {
                result[name] = nil
            } else {
                result[name] = merge(change, into: result[name] ?? .null)
            }
        }
        return result
    }

    /// Strategic merge patch: like merge, but lists whose elements have a key are merged by it, and directives
    /// (`$patch`, `$setElementOrder/…`, `$deleteFromPrimitiveList/…`, `$retainKeys`) are obeyed.
    package static func strategic(_ patch: Value, into target: Value, shape: Shape) -> Value {
        guard case .object(let changes) = patch else { return patch }
        switch patch.text("$patch") {
        case "delete": return .null
        case "replace":
            var replacement = patch
            replacement["$patch"] = nil
            return replacement
        default: break
        }
        var result: Value = target.fields == nil ? .object(Fields()) : target
        if let kept = patch["$retainKeys"]?.arrayValue {
            for name in result.fields?.names ?? [] where !kept.contains(.string(name)) { result[name] = nil }
        }
        for (name, change) in changes {
            if name.hasPrefix("$deleteFromPrimitiveList/") {
                let list = String(name.dropFirst("$deleteFromPrimitiveList/".count))
                let gone = change.arrayValue ?? []
                result[list] = result[list]?.arrayValue.map { .array($0.filter { !gone.contains($0) }) }
            }
            if name.hasPrefix("$") { continue }
            let child = field(name, of: shape)
            if change.isNull {
                result[name] = nil
            } else if case .list(let element, let key?) = child, let items = change.arrayValue {
                let order = patch["$setElementOrder/\(name)"]?.arrayValue
                result[name] = .array(mergeList(items, into: result[name]?.arrayValue ?? [], key, element, order))
            } else if case .list(.string, nil) = child, name == "finalizers", let items = change.arrayValue {
                let present = result[name]?.arrayValue ?? []
                result[name] = .array(present + items.filter { !present.contains($0) })
            } else {
                let merged = strategic(change, into: result[name] ?? .null, shape: child)
                if merged.isNull {
                    result[name] = nil
                } else {
                    result[name] = merged
                }
            }
        }
        return result
    }

    private static func field(_ name: String, of shape: Shape) -> Shape {
        switch shape {
        case .record(let record): Schema.record(record)?.fields[name]?.shape ?? .any
        case .map(let element): element
        default: .any
        }
    }

    private static func mergeList(
        _ changes: [Value],
        into present: [Value],
        _ key: String,
        _ element: Shape,
        _ order: [Value]?
    ) -> [Value] {
        if changes.contains(where: { $0.text("$patch") == "replace" && $0.fields?.count == 1 }) {
            return changes.filter { $0.text("$patch") == nil }
        }
        var result = present
        for change in changes {
            let found = result.firstIndex { $0[key] != nil && $0[key] == change[key] }
            if change.text("$patch") == "delete" {
                result.removeAll { $0[key] != nil && $0[key] == change[key] }
            } else if let found {
                result[found] = strategic(change, into: result[found], shape: element)
            } else {
                result.append(strategic(change, into: .null, shape: element))
            }
        }
        guard let order else { return result }
        let places = order.map { $0[key] ?? $0 }
        let place = { (item: Value) in item[key].flatMap { places.firstIndex(of: $0) } ?? Int.max }
        return result.enumerated().sorted { (place($0.element), $0.offset) < (place($1.element), $1.offset) }
            .map(\.element)
    }

    /// JSON patch (RFC 6902).
    ///
    /// - Throws: `APIError` 422 for an operation that does not fit the object, 400 for one that is none.
    package static func json(_ patch: Value, into target: Value) throws(APIError) -> Value {
        guard case .array(let operations) = patch else { throw .badRequest("a JSON patch is a list of operations") }
        guard operations.count <= 10_000 else { throw .badRequest("a JSON patch may have 10000 operations at most") }
        var result = target
        for operation in operations { try apply(operation, to: &result) }
        return result
    }

    private static func apply(_ operation: Value, to value: inout Value) throws(APIError) {
        let path = try pointer(operation.text("path"))
        switch operation.text("op") {
        case "add": try edit(&value, path[...], .add(operation["value"] ?? .null))
        case "replace": try edit(&value, path[...], .replace(operation["value"] ?? .null))
        case "remove": try edit(&value, path[...], .remove)
        case "test":
            guard read(value, path) == operation["value"] else {
                throw unfit("testing value /\(path.joined(separator: "/")) failed")
            }
        case "copy", "move":
            let from = try pointer(operation.text("from"))
            guard let moved = read(value, from) else { throw unfit("nothing at /\(from.joined(separator: "/"))") }
            if operation.text("op") == "move" { try edit(&value, from[...], .remove) }
            try edit(&value, path[...], .add(moved))
        default: throw .badRequest("unknown operation \"\(operation.text("op") ?? "")\" in the JSON patch")
        }
    }

    private static func unfit(_ why: String) -> APIError {
        APIError(code: 422, reason: .invalid, message: "the JSON patch does not fit the object: \(why)")
    }

    private static func pointer(_ text: String?) throws(APIError) -> [String] {
        guard let text, text.isEmpty || text.hasPrefix("/") else {
            throw .badRequest("a JSON patch needs paths that begin with '/'")
        }
        return text.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
            .map { unescape(String($0)) }
    }

    private static func unescape(_ step: String) -> String {
        var result = ""
        var isEscape = false
        for character in step {
            if isEscape {
                result.append(character == "1" ? "/" : character == "0" ? "~" : character)
                isEscape = false
            } else if character == "~" {
                isEscape = true
            } else {
                result.append(character)
            }
        }
        return result
    }

    private static func read(_ value: Value, _ path: [String]) -> Value? {
        var value = value
        for step in path {
            guard let next = value.fields == nil ? Int(step).flatMap({ value[$0] }) : value[step] else { return nil }
            value = next
        }
        return value
    }

    private enum Edit {
        case add(Value)
        case replace(Value)
        case remove
    }

    private static func edit(_ value: inout Value, _ path: ArraySlice<String>, _ change: Edit) throws(APIError) {
        guard let step = path.first else {
            switch change {
            case .add(let new), .replace(let new): value = new
            case .remove: value = .null
            }
            return
        }
        let isLast = path.count == 1
        switch value {
        case .object:
            if isLast {
                if case .add(let new) = change { return value[step] = new }
                guard value[step] != nil else { throw unfit("there is no \"\(step)\"") }
                if case .replace(let new) = change { value[step] = new } else { value[step] = nil }
                return
            }
            guard var child = value[step] else { throw unfit("there is no \"\(step)\"") }
            try edit(&child, path.dropFirst(), change)
            value[step] = child
        case .array(var elements):
            let index = step == "-" ? elements.count : Int(step) ?? -1
            if isLast, case .add(let new) = change {
                guard (0...elements.count).contains(index) else { throw unfit("the list has no place \(step)") }
                elements.insert(new, at: index)
            } else {
                guard elements.indices.contains(index) else { throw unfit("the list has no element \(step)") }
                if isLast, case .remove = change {
                    elements.remove(at: index)
                } else {
                    try edit(&elements[index], path.dropFirst(), change)
                }
            }
            value = .array(elements)
        default: throw unfit("\"\(step)\" is below a value that is neither object nor list")
        }
    }
}
