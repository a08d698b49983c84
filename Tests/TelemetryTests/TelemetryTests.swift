import Telemetry
import Testing

@Suite("Response times")
struct LatencyHistogramTests {
    @Test(
        "a sample falls into the first bucket whose bound is not below it",
        arguments: [
            (UInt64(0), "1"), (1, "1"), (1_000_000, "1"), (1_000_001, "2"), (5_000_000, "5"), (5_000_001, "10"),
            (10_000_000, "10"), (10_000_001, "20"), (50_000_001, "100"), (123_000_000, "200"), (500_000_001, "1000"),
            (5_000_000_001, "10000"), (50_000_000_000, "50000"), (50_000_000_001, "+Inf"), (UInt64.max, "+Inf"),
        ]
    )
    func buckets(nanoseconds: UInt64, bound: String) {
        var histogram = LatencyHistogram()
        histogram.observe(nanoseconds: nanoseconds)
        let place = (0..<LatencyHistogram.bucketCount).first { histogram.counts[$0] == 1 }
        let names = LatencyHistogram.bounds.map(String.init) + ["+Inf"]
        #expect(place.map { names[$0] } == bound)
    }

    @Test("there are Linkerd's 26 buckets, in rising order")
    func bounds() {
        #expect(LatencyHistogram.bounds.count == 25)
        #expect(LatencyHistogram.bounds == LatencyHistogram.bounds.sorted())
        #expect(LatencyHistogram.bounds.last == 50_000)
    }

    @Test("merging adds counts and sums")
    func merging() {
        var left = LatencyHistogram()
        var right = LatencyHistogram()
        for milliseconds: UInt64 in [3, 30, 300] {
            left.observe(nanoseconds: milliseconds * 1_000_000)
            right.observe(nanoseconds: milliseconds * 1_000_000)
        }
        left.add(right)
        #expect(left.count == 6)
        #expect(left.sumMicroseconds == 666_000)
    }

    @Test("quantiles lie inside the bucket that holds them")
    func quantiles() {
        var histogram = LatencyHistogram()
        #expect(histogram.quantile(0.5) == nil)
        for _ in 0..<90 { histogram.observe(nanoseconds: 2_500_000) }
        for _ in 0..<10 { histogram.observe(nanoseconds: 250_000_000) }
        #expect((2...3).contains(histogram.quantile(0.5) ?? 0))
        #expect((200...300).contains(histogram.quantile(0.99) ?? 0))
        histogram.observe(nanoseconds: .max)
        #expect(histogram.quantile(1) == 50_000)
    }
}

@Suite("Label sets")
struct LabelSetTests {
    @Test("labels are sorted, unique, and valid names")
    func normal() {
        let set = LabelSet([("b", "2"), ("a", "1"), ("b", "3"), ("9-x.y", "z")])
        #expect(set.labels.map(\.name) == ["_9_x_y", "a", "b"])
        #expect(set["b"] == "3")
        #expect(set == LabelSet([("a", "1"), ("9-x.y", "z"), ("b", "3")]))
    }

    @Test("merging: the other's value wins, and nil removes")
    func merging() {
        var set = LabelSet([("a", "1"), ("b", "2")]).merging(LabelSet([("b", "x"), ("c", "3")]))
        #expect(set == LabelSet([("a", "1"), ("b", "x"), ("c", "3")]))
        set["a"] = nil
        #expect(set["a"] == nil)
        #expect(set.labels.count == 2)
    }
}

@Suite("Prometheus text")
struct PrometheusTextTests {
    private func text(_ write: (inout PrometheusText) -> Void) -> String {
        var page = PrometheusText()
        write(&page)
        return String(decoding: page.bytes, as: UTF8.self)
    }

    @Test("a family has one HELP and one TYPE, and its samples follow")
    func family() {
        let page = text {
            $0.family("requests_total", .counter, help: "All\nof \\them.")
            $0.sample("requests_total", LabelSet([("a", "b")]), UInt64(3))
            $0.sample("requests_total", .empty, 2.5)
        }
        #expect(
            page == """
                # HELP requests_total All\\nof \\\\them.
                # TYPE requests_total counter
                requests_total{a="b"} 3
                requests_total 2.5

                """
        )
    }

    @Test("values of labels cannot break a line")
    func escaping() {
        let page = text { $0.sample("m", LabelSet([("a", "x\"y\\z\nw")]), UInt64(1)) }
        #expect(page == "m{a=\"x\\\"y\\\\z\\nw\"} 1\n")
    }

    @Test("buckets are cumulative and end at infinity with the count")
    func histogram() {
        var times = LatencyHistogram()
        for milliseconds: UInt64 in [1, 1, 7, 90_000] { times.observe(nanoseconds: milliseconds * 1_000_000) }
        let lines = text { $0.histogram("t_ms", LabelSet([("a", "b")]), times) }.split(separator: "\n")
        #expect(lines.count == 28)
        #expect(lines[0] == "t_ms_bucket{a=\"b\",le=\"1\"} 2")
        #expect(lines[5] == "t_ms_bucket{a=\"b\",le=\"10\"} 3")
        #expect(lines[25] == "t_ms_bucket{a=\"b\",le=\"+Inf\"} 4")
        #expect(lines[26] == "t_ms_sum{a=\"b\"} 90009")
        #expect(lines[27] == "t_ms_count{a=\"b\"} 4")
    }

    @Test("numbers", arguments: [(1.0, "1"), (0.25, "0.25"), (.nan, "NaN"), (.infinity, "+Inf"), (-.infinity, "-Inf")])
    func numbers(value: Double, expected: String) {
        #expect(text { $0.sample("m", .empty, value) } == "m \(expected)\n")
    }
}

@Suite("OpenMetrics")
struct OpenMetricsTests {
    private func text(_ write: (inout PrometheusText) -> Void) -> String {
        var page = PrometheusText(.openMetrics)
        write(&page)
        return String(decoding: page.bytes, as: UTF8.self)
    }

    @Test(
        "names of series stay; only a counter that ends in _total is one, unless another family has the rest of its name"
    )
    func names() {
        let page = text {
            $0.family("a_total", .counter, help: "Say \"a\".")
            $0.sample("a_total", .empty, UInt64(1))
            $0.family("b", .counter, help: "b")
            $0.sample("b", .empty, UInt64(2))
            $0.family("b_total", .counter, help: "c")
            $0.sample("b_total", .empty, UInt64(3))
        }
        #expect(
            page == """
                # HELP a Say \\"a\\".
                # TYPE a counter
                a_total 1
                # HELP b b
                # TYPE b unknown
                b 2
                # HELP b_total c
                # TYPE b_total unknown
                b_total 3
                # EOF

                """
        )
    }

    @Test("a bucket shows the newest request whose trace is told of, where it has counted one")
    func exemplars() {
        var times = LatencyHistogram()
        times.observe(nanoseconds: 1_500_000)
        times.observe(nanoseconds: 400_000)
        var row = ExemplarRow()
        row.note(Exemplar(high: 1, low: 0xAB, span: 7, nanoseconds: 1_500_000, time: 2_000_000_000))
        row.note(Exemplar(high: 2, low: 0xCD, span: 8, nanoseconds: 1_250_000, time: 3_007_000_000))
        row.note(Exemplar(high: 3, low: 3, span: 9, nanoseconds: 1_100_000, time: 1_000_000_000))
        row.note(Exemplar(high: 4, low: 4, span: 9, nanoseconds: 70_000_000, time: 1_000_000_000))
        let lines = text { $0.histogram("t_ms", .empty, times, exemplars: row) }.split(separator: "\n")
        #expect(lines[0] == "t_ms_bucket{le=\"1.0\"} 1")
        #expect(
            lines[1]
                == "t_ms_bucket{le=\"2.0\"} 2 # {trace_id=\"000000000000000200000000000000cd\","
                + "span_id=\"0000000000000008\"} 1.25 3.007"
        )
        #expect(lines.filter { $0.contains(" # ") }.count == 1)
        #expect(lines.last == "# EOF")
    }

    @Test("rows of several workers: of each bucket the newer one")
    func merging() {
        var first = ExemplarRow()
        first.note(Exemplar(low: 1, nanoseconds: 1, time: 5))
        var second = ExemplarRow()
        second.note(Exemplar(low: 2, nanoseconds: 1, time: 4))
        second.note(Exemplar(low: 3, nanoseconds: 90_000_000_000, time: 4))
        first.add(second)
        #expect(first[0]?.low == 1)
        #expect(first[LatencyHistogram.bucketCount - 1]?.low == 3)
        #expect(first[1] == nil)
    }

    @Test(
        "what a client accepts",
        arguments: [
            (nil, false), ("", false), ("*/*", false), ("text/plain", false),
            ("application/openmetrics-text", true),
            ("application/openmetrics-text;version=1.0.0;q=0.5, */*;q=0.1", true),
            ("application/openmetrics-text; version=0.0.1; q=0.75,text/plain;version=0.0.4;q=0.5", true),
            ("application/openmetrics-text;q=0.2, text/plain;q=0.5", false),
            ("application/openmetrics-text;q=0", false), ("application/openmetrics-text;q=x", false),
            ("application/openmetrics-text;version=9.0.0", false), ("APPLICATION/OpenMetrics-Text", true),
            (";;,,;q=,=", false),
        ] as [(String?, Bool)]
    )
    func negotiation(accept: String?, isOpen: Bool) {
        #expect((ExpositionFormat(accept: accept) == .openMetrics) == isOpen)
    }
}
