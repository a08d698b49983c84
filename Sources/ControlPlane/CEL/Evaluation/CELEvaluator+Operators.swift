import Resources
import Wire

// Comparison, membership and arithmetic.
extension CELEvaluator {
    mutating func compare(
        _ comparison: CELComparison,
        _ left: CELValue,
        _ right: CELValue
    ) throws(CELFailure) -> Bool {
        try spend()
        switch comparison {
        case .equal: return try isEqual(left, right)
        case .notEqual: return !(try isEqual(left, right))
        case .less: return try order(left, right) == .less
        case .lessOrEqual: return [.less, .same].contains(try order(left, right))
        case .greater: return try order(left, right) == .greater
        case .greaterOrEqual: return [.greater, .same].contains(try order(left, right))
        }
    }

    enum Order { case less, same, greater, unordered }

    /// How two values of one ordered type, or two numbers, stand to each other.
    mutating func order(_ left: CELValue, _ right: CELValue) throws(CELFailure) -> Order {
        switch (left, right) {
        case (.bool(let first), .bool(let second)): return Self.order(first ? 1 : 0, second ? 1 : 0)
        case (.string(let first), .string(let second)):
            try spend(bytes: min(first.utf8.count, second.utf8.count))
            if first.utf8.elementsEqual(second.utf8) { return .same }
            return first.utf8.lexicographicallyPrecedes(second.utf8) ? .less : .greater
        case (.bytes(let first), .bytes(let second)):
            try spend(bytes: min(first.count, second.count))
            if first == second { return .same }
            return first.lexicographicallyPrecedes(second) ? .less : .greater
        case (.timestamp(let first), .timestamp(let second)): return Self.order(first, second)
        case (.duration(let first), .duration(let second)): return Self.order(first, second)
        case (.opaque(.quantity(let first)), .opaque(.quantity(let second))): return Self.order(first, second)
        default:
            guard let order = CELNumbers.order(left, right) else { throw .noOverload }
            return order
        }
    }

    static func order<T: Comparable>(_ left: T, _ right: T) -> Order {
        left < right ? .less : left == right ? .same : .greater
    }

    mutating func isMember(_ value: CELValue, _ range: CELValue) throws(CELFailure) -> Bool {
        try spend()
        if let count = range.listCount {
            for index in 0..<count where try isEqual(value, try range.element(index)) { return true }
            return false
        }
        return try self.value(of: value, in: range) != nil
    }

    // MARK: Arithmetic

    mutating func calculate(
        _ operation: CELArithmetic,
        _ left: CELValue,
        _ right: CELValue
    ) throws(CELFailure) -> CELValue {
        try spend()
        switch (left, right) {
        case (.int(let first), .int(let second)): return .int(try Self.whole(operation, first, second))
        case (.uint(let first), .uint(let second)): return .uint(try Self.whole(operation, first, second))
        case (.double(let first), .double(let second)):
            switch operation {
            case .add: return .double(first + second)
            case .subtract: return .double(first - second)
            case .multiply: return .double(first * second)
            case .divide: return .double(first / second)
            case .remainder: throw .noOverload
            }
        default: break
        }
        switch operation {
        case .add: return try concatenate(left, right)
        case .subtract: return try CELTime.difference(left, right)
        default: throw .noOverload
        }
    }

    private static func whole<T: FixedWidthInteger>(
        _ operation: CELArithmetic,
        _ left: T,
        _ right: T
    ) throws(CELFailure) -> T {
        let (result, overflows): (T, Bool)
        switch operation {
        case .add: (result, overflows) = left.addingReportingOverflow(right)
        case .subtract: (result, overflows) = left.subtractingReportingOverflow(right)
        case .multiply: (result, overflows) = left.multipliedReportingOverflow(by: right)
        case .divide:
            guard right != 0 else { throw CELFailure("division by zero") }
            (result, overflows) = left.dividedReportingOverflow(by: right)
        case .remainder:
            guard right != 0 else { throw CELFailure("modulus by zero") }
            (result, overflows) = left.remainderReportingOverflow(dividingBy: right)
        }
        guard !overflows else { throw T.isSigned ? .overflow : CELFailure("unsigned integer overflow") }
        return result
    }

    private mutating func concatenate(_ left: CELValue, _ right: CELValue) throws(CELFailure) -> CELValue {
        switch (left, right) {
        case (.string(let first), .string(let second)):
            try spend(bytes: first.utf8.count + second.utf8.count)
            return .string(first + second)
        case (.bytes(let first), .bytes(let second)):
            try spend(bytes: first.count + second.count)
            return .bytes(first + second)
        default:
            guard let first = left.listCount, let second = right.listCount else { return try CELTime.sum(left, right) }
            try spend(first + second)
            if case .tree(_, let shape?) = left, shape.listKind != .atomic { return try merge(left, right, shape) }
            return .list((try left.elements() ?? []) + (try right.elements() ?? []))
        }
    }

    /// The union of sets, or of lists whose elements have keys: what stands on the right wins its place on the left.
    private mutating func merge(
        _ left: CELValue,
        _ right: CELValue,
        _ shape: CELShape
    ) throws(CELFailure) -> CELValue {
        var merged = try left.elements() ?? []
        for element in try right.elements() ?? [] {
            var place: Int?
            for (index, known) in merged.enumerated() where try isSameElement(known, element, shape) {
                place = index
                break
            }
            if let place { merged[place] = element } else { merged.append(element) }
        }
        return .list(merged)
    }

    /// Whether two elements of a set are equal, or two elements of a keyed list have the same keys.
    mutating func isSameElement(
        _ left: CELValue,
        _ right: CELValue,
        _ shape: CELShape
    ) throws(CELFailure) -> Bool {
        guard case .keyed(let names) = shape.listKind else { return try isEqual(left, right) }
        guard case .fields(let first, _) = left, case .fields(let second, _) = right else { return false }
        try spend(names.count)
        return names.allSatisfy { first[$0] == second[$0] }
    }
}
