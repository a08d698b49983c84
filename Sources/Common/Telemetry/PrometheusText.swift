/// Writes metrics in the Prometheus text format 0.0.4, or in OpenMetrics 1.0.0: families in the order in which they are begun,
/// one `HELP` and `TYPE` each, values of labels escaped.
///
/// Series have the same names in both: a counter whose name does not end in `_total`, as OpenMetrics wants it, is of type
/// `unknown` there, and so is one whose name without that end is another family's.
package struct PrometheusText {
    package enum Kind: String, Sendable { case counter, gauge, histogram, untyped }

    private struct Family {
        var name: String
        var kind: Kind
        var help: String
        /// Where its samples begin.
        var start: Int
    }

    package let format: ExpositionFormat
    private var families: [Family] = []
    private var samples: [UInt8] = []

    package init(_ format: ExpositionFormat = .prometheus) {
        self.format = format
        samples.reserveCapacity(1 << 14)
    }

    /// Begins a family; its samples must follow before the next one begins.
    package mutating func family(_ name: String, _ kind: Kind, help: String) {
        families.append(Family(name: name, kind: kind, help: help, start: samples.count))
    }

    /// The whole page.
    package var bytes: [UInt8] {
        var page: [UInt8] = []
        page.reserveCapacity(samples.count + families.count * 128)
        let names = format == .openMetrics ? Set(families.map(\.name)) : []
        page += samples[..<(families.first?.start ?? samples.count)]
        for (index, family) in families.enumerated() {
            let end = index + 1 < families.count ? families[index + 1].start : samples.count
            writeHead(of: family, names, into: &page)
            page += samples[family.start..<end]
        }
        if format == .openMetrics { page += Array("# EOF\n".utf8) }
        return page
    }

    private func writeHead(of family: Family, _ names: Set<String>, into page: inout [UInt8]) {
        var (name, kind) = (family.name, family.kind.rawValue)
        if format == .openMetrics {
            if family.kind == .untyped { kind = "unknown" }
            if family.kind == .counter {
                let short = String(name.dropLast("_total".count))
                let isTotal = name.hasSuffix("_total") && !short.isEmpty && !names.contains(short)
                if isTotal { name = short } else { kind = "unknown" }
            }
        }
        page += Array("# HELP \(name) ".utf8)
        for byte in family.help.utf8 {
            switch byte {
            case 0x5C: page += Array("\\\\".utf8)
            case 0x0A: page += Array("\\n".utf8)
            case 0x22 where format == .openMetrics: page += Array("\\\"".utf8)
            default: page.append(byte)
            }
        }
        page += Array("\n# TYPE \(name) \(kind)\n".utf8)
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
    ///
    /// `exemplars` are of its buckets, and shown in OpenMetrics.
    package mutating func histogram(
        _ name: String,
        _ labels: LabelSet,
        _ histogram: LatencyHistogram,
        exemplars: ExemplarRow? = nil
    ) {
        self.histogram(
            name,
            labels,
            bounds: LatencyHistogram.bounds.map { Double($0) },
            counts: (0..<LatencyHistogram.bucketCount).map { histogram.counts[$0] },
            sum: Double(histogram.sumMicroseconds) / 1000,
            exemplars: exemplars
        )
    }

    /// The same of any buckets: upper bounds, and counts of which the last one lies beyond them all; `exemplars` are by the
    /// positions of the buckets.
    package mutating func histogram(
        _ name: String,
        _ labels: LabelSet,
        bounds: [Double],
        counts: [UInt64],
        sum: Double,
        exemplars: ExemplarRow? = nil
    ) {
        var total: UInt64 = 0
        for (index, count) in counts.enumerated() {
            total &+= count
            head(name + "_bucket", labels, extra: ("le", index < bounds.count ? bound(bounds[index]) : "+Inf"))
            append(String(total))
            // An exemplar of samples that were taken after the counts were copied would be ahead of them.
            if format == .openMetrics, count > 0, let exemplar = exemplars?[index] { append(exemplar) }
            append("\n")
        }
        head(name + "_sum", labels, extra: nil)
        append(Self.number(sum))
        append("\n")
        head(name + "_count", labels, extra: nil)
        append(String(total))
        append("\n")
    }

    /// OpenMetrics writes bounds as floating point numbers.
    private func bound(_ value: Double) -> String {
        let text = Self.number(value)
        return format == .openMetrics && Int64(exactly: value) != nil ? text + ".0" : text
    }

    /// ` # {trace_id="...",span_id="..."} VALUE SECONDS`, the value in milliseconds as the histogram's.
    private mutating func append(_ exemplar: Exemplar) {
        append(" # {trace_id=\"\(exemplar.traceID)\",span_id=\"\(exemplar.spanID)\"} ")
        append("\(Double(exemplar.nanoseconds) / 1_000_000) ")
        let milliseconds = String(exemplar.time / 1_000_000 % 1000)
        append("\(exemplar.time / 1_000_000_000).")
        append(String(repeating: "0", count: 3 - milliseconds.utf8.count) + milliseconds)
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
            default: samples.append(byte)
            }
        }
        append("\"")
    }

    private mutating func append(_ text: String) { samples.append(contentsOf: text.utf8) }

    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if let whole = Int64(exactly: value) { return String(whole) }
        return "\(value)"
    }
}
