import HTTP
import Testing
import Traffic

@Suite("When requests are made to wait or fail")
struct FaultTests {
    private func delay(_ rules: FaultRules, _ fields: [(String, String)] = [], random: UInt64 = 0) -> UInt64 {
        let request = TestRequest("GET", "a", "/", fields)
        return withExtendedLifetime(request) { rules.delay(of: request.view, random: random) }
    }

    private func failure(_ rules: FaultRules, _ fields: [(String, String)] = []) -> FaultRules.Failure? {
        let request = TestRequest("GET", "a", "/", fields)
        return withExtendedLifetime(request) { rules.failure(of: request.view, random: 0) }
    }

    @Test("a share of requests waits: the draw decides, and a header may lower the share")
    func delays() {
        var rules = FaultRules()
        #expect(delay(rules, random: 0) == 0)
        rules.delay = .fixed(5)
        #expect(delay(rules, random: 0) == 0)
        rules.delayShare = .init(numerator: 50, unit: 10_000)
        #expect(delay(rules, random: 499_999) == 5)
        #expect(delay(rules, random: 500_000) == 0)
        rules.delay = .header
        let asked = [("x-envoy-fault-delay-request", "20"), ("x-envoy-fault-delay-request-percentage", "10")]
        #expect(delay(rules, asked, random: 99_999) == 20_000_000)
        #expect(delay(rules, asked, random: 100_000) == 0)
        for text in ["", "-5", "0", "x", "99999999999"] {
            #expect(delay(rules, [("x-envoy-fault-delay-request", text)], random: 0) == 0)
        }
    }

    @Test("answers come as slowly as the rules or their headers say")
    func rates() {
        func rate(_ rules: FaultRules, _ fields: [(String, String)] = [], random: UInt64 = 0) -> UInt64? {
            let request = TestRequest("GET", "a", "/", fields)
            return withExtendedLifetime(request) { rules.rate(of: request.view, random: random) }
        }
        var rules = FaultRules()
        rules.rateShare = .init(numerator: 50, unit: 10_000)
        #expect(rate(rules) == nil)
        rules.rate = .fixed(3)
        #expect(rate(rules) == 3072 && rate(rules, random: 500_000) == nil)
        rules.rate = .fixed(.max)
        let most: UInt64 = 1024 << 32
        #expect(rate(rules) == most)
        rules.rate = .header
        let name = "x-envoy-fault-throughput-response"
        #expect(rate(rules, [(name, "7")]) == 7168 && rate(rules, [(name, "7"), (name + "-percentage", "0")]) == nil)
        for text in ["", "0", "-1", "x", "99999999999"] { #expect(rate(rules, [(name, text)]) == nil) }
    }

    @Test("requests fail with what the rules or their headers say")
    func aborts() {
        var rules = FaultRules()
        rules.abortShare = .init(numerator: 100, unit: 10_000)
        #expect(failure(rules) == nil)
        rules.abort = .http(503)
        #expect(failure(rules) == .init(status: 503))
        rules.abort = .call(8)
        #expect(failure(rules) == .init(status: 200, call: 8))
        rules.abort = .header
        let table: [(String, String, FaultRules.Failure?)] = [
            ("x-envoy-fault-abort-request", "404", .init(status: 404)), ("x-envoy-fault-abort-request", "600", nil),
            ("x-envoy-fault-abort-request", "199", nil),
            ("x-envoy-fault-abort-grpc-request", "16", .init(status: 200, call: 16)),
            ("x-envoy-fault-abort-grpc-request", "17", nil), ("x-other", "404", nil),
        ]
        for (name, value, expected) in table {
            #expect(failure(rules, [(name, value)]) == expected)
        }
        let never = [("x-envoy-fault-abort-request", "404"), ("x-envoy-fault-abort-request-percentage", "0")]
        #expect(failure(rules, never) == nil)
    }
}
