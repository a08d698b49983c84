import TLS
import Testing

@testable import Proxy

@Suite("The choice of a filter chain") struct ChainChoiceTests {
    private func chain(_ name: String, _ change: (inout ChainMatch) -> Void = { _ in }) -> FilterChainConfiguration {
        var match = ChainMatch()
        change(&match)
        return FilterChainConfiguration(name: name, match: match, filter: .echo)
    }

    private func key(_ text: String) throws -> IPKey { try #require(Address(literal: text, port: 0)?.key) }
    private func range(_ text: String) throws -> AddressRange { try #require(AddressRange(cidr: text)) }

    private func facts(
        to destination: String = "10.0.0.1",
        port: UInt16 = 443,
        from source: String = "192.0.2.1",
        _ hello: ClientHello? = nil
    ) throws -> ConnectionFacts {
        var facts = ConnectionFacts(
            destination: try key(destination),
            destinationPort: port,
            source: try key(source),
            sourcePort: 4000,
            directSource: try key(source)
        )
        facts.hello = hello
        return facts
    }

    private func chosen(_ chains: [FilterChainConfiguration], _ facts: ConnectionFacts) -> String? {
        ChainChoice.choose(chains, facts)?.name
    }

    @Test("The narrowest destination, the nearest name and the client's first protocol win")
    func narrowest() throws {
        let wide = try range("10.0.0.0/8")
        let narrow = try range("10.0.0.0/24")
        let ranges = [chain("wide") { $0.destinations = [wide] }, chain("narrow") { $0.destinations = [narrow] }]
        #expect(chosen(ranges, try facts()) == "narrow")
        #expect(chosen(ranges, try facts(to: "10.9.0.1")) == "wide")
        #expect(chosen(ranges, try facts(to: "11.0.0.1")) == nil)
        let names = [
            chain("any"), chain("all") { $0.serverNames = ["*.com"] },
            chain("below") { $0.serverNames = ["*.example.com"] },
            chain("exact") { $0.serverNames = ["a.example.com"] },
        ]
        for (name, wanted) in [
            ("a.example.com", "exact"), ("b.example.com", "below"), ("x.b.example.com", "below"),
            ("example.com", "all"), ("other.org", "any"),
        ] { #expect(chosen(names, try facts(ClientHello(serverName: name))) == wanted) }
        #expect(chosen(names, try facts()) == "any")
        let protocols = [
            chain("h1") { $0.protocols = [Array("http/1.1".utf8)] }, chain("h2") { $0.protocols = [Array("h2".utf8)] },
        ]
        var hello = ClientHello()
        hello.protocols = [Array("h2".utf8), Array("http/1.1".utf8)]
        #expect(chosen(protocols, try facts(hello)) == "h2")
        hello.protocols = [Array("spdy".utf8)]
        #expect(chosen(protocols, try facts(hello)) == nil)
        var plain = try facts()
        plain.application = .http11
        #expect(chosen(protocols, plain) == "h1")
        plain.application = .http2
        #expect(chosen(protocols, plain) == nil)
    }

    @Test("What fell out at one condition does not come back when a later one fails")
    func noWayBack() throws {
        let port = chain("port") {
            $0.destinationPort = 443
            $0.serverNames = ["a.example"]
        }
        #expect(chosen([port, chain("any")], try facts(ClientHello(serverName: "b.example"))) == nil)
        #expect(chosen([port, chain("any")], try facts(port: 80, ClientHello(serverName: "b.example"))) == "any")
        let named = chain("named") {
            $0.serverNames = ["a.example"]
            $0.transport = .raw
        }
        #expect(chosen([named, chain("any")], try facts(ClientHello(serverName: "a.example"))) == nil)
    }

    @Test("Sources: whoever connected itself, this machine or others, the client's range, its port")
    func sources() throws {
        let near = try range("127.0.0.0/8")
        let balancers = try range("10.1.0.0/16")
        let chains = [
            chain("any"),
            chain("local") { $0.isFromThisHost = true },
            chain("external") {
                $0.isFromThisHost = false
                $0.sourcePorts = [4000]
            },
            chain("balanced") { $0.directSources = [balancers] },
        ]
        #expect(chosen(chains, try facts(from: "127.0.0.1")) == "local")
        #expect(chosen(chains, try facts(to: "192.0.2.1")) == "local")
        #expect(chosen(chains, try facts()) == "external")
        var other = try facts()
        other.sourcePort = 5000
        #expect(chosen(chains, other) == nil)
        other.directSource = try key("10.1.2.3")
        #expect(chosen(chains, other) == "balanced")
        let ranged = [chain("near") { $0.sources = [near] }, chain("far")]
        #expect(chosen(ranged, try facts(from: "127.1.1.1")) == "near")
        #expect(chosen(ranged, try facts()) == "far")
        var pipe = try facts()
        pipe.hasAddress = false
        #expect(chosen(chains, pipe) == "local")
        #expect(chosen(ranged, pipe) == "far")
    }

    @Test("Chains that would take the same connections are found by a combination that both have")
    func repetitions() throws {
        let one = chain("one") { $0.serverNames = ["a", "b"] }.match
        let two = chain("two") { $0.serverNames = ["b", "c"] }.match
        #expect(!Set(one.paths).isDisjoint(with: two.paths))
        let three = chain("three") {
            $0.serverNames = ["b"]
            $0.transport = .tls
        }.match
        #expect(Set(one.paths).isDisjoint(with: three.paths))
        let everywhere = try range("0.0.0.0/0")
        #expect(chain("") { $0.destinations = [everywhere] }.match.paths == chain("").match.paths)
    }
}
