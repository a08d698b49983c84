package import Wire

/// An amount as Kubernetes writes it (`250m`, `64Mi`, `1.5`, `2e3`), exact to a billionth.
package struct Quantity: Sendable, Hashable {
    /// The amount in billionths.
    private let nanos: Int128

    private init(nanos: Int128) { self.nanos = nanos }

    /// Reads a text; nil when it is no quantity or beyond what 128 bits hold. Below a billionth it rounds up.
    package init?(_ text: String) {
        var rest = Array(text.utf8)[...]
        var isNegative = false
        if let sign = rest.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") {
            isNegative = sign == UInt8(ascii: "-")
            rest = rest.dropFirst()
        }
        let whole = rest.prefix { (48...57).contains($0) }
        rest = rest.dropFirst(whole.count)
        var fraction: ArraySlice<UInt8> = []
        if rest.first == UInt8(ascii: ".") {
            fraction = rest.dropFirst().prefix { (48...57).contains($0) }
            rest = rest.dropFirst(fraction.count + 1)
        }
        guard !whole.isEmpty || !fraction.isEmpty, whole.count + fraction.count <= 30,
            let scale = Self.scale(String(decoding: rest, as: UTF8.self))
        else { return nil }
        var digits: Int128 = 0
        for byte in whole + fraction { digits = digits * 10 + Int128(byte) - 48 }
        guard let nanos = Self.scaled(digits, by: scale, decimals: fraction.count) else { return nil }
        self.init(nanos: isNegative ? -nanos : nanos)
    }

    /// Reads a text or a number.
    package init?(_ value: Value?) {
        switch value {
        case .string(let text): self.init(text)
        case .int(let number): self.init(nanos: Int128(number) * 1_000_000_000)
        case .double(let number):
            guard number.isFinite, abs(number) < 1e18 else { return nil }
            self.init(nanos: Int128((number * 1e9).rounded(.up)))
        default: return nil
        }
    }

    private static func scaled(_ digits: Int128, by scale: (base: Int128, exponent: Int), decimals: Int) -> Int128? {
        var numerator = digits
        var exponent = 9 - decimals
        let steps = scale.base == 10 ? 0 : scale.exponent
        if scale.base == 10 { exponent += scale.exponent }
        for _ in 0..<steps {
            let (product, overflow) = numerator.multipliedReportingOverflow(by: 1024)
            if overflow { return nil }
            numerator = product
        }
        guard exponent >= 0 else {
            for index in 0..<min(-exponent, 40) {
                let isRest = numerator % 10 != 0
                numerator = numerator / 10 + (isRest && index == min(-exponent, 40) - 1 ? 1 : 0)
            }
            return numerator
        }
        for _ in 0..<exponent {
            let (product, overflow) = numerator.multipliedReportingOverflow(by: 10)
            if overflow { return nil }
            numerator = product
        }
        return numerator
    }

    private static func scale(_ suffix: String) -> (base: Int128, exponent: Int)? {
        let decimal = ["n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18]
        let binary = ["Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6]
        if let exponent = decimal[suffix] { return (10, exponent) }
        if let exponent = binary[suffix] { return (1024, exponent) }
        guard let first = suffix.first, first == "e" || first == "E", let exponent = Int(suffix.dropFirst()),
            (-18...18).contains(exponent)
        else { return nil }
        return (10, exponent)
    }

    /// The whole number, rounded up and held within 64 bits: bytes of memory, counts.
    package var rounded: Int { Int(clamping: (nanos + (nanos > 0 ? 999_999_999 : 0)) / 1_000_000_000) }

    /// Thousandths, rounded up: CPU.
    package var milli: Int { Int(clamping: (nanos + (nanos > 0 ? 999_999 : 0)) / 1_000_000) }

    package var isNegative: Bool { nanos < 0 }

    package static let zero = Quantity(nanos: 0)

    /// So many whole ones.
    package init(_ count: Int) { self.init(nanos: Int128(count) * 1_000_000_000) }

    /// The largest unit that leaves no rest: `1500m`, `2`, `64Mi`.
    ///
    /// - Parameter isBinary: in powers of 1024, where the amount is one; else of 1000.
    /// - Returns: the text that reads as this amount.
    package func text(isBinary: Bool) -> String {
        let unit: Int128 = 1_000_000_000
        guard nanos % unit == 0 else {
            if nanos % 1_000_000 == 0 { return "\(nanos / 1_000_000)m" }
            return nanos % 1000 == 0 ? "\(nanos / 1000)u" : "\(nanos)n"
        }
        var number = nanos / unit
        var step = 0
        let base: Int128 = isBinary ? 1024 : 1000
        let names = isBinary ? ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"] : ["", "k", "M", "G", "T", "P", "E"]
        while number != 0, number % base == 0, step + 1 < names.count {
            number /= base
            step += 1
        }
        return "\(number)\(names[step])"
    }

    /// The sum, held within bounds.
    package static func + (left: Quantity, right: Quantity) -> Quantity {
        let (sum, overflow) = left.nanos.addingReportingOverflow(right.nanos)
        return Quantity(nanos: overflow ? .max : sum)
    }

    /// The difference, held within bounds.
    package static func - (left: Quantity, right: Quantity) -> Quantity {
        let (rest, overflow) = left.nanos.subtractingReportingOverflow(right.nanos)
        return Quantity(nanos: overflow ? .min : rest)
    }

    /// How many times as much, for ratios; nil of nothing.
    package func ratio(to other: Quantity) -> Double? {
        other.nanos == 0 ? nil : Double(nanos) / Double(other.nanos)
    }
}

extension Quantity: Comparable {
    package static func < (left: Quantity, right: Quantity) -> Bool { left.nanos < right.nanos }
}

extension Quantity {
    /// An amount in billionths.
    package init(billionths: Int128) { self.init(nanos: billionths) }

    /// The amount in billionths.
    package var billionths: Int128 { nanos }
}
