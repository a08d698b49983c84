import HTTP
import Testing
import Traffic

@Suite("Pages of other sites, and questions about health")
struct CrossOriginTests {
    private func judge(
        _ method: String,
        _ fields: [(String, String)],
        enforced: Bool = true,
        watched: Bool = false,
        passesForeign: Bool = true
    ) -> CrossOrigin {
        let request = TestRequest(method, "a", "/", fields)
        return withExtendedLifetime(request) {
            CrossOrigin.judge(
                request.view,
                isEnforced: enforced,
                isWatched: watched,
                passesForeign: passesForeign,
                allows: { $0.text == "good" }
            )
        }
    }

    @Test("only what names an origin is looked at, and only questions about methods are answered")
    func judging() {
        let good = [("origin", "good")]
        let ask = [("origin", "good"), ("access-control-request-method", "PUT")]
        let foreign = [("origin", "bad"), ("access-control-request-method", "PUT")]
        #expect(judge("GET", []) == .notConcerned)
        #expect(judge("GET", [("origin", "")]) == .notConcerned)
        #expect(judge("GET", good, enforced: false) == .notConcerned)
        #expect(judge("OPTIONS", ask, enforced: false, watched: true) == .watched(isValid: true))
        #expect(judge("GET", good) == .goesOn(isValid: true))
        #expect(judge("OPTIONS", good) == .goesOn(isValid: true))
        #expect(judge("GET", ask) == .goesOn(isValid: true))
        #expect(judge("OPTIONS", ask) == .answered(isValid: true))
        #expect(judge("OPTIONS", foreign) == .goesOn(isValid: false))
        #expect(judge("OPTIONS", foreign, passesForeign: false) == .answered(isValid: false))
    }

    @Test("health: the first cluster that is not as it has to be decides")
    func health() {
        func cluster(_ healthy: Int, _ total: Int, _ percent: Double) -> HealthAnswer.Cluster {
            .init(total: total, healthy: healthy, wantedPercent: percent)
        }
        #expect(HealthAnswer.judge(isFailed: false, clusters: []) == .ok)
        #expect(HealthAnswer.judge(isFailed: true, clusters: []) == .failed)
        #expect(HealthAnswer.judge(isFailed: false, clusters: [cluster(1, 4, 25)]) == .ok)
        #expect(HealthAnswer.judge(isFailed: false, clusters: [cluster(1, 4, 25.1)]) == .unhealthyCluster)
        #expect(HealthAnswer.judge(isFailed: false, clusters: [cluster(0, 0, 0), nil]) == .noCluster)
        #expect(HealthAnswer.judge(isFailed: false, clusters: [cluster(0, 0, 1), nil]) == .emptyCluster)
    }
}
