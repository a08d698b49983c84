import Testing
import Traffic

@Suite("Trace context")
struct TraceContextTests {
    private func parse(_ text: String) -> TraceContext? {
        Array(text.utf8).withUnsafeBytes { TraceContext(traceparent: ByteRun($0)) }
    }

    @Test("a traceparent is read, also one of a later version")
    func good() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        let wanted = TraceContext(
            high: 0x0af7_6519_16cd_43dd,
            low: 0x8448_eb21_1c80_319c,
            span: 0xb7ad_6b71_6920_3331,
            isSampled: true
        )
        #expect(parse(text) == wanted)
        #expect(parse("cc" + text.dropFirst(2) + "-more") == wanted)
        #expect(parse(text.dropLast(2) + "00")?.isSampled == false)
        #expect(parse(text.dropLast(2) + "fe")?.isSampled == false)
    }

    @Test(
        "what is none is left aside whole",
        arguments: [
            "", "00", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
            "00 0af7651916cd43dd8448eb211c80319c b7ad6b7169203331 01",
        ]
    )
    func bad(text: String) { #expect(parse(text) == nil) }

    @Test("b3 in one field, with and without a word on sampling")
    func b3() {
        func read(_ text: String) -> (TraceContext, Bool?)? {
            Array(text.utf8).withUnsafeBytes { TraceContext.b3(ByteRun($0)) }.map { ($0.context, $0.sampled) }
        }
        #expect(read("8448eb211c80319c-b7ad6b7169203331-1")?.1 == true)
        #expect(read("8448eb211c80319c-b7ad6b7169203331-d")?.1 == true)
        #expect(read("0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0-0000000000000001")?.1 == false)
        #expect(read("8448eb211c80319c-b7ad6b7169203331")?.0.low == 0x8448_eb21_1c80_319c)
        for text in ["", "0", "1", "8448eb211c80319c", "8448eb211c80319c-b7ad6b7169203331-2", "x-y-z", "--"] {
            #expect(read(text) == nil, "\(text)")
        }
    }

    @Test("who asks for it, who is drawn, and the share of all")
    func sampling() {
        var rule = SamplingRule()
        rule.random = 0
        #expect(rule.verdict(asksForIt: false, isForced: false, draw: 0, second: 0) == .notTraced)
        #expect(rule.verdict(asksForIt: true, isForced: false, draw: 999_999, second: 0) == .client)
        #expect(rule.verdict(asksForIt: false, isForced: true, draw: 0, second: 0) == .service)
        rule.client = 0
        #expect(rule.verdict(asksForIt: true, isForced: false, draw: 0, second: 0) == .notTraced)
        rule.random = 500_000
        #expect(rule.verdict(asksForIt: false, isForced: false, draw: 499_999, second: 0) == .drawn)
        #expect(rule.verdict(asksForIt: false, isForced: false, draw: 500_000, second: 0) == .notTraced)
        rule.overall = 100
        #expect(rule.verdict(asksForIt: false, isForced: true, draw: 0, second: 100) == .notTraced)
        #expect(rule.verdict(asksForIt: false, isForced: true, draw: 0, second: 99) == .service)
    }
}
