/// The forms in which metrics are shown.
package enum ExpositionFormat: Sendable, Equatable {
    /// Prometheus' text format 0.0.4.
    case prometheus
    /// OpenMetrics 1.0.0: the same series, with exemplars.
    case openMetrics

    package var contentType: String {
        switch self {
        case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
        case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
        }
    }

    /// What a client that sent this `Accept` (RFC 9110 section 12.5.1) gets: OpenMetrics where it wants that at least as much as
    /// plain text; plain text where it says nothing, or nothing that is known.
    package init(accept: String?) {
        var best = (openMetrics: 0, plain: 0)
        for range in (accept ?? "").split(separator: ",").prefix(64) {
            let pieces = range.split(separator: ";").map(Self.trimmed)
            guard let type = pieces.first else { continue }
            var weight = 1000
            var version: String?
            for piece in pieces.dropFirst() {
                let sides = piece.split(separator: "=", maxSplits: 1).map(Self.trimmed)
                guard sides.count == 2 else { continue }
                if sides[0] == "q" { weight = Self.thousandths(sides[1]) }
                if sides[0] == "version" { version = sides[1] }
            }
            switch type {
            // 0.0.1 is what Prometheus asked for before there was a 1.0.0: the same text.
            case "application/openmetrics-text" where version.map { ["1.0.0", "0.0.1"].contains($0) } ?? true:
                best.openMetrics = max(best.openMetrics, weight)
            case "text/plain", "text/*", "*/*": best.plain = max(best.plain, weight)
            default: break
            }
        }
        self = best.openMetrics > 0 && best.openMetrics >= best.plain ? .openMetrics : .prometheus
    }

    private static func trimmed(_ text: Substring) -> String {
        var text = text
        while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return text.lowercased()
    }

    /// `0.25` -> 250; what is no weight counts as the least one.
    private static func thousandths(_ text: String) -> Int {
        guard let value = Double(text), value >= 0, value <= 1 else { return 0 }
        return Int((value * 1000).rounded())
    }
}
