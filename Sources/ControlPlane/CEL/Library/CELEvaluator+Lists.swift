// Lists and sets.
extension CELEvaluator {
    mutating func list(_ function: CELFunction, _ values: [CELValue]) throws(CELFailure) -> CELValue? {
        if function == .range {
            guard let count = values.whole(0) else { return nil }
            try spend(Int(clamping: count))
            return .list(count <= 0 ? [] : (0..<count).map { .int($0) })
        }
        guard let list = values.first, let count = list.listCount else { return nil }
        switch function {
        case .isSorted, .sum, .min, .max, .indexOf, .lastIndexOf, .includes, .slice, .flatten, .sort, .distinct, .first,
            .last, .reverse, .setsContains, .setsEquivalent, .setsIntersects:
            try spend(count)
        default: return nil
        }
        let elements = try list.elements() ?? []
        switch (function, values.count) {
        case (.isSorted, 1):
            for (left, right) in zip(elements, elements.dropFirst()) where try order(left, right) == .greater {
                return .bool(false)
            }
            return .bool(true)
        case (.sum, 1):
            guard var sum = elements.first else { return .int(0) }
            for element in elements.dropFirst() { sum = try calculate(.add, sum, element) }
            return sum
        case (.min, 1), (.max, 1): return try extreme(elements, function)
        case (.indexOf, 2), (.lastIndexOf, 2):
            return try place(of: values[1], in: elements, isLast: function == .lastIndexOf)
        case (.includes, 2): return .bool(try isMember(values[1], list))
        case (.slice, 3):
            guard let from = values.whole(1), let end = values.whole(2) else { return nil }
            guard from >= 0, end >= from, end <= count else {
                throw CELFailure("cannot slice(\(from), \(end)), list is length \(count)")
            }
            return .list(Array(elements[Int(from)..<Int(end)]))
        case (.flatten, _): return try flattened(elements, values)
        case (.sort, 1): return .list(try sorted(elements))
        case (.distinct, 1): return .list(try distinct(elements))
        case (.first, 1): return .optional(elements.first)
        case (.last, 1): return .optional(elements.last)
        case (.reverse, 1): return .list(elements.reversed())
        case (.setsContains, 2): return .bool(try holdsAll(list, of: values[1]))
        case (.setsEquivalent, 2):
            guard try holdsAll(list, of: values[1]) else { return .bool(false) }
            return .bool(try holdsAll(values[1], of: list))
        case (.setsIntersects, 2):
            for element in try values[1].elements() ?? [] where try isMember(element, list) { return .bool(true) }
            return .bool(false)
        default: return nil
        }
    }

    private mutating func extreme(_ elements: [CELValue], _ function: CELFunction) throws(CELFailure) -> CELValue {
        guard var best = elements.first else { throw CELFailure("\(function.rawValue) called on empty list") }
        let wanted: Order = function == .min ? .less : .greater
        for element in elements.dropFirst() where try order(element, best) == wanted { best = element }
        return best
    }

    private mutating func place(
        of value: CELValue,
        in elements: [CELValue],
        isLast: Bool
    ) throws(CELFailure) -> CELValue {
        var found = -1
        for (index, element) in elements.enumerated() where try isEqual(element, value) {
            found = index
            if !isLast { break }
        }
        return .int(Int64(found))
    }

    private mutating func holdsAll(_ list: CELValue, of other: CELValue) throws(CELFailure) -> Bool {
        guard let elements = try other.elements() else { throw .noOverload }
        for element in elements where !(try isMember(element, list)) { return false }
        return true
    }

    private mutating func distinct(_ elements: [CELValue]) throws(CELFailure) -> [CELValue] {
        var kept: [CELValue] = []
        for element in elements where !(try isMember(element, .list(kept))) { kept.append(element) }
        return kept
    }

    private mutating func flattened(_ elements: [CELValue], _ values: [CELValue]) throws(CELFailure) -> CELValue? {
        let depth = values.count == 1 ? 1 : values.whole(1) ?? 1
        guard depth >= 0 else { throw CELFailure("level must be non-negative") }
        var current = elements
        for _ in 0..<min(depth, 100) where current.contains(where: { $0.listCount != nil }) {
            var next: [CELValue] = []
            for element in current {
                let inner = try element.elements()
                try spend(inner?.count ?? 1)
                next += inner ?? [element]
            }
            current = next
        }
        return .list(current)
    }

    /// Merge sort: comparisons may fail, and cost.
    private mutating func sorted(_ elements: [CELValue]) throws(CELFailure) -> [CELValue] {
        guard elements.count > 1 else { return elements }
        let middle = elements.count / 2
        let left = try sorted(Array(elements[..<middle]))
        let right = try sorted(Array(elements[middle...]))
        try spend(elements.count)
        var merged: [CELValue] = []
        merged.reserveCapacity(elements.count)
        var first = 0
        var second = 0
        while first < left.count, second < right.count {
            if try order(right[second], left[first]) == .less {
                merged.append(right[second])
                second += 1
            } else {
                merged.append(left[first])
                first += 1
            }
        }
        return merged + left[first...] + right[second...]
    }
}
