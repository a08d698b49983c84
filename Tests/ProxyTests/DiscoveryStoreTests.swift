// What updates of a control plane make of the configuration, by values.
import EnvoyAPI
import Testing
import Traffic
import Wire

@testable import Proxy

private let control =
    "{name: control, type: STATIC, connect_timeout: 1s, typed_extension_protocol_options: "
    + "{envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {\"@type\": "
    + "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: "
    + "{http2_protocol_options: {}}}}, load_assignment: {cluster_name: control, endpoints: [{lb_endpoints: "
    + "[{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}}]}]}}"
private let api = "{api_type: GRPC, grpc_services: [{envoy_grpc: {cluster_name: control}}]}"

private func makeDynamicStore(_ more: String = "") throws -> ConfigurationStore {
    try makeStore(
        "static_resources: {clusters: [\(control)]}\n"
            + "dynamic_resources: {ads_config: \(api), lds_config: {ads: {}}, cds_config: {ads: {}}}\n\(more)"
    )
}

extension ConfigurationStore {
    /// Takes documents in YAML as a response would bring them.
    fileprivate func give(
        _ kind: ResourceKind,
        _ documents: [String],
        removed: [String] = [],
        expired: [String] = [],
        isWhole: Bool = true
    ) throws -> [ResourceFault] {
        var update = DiscoveryUpdate(kind: kind, version: "1")
        update.isWhole = isWhole
        update.removed = removed
        update.expired = expired
        for (position, document) in documents.enumerated() {
            let value = try Self.document(Array(document.utf8))
            let bytes: [UInt8]
            switch kind {
            case .cluster: bytes = try Envoy.Cluster.read(value).protobufBytes
            case .endpoints: bytes = try Envoy.ClusterLoadAssignment.read(value).protobufBytes
            case .listener: bytes = try Envoy.Listener.read(value).protobufBytes
            case .routes: bytes = try Envoy.RouteConfiguration.read(value).protobufBytes
            case .secret: bytes = try Envoy.Secret.read(value).protobufBytes
            case .runtime: bytes = try Envoy.Runtime.read(value).protobufBytes
            }
            update.changed.append(
                DiscoveredResource(
                    name: DiscoverySession.name(in: bytes),
                    version: "1",
                    bytes: bytes,
                    position: position
                )
            )
        }
        return take(update, from: 0)
    }

    fileprivate func find(_ name: String) -> ClusterConfiguration? {
        snapshot.clusters.compactMap { $0 }.first { $0.name == name }
    }
}

private func eds(_ name: String, _ more: String = "") -> String {
    "{name: \(name), type: EDS, connect_timeout: 1s, eds_cluster_config: {eds_config: {ads: {}}}\(more)}"
}

private func assignment(_ name: String, _ ports: [Int]) -> String {
    let rows = ports.map { "{endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: \($0)}}}}" }
    return "{cluster_name: \(name), endpoints: [{lb_endpoints: [\(rows.joined(separator: ", "))]}]}"
}

private func rds(_ name: String, _ more: String = "") -> String {
    "{name: h, typed_config: {\"@type\": \(manager), stat_prefix: x, rds: {route_config_name: \(name), config_source: "
        + "{ads: {}}}, http_filters: [{name: r, typed_config: {\"@type\": \(router)}}]\(more)}}"
}

private func table(_ name: String, _ cluster: String) -> String {
    "{name: \(name), virtual_hosts: [{name: v, domains: [\"*\"], routes: [{match: {prefix: /}, route: "
        + "{cluster: \(cluster)}}]}]}"
}

@Suite("Configuration store, control plane")
struct DiscoveryStoreTests {
    @Test("a cluster is taken into use when its endpoints are there, and one in use serves until then")
    func warming() throws {
        let store = try makeDynamicStore()
        #expect(try store.give(.cluster, [eds("web")]).isEmpty)
        _ = store.commit()
        #expect(store.find("web") == nil && store.discovered.warmingClusters["web"] != nil)
        #expect(store.wishes(of: 0)[.endpoints]?.keys.sorted() == ["web"])
        #expect(try store.give(.endpoints, [assignment("web", [80, 81])]).isEmpty)
        _ = store.commit()
        #expect(store.find("web")?.endpoints.count == 2)
        // Another name for the endpoints: those before stay in use.
        let renamed =
            "{name: web, type: EDS, connect_timeout: 2s, eds_cluster_config: {service_name: other, "
            + "eds_config: {ads: {}}}}"
        #expect(try store.give(.cluster, [renamed]).isEmpty)
        _ = store.commit()
        #expect(store.find("web")?.endpoints.count == 2)
        #expect(store.wishes(of: 0)[.endpoints]?.keys.sorted() == ["other", "web"])
        #expect(try store.give(.endpoints, [assignment("other", [90])]).isEmpty)
        _ = store.commit()
        #expect(store.find("web")?.endpoints.map(\.address.port) == [90])
        #expect(store.find("web")?.settings.connectTimeout == 2_000_000_000)
        #expect(store.wishes(of: 0)[.endpoints]?.keys.sorted() == ["other"])
    }

    @Test("a changed cluster whose endpoints are known does not wait for them again")
    func known() throws {
        let store = try makeDynamicStore()
        _ = try store.give(.cluster, [eds("web")])
        _ = try store.give(.endpoints, [assignment("web", [80])])
        _ = try store.give(.cluster, [eds("web", ", lb_policy: RANDOM")])
        _ = store.commit()
        #expect(store.discovered.warmingClusters.isEmpty)
        #expect(store.find("web")?.settings.policy == .random)
        #expect(store.find("web")?.endpoints.count == 1)
    }

    @Test("new endpoints touch their cluster alone")
    func endpoints() throws {
        let store = try makeDynamicStore()
        _ = try store.give(.cluster, [eds("web"), eds("api")])
        _ = try store.give(.endpoints, [assignment("web", [80]), assignment("api", [90])])
        _ = try store.give(.listener, [listener("l", rds("r"))])
        _ = try store.give(.routes, [table("r", "web")])
        let first = try #require(store.commit())
        let before = store.find("api")
        _ = try store.give(.endpoints, [assignment("web", [80, 81])])
        let second = try #require(store.commit())
        #expect(store.find("api") === before)
        #expect(first.routeViews === second.routeViews)
        #expect(first.listeners.compactMap { $0 }.first === second.listeners.compactMap { $0 }.first)
        #expect(store.find("web")?.endpoints.count == 2)
    }

    @Test("one bad resource refuses a whole response; of an incremental one the good ones are taken")
    func refusal() throws {
        let store = try makeDynamicStore()
        let bad =
            "{name: bad, type: STATIC, connect_timeout: 1s, circuit_breakers: {thresholds: [{max_connection_pools: 1}]}}"
        let good = "{name: good, type: STATIC, connect_timeout: 1s}"
        let faults = try store.give(.cluster, [good, bad])
        #expect(faults.map(\.name) == ["bad"])
        let text = try #require(faults.first?.text)
        #expect(text.hasPrefix("resources[1] (cluster \"bad\"): circuit_breakers.thresholds[0].max_connection_pools: "))
        _ = store.commit()
        #expect(store.find("good") == nil && store.find("bad") == nil)
        #expect(try store.give(.cluster, [good, bad], isWhole: false).map(\.name) == ["bad"])
        _ = store.commit()
        #expect(store.find("good") != nil && store.find("bad") == nil)
        #expect(store.discovered.refusals[.cluster]?.count == 1)
        #expect(try store.give(.cluster, [], removed: ["bad"], isWhole: false).isEmpty)
        #expect(store.discovered.refusals[.cluster]?.isEmpty == true)
    }

    @Test("a listener waits for its routes, and with routes known it does not")
    func listeners() throws {
        let store = try makeDynamicStore()
        _ = try store.give(.cluster, ["{name: web, type: STATIC, connect_timeout: 1s}"])
        _ = try store.give(.listener, [listener("l", rds("r"))])
        _ = store.commit()
        #expect(store.snapshot.listeners.compactMap { $0 }.isEmpty && !store.isSettled)
        #expect(store.waitingReason == "INITIALIZING: the listener l waits for its routes or secrets")
        _ = try store.give(.routes, [table("r", "web")])
        _ = store.commit()
        #expect(store.snapshot.listeners.compactMap { $0 }.count == 1 && store.isSettled)
        let before = store.snapshot.listeners.compactMap { $0 }.first
        _ = try store.give(.listener, [listener("l", rds("r"))])
        #expect(store.commit() == nil, "the same again is nothing")
        #expect(store.snapshot.listeners.compactMap { $0 }.first === before)
        _ = try store.give(.listener, [], removed: ["l"])
        _ = store.commit()
        #expect(store.snapshot.listeners.compactMap { $0 }.isEmpty)
        #expect(store.wishes(of: 0)[.routes]?.isEmpty == true)
    }

    @Test("the first listeners open together, later ones each for itself")
    func firstListeners() throws {
        let store = try makeDynamicStore()
        let filter = "{name: t, typed_config: {\"@type\": \(tcpProxy), stat_prefix: t, cluster: web}}"
        _ = try store.give(.cluster, ["{name: web, type: STATIC, connect_timeout: 1s}"])
        _ = try store.give(.listener, [listener("l", rds("r")), listener("plain", filter, port: 81)], isWhole: false)
        _ = store.commit()
        #expect(store.snapshot.listeners.compactMap { $0 }.isEmpty && !store.isSettled)
        _ = try store.give(.routes, [table("r", "web")], isWhole: false)
        _ = store.commit()
        #expect(store.snapshot.listeners.compactMap { $0 }.count == 2 && store.isSettled)
        _ = try store.give(
            .listener,
            [listener("m", rds("s"), port: 82), listener("other", filter, port: 83)],
            isWhole: false
        )
        _ = store.commit()
        #expect(store.snapshot.listeners.compactMap { $0 }.count == 3)
    }

    @Test("what does not come in time, or is unknown to the control plane, is gone on without")
    func absent() throws {
        let store = try makeDynamicStore()
        _ = try store.give(.cluster, [eds("web"), eds("api")])
        _ = try store.give(.endpoints, [], removed: ["web"], isWhole: false)
        var late = DiscoveryUpdate(kind: .endpoints, version: "")
        late.late = ["api"]
        #expect(store.take(late, from: 0).isEmpty)
        _ = store.commit()
        #expect(store.find("web")?.endpoints.isEmpty == true && store.find("api")?.endpoints.isEmpty == true)
        // Endpoints in use are not lost by the control plane's forgetting them, but by the end of their life.
        _ = try store.give(.endpoints, [assignment("web", [80])])
        _ = try store.give(.endpoints, [], removed: ["web"], isWhole: false)
        _ = store.commit()
        #expect(store.find("web")?.endpoints.count == 1)
        _ = try store.give(.endpoints, [], expired: ["web"])
        _ = store.commit()
        #expect(store.find("web")?.endpoints.isEmpty == true)
    }

    @Test("without a listener the proxy waits for a control plane that never spoke, with one it goes on")
    func silence() throws {
        let store = try makeDynamicStore()
        #expect(store.waitingReason == "PRE_INITIALIZING: waiting for clusters from the control plane")
        var late = DiscoveryUpdate(kind: .cluster, version: "")
        late.late = [""]
        _ = store.take(late, from: 0)
        #expect(store.areClustersSettled && !store.isSettled)
        late.kind = .listener
        _ = store.take(late, from: 0)
        #expect(!store.isSettled)
        #expect(store.waitingReason == "INITIALIZING: waiting for listeners from the control plane")
        _ = try store.give(.listener, [])
        #expect(store.isSettled)
    }

    @Test("runtime values of a control plane change routes that are in force")
    func runtime() throws {
        let store = try makeDynamicStore(
            "layered_runtime: {layers: [{name: live, rtds_layer: {name: live, rtds_config: {ads: {}}}}]}"
        )
        #expect(store.wishes(of: 0)[.runtime]?.keys.sorted() == ["live"])
        #expect(!store.areClustersSettled)
        _ = try store.give(.runtime, ["{name: live, layer: {share: 30}}"])
        #expect(store.context.runtime.share("share") == 300_000)
        _ = try store.give(.runtime, ["{name: live, layer: {share: 40}}"])
        #expect(store.context.runtime.share("share") == 400_000)
        _ = try store.give(.runtime, [], expired: ["live"])
        #expect(store.context.runtime.share("share") == nil)
    }

    @Test("several layers of one control plane are several resources")
    func layers() throws {
        let store = try makeDynamicStore(
            "layered_runtime: {layers: [{name: a, rtds_layer: {rtds_config: {ads: {}}}}, "
                + "{name: b, rtds_layer: {name: other, rtds_config: {ads: {}}}}]}"
        )
        #expect(store.wishes(of: 0)[.runtime]?.keys.sorted() == ["a", "other"])
        _ = try store.give(.runtime, ["{name: other, layer: {share: 2}}", "{name: a, layer: {share: 1, more: 3}}"])
        #expect(store.context.runtime.number("share") == 2 && store.context.runtime.number("more") == 3)
    }

    @Test("sources that cannot work are refused by path")
    func sources() {
        func problems(_ yaml: String) -> String {
            do {
                _ = try makeStore(yaml)
                return ""
            } catch let error as ConfigurationProblems { return error.text } catch { return "\(error)" }
        }
        #expect(
            problems("dynamic_resources: {cds_config: {ads: {}}}")
                .hasPrefix("dynamic_resources.cds_config.ads: the bootstrap has no dynamic_resources.ads_config")
        )
        #expect(
            problems("dynamic_resources: {ads_config: \(api)}")
                .hasPrefix(
                    "dynamic_resources.ads_config.grpc_services[0].envoy_grpc.cluster_name: the cluster \"control\""
                )
        )
        let plain = "static_resources: {clusters: [{name: control, type: STATIC, connect_timeout: 1s}]}\n"
        #expect(problems(plain + "dynamic_resources: {ads_config: \(api)}").contains("has to speak HTTP/2"))
    }
}
