import EnvoyAPI
import Mesh
import Resources
import Testing

@Suite("States that nobody should write")
struct HostileStateTests {
    @Test(
        "whatever the objects say, what comes out keeps the rules and names nothing twice",
        arguments: 0..<60 as Range<UInt64>
    )
    func keepsRules(seed: UInt64) throws {
        var random = Random(state: seed)
        let state = random.meshState()
        let configuration = ProxyConfiguration(state)
        for listener in configuration.listeners { try listener.validate() }
        for cluster in configuration.clusters { try cluster.validate() }
        for routes in configuration.routes.values { try routes.validate() }
        let endpoints = try endpoints(of: state)
        for assignment in endpoints.values { try assignment.validate() }
        let listeners = configuration.listeners.map(\.name)
        let clusters = configuration.clusters.map(\.name)
        #expect(Set(listeners).count == listeners.count)
        #expect(Set(clusters).count == clusters.count)
        let sockets = configuration.listeners.filter { !$0.name.hasPrefix("outbound/") && !$0.name.hasPrefix("pod/") }
            .map { "\($0.address.map { "\($0)" } ?? "")" }
        #expect(Set(sockets).count == sockets.count)
        for (name, assignment) in endpoints {
            #expect(clusters.contains(name) && assignment.clusterName == name)
        }
    }
}

/// Draws from few values, so that they meet, and from odd ones.
private struct Random {
    var state: UInt64

    mutating func next(_ bound: Int) -> Int {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return Int((word ^ (word >> 31)) % UInt64(bound))
    }

    mutating func pick<T>(_ choices: [T]) -> T { choices[next(choices.count)] }

    mutating func list<T>(_ most: Int, _ make: (inout Random) -> T) -> [T] {
        (0..<next(most + 1)).map { _ in make(&self) }
    }

    mutating func meshState() -> MeshState {
        MeshState(
            directory: "/run/proxy",
            admin: .pipe(path: "/a"),
            services: list(6) { $0.service() },
            pods: list(6) { $0.pod() },
            ingresses: list(4) { $0.ingress() },
            ingressAddress: pick([nil, HostAddress(address: "127.0.0.1", port: 80)]),
            clusterRanges: pick([["10.96.0.0/16"], [], ["x"], ["1.2.3.4/99/1", "/"]])
        )
    }

    private mutating func number() -> Int { pick([80, 80, 8080, 0, -1, 65535, 65536, Int.max, Int.min]) }

    private mutating func address() -> String {
        pick(["10.96.0.1", "10.96.0.2", "127.0.0.1", "", "None", "::1", "1.2.3.4.5", "0.0.0.0", "a\nb"])
    }

    private mutating func target() -> IntOrString {
        pick([.number(number()), .text("http"), .text(""), .text("99999")])
    }

    private mutating func service() -> MeshService {
        MeshService(
            namespace: pick(["a", "b"]),
            name: "s\(next(3))",
            type: pick(["ClusterIP", "NodePort", "LoadBalancer", "ExternalName", "odd"]),
            clusterIP: pick([nil, address()]),
            selector: pick([[:], ["app": "x"]]),
            ports: list(3) { random in
                MeshService.Port(
                    name: random.pick(["http", "", "tcp", "-", "é"]),
                    port: random.number(),
                    target: random.target(),
                    protocolName: random.pick(["TCP", "TCP", "UDP", ""]),
                    appProtocol: random.pick([nil, "", "http"]),
                    nodePort: random.pick([nil, random.number()])
                )
            },
            annotations: pick([
                [:], ["weft.dev/request-timeout": "999999999999s"], ["weft.dev/idle-timeout": "0s", "weft.dev/": ""],
                ["weft.dev/connect-timeout": "0.0001ms"], ["weft.dev/connect-timeout": "1ns"],
            ]),
            publishesNotReady: pick([true, false]),
            loadBalancerAddresses: [address()],
            loadBalancerPorts: pick([[:], [80: number()]]),
            manualEndpoints: list(2) { random in
                .init(address: random.address(), ports: [random.pick(["http", ""]): random.number()])
            }
        )
    }

    private mutating func pod() -> MeshPod {
        MeshPod(
            namespace: pick(["a", "b"]),
            name: "p\(next(4))",
            ip: address(),
            networkNamespace: pick(["/n", ""]),
            labels: pick([[:], ["app": "x"]]),
            ports: list(2) { random in
                .init(
                    name: random.pick(["http", ""]),
                    number: random.number(),
                    hostPort: random.pick([nil, random.number()]),
                    hostIP: random.pick([nil, random.address()])
                )
            },
            isReady: pick([true, false]),
            isTerminating: pick([true, false])
        )
    }

    private mutating func ingress() -> MeshIngress {
        func backend(_ random: inout Random) -> MeshIngress.Backend {
            .init(
                service: random.pick(["s0", "s1", "", String(repeating: "x", count: 5000)]),
                port: random.pick([nil, random.target()])
            )
        }
        return MeshIngress(
            namespace: pick(["a", "b"]),
            name: "i\(next(3))",
            rules: list(4) { random in
                .init(
                    host: random.pick(["", "a.example", "A.example", "*.example", "*", "a*", "x\r\n"]),
                    paths: random.list(4) { random in
                        .init(
                            path: random.pick(["/", "", "/a", "/a/", "//", "/a?b", "/\u{0}", "x", "/é"]),
                            type: random.pick(["Exact", "Prefix", "ImplementationSpecific", "odd"]),
                            backend: backend(&random)
                        )
                    }
                )
            },
            defaultBackend: pick([nil, backend(&self)]),
            hasTLS: pick([true, false])
        )
    }
}
