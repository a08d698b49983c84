/// Spans of time as the AGE column shows them: two units at most, the finer one only while it matters.
package enum HumanDuration {
    /// `45s`, `3m12s`, `25m`, `3h10m`, `20h`, `3d4h`, `300d`, `3y20d`; `<invalid>` for a span below -2 seconds.
    package static func text(seconds: Int) -> String {
        if seconds < -1 { return "<invalid>" }
        if seconds < 0 { return "0s" }
        if seconds < 120 { return "\(seconds)s" }
        let minutes = seconds / 60
        if minutes < 10 { return join(minutes, "m", seconds % 60, "s") }
        if minutes < 180 { return "\(minutes)m" }
        let hours = minutes / 60
        if hours < 8 { return join(hours, "h", minutes % 60, "m") }
        if hours < 48 { return "\(hours)h" }
        let days = hours / 24
        if hours < 192 { return join(days, "d", hours % 24, "h") }
        if days < 730 { return "\(days)d" }
        if days < 2920 { return join(days / 365, "y", days % 365, "d") }
        return "\(days / 365)y"
    }

    /// The age of a moment, or `<unknown>` when there is none.
    package static func age(of moment: Timestamp?, at now: Timestamp) -> String {
        moment.map { text(seconds: now.seconds(since: $0)) } ?? "<unknown>"
    }

    private static func join(_ large: Int, _ largeUnit: String, _ small: Int, _ smallUnit: String) -> String {
        small == 0 ? "\(large)\(largeUnit)" : "\(large)\(largeUnit)\(small)\(smallUnit)"
    }
}
