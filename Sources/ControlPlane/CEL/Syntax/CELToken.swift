/// A piece of an expression's text.
struct CELToken: Sendable {
    enum Kind: Sendable {
        case identifier(String)
        /// A name in back quotes, which may only stand behind a dot.
        case quotedName(String)
        case symbol(Symbol)
        case literal(CELValue)
        /// Digits of a whole number that may still get a minus sign.
        case magnitude(UInt64)
        case end
    }

    enum Symbol: String, Sendable {
        case equal = "=="
        case notEqual = "!="
        case lessOrEqual = "<="
        case greaterOrEqual = ">="
        case and = "&&"
        case or = "||"
        case less = "<"
        case greater = ">"
        case add = "+"
        case subtract = "-"
        case multiply = "*"
        case divide = "/"
        case remainder = "%"
        case not = "!"
        case question = "?"
        case colon = ":"
        case dot = "."
        case comma = ","
        case leftParenthesis = "("
        case rightParenthesis = ")"
        case leftBracket = "["
        case rightBracket = "]"
        case leftBrace = "{"
        case rightBrace = "}"
        case `in`
    }

    let kind: Kind
    let offset: Int
}

/// Splits a text into tokens.
struct CELLexer {
    let source: String
    let text: [Unicode.Scalar]
    var position = 0

    init(_ source: String) {
        self.source = source
        text = Array(source.unicodeScalars)
    }

    static func tokens(of source: String) throws(CELError) -> [CELToken] {
        var lexer = CELLexer(source)
        guard lexer.text.count <= CELLimits.source else {
            throw lexer.error("expression has \(lexer.text.count) code points, \(CELLimits.source) are allowed", at: 0)
        }
        var tokens: [CELToken] = []
        while true {
            let token = try lexer.next()
            tokens.append(token)
            if case .end = token.kind { return tokens }
        }
    }

    func error(_ message: String, at offset: Int) -> CELError { CELError(message, at: offset, in: source) }

    func peek(_ distance: Int = 0) -> Unicode.Scalar? {
        position + distance < text.count ? text[position + distance] : nil
    }

    mutating func skip(_ scalar: Unicode.Scalar) -> Bool {
        guard peek() == scalar else { return false }
        position += 1
        return true
    }

    private mutating func skipBlanks() {
        while let scalar = peek() {
            if scalar == "/", peek(1) == "/" {
                while let rest = peek(), rest != "\n" { position += 1 }
            } else if " \t\r\n\u{0C}".unicodeScalars.contains(scalar) {
                position += 1
            } else {
                return
            }
        }
    }

    private mutating func next() throws(CELError) -> CELToken {
        skipBlanks()
        let start = position
        guard let scalar = peek() else { return CELToken(kind: .end, offset: start) }
        let kind: CELToken.Kind
        if Self.isDigit(scalar) || scalar == "." && peek(1).map(Self.isDigit) == true {
            kind = try number()
        } else if let quoted = try quoted() {
            kind = quoted
        } else if Self.isNameStart(scalar) {
            kind = name()
        } else if scalar == "`" {
            kind = try quotedName()
        } else {
            kind = try symbol()
        }
        return CELToken(kind: kind, offset: start)
    }

    static func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }
    static func isNameStart(_ scalar: Unicode.Scalar) -> Bool {
        ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || scalar == "_"
    }

    private mutating func name() -> CELToken.Kind {
        var name = String.UnicodeScalarView()
        while let scalar = peek(), Self.isNameStart(scalar) || Self.isDigit(scalar) {
            name.append(scalar)
            position += 1
        }
        switch String(name) {
        case "true": return .literal(.bool(true))
        case "false": return .literal(.bool(false))
        case "null": return .literal(.null)
        case "in": return .symbol(.in)
        default: return .identifier(String(name))
        }
    }

    private mutating func quotedName() throws(CELError) -> CELToken.Kind {
        let start = position
        position += 1
        var name = String.UnicodeScalarView()
        while let scalar = peek(),
            Self.isNameStart(scalar) || Self.isDigit(scalar) || ".-/ ".unicodeScalars.contains(scalar)
        {
            name.append(scalar)
            position += 1
        }
        guard skip("`"), !name.isEmpty else { throw error("Syntax error: bad name in back quotes", at: start) }
        return .quotedName(String(name))
    }

    private mutating func symbol() throws(CELError) -> CELToken.Kind {
        let start = position
        let one = String(String.UnicodeScalarView(text[position..<min(position + 1, text.count)]))
        let two = String(String.UnicodeScalarView(text[position..<min(position + 2, text.count)]))
        if two.unicodeScalars.count == 2, let symbol = CELToken.Symbol(rawValue: two) {
            position += 2
            return .symbol(symbol)
        }
        guard let symbol = CELToken.Symbol(rawValue: one) else {
            throw error("Syntax error: token recognition error at: '\(one)'", at: start)
        }
        position += 1
        return .symbol(symbol)
    }

    private mutating func number() throws(CELError) -> CELToken.Kind {
        let start = position
        if peek() == "0", peek(1) == "x" || peek(1) == "X" {
            position += 2
            let digits = take { $0.properties.isASCIIHexDigit }
            guard let magnitude = UInt64(digits, radix: 16) else {
                throw error("Syntax error: bad hexadecimal number", at: start)
            }
            return skip("u") || skip("U") ? .literal(.uint(magnitude)) : .magnitude(magnitude)
        }
        var digits = take(Self.isDigit)
        var isReal = false
        if peek() == ".", peek(1).map(Self.isDigit) == true {
            position += 1
            digits += "." + take(Self.isDigit)
            isReal = true
        }
        if peek() == "e" || peek() == "E" {
            let sign = peek(1) == "+" || peek(1) == "-" ? 1 : 0
            if peek(1 + sign).map(Self.isDigit) == true {
                digits += "e" + (sign == 1 && peek(1) == "-" ? "-" : "")
                position += 1 + sign
                digits += take(Self.isDigit)
                isReal = true
            }
        }
        if isReal {
            guard let value = Double(digits.hasPrefix(".") ? "0" + digits : digits) else {
                throw error("Syntax error: bad number", at: start)
            }
            return .literal(.double(value))
        }
        guard let magnitude = UInt64(digits) else { throw error("invalid int literal", at: start) }
        return skip("u") || skip("U") ? .literal(.uint(magnitude)) : .magnitude(magnitude)
    }

    private mutating func take(_ belongs: (Unicode.Scalar) -> Bool) -> String {
        var taken = String.UnicodeScalarView()
        while let scalar = peek(), belongs(scalar) {
            taken.append(scalar)
            position += 1
        }
        return String(taken)
    }
}
