import Resources

/// A version by Semantic Versioning 2.0.
package struct CELVersion: Sendable, Equatable {
    let numbers: [UInt64]
    let prerelease: [String]

    package static func == (left: CELVersion, right: CELVersion) -> Bool { left.compare(right) == 0 }

    /// Reads `1.2.3-rc.1+build`; leniently also `v1.2` with leading zeros.
    init?(_ text: String, isLenient: Bool = false) {
        guard text.utf8.count <= 256 else { return nil }
        var rest = Substring(text)
        if isLenient, rest.first == "v" { rest.removeFirst() }
        let core = rest.prefix { $0 != "-" && $0 != "+" }
        rest = rest.dropFirst(core.count)
        var numbers: [UInt64] = []
        for part in core.split(separator: ".", omittingEmptySubsequences: false) {
            guard !part.isEmpty, part.utf8.allSatisfy({ (48...57).contains($0) }), let number = UInt64(part),
                isLenient || part.utf8.count == 1 || part.first != "0"
            else { return nil }
            numbers.append(number)
        }
        while isLenient, numbers.count < 3 { numbers.append(0) }
        guard numbers.count == 3 else { return nil }
        var prerelease: [String] = []
        if rest.first == "-" {
            let part = rest.dropFirst().prefix { $0 != "+" }
            rest = rest.dropFirst(part.count + 1)
            guard let names = Self.identifiers(part, isPrerelease: true) else { return nil }
            prerelease = names
        }
        if rest.first == "+" {
            guard Self.identifiers(rest.dropFirst(), isPrerelease: false) != nil else { return nil }
            rest = ""
        }
        guard rest.isEmpty else { return nil }
        self.numbers = numbers
        self.prerelease = prerelease
    }

    private static func identifiers(_ text: Substring, isPrerelease: Bool) -> [String]? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        for part in parts {
            guard !part.isEmpty, part.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") }) else {
                return nil
            }
            if isPrerelease, part.utf8.count > 1, part.first == "0", part.allSatisfy(\.isNumber) { return nil }
        }
        return parts.map(String.init)
    }

    /// -1, 0 or 1.
    func compare(_ other: CELVersion) -> Int64 {
        for (left, right) in zip(numbers, other.numbers) where left != right { return left < right ? -1 : 1 }
        if prerelease.isEmpty || other.prerelease.isEmpty {
            return prerelease.isEmpty == other.prerelease.isEmpty ? 0 : prerelease.isEmpty ? 1 : -1
        }
        for (left, right) in zip(prerelease, other.prerelease) where left != right {
            switch (UInt64(left), UInt64(right)) {
            case (let first?, let second?): return first < second ? -1 : 1
            case (_?, nil): return -1
            case (nil, _?): return 1
            case (nil, nil): return left < right ? -1 : 1
            }
        }
        return prerelease.count < other.prerelease.count ? -1 : prerelease.count > other.prerelease.count ? 1 : 0
    }
}

extension CELEvaluator {
    func amount(_ function: CELFunction, _ values: [CELValue]) throws(CELFailure) -> CELValue? {
        switch values.first {
        case .string(let text): return try amount(function, text: text, values)
        case .opaque(.quantity(let quantity)): return try self.quantity(function, quantity, values)
        case .opaque(.semver(let version)):
            switch function {
            case .major: return .int(Int64(clamping: version.numbers[0]))
            case .minor: return .int(Int64(clamping: version.numbers[1]))
            case .patch: return .int(Int64(clamping: version.numbers[2]))
            default: break
            }
            guard values.count == 2, case .opaque(.semver(let other)) = values[1] else { return nil }
            return Self.compared(function, version.compare(other))
        default: return nil
        }
    }

    private static func compared(_ function: CELFunction, _ order: Int64) -> CELValue? {
        switch function {
        case .isGreaterThan: .bool(order > 0)
        case .isLessThan: .bool(order < 0)
        case .compareTo: .int(order)
        default: nil
        }
    }

    private func amount(_ function: CELFunction, text: String, _ values: [CELValue]) throws(CELFailure) -> CELValue? {
        var isLenient = false
        if values.count > 1, case .bool(let flag) = values[1] { isLenient = flag }
        switch function {
        case .quantity:
            guard let quantity = Quantity(text) else {
                throw CELFailure(
                    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
                )
            }
            return .opaque(.quantity(quantity))
        case .isQuantity: return .bool(Quantity(text) != nil)
        case .semver:
            guard let version = CELVersion(text, isLenient: isLenient) else {
                throw CELFailure("invalid semantic version")
            }
            return .opaque(.semver(version))
        case .isSemver: return .bool(CELVersion(text, isLenient: isLenient) != nil)
        default: return nil
        }
    }

    private func quantity(
        _ function: CELFunction,
        _ quantity: Quantity,
        _ values: [CELValue]
    ) throws(CELFailure) -> CELValue? {
        let amount = quantity.billionths
        switch function {
        case .sign: return .int(amount == 0 ? 0 : amount < 0 ? -1 : 1)
        case .isInteger: return .bool(amount % 1_000_000_000 == 0 && Int64(exactly: amount / 1_000_000_000) != nil)
        case .asInteger:
            guard amount % 1_000_000_000 == 0, let whole = Int64(exactly: amount / 1_000_000_000) else {
                throw CELFailure("cannot convert value to integer")
            }
            return .int(whole)
        case .asApproximateFloat: return .double(Double(amount) / 1e9)
        default: break
        }
        var other: Int128?
        if case .opaque(.quantity(let given)) = values.count > 1 ? values[1] : .null { other = given.billionths }
        if let whole = values.whole(1), function == .add || function == .sub { other = Int128(whole) * 1_000_000_000 }
        guard let other else { return nil }
        switch function {
        case .add, .sub:
            let (result, overflows) =
                function == .add ? amount.addingReportingOverflow(other) : amount.subtractingReportingOverflow(other)
            guard !overflows else { throw CELFailure("quantity overflow") }
            return .opaque(.quantity(Quantity(billionths: result)))
        default: return Self.compared(function, amount < other ? -1 : amount == other ? 0 : 1)
        }
    }
}
