/// Sends batches of spans to their collectors, on the main thread. A collector that does not answer costs its bounded share of calls
/// in work: what comes meanwhile is dropped and counted.
final class SpanExporter {
    private let calls: CallDesk
    private var inWork: [Int: Int] = [:]
    private(set) var sent: UInt64 = 0
    private(set) var dropped: UInt64 = 0

    /// Calls of one tracer in work.
    private static let limit = 4
    private static let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

    init(_ calls: CallDesk) { self.calls = calls }

    func export(_ batch: SpanBatch) {
        let number = batch.tracer.number
        guard inWork[number, default: 0] < Self.limit else {
            dropped &+= UInt64(batch.count)
            return
        }
        inWork[number, default: 0] += 1
        let (cluster, request, isCall) = Self.request(batch)
        calls.call(cluster, request) { [weak self] answer in
            guard let self else { return }
            inWork[number, default: 1] -= 1
            let isTaken =
                answer.failure == nil && (isCall ? answer.callStatus == 0 : (200...299).contains(answer.status))
            if isTaken { sent &+= UInt64(batch.count) } else { dropped &+= UInt64(batch.count) }
        }
    }

    private static func request(_ batch: SpanBatch) -> (cluster: String, CallRequest, isCall: Bool) {
        switch batch.tracer.settings.way {
        case .call(let cluster, let authority, let metadata):
            var request = CallRequest(call: path, authority: authority, message: batch.message)
            request.timeout = batch.tracer.settings.timeout
            for (name, value) in metadata { request.add(name, value) }
            return (cluster, request, true)
        case .http(let cluster, let authority, let path, let fields):
            var request = CallRequest(post: path, authority: authority)
            request.add("content-type", "application/x-protobuf")
            for (name, value) in fields { request.add(name, value) }
            request.body = batch.message
            request.timeout = batch.tracer.settings.timeout
            return (cluster, request, false)
        }
    }
}
