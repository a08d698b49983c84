/// Why a text or message cannot be read, and where.
public struct WireError: Error, Sendable, Equatable, CustomStringConvertible {
    /// A sentence without the place.
    public let message: String
    /// From 1; 0 when the input has no lines.
    public let line: Int
    /// From 1, in bytes; 0 when the input has no lines.
    public let column: Int

    public init(_ message: String, line: Int = 0, column: Int = 0) {
        self.message = message
        self.line = line
        self.column = column
    }

    public var description: String { line > 0 ? "line \(line), column \(column): \(message)" : message }
}

/// How much a reader accepts. The defaults fit Kubernetes' objects and far larger configuration files.
public struct ReadLimits: Sendable {
    /// Bytes of the whole input.
    public var size = 16 << 20
    /// Objects and arrays inside one another.
    public var depth = 64
    /// Values of the whole input, aliases expanded.
    public var values = 2_000_000

    public init() {}
}
