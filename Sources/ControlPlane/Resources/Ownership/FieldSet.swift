import Wire

/// Some fields of an object, as `managedFields` writes them (`FieldsV1`): a tree of `f:name`, `k:{"name":"web"}` and `v:"text"`.
struct FieldSet: Sendable, Equatable {
    /// Whether the place itself is in the set, and not only places below it.
    var isMember = false
    var children: [String: FieldSet] = [:]

    init(isMember: Bool = false) { self.isMember = isMember }

    var isEmpty: Bool { !isMember && children.isEmpty }

    /// Deeper sets are cut off: nobody's objects are nested so deep.
    private static let maximumDepth = 64

    init(_ value: Value, depth: Int = 0) {
        let fields = value.fields ?? Fields()
        isMember = depth > 0 && (fields.isEmpty || fields["."] != nil)
        guard depth < Self.maximumDepth else { return }
        for (name, item) in fields where name != "." {
            let child = FieldSet(item, depth: depth + 1)
            if !child.isEmpty { children[name] = child }
        }
    }

    /// The form of `FieldsV1`; names in order, so that equal sets have equal texts.
    var value: Value {
        var fields = Fields()
        if isMember, !children.isEmpty { fields["."] = [:] }
        for (name, child) in children.sorted(by: { $0.key < $1.key }) { fields[name] = child.value }
        return .object(fields)
    }

    mutating func add(_ name: String, _ child: FieldSet) {
        if !child.isEmpty { children[name] = child }
    }

    func union(_ other: FieldSet) -> FieldSet {
        var result = self
        result.isMember = isMember || other.isMember
        for (name, child) in other.children { result.children[name] = result.children[name]?.union(child) ?? child }
        return result
    }

    func intersection(_ other: FieldSet) -> FieldSet {
        var result = FieldSet(isMember: isMember && other.isMember)
        for (name, child) in children {
            if let both = other.children[name] { result.add(name, child.intersection(both)) }
        }
        return result
    }

    func subtracting(_ other: FieldSet) -> FieldSet {
        var result = FieldSet(isMember: isMember && !other.isMember)
        for (name, child) in children {
            result.add(name, other.children[name].map { child.subtracting($0) } ?? child)
        }
        return result
    }

    /// Without some places and all below them.
    func without(_ paths: [[String]]) -> FieldSet {
        var result = self
        for path in paths { result.remove(path[...]) }
        return result
    }

    /// Only what is below one child of the root.
    func only(_ name: String) -> FieldSet {
        var result = FieldSet()
        if let child = children[name] { result.children[name] = child }
        return result
    }

    private mutating func remove(_ path: ArraySlice<String>) {
        guard let first = path.first, var child = children[first] else { return }
        if path.count == 1 {
            children[first] = nil
        } else {
            child.remove(path.dropFirst())
            children[first] = child.isEmpty ? nil : child
        }
    }

    /// Every member as people read it: `.spec.containers[name="web"].image`.
    func paths(_ prefix: String = "") -> [String] {
        var result = isMember && !prefix.isEmpty ? [prefix] : []
        for (name, child) in children.sorted(by: { $0.key < $1.key }) {
            result += child.paths(prefix + Self.text(name))
        }
        return result
    }

    private static func text(_ name: String) -> String {
        let rest = String(name.dropFirst(2))
        switch name.prefix(2) {
        case "f:": return "." + rest
        case "v:": return "[=\(rest)]"
        case "k:":
            let fields = (try? JSON.parse(rest))?.fields ?? Fields()
            return "[" + fields.map { "\($0.name)=\(JSON.write($0.value))" }.joined(separator: ",") + "]"
        default: return "[\(rest)]"
        }
    }
}

/// How a value's parts are told apart: the shapes of the schema tables, as owners of fields see them.
enum FieldParts {
    case record([(name: String, value: Value)], shape: (String) -> Shape)
    /// Elements with their places in a set.
    case items([(place: String, value: Value)], element: Shape)
    /// Nothing inside has an owner of its own.
    case whole

    init(_ value: Value, _ shape: Shape) {
        switch (shape, value) {
        case (.record(let name), .object(let fields)):
            let record = Schema.record(name)
            self = .record(Array(fields)) { record?.fields[$0]?.shape ?? .any }
        case (.map(let element), .object(let fields)): self = .record(Array(fields)) { _ in element }
        case (.any, .object(let fields)): self = .record(Array(fields)) { _ in .any }
        case (.list(let element, let key?), .array(let items)):
            let keys = FieldOwners.keys(of: element, mergeKey: key)
            self.init(items, items.map { Self.place(of: $0, keys) }, element)
        case (.customObject(let schema), .object(let fields)):
            self = .record(Array(fields)) { name in
                switch name {
                case "apiVersion", "kind": .string
                case "metadata": .record("ObjectMeta")
                default: schema.child(name).map(Shape.custom) ?? .any
                }
            }
        case (.custom(let schema), .object(let fields)):
            if schema.isAtomicMap {
                self = .whole
            } else if schema.isEmbedded {
                self.init(value, .customObject(schema))
            } else {
                self = .record(Array(fields)) { schema.child($0).map(Shape.custom) ?? .any }
            }
        case (.custom(let schema), .array(let items)):
            let element = schema.items.map(Shape.custom) ?? .any
            switch schema.list {
            case .atomic: self = .whole
            case .set: self.init(items, items.map { "v:" + JSON.write($0) }, element)
            case .map(let keys): self.init(items, items.map { Self.place(of: $0, keys, schema.items) }, element)
            }
        default: self = .whole
        }
    }

    /// A list whose elements have places; two with the same place make it one whole.
    private init(_ items: [Value], _ places: [String], _ element: Shape) {
        guard Set(places).count == places.count else {
            self = .whole
            return
        }
        self = .items(Array(zip(places, items).map { (place: $0, value: $1) }), element: element)
    }

    /// The place of an element of a custom kind's list: a key that is left out has its default.
    private static func place(of item: Value, _ keys: [String], _ schema: StructuralSchema?) -> String {
        var fields = Fields()
        for key in keys.sorted() {
            if let value = item[key] ?? schema?.property(key)?.fallback { fields[key] = value }
        }
        return "k:" + JSON.write(.object(fields))
    }

    static func place(of item: Value, _ keys: [String]) -> String {
        var fields = Fields()
        for key in keys.sorted() { fields[key] = item[key] ?? (key == "protocol" ? "TCP" : .null) }
        return "k:" + JSON.write(.object(fields))
    }
}
