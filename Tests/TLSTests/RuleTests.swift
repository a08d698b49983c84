import TLS
import Testing

@Suite struct RuleTests {
    private func objection(
        _ names: [PeerIdentity.Name],
        _ matchers: [NameMatcher] = [],
        isForClients: Bool = true,
        wanted: String? = nil
    ) -> String? {
        PeerRule(names: matchers, isForClients: isForClients).objection(to: PeerIdentity(names: names), wanted: wanted)
    }

    private let shop = NameMatcher(.uri, .exact("spiffe://td/ns/shop/sa/web"))

    @Test("A SPIFFE id is accepted in the standard's form only")
    func spiffe() {
        #expect(objection([.init(.uri, "spiffe://td/ns/shop/sa/web")], [shop]) == nil)
        #expect(SPIFFEIdentity(Array("spiffe://td/ns/a".utf8))?.trustDomain == "td")
        for text in [
            "spiffe://td/ns/shop/sa/Web", "spiffe://TD/ns/shop/sa/web", "SPIFFE://td/ns/shop/sa/web",
            "spiffe://td/ns/shop/sa/web/", "spiffe://td//ns/shop/sa/web", "spiffe://td/ns/shop/sa/%77eb",
            "spiffe://td:80/ns/shop/sa/web", "spiffe://u@td/ns/shop/sa/web", "spiffe://td/ns/shop/sa/web?a",
            "spiffe://td/ns/../sa/web", "spiffe://td", "spiffe://td/", "spiffe:///a", "spiffe://other/ns/shop/sa/web",
        ] {
            #expect(objection([.init(.uri, text)], [shop]) != nil, "\(text)")
        }
    }

    @Test("Several URIs, none at all, and names with bytes that are not printed are refused")
    func odd() {
        let id = PeerIdentity.Name(.uri, "spiffe://td/ns/shop/sa/web")
        #expect(
            objection([id, .init(.uri, "https://a/")], [shop])
                == "a SPIFFE certificate has exactly one URI, this one has 2"
        )
        #expect(objection([], [shop]) == "name mismatch: wanted spiffe://td/ns/shop/sa/web, got no names")
        #expect(objection([.init(.uri, Array(id.bytes) + [0] + Array("x".utf8))], [shop])?.contains("\\x00") == true)
        #expect(objection([.init(.dns, "a.example\0.evil.example")], [])?.contains("unprintable") == true)
    }

    @Test("An authority's certificate is no peer's")
    func authority() {
        var peer = PeerIdentity(names: [.init(.dns, "a.example")], subject: "CN=ca")
        peer.isAuthority = true
        #expect(
            PeerRule(isForClients: true).objection(to: peer)
                == "the certificate of CN=ca is an authority's, not a peer's"
        )
        #expect(PeerRule().objection(to: peer) == nil)
        peer = PeerIdentity(names: [.init(.uri, "spiffe://td/a")])
        peer.maySignCertificates = true
        #expect(PeerRule().objection(to: peer) != nil)
    }

    @Test(
        "Names of hosts know no case and one label of wildcard",
        arguments: [
            ("api.example.com", "API.Example.com", true), ("*.example.com", "api.example.com", true),
            ("*.example.com", "a.api.example.com", false), ("*.example.com", "example.com", false),
            ("*.com", "example.com", false),
            ("ap*.example.com", "api.example.com", false), ("api.example.com.evil", "api.example.com", false),
        ]
    )
    func hosts(certificate: String, wanted: String, isAccepted: Bool) {
        let objection = objection([.init(.dns, certificate)], isForClients: false, wanted: wanted)
        #expect((objection == nil) == isAccepted)
        if !isAccepted { #expect(objection == "name mismatch: wanted \(wanted), got \(certificate)") }
    }

    @Test("Prefixes, suffixes, parts and addresses")
    func patterns() {
        let uri = PeerIdentity.Name(.uri, "spiffe://td/ns/shop/sa/web")
        #expect(NameMatcher(.uri, .prefix("spiffe://td/ns/shop/")).accepts(uri))
        #expect(!NameMatcher(.uri, .prefix("spiffe://td/ns/shop/SA")).accepts(uri))
        #expect(NameMatcher(.uri, .suffix("/sa/web")).accepts(uri))
        #expect(NameMatcher(.uri, .contains("ns/shop")).accepts(uri))
        #expect(!NameMatcher(.uri, .contains("ns/shopp")).accepts(uri))
        #expect(!NameMatcher(.dns, .contains("shop")).accepts(uri))
        #expect(NameMatcher(.ip, .exact("192.0.2.1")).accepts(.init(.ip, [192, 0, 2, 1])))
        #expect(NameMatcher(.uri, .exact("SPIFFE://td/ns/shop/sa/web"), ignoresCase: true).accepts(uri))
    }

    @Test("The table prefers the name, then one level of wildcard, then the first")
    func table() {
        var table = ServerNameTable()
        table.add(["first.example"], place: 0)
        table.add(["*.example.com", "example.com"], place: 1)
        table.add(["api.example.com"], place: 2)
        func place(_ name: String) -> Int { table.place(of: Array(name.utf8)) }
        #expect(place("api.example.com") == 2)
        #expect(place("API.Example.COM.") == 2)
        #expect(place("www.example.com") == 1)
        #expect(place("a.www.example.com") == 0)
        #expect(place("example.com") == 1)
        #expect(place("") == 0)
        #expect(place("a\0b.example.com") == 0)
    }
}
