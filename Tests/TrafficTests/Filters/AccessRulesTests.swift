import HTTP
import Testing
import Traffic

@Suite("Who may do what")
struct AccessRulesTests {
    private let arena = Arena()

    private func text(_ value: String) -> TextMatch {
        var match = TextMatch()
        match.bytes = arena.copy(value)
        return match
    }

    private func address(_ text: UInt32) -> AddressBits {
        AddressBits(high: 0, low: 0x0000_FFFF_0000_0000 | UInt64(text))
    }

    private func rules(_ action: AccessRules.Action, _ policies: [(String, AccessCondition, AccessCondition)])
        -> AccessRules
    {
        AccessRules(
            action: action,
            policies: policies.map { .init(name: $0.0, permissions: [$0.1], principals: [$0.2]) }
        )
    }

    private func judge(_ rules: AccessRules, _ change: (inout AccessFacts) -> Void = { _ in }) -> (Bool, String?) {
        let request = TestRequest("GET", "a", "/path?query", [("x-a", "1")])
        return withExtendedLifetime(request) {
            var facts = AccessFacts(request: request.view)
            change(&facts)
            return rules.judge(facts)
        }
    }

    @Test("without a policy that matches, ALLOW refuses and DENY lets pass; LOG lets everybody pass")
    func actions() {
        let matching: [(String, AccessCondition, AccessCondition)] = [("x", .not(.any), .any), ("y", .any, .any)]
        let foreign: [(String, AccessCondition, AccessCondition)] = [("x", .any, .not(.any))]
        for (action, policies, isAllowed, name) in [
            (AccessRules.Action.allow, matching, true, "y" as String?), (.allow, foreign, false, nil),
            (.allow, [], false, nil),
            (.deny, matching, false, "y"), (.deny, foreign, true, nil), (.deny, [], true, nil),
            (.log, matching, true, "y"),
            (.log, foreign, true, nil),
        ] {
            let verdict = judge(rules(action, policies))
            #expect(verdict.0 == isAllowed && verdict.1 == name)
        }
    }

    @Test("rules that look at requests are known, however deep they do")
    func requests() {
        let path = AccessCondition.path(text("/"))
        for (condition, expected) in [
            (AccessCondition.any, false), (.destinationPort(1, 2), false), (path, true),
            (.not(.all([.any, path])), true),
            (.oneOf([.any, .not(.any)]), false),
        ] {
            #expect(rules(.allow, [("x", condition, .any)]).readsRequests == expected)
            #expect(rules(.deny, [("x", .any, condition)]).readsRequests == expected)
        }
    }

    @Test("conditions look at what they name, and what is not known meets none")
    func conditions() {
        func holds(_ condition: AccessCondition, _ change: (inout AccessFacts) -> Void = { _ in }) -> Bool {
            judge(rules(.allow, [("x", condition, .any)]), change).0
        }
        #expect(holds(.path(text("/path"))) && !holds(.path(text("/path?query"))))
        #expect(holds(.all([.any, .any])) && !holds(.all([.any, .not(.any)])) && holds(.oneOf([.not(.any), .any])))
        #expect(!holds(.oneOf([])))
        #expect(holds(.destinationPort(80, 81)) { $0.destinationPort = 80 })
        #expect(!holds(.destinationPort(80, 81)) { $0.destinationPort = 81 } && !holds(.destinationPort(9, 3)))
        let block = AddressBlock(base: address(0x0A00_0000), length: 104)
        #expect(!holds(.source(block)) && !holds(.client(block)) && !holds(.destination(block)))
        #expect(holds(.source(block)) { $0.source = address(0x0AFF_FFFF) })
        #expect(!holds(.directSource(block)) { $0.directSource = address(0x0B00_0000) })
        #expect(holds(.client(AddressBlock(base: address(0), length: 0))) { $0.client = AddressBits(high: 7, low: 7) })
        #expect(
            holds(.serverName(text("a.b"))) { $0.serverName = Array("a.b".utf8) } && !holds(.serverName(text("a.b")))
        )
        #expect(!holds(.authenticated(nil)) && holds(.authenticated(nil)) { $0.isAuthenticated = true })
        let name = AccessCondition.authenticated(text("spiffe://td/a"))
        #expect(!holds(name) { $0.names = [Array("spiffe://td/a".utf8)] })
        #expect(!holds(name) { ($0.isAuthenticated, $0.names) = (true, [Array("spiffe://td/ab".utf8)]) })
        #expect(
            holds(name) { ($0.isAuthenticated, $0.names) = (true, [Array("x".utf8), Array("spiffe://td/a".utf8)]) }
        )
    }
}
