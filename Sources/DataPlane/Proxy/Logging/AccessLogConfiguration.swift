/// One access log of the configuration: where lines go and how they look. Immutable.
final class AccessLogConfiguration: Sendable {
    enum Sink: Hashable, Sendable { case standardOutput, standardError, file(String) }

    let sink: Sink
    let format: AccessLogFormat

    init(sink: Sink, format: AccessLogFormat) {
        self.sink = sink
        self.format = format
    }
}
