import EnvoyAPI
import Testing
import Wire

@Suite("Problems of a document")
struct ProblemTests {
    private static let route = """
        static_resources:
          listeners:
          - address: {socket_address: {address: 0.0.0.0, port_value: 80}}
            filter_chains:
            - filters:
              - name: http
                typed_config:
                  "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                  stat_prefix: x
                  http_filters:
                  - {name: r, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
                  route_config:
                    virtual_hosts:
                    - name: a
                      domains: ["*"]
                      routes:
                      - match: {MATCH}
                        route: {ROUTE}
        """
    private static let prefix =
        "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0]"

    private func problems(match: String = "prefix: /", route: String = "cluster: c") throws -> [String] {
        let text = Self.route
            .split(separator: "MATCH").joined(separator: match)
            .split(separator: "ROUTE").joined(separator: route)
        let document = try yaml(text)
        do throws(SchemaErrors) {
            _ = try Envoy.Bootstrap.read(document)
            return []
        } catch {
            return error.problems.map { problem in
                #expect(problem.path.hasPrefix(Self.prefix))
                return String(problem.description.dropFirst(Self.prefix.count + 1))
            }
        }
    }

    @Test(
        "a route's problem is named by the full path",
        arguments: [
            ("prefix: /", "cluster: c", []),
            (
                "dynamic_metadata: [{}], prefix: /", "cluster: c",
                ["match.dynamic_metadata: not supported by weft-proxy"]
            ),
            ("filterState: [{}], prefix: /", "cluster: c", ["match.filter_state: not supported by weft-proxy"]),
            ("safe_regex: {}", "cluster: c", ["match.safe_regex.regex: must not be empty"]),
            (
                "prefix: /, hedders: []", "cluster: c",
                ["match.hedders: unknown field of envoy.config.route.v3.RouteMatch; did you mean headers?"]
            ),
            ("prefix: /, zzz: 1", "cluster: c", ["match.zzz: unknown field of envoy.config.route.v3.RouteMatch"]),
            (
                "", "cluster: c",
                [
                    "match: one of prefix, path, path_separated_prefix, safe_regex, connect_matcher, path_match_policy is required"
                ]
            ),
            ("prefix: /, path: /a", "cluster: c", ["match: prefix and path exclude one another"]),
            ("prefix: 1", "cluster: c", ["match.prefix: expected a string (in quotes), got 1"]),
            (
                "prefix: /", "cluster: c, timeout: 5",
                ["route.timeout: expected a duration as \"1.5s\", got 5"]
            ),
            (
                "prefix: /", "cluster: c, timeout: 5m",
                ["route.timeout: expected a duration as \"1.5s\", got \"5m\""]
            ),
            (
                "prefix: /", "cluster: c, priority: LOW",
                [
                    "route.priority: \"LOW\" is no value of envoy.config.core.v3.RoutingPriority: use one of DEFAULT, HIGH"
                ]
            ),
            ("prefix: /", "cluster: \"\"", ["route.cluster: must not be empty"]),
            ("prefix: /", "cluster: c, cors: {}", ["route.cors: not supported by weft-proxy"]),
            (
                "prefix: /", "cluster: c, retry_policy: {num_retries: -1}",
                ["route.retry_policy.num_retries: expected a whole number from 0 to 4294967295, got -1"]
            ),
            (
                "prefix: /", "cluster: c, retry_policy: {retry_back_off: {}}",
                ["route.retry_policy.retry_back_off.base_interval: required"]
            ),
            (
                "prefix: /", "cluster: c, retry_policy: {retry_back_off: {base_interval: 2s, max_interval: 1s}}",
                ["route.retry_policy.retry_back_off.max_interval: must not be less than base_interval"]
            ),
            (
                "prefix: /, runtime_fraction: {default_value: {numerator: 101}}", "cluster: c",
                ["match.runtime_fraction.default_value.numerator: must be 100 or less, is 101"]
            ),
            ("prefix: /, headers: {}", "cluster: c", ["match.headers: expected an array, got an object"]),
            ("prefix: /, headers: [{}]", "cluster: c", ["match.headers[0].name: must not be empty"]),
            ("prefix: /, headers: [null]", "cluster: c", ["match.headers[0].name: must not be empty"]),
            (
                "prefix: /, case_sensitive: yes please", "cluster: c",
                ["match.case_sensitive: expected true or false, got \"yes please\""]
            ),
            (
                "prefix: /, case_sensitive: true, caseSensitive: true", "cluster: c",
                ["match.case_sensitive: is there twice, also as case_sensitive"]
            ),
        ] as [(String, String, [String])]
    )
    func byPath(match: String, route: String, expected: [String]) throws {
        #expect(try problems(match: match, route: route) == expected)
    }

    @Test(
        "a document's problems are named",
        arguments: [
            ("[]", "expected an object, got an array"),
            ("{nod: {}}", "nod: unknown field of envoy.config.bootstrap.v3.Bootstrap; did you mean node?"),
            ("{stats_config: {}}", "stats_config: not supported by weft-proxy"),
            (
                "{dynamic_resources: {ads_config: {}}}",
                "dynamic_resources.ads_config.api_type: use one of GRPC, DELTA_GRPC"
            ),
            (
                "{dynamic_resources: {lds_config: {self: {}}}}",
                "dynamic_resources.lds_config.self: not supported by weft-proxy"
            ),
            (
                "{admin: {address: {socket_address: {address: a, port_value: 65536}}}}",
                "admin.address.socket_address.port_value: must be 65535 or less, is 65536"
            ),
            (
                "{admin: {address: {socket_address: {address: a}}}}",
                "admin.address.socket_address: port_value is required"
            ),
            (
                "{admin: {address: {socket_address: {address: a, port_value: 1, protocol: UDP}}}}",
                "admin.address.socket_address.protocol: UDP is not supported by weft-proxy: use one of TCP"
            ),
            (
                "{admin: {address: {socket_address: {address: a, port_value: 1, resolver_name: r}}}}",
                "admin.address.socket_address.resolver_name: not supported by weft-proxy"
            ),
            ("{static_resources: {listeners: [{}]}}", "static_resources.listeners[0].address: required"),
            (
                "{static_resources: {clusters: [{name: a, type: STATIC}, {name: a, type: STATIC}]}}",
                "static_resources.clusters[1].name: \"a\" is there already"
            ),
            (
                "{static_resources: {clusters: [{name: a, type: EDS}]}}",
                "static_resources.clusters[0].eds_cluster_config: required for type EDS"
            ),
            (
                "{static_resources: {clusters: [{name: a, upstream_config: {name: tls}}]}}",
                "static_resources.clusters[0].upstream_config: not supported by weft-proxy"
            ),
            (
                "{static_resources: {clusters: [{name: a, connect_timeout: 0s}]}}",
                "static_resources.clusters[0].connect_timeout: must be more than 0s, is 0s"
            ),
            (
                "{static_resources: {clusters: [{name: a, type: 9}]}}",
                "static_resources.clusters[0].type: 9 is no value of envoy.config.cluster.v3.Cluster.DiscoveryType: use one of STATIC, STRICT_DNS, LOGICAL_DNS, EDS, ORIGINAL_DST"
            ),
            (
                "{static_resources: {clusters: [{name: a, metadata: {filter_metadata: {k: 1}}}]}}",
                "static_resources.clusters[0].metadata.filter_metadata[\"k\"]: expected an object, got 1"
            ),
            (
                "{static_resources: {clusters: [{name: a, outlier_detection: {max_ejection_percent: 101}}]}}",
                "static_resources.clusters[0].outlier_detection.max_ejection_percent: must be 100 or less, is 101"
            ),
        ]
    )
    func document(text: String, expected: String) throws {
        let error = #expect(throws: SchemaErrors.self) { _ = try Envoy.Bootstrap.read(yaml(text)) }
        #expect(error?.problems.first?.description == expected)
    }

    @Test(
        "extensions are told apart by their type",
        arguments: [
            ("{}", ".typed_config: required", SchemaProblem.Kind.missing),
            ("{typed_config: {}}", ".typed_config.@type: required: the type of this network filter", .missing),
            (
                "{typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.network.redis_proxy.v3.RedisProxy}}",
                ".typed_config.@type: envoy.extensions.filters.network.redis_proxy.v3.RedisProxy is not supported by weft-proxy as a network filter",
                .unsupported
            ),
            (
                "{typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxi}}",
                ".typed_config.@type: envoy.extensions.filters.network.tcp_proxy.v3.TcpProxi is an unknown type; did you mean envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy?",
                .unknown
            ),
            (
                "{typed_config: {\"@type\": type.googleapis.com/xds.type.v3.TypedStruct, type_url: a/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, value: {stat_prefix: s, custer: c}}}",
                ".typed_config.value.custer: unknown field of envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy; did you mean cluster?",
                .unknown
            ),
            ("{typed_config: 7}", ".typed_config: expected an object with \"@type\", got 7", .wrongType),
        ]
    )
    func extensions(filter: String, expected: String, kind: SchemaProblem.Kind) throws {
        var text = filter
        text.insert(contentsOf: "name: f" + (filter == "{}" ? "" : ", "), at: text.index(after: text.startIndex))
        let document = try yaml("filters: [\(text)]")
        let error = #expect(throws: SchemaErrors.self) { _ = try Envoy.FilterChain.read(document) }
        #expect(error?.problems.first?.description == "filters[0]" + expected)
        #expect(error?.problems.first?.kind == kind)
    }

    @Test("all problems are told, up to a hundred")
    func allProblems() throws {
        let clusters = (0..<150).map { _ in Value(dictionaryLiteral: ("nam", "a"), ("connect_timeout", 1)) }
        let error = #expect(throws: SchemaErrors.self) {
            _ = try Envoy.Bootstrap.read(["static_resources": ["clusters": .array(clusters)]])
        }
        #expect(error?.problems.count == 100 && error?.isTruncated == true)
        #expect(error?.problems[3].path == "static_resources.clusters[1].nam")
    }

    @Test("a policy that is not known is passed over when another one is")
    func policies() throws {
        func cluster(_ types: [String]) -> Value {
            let policies = types.map { type -> Value in
                [
                    "typed_extension_config": [
                        "name": "p", "typed_config": ["@type": .string("type.googleapis.com/\(type)")],
                    ]
                ]
            }
            return ["name": "a", "load_balancing_policy": ["policies": .array(policies)]]
        }
        var warnings: [SchemaProblem] = []
        let subset = "envoy.extensions.load_balancing_policies.subset.v3.Subset"
        let random = "envoy.extensions.load_balancing_policies.random.v3.Random"
        let read = try Envoy.Cluster.read(cluster([subset, random]), warnings: &warnings)
        #expect(warnings.map(\.kind) == [.unsupported])
        #expect(read.loadBalancingPolicy?.policies.last?.typedExtensionConfig?.typedConfig == .random(.init()))
        let error = #expect(throws: SchemaErrors.self) { _ = try Envoy.Cluster.read(cluster([subset])) }
        #expect(error?.problems.first?.path == "load_balancing_policy.policies")
    }

    @Test("fields that Envoy has and weft-proxy has not are refused in protobuf too")
    func protobufUnsupported() throws {
        let error = #expect(throws: SchemaErrors.self) { _ = try Envoy.RouteMatch(protobuf: [0x0A, 1, 0x2F, 0x6A, 0]) }
        #expect(error?.problems.map(\.description) == ["dynamic_metadata: not supported by weft-proxy"])
    }

    @Test(
        "bytes that are no message are refused",
        arguments: [
            [0x0A], [0x0A, 5, 0x61], [0x07], [0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
            [0x0A, 1, 0xFF], [0x08, 1],
        ] as [[UInt8]]
    )
    func malformed(bytes: [UInt8]) {
        #expect(throws: SchemaErrors.self) { _ = try Envoy.Pipe(protobuf: bytes) }
    }

    @Test("a struct that is nested too deep is refused")
    func deepStruct() {
        var value: [UInt8] = [0x20, 1]
        for _ in 0..<200 {
            // Value{list_value{values: value}}
            let list = [0x0A] + length(value.count) + value
            value = [0x32] + length(list.count) + list
        }
        let entry = [0x0A, 1, 0x61, 0x12] + length(value.count) + value
        let object = [0x0A] + length(entry.count) + entry
        let node = [0x1A] + length(object.count) + object
        #expect(throws: SchemaErrors.self) { _ = try Envoy.Node(protobuf: node) }
    }

    private func length(_ count: Int) -> [UInt8] {
        var rest = count
        var bytes: [UInt8] = []
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }

    @Test(
        "durations",
        arguments: [
            ("0s", Duration.zero), ("1s", .seconds(1)), ("1.5s", .milliseconds(1500)),
            ("0.000000001s", .nanoseconds(1)),
            ("3600s", .seconds(3600)), ("-1.25s", .milliseconds(-1250)), ("", nil), ("s", nil), ("1", nil),
            ("1.s", nil),
            (".5s", nil), ("1.0000000001s", nil), ("1e3s", nil), ("+1s", nil), ("1 s", nil), ("315576000001s", nil),
            ("99999999999999999999s", nil), ("--1s", nil), ("1.-5s", nil),
        ] as [(String, Duration?)]
    )
    func durations(text: String, expected: Duration?) {
        #expect((try? Envoy.RouteAction.read(["cluster": "c", "timeout": .string(text)]))?.timeout == expected)
    }
}
