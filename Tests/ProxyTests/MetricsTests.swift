import Telemetry
import Testing
import Wire

@testable import Proxy

@Suite("Metrics of the proxy")
struct MetricsTests {
    private static let labels = [
        LabelSet.empty, LabelSet([("namespace", "shop"), ("deployment", "web")]),
        LabelSet([("namespace", "shop"), ("deployment", "users")]),
        LabelSet([("dst_namespace", "shop"), ("dst_deployment", "orders"), ("dst_service", "orders")]),
    ]

    @Test("an edge has one number, however many there are")
    func edges() {
        let metrics = WorkerMetrics()
        var numbers: Set<Int32> = []
        for caller: Int32 in 1...40 {
            for callee: Int32 in 1...40 { numbers.insert(metrics.edge(caller: caller, callee: callee)) }
        }
        #expect(numbers.count == 1600)
        #expect(metrics.edge(caller: 7, callee: 9) == metrics.edge(caller: 7, callee: 9))
        #expect(metrics.edge(caller: 0, callee: 0) == 0)
    }

    @Test("a flood of edges is counted together in the end")
    func edgeLimit() {
        let metrics = WorkerMetrics()
        for caller: Int32 in 1...25_000 { _ = metrics.edge(caller: caller, callee: 1) }
        #expect(metrics.copy().edges.count == WorkerMetrics.edgeLimit)
        #expect(metrics.edge(caller: 30_000, callee: 1) == 0)
    }

    @Test("workers' numbers add up per edge, and per callee over all callers")
    func merging() throws {
        let workers = [WorkerMetrics(), WorkerMetrics()]
        for (index, worker) in workers.enumerated() {
            for caller: Int32 in [1, 2] {
                let edge = worker.edge(caller: caller, callee: 3)
                for number in 0..<(10 * (index + 1)) {
                    worker.requestStarted(edge)
                    worker.responded(edge, status: number == 0 ? 503 : 200, isFailure: number == 0, time: 2_000_000)
                }
            }
        }
        let summary = MetricsSummary(workers.map { $0.copy() })
        let outbound = summary.outbound(Self.labels)
        #expect(outbound.map { $0.edge.requests } == [30, 30])
        #expect(outbound.map { $0.labels["deployment"] } == ["users", "web"])
        #expect(outbound.allSatisfy { $0.labels["direction"] == "outbound" && $0.labels["dst_service"] == "orders" })
        let inbound = try #require(summary.inbound(Self.labels).first)
        #expect(summary.inbound(Self.labels).count == 1)
        #expect(inbound.edge.requests == 60)
        #expect(inbound.edge.statuses[.init(status: 503, isFailure: true)] == 4)
        #expect(
            inbound.labels == LabelSet([("namespace", "shop"), ("deployment", "orders"), ("direction", "inbound")])
        )
    }

    @Test("more statuses than a cell has room for are counted too")
    func rareStatuses() throws {
        let metrics = WorkerMetrics()
        let edge = metrics.edge(caller: 1, callee: 3)
        for status in 200..<220 { metrics.responded(edge, status: status, isFailure: false, time: 1) }
        metrics.requestStarted(edge)
        let summary = MetricsSummary([metrics.copy()])
        let statuses = try #require(summary.outbound(Self.labels).first).edge.statuses
        #expect(statuses.count == 20)
        #expect(statuses.values.allSatisfy { $0 == 1 })
    }

    @Test("TCP: open, closed and bytes")
    func tcp() throws {
        let metrics = WorkerMetrics()
        let edge = metrics.edge(caller: 1, callee: 3)
        for _ in 0..<3 { metrics.tcpOpened(edge) }
        metrics.tcpMoved(edge, read: 10, written: 20)
        metrics.tcpClosed(edge, withError: false)
        metrics.tcpClosed(edge, withError: true)
        var page = PrometheusPage(summary: MetricsSummary([metrics.copy()]), labels: Self.labels)
        page.writeEdges()
        let text = String(decoding: page.text.bytes, as: UTF8.self)
        let set =
            "deployment=\"web\",direction=\"outbound\",dst_deployment=\"orders\",dst_namespace=\"shop\","
            + "dst_service=\"orders\""
        #expect(text.contains("tcp_open_total{\(set),namespace=\"shop\"} 3\n"))
        #expect(text.contains("tcp_open_connections{\(set),namespace=\"shop\"} 1\n"))
        #expect(text.contains("tcp_close_total{\(set),errno=\"\",namespace=\"shop\"} 1\n"))
        #expect(text.contains("tcp_close_total{\(set),errno=\"ECONNRESET\",namespace=\"shop\"} 1\n"))
        #expect(text.contains("tcp_read_bytes_total{\(set),namespace=\"shop\"} 10\n"))
        #expect(!text.contains("request_total{"))
    }

    @Test(
        "names in the admin's own spelling",
        arguments: [
            ("upstreamConnectionsTotal", "upstream_connections_total"), ("detectedHTTP", "detected_http"),
            ("ejectionsConsecutive5xx", "ejections_consecutive5xx"),
        ]
    )
    func names(name: String, expected: String) {
        #expect(StatsPage.snakeCase(name) == expected)
    }
}

@Suite("Configuration dump")
struct ConfigurationDumpTests {
    @Test("keys and passwords are not shown")
    func redaction() {
        let shown = ConfigurationDump.redacted([
            "tls_certificates": [
                [
                    "certificate_chain": ["inline_string": "public"], "private_key": ["inline_string": "secret"],
                    "password": ["inline_bytes": "c2VjcmV0"],
                ]
            ]
        ])
        #expect(
            shown == [
                "tls_certificates": [
                    [
                        "certificate_chain": ["inline_string": "public"],
                        "private_key": ["inline_string": "[redacted]"],
                        "password": ["inline_bytes": "W3JlZGFjdGVkXQ=="],
                    ]
                ]
            ]
        )
    }
}

@Suite("Numbers under Envoy's names")
struct EnvoyStatsTests {
    @Test("answers are counted by class and cause, and add up over workers")
    func answers() {
        var first = AnswerNumbers()
        first.count(204, [], 3_000_000)
        first.count(503, [.noHealthyUpstream, .upstreamRetryLimit], 1_000_000)
        first.count(0, .downstreamTermination, 0)
        var both = first
        both.add(first)
        var stats = EnvoyStats()
        stats.add(connectionManager: "front", both, ClientTally())
        let values = Dictionary(uniqueKeysWithValues: stats.stats.map { ($0.name, $0.value) })
        #expect(values["http.front.downstream_rq_2xx"] == 2)
        #expect(values["http.front.downstream_rq_5xx"] == 2)
        #expect(values["http.front.downstream_rq_total"] == 6)
        #expect(values["http.front.downstream_rq_completed"] == 4)
        #expect(values["http.front.downstream_rq_rx_reset"] == 2)
        #expect(both.count(of: .noHealthyUpstream) == 2)
        stats.subtract(["http.front.downstream_rq_total": 5])
        #expect(stats.stats.first { $0.name == "http.front.downstream_rq_total" }?.value == 1)
    }
}
