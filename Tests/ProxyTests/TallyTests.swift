import Testing

@testable import Proxy

@Suite struct TallyTests {
    @Test func spansFallIntoEnvoysBuckets() {
        var spans = SpanHistogram()
        for nanoseconds: UInt64 in [0, 500_000, 500_001, 1_000_000, 4_000_000_000_000] {
            spans.observe(nanoseconds: nanoseconds)
        }
        let shown = spans.distribution
        #expect(shown.counts[0] == 2 && shown.counts[1] == 2 && shown.counts.last == 1)
        #expect(shown.bounds.count + 1 == shown.counts.count)
        #expect(shown.count == 5)
        #expect(shown.quantile(1) == 3_600_000)
        #expect(Distribution(bounds: [1], counts: [0, 0], sum: 0).quantile(0.5) == nil)
    }

    @Test func statusesAreCountedApartUpToSixteen() {
        var counts = StatusCounts()
        for status: UInt16 in 200..<230 { counts.count(status) }
        counts.count(200)
        counts.count(99)
        #expect(counts.all.count == 16)
        #expect(counts.all.first?.code == 200 && counts.all.first?.count == 2)
        var sum = StatusCounts()
        sum.add(counts)
        sum.add(counts)
        #expect(sum.all.first?.count == 4)
    }

    @Test func namesAreEnvoys() {
        #expect(ClusterCounter.names.contains("upstream_cx_destroy_remote_with_active_rq"))
        #expect(ClusterCounter.names.contains("upstream_cx_http2_total"))
        #expect(ClientCounter.names.contains("downstream_rq_ws_on_non_ws_route"))
        #expect(ClusterCounter.allCases.count <= 32 && ClientCounter.allCases.count <= 32)
    }
}
