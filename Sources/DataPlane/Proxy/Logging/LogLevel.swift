/// How much is logged; each level includes those after it.
enum LogLevel: Int, Comparable, CaseIterable, Sendable {
    case trace, debug, info, warning, error, critical, off

    static func < (left: LogLevel, right: LogLevel) -> Bool { left.rawValue < right.rawValue }

    /// Envoy's names.
    var name: String { self == .warning ? "warning" : "\(self)" }

    init?(name: String) {
        switch name {
        case "warn": self = .warning
        default:
            guard let level = Self.allCases.first(where: { $0.name == name }) else { return nil }
            self = level
        }
    }
}
