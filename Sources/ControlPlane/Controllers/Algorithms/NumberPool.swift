/// Hands out numbers of a range (host parts of addresses, ports), the lowest free one first; a wished one when it is free.
package struct NumberPool: Equatable, Sendable {
    package let range: ClosedRange<Int>
    private var taken: Set<Int> = []
    private var hint: Int

    package init(_ range: ClosedRange<Int>) {
        self.range = range
        hint = range.lowerBound
    }

    package func isTaken(_ number: Int) -> Bool { taken.contains(number) }

    /// Marks a number as taken; false when it was taken before or lies outside of the range.
    @discardableResult
    package mutating func take(_ number: Int) -> Bool {
        range.contains(number) && taken.insert(number).inserted
    }

    /// Takes the lowest free number, or nil when none is left.
    package mutating func takeAny() -> Int? {
        guard taken.count < range.count else { return nil }
        while taken.contains(hint) { hint += 1 }
        guard range.contains(hint) else { return nil }
        taken.insert(hint)
        return hint
    }

    package mutating func free(_ number: Int) {
        guard taken.remove(number) != nil else { return }
        hint = min(hint, number)
    }
}

/// The loopback addresses given to Services of type LoadBalancer: 127.10.0.1 to 127.10.255.254.
package enum LoadBalancerAddresses {
    package static let numbers = 1...65_534

    package static func address(of number: Int) -> String { "127.10.\(number / 256).\(number % 256)" }

    package static func number(of address: String) -> Int? {
        let parts = address.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0).map(Int.init) }
        guard parts.count == 4, parts[0] == 127, parts[1] == 10, let high = parts[2], let low = parts[3] else {
            return nil
        }
        let number = high * 256 + low
        return numbers.contains(number) ? number : nil
    }
}
