// Strings and bytes: plain, raw, in one or three quotes.
extension CELLexer {
    /// A string or bytes literal, or nil when none begins here.
    mutating func quoted() throws(CELError) -> CELToken.Kind? {
        var ahead = 0
        var isBytes = false
        var isRaw = false
        if let scalar = peek(ahead), scalar == "b" || scalar == "B" {
            isBytes = true
            ahead += 1
        }
        if let scalar = peek(ahead), scalar == "r" || scalar == "R" {
            isRaw = true
            ahead += 1
        }
        guard let quote = peek(ahead), quote == "\"" || quote == "'" else { return nil }
        let start = position
        position += ahead
        let isLong = peek(1) == quote && peek(2) == quote
        position += isLong ? 3 : 1
        var content = Content(isBytes: isBytes)
        while true {
            guard let scalar = peek() else { throw error("Syntax error: the string does not end", at: start) }
            if scalar == quote, !isLong || peek(1) == quote && peek(2) == quote {
                position += isLong ? 3 : 1
                break
            }
            if !isLong, scalar == "\n" || scalar == "\r" {
                throw error("Syntax error: the string does not end on its line", at: start)
            }
            position += 1
            if scalar == "\\", !isRaw {
                try escape(&content, from: position - 1)
            } else {
                content.append(scalar)
            }
        }
        return .literal(isBytes ? .bytes(content.bytes) : .string(String(content.scalars)))
    }

    private struct Content {
        let isBytes: Bool
        var bytes: [UInt8] = []
        var scalars = String.UnicodeScalarView()

        init(isBytes: Bool) { self.isBytes = isBytes }

        mutating func append(_ scalar: Unicode.Scalar) {
            if isBytes { bytes += Array(String(scalar).utf8) } else { scalars.append(scalar) }
        }
    }

    private static let simple: [Unicode.Scalar: Unicode.Scalar] = [
        "a": "\u{07}", "b": "\u{08}", "f": "\u{0C}", "n": "\n", "r": "\r", "t": "\t", "v": "\u{0B}", "\\": "\\",
        "?": "?", "\"": "\"", "'": "'", "`": "`",
    ]

    private mutating func escape(_ content: inout Content, from start: Int) throws(CELError) {
        guard let letter = peek() else { throw error("Syntax error: the string does not end", at: start) }
        position += 1
        if let plain = Self.simple[letter] {
            content.append(plain)
            return
        }
        let count: Int
        var radix: UInt32 = 16
        switch letter {
        case "x", "X": count = 2
        case "u" where !content.isBytes: count = 4
        case "U" where !content.isBytes: count = 8
        case "0"..."3":
            position -= 1
            count = 3
            radix = 8
        default: throw error("Syntax error: unknown escape sequence", at: start)
        }
        var code: UInt32 = 0
        for _ in 0..<count {
            guard let scalar = peek(), let digit = Self.digit(scalar), digit < radix else {
                throw error("Syntax error: unfinished escape sequence", at: start)
            }
            code = code &* radix &+ digit
            position += 1
        }
        if content.isBytes {
            content.bytes.append(UInt8(truncatingIfNeeded: code))
        } else if let scalar = Unicode.Scalar(code) {
            content.scalars.append(scalar)
        } else {
            throw error("Syntax error: the escape sequence is no code point", at: start)
        }
    }

    private static func digit(_ scalar: Unicode.Scalar) -> UInt32? {
        switch scalar {
        case "0"..."9": scalar.value - 48
        case "a"..."f": scalar.value - 87
        case "A"..."F": scalar.value - 55
        default: nil
        }
    }
}
