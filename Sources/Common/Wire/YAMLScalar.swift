/// What an unquoted YAML scalar means, as Kubernetes' reader has it (YAML 1.1 words, 1.2 octals too).
enum YAMLScalar {
    static func value(of text: String) -> Value {
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON": return .bool(true)
        case "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF": return .bool(false)
        default: return number(text) ?? .string(text)
        }
    }

    private static func number(_ text: String) -> Value? {
        guard let first = text.utf8.first, first < 0x3A, first >= 0x2B, text.utf8.count <= 400 else { return nil }
        if let whole = whole(text) { return .int(whole) }
        return double(text).map(Value.double)
    }

    /// Decimal, `0644`, `0o644`, `0x1A4`, `0b110`, with a sign; no underscores.
    private static func whole(_ text: String) -> Int64? {
        var digits = text[...]
        let isNegative = digits.first == "-"
        if isNegative || digits.first == "+" { digits.removeFirst() }
        guard digits.first?.isASCII == true, digits.first?.isNumber == true else { return nil }
        let sign = isNegative ? "-" : ""
        if digits.hasPrefix("0x") { return parse(sign, digits.dropFirst(2), radix: 16) }
        if digits.hasPrefix("0o") { return parse(sign, digits.dropFirst(2), radix: 8) }
        if digits.hasPrefix("0b") { return parse(sign, digits.dropFirst(2), radix: 2) }
        if digits.count > 1, digits.first == "0" { return parse(sign, digits.dropFirst(), radix: 8) }
        return parse(sign, digits, radix: 10)
    }

    private static func parse(_ sign: String, _ digits: Substring, radix: Int) -> Int64? {
        guard let first = digits.first, first != "-", first != "+" else { return nil }
        return Int64(sign + digits, radix: radix)
    }

    private static func double(_ text: String) -> Double? {
        var rest = text.utf8[...]
        if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") { rest.removeFirst() }
        var digits = 0
        func isDigit(_ byte: UInt8?) -> Bool {
            byte.map { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ?? false
        }
        while isDigit(rest.first) {
            digits += 1
            rest.removeFirst()
        }
        if rest.first == UInt8(ascii: ".") {
            rest.removeFirst()
            while isDigit(rest.first) {
                digits += 1
                rest.removeFirst()
            }
        }
        guard digits > 0 else { return nil }
        if rest.first == UInt8(ascii: "e") || rest.first == UInt8(ascii: "E") {
            rest.removeFirst()
            if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") { rest.removeFirst() }
            guard isDigit(rest.first) else { return nil }
            while isDigit(rest.first) { rest.removeFirst() }
        }
        guard rest.isEmpty else { return nil }
        // Swift's reader wants a digit on both sides of the point.
        let plain = text.first == "+" ? String(text.dropFirst()) : text
        let whole = plain.hasSuffix(".") ? plain + "0" : plain
        guard let number = Double(whole), number.isFinite else { return nil }
        return number
    }

    /// Words and numbers that other readers of YAML 1.1 take for something else than text.
    private static func isOldWord(_ text: String) -> Bool {
        switch text {
        case "y", "Y", "n", "N", ".inf", ".Inf", ".INF", "-.inf", "+.inf", ".nan", ".NaN", ".NAN": true
        default: text.utf8.contains(UInt8(ascii: "_")) && number(text.filter { $0 != "_" }) != nil
        }
    }

    /// Whether a colon or a hash stands where it would end the text: `: ` or ` #`.
    private static func hasSeparator(_ text: String) -> Bool {
        var before: UInt8 = 0
        for byte in text.utf8 {
            if before == UInt8(ascii: ":"), byte == 0x20 { return true }
            if before == 0x20, byte == UInt8(ascii: "#") { return true }
            before = byte
        }
        return false
    }

    /// True when the text, written without quotes, would be read back as another type or not at all.
    static func needsQuotes(_ text: String) -> Bool {
        if value(of: text) != .string(text) || isOldWord(text) { return true }
        // By scalars, not by characters: a mark that combines with an indicator does not take its meaning from it.
        guard let first = text.unicodeScalars.first, let last = text.unicodeScalars.last else { return true }
        if first.properties.isWhitespace || last.properties.isWhitespace || last == ":"
            || "-?:,[]{}#&*!|>'\"%@`=<".unicodeScalars.contains(first)
        {
            return true
        }
        if text.utf8.starts(with: "...".utf8) || hasSeparator(text) { return true }
        return text.unicodeScalars.contains {
            $0.value < 0x20 || $0.value == 0x7F || (0x80..<0xA0).contains($0.value) || $0.value == 0xFEFF
                || $0.value == 0x2028 || $0.value == 0x2029
        }
    }
}
