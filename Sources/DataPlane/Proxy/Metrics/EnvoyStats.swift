import Reactor
import Telemetry
import Traffic

/// The numbers under Envoy's names, and with the labels that Envoy's tag extraction gives them.
struct EnvoyStats {
    enum Kind: Sendable { case counter, gauge }

    struct Stat {
        var name: String
        var kind: Kind
        var value: Int64
        /// The name and the labels for Prometheus.
        var family: String
        var labels: [(String, String)]
    }

    struct Histogram {
        var name: String
        var family: String
        var labels: [(String, String)]
        var distribution: Distribution
        var exemplars: ExemplarRow?
    }

    private(set) var stats: [Stat] = []
    private(set) var histograms: [Histogram] = []

    /// A scope of names, as `cluster.web.`, and what it is for Prometheus.
    struct Scope {
        var prefix: String
        var family: String
        var labels: [(String, String)]
    }

    mutating func counter(_ scope: Scope, _ name: String, _ value: UInt64) {
        append(scope, name, .counter, Int64(clamping: value))
    }

    /// `family` goes into Prometheus' name in place of a name that holds what a label says.
    mutating func counter(_ scope: Scope, _ name: String, _ value: UInt64, family: String) {
        append(scope, name, .counter, Int64(clamping: value), family: family)
    }

    mutating func gauge(_ scope: Scope, _ name: String, _ value: Int64) { append(scope, name, .gauge, value) }

    private mutating func append(
        _ scope: Scope,
        _ name: String,
        _ kind: Kind,
        _ value: Int64,
        family: String? = nil
    ) {
        stats.append(
            Stat(
                name: scope.prefix + name,
                kind: kind,
                value: value,
                family: "envoy_" + scope.family + "_" + String((family ?? name).map { $0 == "." ? "_" : $0 }),
                labels: scope.labels
            )
        )
    }

    mutating func append(_ stat: Stat) { stats.append(stat) }

    /// `upstream_rq_2xx` and so on: one family with a label for the class.
    mutating func classes(_ scope: Scope, _ name: String, _ numbers: AnswerNumbers) {
        for index in 0..<5 {
            stats.append(
                Stat(
                    name: "\(scope.prefix)\(name)_\(index + 1)xx",
                    kind: .counter,
                    value: Int64(clamping: numbers.classes[index]),
                    family: "envoy_\(scope.family)_\(name)_xx",
                    labels: [("envoy_response_code_class", "\(index + 1)")] + scope.labels
                )
            )
        }
    }

    mutating func histogram(
        _ scope: Scope,
        _ name: String,
        _ distribution: Distribution,
        exemplars: ExemplarRow? = nil
    ) {
        histograms.append(
            Histogram(
                name: scope.prefix + name,
                family: "envoy_\(scope.family)_\(name)",
                labels: scope.labels,
                distribution: distribution,
                exemplars: exemplars
            )
        )
    }

    // MARK: Scopes

    mutating func add(_ cluster: ClusterSummary, exemplars: ExemplarRow? = nil) {
        let label = cluster.configuration.statName
        let scope = Scope(prefix: "cluster.\(label).", family: "cluster", labels: [("envoy_cluster_name", label)])
        let numbers = cluster.numbers
        func sum(_ value: (ClusterSummary.Endpoint) -> UInt64) -> UInt64 {
            cluster.endpoints.reduce(UInt64(0)) { $0 &+ value($1) }
        }
        gauge(scope, "upstream_cx_active", cluster.endpoints.reduce(0) { $0 + $1.connectionsActive })
        counter(scope, "upstream_cx_total", sum { $0.connections })
        counter(scope, "upstream_cx_connect_fail", sum { $0.connectFailures })
        counter(scope, "upstream_cx_none_healthy", numbers.count(of: .noHealthyUpstream))
        counter(scope, "upstream_cx_rx_bytes_total", numbers.received)
        counter(scope, "upstream_cx_tx_bytes_total", numbers.sent)
        gauge(scope, "upstream_rq_active", cluster.endpoints.reduce(0) { $0 + $1.requestsActive })
        counter(scope, "upstream_rq_total", cluster.requestsTotal)
        counter(scope, "upstream_rq_completed", numbers.completed)
        counter(scope, "upstream_rq_retry", cluster.retriesTotal)
        counter(scope, "upstream_rq_retry_limit_exceeded", numbers.count(of: .upstreamRetryLimit))
        counter(scope, "upstream_rq_rx_reset", numbers.count(of: .upstreamRemoteReset))
        counter(scope, "upstream_rq_cancelled", numbers.count(of: .downstreamTermination))
        counter(scope, "upstream_rq_max_duration_reached", numbers.count(of: .upstreamMaxStreamDuration))
        counter(scope, "upstream_cx_protocol_error", numbers.count(of: .upstreamProtocolError))
        classes(scope, "upstream_rq", numbers)
        histogram(scope, "upstream_rq_time", numbers.times.distribution, exemplars: exemplars)
        add(cluster.tally, scope)
        let counts = Dictionary(uniqueKeysWithValues: cluster.endpointCounts.map { ($0.state, $0.count) })
        counter(scope, "lb_healthy_panic", cluster.panicChoices)
        counter(scope, "upstream_rq_drop_overload", cluster.droppedTotal)
        if cluster.rateLimits.isUsed {
            counter(scope, "ratelimit.ok", cluster.rateLimits.ok)
            counter(scope, "ratelimit.over_limit", cluster.rateLimits.overLimit)
            counter(scope, "ratelimit.error", cluster.rateLimits.error)
            counter(scope, "ratelimit.failure_mode_allowed", cluster.rateLimits.failureModeAllowed)
        }
        if let subsets = cluster.subsets {
            gauge(scope, "lb_subsets_active", Int64(subsets.active))
            counter(scope, "lb_subsets_created", subsets.created)
            counter(scope, "lb_subsets_removed", subsets.removed)
            counter(scope, "lb_subsets_selected", subsets.selected)
            counter(scope, "lb_subsets_fallback", subsets.fallback)
            counter(scope, "lb_subsets_fallback_panic", subsets.fallbackPanic)
        }
        addHashTable(scope, cluster)
        gauge(scope, "membership_total", Int64(cluster.endpoints.count))
        gauge(scope, "membership_healthy", Int64(counts["healthy"] ?? 0))
        gauge(scope, "membership_degraded", Int64(counts["degraded"] ?? 0))
        gauge(scope, "membership_excluded", 0)
        addOutliers(cluster, scope)
        let resources = ["connections": "cx", "pending": "rq_pending", "requests": "rq", "retries": "rq_retry"]
        let remaining = ["connections": "cx", "pending": "pending", "requests": "rq", "retries": "retries"]
        for breaker in cluster.breakerStates {
            let name = "circuit_breakers.\(breaker.priority).\(resources[breaker.resource] ?? breaker.resource)_open"
            gauge(scope, name, breaker.isOpen ? 1 : 0)
            if cluster.configuration.settings.tracksRemaining.contains(breaker.priority) {
                let resource = remaining[breaker.resource] ?? breaker.resource
                let left = max(0, breaker.limit - breaker.inUse)
                gauge(scope, "circuit_breakers.\(breaker.priority).remaining_\(resource)", Int64(clamping: left))
            }
            if breaker.resource == "pending", breaker.priority == "default" {
                gauge(scope, "upstream_rq_pending_active", Int64(breaker.inUse))
            }
        }
    }

    private mutating func addOutliers(_ cluster: ClusterSummary, _ scope: Scope) {
        guard cluster.configuration.settings.outlier != nil else { return }
        let active = cluster.endpointCounts.first { $0.state == "ejected" }?.count ?? 0
        gauge(scope, "outlier_detection.ejections_active", Int64(active))
        let counts = cluster.outliers
        counter(scope, "outlier_detection.ejections_overflow", counts.overflow)
        counter(scope, "outlier_detection.ejections_enforced_total", counts.enforced.reduce(0, &+))
        for cause in EjectionCause.allCases {
            let index = Int(cause.rawValue)
            counter(scope, "outlier_detection.ejections_detected_\(cause.name)", counts.detected[index])
            counter(scope, "outlier_detection.ejections_enforced_\(cause.name)", counts.enforced[index])
        }
    }

    mutating func add(
        connectionManager prefix: String,
        _ numbers: AnswerNumbers,
        _ client: ClientTally,
        exemplars: ExemplarRow? = nil
    ) {
        let scope = Scope(
            prefix: "http.\(prefix).",
            family: "http",
            labels: [("envoy_http_conn_manager_prefix", prefix)]
        )
        counter(scope, "downstream_rq_total", numbers.completed &+ numbers.reset)
        counter(scope, "downstream_rq_completed", numbers.completed)
        counter(scope, "downstream_rq_http2_total", numbers.http2Requests)
        let all = numbers.completed &+ numbers.reset
        counter(scope, "downstream_rq_http1_total", all &- min(all, numbers.http2Requests))
        counter(scope, "downstream_cx_http2_total", numbers.http2Connections)
        gauge(scope, "downstream_cx_http2_active", numbers.http2Open)
        classes(scope, "downstream_rq", numbers)
        histogram(scope, "downstream_rq_time", numbers.times.distribution, exemplars: exemplars)
        add(client, scope)
        counter(scope, "downstream_cx_rx_bytes_total", numbers.received)
        counter(scope, "downstream_cx_tx_bytes_total", numbers.sent)
        counter(scope, "downstream_cx_protocol_error", numbers.count(of: .downstreamProtocolError))
        counter(scope, "downstream_rq_rx_reset", numbers.count(of: .downstreamTermination))
        counter(scope, "downstream_rq_idle_timeout", numbers.count(of: .streamIdleTimeout))
        counter(scope, "downstream_rq_max_duration_reached", numbers.count(of: .durationTimeout))
        counter(scope, "no_route", numbers.count(of: .noRoute))
        counter(scope, "no_cluster", numbers.count(of: .noCluster))
        counter(scope, "rq_total", numbers.completed &+ numbers.reset)
    }

    mutating func add(_ listener: ListenerSummary, answers: [String: AnswerNumbers]) {
        let name = listener.statName
        let scope = Scope(prefix: "listener.\(name).", family: "listener", labels: [("envoy_listener_address", name)])
        gauge(scope, "downstream_cx_active", Int64(listener.connections))
        counter(scope, "downstream_cx_total", listener.connectionsTotal)
        add(listener.tally, scope)
        for worker in listener.workers {
            let own = Scope(
                prefix: "\(scope.prefix)worker_\(worker.number).",
                family: "listener_worker",
                labels: [("envoy_worker_id", "\(worker.number)")] + scope.labels
            )
            gauge(own, "downstream_cx_active", Int64(worker.active))
            counter(own, "downstream_cx_total", worker.total)
        }
        for prefix in listener.prefixes {
            guard let numbers = answers[prefix] else { continue }
            let inner = Scope(
                prefix: "\(scope.prefix)http.\(prefix).",
                family: "listener_http",
                labels: [("envoy_http_conn_manager_prefix", prefix)] + scope.labels
            )
            classes(inner, "downstream_rq", numbers)
            counter(inner, "downstream_rq_completed", numbers.completed)
        }
        let open = UInt64(max(0, listener.connections))
        counter(scope, "downstream_cx_destroy", listener.connectionsTotal &- min(open, listener.connectionsTotal))
    }

    mutating func add(_ server: ServerState, _ summary: MetricsSummary, listeners: Int, clusters: Int) {
        let scope = Scope(prefix: "server.", family: "server", labels: [])
        gauge(scope, "concurrency", Int64(server.workers))
        gauge(scope, "live", server.isReady && !server.isDraining && !server.failsHealthCheck ? 1 : 0)
        // LIVE, DRAINING, PRE_INITIALIZING, as Envoy numbers them.
        gauge(scope, "state", server.isDraining || server.failsHealthCheck ? 1 : server.isReady ? 0 : 2)
        gauge(scope, "uptime", Int64(clamping: server.uptimeSeconds))
        gauge(scope, "total_connections", summary.gauge(.downstreamConnections))
        let process = ProcessNumbers(startNanoseconds: server.startNanoseconds)
        gauge(scope, "memory_physical_size", Int64(clamping: process.residentBytes))
        gauge(scope, "memory_allocated", Int64(clamping: process.residentBytes))
        gauge(scope, "memory_heap_size", Int64(clamping: process.virtualBytes))
        gauge(scope, "hot_restart_epoch", 0)
        gauge(scope, "parent_connections", 0)
        let manager = Scope(prefix: "listener_manager.", family: "listener_manager", labels: [])
        gauge(manager, "total_listeners_active", Int64(listeners))
        gauge(manager, "workers_started", 1)
        let clusterManager = Scope(prefix: "cluster_manager.", family: "cluster_manager", labels: [])
        gauge(clusterManager, "active_clusters", Int64(clusters))
    }

    /// Takes off what the counters had when they were set back.
    mutating func subtract(_ baseline: [String: Int64]) {
        guard !baseline.isEmpty else { return }
        for index in stats.indices where stats[index].kind == .counter {
            if let before = baseline[stats[index].name] { stats[index].value = max(0, stats[index].value - before) }
        }
    }

    /// Writes the families for Prometheus, one after the other.
    func write(_ text: inout PrometheusText) {
        let families = Dictionary(grouping: stats, by: \.family).sorted { $0.key < $1.key }
        for (family, members) in families {
            text.family(family, members.first?.kind == .gauge ? .gauge : .counter, help: "As Envoy has it.")
            for member in members {
                text.sample(family, LabelSet(member.labels), UInt64(max(0, member.value)))
            }
        }
        for (family, members) in Dictionary(grouping: histograms, by: \.family).sorted(by: { $0.key < $1.key }) {
            text.family(family, .histogram, help: "As Envoy has it, in milliseconds.")
            for member in members {
                text.histogram(
                    family,
                    LabelSet(member.labels),
                    bounds: member.distribution.bounds,
                    counts: member.distribution.counts,
                    sum: member.distribution.sum,
                    exemplars: member.exemplars
                )
            }
        }
    }
}

extension ListenerSummary {
    /// As in Envoy: `stat_prefix`, else the first address with `_` for `:`.
    var statName: String {
        if !configuration.settings.statPrefix.isEmpty { return configuration.settings.statPrefix }
        let address = addresses.first ?? configuration.name
        return String(address.map { $0 == ":" ? "_" : $0 })
    }
}
