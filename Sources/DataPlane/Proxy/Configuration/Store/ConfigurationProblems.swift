/// Why a configuration was refused: each problem with the path of its field.
struct ConfigurationProblems: Error, Sendable {
    var lines: [String]

    var text: String { lines.joined(separator: "; ") }
}
