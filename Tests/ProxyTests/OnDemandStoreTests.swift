// What the configuration makes of requests for clusters that are not known, by values.
import EnvoyAPI
import Testing
import Traffic
import Wire

@testable import Proxy

@Suite("Clusters on demand")
struct OnDemandStoreTests {
    private func makeOne() throws -> ConfigurationStore {
        let control =
            "{name: control, type: STATIC, connect_timeout: 1s, typed_extension_protocol_options: "
            + "{envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {\"@type\": "
            + "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: "
            + "{http2_protocol_options: {}}}}, load_assignment: {cluster_name: control, endpoints: [{lb_endpoints: "
            + "[{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}}]}]}}"
        return try makeStore(
            "static_resources: {clusters: [\(control)]}\ndynamic_resources: {ads_config: {api_type: DELTA_GRPC, "
                + "grpc_services: [{envoy_grpc: {cluster_name: control}}]}}"
        )
    }

    private func question(_ name: String) -> ClusterQuestion {
        ClusterQuestion(wanted: WantedCluster(server: 0, name: .text(name)), timeout: 5)
    }

    private func update(_ change: (inout DiscoveryUpdate) -> Void) -> DiscoveryUpdate {
        var update = DiscoveryUpdate(kind: .cluster, version: "1")
        update.isWhole = false
        change(&update)
        return update
    }

    @Test(
        "a cluster that the control plane does not know is asked for once, and leaves nothing behind",
        arguments: [true, false]
    )
    func missing(isLate: Bool) throws {
        let store = try makeOne()
        #expect(store.wishes(of: 0)[.cluster] == nil)
        #expect(store.want(question("a")) && store.want(question("a")))
        #expect(store.wishes(of: 0)[.cluster] == ["a": 5])
        let answer = update { if isLate { $0.late = ["a"] } else { $0.removed = ["a"] } }
        #expect(store.take(answer, from: 0).isEmpty)
        #expect(store.takeMissing() == [question("a").wanted] && store.takeMissing().isEmpty)
        #expect(store.wishes(of: 0)[.cluster] == [:])
        #expect(store.discovered.absent[.cluster]?.isEmpty ?? true)
    }

    @Test("a cluster that came stays wanted, and nobody has to ask for it again")
    func found() throws {
        let store = try makeOne()
        #expect(store.want(question("a")))
        let document = "{name: a, type: STATIC, connect_timeout: 1s, load_assignment: {cluster_name: a}}"
        let bytes = try Envoy.Cluster.read(ConfigurationStore.document(Array(document.utf8))).protobufBytes
        let answer = update {
            $0.changed = [DiscoveredResource(name: "a", version: "1", bytes: bytes, position: 0)]
        }
        #expect(store.take(answer, from: 0).isEmpty)
        _ = store.commit()
        #expect(store.snapshot.clusterIndex(named: "a") != nil && store.takeMissing().isEmpty)
        #expect(store.want(question("a")) && store.wishes(of: 0)[.cluster] == ["a": 5])
        #expect(store.discovered.asked.isEmpty)
    }

    @Test("questions are bounded, whatever requests name")
    func bounds() throws {
        let store = try makeOne()
        for number in 0..<256 { #expect(store.want(question("c\(number)"))) }
        #expect(!store.want(question("more")) && store.want(question("c0")))
        _ = store.take(update { $0.removed = ["c0"] }, from: 0)
        #expect(store.want(question("more")) && !store.want(question("again")))
    }
}
