/// One command of `weft`: its name, what it takes, and what it does.
package struct Command: Sendable {
    package let name: String
    /// What follows the name in the usage line, such as `PATH...`.
    package let operands: String
    package let summary: String
    /// Whole sentences below the usage line.
    package let details: String
    package let options: [Option]
    package let examples: [String]
    /// Allowed number of operands.
    package let operandCount: ClosedRange<Int>
    package let isHidden: Bool
    package let run: @Sendable (Arguments) async throws -> ExitCode

    package init(
        _ name: String,
        operands: String = "",
        summary: String,
        details: String = "",
        options: [Option] = [],
        examples: [String] = [],
        operandCount: ClosedRange<Int> = 0...0,
        isHidden: Bool = false,
        run: @escaping @Sendable (Arguments) async throws -> ExitCode
    ) {
        self.name = name
        self.operands = operands
        self.summary = summary
        self.details = details
        self.options = options
        self.examples = examples
        self.operandCount = operandCount
        self.isHidden = isHidden
        self.run = run
    }
}

/// What the process tells its caller.
package struct ExitCode: RawRepresentable, Sendable, Equatable {
    package let rawValue: Int32

    package init(rawValue: Int32) { self.rawValue = rawValue }

    package static let success = ExitCode(rawValue: 0)
    package static let failure = ExitCode(rawValue: 1)
    package static let usage = ExitCode(rawValue: 2)
    package static let interrupted = ExitCode(rawValue: 130)
}

/// One option of a command.
package struct Option: Sendable {
    package let name: String
    package let short: Character?
    /// What stands for the value in help, or nil for a switch.
    package let value: String?
    package let help: String

    package init(_ name: String, short: Character? = nil, value: String? = nil, help: String) {
        self.name = name
        self.short = short
        self.value = value
        self.help = help
    }

    static let help = Option("help", short: "h", help: "show this help")
    static let stateDirectory = Option(
        "state-dir",
        value: "DIR",
        help: "where this Weft keeps its state (default: $WEFT_STATE_DIR, or /var/lib/weft for root)"
    )
    static let namespace = Option("namespace", short: "n", value: "NAME", help: "the namespace (default: default)")
    static let allNamespaces = Option("all-namespaces", short: "A", help: "all namespaces")
    static let output = Option(
        "output",
        short: "o",
        value: "FORMAT",
        help: "json, yaml, wide or name instead of a table"
    )
    static let jsonOutput = Option("output", short: "o", value: "FORMAT", help: "json instead of text")
    static let selector = Option(
        "selector",
        short: "l",
        value: "LABELS",
        help: "only objects with these labels (app=web,tier!=db)"
    )
    static let files = Option("filename", short: "f", value: "PATH", help: "a file, a folder or - (may be repeated)")
    static let recursive = Option("recursive", short: "R", help: "read folders with all folders inside them")
}

/// A command line that cannot be understood; its message ends with where to look.
package struct UsageError: Error, Equatable {
    package let message: String
    package init(_ message: String) { self.message = message }
}

/// A command that could not do its work: what failed, why, and what to do.
package struct CommandError: Error, Equatable {
    package let message: String
    package init(_ message: String) { self.message = message }
}
