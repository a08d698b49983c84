import EnvoyAPI
import Testing
import Wire

@Suite("Bootstrap documents")
struct BootstrapTests {
    @Test("a front proxy in YAML is read whole")
    func frontProxy() throws {
        let bootstrap = try Envoy.Bootstrap.read(yaml(frontProxyYAML))
        #expect(bootstrap.node?.id == "front-1")
        #expect(bootstrap.admin?.address?.kind == .socket(.init(address: "127.0.0.1", portValue: 9901)))

        let listener = try #require(bootstrap.staticResources?.listeners.first)
        #expect(listener.name == "listener_0")
        let chain = try #require(listener.filterChains.first)
        guard case .httpConnectionManager(let manager)? = chain.filters.first?.typedConfig else {
            Issue.record("no HTTP connection manager")
            return
        }
        #expect(manager.codecType == .auto)
        #expect(manager.streamIdleTimeout == .seconds(300))
        #expect(manager.commonHttpProtocolOptions?.idleTimeout == .milliseconds(3_600_500))
        #expect(manager.httpFilters.first?.typedConfig == .router(.init()))
        guard case .file(let log)? = manager.accessLog.first?.typedConfig else {
            Issue.record("no access log")
            return
        }
        #expect(log.path == "/dev/stdout")

        guard case .routeConfig(let routes)? = manager.routeSpecifier else {
            Issue.record("no routes")
            return
        }
        let host = try #require(routes.virtualHosts.first)
        #expect(host.domains == ["shop.example", "*.shop.example"])
        #expect(host.routes[0].match?.pathSpecifier == .pathSeparatedPrefix("/api"))
        #expect(
            host.routes[0].match?.headers.first?.headerMatchSpecifier
                == .stringMatch(.init(matchPattern: .exact("GET")))
        )
        guard case .route(let action)? = host.routes[0].action else {
            Issue.record("no route action")
            return
        }
        guard case .weightedClusters(let weighted)? = action.clusterSpecifier else {
            Issue.record("no weighted clusters")
            return
        }
        #expect(weighted.clusters.map(\.weight) == [90, 10])
        #expect(action.timeout == .zero)
        #expect(action.retryPolicy?.numRetries == 2)
        #expect(action.retryPolicy?.retriableStatusCodes == [503, 504])
        #expect(host.routes[1].action == .redirect(.init(schemeRewriteSpecifier: .httpsRedirect(true))))
        #expect(
            host.routes[2].action == .directResponse(.init(status: 404, body: .init(specifier: .inlineString("no"))))
        )
    }

    @Test("clusters keep presence apart from zero")
    func clusters() throws {
        let bootstrap = try Envoy.Bootstrap.read(yaml(frontProxyYAML))
        let clusters = try #require(bootstrap.staticResources?.clusters)
        #expect(clusters.map(\.type) == [.strictDns, .eds])
        #expect(clusters[0].connectTimeout == .milliseconds(250))
        #expect(clusters[0].circuitBreakers?.thresholds.first?.retryBudget?.budgetPercent == .init(value: 20))
        #expect(clusters[0].outlierDetection?.enforcingConsecutive5xx == 0)
        #expect(clusters[0].outlierDetection?.enforcingSuccessRate == nil)
        #expect(
            clusters[0].loadBalancingPolicy?.policies.first?.typedExtensionConfig?.typedConfig == .peakEwma(.init())
        )
        let endpoint = try #require(clusters[0].loadAssignment?.endpoints.first?.lbEndpoints.first)
        #expect(endpoint.loadBalancingWeight == 3)
        #expect(endpoint.metadata?.filterMetadata["weft.dev/labels"] == ["dst_pod": "web-1"])
        #expect(clusters[1].edsClusterConfig?.edsConfig?.pathConfigSource?.path == "/run/eds.json")
        guard case .http(let options)? = clusters[0].typedExtensionProtocolOptions.values.first else {
            Issue.record("no protocol options")
            return
        }
        #expect(options.explicitHttpConfig?.httpProtocolOptions == .init())
        #expect(options.commonHttpProtocolOptions?.maxRequestsPerConnection == 1000)
    }

    @Test("a written document reads back equal, as JSON and as protobuf")
    func roundTrip() throws {
        let bootstrap = try Envoy.Bootstrap.read(yaml(frontProxyYAML))
        #expect(try Envoy.Bootstrap.read(bootstrap.jsonValue) == bootstrap)
        #expect(try Envoy.Bootstrap(protobuf: bootstrap.protobufBytes) == bootstrap)
        try bootstrap.validate()
    }

    @Test("what has no effect is a warning by path")
    func warnings() throws {
        var warnings: [SchemaProblem] = []
        _ = try Envoy.Bootstrap.read(["stats_flush_interval": "5s"], warnings: &warnings)
        #expect(
            warnings.map(\.description) == [
                "stats_flush_interval: has no meaning here: numbers are read when they are asked for, and there are no "
                    + "sinks to flush them to"
            ]
        )
    }

    @Test("a discovery response gives its resources by type")
    func discoveryResponse() throws {
        let response = try Envoy.DiscoveryResponse.read(
            yaml(
                """
                version_info: "12"
                resources:
                - "@type": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment
                  cluster_name: a
                - "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
                  name: b
                """
            )
        )
        #expect(response.versionInfo == "12")
        #expect(response.clusterLoadAssignments.map(\.clusterName) == ["a"])
        #expect(response.clusters.map(\.name) == ["b"])
        #expect(response.listeners.isEmpty && response.routeConfigurations.isEmpty)
    }
}

func yaml(_ text: String) throws -> Value { try #require(YAML.parse(text).first).value }

let frontProxyYAML = """
    node: {id: front-1, cluster: front}
    admin:
      address:
        socket_address: {address: 127.0.0.1, port_value: 9901}
    static_resources:
      listeners:
      - name: listener_0
        address:
          socket_address: {address: 0.0.0.0, port_value: 8080}
        filter_chains:
        - filters:
          - name: envoy.filters.network.http_connection_manager
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
              codec_type: AUTO
              stat_prefix: ingress_http
              stream_idle_timeout: 300s
              common_http_protocol_options: {idle_timeout: 3600.5s}
              access_log:
              - name: envoy.access_loggers.file
                typed_config:
                  "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
                  path: /dev/stdout
                  log_format:
                    text_format_source: {inline_string: "%PROTOCOL%\\n"}
              route_config:
                name: local_route
                virtual_hosts:
                - name: shop
                  domains: [shop.example, "*.shop.example"]
                  routes:
                  - match:
                      path_separated_prefix: /api
                      headers:
                      - name: ":method"
                        string_match: {exact: GET}
                    route:
                      timeout: 0s
                      weighted_clusters:
                        clusters:
                        - {name: v1, weight: 90}
                        - {name: v2, weight: 10}
                      retry_policy: {retry_on: "connect-failure,reset", num_retries: 2, retriable_status_codes: [503, 504]}
                  - match: {path: /old}
                    redirect: {https_redirect: true}
                  - match: {prefix: /}
                    direct_response: {status: 404, body: {inline_string: "no"}}
              http_filters:
              - name: envoy.filters.http.router
                typed_config:
                  "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
      clusters:
      - name: v1
        type: STRICT_DNS
        connectTimeout: 0.25s
        circuit_breakers:
          thresholds:
          - max_connections: 100
            retry_budget: {budget_percent: {value: 20.0}, min_retry_concurrency: 3}
        outlier_detection: {consecutive_5xx: 5, enforcing_consecutive_5xx: 0}
        load_balancing_policy:
          policies:
          - typed_extension_config:
              name: envoy.load_balancing_policies.peak_ewma
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.load_balancing_policies.peak_ewma.v3alpha.PeakEwma
        typed_extension_protocol_options:
          envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
            "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
            common_http_protocol_options: {max_requests_per_connection: 1000}
            explicit_http_config: {http_protocol_options: {}}
        load_assignment:
          cluster_name: v1
          endpoints:
          - lb_endpoints:
            - endpoint:
                address:
                  socket_address: {address: web.local, port_value: 80}
              load_balancing_weight: 3
              metadata: {filter_metadata: {weft.dev/labels: {dst_pod: web-1}}}
      - name: v2
        type: eds
        eds_cluster_config:
          eds_config:
            resource_api_version: V3
            path_config_source: {path: /run/eds.json}
    """
