/// Writes metrics in the Prometheus text format 0.0.4: families in the order in which they are begun, one `HELP` and `TYPE`
/// each, values of labels escaped.
package struct PrometheusText {
    package enum Kind: String, Sendable { case counter, gauge, histogram, untyped }

    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    package private(set) var bytes: [UInt8] = []

    package init() { bytes.reserveCapacity(1 << 14) }

    /// Begins a family; its samples must follow before the next one begins.
    package mutating func family(_ name: String, _ kind: Kind, help: String) {
        append("# HELP ")
        append(name)
        append(" ")
        for byte in help.utf8 {
            switch byte {
            case 0x5C: append("\\\\")
            case 0x0A: append("\\n")
            default: bytes.append(byte)
            }
        }
        append("\n# TYPE ")
        append(name)
        append(" ")
        append(kind.rawValue)
        append("\n")
    }

    package mutating func sample(_ name: String, _ labels: LabelSet = .empty, _ value: UInt64) {
        head(name, labels, extra: nil)
        append(String(value))
        append("\n")
    }

    package mutating func sample(_ name: String, _ labels: LabelSet = .empty, _ value: Double) {
        head(name, labels, extra: nil)
        append(Self.number(value))
        append("\n")
    }

    /// The `_bucket`, `_sum` and `_count` lines of one histogram, cumulative, in milliseconds.
    package mutating func histogram(_ name: String, _ labels: LabelSet, _ histogram: LatencyHistogram) {
        var total: UInt64 = 0
        for index in 0..<LatencyHistogram.bucketCount {
            total &+= histogram.counts[index]
            let isLast = index == LatencyHistogram.bucketCount - 1
            head(name + "_bucket", labels, extra: ("le", isLast ? "+Inf" : String(LatencyHistogram.bounds[index])))
            append(String(total))
            append("\n")
        }
        head(name + "_sum", labels, extra: nil)
        append(Self.number(Double(histogram.sumMicroseconds) / 1000))
        append("\n")
        head(name + "_count", labels, extra: nil)
        append(String(total))
        append("\n")
    }

    /// The same of any buckets: upper bounds, and counts of which the last one lies beyond them all.
    package mutating func histogram(
        _ name: String,
        _ labels: LabelSet,
        bounds: [Double],
        counts: [UInt64],
        sum: Double
    ) {
        var total: UInt64 = 0
        for (index, count) in counts.enumerated() {
            total &+= count
            let bound = index < bounds.count ? Self.number(bounds[index]) : "+Inf"
            head(name + "_bucket", labels, extra: ("le", bound))
            append(String(total))
            append("\n")
        }
        head(name + "_sum", labels, extra: nil)
        append(Self.number(sum))
        append("\n")
        head(name + "_count", labels, extra: nil)
        append(String(total))
        append("\n")
    }

    private mutating func head(_ name: String, _ labels: LabelSet, extra: (String, String)?) {
        append(name)
        if !labels.isEmpty || extra != nil {
            append("{")
            var isFirst = true
            for label in labels.labels {
                pair(label.name, label.value, isFirst: isFirst)
                isFirst = false
            }
            if let extra { pair(extra.0, extra.1, isFirst: isFirst) }
            append("}")
        }
        append(" ")
    }

    private mutating func pair(_ name: String, _ value: String, isFirst: Bool) {
        if !isFirst { append(",") }
        append(name)
        append("=\"")
        for byte in value.utf8 {
            switch byte {
            case 0x5C: append("\\\\")
            case 0x22: append("\\\"")
            case 0x0A: append("\\n")
            default: bytes.append(byte)
            }
        }
        append("\"")
    }

    private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if let whole = Int64(exactly: value) { return String(whole) }
        return "\(value)"
    }
}
