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

/// The loopback addresses given to Services of type LoadBalancer: 127.B.0.1 to 127.B.255.254 for a block B.
///
/// The first weft of a machine has block 10; each further one a block of its own, so that they never share an address.
package struct LoadBalancerAddresses: Equatable, Sendable {
    package static let numbers = 1...65_534
    /// The blocks that may be had, in the order in which they are tried.
    package static let blocks = 10...99

    package let block: Int

    package init(block: Int = 10) { self.block = block }

    package func address(of number: Int) -> String { "127.\(block).\(number / 256).\(number % 256)" }

    /// The number behind an address of this block, or nil.
    package func number(of address: String) -> Int? {
        let parts = address.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0).map(Int.init) }
        guard parts.count == 4, parts[0] == 127, parts[1] == block, let high = parts[2], let low = parts[3] else {
            return nil
        }
        let number = high * 256 + low
        return Self.numbers.contains(number) ? number : nil
    }
}
