import EnvoyAPI
import Mesh
import Resources
import Testing
import Wire

@Suite("Proxy configuration")
struct ConfigurationTests {
    @Test("every resource keeps the rules of the Envoy API")
    func isValid() throws {
        var state = shop()
        state.ingresses = [
            MeshIngress(namespace: "shop", name: "shop", defaultBackend: .init(service: "web", port: nil))
        ]
        state.ingressAddress = HostAddress(address: "127.0.0.1", port: 8000)
        state.accessLogPath = "/run/proxy/access.log"
        state.pods[0].ports[0].hostPort = 8081
        let configuration = ProxyConfiguration(state)
        try ProxyBootstrap.make(state).validate()
        for listener in configuration.listeners { try listener.validate() }
        for cluster in configuration.clusters { try cluster.validate() }
        for routes in configuration.routes.values { try routes.validate() }
        for endpoints in try endpoints(of: state).values { try endpoints.validate() }
        #expect(configuration.warnings.isEmpty)
    }

    @Test("names are unique and sorted, whatever the order of the state")
    func orderIsStable() {
        var shuffled = shop()
        shuffled.pods.reverse()
        shuffled.services.reverse()
        let configuration = ProxyConfiguration(shop())
        #expect(configuration == ProxyConfiguration(shuffled))
        let names = configuration.listeners.map(\.name)
        #expect(names == Array(Set(names)).sorted())
        #expect(
            names == [
                "lb/shop/web/80", "nodeport/shop/web/80", "outbound/shop/users-1", "outbound/shop/web-1",
                "outbound/shop/web-2", "pod/shop/users-1", "pod/shop/web-1", "pod/shop/web-2",
                "service/shop/users/9000", "service/shop/web/80",
            ]
        )
        let clusters = configuration.clusters.map(\.name)
        #expect(clusters == Array(Set(clusters)).sorted())
    }

    @Test("endpoints are the ready pods at their own target ports, dialled in their namespaces")
    func readyPods() throws {
        let all = try endpoints(of: shop())
        let web = try #require(all["service/shop/web/80"]?.endpoints.first?.lbEndpoints)
        #expect(
            web.map(\.endpoint?.address?.kind) == [
                .socket(
                    .init(
                        address: "10.244.0.2",
                        portValue: 8080,
                        networkNamespaceFilepath: "/run/pods/web-1/net.sock"
                    )
                ),
                .socket(
                    .init(
                        address: "10.244.0.3",
                        portValue: 8081,
                        networkNamespaceFilepath: "/run/pods/web-2/net.sock"
                    )
                ),
            ]
        )
        #expect(
            web[0].metadata?.filterMetadata["weft.dev/labels"] == ["dst_deployment": "web", "dst_pod": "web-1"]
        )
        #expect(all["service/shop/users/9000"]?.endpoints.isEmpty == true)
    }

    @Test("a pod that ends loses its traffic and keeps its own listener")
    func terminatingPod() throws {
        var state = shop()
        state.pods[0].isTerminating = true
        let web = try #require(try endpoints(of: state)["service/shop/web/80"]?.endpoints.first?.lbEndpoints)
        #expect(web.map(\.endpoint?.hostname) == ["web-1"])
        _ = try ProxyConfiguration(state).listener("outbound/shop/web-2")
    }

    @Test("a Service may publish pods that are not ready")
    func publishNotReady() throws {
        var state = shop()
        state.services[1].publishesNotReady = true
        let users = try endpoints(of: state)["service/shop/users/9000"]
        #expect(users?.endpoints.first?.lbEndpoints.map(\.endpoint?.hostname) == ["users-1"])
    }

    @Test("the listener in a pod hands over, lets out the rest and knows its caller")
    func outbound() throws {
        let listener = try ProxyConfiguration(shop()).listener("outbound/shop/web-1")
        #expect(
            listener.address?.kind
                == .socket(
                    .init(address: "0.0.0.0", portValue: 15001, networkNamespaceFilepath: "/run/pods/web-1/net.sock")
                )
        )
        #expect(listener.useOriginalDst == true)
        #expect(listener.listenerFilters.map(\.typedConfig) == [.originalDst(.init())])
        #expect(
            listener.metadata?.filterMetadata["weft.dev/labels"]
                == ["namespace": "shop", "deployment": "web", "pod": "web-1"]
        )
        #expect(
            listener.filterChains.first?.filterChainMatch?.prefixRanges.map(\.addressPrefix) == [
                "10.96.0.0", "10.244.0.0",
            ]
        )
        guard case .tcpProxy(let proxy)? = listener.defaultFilterChain?.filters.first?.typedConfig else {
            Issue.record("no TCP proxy")
            return
        }
        #expect(proxy.clusterSpecifier == .cluster("passthrough"))
    }

    @Test("a Service's listener has no socket, and chains by the protocol of its port")
    func serviceListeners() throws {
        let configuration = ProxyConfiguration(shop())
        let web = try configuration.listener("service/shop/web/80")
        #expect(web.bindToPort == false)
        #expect(web.address?.kind == .socket(.init(address: "10.96.0.20", portValue: 80)))
        #expect(web.filterChains.map(\.name) == ["http"] && web.defaultFilterChain == nil)
        #expect(web.metadata == nil)
        let users = try configuration.listener("service/shop/users/9000")
        #expect(users.filterChains.map(\.name) == ["http"] && users.defaultFilterChain?.name == "tcp")
        #expect(users.filterChains[0].filterChainMatch?.applicationProtocols == ["http/1.0", "http/1.1"])
        #expect(users.continueOnListenerFiltersTimeout)
        guard case .httpConnectionManager(let manager)? = web.filterChains[0].filters.first?.typedConfig,
            case .rds(let rds)? = manager.routeSpecifier
        else {
            Issue.record("no routes")
            return
        }
        #expect(rds.configSource?.configSourceSpecifier == .ads(.init()))
        #expect(rds.routeConfigName == "service/shop/web/80")
    }

    @Test("a Service's cluster is safe by default")
    func clusterDefaults() throws {
        let cluster = try ProxyConfiguration(shop()).cluster("service/shop/web/80")
        #expect(cluster.type == .eds)
        #expect(cluster.edsClusterConfig?.edsConfig?.configSourceSpecifier == .ads(.init()))
        #expect(cluster.connectTimeout == .seconds(1))
        #expect(cluster.outlierDetection != nil)
        #expect(cluster.circuitBreakers?.thresholds.first?.retryBudget?.budgetPercent?.value == 20)
        #expect(cluster.loadBalancingPolicy?.policies.first?.typedExtensionConfig?.typedConfig == .peakEwma(.init()))
        #expect(
            cluster.metadata?.filterMetadata["weft.dev/labels"] == ["dst_namespace": "shop", "dst_service": "web"]
        )
    }

    @Test("only GET and HEAD are tried again after an answer")
    func retries() throws {
        let routes = try #require(ProxyConfiguration(shop()).routes["service/shop/web/80"]?.virtualHosts.first?.routes)
        let table = routes.map { route -> String in
            guard case .route(let action)? = route.action else { return "?" }
            var method = "*"
            if case .stringMatch(let match)? = route.match?.headers.first?.headerMatchSpecifier,
                case .exact(let name)? = match.matchPattern
            {
                method = name
            }
            return "\(method): \(action.retryPolicy?.retryOn ?? "")"
        }
        let safe = "connect-failure,refused-stream,reset-before-request"
        #expect(table == ["GET: \(safe),reset,gateway-error", "HEAD: \(safe),reset,gateway-error", "*: \(safe)"])
    }

    @Test("host listeners carry the entrance as their caller")
    func hostListeners() throws {
        let configuration = ProxyConfiguration(shop())
        let balancer = try configuration.listener("lb/shop/web/80")
        #expect(balancer.address?.kind == .socket(.init(address: "127.10.0.1", portValue: 80)))
        #expect(balancer.metadata?.filterMetadata["weft.dev/labels"] == ["workload": "loadbalancer"])
        let node = try configuration.listener("nodeport/shop/web/80")
        #expect(node.address?.kind == .socket(.init(address: "127.0.0.1", portValue: 30080)))
        #expect(balancer.bindToPort == nil)
    }

    @Test("of two claims to one address on the host the later one is left out with a warning")
    func addressTaken() throws {
        var state = shop()
        state.services[1].type = "LoadBalancer"
        state.services[1].ports[0].port = 80
        state.services[1].loadBalancerAddresses = ["127.10.0.1"]
        let configuration = ProxyConfiguration(state)
        #expect(configuration.warnings.map(\.reason) == ["AddressTaken"])
        #expect(configuration.warnings.first?.message == "127.10.0.1:80 belongs to Service shop/users already")
    }

    @Test(
        "an address that is none costs its own listener only",
        arguments: ["", "1.2.3", "1.2.3.256", "01.2.3.4", "::1", "a.b.c.d"]
    )
    func oddAddress(address: String) throws {
        var state = shop()
        state.services[1].clusterIP = address
        state.services[0].loadBalancerAddresses = [address]
        state.pods[0].ip = address
        let configuration = ProxyConfiguration(state)
        #expect(configuration.warnings.map(\.reason) == ["AddressNotCarried"])
        let names = configuration.listeners.map(\.name)
        #expect(names.contains("service/shop/web/80") && names.contains("pod/shop/web-1"))
        #expect(!names.contains { $0 == "service/shop/users/9000" || $0.hasPrefix("lb/") || $0.hasSuffix("web-2") })
    }

    @Test("session affinity chooses pods by the client's address, for requests and for connections")
    func affinity() throws {
        var state = shop()
        state.services[1].affinitySeconds = 7
        let configuration = ProxyConfiguration(state)
        #expect(configuration.warnings.isEmpty)
        let name = "service/shop/users/9000"
        let cluster = try #require(configuration.clusters.first { $0.name == name })
        guard case .maglev? = cluster.loadBalancingPolicy?.policies.first?.typedExtensionConfig?.typedConfig else {
            Issue.record("not bound: \(String(describing: cluster.loadBalancingPolicy))")
            return
        }
        #expect(cluster.metadata?.filterMetadata["weft.dev/clients"] == ["timeout": "7s"])
        let listener = try #require(configuration.listeners.first { $0.name == name })
        let bound = String(describing: listener) + String(describing: configuration.routes)
        #expect(bound.contains("sourceIp"))
    }

    @Test("UDP ports are warned of")
    func notCarried() {
        var state = shop()
        state.services[1].ports.append(.init(name: "dns", port: 53, protocolName: "UDP"))
        let configuration = ProxyConfiguration(state)
        #expect(configuration.warnings.map(\.reason) == ["ProtocolNotCarried"])
        #expect(!configuration.listeners.contains { $0.name == "service/shop/users/53" })
    }

    @Test("a headless Service has endpoints and no listener")
    func headless() throws {
        var state = shop()
        state.services[1].clusterIP = nil
        let configuration = ProxyConfiguration(state)
        #expect(!configuration.listeners.contains { $0.name.hasPrefix("service/shop/users") })
        #expect(try endpoints(of: state)["service/shop/users/9000"] != nil)
    }

    @Test("a Service without selector leads where its slices say")
    func manualEndpoints() throws {
        var state = shop()
        state.services[1].selector = [:]
        state.services[1].manualEndpoints = [
            .init(address: "192.0.2.7", ports: ["": 5000]), .init(address: "10.244.0.2", ports: ["": 8080]),
        ]
        let users = try #require(try endpoints(of: state)["service/shop/users/9000"]?.endpoints.first)
        #expect(
            users.lbEndpoints.map(\.endpoint?.address?.kind) == [
                .socket(
                    .init(
                        address: "10.244.0.2",
                        portValue: 8080,
                        networkNamespaceFilepath: "/run/pods/web-1/net.sock"
                    )
                ),
                .socket(.init(address: "192.0.2.7", portValue: 5000)),
            ]
        )
    }

    @Test("a pod's own address is dialled inside the pod")
    func podAddress() throws {
        let configuration = ProxyConfiguration(shop())
        let cluster = try configuration.cluster("pod/shop/web-1")
        #expect(cluster.type == .originalDst)
        #expect(
            cluster.upstreamBindConfig?.sourceAddress?.networkNamespaceFilepath == "/run/pods/web-1/net.sock"
        )
        let listener = try configuration.listener("pod/shop/web-1")
        #expect(listener.address?.kind == .socket(.init(address: "10.244.0.2", portValue: 0)))
        #expect(listener.bindToPort == false)
    }
}
