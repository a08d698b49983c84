import Reactor
import Testing
import Wire

@testable import Proxy

@Suite("What endpoints are told first, and how configurations are merged") struct IntroductionTests {
    @Test(
        "The own reader understands every header",
        arguments: [
            ("192.0.2.7", "198.51.100.1"), ("2001:db8::7", "2001:db8::1"), ("192.0.2.7", "2001:db8::1"),
        ]
    )
    func isUnderstood(source: String, destination: String) throws {
        let one = try #require(SocketAddress(source, port: 4711))
        let two = try #require(SocketAddress(destination, port: 443))
        var values = ProxyIntroduction(version: .binary)
        values.add(0xE0, [1, 2, 3])
        for introduction in [ProxyIntroduction(version: .text), ProxyIntroduction(version: .binary), values] {
            let bytes = introduction.bytes(from: one, to: two)
            let outcome = bytes.withUnsafeBytes { ProxyHeader.read($0, [.text, .binary]) }
            guard case .accepted(let length, let client, let server) = outcome else {
                Issue.record("\(outcome)")
                continue
            }
            #expect(length == bytes.count)
            #expect(client?.port == 4711 && server?.port == 443)
            #expect(client.map { IPKey($0).isIPv4 } == IPKey(one).isIPv4 || one.isIPv6 != two.isIPv6)
        }
    }

    @Test("A client without an address is named by neither version")
    func withoutAddress() {
        for version in [ProxyIntroduction.Version.text, .binary] {
            let bytes = ProxyIntroduction(version: version).bytes(from: SocketAddress(), to: SocketAddress())
            let outcome = bytes.withUnsafeBytes { ProxyHeader.read($0, [.text, .binary]) }
            guard case .accepted(let length, nil, nil) = outcome else {
                Issue.record("\(outcome)")
                continue
            }
            #expect(length == bytes.count)
        }
    }

    @Test("Lists grow, messages merge under either spelling, everything else is replaced")
    func merges() throws {
        let base = try ConfigurationStore.document(
            Array("{node: {id: a, cluster: b}, static_resources: {listeners: [1]}}".utf8)
        )
        let more = try ConfigurationStore.document(
            Array("{node: {id: c}, staticResources: {listeners: [2], clusters: [3]}}".utf8)
        )
        let wanted = try ConfigurationStore.document(
            Array("{node: {id: c, cluster: b}, static_resources: {listeners: [1, 2], clusters: [3]}}".utf8)
        )
        #expect(ConfigurationMerge.merge(base, more) == wanted)
    }

    @Test("A wait between tries grows to its most and begins at nothing")
    func backoff() {
        var more = TCPChainConfiguration.More()
        #expect(more.backoff(after: 3, random: .max) == 0)
        more.backoffBase = 100
        more.backoffMost = 250
        #expect(more.backoff(after: 1, random: 199) == 99)
        #expect(more.backoff(after: 2, random: 399) == 199)
        #expect(more.backoff(after: 60, random: 499) == 249)
    }
}
