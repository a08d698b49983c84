import Bytes
import Reactor
import Telemetry
import Traffic

/// Whose response times an exemplar is of.
enum ExemplarKey: Hashable, Sendable {
    /// By label sets.
    case edge(caller: LabelSetIndex, callee: LabelSetIndex)
    /// By `stat_prefix`.
    case manager(String)
    /// By identity.
    case cluster(UInt64)
    /// By `Route.numbers`.
    case route(Int32)
    /// By `Route.series`.
    case series(Int32)
}

extension Worker {
    /// A request whose trace is told of is over: it stands for its buckets. Called for those alone.
    func noteExemplar(_ exchange: ExchangePlace, _ trace: TraceState) {
        let start = exchange.pointee.startedAt
        guard trace.context.isSampled, !exchange.pointee.flags.contains(.isTunnelOnly), now > start else { return }
        var exemplar = Exemplar(
            high: trace.context.high,
            low: trace.context.low,
            span: trace.context.span,
            nanoseconds: now &- start,
            time: now &+ wallOffset
        )
        if exchange.pointee.flags.contains(.countedRequest) {
            metrics.note(exemplar, edge: exchange.pointee.edge)
        }
        if let chain = downstreams.pointer(exchange.pointee.downstream).pointee.chain {
            metrics.note(exemplar, of: .manager(chain.pointee.configuration.settings.statPrefix))
        }
        if let route = exchange.pointee.route, route.pointee.series >= 0 {
            metrics.note(exemplar, of: .series(route.pointee.series))
        }
        // As these histograms count: from the request's end, where an endpoint answered.
        let begin = exchange.pointee.requestEndedAt
        guard let cluster = exchange.pointee.cluster, exchange.pointee.respondedAt > 0, begin > 0, now > begin else {
            return
        }
        exemplar.nanoseconds = now &- begin
        metrics.note(exemplar, of: .cluster(cluster.pointee.identity))
        guard let (own, virtual) = exchange.pointee.extras?.pointee.counted else { return }
        for number in [own, virtual] where number >= 0 { metrics.note(exemplar, of: .route(number)) }
    }
}
