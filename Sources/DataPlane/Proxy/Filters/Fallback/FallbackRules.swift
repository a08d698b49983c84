import EnvoyAPI
import Traffic

/// `fallback`, compiled: of a chain or of a route.
final class FallbackRules: Sendable {
    /// Flags of failures that it stands in for.
    let causes: ResponseFlags
    /// Statuses of endpoints that it stands in for.
    let statuses: StatusSet
    /// The other cluster; -1: none.
    let cluster: Int32
    let response: Response?
    let numbers: Numbers

    struct Response: Sendable {
        var status: UInt16
        var body: [UInt8]
        var fields = HeadEdits()
    }

    struct Numbers: Sendable {
        var cluster: Int32 = -1
        var clusterFailed: Int32 = -1
        var response: Int32 = -1
    }

    init(_ message: Envoy.Fallback, prefix: String, _ context: CompileContext) {
        var causes: ResponseFlags = []
        let on = message.on ?? Envoy.FallbackCauses()
        if on.circuitOpen { causes.insert(.upstreamOverflow) }
        if on.retriesExhausted { causes.insert(.upstreamRetryLimit) }
        if on.noHealthyEndpoint { causes.insert(.noHealthyUpstream) }
        if on.connectFailure { causes.formUnion([.upstreamConnectionFailure, .upstreamConnectionTermination]) }
        if on.timeout { causes.insert(.upstreamTimeout) }
        self.causes = causes
        var statuses = StatusSet()
        for status in on.statuses { statuses.insert(Int(status)) }
        self.statuses = statuses
        if causes.isEmpty, on.statuses.isEmpty { context.report("on: says no cause, so nothing would ever happen") }
        cluster = message.cluster.isEmpty ? -1 : context.cluster(message.cluster)
        response = message.response.map { Self.response($0) }
        if cluster < 0, response == nil { context.report("cluster or response is required") }
        let middle = message.statPrefix.isEmpty ? "" : message.statPrefix + "."
        numbers =
            prefix.isEmpty
            ? Numbers()
            : Numbers(
                cluster: context.filterStats.place(prefix: prefix, "fallback.\(middle)cluster_tried"),
                clusterFailed: context.filterStats.place(prefix: prefix, "fallback.\(middle)cluster_failed"),
                response: context.filterStats.place(prefix: prefix, "fallback.\(middle)response_served")
            )
    }

    private static func response(_ message: Envoy.FallbackResponse) -> Response {
        var made = Response(status: message.status == 0 ? 200 : UInt16(clamping: message.status), body: [])
        made.body = Array(message.body.utf8)
        if !message.contentType.isEmpty { made.fields.set("content-type", message.contentType) }
        for header in message.headers {
            let name = RouteCompiler.lowercased(header.key)
            made.fields.add(.set, name.utf8, header.value.utf8)
        }
        return made
    }
}

/// How far the way out of a failure has gone.
struct FallbackState {
    let rules: Unmanaged<FallbackRules>
    /// The chain's filter, which counts.
    let filter: Unmanaged<FallbackRules>
    var triedCluster = false
    var isDone = false
}
