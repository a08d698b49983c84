import HTTP
import Wire

/// `/stats`: the numbers under names like Envoy's, one per line or as JSON.
struct StatsPage {
    private(set) var stats: [(name: String, value: Int64)] = []

    init(
        summary: MetricsSummary,
        clusters: [ClusterSummary],
        listeners: [ListenerSummary],
        server: ServerState,
        more: [(name: String, value: Int64)] = []
    ) {
        stats = more
        for cluster in clusters { add(cluster) }
        for listener in listeners {
            let name = listener.configuration.name
            add("listener.\(name).downstream_cx_active", Int64(listener.connections))
            add("listener.\(name).downstream_cx_total", Int64(clamping: listener.connectionsTotal))
        }
        add("listener_manager.total_listeners_active", Int64(listeners.count))
        add("cluster_manager.active_clusters", Int64(clusters.count))
        for counter in ProxyCounter.allCases {
            add("proxy.\(Self.snakeCase("\(counter)"))", Int64(clamping: summary.counter(counter)))
        }
        for gauge in ProxyGauge.allCases { add("proxy.\(Self.snakeCase("\(gauge)"))", summary.gauge(gauge)) }
        for violation in ProtocolViolation.allCases {
            add("proxy.protocol_violation.\(violation.name)", Int64(clamping: summary.violations[violation.rawValue]))
        }
        for counter in HTTP2Counter.allCases {
            add("http2.\(counter.name)", Int64(clamping: summary.http2[Int(counter.rawValue)]))
        }
        add("http2.downstream_cx_total", Int64(clamping: summary.counter(.downstreamHTTP2Connections)))
        add("http2.downstream_rq_total", Int64(clamping: summary.counter(.downstreamHTTP2Requests)))
        add("server.concurrency", Int64(server.workers))
        add("server.live", server.isReady ? 1 : 0)
        add("server.uptime", Int64(server.uptimeSeconds))
        add("server.total_connections", summary.gauge(.downstreamConnections))
        stats.sort { $0.name < $1.name }
    }

    private mutating func add(_ name: String, _ value: Int64) { stats.append((name, value)) }

    private mutating func add(_ cluster: ClusterSummary) {
        let prefix = "cluster.\(cluster.name)."
        func sum(_ value: (ClusterSummary.Endpoint) -> UInt64) -> Int64 {
            Int64(clamping: cluster.endpoints.reduce(UInt64(0)) { $0 &+ value($1) })
        }
        add(prefix + "upstream_cx_active", cluster.endpoints.reduce(0) { $0 + $1.connectionsActive })
        add(prefix + "upstream_cx_total", sum { $0.connections })
        add(prefix + "upstream_cx_connect_fail", sum { $0.connectFailures })
        add(prefix + "upstream_rq_active", cluster.endpoints.reduce(0) { $0 + $1.requestsActive })
        add(prefix + "upstream_rq_total", sum { $0.requests })
        add(prefix + "upstream_rq_timeout", sum { $0.timeouts })
        add(prefix + "upstream_rq_retry", Int64(clamping: cluster.retriesTotal))
        add(prefix + "membership_total", Int64(cluster.endpoints.count))
        let counts = cluster.endpointCounts
        add(prefix + "membership_healthy", Int64(counts.first { $0.state == "healthy" }?.count ?? 0))
        add(prefix + "outlier_detection.ejections_active", Int64(counts.first { $0.state == "ejected" }?.count ?? 0))
        for breaker in cluster.breakerStates {
            let resource = ["connections": "cx", "pending": "rq_pending", "requests": "rq", "retries": "rq_retry"]
            let name = resource[breaker.resource] ?? breaker.resource
            add(prefix + "circuit_breakers.\(breaker.priority).\(name)_open", breaker.isOpen ? 1 : 0)
        }
    }

    /// `upstreamConnectionsTotal` -> `upstream_connections_total`.
    static func snakeCase(_ name: String) -> String {
        var result = ""
        var previousIsUpper = true
        for character in name {
            if character.isUppercase, !previousIsUpper { result += "_" }
            result += character.lowercased()
            previousIsUpper = character.isUppercase
        }
        return result
    }

    /// The stats whose names hold `filter`, or with `^`/`$` begin or end with it.
    func filtered(_ filter: String?) -> [(name: String, value: Int64)] {
        guard var wanted = filter, !wanted.isEmpty else { return stats }
        let fromStart = wanted.hasPrefix("^")
        let toEnd = wanted.hasSuffix("$")
        if fromStart { wanted.removeFirst() }
        if toEnd { wanted.removeLast() }
        return stats.filter { entry in
            switch (fromStart, toEnd) {
            case (true, true): entry.name == wanted
            case (true, false): entry.name.hasPrefix(wanted)
            case (false, true): entry.name.hasSuffix(wanted)
            case (false, false): Self.holds(entry.name, wanted)
            }
        }
    }

    static func holds(_ text: String, _ part: String) -> Bool {
        let bytes = Array(text.utf8)
        let wanted = Array(part.utf8)
        guard !wanted.isEmpty, wanted.count <= bytes.count else { return wanted.isEmpty }
        return (0...(bytes.count - wanted.count)).contains { bytes[$0..<($0 + wanted.count)].elementsEqual(wanted) }
    }

    func text(filter: String?) -> String {
        filtered(filter).map { "\($0.name): \($0.value)\n" }.joined()
    }

    func json(filter: String?) -> Value {
        ["stats": .array(filtered(filter).map { ["name": .string($0.name), "value": .int($0.value)] })]
    }
}

/// A listener over all workers.
struct ListenerSummary {
    var configuration: ListenerConfiguration
    var connections = 0
    var connectionsTotal: UInt64 = 0
    /// The addresses in use; those of the configuration while no worker has reported any.
    var addresses: [String] = []

    init(_ configuration: ListenerConfiguration, reports: [WorkerReport]) {
        self.configuration = configuration
        for report in reports {
            for listener in report.listeners where listener.index == configuration.index {
                connections += listener.connections
                connectionsTotal &+= listener.connectionsTotal
                for address in listener.addresses where !addresses.contains(address) { addresses.append(address) }
            }
        }
        if addresses.isEmpty { addresses = configuration.socket.addresses.map(\.display) }
    }
}

/// What the process as a whole is in.
struct ServerState {
    var workers = 0
    var isReady = false
    /// Why it is not ready.
    var reason = "PRE_INITIALIZING"
    var isDraining = false
    var startNanoseconds: UInt64 = 0

    var uptimeSeconds: UInt64 {
        let now = WallClock.now()
        return now > startNanoseconds ? (now - startNanoseconds) / 1_000_000_000 : 0
    }
}
