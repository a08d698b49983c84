/// One sample of a scrape: a name, labels and a number.
package struct MetricSample: Equatable, Sendable {
    package var name: String
    package var labels: [String: String]
    package var value: Double

    package init(name: String, labels: [String: String], value: Double) {
        self.name = name
        self.labels = labels
        self.value = value
    }
}

/// Reads Prometheus' text exposition format.
///
/// Lines that cannot be read are left out and counted, never fatal: a scrape of half a page is better than none. Timestamps
/// and comments are passed over.
package struct PrometheusText: Sendable {
    /// No more samples than this are read from one scrape.
    package static let sampleLimit = 500_000

    package private(set) var samples: [MetricSample] = []
    package private(set) var unreadableLines = 0

    /// - Parameters:
    ///   - bytes: the body of the scrape.
    ///   - wanted: decides by name whether a sample is kept; labels of others are not even read.
    package init(_ bytes: [UInt8], where wanted: (String) -> Bool = { _ in true }) {
        bytes.withUnsafeBufferPointer { buffer in
            var start = 0
            var lastName: (range: [UInt8], text: String, keep: Bool)?
            while start < buffer.count, samples.count < Self.sampleLimit {
                let end = buffer[start...].firstIndex(of: 10) ?? buffer.count
                let line = Slice(base: buffer, bounds: start..<end)
                start = end + 1
                guard let first = line.first, first != 35 else { continue }  // empty or `#`
                let nameEnd = line.firstIndex { $0 == 123 || $0 == 32 || $0 == 9 } ?? line.endIndex
                let nameBytes = line[..<nameEnd]
                if lastName.map({ $0.range.elementsEqual(nameBytes) }) != true {
                    let text = String(decoding: nameBytes, as: UTF8.self)
                    lastName = (Array(nameBytes), text, wanted(text))
                }
                guard let name = lastName, name.keep else { continue }
                if let sample = Self.sample(name: name.text, rest: line[nameEnd...]) {
                    samples.append(sample)
                } else {
                    unreadableLines += 1
                }
            }
        }
    }

    private typealias Line = Slice<UnsafeBufferPointer<UInt8>>

    private static func sample(name: String, rest: Line) -> MetricSample? {
        guard !name.isEmpty else { return nil }
        var position = rest.startIndex
        var labels: [String: String] = [:]
        if position < rest.endIndex, rest[position] == 123 {
            guard let (read, end) = readLabels(rest, from: position + 1) else { return nil }
            labels = read
            position = end
        }
        let fields = rest[position...].split(maxSplits: 2, omittingEmptySubsequences: true) {
            $0 == 32 || $0 == 9 || $0 == 13
        }
        guard let first = fields.first, let value = number(String(decoding: first, as: UTF8.self)) else { return nil }
        return MetricSample(name: name, labels: labels, value: value)
    }

    private static func number(_ text: String) -> Double? {
        switch text {
        case "+Inf", "Inf": .infinity
        case "-Inf": -.infinity
        case "NaN": .nan
        default: Double(text)
        }
    }

    /// Reads `name="value",...}`; gives the labels and the position after the brace.
    private static func readLabels(_ line: Line, from start: Int) -> ([String: String], Int)? {
        var labels: [String: String] = [:]
        var position = start
        while position < line.endIndex {
            switch line[position] {
            case 125: return (labels, position + 1)
            case 44, 32: position += 1
            default:
                guard let equals = line[position...].firstIndex(of: 61), equals + 1 < line.endIndex,
                    line[equals + 1] == 34
                else { return nil }
                let name = String(decoding: line[position..<equals], as: UTF8.self)
                guard let (value, end) = readQuoted(line, from: equals + 2) else { return nil }
                labels[name] = value
                position = end
            }
        }
        return nil
    }

    /// Reads up to the closing quote; gives the text and the position after the quote.
    private static func readQuoted(_ line: Line, from start: Int) -> (String, Int)? {
        guard let end = line[start...].firstIndex(where: { $0 == 34 || $0 == 92 }) else { return nil }
        if line[end] == 34 { return (String(decoding: line[start..<end], as: UTF8.self), end + 1) }
        var bytes: [UInt8] = []
        var position = start
        while position < line.endIndex {
            let byte = line[position]
            if byte == 34 { return (String(decoding: bytes, as: UTF8.self), position + 1) }
            if byte == 92 {
                position += 1
                guard position < line.endIndex else { return nil }
                bytes.append(line[position] == 110 ? 10 : line[position])
            } else {
                bytes.append(byte)
            }
            position += 1
        }
        return nil
    }
}
