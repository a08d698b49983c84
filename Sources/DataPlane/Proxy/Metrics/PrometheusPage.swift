import HTTP
import TLS
import Telemetry
import Traffic

/// The page `/stats/prometheus`: Linkerd's families per edge, then the proxy's own.
struct PrometheusPage {
    let summary: MetricsSummary
    let labels: [LabelSet]
    private(set) var text: PrometheusText

    init(summary: MetricsSummary, labels: [LabelSet], format: ExpositionFormat = .prometheus) {
        text = PrometheusText(format)
        self.summary = summary
        self.labels = labels
    }

    /// Writes the families of all edges.
    mutating func writeEdges() {
        let series = summary.outbound(labels) + summary.inbound(labels)
        let http = series.filter { $0.edge.isHTTP }
        let tcp = series.filter { $0.edge.isTCP }
        counter("request_total", "Requests sent towards an endpoint.", http) { $0.requests }
        writeResponses(http)
        text.family("response_latency_ms", .histogram, help: "Time from a request's arrival to its response's end.")
        for one in http {
            text.histogram("response_latency_ms", one.labels, one.edge.latency, exemplars: one.edge.exemplars)
        }
        counter("tcp_open_total", "Connections opened.", tcp) { $0.tcpOpened }
        text.family("tcp_open_connections", .gauge, help: "Connections open now.")
        for one in tcp { text.sample("tcp_open_connections", one.labels, UInt64(max(0, one.edge.tcpOpen))) }
        text.family("tcp_close_total", .counter, help: "Connections closed.")
        for one in tcp {
            var clean = one.labels
            clean["errno"] = ""
            text.sample("tcp_close_total", clean, one.edge.tcpClosed &- one.edge.tcpClosedWithError)
            guard one.edge.tcpClosedWithError > 0 else { continue }
            clean["errno"] = "ECONNRESET"
            text.sample("tcp_close_total", clean, one.edge.tcpClosedWithError)
        }
        counter("tcp_read_bytes_total", "Bytes read from clients.", tcp) { $0.tcpRead }
        counter("tcp_write_bytes_total", "Bytes written to clients.", tcp) { $0.tcpWritten }
    }

    private mutating func counter(
        _ name: String,
        _ help: String,
        _ series: [(labels: LabelSet, edge: MetricsSummary.Edge)],
        _ value: (MetricsSummary.Edge) -> UInt64
    ) {
        text.family(name, .counter, help: help)
        for one in series { text.sample(name, one.labels, value(one.edge)) }
    }

    /// Writes what is counted of each route, whoever called; and how full the budgets of series are.
    mutating func writeRoutes(_ reports: [WorkerReport], _ book: SeriesBook<RouteName>, _ ledger: EndpointLedger) {
        let (names, stamps) = (book.names, book.stamps)
        var cells: [Int: RouteCell] = [:]
        for report in reports {
            for (number, cell) in report.cells.enumerated()
            where number == 0 || stamps.agrees(with: report.routeStamps, on: number) {
                if let cell { cells[number, default: RouteCell()].add(cell) }
            }
        }
        var series: [(labels: LabelSet, cell: RouteCell, number: Int32)] = []
        for (number, cell) in cells.sorted(by: { $0.key < $1.key }) {
            guard names.indices.contains(number), let name = names[number] else { continue }
            let labels = [("direction", "outbound"), ("dst", name.host), ("rt_route", name.route)]
            series.append((LabelSet(labels), cell, Int32(number)))
        }
        text.family("route_request_total", .counter, help: "Requests of a route.")
        for one in series { text.sample("route_request_total", one.labels, one.cell.requests) }
        text.family(
            "route_actual_request_total",
            .counter,
            help: "Requests of a route as endpoints saw them, with retries."
        )
        for one in series { text.sample("route_actual_request_total", one.labels, one.cell.tries) }
        text.family("route_response_total", .counter, help: "Answers of a route by status and outcome.")
        for one in series {
            for (status, isFailure, count) in one.cell.responses {
                var set = one.labels
                set["status_code"] = status
                set["classification"] = isFailure ? "failure" : "success"
                text.sample("route_response_total", set, count)
            }
        }
        text.family(
            "route_response_latency_ms",
            .histogram,
            help: "Time from a request's arrival to its response's end."
        )
        for one in series {
            let exemplars = summary.exemplars[.series(one.number)]
            text.histogram("route_response_latency_ms", one.labels, one.cell.latency, exemplars: exemplars)
        }
        writeBudgets(book, ledger, overflow: cells[0]?.requests ?? 0)
    }

    private mutating func writeBudgets(_ book: SeriesBook<RouteName>, _ ledger: EndpointLedger, overflow: UInt64) {
        let (route, endpoint) = (LabelSet([("kind", "route")]), LabelSet([("kind", "endpoint")]))
        text.family("metric_series", .gauge, help: "Routes and endpoints with series of their own.")
        text.sample("metric_series", route, UInt64(book.count))
        text.sample("metric_series", endpoint, UInt64(ledger.count))
        text.family("metric_series_limit", .gauge, help: "How many may have them.")
        text.sample("metric_series_limit", route, UInt64(book.limit))
        text.sample("metric_series_limit", endpoint, UInt64(ledger.limit))
        text.family(
            "metric_series_overflow",
            .gauge,
            help: "Requests of routes, and endpoints, that fell into __other__."
        )
        text.sample("metric_series_overflow", route, overflow)
        text.sample("metric_series_overflow", endpoint, UInt64(ledger.overflow))
    }

    private mutating func writeResponses(_ series: [(labels: LabelSet, edge: MetricsSummary.Edge)]) {
        text.family("response_total", .counter, help: "Responses by status and outcome.")
        for one in series {
            let statuses = one.edge.statuses.sorted {
                ($0.key.status, $0.key.isFailure ? 1 : 0) < ($1.key.status, $1.key.isFailure ? 1 : 0)
            }
            for (key, count) in statuses {
                var set = one.labels
                set["status_code"] = String(key.status)
                set["classification"] = key.isFailure ? "failure" : "success"
                text.sample("response_total", set, count)
            }
        }
    }

    /// Writes the families under Envoy's names.
    mutating func write(_ stats: EnvoyStats) { stats.write(&text) }

    /// Writes the counters and gauges without labels of edges.
    mutating func writeProxy() {
        for family in ProxyFamily.all {
            text.family(family.name, family.kind, help: family.help)
            for (label, counter) in family.counters {
                text.sample(family.name, LabelSet(label.map { [$0] } ?? []), summary.counter(counter))
            }
            for (label, gauge) in family.gauges {
                text.sample(family.name, LabelSet(label.map { [$0] } ?? []), UInt64(max(0, summary.gauge(gauge))))
            }
        }
        for counter in HTTP2Counter.allCases {
            let name = "http2_\(counter.name)_total"
            text.family(name, .counter, help: "HTTP/2: Envoy's http2.\(counter.name).")
            text.sample(name, LabelSet([]), summary.http2[Int(counter.rawValue)])
        }
        text.family("protocol_violation_total", .counter, help: "What no honest peer does, by kind.")
        for kind in ProtocolViolation.allCases {
            text.sample("protocol_violation_total", LabelSet([("kind", kind.name)]), summary.violations[kind.rawValue])
        }
    }

    /// Writes what the endpoints, breakers and configuration files are in.
    mutating func writeState(_ clusters: [ClusterSummary], files: [FileState], process: ProcessNumbers) {
        text.family("cluster_endpoints", .gauge, help: "Endpoints of a cluster by state.")
        for cluster in clusters {
            for (state, count) in cluster.endpointCounts {
                text.sample(
                    "cluster_endpoints",
                    LabelSet([("cluster", cluster.name), ("state", state)]),
                    UInt64(count)
                )
            }
        }
        text.family("circuit_breaker_open", .gauge, help: "1 while a limit of a cluster is reached.")
        for cluster in clusters {
            for breaker in cluster.breakerStates {
                let set = LabelSet([
                    ("cluster", cluster.name), ("priority", breaker.priority), ("resource", breaker.resource),
                ])
                text.sample("circuit_breaker_open", set, breaker.isOpen ? UInt64(1) : 0)
            }
        }
        text.family("config_file_version", .gauge, help: "Version of a configuration file that all workers use.")
        for file in files { text.sample("config_file_version", LabelSet([("file", file.path)]), file.versionNumber) }
        text.family("config_file_rejected_total", .counter, help: "Contents of a configuration file that were refused.")
        for file in files {
            text.sample("config_file_rejected_total", LabelSet([("file", file.path)]), UInt64(file.rejections))
        }
        process.write(&text)
    }

    /// Writes when certificates end.
    mutating func writeCertificates(_ holders: [TLSHolder], now: UInt64) {
        let all = holders.compactMap { holder in
            holder.context?.certificates.map(\.notAfter).min().map { (holder.source.owner, $0) }
        }
        let ends = Dictionary(all, uniquingKeysWith: { max($0, $1) })
        guard let first = ends.values.min() else { return }
        let days = max(0, (first - Int64(clamping: now / 1_000_000_000)) / 86_400)
        text.family("days_until_first_cert_expiring", .gauge, help: "Whole days until the first certificate ends.")
        text.sample("days_until_first_cert_expiring", .empty, UInt64(days))
        text.family(
            "tls_certificate_expiration_unix_time_seconds",
            .gauge,
            help: "When a certificate ends, by its user."
        )
        for (owner, end) in ends.sorted(by: { $0.key < $1.key }) {
            text.sample(
                "tls_certificate_expiration_unix_time_seconds",
                LabelSet([("for", owner)]),
                UInt64(clamping: end)
            )
        }
    }
}

/// A family of the proxy's own numbers.
private struct ProxyFamily {
    var name: String
    var kind: PrometheusText.Kind
    var help: String
    var counters: [(label: (String, String)?, counter: ProxyCounter)] = []
    var gauges: [(label: (String, String)?, gauge: ProxyGauge)] = []

    static func one(_ name: String, _ counter: ProxyCounter, _ help: String) -> ProxyFamily {
        ProxyFamily(name: name, kind: .counter, help: help, counters: [(nil, counter)])
    }

    static func one(_ name: String, _ gauge: ProxyGauge, _ help: String) -> ProxyFamily {
        ProxyFamily(name: name, kind: .gauge, help: help, gauges: [(nil, gauge)])
    }

    static let all: [ProxyFamily] = [
        one("downstream_connections_total", .downstreamConnectionsTotal, "Connections accepted."),
        one("downstream_http2_connections_total", .downstreamHTTP2Connections, "Connections that spoke HTTP/2."),
        one("downstream_http2_requests_total", .downstreamHTTP2Requests, "Requests that came over HTTP/2."),
        one("downstream_connections_refused_total", .downstreamConnectionsRefused, "Connections closed by a limit."),
        one("downstream_connections_limited_total", .connectionsLimited, "Connections closed by connection_limit."),
        one("downstream_connections", .downstreamConnections, "Connections from clients open now."),
        one("downstream_requests_total", .downstreamRequestsTotal, "Requests read."),
        one("downstream_requests", .downstreamRequests, "Requests in flight."),
        one("upstream_http2_connections_total", .upstreamHTTP2Connections, "Connections to endpoints in HTTP/2."),
        one("upstream_http2_requests_total", .upstreamHTTP2Requests, "Requests sent over HTTP/2."),
        one("upstream_connections_total", .upstreamConnectionsTotal, "Connections opened to endpoints."),
        one("upstream_connections", .upstreamConnections, "Connections to endpoints open now."),
        one("upstream_connections_idle", .upstreamConnectionsIdle, "Pooled connections without a request."),
        ProxyFamily(
            name: "upstream_connect_failures_total",
            kind: .counter,
            help: "Connections to endpoints that failed.",
            counters: [
                (("reason", "refused"), .upstreamConnectFailures), (("reason", "timeout"), .upstreamConnectTimeouts),
            ]
        ),
        ProxyFamily(
            name: "local_response_total",
            kind: .counter,
            help: "Answers that the proxy made itself, by reason.",
            counters: [
                (("reason", "shed"), .requestsShed), (("reason", "timeout"), .requestsTimedOut),
                (("reason", "no_route"), .noRoute), (("reason", "no_cluster"), .noCluster),
                (("reason", "no_healthy_endpoint"), .noHealthyEndpoint),
            ]
        ),
        ProxyFamily(
            name: "retry_total",
            kind: .counter,
            help: "Retries by outcome.",
            counters: [
                (("outcome", "started"), .retriesTotal), (("outcome", "succeeded"), .retriesSucceeded),
                (("outcome", "over_budget"), .retriesOverBudget), (("outcome", "limit_reached"), .retriesLimitReached),
            ]
        ),
        ProxyFamily(
            name: "overload_connections_closed_total",
            kind: .counter,
            help: "Connections closed because there was too much to do.",
            counters: [(("kind", "idle"), .idleConnectionsShed), (("kind", "new"), .connectionsShed)]
        ),
        one("internal_redirects_total", .redirectsFollowed, "Redirects of endpoints that were followed here."),
        ProxyFamily(
            name: "mirror_total",
            kind: .counter,
            help: "Copies of requests for mirroring clusters.",
            counters: [
                (("outcome", "started"), .mirrorsTotal), (("outcome", "refused"), .mirrorsRefused),
                (("outcome", "given_up"), .mirrorsGivenUp),
            ]
        ),
        ProxyFamily(
            name: "endpoint_wait_total",
            kind: .counter,
            help: "Requests that waited for a first endpoint.",
            counters: [(nil, .endpointWaits)]
        ),
        ProxyFamily(
            name: "circuit_breaker_refused_total",
            kind: .counter,
            help: "What a cluster's limits refused.",
            counters: [
                (("resource", "connections"), .breakerConnections), (("resource", "pending"), .breakerPending),
                (("resource", "requests"), .breakerRequests), (("resource", "retries"), .retriesOverBudget),
            ]
        ),
        ProxyFamily(
            name: "endpoint_ejection_total",
            kind: .counter,
            help: "Endpoints left out by outlier detection, by cause.",
            counters: [
                (("cause", "consecutive_5xx"), .ejectionsConsecutive5xx),
                (("cause", "consecutive_gateway_failure"), .ejectionsConsecutiveGateway),
                (("cause", "consecutive_local_origin_failure"), .ejectionsConsecutiveLocal),
                (("cause", "success_rate"), .ejectionsSuccessRate),
                (("cause", "failure_percentage"), .ejectionsFailurePercentage),
            ]
        ),
        one("endpoint_ejection_ended_total", .ejectionsEnded, "Endpoints that came back."),
        ProxyFamily(
            name: "protocol_detection_total",
            kind: .counter,
            help: "Connections whose protocol had to be found out.",
            counters: [
                (("result", "http"), .detectedHTTP), (("result", "other"), .detectedOther),
                (("result", "timeout"), .detectionTimeouts),
            ]
        ),
        one("tls_handshakes_total", .tlsHandshakes, "TLS handshakes with clients that succeeded."),
        one("tls_handshake_failures_total", .tlsHandshakeFailures, "TLS handshakes with clients that failed."),
        ProxyFamily(
            name: "tls_certificate_refused_total",
            kind: .counter,
            help: "Certificates of peers that were refused, by cause.",
            counters: [
                (("cause", "client_gave_none"), .tlsNoCertificate), (("cause", "client_chain"), .tlsChainRefused),
                (("cause", "client_name"), .tlsNameRefused), (("cause", "endpoint_chain"), .tlsUpstreamChainRefused),
                (("cause", "endpoint_name"), .tlsUpstreamNameRefused),
            ]
        ),
        ProxyFamily(
            name: "tls_version_total",
            kind: .counter,
            help: "Handshakes with clients by the version of TLS.",
            counters: [(("version", "TLSv1.2"), .tlsOldVersion), (("version", "TLSv1.3"), .tlsNewVersion)]
        ),
        ProxyFamily(
            name: "tls_resumed_total",
            kind: .counter,
            help: "Handshakes that resumed a session, by peer.",
            counters: [(("peer", "client"), .tlsResumed), (("peer", "endpoint"), .tlsUpstreamResumed)]
        ),
        one("tls_upstream_handshakes_total", .tlsUpstreamHandshakes, "TLS handshakes with endpoints that succeeded."),
        one("tls_upstream_failures_total", .tlsUpstreamFailures, "TLS handshakes with endpoints that failed."),
        one("listeners_taken_over_total", .listenersTakenOver, "Listening sockets taken over from the proxy before."),
        one("access_log_dropped_total", .accessLogDropped, "Access log lines lost."),
        one("accept_failures_total", .acceptFailures, "Calls of accept that failed."),
        one("system_call_failures_total", .systemCallFailures, "Other system calls that failed unexpectedly."),
        one("buffer_bytes", .bufferBytes, "Memory in connection buffers."),
        one("loop_iterations_total", .loopIterations, "Turns of the workers' loops."),
        one("loop_lag_microseconds", .loopLagMicroseconds, "How late a worker's loop came to its last look at itself."),
        one(
            "overload_queue_limit_microseconds",
            .queueLimitMicroseconds,
            "Requests that waited longer are refused; 0: none is."
        ),
    ]
}
