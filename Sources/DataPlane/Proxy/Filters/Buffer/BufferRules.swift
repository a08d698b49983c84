import EnvoyAPI

/// `buffer`, compiled: of a chain or of a route.
final class BufferRules: Sendable {
    /// Bytes of a body; nil: bodies are not waited for.
    let limit: Int?
    /// Requests that were too large.
    let number: Int32

    /// Every byte of it may stand in memory.
    private static let largest = 64 << 20

    init(_ message: Envoy.BufferFilter?, prefix: String, _ context: CompileContext) {
        let wanted = message?.maxRequestBytes.map { Int($0) }
        if let wanted, wanted > Self.largest {
            context.report("max_request_bytes: at most \(Self.largest) bytes are kept of a request, not \(wanted)")
        }
        limit = wanted
        number = prefix.isEmpty ? -1 : context.filterStats.place(prefix: prefix, "downstream_rq_too_large")
    }
}
