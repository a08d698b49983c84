/// Why an expression was not compiled, and where.
package struct CELError: Error, Sendable, Equatable {
    /// What is wrong, in one line.
    package let message: String
    /// The line, counted from 1.
    package let line: Int
    /// The column in code points, counted from 0.
    package let column: Int
    /// The text of that line.
    package let excerpt: String

    /// An error at an offset in code points.
    init(_ message: String, at offset: Int, in source: String) {
        self.message = message
        var line = 1
        var start = 0
        var excerpt = String.UnicodeScalarView()
        for (index, scalar) in source.unicodeScalars.enumerated() {
            if scalar == "\n" {
                if index >= offset { break }
                line += 1
                start = index + 1
                excerpt = .init()
            } else {
                excerpt.append(scalar)
            }
        }
        self.line = line
        column = max(0, offset - start)
        self.excerpt = String(excerpt)
    }
}

extension CELError: CustomStringConvertible {
    /// The message with its place, drawn below the line: the form that users of CEL know.
    package var description: String {
        var text = "ERROR: <input>:\(line):\(column + 1): \(message)"
        // A very long line would hide the message.
        if excerpt.unicodeScalars.count <= 500 {
            text += "\n | \(excerpt)\n | \(String(repeating: ".", count: min(column, 500)))^"
        }
        return text
    }
}

/// Why an evaluation has no value.
package struct CELFailure: Error, Sendable, Equatable, CustomStringConvertible {
    package let message: String
    /// Whether the cost, not the expression's values, ended it: `||` and `&&` do not absorb this one.
    package let isExhausted: Bool

    package init(_ message: String, isExhausted: Bool = false) {
        self.message = message
        self.isExhausted = isExhausted
    }

    package var description: String { message }

    static let exhausted = CELFailure("operation cancelled: actual cost limit exceeded", isExhausted: true)
    static let noOverload = CELFailure("no such overload")
    static let overflow = CELFailure("integer overflow")
}
