import Wire

// Macros: loops over lists and maps whose every turn costs.
extension CELEvaluator {
    mutating func run(_ macro: CELMacro) throws(CELFailure) -> CELValue {
        let range = try evaluate(macro.range)
        var turns = try CELTurns(range, hasTwo: macro.secondSlot != nil)
        switch macro.kind {
        case .all: return try search(macro, &turns, for: false)
        case .exists: return try search(macro, &turns, for: true)
        case .existsOne:
            var count = 0
            while try advance(macro, &turns) { count += try isTrue(macro.body) ? 1 : 0 }
            return .bool(count == 1)
        case .filter: return try filter(macro, &turns)
        case .map, .transformList: return try collect(macro, &turns)
        case .transformMap: return try collectMap(macro, &turns)
        case .transformMapEntry: return try collectEntries(macro, &turns)
        }
    }

    /// Sets the variables of the next turn; false at the end.
    private mutating func advance(_ macro: CELMacro, _ turns: inout CELTurns) throws(CELFailure) -> Bool {
        guard let (first, second) = try turns.next() else { return false }
        try spend()
        set(macro.slot, first)
        if let slot = macro.secondSlot { set(slot, second) }
        return true
    }

    private mutating func isTrue(_ node: CELNode) throws(CELFailure) -> Bool {
        guard case .bool(let truth) = try evaluate(node) else { throw .noOverload }
        return truth
    }

    /// `all` looks for false, `exists` for true; either wins over errors of other elements.
    private mutating func search(
        _ macro: CELMacro,
        _ turns: inout CELTurns,
        for deciding: Bool
    ) throws(CELFailure) -> CELValue {
        var failure: CELFailure?
        while try advance(macro, &turns) {
            do throws(CELFailure) {
                if try isTrue(macro.body) == deciding { return .bool(deciding) }
            } catch {
                if error.isExhausted { throw error }
                failure = failure ?? error
            }
        }
        if let failure { throw failure }
        return .bool(!deciding)
    }

    private mutating func filter(_ macro: CELMacro, _ turns: inout CELTurns) throws(CELFailure) -> CELValue {
        var kept: [CELValue] = []
        while try advance(macro, &turns) {
            if try isTrue(macro.body) { kept.append(turns.current) }
        }
        return .list(kept)
    }

    private mutating func takesPart(_ macro: CELMacro) throws(CELFailure) -> Bool {
        guard let condition = macro.condition else { return true }
        return try isTrue(condition)
    }

    private mutating func collect(_ macro: CELMacro, _ turns: inout CELTurns) throws(CELFailure) -> CELValue {
        var values: [CELValue] = []
        while try advance(macro, &turns) {
            if try takesPart(macro) { values.append(try evaluate(macro.body)) }
        }
        return .list(values)
    }

    private mutating func collectMap(_ macro: CELMacro, _ turns: inout CELTurns) throws(CELFailure) -> CELValue {
        var map = CELMap()
        while try advance(macro, &turns) {
            if try takesPart(macro) { try map.insert(turns.current, try evaluate(macro.body)) }
        }
        return .map(map)
    }

    private mutating func collectEntries(_ macro: CELMacro, _ turns: inout CELTurns) throws(CELFailure) -> CELValue {
        var map = CELMap()
        while try advance(macro, &turns) {
            guard try takesPart(macro) else { continue }
            let made = try evaluate(macro.body)
            guard let keys = made.keys else { throw .noOverload }
            for key in keys {
                try spend()
                try map.insert(key, try value(of: key, in: made) ?? .null)
            }
        }
        return .map(map)
    }
}

/// The elements of a list or the keys of a map, one after the other.
private struct CELTurns {
    private let range: CELValue
    private let keys: [CELValue]?
    private let count: Int
    private let hasTwo: Bool
    private var position = 0
    /// The first variable's value in this turn.
    private(set) var current = CELValue.null

    init(_ range: CELValue, hasTwo: Bool) throws(CELFailure) {
        self.range = range
        self.hasTwo = hasTwo
        keys = range.keys
        guard let count = range.listCount ?? keys?.count else { throw .noOverload }
        self.count = count
    }

    mutating func next() throws(CELFailure) -> (CELValue, CELValue)? {
        guard position < count else { return nil }
        defer { position += 1 }
        guard let keys else {
            let element = try range.element(position)
            current = hasTwo ? .int(Int64(position)) : element
            return (current, element)
        }
        current = keys[position]
        guard hasTwo else { return (current, .null) }
        guard case .string(let name) = current, case .fields(let fields, let shape) = range else {
            if case .map(let map) = range { return (current, map.entries[position].value) }
            return (current, .null)
        }
        let real = shape?.field(name)?.name ?? name
        return (current, try CELValue(fields[real] ?? .null, shape?.shape(of: name)))
    }
}
