/// Reads an expression: CEL's grammar by precedence, with a bound on nesting.
struct CELParser {
    private let source: String
    private let tokens: [CELToken]
    private var position = 0
    private var depth = 0

    static func parse(_ source: String) throws(CELError) -> CELSyntax {
        var parser = CELParser(source: source, tokens: try CELLexer.tokens(of: source))
        let syntax = try parser.expression()
        guard case .end = parser.current.kind else { throw parser.unexpected() }
        return syntax
    }

    private init(source: String, tokens: [CELToken]) {
        self.source = source
        self.tokens = tokens
    }

    // MARK: Tokens

    private var current: CELToken { tokens[min(position, tokens.count - 1)] }

    private func error(_ message: String, at offset: Int? = nil) -> CELError {
        CELError(message, at: offset ?? current.offset, in: source)
    }

    private func unexpected() -> CELError {
        switch current.kind {
        case .end: error("Syntax error: the expression ends too early")
        case .symbol(let symbol): error("Syntax error: unexpected '\(symbol.rawValue)'")
        case .identifier(let name): error("Syntax error: unexpected '\(name)'")
        case .quotedName(let name): error("Syntax error: unexpected '`\(name)`'")
        case .literal, .magnitude: error("Syntax error: unexpected literal")
        }
    }

    private func sees(_ symbol: CELToken.Symbol) -> Bool {
        if case .symbol(symbol) = current.kind { true } else { false }
    }

    private mutating func skip(_ symbol: CELToken.Symbol) -> Bool {
        guard sees(symbol) else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ symbol: CELToken.Symbol) throws(CELError) {
        guard skip(symbol) else { throw unexpected() }
    }

    private mutating func deeper() throws(CELError) {
        depth += 1
        guard depth <= CELLimits.depth else {
            throw error("expression is nested deeper than \(CELLimits.depth) levels")
        }
    }

    // MARK: Operators

    private mutating func expression() throws(CELError) -> CELSyntax {
        try deeper()
        defer { depth -= 1 }
        let condition = try alternatives()
        let offset = current.offset
        guard skip(.question) else { return condition }
        let first = try alternatives()
        try expect(.colon)
        let second = try expression()
        return CELSyntax(offset, .conditional(condition, first, second))
    }

    private mutating func alternatives() throws(CELError) -> CELSyntax {
        var terms = [try conjunction()]
        let offset = current.offset
        while skip(.or) { terms.append(try conjunction()) }
        return terms.count == 1 ? terms[0] : CELSyntax(offset, .or(terms))
    }

    private mutating func conjunction() throws(CELError) -> CELSyntax {
        var terms = [try binary(0)]
        let offset = current.offset
        while skip(.and) { terms.append(try binary(0)) }
        return terms.count == 1 ? terms[0] : CELSyntax(offset, .and(terms))
    }

    private static let levels: [[CELToken.Symbol]] = [
        [.equal, .notEqual, .less, .lessOrEqual, .greater, .greaterOrEqual, .in], [.add, .subtract],
        [.multiply, .divide, .remainder],
    ]

    private mutating func binary(_ level: Int) throws(CELError) -> CELSyntax {
        guard level < Self.levels.count else { return try unary() }
        var left = try binary(level + 1)
        var count = 0
        while case .symbol(let symbol) = current.kind, Self.levels[level].contains(symbol) {
            let offset = current.offset
            position += 1
            count += 1
            // Each one deepens the tree to the left.
            guard depth + count <= CELLimits.depth else {
                throw error("expression is nested deeper than \(CELLimits.depth) levels")
            }
            left = CELSyntax(offset, .call(symbol.rawValue, nil, [left, try binary(level + 1)]))
        }
        return left
    }

    private mutating func unary() throws(CELError) -> CELSyntax {
        let offset = current.offset
        if skip(.not) {
            try deeper()
            defer { depth -= 1 }
            return CELSyntax(offset, .not(try unary()))
        }
        guard skip(.subtract) else { return try member(try primary()) }
        try deeper()
        defer { depth -= 1 }
        switch current.kind {
        case .magnitude(let magnitude):
            guard magnitude <= 1 << 63 else { throw error("invalid int literal") }
            position += 1
            let value = magnitude == 1 << 63 ? Int64.min : -Int64(magnitude)
            return try member(CELSyntax(offset, .literal(.int(value))))
        case .literal(.double(let value)):
            position += 1
            return try member(CELSyntax(offset, .literal(.double(-value))))
        default: return CELSyntax(offset, .call("-_", nil, [try unary()]))
        }
    }

    // MARK: Members

    private mutating func member(_ operand: CELSyntax) throws(CELError) -> CELSyntax {
        var operand = operand
        var count = 0
        while true {
            let offset = current.offset
            if skip(.dot) {
                operand = try selection(operand, offset)
            } else if skip(.leftBracket) {
                let isOptional = skip(.question)
                let index = try expression()
                try expect(.rightBracket)
                operand = CELSyntax(offset, .index(operand, index, isOptional: isOptional))
            } else {
                return operand
            }
            count += 1
            guard depth + count <= CELLimits.depth else {
                throw error("expression is nested deeper than \(CELLimits.depth) levels")
            }
        }
    }

    private mutating func selection(_ operand: CELSyntax, _ offset: Int) throws(CELError) -> CELSyntax {
        let isOptional = skip(.question)
        let name: String
        switch current.kind {
        case .identifier(let text):
            name = text
            position += 1
            if !isOptional, skip(.leftParenthesis) {
                return CELSyntax(offset, .call(name, operand, try arguments(.rightParenthesis)))
            }
        case .quotedName(let text):
            name = text
            position += 1
        default: throw unexpected()
        }
        return CELSyntax(offset, .select(operand, name, isOptional: isOptional))
    }

    private mutating func arguments(_ end: CELToken.Symbol) throws(CELError) -> [CELSyntax] {
        var list: [CELSyntax] = []
        if skip(end) { return list }
        repeat { list.append(try expression()) } while skip(.comma)
        try expect(end)
        return list
    }

    // MARK: Primaries

    private static let reserved: Set<String> = [
        "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
        "namespace", "return", "var", "void", "while",
    ]

    private mutating func primary() throws(CELError) -> CELSyntax {
        let offset = current.offset
        switch current.kind {
        case .literal(let value):
            position += 1
            return CELSyntax(offset, .literal(value))
        case .magnitude(let magnitude):
            guard let value = Int64(exactly: magnitude) else { throw error("invalid int literal") }
            position += 1
            return CELSyntax(offset, .literal(.int(value)))
        case .identifier(let name): return try named(name, offset)
        case .symbol(.dot):
            position += 1
            guard case .identifier(let name) = current.kind else { throw unexpected() }
            return try named(name, offset, isGlobal: true)
        case .symbol(.leftParenthesis):
            position += 1
            let inner = try expression()
            try expect(.rightParenthesis)
            return inner
        case .symbol(.leftBracket):
            position += 1
            return CELSyntax(offset, .list(try elements()))
        case .symbol(.leftBrace):
            position += 1
            return CELSyntax(offset, .map(try entries()))
        default: throw unexpected()
        }
    }

    private mutating func named(_ name: String, _ offset: Int, isGlobal: Bool = false) throws(CELError) -> CELSyntax {
        guard !Self.reserved.contains(name) else { throw error("reserved identifier: \(name)", at: offset) }
        position += 1
        if skip(.leftParenthesis) { return CELSyntax(offset, .call(name, nil, try arguments(.rightParenthesis))) }
        guard !sees(.leftBrace) else { throw error("undeclared reference to '\(name)' (in container '')", at: offset) }
        // A dot in front passes over the variables of macros.
        return CELSyntax(offset, .identifier(isGlobal ? ".\(name)" : name))
    }

    private mutating func elements() throws(CELError) -> [(value: CELSyntax, isOptional: Bool)] {
        var list: [(value: CELSyntax, isOptional: Bool)] = []
        while !skip(.rightBracket) {
            let isOptional = skip(.question)
            list.append((try expression(), isOptional))
            guard !skip(.comma) else { continue }
            try expect(.rightBracket)
            return list
        }
        return list
    }

    private mutating func entries() throws(CELError) -> [(key: CELSyntax, value: CELSyntax, isOptional: Bool)] {
        var list: [(key: CELSyntax, value: CELSyntax, isOptional: Bool)] = []
        while !skip(.rightBrace) {
            let isOptional = skip(.question)
            let key = try expression()
            try expect(.colon)
            list.append((key, try expression(), isOptional))
            guard !skip(.comma) else { continue }
            try expect(.rightBrace)
            return list
        }
        return list
    }
}
