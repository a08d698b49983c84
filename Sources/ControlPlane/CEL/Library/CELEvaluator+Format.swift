// `'%s has %d'.format([...])`.
extension CELEvaluator {
    mutating func formatted(_ template: String, _ list: CELValue) throws(CELFailure) -> CELValue? {
        guard let arguments = try list.elements() else { return nil }
        var result = ""
        var rest = Array(template.unicodeScalars)[...]
        var used = 0
        while let scalar = rest.popFirst() {
            guard scalar == "%" else {
                result.unicodeScalars.append(scalar)
                continue
            }
            if rest.first == "%" {
                rest.removeFirst()
                result += "%"
                continue
            }
            var precision: Int?
            if rest.first == "." {
                rest.removeFirst()
                let digits = rest.prefix { ("0"..."9").contains($0) }
                rest = rest.dropFirst(digits.count)
                precision = Int(String(String.UnicodeScalarView(digits)))
                guard let precision, precision <= 100 else { throw CELFailure("invalid precision in format string") }
            }
            guard let verb = rest.popFirst() else { throw CELFailure("unexpected end of format string") }
            guard used < arguments.count else { throw CELFailure("index \(used) out of range") }
            let piece = try self.piece(verb, precision, arguments[used])
            try spend(bytes: piece.utf8.count)
            result += piece
            used += 1
        }
        return .string(result)
    }

    private mutating func piece(_ verb: Unicode.Scalar, _ precision: Int?, _ value: CELValue) throws(CELFailure)
        -> String
    {
        switch verb {
        case "s": return try plain(value, depth: 0)
        case "d":
            switch value {
            case .int, .uint: return value.text
            case .double(let number) where !number.isFinite: return value.text.replacingInfinity
            default: break
            }
        case "f":
            try spendOnDigits(value)
            if let number = Self.real(value) { return Self.fixed(number, precision ?? 6) }
        case "e":
            try spendOnDigits(value)
            if let number = Self.real(value) { return Self.scientific(number, precision ?? 6) }
        case "b":
            if case .bool(let truth) = value { return truth ? "1" : "0" }
            if let text = Self.digits(value, 2) { return text }
        case "o":
            if let text = Self.digits(value, 8) { return text }
        case "x", "X":
            if let text = Self.digits(value, 16) ?? Self.hexadecimal(value) {
                return verb == "X" ? text.uppercased() : text
            }
        default: throw CELFailure("could not parse formatting clause: unrecognized formatting clause \"\(verb)\"")
        }
        throw CELFailure("error during formatting: %\(verb) cannot be applied to \(value.typeName)")
    }

    /// The exact digits of very large and very small numbers are hundreds.
    private mutating func spendOnDigits(_ value: CELValue) throws(CELFailure) {
        guard let number = Self.real(value), number != 0 else { return }
        try spend(abs(number) > 1e18 || abs(number) < 1e-9 ? 20_000 : 50)
    }

    private static func real(_ value: CELValue) -> Double? {
        switch value {
        case .double(let number): number
        case .int(let number): Double(number)
        case .uint(let number): Double(number)
        default: nil
        }
    }

    private static func digits(_ value: CELValue, _ radix: Int) -> String? {
        switch value {
        case .int(let number): String(number, radix: radix)
        case .uint(let number): String(number, radix: radix)
        default: nil
        }
    }

    private static func hexadecimal(_ value: CELValue) -> String? {
        var bytes: [UInt8]?
        if case .string(let text) = value { bytes = Array(text.utf8) }
        if case .bytes(let given) = value { bytes = given }
        return bytes?.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// A number with so many decimals, rounded half to even on its exact binary value as far as 128 bits carry it.
    private static func fixed(_ number: Double, _ precision: Int) -> String {
        guard number.isFinite else { return CELValue.text(of: number).replacingInfinity }
        return CELDecimal(number).fixed(precision)
    }

    private static func scientific(_ number: Double, _ precision: Int) -> String {
        guard number.isFinite else { return CELValue.text(of: number).replacingInfinity }
        return CELDecimal(number).scientific(precision)
    }

    private mutating func plain(_ value: CELValue, depth: Int) throws(CELFailure) -> String {
        try spend()
        guard depth < 64 else { throw CELFailure("value is nested too deep to be formatted") }
        if case .double(let number) = value, number.isInfinite { return value.text.replacingInfinity }
        if let elements = try value.elements() {
            var parts: [String] = []
            for element in elements { parts.append(try plain(element, depth: depth + 1)) }
            return "[\(parts.joined(separator: ", "))]"
        }
        if let keys = value.keys {
            var parts: [(key: String, text: String)] = []
            for key in keys {
                let inner = try self.value(of: key, in: value) ?? .null
                parts.append((key.text, try plain(inner, depth: depth + 1)))
            }
            parts.sort { $0.key < $1.key }
            return "{\(parts.map { "\($0.key): \($0.text)" }.joined(separator: ", "))}"
        }
        if case .optional = value { throw .noOverload }
        try spend(bytes: value.text.utf8.count)
        return value.text
    }
}

extension String {
    fileprivate var replacingInfinity: String { self == "+Infinity" ? "Infinity" : self }
}

/// The exact decimal digits of a double.
struct CELDecimal {
    private let isNegative: Bool
    /// Digits without a point, the most significant first.
    private let digits: [UInt8]
    /// How many of them stand before the point; negative when zeros follow it first.
    private let point: Int

    init(_ number: Double) {
        isNegative = number.sign == .minus
        // A double is a whole number times a power of two: multiply or divide the digits by two so often.
        var digits: [UInt8] = Array(String(number.significandBitPattern | (number.isNormal ? 1 << 52 : 0)).utf8).map {
            $0 - 48
        }
        var exponent = Int(max(number.exponentBitPattern, 1)) - 1075
        var decimals = 0
        while exponent > 0 {
            Self.double(&digits)
            exponent -= 1
        }
        while exponent < 0 {
            // Half of x is 5 x / 10.
            Self.timesFive(&digits)
            decimals += 1
            exponent += 1
        }
        point = digits.count - decimals
        self.digits = digits
    }

    private static func multiply(_ digits: inout [UInt8], by factor: Int) {
        var carry = 0
        for index in digits.indices.reversed() {
            let product = Int(digits[index]) * factor + carry
            digits[index] = UInt8(product % 10)
            carry = product / 10
        }
        while carry > 0 {
            digits.insert(UInt8(carry % 10), at: 0)
            carry /= 10
        }
    }

    private static func double(_ digits: inout [UInt8]) { multiply(&digits, by: 2) }
    private static func timesFive(_ digits: inout [UInt8]) { multiply(&digits, by: 5) }

    /// The digits up to a place behind the first, rounded half to even, and where the point stands then.
    private func rounded(_ digits: [UInt8], _ point: Int, keep: Int) -> (digits: [UInt8], point: Int) {
        guard keep >= 0 else { return ([], point) }
        var padded = digits
        while padded.count <= keep { padded.append(0) }
        var kept = Array(padded[..<keep])
        let rest = padded[keep...]
        let isHalf = rest.first == 5 && rest.dropFirst().allSatisfy { $0 == 0 }
        let up = isHalf ? (kept.last ?? 0) % 2 == 1 : (rest.first ?? 0) >= 5
        guard up else { return (kept, point) }
        var index = kept.count - 1
        while index >= 0 {
            if kept[index] < 9 {
                kept[index] += 1
                return (kept, point)
            }
            kept[index] = 0
            index -= 1
        }
        return ([1] + kept, point + 1)
    }

    func fixed(_ precision: Int) -> String {
        var digits = digits
        var point = point
        while point < 0 {
            digits.insert(0, at: 0)
            point += 1
        }
        let result = rounded(digits, point, keep: point + precision)
        let text = result.digits.map { String($0) }.joined()
        var whole = String(text.prefix(result.point))
        while whole.hasPrefix("0"), whole.utf8.count > 1 { whole.removeFirst() }
        let sign = isNegative ? "-" : ""
        return sign + (whole.isEmpty ? "0" : whole) + (precision > 0 ? "." + text.dropFirst(result.point) : "")
    }

    func scientific(_ precision: Int) -> String {
        let zeros = digits.prefix { $0 == 0 }.count
        let isZero = zeros == digits.count
        let significant = isZero ? [0] : Array(digits.dropFirst(zeros))
        let result = rounded(significant, isZero ? 1 : point - zeros, keep: precision + 1)
        let kept = result.digits.prefix(precision + 1)
        let exponent = result.point - 1
        let head = kept.first.map { String($0) } ?? "0"
        let tail = kept.dropFirst().map { String($0) }.joined()
        let power = abs(exponent) < 10 ? "0\(abs(exponent))" : "\(abs(exponent))"
        return (isNegative ? "-" : "") + head + (precision > 0 ? ".\(tail)" : "")
            + "e\(exponent < 0 ? "-" : "+")\(power)"
    }
}
