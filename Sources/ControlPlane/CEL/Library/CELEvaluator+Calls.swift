// Functions: each library looks whether a call with these values is its own.
extension CELEvaluator {
    mutating func call(_ function: CELFunction, _ nodes: [CELNode]) throws(CELFailure) -> CELValue {
        if function == .or || function == .orValue { return try alternative(function, nodes) }
        var values: [CELValue] = []
        values.reserveCapacity(nodes.count)
        for node in nodes { values.append(try evaluate(node)) }
        try spend()
        if let result = try convert(function, values) { return result }
        if let result = try text(function, values) { return result }
        if let result = try textPlaces(function, values) { return result }
        if let result = try list(function, values) { return result }
        if let result = try optional(function, values) { return result }
        if let result = try time(function, values) { return result }
        if let result = try network(function, values) { return result }
        if let result = try amount(function, values) { return result }
        if let result = try format(function, values) { return result }
        if let result = try access(function, values) { return result }
        throw .noOverload
    }

    /// `or` and `orValue` look at their argument only when they need it.
    private mutating func alternative(_ function: CELFunction, _ nodes: [CELNode]) throws(CELFailure) -> CELValue {
        let first = try evaluate(nodes[0])
        try spend()
        guard case .optional(let wrapped) = first else { throw .noOverload }
        if let wrapped { return function == .or ? first : wrapped }
        let second = try evaluate(nodes[1])
        if function == .or { guard case .optional = second else { throw .noOverload } }
        return second
    }

    private mutating func optional(_ function: CELFunction, _ values: [CELValue]) throws(CELFailure) -> CELValue? {
        switch (function, values.first) {
        case (.optionalNone, _): return .optional(nil)
        case (.optionalOf, let value?): return .optional(value)
        case (.optionalOfNonZero, let value?): return .optional(value.isZero ? nil : value)
        case (.hasValue, .optional(let wrapped)): return .bool(wrapped != nil)
        case (.value, .optional(let wrapped)):
            guard let wrapped else { throw CELFailure("optional.none() dereference") }
            return wrapped
        case (.optionalUnwrap, let list?), (.unwrapOpt, let list?):
            guard let elements = try list.elements() else { return nil }
            try spend(elements.count)
            return .list(
                elements.compactMap { if case .optional(let wrapped) = $0 { wrapped } else { nil } }
            )
        default: return nil
        }
    }
}

extension [CELValue] {
    /// A text argument.
    func text(_ index: Int) -> String? { index < count ? self[index].stringValue : nil }

    /// A whole number as an argument.
    func whole(_ index: Int) -> Int64? {
        guard index < count, case .int(let number) = self[index] else { return nil }
        return number
    }
}
