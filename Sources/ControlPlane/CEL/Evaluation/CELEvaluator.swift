import Wire

/// Walks a checked expression with values. Every step costs; the cost bounds time and memory.
struct CELEvaluator {
    private let bindings: [CELValue]
    private var locals: [CELValue]
    private(set) var remaining: Int
    var lastPattern: (text: String, pattern: CELPattern)?

    init(bindings: [CELValue], slots: Int, cost: Int) {
        self.bindings = bindings
        locals = Array(repeating: .null, count: slots)
        remaining = cost
    }

    /// Takes a cost; throws when it is not there.
    mutating func spend(_ cost: Int = 1) throws(CELFailure) {
        guard cost <= remaining else {
            remaining = 0
            throw .exhausted
        }
        remaining -= cost
    }

    /// The cost of walking so many bytes: a tenth each, as Kubernetes counts.
    mutating func spend(bytes: Int) throws(CELFailure) { try spend(1 + bytes / 10) }

    mutating func set(_ slot: Int, _ value: CELValue) { locals[slot] = value }

    mutating func evaluate(_ node: CELNode) throws(CELFailure) -> CELValue {
        switch node {
        case .constant(let value): return value
        case .variable(let place):
            try spend()
            guard place < bindings.count else { throw CELFailure("no such attribute") }
            if case .failure(let failure) = bindings[place] { throw failure }
            return bindings[place]
        case .local(let slot):
            try spend()
            return locals[slot]
        case .select(let operand, let name, let isOptional): return try select(operand, name, isOptional)
        case .has(let operand, let name): return .bool(try has(operand, name))
        case .index(let operand, let key, let isOptional): return try index(operand, key, isOptional)
        case .list(let elements): return try list(elements)
        case .map(let entries): return try map(entries)
        case .and(let terms): return try absorb(terms, until: false)
        case .or(let terms): return try absorb(terms, until: true)
        case .not(let operand):
            try spend()
            return .bool(!(try truth(operand)))
        case .conditional(let condition, let first, let second):
            return try evaluate(try truth(condition) ? first : second)
        case .compare(let comparison, let left, let right):
            return .bool(try compare(comparison, try evaluate(left), try evaluate(right)))
        case .contains(let value, let range): return .bool(try isMember(try evaluate(value), try evaluate(range)))
        case .arithmetic(let operation, let left, let right):
            return try calculate(operation, try evaluate(left), try evaluate(right))
        case .call(let function, let arguments): return try call(function, arguments)
        case .matches(let subject, let pattern):
            guard case .string(let text) = try evaluate(subject) else { throw .noOverload }
            try spend(matching: text, size: pattern.size)
            return .bool(pattern.isFound(in: text))
        case .macro(let macro): return try run(macro)
        case .mapOptional(let operand, let slot, let body, let isFlat):
            return try mapOptional(operand, slot, body, isFlat)
        }
    }

    /// The cost of a match: the text's length by the expression's.
    mutating func spend(matching text: String, size: Int) throws(CELFailure) {
        try spend((1 + text.utf8.count / 10) * (1 + size / 4))
    }

    private mutating func truth(_ node: CELNode) throws(CELFailure) -> Bool {
        guard case .bool(let truth) = try evaluate(node) else { throw .noOverload }
        return truth
    }

    /// `&&` and `||`: the deciding value wins over errors to its left and right.
    private mutating func absorb(_ terms: [CELNode], until deciding: Bool) throws(CELFailure) -> CELValue {
        var failure: CELFailure?
        for term in terms {
            do throws(CELFailure) {
                if try truth(term) == deciding { return .bool(deciding) }
            } catch {
                if error.isExhausted { throw error }
                failure = failure ?? error
            }
        }
        if let failure { throw failure }
        return .bool(!deciding)
    }

    // MARK: Parts

    private mutating func select(
        _ operand: CELNode,
        _ name: String,
        _ isOptional: Bool
    ) throws(CELFailure) -> CELValue {
        let target = try evaluate(operand)
        try spend()
        if case .optional(let wrapped) = target {
            guard let wrapped else { return target }
            return .optional(try field(name, of: wrapped).map(Self.flattened) ?? nil)
        }
        let found = try field(name, of: target)
        if isOptional { return .optional(found) }
        guard let found else { throw CELFailure("no such key: \(name)") }
        return found
    }

    /// What an optional of a value holds: an optional value is not wrapped twice.
    private static func flattened(_ value: CELValue) -> CELValue? {
        if case .optional(let inner) = value { inner } else { value }
    }

    /// The field of an object or the value of a text key; nil when there is none.
    private func field(_ name: String, of target: CELValue) throws(CELFailure) -> CELValue? {
        switch target {
        case .fields(let fields, let shape): return try shape.field(name, of: fields)
        case .map(let map): return map.value(of: .string(name))
        case .null: throw CELFailure("no such key: \(name)")
        default: throw CELFailure("no such overload: \(target.typeName) has no fields")
        }
    }

    private mutating func has(_ operand: CELNode, _ name: String) throws(CELFailure) -> Bool {
        let target = try evaluate(operand)
        if case .optional(let wrapped) = target {
            guard let wrapped else { return false }
            return try field(name, of: wrapped) != nil
        }
        return try field(name, of: target) != nil
    }

    private mutating func index(
        _ operand: CELNode,
        _ keyNode: CELNode,
        _ isOptional: Bool
    ) throws(CELFailure) -> CELValue {
        var target = try evaluate(operand)
        let key = try evaluate(keyNode)
        try spend()
        var wraps = isOptional
        if case .optional(let wrapped) = target {
            guard let wrapped else { return target }
            target = wrapped
            wraps = true
        }
        let found: CELValue?
        if let count = target.listCount {
            let place = try Self.place(key)
            found = place >= 0 && place < count ? try target.element(place) : nil
            if found == nil, !wraps { throw CELFailure("index out of bounds: \(place)") }
        } else {
            found = try value(of: key, in: target)
            if found == nil, !wraps { throw CELFailure("no such key: \(key.text)") }
        }
        return wraps ? .optional(found.flatMap(Self.flattened)) : found ?? .null
    }

    private static func place(_ key: CELValue) throws(CELFailure) -> Int {
        switch key {
        case .int(let number): return Int(number)
        case .uint(let number): return Int(clamping: number)
        case .double(let number):
            guard let whole = Int(exactly: number) else { throw CELFailure("unsupported index value: \(number)") }
            return whole
        default: throw .noOverload
        }
    }

    /// The value of a key in a map; nil when there is none.
    func value(of key: CELValue, in map: CELValue) throws(CELFailure) -> CELValue? {
        switch (map, key) {
        case (.map(let map), _): return map.value(of: key)
        case (.fields(let fields, let shape), .string(let name)): return try shape.field(name, of: fields)
        case (.fields, .bool), (.fields, .int), (.fields, .uint), (.fields, .double): return nil
        default: throw .noOverload
        }
    }

    private mutating func list(_ elements: [(node: CELNode, isOptional: Bool)]) throws(CELFailure) -> CELValue {
        try spend(10)
        var values: [CELValue] = []
        values.reserveCapacity(elements.count)
        for element in elements {
            let value = try evaluate(element.node)
            guard element.isOptional else {
                values.append(value)
                continue
            }
            guard case .optional(let wrapped) = value else { throw .noOverload }
            if let wrapped { values.append(wrapped) }
        }
        return .list(values)
    }

    private mutating func map(
        _ entries: [(key: CELNode, value: CELNode, isOptional: Bool)]
    ) throws(CELFailure) -> CELValue {
        try spend(30)
        var map = CELMap()
        for entry in entries {
            let key = try evaluate(entry.key)
            let value = try evaluate(entry.value)
            guard entry.isOptional else {
                try map.insert(key, value)
                continue
            }
            guard case .optional(let wrapped) = value else { throw .noOverload }
            if let wrapped { try map.insert(key, wrapped) }
        }
        return .map(map)
    }

    private mutating func mapOptional(
        _ operand: CELNode,
        _ slot: Int,
        _ body: CELNode,
        _ isFlat: Bool
    ) throws(CELFailure) -> CELValue {
        guard case .optional(let wrapped) = try evaluate(operand) else { throw .noOverload }
        guard let wrapped else { return .optional(nil) }
        locals[slot] = wrapped
        let value = try evaluate(body)
        guard isFlat else { return .optional(value) }
        guard case .optional = value else { throw .noOverload }
        return value
    }
}

extension Optional where Wrapped == CELShape {
    /// A field of an object of the tree, by the name that expressions use.
    fileprivate func field(_ name: String, of fields: Fields) throws(CELFailure) -> CELValue? {
        guard let self else {
            if let value = fields[name] { return CELValue(plain: value) }
            guard name.hasPrefix("__") || name.contains("__"), let real = CELEscaping.unescaped(name) else {
                return nil
            }
            return fields[real].map { CELValue(plain: $0) }
        }
        if case .map = self.kind {
            guard let value = fields[name] else { return nil }
            return try CELValue(value, self.items)
        }
        guard let field = self.field(name), let value = fields[field.name] else { return nil }
        return try CELValue(value, field.shape)
    }
}
