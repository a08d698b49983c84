import Controllers
import Testing
import Wire

@Suite("Prometheus text")
struct PrometheusTextTests {
    @Test("names, labels with escapes, and numbers are read")
    func reads() {
        let page = """
            # HELP request_total Requests.
            # TYPE request_total counter
            request_total{direction="outbound",path="a\\"b\\\\c\\nd",} 12 1700000000
            up 1

            temperature{a="b"} -1.5e3
            bucket{le="+Inf"} +Inf
            """
        let text = PrometheusText(Array(page.utf8))
        #expect(text.unreadableLines == 0)
        #expect(
            text.samples == [
                MetricSample(
                    name: "request_total",
                    labels: ["direction": "outbound", "path": "a\"b\\c\nd"],
                    value: 12
                ),
                MetricSample(name: "up", labels: [:], value: 1),
                MetricSample(name: "temperature", labels: ["a": "b"], value: -1500),
                MetricSample(name: "bucket", labels: ["le": "+Inf"], value: .infinity),
            ]
        )
    }

    @Test(
        "a line that cannot be read costs that line only",
        arguments: [
            "a{", "a{b", "a{b=", "a{b=\"", "a{b=\"c", "a{b=\"c\"", "a{b=\"c\\", "a{b=\"c\"} ", "a", "a x", "{} 1",
            "a{b=c} 1",
        ]
    )
    func survives(line: String) {
        let text = PrometheusText(Array("\(line)\ngood 1\n".utf8))
        #expect(text.samples.map(\.name) == ["good"])
        #expect(text.unreadableLines == 1)
    }
}

@Suite("Histogram")
struct HistogramTests {
    @Test("quantiles are interpolated within their bucket")
    func interpolates() {
        let histogram = CumulativeHistogram([(1, 50), (2, 90), (5, 100), (.infinity, 100)])
        #expect(histogram.quantile(0.5) == 1)
        #expect(histogram.quantile(0.25) == 0.5)
        #expect(histogram.quantile(0.7) == 1.5)
        #expect(histogram.quantile(0.95) == 3.5)
    }

    @Test("beyond the last finite bound that bound is the answer; without observations there is none")
    func edges() {
        #expect(CumulativeHistogram([(10, 0), (.infinity, 4)]).quantile(0.99) == 10)
        #expect(CumulativeHistogram([(10, 0), (.infinity, 0)]).quantile(0.5) == nil)
        #expect(CumulativeHistogram().quantile(0.5) == nil)
        #expect(CumulativeHistogram([(1, 1)]).quantile(.nan) == nil)
    }
}

@Suite("Traffic statistics")
struct TrafficHistoryTests {
    func page(requests: Int, failures: Int = 0, sum: Double = 0) -> [UInt8] {
        let labels = """
            direction="outbound",namespace="default",deployment="web",dst_namespace="default",dst_service="users",\
            dst_deployment="users"
            """
        return Array(
            """
            request_total{\(labels)} \(requests)
            request_total{direction="inbound",namespace="default",deployment="users"} \(requests)
            response_total{\(labels),status_code="200",classification="success"} \(requests - failures)
            response_total{\(labels),status_code="500",classification="failure"} \(failures)
            response_latency_ms_bucket{\(labels),le="1"} \(requests / 2)
            response_latency_ms_bucket{\(labels),le="2"} \(requests)
            response_latency_ms_bucket{\(labels),le="+Inf"} \(requests)
            response_latency_ms_sum{\(labels)} \(sum)
            response_latency_ms_count{\(labels)} \(requests)
            tcp_open_connections{\(labels)} 3

            """.utf8
        )
    }

    @Test("rates, success and mean come from the difference of two scrapes")
    func rates() throws {
        var history = TrafficHistory()
        history.add(TrafficScrape(time: 1000, page: page(requests: 100, sum: 50)))
        history.add(TrafficScrape(time: 3000, page: page(requests: 300, failures: 20, sum: 450)))
        let window = history.window(10_000)
        let report = TrafficReport(services: [("default", "idle"), ("default", "users")], window: window)
            .value(withEdges: true)
        #expect(report["seconds"]?.doubleValue == 2)
        let services = try #require(report["services"]?.arrayValue)
        #expect(services.map { $0["service"]?.stringValue } == ["idle", "users"])
        #expect(services[0]["successRate"]?.isNull == true)
        #expect(services[1]["requestRate"]?.doubleValue == 100)
        #expect(services[1]["successRate"]?.doubleValue == 0.9)
        #expect(services[1]["latencyMeanMs"]?.doubleValue == 2)
        #expect(services[1]["latencyP50Ms"]?.doubleValue == 1)
        #expect(services[1]["tcpConnections"]?.doubleValue == 3)
        let edge = try #require(report["edges"]?[0])
        #expect(edge["source"]?.stringValue == "web")
        #expect(edge["service"]?.stringValue == "users")
    }

    @Test("a proxy that was started again counts anew")
    func reset() {
        var history = TrafficHistory()
        history.add(TrafficScrape(time: 0, page: page(requests: 1000)))
        history.add(TrafficScrape(time: 1000, page: page(requests: 40)))
        let counters = history.window(1000).edges.values.first
        #expect(counters?.requests == 40)
    }

    @Test("the window begins at the youngest scrape that is old enough")
    func window() {
        var history = TrafficHistory()
        for second in 0..<5 {
            history.add(TrafficScrape(time: second * 1000, page: page(requests: second * second)))
        }
        #expect(history.window(1000).edges.values.first?.requests == 7)
        #expect(history.window(2500).edges.values.first?.requests == 15)
        #expect(history.window(60_000).seconds == 4)
    }

    @Test("one scrape says nothing yet")
    func single() {
        var history = TrafficHistory()
        history.add(TrafficScrape(time: 0, page: page(requests: 1)))
        #expect(history.window(1000).edges.isEmpty)
    }
}
