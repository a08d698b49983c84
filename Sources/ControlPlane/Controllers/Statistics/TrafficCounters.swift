/// Who called whom: the finest key by which statistics are kept.
package struct TrafficEdge: Hashable, Sendable {
    package var callerNamespace: String
    /// The caller's Deployment, or what it is otherwise: a bare pod's name, `ingress`, `loadbalancer`, `nodeport`.
    package var caller: String
    package var calleeNamespace: String
    /// The Service that was called; empty for calls past every Service.
    package var calleeService: String
    package var calleeWorkload: String

    package init(
        callerNamespace: String,
        caller: String,
        calleeNamespace: String,
        calleeService: String,
        calleeWorkload: String = ""
    ) {
        self.callerNamespace = callerNamespace
        self.caller = caller
        self.calleeNamespace = calleeNamespace
        self.calleeService = calleeService
        self.calleeWorkload = calleeWorkload
    }

    /// Reads the labels of an outbound sample; nil for another direction or a callee without a name.
    init?(labels: [String: String]) {
        guard labels["direction"] == "outbound" else { return nil }
        callerNamespace = labels["namespace"] ?? ""
        caller = labels["deployment"] ?? labels["workload"] ?? labels["pod"] ?? ""
        calleeNamespace = labels["dst_namespace"] ?? ""
        calleeService = labels["dst_service"] ?? ""
        calleeWorkload = labels["dst_deployment"] ?? labels["dst_workload"] ?? ""
        guard !calleeService.isEmpty || !calleeWorkload.isEmpty else { return nil }
    }
}

/// What was counted on one edge since the proxy started, or between two scrapes.
package struct TrafficCounters: Equatable, Sendable {
    package var requests = 0.0
    package var successes = 0.0
    package var failures = 0.0
    package var latencySum = 0.0
    package var latencyCount = 0.0
    package var latency = CumulativeHistogram()
    /// Connections open now: a level, not a count.
    package var tcpOpenConnections = 0.0
    package var tcpOpened = 0.0
    package var tcpReadBytes = 0.0
    package var tcpWriteBytes = 0.0

    package init() {}

    /// What was counted since `earlier`. A counter that fell was begun anew (the proxy was started again): all of it is new.
    package func since(_ earlier: TrafficCounters) -> TrafficCounters {
        guard latencyCount >= earlier.latencyCount, requests >= earlier.requests else { return self }
        var result = TrafficCounters()
        result.requests = requests - earlier.requests
        result.successes = max(0, successes - earlier.successes)
        result.failures = max(0, failures - earlier.failures)
        result.latencySum = max(0, latencySum - earlier.latencySum)
        result.latencyCount = latencyCount - earlier.latencyCount
        let before = Dictionary(earlier.latency.buckets.map { ($0.bound, $0.count) }, uniquingKeysWith: { $1 })
        for (bound, count) in latency.buckets {
            result.latency.add(bound: bound, count: max(0, count - (before[bound] ?? 0)))
        }
        result.tcpOpenConnections = tcpOpenConnections
        result.tcpOpened = max(0, tcpOpened - earlier.tcpOpened)
        result.tcpReadBytes = max(0, tcpReadBytes - earlier.tcpReadBytes)
        result.tcpWriteBytes = max(0, tcpWriteBytes - earlier.tcpWriteBytes)
        return result
    }

    package mutating func add(_ other: TrafficCounters) {
        requests += other.requests
        successes += other.successes
        failures += other.failures
        latencySum += other.latencySum
        latencyCount += other.latencyCount
        for (bound, count) in other.latency.buckets { latency.add(bound: bound, count: count) }
        tcpOpenConnections += other.tcpOpenConnections
        tcpOpened += other.tcpOpened
        tcpReadBytes += other.tcpReadBytes
        tcpWriteBytes += other.tcpWriteBytes
    }
}

/// All edges at one moment.
package struct TrafficScrape: Sendable {
    /// Milliseconds of a steady clock.
    package var time: Int
    package private(set) var edges: [TrafficEdge: TrafficCounters] = [:]
    /// Requests that are being answered, by `namespace/service`.
    package private(set) var inFlight: [String: Double] = [:]

    package init(time: Int, edges: [TrafficEdge: TrafficCounters] = [:]) {
        self.time = time
        self.edges = edges
    }

    /// The families that are read from the proxy's page.
    private static let families: Set<String> = [
        "request_total", "response_total", "response_latency_ms_bucket", "response_latency_ms_sum",
        "response_latency_ms_count", "tcp_open_total", "tcp_open_connections", "tcp_read_bytes_total",
        "tcp_write_bytes_total", activeFamily,
    ]
    private static let activeFamily = "envoy_cluster_upstream_rq_active"

    /// Reads the proxy's `/stats/prometheus`, or the part of it that tells who called whom (`?only=edges`).
    package init(time: Int, page: [UInt8]) {
        self.init(time: time)
        for sample in PrometheusText(page, where: { Self.families.contains($0) }).samples {
            if sample.name == Self.activeFamily {
                // `service/NAMESPACE/NAME/PORT`
                let parts = (sample.labels["envoy_cluster_name"] ?? "").split(separator: "/")
                guard parts.count == 4, parts[0] == "service", sample.value.isFinite else { continue }
                inFlight["\(parts[1])/\(parts[2])", default: 0] += sample.value
                continue
            }
            guard let edge = TrafficEdge(labels: sample.labels), sample.value.isFinite else { continue }
            edges[edge, default: TrafficCounters()].take(sample)
        }
    }
}

extension TrafficCounters {
    fileprivate mutating func take(_ sample: MetricSample) {
        switch sample.name {
        case "request_total": requests += sample.value
        case "response_total":
            if sample.labels["classification"] == "failure" {
                failures += sample.value
            } else {
                successes += sample.value
            }
        case "response_latency_ms_bucket":
            let bound = sample.labels["le"].flatMap { $0 == "+Inf" ? Double.infinity : Double($0) }
            if let bound { latency.add(bound: bound, count: sample.value) }
        case "response_latency_ms_sum": latencySum += sample.value
        case "response_latency_ms_count": latencyCount += sample.value
        case "tcp_open_total": tcpOpened += sample.value
        case "tcp_open_connections": tcpOpenConnections += sample.value
        case "tcp_read_bytes_total": tcpReadBytes += sample.value
        case "tcp_write_bytes_total": tcpWriteBytes += sample.value
        default: break
        }
    }
}
