/// The names of fields as expressions write them: what CEL keeps for itself and what is no identifier is escaped.
package enum CELEscaping {
    private static let reserved: Set<String> = [
        "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
        "let", "loop", "package", "namespace", "return", "var", "void", "while",
    ]
    private static let words: [(plain: String, escaped: String)] = [
        ("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"),
    ]

    /// The identifier of a field's name; nil when the field cannot be named.
    package static func escaped(_ name: String) -> String? {
        guard let first = name.utf8.first, !(48...57).contains(first) else { return nil }
        if reserved.contains(name) { return "__\(name)__" }
        var result = ""
        var rest = Substring(name)
        while let character = rest.first {
            if let word = words.first(where: { rest.hasPrefix($0.plain) }) {
                result += word.escaped
                rest = rest.dropFirst(word.plain.count)
                continue
            }
            guard character.isASCII, character.isLetter || character.isNumber || character == "_" else { return nil }
            result.append(character)
            rest.removeFirst()
        }
        return result
    }

    /// The name behind an identifier; nil when its escapes are none.
    package static func unescaped(_ identifier: String) -> String? {
        if identifier.hasPrefix("__"), identifier.hasSuffix("__"), identifier.count > 4 {
            let word = String(identifier.dropFirst(2).dropLast(2))
            if reserved.contains(word) { return word }
        }
        var result = ""
        var rest = Substring(identifier)
        while let character = rest.first {
            if let word = words.first(where: { rest.hasPrefix($0.escaped) }) {
                result += word.plain
                rest = rest.dropFirst(word.escaped.count)
            } else {
                result.append(character)
                rest.removeFirst()
            }
        }
        return result
    }
}
