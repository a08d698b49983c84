/// The help texts of `weft` and of each command.
package enum Help {
    /// The page that `weft --help` prints.
    package static func overview(_ commands: [Command]) -> String {
        let shown = commands.filter { !$0.isHidden }
        let width = shown.map(\.name.count).max() ?? 0
        let rows = shown.map { "  \($0.name.padded(to: width))  \($0.summary)" }
        return """
            Weft runs your services and the network between them, from Kubernetes manifests, on this machine.

            Usage: weft COMMAND [OPTIONS]

            \(rows.joined(separator: "\n"))

            'weft COMMAND --help' tells more. A first look: weft up examples/shop

            """
    }

    /// The page that `weft COMMAND --help` prints.
    package static func page(_ command: Command) -> String {
        let usage = "Usage: weft \(command.name) \(command.operands)"
        var parts = [command.summary.capitalizedFirst + "."]
        parts.append(usage.trimmed + (command.options.isEmpty ? "" : " [OPTIONS]"))
        if !command.details.isEmpty { parts.append(command.details) }
        let labels = (command.options + [.help]).map { option in
            let short = option.short.map { "-\($0), " } ?? "    "
            return (short + "--\(option.name)" + (option.value.map { " \($0)" } ?? ""), option.help)
        }
        let width = labels.map(\.0.count).max() ?? 0
        parts.append("Options:\n" + labels.map { "  \($0.0.padded(to: width))  \($0.1)" }.joined(separator: "\n"))
        if !command.examples.isEmpty {
            parts.append("Examples:\n" + command.examples.map { "  \($0)" }.joined(separator: "\n"))
        }
        return parts.joined(separator: "\n\n") + "\n"
    }
}

extension String {
    func padded(to width: Int) -> String {
        let missing = width - TextWidth.of(self)
        return missing > 0 ? self + String(repeating: " ", count: missing) : self
    }

    func paddedLeft(to width: Int) -> String {
        let missing = width - TextWidth.of(self)
        return missing > 0 ? String(repeating: " ", count: missing) + self : self
    }

    var trimmed: String {
        var text = self[...]
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }

    var capitalizedFirst: String { prefix(1).uppercased() + dropFirst() }
}

/// Columns that a text takes on a terminal, when every character is one wide.
enum TextWidth {
    static func of(_ text: String) -> Int { text.count }
}
