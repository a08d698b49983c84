import Traffic

/// Which entries are logged.
final class AccessLogFilter: Sendable {
    indirect enum Rule: Sendable {
        case status(Comparison)
        /// In milliseconds.
        case duration(Comparison)
        /// Of a million.
        case share(UInt32)
        case all([Rule])
        case any([Rule])
        case header(HeaderMatch)
        /// Any of them; any at all where none is named.
        case flags(ResponseFlags)
        case grpcStatus(Set<Int32>, excludes: Bool)
        /// One bit for each `AccessLogKind`.
        case kinds(UInt32)
        case notHealthCheck
        case everything
    }

    struct Comparison: Sendable, Equatable {
        enum Operator: Sendable { case equal, greaterOrEqual, lessOrEqual, notEqual }
        var relation: Operator
        var value: UInt64

        func holds(_ number: UInt64) -> Bool {
            switch relation {
            case .equal: number == value
            case .greaterOrEqual: number >= value
            case .lessOrEqual: number <= value
            case .notEqual: number != value
            }
        }
    }

    let rule: Rule
    /// Tells filters apart: two are equal when their configurations are.
    let source: String
    /// Owns what the rules point to.
    private let arena: Arena

    init(_ rule: Rule, source: String, arena: Arena) {
        self.rule = rule
        self.source = source
        self.arena = arena
    }

    var needs: AccessLogFormat.Needs { Self.needs(rule) }

    private static func needs(_ rule: Rule) -> AccessLogFormat.Needs {
        switch rule {
        case .header: .request
        case .grpcStatus: [.request, .response]
        case .all(let rules), .any(let rules): rules.reduce([]) { $0.union(needs($1)) }
        default: []
        }
    }

    /// Whether the entry is logged; `random` gives 64 fresh random bits.
    func admits(_ entry: AccessLogEntry, random: () -> UInt64) -> Bool { Self.admits(rule, entry, random) }

    private static func admits(_ rule: Rule, _ entry: AccessLogEntry, _ random: () -> UInt64) -> Bool {
        switch rule {
        case .status(let comparison): return comparison.holds(UInt64(entry.numbers.status))
        case .duration(let comparison): return comparison.holds(entry.numbers.duration / 1_000_000)
        case .share(let perMillion): return random() % 1_000_000 < UInt64(perMillion)
        case .all(let rules): return rules.allSatisfy { admits($0, entry, random) }
        case .any(let rules): return rules.contains { admits($0, entry, random) }
        case .header(let match): return match.matches(entry.request)
        case .flags(let wanted):
            return wanted.isEmpty ? !entry.numbers.flags.isEmpty : !wanted.isDisjoint(with: entry.numbers.flags)
        case .grpcStatus(let wanted, let excludes): return wanted.contains(entry.numbers.grpcStatus) != excludes
        case .kinds(let mask): return mask & (1 << UInt32(entry.numbers.kind.rawValue)) != 0
        case .notHealthCheck: return !entry.isHealthCheck
        case .everything: return true
        }
    }
}
