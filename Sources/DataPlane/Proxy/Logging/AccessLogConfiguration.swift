/// One access log of the configuration: where lines go, how they look, and what is logged. Immutable.
final class AccessLogConfiguration: Sendable {
    enum Sink: Hashable, Sendable { case standardOutput, standardError, file(String), spans(Int) }

    let sink: Sink
    let format: AccessLogFormat
    /// nil: everything.
    let filter: AccessLogFilter?

    /// How the spans are put together that its records become.
    let span: SpanShape?

    init(sink: Sink, format: AccessLogFormat, filter: AccessLogFilter? = nil, span: SpanShape? = nil) {
        self.span = span
        self.sink = sink
        self.format = format
        self.filter = filter
    }

    /// What has to be kept of a request for this log.
    var needs: AccessLogFormat.Needs { format.needs.union(filter?.needs ?? []) }
}
