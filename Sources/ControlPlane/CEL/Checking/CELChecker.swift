/// Resolves names, checks types and makes of an expression what is evaluated.
struct CELChecker {
    typealias Checked = (node: CELNode, type: CELType)

    let environment: CELEnvironment
    let source: String
    var locals: [(name: String, slot: Int, type: CELType)] = []
    var slotCount = 0
    var usedVariables: Set<Int> = []
    /// What is formatted may be of many types.
    var isFormatting = false

    init(environment: CELEnvironment, source: String) {
        self.environment = environment
        self.source = source
    }

    func error(_ message: String, _ syntax: CELSyntax) -> CELError {
        CELError(message, at: syntax.offset, in: source)
    }

    mutating func check(_ syntax: CELSyntax) throws(CELError) -> Checked {
        switch syntax.kind {
        case .literal(let value): return (.constant(value), value.type)
        case .identifier(let name): return try identifier(name, syntax)
        case .select(let operand, let name, let isOptional): return try select(syntax, operand, name, isOptional)
        case .index(let operand, let index, let isOptional): return try self.index(syntax, operand, index, isOptional)
        case .call(let name, let target, let arguments): return try call(syntax, name, target, arguments)
        case .list(let elements): return try list(elements)
        case .map(let entries): return try map(entries)
        case .and(let terms): return (.and(try truths(terms, "&&")), .bool)
        case .or(let terms): return (.or(try truths(terms, "||")), .bool)
        case .not(let operand):
            let checked = try check(operand)
            guard checked.type.mayBe(.bool) else { throw noOverload("!_", [checked.type], syntax) }
            return (.not(checked.node), .bool)
        case .conditional(let condition, let first, let second):
            let test = try check(condition)
            let left = try check(first)
            let right = try check(second)
            guard test.type.mayBe(.bool), left.type.mayBe(right.type) else {
                throw noOverload("_?_:_", [test.type, left.type, right.type], syntax)
            }
            return (.conditional(test.node, left.node, right.node), left.type.joined(right.type))
        }
    }

    func noOverload(_ name: String, _ types: [CELType], member: Bool = false, _ syntax: CELSyntax) -> CELError {
        var rest = types[...]
        let receiver = member ? rest.popFirst().map { "\($0)." } ?? "" : ""
        let list = rest.map(\.description).joined(separator: ", ")
        return error("found no matching overload for '\(name)' applied to '\(receiver)(\(list))'", syntax)
    }

    private mutating func truths(_ terms: [CELSyntax], _ symbol: String) throws(CELError) -> [CELNode] {
        var nodes: [CELNode] = []
        for term in terms {
            let checked = try check(term)
            guard checked.type.mayBe(.bool) else {
                throw error("expected type 'bool' but found '\(checked.type)'", term)
            }
            nodes.append(checked.node)
        }
        return nodes
    }

    // MARK: Names

    static let typeNames: [String: CELType] = [
        "bool": .bool, "int": .int, "uint": .uint, "double": .double, "string": .string, "bytes": .bytes,
        "list": .list(.dyn), "map": .map(.dyn, .dyn), "null_type": .null, "type": .type, "dyn": .dyn,
        "optional_type": .optional(.dyn), "google.protobuf.Timestamp": .timestamp,
        "google.protobuf.Duration": .duration, "net.IP": .opaque(.ip), "net.CIDR": .opaque(.cidr),
    ]

    private mutating func identifier(_ name: String, _ syntax: CELSyntax) throws(CELError) -> Checked {
        if let local = locals.last(where: { $0.name == name }) { return (.local(local.slot), local.type) }
        if let variable = named(name.hasPrefix(".") ? String(name.dropFirst()) : name) { return variable }
        throw error("undeclared reference to '\(name)' (in container '')", syntax)
    }

    /// A variable or type with a name, dots included.
    private mutating func named(_ name: String) -> Checked? {
        if let variable = environment.places[name] {
            usedVariables.insert(variable.place)
            return (.variable(variable.place), variable.type)
        }
        guard Self.typeNames[name] != nil else { return nil }
        return (.constant(.type(name)), .type)
    }

    /// The full name of a chain whose first part is no variable of a macro.
    func globalName(_ syntax: CELSyntax) -> String? {
        guard let name = syntax.qualifiedName else { return nil }
        guard !name.hasPrefix(".") else { return String(name.dropFirst()) }
        let first = name.prefix { $0 != "." }
        return locals.contains { $0.name == first } ? nil : name
    }

    // MARK: Members

    private mutating func select(
        _ syntax: CELSyntax,
        _ operand: CELSyntax,
        _ name: String,
        _ isOptional: Bool
    ) throws(CELError) -> Checked {
        if !isOptional, let full = globalName(syntax) {
            if let found = named(full) { return found }
            // `variables.x` is one name; what misses it is no chain of other variables.
            if let owner = globalName(operand), environment.places[owner] == nil,
                environment.places.keys.contains(where: { $0.hasPrefix(owner + ".") })
            {
                throw error("undefined field '\(name)'", syntax)
            }
        }
        let checked = try check(operand)
        let field = try type(ofField: name, in: checked.type, syntax)
        let isWrapped = if case .optional = checked.type { true } else { false }
        return (
            .select(checked.node, name, isOptional: isOptional),
            isOptional || isWrapped ? .optional(field) : field
        )
    }

    func type(ofField name: String, in type: CELType, _ syntax: CELSyntax) throws(CELError) -> CELType {
        switch type {
        case .dyn: return .dyn
        case .object(let shape):
            guard let field = shape.field(name) else { throw error("undefined field '\(name)'", syntax) }
            return field.shape.type
        case .map(_, let value): return value
        case .optional(let wrapped):
            let field = try self.type(ofField: name, in: wrapped, syntax)
            if case .optional(let inner) = field { return inner }
            return field
        default: throw error("type '\(type)' does not support field selection", syntax)
        }
    }

    mutating func has(_ syntax: CELSyntax, _ argument: CELSyntax) throws(CELError) -> Checked {
        guard case .select(let operand, let name, isOptional: false) = argument.kind else {
            throw error("invalid argument to has() macro", argument)
        }
        let checked = try check(operand)
        _ = try type(ofField: name, in: checked.type, argument)
        return (.has(checked.node, name), .bool)
    }

    private mutating func index(
        _ syntax: CELSyntax,
        _ operand: CELSyntax,
        _ index: CELSyntax,
        _ isOptional: Bool
    ) throws(CELError) -> Checked {
        let target = try check(operand)
        let key = try check(index)
        var type = target.type
        var isWrapped = isOptional
        if case .optional(let wrapped) = type {
            type = wrapped
            isWrapped = true
        }
        let element: CELType
        switch type {
        case .dyn: element = .dyn
        case .list(let item) where key.type.mayBe(.number): element = item
        case .map(let expected, let value) where key.type.mayBe(expected): element = value
        default: throw noOverload("_[_]", [target.type, key.type], syntax)
        }
        return (.index(target.node, key.node, isOptional: isOptional), isWrapped ? .optional(element) : element)
    }

    // MARK: Aggregates

    private mutating func list(_ elements: [(value: CELSyntax, isOptional: Bool)]) throws(CELError) -> Checked {
        var nodes: [(node: CELNode, isOptional: Bool)] = []
        var type: CELType?
        for element in elements {
            let checked = try check(element.value)
            let item = try unwrapped(checked.type, element.isOptional, element.value)
            type = try merged(type, item, element.value)
            nodes.append((checked.node, element.isOptional))
        }
        return (.list(nodes), .list(type ?? .dyn))
    }

    private mutating func map(
        _ entries: [(key: CELSyntax, value: CELSyntax, isOptional: Bool)]
    ) throws(CELError) -> Checked {
        var nodes: [(key: CELNode, value: CELNode, isOptional: Bool)] = []
        var keyType: CELType?
        var valueType: CELType?
        for entry in entries {
            let key = try check(entry.key)
            guard [.string, .int, .uint, .bool].contains(where: { key.type.mayBe($0) }) else {
                throw error("unsupported map key type: \(key.type)", entry.key)
            }
            let value = try check(entry.value)
            keyType = try merged(keyType, key.type, entry.key)
            valueType = try merged(valueType, try unwrapped(value.type, entry.isOptional, entry.value), entry.value)
            nodes.append((key.node, value.node, entry.isOptional))
        }
        return (.map(nodes), .map(keyType ?? .dyn, valueType ?? .dyn))
    }

    private func unwrapped(_ type: CELType, _ isOptional: Bool, _ syntax: CELSyntax) throws(CELError) -> CELType {
        guard isOptional else { return type }
        switch type {
        case .optional(let wrapped): return wrapped
        case .dyn: return .dyn
        default: throw error("expected type 'optional_type(\(type))' but found '\(type)'", syntax)
        }
    }

    private func merged(_ known: CELType?, _ next: CELType, _ syntax: CELSyntax) throws(CELError) -> CELType {
        guard let known else { return next }
        if environment.isHomogeneous, !isFormatting, !known.mayBe(next) {
            throw error("expected type '\(known)' but found '\(next)'", syntax)
        }
        return known.joined(next)
    }
}
