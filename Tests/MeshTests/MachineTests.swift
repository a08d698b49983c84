import EnvoyAPI
import Mesh
import Resources
import Testing
import Wire

/// The cache with the machine's own proxy alone, beside the tables of what it was told.
private struct Machine {
    var index = MeshIndex()
    var cache = DiscoveryCache()
    var tables = DiscoveryTables()
    var configuration = ProxyConfiguration()
    private var state = MeshState(directory: "/run/proxy", admin: .pipe(path: "/a"))

    init(_ state: MeshState) throws {
        index = MeshIndex(state)
        _ = index.takeDelta()
        self.state = state
        configuration = ProxyConfiguration(state)
        tables.apply(try opened())
    }

    private mutating func opened() throws -> [DiscoveryUpdate] {
        let updates = cache.open(.machine, index, configuration)
        return try #require(updates)
    }

    /// Follows to another state; the outline of what was told.
    mutating func follow(_ new: MeshState) -> [String] {
        let other = MeshIndex(new)
        for key in Set(index.services.keys).union(other.services.keys) { index.set(service: key, other.services[key]) }
        for key in Set(index.pods.keys).union(other.pods.keys) { index.set(pod: key, other.pods[key]) }
        let delta = index.takeDelta()
        if delta.isStructural { configuration = ProxyConfiguration(new) }
        let told = cache.update(index, delta, delta.isStructural ? configuration : nil).flatMap(\.1)
        tables.apply(told)
        return told.map { update in
            "\(update.type.shortName) \(update.changed.map(\.name).joined(separator: " "))"
                + update.removed.map { " -\($0)" }.joined()
        }
    }
}

@Suite("What the machine's own proxy is served")
struct MachineTests {
    @Test("it is the whole configuration, with references on the same stream, and reads back as it was")
    func whole() throws {
        var state = shop()
        state.ingresses = [
            MeshIngress(namespace: "shop", name: "shop", defaultBackend: .init(service: "web", port: nil))
        ]
        state.ingressAddress = HostAddress(address: "127.0.0.1", port: 8000)
        let machine = try Machine(state)
        let configuration = machine.configuration
        #expect(machine.tables[.listener].resources.count == configuration.listeners.count)
        for listener in configuration.listeners {
            let bytes = try #require(machine.tables[.listener].resources[listener.name]).bytes
            #expect(try Envoy.Listener(protobuf: bytes) == listener)
        }
        for cluster in configuration.clusters {
            let bytes = try #require(machine.tables[.cluster].resources[cluster.name]).bytes
            #expect(try Envoy.Cluster(protobuf: bytes) == cluster)
        }
        for (name, routes) in configuration.routes {
            let bytes = try #require(machine.tables[.route].resources[name]).bytes
            #expect(try Envoy.RouteConfiguration(protobuf: bytes) == routes)
        }
        let names = machine.tables[.endpoints].resources.keys.sorted()
        #expect(names == ["service/shop/users/9000", "service/shop/web/80"])
        #expect(machine.tables[.secret].resources.isEmpty)
    }

    @Test("a pod that becomes ready changes the endpoints of its Service alone, one that comes its own resources too")
    func onePod() throws {
        var state = shop()
        var machine = try Machine(state)
        state.pods[2].isReady = true
        #expect(machine.follow(state) == ["EDS service/shop/users/9000"])
        #expect(machine.follow(state).isEmpty)
        state.pods.append(pod("web-3", "10.244.0.9", ["app": "web"], [.init(name: "web", number: 8080)]))
        #expect(
            machine.follow(state) == [
                "CDS pod/shop/web-3", "LDS outbound/shop/web-3 pod/shop/web-3", "EDS service/shop/web/80",
            ]
        )
        #expect(try endpoints(of: state)["service/shop/web/80"]?.endpoints.first?.lbEndpoints.count == 3)
        state.pods.removeLast()
        #expect(
            machine.follow(state) == [
                "CDS  -pod/shop/web-3", "LDS  -outbound/shop/web-3 -pod/shop/web-3", "EDS service/shop/web/80",
            ]
        )
    }

    @Test("a pod without a network of its own is an endpoint and nothing else, from its beginning to its end")
    func plainPod() throws {
        var state = shop()
        var machine = try Machine(state)
        var other = pod("web-3", "10.244.0.9", ["app": "web"], [.init(name: "web", number: 8080)])
        other.sockets = PodSockets(
            address: "127.66.0.2",
            given: [8080: 40_001],
            listeners: [.init(address: "127.66.0.2", port: 40_001)]
        )
        state.pods.append(other)
        #expect(machine.follow(state) == ["EDS service/shop/web/80"])
        #expect(machine.configuration == ProxyConfiguration(state))
        state.pods.removeLast()
        #expect(machine.follow(state) == ["EDS service/shop/web/80"])
        other.ports[0].hostPort = 8081
        state.pods.append(other)
        let told = machine.follow(state)
        #expect(told.first == "CDS hostport/shop/web-3/8080" && told.last == "EDS service/shop/web/80")
    }

    @Test("a Service that is gone takes its resources along; an annotation changes what it says alone")
    func services() throws {
        var state = shop()
        var machine = try Machine(state)
        state.services[0].annotations["weft.dev/retries"] = "0"
        #expect(machine.follow(state) == ["RDS service/shop/web/80"])
        state.services.removeLast()
        #expect(
            machine.follow(state) == [
                "CDS  -service/shop/users/9000", "LDS  -service/shop/users/9000", "RDS  -service/shop/users/9000",
                "EDS  -service/shop/users/9000",
            ]
        )
    }

    @Test("the bootstrap names the control plane's socket, keeps the rules and waits without limit")
    func bootstrap() throws {
        let bootstrap = try Envoy.Bootstrap.read(JSON.parse(ProxyBootstrap.bytes(shop())))
        #expect(bootstrap == ProxyBootstrap.make(shop()))
        #expect(bootstrap.dynamicResources?.adsConfig?.apiType == .deltaGrpc)
        #expect(bootstrap.dynamicResources?.cdsConfig?.initialFetchTimeout == .zero)
        let control = try #require(bootstrap.staticResources?.clusters.first)
        #expect(
            control.loadAssignment?.endpoints.first?.lbEndpoints.first?.endpoint?.address?.kind
                == .pipe(.init(path: "/run/proxy/xds.sock"))
        )
    }
}
