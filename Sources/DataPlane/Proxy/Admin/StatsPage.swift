import HTTP
import Telemetry
import Traffic
import Wire

/// `/stats`: the numbers under Envoy's names, and the proxy's own, one per line or as JSON.
struct StatsPage {
    private(set) var stats = EnvoyStats()

    init(
        summary: MetricsSummary,
        clusters: [ClusterSummary],
        listeners: [ListenerSummary],
        counts: ReportedCounts,
        changes: ResourceChanges,
        server: ServerState,
        filters: [(stat: FilterStat, value: Int64)] = []
    ) {
        for cluster in clusters {
            stats.add(cluster, exemplars: summary.exemplars[.cluster(cluster.configuration.identity)])
        }
        for listener in listeners { stats.add(listener, answers: counts.answers) }
        for (prefix, numbers) in counts.answers.sorted(by: { $0.key < $1.key }) {
            stats.add(
                connectionManager: prefix,
                numbers,
                counts.clients[prefix] ?? ClientTally(),
                exemplars: summary.exemplars[.manager(prefix)]
            )
        }
        for (prefix, relay) in counts.relays.sorted(by: { $0.key < $1.key }) { stats.add(relay, prefix: prefix) }
        for (name, route) in counts.routes.sorted(by: { $0.key < $1.key }) {
            let number = counts.routeNumbers[name] ?? -1
            stats.add(route, name: name, exemplars: summary.exemplars[.route(number)])
        }
        stats.add(changes)
        for (stat, value) in filters {
            if stat.isGauge {
                stats.gauge(stat.scope, stat.name, value)
            } else {
                stats.counter(stat.scope, stat.name, UInt64(clamping: value))
            }
        }
        stats.add(server, summary, listeners: listeners.count, clusters: clusters.count)
        server.overload?.write(into: &stats)
    }

    /// Adds the numbers that Envoy has not, and those that are counted outside the workers.
    mutating func addOwn(_ summary: MetricsSummary, _ more: [(name: String, value: Int64)]) {
        let plain = EnvoyStats.Scope(prefix: "", family: "", labels: [])
        for (name, value) in more { stats.gauge(plain, name, value) }
        let own = EnvoyStats.Scope(prefix: "proxy.", family: "proxy", labels: [])
        for counter in ProxyCounter.allCases {
            stats.counter(own, Self.snakeCase("\(counter)"), summary.counter(counter))
        }
        for gauge in ProxyGauge.allCases { stats.gauge(own, Self.snakeCase("\(gauge)"), summary.gauge(gauge)) }
        for violation in ProtocolViolation.allCases {
            stats.counter(own, "protocol_violation.\(violation.name)", summary.violations[violation.rawValue])
        }
        let http2 = EnvoyStats.Scope(prefix: "http2.", family: "http2", labels: [])
        for counter in HTTP2Counter.allCases {
            stats.counter(http2, "\(counter.name)", summary.http2[Int(counter.rawValue)])
        }
        stats.counter(http2, "downstream_cx_total", summary.counter(.downstreamHTTP2Connections))
        stats.counter(http2, "downstream_rq_total", summary.counter(.downstreamHTTP2Requests))
    }

    /// Adds the endpoints of clusters that count each.
    mutating func addEndpoints(_ clusters: [ClusterSummary], _ shown: [UInt64: EndpointLedger.Shown]) {
        for cluster in clusters {
            if let endpoints = shown[cluster.configuration.identity] { stats.add(endpoints, of: cluster) }
        }
    }

    /// Adds what control planes gave.
    mutating func addDiscovery(
        _ discovery: DiscoveryManager,
        _ store: ConfigurationStore,
        _ applyTimes: LatencyHistogram
    ) {
        stats.add(discovery, store)
        let own = EnvoyStats.Scope(prefix: "proxy.", family: "proxy", labels: [])
        stats.histogram(own, "configuration_apply_time", applyTimes.distribution)
    }

    mutating func addSpans(sent: UInt64, dropped: UInt64) {
        let scope = EnvoyStats.Scope(prefix: "tracing.opentelemetry.", family: "tracing_opentelemetry", labels: [])
        stats.counter(scope, "spans_sent", sent)
        stats.counter(scope, "spans_dropped", dropped)
    }

    mutating func addTaps(_ desk: TapDesk) {
        let scope = EnvoyStats.Scope(prefix: "tap.", family: "tap", labels: [])
        let totals = desk.totals
        stats.gauge(scope, "active", Int64(desk.active))
        stats.counter(scope, "opened", totals.opened)
        stats.counter(scope, "refused", totals.refused)
        stats.counter(scope, "pieces_sent", totals.pieces)
        stats.counter(scope, "dropped_rate", totals.overRate)
        stats.counter(scope, "dropped_queue", totals.overQueue)
        stats.counter(scope, "dropped_consumer", totals.overConsumer)
    }

    mutating func subtract(_ baseline: [String: Int64]) { stats.subtract(baseline) }

    /// The present values of all counters, by name.
    var counters: [String: Int64] {
        var values: [String: Int64] = [:]
        for stat in stats.stats where stat.kind == .counter { values[stat.name] = stat.value }
        return values
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

    /// What of it is asked for.
    struct Choice {
        /// Searched in the names; nil: all.
        var pattern: Pattern?
        /// Only numbers that have changed from zero.
        var isUsedOnly = false
        /// `Counters`, `Gauges`, `Histograms`; empty = all.
        var type = ""
    }

    private func holds(_ name: String, _ choice: Choice) -> Bool {
        guard let pattern = choice.pattern else { return true }
        return Array(name.utf8).withUnsafeBytes { pattern.matches(ByteRun($0)) }
    }

    private func chosen(_ choice: Choice) -> [EnvoyStats.Stat] {
        stats.stats.filter { stat in
            if choice.isUsedOnly, stat.value == 0 { return false }
            if choice.type == "Counters", stat.kind != .counter { return false }
            if choice.type == "Gauges", stat.kind != .gauge { return false }
            return choice.type != "Histograms" && choice.type != "TextReadouts" && holds(stat.name, choice)
        }.sorted { $0.name < $1.name }
    }

    private func chosenHistograms(_ choice: Choice) -> [EnvoyStats.Histogram] {
        guard choice.type.isEmpty || choice.type == "All" || choice.type == "Histograms" else { return [] }
        return stats.histograms.filter { holds($0.name, choice) && !(choice.isUsedOnly && $0.distribution.count == 0) }
    }

    private static let quantiles: [(String, Double)] = [
        ("P0", 0), ("P25", 0.25), ("P50", 0.5), ("P75", 0.75), ("P90", 0.9), ("P95", 0.95), ("P99", 0.99),
        ("P99.5", 0.995), ("P99.9", 0.999), ("P100", 1),
    ]

    func text(_ choice: Choice) -> String {
        var text = chosen(choice).map { "\($0.name): \($0.value)\n" }.joined()
        for histogram in chosenHistograms(choice) {
            // Without an interval of flushing there is only the whole time: Envoy's second number.
            let values = Self.quantiles.map { name, share in
                "\(name)(nan,\(((histogram.distribution.quantile(share) ?? 0) * 100).rounded() / 100))"
            }
            let summary = histogram.distribution.count == 0 ? "No recorded values" : values.joined(separator: " ")
            text += "\(histogram.name): \(summary)\n"
        }
        return text
    }

    func json(_ choice: Choice) -> Value {
        var rows: [Value] = chosen(choice).map { ["name": .string($0.name), "value": .int($0.value)] }
        let histograms = chosenHistograms(choice)
        if !histograms.isEmpty {
            let computed = histograms.map { histogram -> Value in
                let values = Self.quantiles.map { _, share -> Value in
                    let value: Value = histogram.distribution.quantile(share).map { .double($0) } ?? .null
                    return ["cumulative": value, "interval": .null]
                }
                return ["name": .string(histogram.name), "values": .array(values)]
            }
            let shares = Self.quantiles.map { Value.double($0.1 * 100) }
            rows.append([
                "histograms": ["supported_quantiles": .array(shares), "computed_quantiles": .array(computed)]
            ])
        }
        return ["stats": .array(rows)]
    }
}

/// A listener over all workers.
struct ListenerSummary {
    var configuration: ListenerConfiguration
    var connections = 0
    var connectionsTotal: UInt64 = 0
    var tally = ListenerTally()
    var workers: [(number: Int, active: Int, total: UInt64)] = []
    /// The `stat_prefix`es of its connection managers.
    var prefixes: [String] = []
    /// The addresses in use; those of the configuration while no worker has reported any.
    var addresses: [String] = []

    init(_ configuration: ListenerConfiguration, reports: [WorkerReport]) {
        self.configuration = configuration
        for report in reports {
            for listener in report.listeners where listener.index == configuration.index {
                connections += listener.connections
                connectionsTotal &+= listener.connectionsTotal
                tally.add(listener.tally)
                workers.append((report.worker, listener.connections, listener.connectionsTotal))
                for address in listener.addresses where !addresses.contains(address) { addresses.append(address) }
            }
        }
        workers.sort { $0.number < $1.number }
        for chain in configuration.chains + [configuration.defaultChain].compactMap({ $0 }) {
            guard case .http(let http) = chain.filter else { continue }
            if !prefixes.contains(http.settings.statPrefix) { prefixes.append(http.settings.statPrefix) }
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
    /// Asked for by `/healthcheck/fail`.
    var failsHealthCheck = false
    var startNanoseconds: UInt64 = 0
    var overload: OverloadReport?

    var uptimeSeconds: UInt64 {
        let now = WallClock.now()
        return now > startNanoseconds ? (now - startNanoseconds) / 1_000_000_000 : 0
    }
}
