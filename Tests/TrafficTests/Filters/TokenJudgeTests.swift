// swift-format-ignore-file
import HTTP
import Testing
import Tokens
import Traffic

/// Of https://issuer.example for ann, to shop and stock, good from 1,000,000,000 to 2,000,000,000, signed with the key below.
private let signed = "eyJhbGciOiJIUzI1NiIsImtpZCI6Im9jdCIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIiwic3ViIjoiYW5uIiwiYXVkIjpbInNob3AiLCJzdG9jayJdLCJleHAiOjIwMDAwMDAwMDAsIm5iZiI6MTAwMDAwMDAwMCwicm9sZSI6eyJuYW1lIjoiYWRtaW4iLCJsZXZlbCI6M319.fP7B92zuayQkM6B1bGSG5Hqa_CF27yEtzxJut6CjDAQ"
private let keys = #"{"keys":[{"kty": "oct", "kid": "oct", "k": "YSBzZWNyZXQgdGhhdCBpcyBsb25nIGVub3VnaCBmb3IgYSBzdW0gb2YgNTEyIGJpdHMsIHdoaWNoIGhhcyBzaXh0eS1mb3VyIGJ5dGVz"}]}"#

@Suite struct TokenJudgeTests {
    private let now: UInt64 = 1_500_000_000

    private func provider(_ name: String = "one", _ change: (inout TokenProvider) -> Void = { _ in }) -> TokenProvider {
        var provider = TokenProvider(name: name)
        provider.issuer = "https://issuer.example"
        change(&provider)
        return provider
    }

    private func judge(
        _ requirement: TokenRequirement,
        _ fields: [(String, String)],
        query: String = "",
        providers: [TokenProvider]? = nil,
        keys given: [ProviderKeys]? = nil,
        now: UInt64? = nil
    ) throws -> TokenVerdict {
        let ready = ProviderKeys.ready(try KeySet(json: Array(keys.utf8)))
        let providers = providers ?? [provider()]
        return FieldSample(fields).look { view in
            Array(query.utf8).withUnsafeBytes { query in
                var view = view
                view.query = ByteRun(query)
                return TokenJudge(
                    providers: providers,
                    keys: given ?? Array(repeating: ready, count: providers.count),
                    view: view,
                    now: now ?? self.now
                ).judge(requirement)
            }
        }
    }

    private let bearer = [("Authorization", "Bearer " + signed)]
    private let one = TokenRequirement.provider(0, audiences: nil)

    private func isAllowed(_ verdict: TokenVerdict) -> Bool { if case .allowed = verdict { true } else { false } }

    @Test func tokensAreFoundWhereTheyMayStand() throws {
        #expect(isAllowed(try judge(one, bearer)))
        #expect(try judge(one, []) == .denied(.missing))
        #expect(try judge(one, [("authorization", "Basic " + signed)]) == .denied(.missing))
        #expect(isAllowed(try judge(one, [], query: "a=b&access%5Ftoken=" + signed)))
        #expect(try judge(one, [], query: "token=" + signed) == .denied(.missing))
        let cookie = provider { $0.places = [.cookie(name: Array("session".utf8))] }
        #expect(isAllowed(try judge(one, [("cookie", "a=b; session=\"\(signed)\"")], providers: [cookie])))
        #expect(try judge(one, [("cookie", "xsession=\(signed)")], providers: [cookie]) == .denied(.missing))
    }

    @Test func everyTokenThatIsThereHasToBeGood() throws {
        #expect(try judge(one, bearer + [("authorization", "Bearer x.y.z")]) != (try judge(one, bearer)))
        #expect(try judge(one, bearer, query: "access_token=x") == .denied(.badForm))
    }

    @Test func whatIsSaidOfTheTokenCounts() throws {
        let cases: [(TokenFault?, (inout TokenProvider) -> Void)] = [
            (.unknownIssuer, { $0.issuer = "https://other.example" }), (nil, { $0.issuer = "" }),
            (.audienceNotAllowed, { $0.audiences = ["bank"] }), (nil, { $0.audiences = ["bank", "http://stock/"] }),
            (.verificationFailed, { $0.subjects = .exact("Ann") }), (nil, { $0.subjects = .prefix("a") }),
            (.verificationFailed, { $0.longestLife = 499_999_999 }), (nil, { $0.longestLife = 500_000_000 }),
            (nil, { $0.requiresExpiry = true }),
        ]
        for (fault, change) in cases {
            let verdict = try judge(one, bearer, providers: [provider("one", change)])
            #expect(fault.map { verdict == .denied($0) } ?? isAllowed(verdict))
        }
        #expect(try judge(one, bearer, now: 2_000_000_061) == .denied(.expired))
        #expect(try judge(one, bearer, now: 999_999_939) == .denied(.notYetValid))
        #expect(try judge(.provider(0, audiences: ["bank"]), bearer) == .denied(.audienceNotAllowed))
    }

    @Test func requirementsAreCombined() throws {
        let other = provider("two") {
            $0.issuer = "https://two.example"
            $0.places = [.header(name: Array("x-two".utf8), prefix: [])]
        }
        let both = [provider(), other]
        let two = TokenRequirement.provider(1, audiences: nil)
        #expect(try judge(.all([one, two]), bearer, providers: both) == .denied(.missing))
        #expect(isAllowed(try judge(.any([two, one]), bearer, providers: both)))
        #expect(try judge(.any([one, two]), [], providers: both) == .denied(.missing))
        #expect(try judge(.any([two, one]), [("x-two", signed)], providers: both) == .denied(.unknownIssuer))
        #expect(isAllowed(try judge(.any([one, .allowMissing]), [], providers: both)))
        #expect(try judge(.allowMissing, [("x-two", signed)], providers: both) == .denied(.unknownIssuer))
        #expect(isAllowed(try judge(.allowMissing, bearer, providers: both)))
        #expect(isAllowed(try judge(.allowMissingOrFailed, [("x-two", "nonsense")], providers: both)))
        #expect(try judge(.never, bearer) == .denied(.missing))
    }

    @Test func keysAreAskedForOnlyWhenTheyAreWanted() throws {
        #expect(try judge(one, bearer, keys: [.absent]) == .needsKeys(0))
        #expect(try judge(one, [], keys: [.absent]) == .denied(.missing))
        #expect(try judge(one, bearer, keys: [.absent], now: 3_000_000_000) == .denied(.expired))
        #expect(try judge(one, bearer, keys: [.failed(.keysNotFetched)]) == .denied(.keysNotFetched))
        #expect(try judge(.allowMissingOrFailed, bearer, keys: [.absent]) == .needsKeys(0))
    }

    @Test func goodTokensTellTheEndpointWhatTheySay() throws {
        let full = provider {
            $0.payloadField = Array("x-payload".utf8)
            $0.padsPayload = true
            $0.claimFields = [
                .init(name: Array("x-name".utf8), path: ["role", "name"]),
                .init(name: Array("x-none".utf8), path: ["none"]),
                .init(name: Array("x-role".utf8), path: ["role"]),
            ]
            $0.clearsRoute = true
        }
        guard case .allowed(let effects) = try judge(one, bearer, providers: [full]) else {
            Issue.record("it is denied")
            return
        }
        #expect(effects.removed == [Array("authorization".utf8)] && effects.clearsRoute)
        #expect(effects.set.map { String(decoding: $0.name, as: UTF8.self) } == ["x-payload", "x-name", "x-role"])
        #expect(effects.set[1].value == Array("admin".utf8) && effects.set[0].value.count % 4 == 0)
        let kept = try judge(one, bearer, providers: [provider { $0.forwards = true }])
        #expect(kept == .allowed(TokenEffects()))
    }
}
