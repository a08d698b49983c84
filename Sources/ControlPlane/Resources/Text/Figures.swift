/// Numbers as people read them.
package enum Figures {
    /// `0`, `0.4`, `12.3`, `1234`: a rate per second.
    package static func rate(_ value: Double) -> String {
        guard value.isFinite else { return "-" }
        return value >= 100 ? "\(Int(value.rounded()))" : fixed(value, 1)
    }

    /// `98.7%`, or `-` when nothing was counted.
    package static func percent(_ share: Double?) -> String {
        guard let share, share.isFinite else { return "-" }
        let percent = share * 100
        // A single failure must never look like none.
        if share < 1, percent >= 99.95 { return "99.9%" }
        return fixed(percent, percent >= 99.95 ? 0 : 1) + "%"
    }

    /// `3ms`, `0.4ms`, `1.2s`, or `-`: a time given in milliseconds.
    package static func milliseconds(_ value: Double?) -> String {
        guard let value, value.isFinite else { return "-" }
        if value >= 1000 { return fixed(value / 1000, 1) + "s" }
        return (value >= 10 ? "\(Int(value.rounded()))" : fixed(value, 1)) + "ms"
    }

    /// With so many digits behind the point.
    package static func fixed(_ value: Double, _ digits: Int) -> String {
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        guard let whole = Int64(exactly: (abs(value) * scale).rounded()) else { return "\(value)" }
        let unit = Int64(scale)
        let sign = value < 0 && whole != 0 ? "-" : ""
        guard digits > 0 else { return "\(sign)\(whole)" }
        let fraction = "\(whole % unit)"
        let zeros = String(repeating: "0", count: max(0, digits - fraction.count))
        return "\(sign)\(whole / unit).\(zeros)\(fraction)"
    }
}
