/// The options and operands of one command, read from the command line.
///
/// Accepts `--name value`, `--name=value`, `-n value`, `-nvalue`, grouped switches (`-Rf`), options anywhere between the
/// operands, and `--` before operands that begin with a dash (POSIX utility conventions and GNU's long options).
package struct Arguments: Sendable, Equatable {
    package private(set) var operands: [String] = []
    private var values: [String: [String]] = [:]

    /// - Throws: `UsageError` for an unknown option, a missing or unwanted value, or a wrong number of operands.
    package init(_ words: [String], for command: Command) throws(UsageError) {
        let options = command.options + [.help]
        var rest = words[...]
        while let word = rest.popFirst() {
            if word == "--" {
                operands += rest
                break
            }
            if word.hasPrefix("--") {
                try readLong(word.dropFirst(2), &rest, options, command)
            } else if word.hasPrefix("-"), word.count > 1 {
                try readShort(word.dropFirst(), &rest, options, command)
            } else {
                operands.append(word)
            }
        }
        guard !isSet("help") else { return }
        guard command.operandCount.contains(operands.count) else {
            throw UsageError(Self.operandMessage(operands, command))
        }
    }

    package func isSet(_ name: String) -> Bool { values[name] != nil }
    package func value(_ name: String) -> String? { values[name]?.last }
    package func all(_ name: String) -> [String] { values[name] ?? [] }

    /// The whole number behind an option, or the default.
    package func integer(_ name: String, default fallback: Int, in range: ClosedRange<Int>) throws -> Int {
        guard let text = value(name) else { return fallback }
        guard let number = Int(text), range.contains(number) else {
            throw UsageError(
                "--\(name) takes a whole number from \(range.lowerBound) to \(range.upperBound), not '\(text)'"
            )
        }
        return number
    }

    private mutating func readLong(
        _ text: Substring,
        _ rest: inout ArraySlice<String>,
        _ options: [Option],
        _ command: Command
    ) throws(UsageError) {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts.first ?? "")
        guard let option = options.first(where: { $0.name == name }) else {
            throw UsageError(unknown("--\(name)", command, options.map { "--\($0.name)" }))
        }
        if option.value == nil {
            guard parts.count == 1 || parts[1] == "true" || parts[1] == "false" else {
                throw UsageError("--\(name) takes no value")
            }
            if parts.count == 1 || parts[1] == "true" { values[name, default: []].append("true") }
            return
        }
        if parts.count == 2 {
            values[name, default: []].append(String(parts[1]))
        } else {
            try take(option, &rest)
        }
    }

    private mutating func readShort(
        _ letters: Substring,
        _ rest: inout ArraySlice<String>,
        _ options: [Option],
        _ command: Command
    ) throws(UsageError) {
        var letters = letters
        while let letter = letters.popFirst() {
            guard let option = options.first(where: { $0.short == letter }) else {
                throw UsageError(unknown("-\(letter)", command, []))
            }
            guard option.value != nil else {
                values[option.name, default: []].append("true")
                continue
            }
            if letters.isEmpty {
                try take(option, &rest)
            } else {
                values[option.name, default: []].append(String(letters.first == "=" ? letters.dropFirst() : letters))
            }
            return
        }
    }

    private mutating func take(_ option: Option, _ rest: inout ArraySlice<String>) throws(UsageError) {
        guard let value = rest.popFirst() else {
            throw UsageError("--\(option.name) needs a value: --\(option.name) \(option.value ?? "VALUE")")
        }
        values[option.name, default: []].append(value)
    }

    private func unknown(_ word: String, _ command: Command, _ known: [String]) -> String {
        let guess = Spelling.nearest(to: word, among: known).map { " (did you mean \($0)?)" } ?? ""
        return "'\(word)' is no option of 'weft \(command.name)'\(guess)"
    }

    private static func operandMessage(_ operands: [String], _ command: Command) -> String {
        if operands.count > command.operandCount.upperBound {
            let extra = operands[command.operandCount.upperBound]
            return "'weft \(command.name)' does not take '\(extra)'; usage: weft \(command.name) \(command.operands)"
        }
        return "'weft \(command.name)' needs \(command.operands)"
    }
}

/// Guesses what a misspelt word was meant to be.
package enum Spelling {
    /// The known word that is nearest by edit distance, when it is near enough to be meant.
    package static func nearest(to word: String, among known: [String]) -> String? {
        let limit = max(1, word.count / 3)
        let ranked = known.map { ($0, distance(Array(word.lowercased()), Array($0.lowercased()))) }
        guard let best = ranked.min(by: { $0.1 < $1.1 }), best.1 <= limit else { return nil }
        return best.0
    }

    private static func distance(_ left: [Character], _ right: [Character]) -> Int {
        var previous = Array(0...right.count)
        for (row, letter) in left.enumerated() {
            var current = [row + 1]
            for (column, other) in right.enumerated() {
                let change = previous[column] + (letter == other ? 0 : 1)
                current.append(min(change, previous[column + 1] + 1, current[column] + 1))
            }
            previous = current
        }
        return previous[right.count]
    }
}
