import Bytes
import HTTP
import Reactor
import Traffic

/// What is known of a request's trace while it is in work.
struct TraceState {
    var context: TraceContext
    /// The span that it came from; 0 = none.
    var parent: UInt64 = 0
    /// `tracestate`, as it came.
    var state: [UInt8] = []
    /// Of the try in work.
    var trySpan: UInt64 = 0
}

/// Spans: what a request was part of is taken up and given on; at its end a record goes into the ring, of which the log thread makes
/// the span.
extension Worker {
    /// Begins the span of a request.
    func beginTrace(_ exchange: ExchangePlace, _ chain: ChainPlace, _ facts: RequestFacts) {
        guard let tracing = chain.pointee.configuration.settings.tracing else { return }
        let view = facts.view
        let verdict = tracing.rule.verdict(
            asksForIt: view.value(of: Self.run("x-client-trace-id")) != nil,
            isForced: view.isInternal && view.value(of: Self.run("x-envoy-force-trace")) != nil,
            draw: UInt32(random.next() % 1_000_000),
            second: UInt32(random.next() % 1_000_000)
        )
        switch verdict {
        case .notTraced: countFilter(tracing.numbers.notTraced)
        case .client: countFilter(tracing.numbers.client)
        case .service: countFilter(tracing.numbers.service)
        case .drawn: countFilter(tracing.numbers.drawn)
        }
        let span = max(1, random.next())
        var trace: TraceState
        if let parent = parent(view, tracing, verdict) {
            // As Envoy: both the trace's beginning and this place have to want it.
            var context = parent
            context.span = span
            context.isSampled = parent.isSampled && verdict.isTraced
            trace = TraceState(context: context, parent: parent.span)
            if let state = view.value(of: Self.run("tracestate")), state.count <= 512, state.isFieldValue {
                trace.state = Array(state.buffer)
            }
        } else {
            trace = TraceState(
                context: TraceContext(
                    high: random.next(),
                    low: max(1, random.next()),
                    span: span,
                    isSampled: verdict.isTraced
                )
            )
        }
        for name in ["traceparent", "tracestate"] as [StaticString] { dropField(Self.run(name), facts.base) }
        if tracing.readsB3 {
            for name in ["b3", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled"] as [StaticString] {
                dropField(Self.run(name), facts.base)
            }
        }
        extras(exchange).pointee.trace = trace
    }

    private func parent(
        _ view: RequestView,
        _ tracing: TracingSettings,
        _ verdict: SamplingRule.Verdict
    ) -> TraceContext? {
        if let text = view.value(of: Self.run("traceparent")), let context = TraceContext(traceparent: text) {
            return context
        }
        guard tracing.readsB3 else { return nil }
        if let text = view.value(of: Self.run("b3")), let found = TraceContext.b3(text) {
            var context = found.context
            context.isSampled = found.sampled ?? verdict.isTraced
            return context
        }
        guard let trace = view.value(of: Self.run("x-b3-traceid")), let span = view.value(of: Self.run("x-b3-spanid")),
            var context = TraceContext.b3(trace: trace, span: span)
        else { return nil }
        switch view.value(of: Self.run("x-b3-sampled"))?[0] {
        case 0x31: context.isSampled = true
        case 0x30: context.isSampled = false
        default: context.isSampled = verdict.isTraced
        }
        return context
    }

    /// `traceparent` and `tracestate` of a request that is forwarded.
    func writeTrace(_ exchange: ExchangePlace, _ chain: ChainPlace, _ writer: inout ByteWriter) {
        guard let trace = exchange.pointee.extras?.pointee.trace else { return }
        writer.put("traceparent: 00-")
        writer.put(hexadecimal: trace.context.high, digits: 16)
        writer.put(hexadecimal: trace.context.low, digits: 16)
        writer.put(byte: 0x2D)
        writer.put(hexadecimal: trace.context.span, digits: 16)
        writer.put(trace.context.isSampled ? "-01\r\n" : "-00\r\n")
        if !trace.state.isEmpty {
            writer.put("tracestate: ")
            trace.state.withUnsafeBytes { writer.put(ByteRun($0)) }
            writer.endLine()
        }
        guard chain.pointee.configuration.settings.tracing?.readsB3 ?? false else { return }
        writer.put("b3: ")
        writer.put(hexadecimal: trace.context.high, digits: 16)
        writer.put(hexadecimal: trace.context.low, digits: 16)
        writer.put(byte: 0x2D)
        writer.put(hexadecimal: trace.context.span, digits: 16)
        writer.put(trace.context.isSampled ? "-1\r\n" : "-0\r\n")
    }

    private func tracing(_ exchange: ExchangePlace) -> TracingSettings? {
        downstreams.pointer(exchange.pointee.downstream).pointee.chain?.pointee.configuration.settings.tracing
    }

    // MARK: Tries

    /// A try has a span of its own: the endpoint is told of it.
    func beginTrySpan(_ exchange: ExchangePlace) {
        guard exchange.pointee.extras?.pointee.trace != nil, tracing(exchange)?.client != nil else { return }
        let span = max(1, random.next())
        exchange.pointee.extras?.pointee.trace?.trySpan = span
        guard let bytes = exchange.pointee.request.bytes else { return }
        let text = ByteRun(start: bytes, count: exchange.pointee.request.count)
        // Behind the version and the trace's number; in `b3`, behind the latter.
        for (mark, offset) in [("traceparent: ", 36), ("b3: ", 33)] as [(StaticString, Int)] {
            guard let line = Self.line(mark, in: text) else { continue }
            let place = line + mark.utf8CodeUnitCount + offset
            guard place + 16 <= text.count else { continue }
            var writer = ByteWriter(bytes + place, capacity: 16)
            writer.put(hexadecimal: span, digits: 16)
        }
    }

    /// Where a line of a head begins that starts with `mark`.
    private static func line(_ mark: StaticString, in text: ByteRun) -> Int? {
        let mark = run(mark)
        var begin = (text.firstIndex(of: 0x0A) ?? text.count) + 1
        while begin < text.count, text[begin] != 0x0D {
            let rest = text.dropping(begin)
            if rest.first(mark.count).equals(mark) { return begin }
            begin += (rest.firstIndex(of: 0x0A) ?? rest.count) + 1
        }
        return nil
    }

    /// A try is over.
    func endTrySpan(_ exchange: ExchangePlace, _ result: EndpointResult) {
        guard let trace = exchange.pointee.extras?.pointee.trace, trace.trySpan != 0, let tracing = tracing(exchange),
            let log = tracing.client
        else { return }
        let status: UInt16 =
            exchange.pointee.respondedAt == 0
            ? 0 : exchange.pointee.status == 0 ? responseHead.status : exchange.pointee.status
        var record = record(trace, exchange)
        record.isError = status == 0 || status >= 500
        exchange.pointee.extras?.pointee.trace?.trySpan = 0
        guard trace.context.isSampled || (tracing.keepsErrors && record.isError) else { return }
        record.kind = .client
        record.span = trace.trySpan
        record.parent = trace.context.span
        record.start = exchange.pointee.triedAt &+ wallOffset
        record.retries = exchange.pointee.attempts > 1 ? exchange.pointee.attempts - 1 : 0
        emit(record, log, exchange, status: status)
    }

    // MARK: The end

    func endTrace(_ exchange: ExchangePlace) {
        guard let trace = exchange.pointee.extras?.pointee.trace, let tracing = tracing(exchange) else { return }
        var record = record(trace, exchange)
        record.isError = exchange.pointee.status == 0 || exchange.pointee.status >= 500
        guard trace.context.isSampled || (tracing.keepsErrors && record.isError) else { return }
        if let route = exchange.pointee.route { record.name = Array(route.pointee.operation.buffer) }
        record.kind = tracing.isOutbound && tracing.client == nil ? .client : .server
        emit(record, tracing.server, exchange, status: exchange.pointee.status)
    }

    private func record(_ trace: TraceState, _ exchange: ExchangePlace) -> SpanRecord {
        var record = SpanRecord()
        record.high = trace.context.high
        record.low = trace.context.low
        record.span = trace.context.span
        record.parent = trace.parent
        record.isSampled = trace.context.isSampled
        record.start = exchange.pointee.startedAt &+ wallOffset
        record.end = now &+ wallOffset
        record.state = trace.state
        return record
    }

    private func emit(_ record: SpanRecord, _ log: AccessLogIndex, _ exchange: ExchangePlace, status: UInt16) {
        guard let snapshot = exchange.pointee.snapshot?.pointee.snapshot else { return }
        let place = downstreams.pointer(exchange.pointee.downstream)
        var entry = makeEntry(exchange, place, status: status)
        readBack(exchange, &entry)
        entry.numbers.remote = client(place, entry.request)
        finish(&entry, place)
        entry.made[.span] = record.bytes
        append(&entry, to: [log], snapshot, place)
    }
}
