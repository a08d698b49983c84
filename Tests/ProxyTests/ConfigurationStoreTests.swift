// The room's face is one function (`ProxyProgram.run`) on purpose, so its parts are tested from inside.
import EnvoyAPI
import Reactor
import Telemetry
import Testing
import Traffic
import Wire

@testable import Proxy

/// A store that reads its bootstrap from YAML.
func makeStore(_ yaml: String) throws -> ConfigurationStore {
    let store = ConfigurationStore()
    try store.load(try Envoy.Bootstrap.read(try ConfigurationStore.document(Array(yaml.utf8))))
    return store
}

func cluster(_ name: String, _ more: String = "") -> String {
    "{name: \(name), connect_timeout: 2s, type: STATIC\(more.isEmpty ? "" : ", ")\(more)}"
}

func endpoints(_ addresses: [String]) -> String {
    let rows = addresses.map { text -> String in
        let parts = text.split(separator: ":")
        return "{endpoint: {address: {socket_address: {address: \(parts[0]), port_value: \(parts[1])}}}}"
    }
    return "load_assignment: {cluster_name: x, endpoints: [{lb_endpoints: [\(rows.joined(separator: ", "))]}]}"
}

let manager = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
let router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
let tcpProxy = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"

func http(_ routes: String, _ more: String = "") -> String {
    "{name: h, typed_config: {\"@type\": \(manager), stat_prefix: x, route_config: {name: r, virtual_hosts: "
        + "[{name: v, domains: [\"*\"], routes: [\(routes)]}]}, http_filters: [{name: r, typed_config: "
        + "{\"@type\": \(router)}}]\(more.isEmpty ? "" : ", ")\(more)}}"
}

func tcp(_ cluster: String) -> String {
    "{name: t, typed_config: {\"@type\": \(tcpProxy), stat_prefix: x, cluster: \(cluster)}}"
}

func bootstrap(clusters: [String] = [], listeners: [String] = []) -> String {
    "static_resources: {clusters: [\(clusters.joined(separator: ", "))], "
        + "listeners: [\(listeners.joined(separator: ", "))]}"
}

func listener(_ name: String, _ filters: String, _ more: String = "", port: Int = 80) -> String {
    "{name: \(name), address: {socket_address: {address: 10.0.0.1, port_value: \(port)}}, "
        + "filter_chains: [{filters: [\(filters)]}]\(more.isEmpty ? "" : ", ")\(more)}"
}

@Suite("Configuration store")
struct ConfigurationStoreTests {
    private func only(_ store: ConfigurationStore) throws -> ClusterConfiguration {
        let snapshot = try #require(store.commit())
        return try #require(snapshot.clusters.compactMap { $0 }.first)
    }

    @Test("an unlimited configuration gets safe defaults")
    func defaults() throws {
        let made = try only(try makeStore(bootstrap(clusters: ["{name: c, type: STATIC}"])))
        #expect(made.settings.connectTimeout == 5_000_000_000)
        #expect(made.settings.breakers[0].requests == 1024)
        #expect(made.settings.breakers[0].budget == RetryBudget())
        #expect(made.settings.panicThreshold == 50)
        #expect(made.settings.policy == .roundRobin)
        #expect(made.settings.outlier == nil)
    }

    @Test("limits, balancers and outlier detection are taken over")
    func settings() throws {
        let made = try only(
            try makeStore(
                bootstrap(clusters: [
                    cluster(
                        "c",
                        """
                        lb_policy: LEAST_REQUEST, least_request_lb_config: {choice_count: 5},
                        circuit_breakers: {thresholds: [{max_requests: 7, max_retries: 2}, {priority: HIGH, retry_budget:
                        {budget_percent: {value: 50}, min_retry_concurrency: 9}}]},
                        outlier_detection: {consecutive_5xx: 3, interval: 1s, enforcing_success_rate: 0,
                        enforcing_consecutive_gateway_failure: 100, consecutive_gateway_failure: 4}
                        """
                    )
                ])
            )
        )
        #expect(made.settings.policy == .leastRequest(choices: 5))
        #expect(made.settings.breakers[0].requests == 7)
        #expect(made.settings.breakers[0].budget == nil)
        #expect(made.settings.breakers[0].retries == 2)
        #expect(made.settings.breakers[1].budget == RetryBudget(percent: 50, minimumConcurrency: 9))
        let outlier = try #require(made.settings.outlier)
        #expect(outlier.consecutive5xx == 3)
        #expect(outlier.consecutiveGateway == 4)
        #expect(outlier.successRate == nil)
        #expect(outlier.interval == 1_000_000_000)
    }

    @Test("an endpoint keeps its identity when weights or order change, and gets another in another namespace")
    func identity() throws {
        func identities(_ rows: String) throws -> [UInt64] {
            let text = "load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [\(rows)]}]}"
            return try only(try makeStore(bootstrap(clusters: [cluster("c", text)]))).endpoints.map(\.identity)
        }
        let one = "{endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 1}}}"
        let two = "{endpoint: {address: {socket_address: {address: 10.0.0.2, port_value: 1}}}}"
        let moved =
            "{endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 1, "
            + "network_namespace_filepath: /proc/7/ns/net}}}}"
        let plain = try identities("\(one)}, \(two)")
        #expect(Set(plain).count == 2)
        #expect(try identities("\(two), \(one), load_balancing_weight: 9}") == [plain[1], plain[0]])
        #expect(try identities(moved) != [plain[0]])
        #expect(try identities("\(one)}, \(one)}") == [plain[0]], "the same address twice is one endpoint")
    }

    @Test("labels of pods are left out, others are merged, and a cluster without labels is known by its name")
    func labels() throws {
        let store = try makeStore(
            bootstrap(clusters: [
                cluster(
                    "a",
                    """
                    metadata: {filter_metadata: {weft.dev/labels: {dst_service: web}}}, load_assignment: {cluster_name: a,
                    endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 1}}},
                    metadata: {filter_metadata: {weft.dev/labels: {dst_deployment: web, dst_pod: web-7}}}}]}]}
                    """
                ), cluster("b"),
            ])
        )
        let snapshot = try #require(store.commit())
        let made = snapshot.clusters.compactMap { $0 }
        let a = try #require(made.first { $0.name == "a" })
        let b = try #require(made.first { $0.name == "b" })
        let edge = snapshot.labels[Int(a.endpoints[0].labels)]
        #expect(edge.labels.map(\.name) == ["dst_deployment", "dst_service"])
        #expect(snapshot.labels[Int(b.settings.labels)]["dst_cluster"] == "b")
    }

    @Test("a connection is handed to the listener of its exact destination, else of any port, else of the wildcard")
    func handOver() throws {
        func unbound(_ name: String, _ address: String, _ port: Int) -> String {
            "{name: \(name), address: {socket_address: {address: \"\(address)\", port_value: \(port)}}, "
                + "bind_to_port: false, filter_chains: [{filters: [\(tcp("c"))]}]}"
        }
        let store = try makeStore(
            bootstrap(
                clusters: [cluster("c")],
                listeners: [
                    unbound("exact", "10.96.0.1", 80), unbound("any port", "10.96.0.1", 0),
                    unbound("wildcard", "0.0.0.0", 81), unbound("v6", "fd00::1", 80),
                ]
            )
        )
        let snapshot = try #require(store.commit())
        func name(_ address: String, _ port: UInt16) -> String? {
            guard let key = Address(literal: address, port: 0)?.key,
                let index = snapshot.listener(forDestination: key, port: port)
            else { return nil }
            return snapshot.listeners[Int(index)]?.name
        }
        #expect(name("10.96.0.1", 80) == "exact")
        #expect(name("10.96.0.1", 443) == "any port")
        #expect(name("10.96.0.2", 81) == "wildcard")
        #expect(name("10.96.0.2", 80) == nil)
        #expect(name("fd00::1", 80) == "v6")
        #expect(name("fd00::1", 81) == nil, "0.0.0.0 is for IPv4")
    }

    @Test("route rules arrive in the compiled route")
    func routes() throws {
        let text = """
            {match: {path_separated_prefix: /api, headers: [{name: X-A, string_match: {prefix: v}}], query_parameters:
            [{name: q, present_match: true}]}, route: {weighted_clusters: {clusters: [{name: c, weight: 1}, {name: d, weight:
            3}]}, timeout: 0s, prefix_rewrite: /, retry_policy: {retry_on: "5xx,retriable-status-codes", num_retries: 4,
            retriable_status_codes: [429], per_try_timeout: 1s, retry_back_off: {base_interval: 0.010s}}},
            request_headers_to_add: [{header: {key: X-B, value: "%REQ(X-A)%-%%"}}], response_headers_to_remove: [server]}
            """
        let store = try makeStore(
            bootstrap(clusters: [cluster("c"), cluster("d")], listeners: [listener("l", http(text))])
        )
        let snapshot = try #require(store.commit())
        let table = try #require(snapshot.routeViews[0])
        let host = try #require(table.virtualHost(for: .empty))
        let route = host.pointee.routes[0]
        #expect(route.path.kind == .separatedPrefix)
        #expect(route.headers.count == 1 && route.headers[0].name.text == "x-a")
        #expect(route.query.count == 1)
        #expect(route.requestEdits.count == 1 && route.requestEdits[0].value.count == 2)
        #expect(route.responseEdits.count == 1 && route.responseEdits[0].kind == .remove)
        guard case .forward(let forward) = route.action, case .weighted(let entries, 4) = forward.pointee.choice else {
            Issue.record("not forwarded by weight")
            return
        }
        #expect(entries.count == 2)
        #expect(forward.pointee.timeout == 0)
        #expect(forward.pointee.retry.retries == 4)
        #expect(forward.pointee.retry.statuses.contains(429) && !forward.pointee.retry.statuses.contains(430))
        #expect(forward.pointee.retry.perTryTimeout == 1_000_000_000)
        #expect(forward.pointee.retry.backOffBase == 10_000_000 && forward.pointee.retry.backOffMaximum == 100_000_000)
    }

    @Test(
        "what cannot be done is refused with its path",
        arguments: [
            (
                bootstrap(listeners: [listener("l", http("{match: {prefix: /}, route: {cluster: nope}}"))]),
                "static_resources: the cluster \"nope\""
            ),
            (
                bootstrap(clusters: [cluster("c")], listeners: [listener("l", tcp("c") + ", " + tcp("c"))]),
                "static_resources.listeners[0].filter_chains[0].filters[0].typed_config: before"
            ),
            (
                bootstrap(listeners: [
                    listener(
                        "l",
                        http(
                            "{match: {prefix: /}, direct_response: {status: 200}, request_headers_to_add: "
                                + "[{header: {key: Host, value: x}}]}"
                        )
                    )
                ]),
                "routes[0].request_headers_to_add[0]: the header Host cannot be changed"
            ),
            (
                bootstrap(clusters: [cluster("c", endpoints(["example.org:80"]))]),
                "static_resources.clusters[0].load_assignment.endpoints[0].lb_endpoints[0].endpoint.address"
            ),
        ]
    )
    func refusals(yaml: String, expected: String) throws {
        do {
            _ = try makeStore(yaml)
            Issue.record("it was accepted")
        } catch let error as ConfigurationProblems {
            #expect(error.text.contains(expected), "\(error.text)")
        }
    }

    @Test("an unchanged resource is not compiled again, a changed one keeps its place")
    func places() throws {
        let store = try makeStore(bootstrap())
        let origin = Origin.file("f")
        func set(_ texts: [String]) throws {
            let document = try ConfigurationStore.document(Array("{a: [\(texts.joined(separator: ", "))]}".utf8))
            try store.setClusters(
                try (document["a"]?.arrayValue ?? []).map { try Envoy.Cluster.read($0) },
                origin: origin,
                step: "clusters"
            )
        }
        try set([cluster("a"), cluster("b")])
        let first = try #require(store.commit())
        try set([cluster("b"), cluster("a", "lb_policy: RANDOM")])
        let second = try #require(store.commit())
        #expect(first.clusters.count == second.clusters.count)
        #expect(first.clusters[1] === second.clusters[1])
        #expect(second.clusters[0]?.name == "a")
        #expect((second.clusters[0]?.version ?? 0) > (first.clusters[0]?.version ?? 0))
        #expect(first.clusters[0]?.identity == second.clusters[0]?.identity)
        try set([cluster("b")])
        let third = try #require(store.commit())
        #expect(third.clusters[0] == nil)
        try set([cluster("b"), cluster("c")])
        let fourth = try #require(store.commit())
        #expect(fourth.clusters[0] == nil, "a place that was given up stays empty for a while")
        #expect(fourth.clusters[2]?.name == "c")
        try set([cluster("b"), cluster("c")])
        #expect(store.commit() == nil, "nothing changed, nothing to send")
    }

    @Test("a set with one bad resource changes nothing")
    func allOrNothing() throws {
        let store = try makeStore(bootstrap(clusters: [cluster("a")]))
        _ = store.commit()
        let good = try Envoy.Cluster.read(["name": "b", "type": "STATIC"])
        let bad = try Envoy.Cluster.read(["name": "a", "type": "STATIC"])
        #expect(throws: ConfigurationProblems.self) {
            try store.setClusters([good, bad], origin: .file("f"), step: "clusters")
        }
        #expect(store.commit() == nil)
        #expect(store.clusters["b"] == nil)
    }

    @Test("addresses of names come and stay")
    func names() throws {
        let key = NameKey(cluster: "c", name: "example.org")
        let store = try makeStore(
            bootstrap(clusters: [
                "{name: c, connect_timeout: 1s, type: STRICT_DNS, \(endpoints(["example.org:80", "10.0.0.9:81"]))}"
            ])
        )
        #expect(store.nameRequests.map(\.key) == [key])
        #expect(store.commit()?.clusters[0]?.endpoints.map(\.display) == ["10.0.0.9:81"])
        let found = ["10.1.1.1", "10.1.1.2"].compactMap { Address(literal: $0, port: 0) }
        store.setAddresses(found, of: key)
        #expect(
            store.commit()?.clusters[0]?.endpoints.map(\.display)
                == ["10.1.1.1:80", "10.1.1.2:80", "10.0.0.9:81"]
        )
        store.setAddresses(found, of: key)
        #expect(store.commit() == nil)
    }
}

@Suite("Addresses of names")
struct NameTests {
    private func rule(_ fields: String = "", type: String = "STRICT_DNS") throws -> NameRule {
        let text = "{name: c, type: \(type), \(fields)\(endpoints(["example.org:80"]))}"
        return try #require(try makeStore(bootstrap(clusters: [text])).nameRequests.first).rule
    }

    private let two = ["10.1.1.2", "10.1.1.1"].compactMap { Address(literal: $0, port: 0) }

    @Test(
        "an answer without addresses empties STRICT_DNS and leaves LOGICAL_DNS, which takes one; a failure leaves both"
    )
    func answers() throws {
        let strict = try rule()
        let logical = try rule(type: "LOGICAL_DNS")
        let found = NameOutcome.addresses(two, secondsToLive: 7)
        #expect(strict.addresses(after: found) == two)
        #expect(logical.addresses(after: found) == [two[0]])
        #expect(strict.addresses(after: .nothing) == [])
        #expect(logical.addresses(after: .nothing) == nil)
        #expect(strict.addresses(after: .failed("no")) == nil)
        #expect(logical.addresses(after: .failed("no")) == nil)
    }

    @Test("the next look-up comes by the rate, the time to live, the jitter, or the back-off of failures")
    func waits() throws {
        let second: UInt64 = 1_000_000_000
        let found = NameOutcome.addresses(two, secondsToLive: 7)
        #expect(try rule().wait(after: found, failures: 0, random: 9) == 5 * second)
        #expect(try rule("dns_refresh_rate: 3s, ").wait(after: .nothing, failures: 0, random: 9) == 3 * second)
        #expect(try rule("respect_dns_ttl: true, ").wait(after: found, failures: 0, random: 9) == 7 * second)
        let jittered = try rule("dns_jitter: 1s, ")
        #expect(jittered.wait(after: found, failures: 0, random: second + 5) == 5 * second + 5)
        #expect(try rule("dns_refresh_rate: 3s, ").wait(after: .failed(""), failures: 4, random: 9) == 3 * second)
        let backoff = try rule("dns_failure_refresh_rate: {base_interval: 1s, max_interval: 3s}, ")
        let most = UInt64(UInt32.max)
        for (failures, limit) in [(1, 1), (2, 2), (3, 3), (99, 3)] {
            #expect(backoff.wait(after: .failed(""), failures: failures, random: 0) == 0)
            let longest = backoff.wait(after: .failed(""), failures: failures, random: most)
            #expect(longest < UInt64(limit) * second && longest > UInt64(limit) * second - 10)
        }
    }

    @Test("name servers come from each of the places that Envoy has for them")
    func servers() throws {
        let server = "{socket_address: {address: 127.0.0.1, port_value: 5300}}"
        let cares = "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"
        let options = "dns_resolver_options: {use_tcp_for_dns_lookups: true, no_default_search_domain: true}"
        for text in [
            "dns_resolvers: [\(server)], use_tcp_for_dns_lookups: true, ",
            "dns_resolution_config: {resolvers: [\(server)], \(options)}, ",
            "typed_dns_resolver_config: {name: cares, typed_config: {'@type': \(cares), resolvers: [\(server)], \(options), query_tries: 2, query_timeout_seconds: 1}}, ",
        ] {
            let channel = try rule(text).channel
            #expect(channel.servers.map(\.description) == ["127.0.0.1:5300"])
            #expect(channel.usesTCP)
            #expect(channel.searchesDomains == text.hasPrefix("dns_resolvers"))
            #expect(channel.tries == (text.hasPrefix("typed") ? 2 : 4))
        }
    }

    @Test("a LOGICAL_DNS endpoint stays the same when its address changes, and has the name for its host")
    func logical() throws {
        let text = "{name: c, type: LOGICAL_DNS, \(endpoints(["example.org:80"]))}"
        let store = try makeStore(bootstrap(clusters: [text]))
        let key = NameKey(cluster: "c", name: "example.org")
        store.setAddresses([two[0]], of: key)
        let first = try #require(store.commit()?.clusters[0]?.endpoints.first)
        store.setAddresses([two[1]], of: key)
        let second = try #require(store.commit()?.clusters[0]?.endpoints.first)
        #expect(first.identity == second.identity)
        #expect(first.display == "10.1.1.2:80" && second.display == "10.1.1.1:80")
        #expect(second.hostname == "example.org")
    }
}

@Suite("Filter chains")
struct ChainMatchTests {
    private func facts(
        _ destination: String = "10.0.0.1",
        _ port: UInt16 = 80,
        from source: String = "10.9.9.9",
        _ application: ApplicationProtocol = .unknown
    ) -> ConnectionFacts {
        ConnectionFacts(
            destination: Address(literal: destination, port: 0)?.key ?? IPKey(high: 0, low: 0),
            destinationPort: port,
            source: Address(literal: source, port: 0)?.key ?? IPKey(high: 0, low: 0),
            sourcePort: 4000,
            directSource: Address(literal: source, port: 0)?.key ?? IPKey(high: 0, low: 0),
            application: application
        )
    }

    private func store(_ chains: [(name: String, match: String)], fallback: Bool = true) throws -> ListenerConfiguration
    {
        let texts = chains.map { "{name: \($0.name), filter_chain_match: {\($0.match)}, filters: [\(tcp("c"))]}" }
        let more = fallback ? ", default_filter_chain: {name: default, filters: [\(tcp("c"))]}" : ""
        let text =
            "{name: l, address: {socket_address: {address: 10.0.0.1, port_value: 80}}, "
            + "listener_filters: [{name: i, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters."
            + "listener.http_inspector.v3.HttpInspector}}], filter_chains: [\(texts.joined(separator: ", "))]\(more)}"
        let store = try makeStore(bootstrap(clusters: [cluster("c")], listeners: [text]))
        let snapshot = try #require(store.commit())
        return try #require(snapshot.listeners[0])
    }

    @Test("the chain that asks for most is asked first")
    func order() throws {
        let listener = try store([
            ("all", ""), ("net", "prefix_ranges: [{address_prefix: 10.0.0.0, prefix_len: 8}]"),
            ("host", "prefix_ranges: [{address_prefix: 10.0.0.1, prefix_len: 32}]"),
            ("port", "destination_port: 443"), ("http", "application_protocols: [http/1.0, http/1.1]"),
        ])
        #expect(listener.chain(for: facts())?.name == "host")
        #expect(listener.chain(for: facts("10.0.0.2"))?.name == "net")
        #expect(listener.chain(for: facts("10.0.0.1", 443))?.name == "port")
        #expect(listener.chain(for: facts("192.0.2.1", 80, .http11))?.name == "http")
        #expect(listener.chain(for: facts("192.0.2.1", 80, .http2))?.name == "all")
    }

    @Test("an undecided protocol gets the chain that asks for none")
    func undecided() throws {
        let listener = try store([("http", "application_protocols: [http/1.1]")])
        #expect(listener.needsApplicationProtocol)
        #expect(listener.chainWithoutProtocol(for: facts())?.name == "default")
        #expect(listener.chain(for: facts("10.0.0.1", 80, .http11))?.name == "http")
    }

    @Test(
        "sources",
        arguments: [("127.0.0.1", "here"), ("10.0.0.1", "here"), ("10.5.0.1", "five"), ("11.0.0.1", "default")]
    )
    func sources(source: String, expected: String) throws {
        let listener = try store([
            ("here", "source_type: SAME_IP_OR_LOOPBACK"),
            ("five", "source_prefix_ranges: [{address_prefix: 10.5.0.0, prefix_len: 16}]"),
        ])
        #expect(listener.chain(for: facts(from: source))?.name == expected)
    }

    @Test(
        "ranges",
        arguments: [
            ("10.0.0.0", 8, "10.255.0.1", true), ("10.0.0.0", 8, "11.0.0.0", false), ("0.0.0.0", 0, "9.9.9.9", true),
            ("10.0.0.1", 32, "10.0.0.2", false), ("fd00::", 8, "fd12::1", true), ("fd00::", 8, "fe00::1", false),
            ("0.0.0.0", 0, "::1", false),
        ]
    )
    func ranges(base: String, length: Int, address: String, expected: Bool) throws {
        let key = try #require(Address(literal: base, port: 0)?.key)
        let range = AddressRange(base: key, prefixLength: UInt8(key.isIPv4 ? 96 + length : length))
        #expect(range.contains(try #require(Address(literal: address, port: 0)?.key)) == expected)
    }
}
