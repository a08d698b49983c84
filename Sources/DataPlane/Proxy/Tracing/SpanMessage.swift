import Wire

/// Spans as OTLP wants them (`opentelemetry.proto.trace.v1`), written for `ExportTraceServiceRequest`.
enum SpanMessage {
    enum Attribute {
        case text([UInt8])
        case number(Int64)
        case flag(Bool)
    }

    static func span(_ record: SpanRecord, name: [UInt8], _ attributes: [(String, Attribute)]) -> [UInt8] {
        var writer = ProtobufWriter()
        writer.run(1, big(record.high) + big(record.low))
        writer.run(2, big(record.span))
        if !record.state.isEmpty { writer.run(3, AuthorizationCheck.text(record.state)) }
        if record.parent != 0 { writer.run(4, big(record.parent)) }
        writer.run(5, AuthorizationCheck.text(record.name.isEmpty ? name : record.name))
        writer.varint(6, UInt64(record.kind.rawValue))
        writer.fixed64(7, record.start)
        writer.fixed64(8, max(record.start, record.end))
        for (key, value) in attributes { writer.run(9, attribute(key, value)) }
        if record.isError {
            var status = ProtobufWriter()
            status.varint(3, 2)
            writer.run(15, status.bytes)
        }
        return writer.bytes
    }

    /// A request with spans of one service.
    static func request(service: String, version: String, spans: [[UInt8]]) -> [UInt8] {
        var resource = ProtobufWriter()
        for (key, value) in [
            ("service.name", service), ("telemetry.sdk.language", "swift"), ("telemetry.sdk.name", "weft"),
            ("telemetry.sdk.version", version),
        ] { resource.run(1, attribute(key, .text(Array(value.utf8)))) }
        var scope = ProtobufWriter()
        scope.text(1, "weft-proxy")
        scope.text(2, version)
        var scoped = ProtobufWriter()
        scoped.run(1, scope.bytes)
        for span in spans { scoped.run(2, span) }
        var resourced = ProtobufWriter()
        resourced.run(1, resource.bytes)
        resourced.run(2, scoped.bytes)
        var request = ProtobufWriter()
        request.run(1, resourced.bytes)
        return request.bytes
    }

    private static func attribute(_ key: String, _ value: Attribute) -> [UInt8] {
        var content = ProtobufWriter()
        switch value {
        case .text(let bytes): content.run(1, AuthorizationCheck.text(bytes))
        case .number(let number): content.varint(3, UInt64(bitPattern: number))
        case .flag(let flag): content.varint(2, flag ? 1 : 0)
        }
        var pair = ProtobufWriter()
        pair.text(1, key)
        pair.run(2, content.bytes)
        return pair.bytes
    }

    private static func big(_ number: UInt64) -> [UInt8] { withUnsafeBytes(of: number.bigEndian) { Array($0) } }
}
