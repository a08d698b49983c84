// Scripted exchanges with a control plane, by values.
import EnvoyAPI
import Testing

@testable import Proxy

private func assignment(_ name: String, port: Int = 80) -> Envoy.AnyBytes {
    let address = Envoy.SocketAddress(address: "10.0.0.1", portValue: UInt32(port))
    let endpoint = Envoy.LbEndpoint(endpoint: Envoy.Endpoint(address: Envoy.Address(kind: .socket(address))))
    let message = Envoy.ClusterLoadAssignment(
        clusterName: name,
        endpoints: [Envoy.LocalityLbEndpoints(lbEndpoints: [endpoint])]
    )
    return Envoy.AnyBytes(typeUrl: Envoy.ClusterLoadAssignment.typeURL, value: message.protobufBytes)
}

private func cluster(_ name: String, policy: Envoy.Cluster.LbPolicy = .roundRobin) -> Envoy.AnyBytes {
    Envoy.AnyBytes(
        typeUrl: Envoy.Cluster.typeURL,
        value: Envoy.Cluster(name: name, lbPolicy: policy).protobufBytes
    )
}

private let node = Envoy.Node(id: "one", cluster: "test")

/// A session with a stream, and the server's words.
private struct Exchange {
    var session: DiscoverySession

    init(_ variant: DiscoveryVariant) {
        session = DiscoverySession(variant, node: node)
        session.connected()
    }

    mutating func ask() throws -> Envoy.DiscoveryRequest {
        let bytes = session.nextRequest()
        return try Envoy.DiscoveryRequest(protobuf: try #require(bytes))
    }

    mutating func askDelta() throws -> Envoy.DeltaDiscoveryRequest {
        let bytes = session.nextRequest()
        return try Envoy.DeltaDiscoveryRequest(protobuf: try #require(bytes))
    }

    /// What a response changes; it is settled with these faults.
    @discardableResult
    mutating func say(
        _ kind: ResourceKind,
        _ version: String,
        _ nonce: String,
        _ resources: [Envoy.AnyBytes],
        faults: [ResourceFault] = [],
        now: UInt64 = 0
    ) throws -> DiscoveryUpdate {
        let response = Envoy.RawDiscoveryResponse(
            versionInfo: version,
            resources: resources,
            typeUrl: kind.typeURL,
            nonce: nonce
        )
        return try take(response.protobufBytes, faults, now)
    }

    @discardableResult
    mutating func sayDelta(
        _ kind: ResourceKind,
        _ nonce: String,
        _ resources: [Envoy.DiscoveryResource],
        removed: [String] = [],
        faults: [ResourceFault] = [],
        now: UInt64 = 0
    ) throws -> DiscoveryUpdate {
        let response = Envoy.DeltaDiscoveryResponse(
            resources: resources,
            typeUrl: kind.typeURL,
            nonce: nonce,
            removedResources: removed
        )
        return try take(response.protobufBytes, faults, now)
    }

    private mutating func take(_ bytes: [UInt8], _ faults: [ResourceFault], _ now: UInt64) throws -> DiscoveryUpdate {
        guard case .update(let update) = session.received(bytes) else {
            throw Envoy.SchemaMiss.noUpdate
        }
        session.settle(update, faults, now: now)
        return update
    }
}

extension Envoy {
    fileprivate enum SchemaMiss: Error { case noUpdate }
}

private func resource(_ name: String, _ version: String, _ any: Envoy.AnyBytes?, ttl: Duration? = nil)
    -> Envoy.DiscoveryResource
{ Envoy.DiscoveryResource(name: name, version: version, resource: any, ttl: ttl) }

@Suite("Discovery session, state of the world")
struct WholeDiscoveryTests {
    @Test("the node goes with a stream's first request only, and versions survive the stream while nonces do not")
    func reconnect() throws {
        var one = Exchange(.whole)
        one.session.wantAll(.cluster, wait: 0, now: 0)
        let first = try one.ask()
        #expect(first.node?.id == "one" && first.node?.userAgentName == "weft-proxy")
        #expect(first.resourceNames.isEmpty && first.versionInfo.isEmpty && first.responseNonce.isEmpty)
        try one.say(.cluster, "7", "n1", [cluster("web")])
        let answer = try one.ask()
        #expect(answer.versionInfo == "7" && answer.responseNonce == "n1" && answer.errorDetail == nil)
        #expect(answer.node == nil)
        #expect(one.session.nextRequest() == nil, "an answer is due once")
        one.session.disconnected()
        #expect(one.session.nextRequest() == nil, "nothing goes out without a stream")
        one.session.connected()
        let again = try one.ask()
        #expect(again.versionInfo == "7" && again.responseNonce.isEmpty && again.node?.id == "one")
    }

    @Test("a refusal names the fault under the new nonce and the last good version, and nothing of it is taken")
    func refusal() throws {
        var one = Exchange(.whole)
        one.session.wantAll(.cluster, wait: 0, now: 0)
        _ = try one.ask()
        try one.say(.cluster, "1", "a", [cluster("web")])
        _ = try one.ask()
        let fault = ResourceFault(name: "web", text: "lb_policy: no")
        let update = try one.say(
            .cluster,
            "2",
            "b",
            [cluster("web", policy: .random), cluster("new")],
            faults: [fault]
        )
        #expect(update.changed.map(\.name) == ["web", "new"] && update.isWhole)
        let answer = try one.ask()
        #expect(answer.versionInfo == "1" && answer.responseNonce == "b")
        #expect(answer.errorDetail == Envoy.Status(code: 3, message: "lb_policy: no"))
        #expect(one.session[.cluster].accepted.keys.sorted() == ["web"])
        #expect(one.session[.cluster].numbers.rejections == 1 && one.session[.cluster].numbers.successes == 1)
    }

    @Test("clusters that a response does not name are gone; unchanged ones are not told of")
    func complete() throws {
        var one = Exchange(.whole)
        one.session.wantAll(.cluster, wait: 0, now: 0)
        try one.say(.cluster, "1", "a", [cluster("web"), cluster("api")])
        let update = try one.say(.cluster, "2", "b", [cluster("web"), cluster("db")])
        #expect(update.changed.map(\.name) == ["db"] && update.removed == ["api"])
        #expect(one.session[.cluster].accepted.keys.sorted() == ["db", "web"])
    }

    @Test("endpoints that a response does not name stay, and names that nobody asked for are nobody's")
    func partial() throws {
        var one = Exchange(.whole)
        one.session.want(.endpoints, ["a": 0, "b": 0], now: 0)
        let first = try one.ask()
        #expect(first.resourceNames == ["a", "b"])
        try one.say(.endpoints, "1", "n", [assignment("a"), assignment("b")])
        let update = try one.say(.endpoints, "2", "m", [assignment("a", port: 81), assignment("c")])
        #expect(update.changed.map(\.name) == ["a"] && update.removed.isEmpty)
    }

    @Test("further names are asked for with the version and nonce that stand; dropped ones are forgotten")
    func names() throws {
        var one = Exchange(.whole)
        one.session.want(.endpoints, ["a": 0], now: 0)
        _ = try one.ask()
        try one.say(.endpoints, "1", "n", [assignment("a")])
        _ = try one.ask()
        one.session.want(.endpoints, ["a": 0, "b": 0], now: 0)
        let more = try one.ask()
        #expect(more.resourceNames == ["a", "b"] && more.versionInfo == "1" && more.responseNonce == "n")
        one.session.want(.endpoints, ["b": 0], now: 0)
        let fewer = try one.ask()
        #expect(fewer.resourceNames == ["b"])
        one.session.want(.endpoints, ["a": 0, "b": 0], now: 0)
        _ = try one.ask()
        let update = try one.say(.endpoints, "2", "m", [assignment("a")])
        #expect(update.changed.map(\.name) == ["a"], "what was dropped is new when it comes again")
    }

    @Test("a name that stands twice, a foreign type and a missing name refuse the response by the place")
    func faults() throws {
        var one = Exchange(.whole)
        one.session.wantAll(.cluster, wait: 0, now: 0)
        _ = try one.ask()
        try one.say(.cluster, "1", "a", [cluster("web"), cluster("web")])
        #expect(try one.ask().errorDetail?.message == "resources[1].the name \"web\" stands here twice")
        try one.say(.cluster, "1", "b", [assignment("web")])
        let foreign = try #require(try one.ask().errorDetail?.message)
        #expect(foreign.hasPrefix("resources[0].@type: ") && foreign.contains("ClusterLoadAssignment"))
        try one.say(.cluster, "1", "c", [cluster("")])
        #expect(try one.ask().errorDetail?.message == "resources[0].name: required")
    }

    @Test("types that nobody asked for are passed over, and bytes that are no message end the stream")
    func foreign() {
        var one = Exchange(.whole)
        one.session.wantAll(.cluster, wait: 0, now: 0)
        let other = Envoy.RawDiscoveryResponse(typeUrl: Envoy.Secret.typeURL, nonce: "x")
        guard case .ignored = one.session.received(other.protobufBytes) else {
            Issue.record("expected to be passed over")
            return
        }
        for bytes in [[0x0A, 0x7F, 1], [0xFF], [0x0B]] as [[UInt8]] {
            guard case .malformed = one.session.received(bytes) else {
                Issue.record("\(bytes) were taken")
                return
            }
        }
    }

    @Test("wrapped items live as long as they say, unless a heartbeat comes")
    func lives() throws {
        func wrap(_ resource: Envoy.DiscoveryResource) -> Envoy.AnyBytes {
            Envoy.AnyBytes(typeUrl: Envoy.DiscoveryResource.typeURL, value: resource.protobufBytes)
        }
        var one = Exchange(.whole)
        one.session.wantAll(.cluster, wait: 0, now: 0)
        let second: UInt64 = 1_000_000_000
        try one.say(.cluster, "1", "a", [wrap(resource("web", "1", cluster("web"), ttl: .seconds(3)))], now: 0)
        #expect(one.session.deadline == 3 * second)
        let beat = try one.say(.cluster, "1", "b", [wrap(resource("web", "1", nil, ttl: .seconds(3)))], now: 2 * second)
        #expect(beat.isEmpty, "a heartbeat is no change, and removes nothing")
        #expect(one.session.fired(now: 4 * second).isEmpty)
        let over = one.session.fired(now: 5 * second)
        #expect(over.map(\.expired) == [["web"]] && one.session.deadline == nil)
        #expect(one.session[.cluster].accepted.isEmpty)
    }

    @Test("a first response that does not come is told of once, and one that is refused is one")
    func waits() throws {
        var one = Exchange(.whole)
        one.session.wantAll(.cluster, wait: 15, now: 100)
        one.session.want(.endpoints, ["a": 15, "b": 30, "c": 0], now: 100)
        #expect(one.session.deadline == 115)
        try one.say(.cluster, "1", "n", [cluster("")])
        let late = one.session.fired(now: 115)
        #expect(late.map(\.late) == [["a"]])
        try one.say(.endpoints, "1", "m", [assignment("b")])
        #expect(one.session.deadline == nil)
        #expect(one.session[.endpoints].numbers.timeouts == 1)
    }
}

@Suite("Discovery session, incremental")
struct DeltaDiscoveryTests {
    @Test("names are subscribed to and given up one by one, and a new stream tells what is there")
    func names() throws {
        var one = Exchange(.incremental)
        one.session.want(.endpoints, ["a": 0, "b": 0], now: 0)
        let first = try one.askDelta()
        #expect(first.resourceNamesSubscribe == ["a", "b"] && first.initialResourceVersions.isEmpty)
        #expect(first.node?.id == "one")
        try one.sayDelta(.endpoints, "n", [resource("a", "5", assignment("a"))])
        #expect(try one.askDelta().responseNonce == "n")
        one.session.want(.endpoints, ["a": 0, "c": 0], now: 0)
        let change = try one.askDelta()
        #expect(change.resourceNamesSubscribe == ["c"] && change.resourceNamesUnsubscribe == ["b"])
        #expect(change.responseNonce.isEmpty, "a request of one's own has no nonce")
        one.session.disconnected()
        one.session.connected()
        let again = try one.askDelta()
        #expect(again.resourceNamesSubscribe == ["a", "c"] && again.initialResourceVersions == ["a": "5"])
    }

    @Test("all clusters are asked for without a name; names beside them say the star")
    func wildcard() throws {
        var one = Exchange(.incremental)
        one.session.wantAll(.cluster, wait: 0, now: 0)
        #expect(try one.askDelta().resourceNamesSubscribe.isEmpty)
        one.session.want(.cluster, ["lazy": 0], now: 0)
        #expect(try one.askDelta().resourceNamesSubscribe == ["*", "lazy"])
        one.session.want(.cluster, [:], now: 0)
        #expect(try one.askDelta().resourceNamesUnsubscribe == ["lazy"])
    }

    @Test("good resources of a response are taken beside bad ones, whose versions stay")
    func refusal() throws {
        var one = Exchange(.incremental)
        one.session.wantAll(.cluster, wait: 0, now: 0)
        _ = try one.askDelta()
        try one.sayDelta(.cluster, "a", [resource("web", "1", cluster("web"))])
        _ = try one.askDelta()
        let update = try one.sayDelta(
            .cluster,
            "b",
            [resource("web", "2", cluster("web", policy: .random)), resource("api", "2", cluster("api"))],
            faults: [ResourceFault(name: "web", text: "no")]
        )
        #expect(!update.isWhole)
        let answer = try one.askDelta()
        #expect(answer.responseNonce == "b" && answer.errorDetail?.message == "no")
        one.session.disconnected()
        one.session.connected()
        #expect(try one.askDelta().initialResourceVersions == ["web": "1", "api": "2"])
    }

    @Test("removed clusters are gone; the same bytes under a new version are told of, so that the version is known")
    func removal() throws {
        var one = Exchange(.incremental)
        one.session.wantAll(.cluster, wait: 0, now: 0)
        try one.sayDelta(.cluster, "a", [resource("web", "1", cluster("web")), resource("api", "1", cluster("api"))])
        let update = try one.sayDelta(.cluster, "b", [resource("web", "2", cluster("web"))], removed: ["api"])
        #expect(update.removed == ["api"] && update.changed.map(\.version) == ["2"])
        #expect(one.session[.cluster].accepted.mapValues(\.version) == ["web": "2"])
        let calls = try one.sayDelta(.cluster, "c", [resource("web", "3", cluster("other"))])
        #expect(calls.faults.map(\.name) == ["web"] && calls.changed.isEmpty)
    }
}

@Suite("Messages of a gRPC stream")
struct MessageFramesTests {
    @Test("messages are cut wherever the bytes are split")
    func split() throws {
        let messages: [[UInt8]] = [[1, 2, 3], [], [UInt8](repeating: 7, count: 300)]
        let bytes = messages.flatMap { MessageFrames.frame($0) }
        for size in [1, 2, 3, 7, 100, bytes.count] {
            var frames = MessageFrames(limit: 1000)
            var found: [[UInt8]] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                Array(bytes[start..<min(bytes.count, start + size)]).withUnsafeBytes { frames.append($0) }
                while let message = try frames.next() { found.append(message) }
            }
            #expect(found == messages)
        }
    }

    @Test("long and compressed messages are refused")
    func refused() {
        let bytes: [UInt8] = [0, 0, 0, 0, 11]
        var other = MessageFrames(limit: 10)
        bytes.withUnsafeBytes { other.append($0) }
        #expect(throws: MessageFrames.Fault.tooLong(11)) { try other.next() }
        let packed: [UInt8] = [1, 0, 0, 0, 1, 9]
        var compressed = MessageFrames(limit: 10)
        packed.withUnsafeBytes { compressed.append($0) }
        #expect(throws: MessageFrames.Fault.compressed) { try compressed.next() }
    }

    @Test("waits double up to half a minute, keep their lower half, and begin anew after a success")
    func delays() {
        var delay = ReconnectDelay()
        var least: [UInt64] = []
        for _ in 0..<10 { least.append(delay.next(0)) }
        #expect(Array(least.prefix(3)) == [250_000_000, 500_000_000, 1_000_000_000])
        #expect(least.last == 15_000_000_000)
        for random in [UInt64.max, 1, 12345] { #expect((15_000_000_000...30_000_000_000).contains(delay.next(random))) }
        delay.reset()
        #expect(delay.next(0) == 250_000_000)
    }

    @Test("a control plane on the same machine is looked for sooner, and never seldom")
    func localDelays() {
        var delay = ReconnectDelay()
        var waits: [UInt64] = []
        for _ in 0..<10 { waits.append(delay.next(0, isLocal: true)) }
        #expect(Array(waits.prefix(3)) == [10_000_000, 20_000_000, 40_000_000])
        #expect(waits.last == 125_000_000 && delay.next(125_000_000, isLocal: true) == 250_000_000)
    }
}

@Suite("Discovery session, answers that wait for the workers")
struct HeldAnswerTests {
    private func begun(_ variant: DiscoveryVariant) throws -> Exchange {
        var one = Exchange(variant)
        one.session.wantAll(.cluster, wait: 0, now: 0)
        _ = one.session.nextRequest()
        return one
    }

    private func hear(_ one: inout Exchange, _ nonce: String, faults: [ResourceFault] = []) throws {
        let response = Envoy.DeltaDiscoveryResponse(
            resources: [resource("web", nonce, cluster("web"))],
            typeUrl: ResourceKind.cluster.typeURL,
            nonce: nonce
        )
        guard case .update(let update) = one.session.received(response.protobufBytes) else {
            throw Envoy.SchemaMiss.noUpdate
        }
        one.session.settle(update, faults, now: 0, holds: true)
    }

    @Test("an acceptance is due when the snapshot with it is in use, new names are told before it")
    func waits() throws {
        var one = try begun(.incremental)
        try hear(&one, "n1")
        #expect(one.session.nextRequest() == nil)
        one.session.want(.endpoints, ["web": 0], now: 0)
        let names = try one.askDelta()
        #expect(names.typeUrl == ResourceKind.endpoints.typeURL && names.resourceNamesSubscribe == ["web"])
        let isEarly = one.session.applied(7)
        #expect(!isEarly && one.session.nextRequest() == nil, "nothing was committed")
        one.session.committed(8)
        let isOld = one.session.applied(7)
        #expect(!isOld && one.session.nextRequest() == nil)
        let isDue = one.session.applied(8)
        #expect(isDue)
        let answer = try one.askDelta()
        #expect(answer.responseNonce == "n1" && answer.errorDetail == nil)
        #expect(one.session.nextRequest() == nil)
    }

    @Test("names that are added meanwhile do not answer, a refusal waits for nobody")
    func names() throws {
        var one = try begun(.incremental)
        try hear(&one, "n1")
        one.session.want(.cluster, ["more": 0], now: 0)
        let names = try one.askDelta()
        #expect(names.responseNonce.isEmpty && names.resourceNamesSubscribe.contains("more"))
        try hear(&one, "n2", faults: [ResourceFault(name: "web", text: "no")])
        #expect(try one.askDelta().responseNonce == "n2")
    }

    @Test("what waits does not outlive its stream")
    func reconnect() throws {
        var one = try begun(.incremental)
        try hear(&one, "n1")
        one.session.disconnected()
        one.session.connected()
        _ = one.session.nextRequest()
        one.session.committed(1)
        let isDue = one.session.applied(1)
        #expect(!isDue && one.session.nextRequest() == nil)
    }
}
