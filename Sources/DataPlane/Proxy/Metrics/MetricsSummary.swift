import HTTP
import Telemetry
import Traffic

/// The numbers of all workers together, as a scrape shows them. Made on the main thread from copies.
struct MetricsSummary {
    struct EdgeKey: Hashable {
        var caller: LabelSetIndex
        var callee: LabelSetIndex
    }
    struct StatusKey: Hashable {
        var status: UInt16
        var isFailure: Bool
    }
    /// One edge over all workers.
    struct Edge {
        var requests: UInt64 = 0
        var statuses: [StatusKey: UInt64] = [:]
        var latency = LatencyHistogram()
        var tcpOpened: UInt64 = 0
        var tcpOpen: Int64 = 0
        var tcpClosed: UInt64 = 0
        var tcpClosedWithError: UInt64 = 0
        var tcpRead: UInt64 = 0
        var tcpWritten: UInt64 = 0
        var exemplars = ExemplarRow()

        var isHTTP: Bool { requests > 0 || latency.count > 0 }
        var isTCP: Bool { tcpOpened > 0 }

        mutating func add(_ other: Edge) {
            requests &+= other.requests
            statuses.merge(other.statuses) { $0 &+ $1 }
            latency.add(other.latency)
            exemplars.add(other.exemplars)
            tcpOpened &+= other.tcpOpened
            tcpOpen &+= other.tcpOpen
            tcpClosed &+= other.tcpClosed
            tcpClosedWithError &+= other.tcpClosedWithError
            tcpRead &+= other.tcpRead
            tcpWritten &+= other.tcpWritten
        }
    }

    private(set) var edges: [EdgeKey: Edge] = [:]
    private(set) var counters = [UInt64](repeating: 0, count: ProxyCounter.allCases.count)
    private(set) var gauges = [Int64](repeating: 0, count: ProxyGauge.allCases.count)
    private(set) var violations = [UInt64](repeating: 0, count: ProtocolViolation.allCases.count)

    /// Of what has no edge.
    private(set) var exemplars: [ExemplarKey: ExemplarRow] = [:]
    private(set) var http2 = [UInt64](repeating: 0, count: HTTP2Counter.allCases.count)

    init(_ copies: [MetricsCopy]) {
        for copy in copies { add(copy) }
    }

    private mutating func add(_ copy: MetricsCopy) {
        for (index, cell) in copy.edges.enumerated() {
            var edge = Edge(
                requests: cell.requests,
                latency: cell.latency,
                tcpOpened: cell.tcpOpened,
                tcpOpen: cell.tcpOpen,
                tcpClosed: cell.tcpClosed,
                tcpClosedWithError: cell.tcpClosedWithError,
                tcpRead: cell.tcpRead,
                tcpWritten: cell.tcpWritten
            )
            for place in 0..<8 where cell.statuses[place].status != 0 {
                let status = cell.statuses[place]
                edge.statuses[StatusKey(status: status.status, isFailure: status.isFailure)] = status.count
            }
            guard edge.isHTTP || edge.isTCP else { continue }
            for (rare, count) in copy.rareStatuses where rare.edge == Int32(index) {
                edge.statuses[StatusKey(status: rare.status, isFailure: rare.isFailure), default: 0] &+= count
            }
            edges[EdgeKey(caller: cell.caller, callee: cell.callee), default: Edge()].add(edge)
        }
        for index in counters.indices where index < copy.counters.count { counters[index] &+= copy.counters[index] }
        for index in gauges.indices where index < copy.gauges.count {
            // The worst lag counts; the other gauges add up.
            if index == ProxyGauge.loopLagMicroseconds.rawValue || index == ProxyGauge.queueLimitMicroseconds.rawValue {
                gauges[index] = max(gauges[index], copy.gauges[index])
            } else {
                gauges[index] &+= copy.gauges[index]
            }
        }
        for index in violations.indices where index < copy.violations.count {
            violations[index] &+= copy.violations[index]
        }
        for (key, row) in copy.exemplars {
            if case .edge(let caller, let callee) = key {
                edges[EdgeKey(caller: caller, callee: callee)]?.exemplars.add(row)
            } else {
                exemplars[key, default: ExemplarRow()].add(row)
            }
        }
        for index in http2.indices where index < copy.http2.count { http2[index] &+= copy.http2[index] }
    }

    /// Adds what is counted outside the workers.
    mutating func add(_ counter: ProxyCounter, _ amount: UInt64) { counters[counter.rawValue] &+= amount }

    func counter(_ counter: ProxyCounter) -> UInt64 { counters[counter.rawValue] }
    func gauge(_ gauge: ProxyGauge) -> Int64 { gauges[gauge.rawValue] }

    // MARK: Series by labels

    /// The edges with their labels, `direction="outbound"`, in a fixed order; edges with equal labels are one.
    func outbound(_ labels: [LabelSet]) -> [(labels: LabelSet, edge: Edge)] {
        grouped { key in
            var set = Self.set(key.caller, labels).merging(Self.set(key.callee, labels))
            set["direction"] = "outbound"
            return set
        }
    }

    /// The same requests as their callees see them: per callee, `direction="inbound"`.
    func inbound(_ labels: [LabelSet]) -> [(labels: LabelSet, edge: Edge)] {
        grouped { key in
            var set = LabelSet()
            for label in Self.set(key.callee, labels).labels where label.name.hasPrefix("dst_") {
                // A callee is a workload; the service by which it was reached does not tell it apart.
                let name = String(label.name.dropFirst(4))
                if name != "service" && name != "cluster" { set[name] = label.value }
            }
            guard !set.isEmpty else { return nil }
            set["direction"] = "inbound"
            return set
        }
    }

    private func grouped(_ labelsOf: (EdgeKey) -> LabelSet?) -> [(labels: LabelSet, edge: Edge)] {
        var groups: [LabelSet: Edge] = [:]
        for (key, edge) in edges {
            guard let set = labelsOf(key) else { continue }
            groups[set, default: Edge()].add(edge)
        }
        return groups.map { (labels: $0.key, edge: $0.value) }.sorted { $0.labels.sortText < $1.labels.sortText }
    }

    private static func set(_ index: LabelSetIndex, _ labels: [LabelSet]) -> LabelSet {
        labels.indices.contains(Int(index)) ? labels[Int(index)] : .empty
    }
}

extension LabelSet {
    /// Orders series the same way in every scrape.
    var sortText: String { labels.map { "\($0.name)=\($0.value)" }.joined(separator: ",") }
}
