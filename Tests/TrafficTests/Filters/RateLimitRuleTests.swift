import HTTP
import Testing
import Traffic

@Suite("Descriptors of rate limits")
struct RateLimitRuleTests {
    private let arena = Arena()

    private func descriptor(_ actions: [RateLimitRule.Action], client: String = "10.0.0.1", cluster: String = "web")
        -> [[String]]?
    {
        let text = Array("x-key".utf8) + Array("value".utf8)
        let place = [FieldPlace(nameStart: 0, nameLength: 5, valueStart: 5, valueLength: 5)]
        return text.withUnsafeBytes { raw in
            place.withUnsafeBufferPointer { fields -> [[String]]? in
                var view = RequestView(method: arena.copy("GET"), authority: arena.copy("shop"), path: arena.copy("/a"))
                view.query = arena.copy("q=5&r")
                view.base = raw.baseAddress
                view.fields = fields.baseAddress
                view.fieldCount = 1
                var facts = RateLimitFacts(request: view)
                facts.client = Array(client.utf8)
                facts.cluster = arena.copy(cluster)
                return RateLimitRule(stage: 0, actions: actions).descriptor(facts)?.entries.map {
                    [String(decoding: $0.key, as: UTF8.self), String(decoding: $0.value, as: UTF8.self)]
                }
            }
        }
    }

    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    @Test("entries stand in the order of their actions")
    func order() {
        let made = descriptor([
            .fixed(bytes("k"), bytes("v")), .destinationCluster, .remoteAddress,
            .header(arena.copy("x-key"), key: bytes("h"), skipsAbsent: false),
            .header(arena.copy(":method"), key: bytes("m"), skipsAbsent: false),
            .parameter(arena.copy("q"), key: bytes("q"), skipsAbsent: false),
            .parameter(arena.copy("r"), key: bytes("r"), skipsAbsent: false),
        ])
        #expect(
            made == [
                ["k", "v"], ["destination_cluster", "web"], ["remote_address", "10.0.0.1"], ["h", "value"],
                ["m", "GET"],
                ["q", "5"], ["r", ""],
            ]
        )
    }

    @Test("an action with nothing to say ends its rule, unless it may be left out")
    func absent() {
        let fixed = RateLimitRule.Action.fixed(bytes("k"), bytes("v"))
        #expect(descriptor([fixed, .header(arena.copy("x-none"), key: bytes("h"), skipsAbsent: false)]) == nil)
        #expect(
            descriptor([fixed, .header(arena.copy("x-none"), key: bytes("h"), skipsAbsent: true)]) == [["k", "v"]]
        )
        #expect(descriptor([.header(arena.copy("x-none"), key: bytes("h"), skipsAbsent: true)]) == nil)
        #expect(descriptor([fixed, .parameter(arena.copy("none"), key: bytes("h"), skipsAbsent: false)]) == nil)
        #expect(descriptor([.remoteAddress], client: "") == nil)
        #expect(descriptor([.destinationCluster], cluster: "") == nil)
    }

    @Test("matches count as they are wanted")
    func matches() {
        var there = HeaderMatch()
        there.name = arena.copy("x-key")
        var missing = there
        missing.name = arena.copy("x-none")
        func made(_ match: HeaderMatch, _ wanted: Bool) -> [[String]]? {
            descriptor([.headers([match], wanted: wanted, key: bytes("header_match"), value: bytes("yes"))])
        }
        #expect(made(there, true) == [["header_match", "yes"]])
        #expect(made(there, false) == nil)
        #expect(made(missing, true) == nil)
        #expect(made(missing, false) == [["header_match", "yes"]])
    }
}
