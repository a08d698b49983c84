import CWeft

/// Spans that go out together.
struct SpanBatch: Sendable {
    var tracer: TracerTarget
    var message: [UInt8]
    var count: Int
}

/// Makes spans of records, on the log thread, and gathers them. Bounded: what does not fit is dropped and counted.
struct SpanCollector {
    private struct Waiting {
        var tracer: TracerTarget
        var spans: [[UInt8]] = []
        var bytes = 0
        var since: UInt64 = 0
    }

    private let hostname: String
    private var waiting: [Int: Waiting] = [:]
    private(set) var dropped = 0

    /// One request with spans is at most this large: it goes out in one piece.
    private static let largest = 131_072
    private static let largestSpan = 32_768

    init(hostname: String) { self.hostname = hostname }

    var isEmpty: Bool { waiting.isEmpty }

    mutating func add(_ record: AccessLogRecord, _ format: AccessLogFormat, _ shape: SpanShape) {
        let values = LogValues(record: record, format: format, hostname: hostname)
        guard let raw = values.span, let span = SpanRecord(raw) else { return }
        let isCall = record.numbers.grpcStatus >= 0
        var attributes: [(String, SpanMessage.Attribute)] = []
        for attribute in shape.attributes where isCall || !attribute.isForCalls {
            guard let text = Self.text(attribute.parts, values) ?? attribute.standard.map({ Array($0.utf8) }) else {
                continue
            }
            attributes.append((attribute.key, .text(text)))
        }
        if span.isError { attributes.append(("error", .text(Array("true".utf8)))) }
        if span.retries > 0 { attributes.append(("retry.count", .text(Array("\(span.retries)".utf8)))) }
        let message = SpanMessage.span(span, name: Self.text(shape.name, values) ?? [], attributes)
        guard message.count <= Self.largestSpan else {
            dropped += 1
            return
        }
        var held = waiting.removeValue(forKey: shape.tracer.number) ?? Waiting(tracer: shape.tracer)
        if held.spans.isEmpty { held.since = cweft_monotonic() }
        if held.spans.count < shape.tracer.settings.limit, held.bytes + message.count <= Self.largest {
            held.spans.append(message)
            held.bytes += message.count
        } else {
            dropped += 1
        }
        waiting[shape.tracer.number] = held
    }

    /// What is due to go out.
    mutating func take(all: Bool = false) -> [SpanBatch] {
        var batches: [SpanBatch] = []
        let now = cweft_monotonic()
        for (number, held) in waiting where !held.spans.isEmpty {
            let settings = held.tracer.settings
            let isFull = held.spans.count >= settings.batch || held.bytes > Self.largest - Self.largestSpan
            guard all || isFull || now >= held.since &+ settings.interval else { continue }
            waiting[number] = nil
            let message = SpanMessage.request(
                service: settings.service,
                version: ProxyProcess.version,
                spans: held.spans
            )
            batches.append(SpanBatch(tracer: held.tracer, message: message, count: held.spans.count))
        }
        return batches
    }

    mutating func takeDropped() -> Int {
        defer { dropped = 0 }
        return dropped
    }

    private static func text(_ parts: [AccessLogFormat.Operator], _ values: LogValues) -> [UInt8]? {
        func bytes(_ value: LogValue) -> [UInt8]? {
            switch value {
            case .none: nil
            case .number(let number): Array(String(number).utf8)
            case .bytes(let bytes): bytes
            }
        }
        let known = parts.filter { $0 != .span }
        guard known.count != 1 else { return bytes(values.value(known[0])) }
        return known.reduce(into: []) { $0 += bytes(values.value($1)) ?? Array("-".utf8) }
    }
}
