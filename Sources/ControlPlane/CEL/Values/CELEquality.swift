import Wire

// Equality over all types: values of different types are not equal, numbers are compared by value.
extension CELEvaluator {
    mutating func isEqual(_ left: CELValue, _ right: CELValue) throws(CELFailure) -> Bool {
        try spend()
        switch (left, right) {
        case (.null, .null): return true
        case (.bool(let first), .bool(let second)): return first == second
        case (.string(let first), .string(let second)):
            guard first.utf8.count == second.utf8.count else { return false }
            try spend(bytes: first.utf8.count)
            return first.utf8.elementsEqual(second.utf8)
        case (.bytes(let first), .bytes(let second)):
            try spend(bytes: min(first.count, second.count))
            return first == second
        case (.timestamp(let first), .timestamp(let second)): return first == second
        case (.duration(let first), .duration(let second)): return first == second
        case (.type(let first), .type(let second)): return first == second
        case (.optional(let first), .optional(let second)):
            guard let first, let second else { return first == nil && second == nil }
            return try isEqual(first, second)
        case (.opaque(let first), .opaque(let second)): return CELOpaque.isEqual(first, second)
        case (.failure(let failure), _), (_, .failure(let failure)): throw failure
        default: break
        }
        if let first = left.listCount, let second = right.listCount {
            return first == second ? try areEqualLists(left, right, first) : false
        }
        if let first = left.keys, let second = right.keys {
            return first.count == second.count ? try areEqualMaps(left, right, first) : false
        }
        return CELNumbers.order(left, right) == .same
    }

    private mutating func areEqualLists(
        _ left: CELValue,
        _ right: CELValue,
        _ count: Int
    ) throws(CELFailure) -> Bool {
        if case .tree(_, let shape?) = left, shape.listKind != .atomic {
            return try areEqualSets(left, right, count, shape)
        }
        for index in 0..<count {
            guard try isEqual(try left.element(index), try right.element(index)) else { return false }
        }
        return true
    }

    /// Sets and keyed lists are equal in any order.
    private mutating func areEqualSets(
        _ left: CELValue,
        _ right: CELValue,
        _ count: Int,
        _ shape: CELShape
    ) throws(CELFailure) -> Bool {
        var isTaken = Array(repeating: false, count: count)
        for index in 0..<count {
            let element = try left.element(index)
            var isFound = false
            for other in 0..<count where !isTaken[other] && !isFound {
                guard try isEqual(element, try right.element(other)) else { continue }
                isTaken[other] = true
                isFound = true
            }
            guard isFound else { return false }
        }
        return true
    }

    private mutating func areEqualMaps(
        _ left: CELValue,
        _ right: CELValue,
        _ keys: [CELValue]
    ) throws(CELFailure) -> Bool {
        for key in keys {
            guard let first = try value(of: key, in: left), let second = try value(of: key, in: right),
                try isEqual(first, second)
            else { return false }
        }
        return true
    }
}

/// Numbers of all types on one line.
enum CELNumbers {
    /// How two numbers stand to each other; nil when one is none.
    static func order(_ left: CELValue, _ right: CELValue) -> CELEvaluator.Order? {
        switch (left, right) {
        case (.int(let first), .int(let second)): CELEvaluator.order(first, second)
        case (.double(let first), .double(let second)): real(first, second)
        case (.double(let first), _): whole(right).map { mixed(first, $0) }
        case (_, .double(let second)): whole(left).map { reversed(mixed(second, $0)) }
        default:
            if let first = whole(left), let second = whole(right) { CELEvaluator.order(first, second) } else { nil }
        }
    }

    private static func whole(_ value: CELValue) -> Int128? {
        switch value {
        case .int(let number): Int128(number)
        case .uint(let number): Int128(number)
        default: nil
        }
    }

    private static func real(_ left: Double, _ right: Double) -> CELEvaluator.Order {
        left < right ? .less : left > right ? .greater : left == right ? .same : .unordered
    }

    /// A whole number is compared as the double nearest to it, as other implementations do.
    private static func mixed(_ left: Double, _ right: Int128) -> CELEvaluator.Order { real(left, Double(right)) }

    private static func reversed(_ order: CELEvaluator.Order) -> CELEvaluator.Order {
        switch order {
        case .less: .greater
        case .greater: .less
        default: order
        }
    }
}
