/// The addresses of pods: 10.244.0.0/16, each to one pod at a time.
///
/// Pure. The pool walks through the whole range before it gives an address again, so that a late connection to a dead pod
/// does not meet another one.
package struct AddressPool: Sendable {
    private var taken: Set<UInt32> = []
    private var next: UInt32
    private let first: UInt32
    private let last: UInt32

    /// The network's own address, the first one and the upper end stay free.
    package init() {
        let base: UInt32 = 10 << 24 | 244 << 16
        first = base + 2
        last = base + 0xfeff
        next = first
    }

    /// A pool of other addresses, as numbers.
    package init(_ range: ClosedRange<UInt32>) {
        first = range.lowerBound
        last = range.upperBound
        next = first
    }

    /// An address that no pod has; nil when all are taken.
    package mutating func take() -> String? {
        guard taken.count < Int(last - first) + 1 else { return nil }
        while true {
            let candidate = next
            next = next == last ? first : next + 1
            if taken.insert(candidate).inserted { return Self.text(candidate) }
        }
    }

    package mutating func give(back address: String) {
        if let number = Self.number(address) { taken.remove(number) }
    }

    /// Takes a certain address, which a pod of an earlier agent has; false when it is none of the pool's or taken.
    package mutating func claim(_ address: String) -> Bool {
        guard let number = Self.number(address), (first...last).contains(number), taken.insert(number).inserted else {
            return false
        }
        // New pods get addresses behind those in use: a late connection to a dead pod does not meet another one.
        next = number == last ? first : max(next, number + 1)
        return true
    }

    private static func number(_ address: String) -> UInt32? {
        let parts = address.split(separator: ".", omittingEmptySubsequences: false).compactMap { UInt32($0) }
        guard parts.count == 4, parts.allSatisfy({ $0 < 256 }) else { return nil }
        return parts.reduce(0) { $0 << 8 | $1 }
    }

    private static func text(_ address: UInt32) -> String {
        "\(address >> 24).\(address >> 16 & 255).\(address >> 8 & 255).\(address & 255)"
    }
}
