/// JSON text (RFC 8259), read strictly: no comments, no trailing commas, no duplicate names, valid UTF-8 only.
public enum JSON {
    /// The value of a whole text.
    ///
    /// - Throws: `WireError` with line and column of the first mistake.
    public static func parse(_ text: String, limits: ReadLimits = ReadLimits()) throws(WireError) -> Value {
        try parse(Array(text.utf8), limits: limits)
    }

    /// The value of a whole text in UTF-8.
    ///
    /// - Throws: `WireError` with line and column of the first mistake.
    public static func parse(_ bytes: [UInt8], limits: ReadLimits = ReadLimits()) throws(WireError) -> Value {
        guard bytes.count <= limits.size else {
            throw WireError("\(bytes.count) bytes are more than the limit of \(limits.size)")
        }
        var reader = JSONReader(bytes: bytes, limits: limits)
        return try reader.document()
    }
}

/// One pass over the bytes of a JSON text.
struct JSONReader {
    private let bytes: [UInt8]
    private let limits: ReadLimits
    private var position = 0
    private var valuesLeft: Int

    init(bytes: [UInt8], limits: ReadLimits) {
        self.bytes = bytes
        self.limits = limits
        valuesLeft = limits.values
    }

    mutating func document() throws(WireError) -> Value {
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
        let value = try value(depth: 0)
        skipSpace()
        guard position == bytes.count else { throw mistake("text after the end of the value") }
        return value
    }

    private mutating func value(depth: Int) throws(WireError) -> Value {
        guard depth < limits.depth else { throw mistake("nested deeper than \(limits.depth) levels") }
        valuesLeft -= 1
        guard valuesLeft >= 0 else { throw mistake("more than \(limits.values) values") }
        skipSpace()
        switch peek {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case let byte? where byte == UInt8(ascii: "-") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte):
            return try number()
        case nil: throw mistake("the text ends where a value should be")
        default: throw mistake("a value cannot begin with \(shown)")
        }
    }

    private mutating func object(depth: Int) throws(WireError) -> Value {
        position += 1
        var fields = Fields()
        skipSpace()
        if take(UInt8(ascii: "}")) { return .object(fields) }
        while true {
            skipSpace()
            guard peek == UInt8(ascii: "\"") else {
                throw mistake("a field's name in quotes should be here, not \(shown)")
            }
            let start = position
            let name = try string()
            guard fields[name] == nil else {
                position = start
                throw mistake("the field \"\(name)\" stands twice in one object")
            }
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw mistake("':' should follow the name \"\(name)\", not \(shown)") }
            fields[name] = try value(depth: depth + 1)
            skipSpace()
            if take(UInt8(ascii: "}")) { return .object(fields) }
            guard take(UInt8(ascii: ",")) else { throw mistake("',' or '}' should be here, not \(shown)") }
        }
    }

    private mutating func array(depth: Int) throws(WireError) -> Value {
        position += 1
        var elements: [Value] = []
        skipSpace()
        if take(UInt8(ascii: "]")) { return .array(elements) }
        while true {
            elements.append(try value(depth: depth + 1))
            skipSpace()
            if take(UInt8(ascii: "]")) { return .array(elements) }
            guard take(UInt8(ascii: ",")) else { throw mistake("',' or ']' should be here, not \(shown)") }
        }
    }

    private mutating func word(_ word: StaticString, _ value: Value) throws(WireError) -> Value {
        let length = word.utf8CodeUnitCount
        let matches = word.withUTF8Buffer { letters in
            bytes.count - position >= length && bytes[position..<position + length].elementsEqual(letters)
        }
        guard matches else { throw mistake("an unknown word; only true, false and null have no quotes") }
        position += length
        return value
    }

    /// RFC 8259 section 6. Whole numbers stay exact while they fit 64 bits.
    private mutating func number() throws(WireError) -> Value {
        let start = position
        var isWhole = true
        _ = take(UInt8(ascii: "-"))
        let digitsStart = position
        guard digits() > 0 else { throw mistake("a digit should be here, not \(shown)") }
        if bytes[digitsStart] == UInt8(ascii: "0"), position - digitsStart > 1 {
            position = digitsStart
            throw mistake("a number cannot begin with 0")
        }
        if take(UInt8(ascii: ".")) {
            isWhole = false
            guard digits() > 0 else { throw mistake("a digit should follow the point, not \(shown)") }
        }
        if peek == UInt8(ascii: "e") || peek == UInt8(ascii: "E") {
            isWhole = false
            position += 1
            if peek == UInt8(ascii: "+") || peek == UInt8(ascii: "-") { position += 1 }
            guard digits() > 0 else { throw mistake("a digit should be in the exponent, not \(shown)") }
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if isWhole, let whole = Int64(text) { return .int(whole) }
        guard let double = Double(text), double.isFinite else {
            position = start
            throw mistake("the number is too large")
        }
        return .double(double)
    }

    private mutating func digits() -> Int {
        let start = position
        while let byte = peek, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
        return position - start
    }

    private mutating func string() throws(WireError) -> String {
        position += 1
        let start = position
        while let byte = peek {
            switch byte {
            case UInt8(ascii: "\""):
                let text = String(validating: bytes[start..<position], as: UTF8.self)
                guard let text else { throw mistake("the string is not valid UTF-8") }
                position += 1
                return text
            case UInt8(ascii: "\\"): return try escapedString(from: start)
            case 0..<0x20: throw mistake("a control character in a string must be escaped")
            default: position += 1
            }
        }
        throw mistake("the string has no end")
    }

    private mutating func escapedString(from start: Int) throws(WireError) -> String {
        var decoded = Array(bytes[start..<position])
        while let byte = peek {
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: decoded, as: UTF8.self) else {
                    throw mistake("the string is not valid UTF-8")
                }
                position += 1
                return text
            case UInt8(ascii: "\\"):
                position += 1
                try appendEscape(to: &decoded)
            case 0..<0x20: throw mistake("a control character in a string must be escaped")
            default:
                decoded.append(byte)
                position += 1
            }
        }
        throw mistake("the string has no end")
    }

    private mutating func appendEscape(to decoded: inout [UInt8]) throws(WireError) {
        guard let letter = peek else { throw mistake("the string has no end") }
        position += 1
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): decoded.append(letter)
        case UInt8(ascii: "b"): decoded.append(0x08)
        case UInt8(ascii: "f"): decoded.append(0x0C)
        case UInt8(ascii: "n"): decoded.append(0x0A)
        case UInt8(ascii: "r"): decoded.append(0x0D)
        case UInt8(ascii: "t"): decoded.append(0x09)
        case UInt8(ascii: "u"): decoded.append(contentsOf: String(try unicodeEscape()).utf8)
        default:
            position -= 1
            throw mistake("no escape begins with \(shown)")
        }
    }

    /// The four digits behind `\u`, and the second half of a surrogate pair when they are the first (RFC 8259 section 7).
    private mutating func unicodeEscape() throws(WireError) -> Character {
        let first = try fourDigits()
        guard (0xD800..<0xE000).contains(first) else { return character(first) }
        guard first < 0xDC00, take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else {
            throw mistake("half of a surrogate pair")
        }
        let second = try fourDigits()
        guard (0xDC00..<0xE000).contains(second) else { throw mistake("half of a surrogate pair") }
        return character(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
    }

    private func character(_ number: UInt32) -> Character { Character(Unicode.Scalar(number) ?? "\u{FFFD}") }

    private mutating func fourDigits() throws(WireError) -> UInt32 {
        var number: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = peek, let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
                throw mistake("four hexadecimal digits should follow \\u")
            }
            number = number << 4 | UInt32(digit)
            position += 1
        }
        return number
    }

    private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard peek == byte else { return false }
        position += 1
        return true
    }

    private mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private var shown: String {
        guard let byte = peek else { return "the end of the text" }
        return (0x21..<0x7F).contains(byte) ? "'\(Character(Unicode.Scalar(byte)))'" : "byte \(byte)"
    }

    private func mistake(_ message: String) -> WireError {
        var line = 1
        var lineStart = 0
        for index in 0..<min(position, bytes.count) where bytes[index] == 0x0A {
            line += 1
            lineStart = index + 1
        }
        return WireError(message, line: line, column: position - lineStart + 1)
    }
}
