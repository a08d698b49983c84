import HTTP
import Telemetry

/// What one worker counts. Owned by its thread; others see copies (`copy`).
///
/// An edge is interned once (`edge(caller:callee:)`) and its index kept on the connection or stream: after that every count is
/// an increment in an array.
final class WorkerMetrics {
    private var edges: [EdgeCell] = []
    /// Open addressing: edge index + 1, 0 = empty; a power of two long.
    private var buckets: [Int32] = [Int32](repeating: 0, count: 64)
    private var rareStatuses: [RareStatus: UInt64] = [:]
    private var counters: [UInt64] = [UInt64](repeating: 0, count: ProxyCounter.allCases.count)
    private var gauges: [Int64] = [Int64](repeating: 0, count: ProxyGauge.allCases.count)
    /// What its HTTP/2 sessions count, once there are any.
    var http2: HTTP2Shared?
    private var exemplars: [ExemplarKey: ExemplarRow] = [:]
    private var violations: [UInt64] = [UInt64](repeating: 0, count: ProtocolViolation.allCases.count)

    /// Edges beyond this number are counted together as edge 0, so that a flood of labels cannot eat the memory.
    static let edgeLimit = 20_000

    /// Histograms beyond this number have no exemplars.
    static let exemplarLimit = 4096

    init() {
        edges.append(EdgeCell())
    }

    // MARK: Edges

    /// The index of the edge between two label sets; always the same for the same pair.
    func edge(caller: LabelSetIndex, callee: LabelSetIndex) -> Int32 {
        guard caller != 0 || callee != 0 else { return 0 }
        var place = Self.hash(caller, callee) & (buckets.count - 1)
        while buckets[place] != 0 {
            let index = buckets[place] - 1
            if edges[Int(index)].caller == caller, edges[Int(index)].callee == callee { return index }
            place = (place + 1) & (buckets.count - 1)
        }
        return addEdge(caller, callee)
    }

    private func addEdge(_ caller: LabelSetIndex, _ callee: LabelSetIndex) -> Int32 {
        guard edges.count < Self.edgeLimit else { return 0 }
        var cell = EdgeCell()
        cell.caller = caller
        cell.callee = callee
        edges.append(cell)
        if edges.count * 2 > buckets.count {
            buckets = [Int32](repeating: 0, count: buckets.count * 2)
            for index in 1..<edges.count { insert(index) }
        } else {
            insert(edges.count - 1)
        }
        return Int32(edges.count - 1)
    }

    private func insert(_ index: Int) {
        var place = Self.hash(edges[index].caller, edges[index].callee) & (buckets.count - 1)
        while buckets[place] != 0 { place = (place + 1) & (buckets.count - 1) }
        buckets[place] = Int32(index + 1)
    }

    private static func hash(_ caller: Int32, _ callee: Int32) -> Int {
        let mixed =
            (UInt64(UInt32(bitPattern: caller)) << 32 | UInt64(UInt32(bitPattern: callee))) &* 0x9E37_79B9_7F4A_7C15
        return Int(truncatingIfNeeded: mixed >> 33)
    }

    /// A request was sent towards the callee for the first time (its retries do not count again).
    func requestStarted(_ edge: Int32) { edges[Int(edge)].requests &+= 1 }

    /// The client got its answer, or the stream broke.
    ///
    /// - Parameters:
    ///   - edge: from `edge(caller:callee:)`.
    ///   - status: what the client saw; 0 when it saw none (reset).
    ///   - isFailure: 5xx, reset, or cut short.
    ///   - time: from the request's arrival to the end of the response, nanoseconds.
    func responded(_ edge: Int32, status: Int, isFailure: Bool, time: UInt64) {
        let index = Int(edge)
        edges[index].latency.observe(nanoseconds: time)
        let code = UInt16(clamping: status == 0 ? 499 : status)
        for place in 0..<8 {
            if edges[index].statuses[place].status == code, edges[index].statuses[place].isFailure == isFailure {
                edges[index].statuses[place].count &+= 1
                return
            }
            if edges[index].statuses[place].status == 0 {
                edges[index].statuses[place] = StatusCell(status: code, isFailure: isFailure, count: 1)
                return
            }
        }
        rareStatuses[RareStatus(edge: edge, status: code, isFailure: isFailure), default: 0] &+= 1
    }

    /// A transport connection for this edge is open: TCP chains, and upgraded HTTP streams.
    func tcpOpened(_ edge: Int32) {
        edges[Int(edge)].tcpOpened &+= 1
        edges[Int(edge)].tcpOpen &+= 1
    }

    func tcpClosed(_ edge: Int32, withError: Bool) {
        edges[Int(edge)].tcpOpen &-= 1
        edges[Int(edge)].tcpClosed &+= 1
        if withError { edges[Int(edge)].tcpClosedWithError &+= 1 }
    }

    /// Bytes relayed: `read` from the client, `written` to it.
    func tcpMoved(_ edge: Int32, read: Int, written: Int) {
        edges[Int(edge)].tcpRead &+= UInt64(max(0, read))
        edges[Int(edge)].tcpWritten &+= UInt64(max(0, written))
    }

    /// The label sets of an edge.
    func labels(of edge: Int32) -> (caller: LabelSetIndex, callee: LabelSetIndex) {
        (edges[Int(edge)].caller, edges[Int(edge)].callee)
    }

    // MARK: Exemplars

    func note(_ exemplar: Exemplar, edge: Int32) {
        let cell = edges[Int(edge)]
        note(exemplar, of: .edge(caller: cell.caller, callee: cell.callee))
    }

    func note(_ exemplar: Exemplar, of key: ExemplarKey) {
        guard exemplars.count < Self.exemplarLimit || exemplars[key] != nil else { return }
        exemplars[key, default: ExemplarRow()].note(exemplar)
    }

    // MARK: Plain numbers

    func count(_ counter: ProxyCounter, _ amount: UInt64 = 1) { counters[counter.rawValue] &+= amount }
    func add(_ gauge: ProxyGauge, _ amount: Int64) { gauges[gauge.rawValue] &+= amount }
    func set(_ gauge: ProxyGauge, _ value: Int64) { gauges[gauge.rawValue] = value }
    func raise(_ gauge: ProxyGauge, to value: Int64) { gauges[gauge.rawValue] = max(gauges[gauge.rawValue], value) }
    func violation(_ kind: ProtocolViolation) { violations[kind.rawValue] &+= 1 }

    /// A copy for another thread.
    func copy() -> MetricsCopy {
        MetricsCopy(
            edges: edges,
            rareStatuses: rareStatuses,
            counters: counters,
            gauges: gauges,
            violations: violations,
            http2: HTTP2Counter.allCases.map { http2?[$0] ?? 0 },
            exemplars: exemplars
        )
    }
}

struct RareStatus: Hashable, Sendable {
    var edge: Int32
    var status: UInt16
    var isFailure: Bool
}

/// A worker's numbers at one moment.
struct MetricsCopy: Sendable {
    var edges: [EdgeCell]
    var rareStatuses: [RareStatus: UInt64]
    var counters: [UInt64]
    var gauges: [Int64]
    var violations: [UInt64]
    /// By `HTTP2Counter`.
    var http2: [UInt64]
    var exemplars: [ExemplarKey: ExemplarRow]
}
