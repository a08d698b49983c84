import EnvoyAPI
import Mesh
import Resources
import Testing
import Wire

/// `#require` for what comes from a mutating call.
private func unwrapped<Value>(_ value: Value?) throws -> Value { try #require(value) }

extension MeshIndex {
    /// The index of a state.
    init(_ state: MeshState) {
        self.init()
        for service in state.services { set(service: Self.key(service.namespace, service.name), service) }
        for pod in state.pods { set(pod: Self.key(pod.namespace, pod.name), pod) }
        for ingress in state.ingresses { set(ingress: Self.key(ingress.namespace, ingress.name), ingress) }
    }
}

/// Many Services with ten pods each.
private func large(_ services: Int, podsEach: Int = 10) -> MeshState {
    var state = MeshState(directory: "/run/proxy", admin: .pipe(path: "/run/proxy/admin.sock"))
    for service in 0..<services {
        state.services.append(
            MeshService(
                namespace: "shop",
                name: "s\(service)",
                clusterIP: "10.96.\(service / 250).\(service % 250 + 1)",
                selector: ["app": "s\(service)"],
                ports: [.init(name: "grpc", port: 80, target: .number(8080))]
            )
        )
        for replica in 0..<podsEach {
            let number = service * podsEach + replica
            let address = "10.\(244 + number / 62_500).\(number / 250 % 250).\(number % 250 + 1)"
            state.pods.append(pod("s\(service)-\(replica)", address, ["app": "s\(service)"]))
        }
    }
    return state
}

@Suite("Mesh, piece by piece")
struct IncrementalTests {
    private func toggled(_ index: inout MeshIndex, _ key: String) throws {
        var changed = try #require(index.pods[key])
        changed.isReady.toggle()
        index.set(pod: key, changed)
    }

    @Test("the readiness of one pod builds the endpoints of its Service anew, and nothing else")
    func oneChange() throws {
        var index = MeshIndex(large(50))
        _ = index.takeDelta()
        var cache = DiscoveryCache()
        for audience in [DiscoveryAudience(.proxyless, at: .pod), DiscoveryAudience(.gateway, at: .pod)] {
            _ = try unwrapped(cache.open(audience, index))
        }
        let before = cache.built
        try toggled(&index, "shop/s7-3")
        let delta = index.takeDelta()
        #expect(!delta.isStructural && delta.services.isEmpty && delta.members == ["shop/s7": ["shop/s7-3"]])
        let told = cache.update(index, delta)
        #expect(cache.built == before + 1)
        #expect(told.count == 2)
        for (_, updates) in told {
            #expect(updates.map(\.type) == [.endpoints])
            #expect(updates[0].changed.map(\.name) == ["service/shop/s7/80"] && updates[0].removed.isEmpty)
        }
        #expect(cache.update(index, index.takeDelta()).isEmpty)
    }

    @Test("what is kept piece by piece is what is made at once")
    func equalsWhole() throws {
        var state = shop()
        var index = MeshIndex(MeshState(directory: "", admin: .pipe(path: "")))
        var cache = DiscoveryCache()
        let audience = DiscoveryAudience(.proxyless, at: .pod)
        var tables = DiscoveryTables(hasServiceNames: true)
        tables.apply(try unwrapped(cache.open(audience, index)))
        func follow() { for (_, updates) in cache.update(index, index.takeDelta()) { tables.apply(updates) } }
        for service in state.services { index.set(service: "shop/\(service.name)", service) }
        follow()
        for pod in state.pods {
            index.set(pod: "shop/\(pod.name)", pod)
            follow()
        }
        state.pods[0].isReady = false
        index.set(pod: "shop/web-2", state.pods[0])
        follow()
        state.services[1].ports[0].target = .number(9002)
        state.pods[2].isReady = true
        index.set(service: "shop/users", state.services[1])
        index.set(pod: "shop/users-1", state.pods[2])
        follow()
        var whole = DiscoveryTables(hasServiceNames: true)
        var fresh = DiscoveryCache()
        whole.apply(try unwrapped(fresh.open(audience, MeshIndex(state))))
        for type in DiscoveryType.allCases { #expect(tables[type].resources == whole[type].resources, "\(type)") }
        index.set(service: "shop/users", nil)
        follow()
        #expect(tables[.cluster].resources.keys.sorted() == ["service/shop/web/80"])
        #expect(tables[.endpoints].resources.keys.sorted() == ["service/shop/web/80"])
        #expect(tables[.listener].resources.keys.sorted() == ["web.shop", "web.shop:80"])
    }

    @Test("a pod with a port on the host is more than an endpoint when it ends")
    func hostPort() {
        var state = shop()
        state.pods[0].ports[0].hostPort = 8081
        var index = MeshIndex(state)
        _ = index.takeDelta()
        state.pods[0].isTerminating = true
        index.set(pod: "shop/web-2", state.pods[0])
        #expect(index.takeDelta().isStructural)
        state.pods[1].isTerminating = true
        index.set(pod: "shop/web-1", state.pods[1])
        #expect(!index.takeDelta().isStructural)
    }

    @Test("endpoints that were written by hand are followed alike")
    func byHand() throws {
        var state = shop()
        state.services[1].selector = [:]
        state.services[1].manualEndpoints = [.init(address: "192.0.2.1", ports: ["": 9000])]
        var index = MeshIndex(state)
        _ = index.takeDelta()
        var cache = DiscoveryCache()
        for audience in [DiscoveryAudience(.gateway), .machine] { _ = try unwrapped(cache.open(audience, index)) }
        state.services[1].manualEndpoints.append(.init(address: "192.0.2.2", ports: ["": 9000]))
        index.set(service: "shop/users", state.services[1])
        let delta = index.takeDelta()
        #expect(!delta.isStructural && delta.services.isEmpty)
        let told = cache.update(index, delta)
        #expect(told.count == 2)
        for (_, updates) in told {
            #expect(updates.map(\.type) == [.endpoints])
            #expect(updates.first?.changed.map(\.name) == ["service/shop/users/9000"])
        }
    }

    @Test("a gateway's entrance with TLS has a chain for each certificate that is there")
    func ingressTLS() throws {
        var state = shop()
        state.ingresses = [
            MeshIngress(namespace: "shop", name: "shop", defaultBackend: .init(service: "web", port: nil), hasTLS: true)
        ]
        state.ingresses[0].tls = [
            .init(hosts: ["a.example", "B.example"], secret: "one"), .init(hosts: ["a.example"], secret: "two"),
            .init(hosts: [], secret: "two"), .init(hosts: ["c.example"], secret: "none"),
        ]
        var index = MeshIndex(state)
        var cache = DiscoveryCache(ingressAddress: HostAddress(address: "127.0.0.1", port: 80))
        let audience = DiscoveryAudience(.gateway, portOffset: 1000)
        let before = try unwrapped(cache.open(audience, index))
        #expect(!before.contains { $0.type == .secret })
        _ = index.takeDelta()
        for name in ["one", "two"] {
            index.set(secret: "shop/\(name)", MeshSecret(namespace: "shop", name: name, certificate: [1], key: [2]))
        }
        let updates = try #require(cache.update(index, index.takeDelta()).first?.1)
        #expect(updates.map(\.type) == [.secret, .listener])
        #expect(updates[0].changed.map(\.name).sorted() == ["secret/shop/one", "secret/shop/two"])
        let listener = try Envoy.Listener(protobuf: try #require(updates[1].changed.first).bytes)
        #expect(listener.name == "ingress-tls" && listener.filterChains.count == 1)
        #expect(listener.filterChains[0].filterChainMatch?.serverNames == ["a.example", "b.example"])
        #expect(listener.defaultFilterChain?.name == "secret/shop/two/all")
        index.set(secret: "shop/one", MeshSecret(namespace: "shop", name: "one", certificate: [3], key: [2]))
        let rotation = try #require(cache.update(index, index.takeDelta()).first?.1)
        #expect(rotation.map(\.type) == [.secret] && rotation[0].changed.map(\.name) == ["secret/shop/one"])
    }

    @Test("each place has the addresses that can be dialled from there")
    func places() throws {
        var state = shop()
        state.services[0].loadBalancerPorts = [80: 8080]
        func endpoints(_ place: DiscoveryAudience.Place, _ name: String) throws -> [String] {
            var cache = DiscoveryCache(nodeAddress: "127.0.0.9")
            let updates = try unwrapped(cache.open(DiscoveryAudience(.proxyless, at: place), MeshIndex(state)))
            let resource = try #require(updates.last?.changed.first { $0.name == "service/shop/\(name)" })
            let assignment = try Envoy.ClusterLoadAssignment(protobuf: resource.bytes)
            #expect(assignment.endpoints.allSatisfy { $0.loadBalancingWeight == 1 && $0.locality != nil })
            return assignment.endpoints.flatMap(\.lbEndpoints).map {
                guard case .socket(let socket) = $0.endpoint?.address?.kind else { return "?" }
                return "\(socket.address):\(socket.portValue ?? 0)"
            }
        }
        #expect(try endpoints(.pod, "web/80") == ["10.244.0.2:8080", "10.244.0.3:8081"])
        #expect(try endpoints(.host, "web/80") == ["127.10.0.1:8080"])
        state.services[0].loadBalancerAddresses = []
        #expect(try endpoints(.host, "web/80") == ["127.0.0.9:30080"])
        #expect(try endpoints(.host, "users/9000") == [])
        state.pods[1].sockets = PodSockets(
            address: "127.66.0.2",
            given: [8080: 40_001],
            listeners: [.init(address: "127.66.0.2", port: 40_001)]
        )
        state.services[0].loopbackAddress = "127.10.0.20"
        #expect(try endpoints(.host, "web/80") == ["127.66.0.2:40001"])
    }

    @Test("a gateway listens beside the proxy, and what only weft-proxy knows is not for it")
    func gateway() throws {
        var state = shop()
        state.ingresses = [
            MeshIngress(namespace: "shop", name: "shop", defaultBackend: .init(service: "web", port: nil))
        ]
        var cache = DiscoveryCache(ingressAddress: HostAddress(address: "127.0.0.1", port: 80))
        let updates = try unwrapped(cache.open(DiscoveryAudience(.gateway, portOffset: 1000), MeshIndex(state)))
        let tables = Dictionary(
            grouping: updates.flatMap { update in update.changed.map { (update.type, $0.name) } },
            by: \.0
        )
        #expect(tables[.listener]?.map(\.1).sorted() == ["ingress", "lb/shop/web/80"])
        #expect(tables[.route]?.map(\.1).sorted() == ["ingress", "service/shop/users/9000", "service/shop/web/80"])
        let bytes = updates.flatMap(\.changed).flatMap(\.bytes)
        #expect(!String(decoding: bytes, as: UTF8.self).contains("peak_ewma"))
    }

    @Test("a share of the requests goes to other Services of the namespace")
    func split() throws {
        var state = shop()
        state.services[0].annotations = ["weft.dev/traffic-split": "web=90, users=10"]
        let configuration = ProxyConfiguration(state)
        guard
            case .route(let action) = configuration.routes["service/shop/web/80"]?.virtualHosts[0].routes.last?.action,
            case .weightedClusters(let shares) = action.clusterSpecifier
        else {
            Issue.record("no weighted clusters")
            return
        }
        #expect(shares.clusters.map(\.name) == ["service/shop/web/80", "service/shop/users/80"])
        #expect(shares.clusters.map(\.weight) == [90, 10])
        #expect(configuration.warnings.map(\.reason) == ["BackendNotFound"])
        for text in ["web", "web=-1", "web=1,web=2", "web=0", "We=1", ""] {
            state.services[0].annotations = ["weft.dev/traffic-split": text]
            #expect(ProxyConfiguration(state).warnings.map(\.reason) == ["InvalidAnnotation"], "\(text)")
        }
    }

    @Test("10000 endpoints: one change is one small resource")
    func tenThousand() throws {
        var index = MeshIndex(large(1000))
        _ = index.takeDelta()
        var cache = DiscoveryCache()
        _ = try unwrapped(cache.open(DiscoveryAudience(.proxyless, at: .pod), index))
        let before = cache.built
        for service in 0..<100 { try toggled(&index, "shop/s\(service)-1") }
        let told = cache.update(index, index.takeDelta())
        #expect(cache.built == before + 100)
        #expect(told.first?.1.first?.changed.allSatisfy { $0.bytes.count < 1000 } == true)
    }
}
