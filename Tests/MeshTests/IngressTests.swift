import EnvoyAPI
import Mesh
import Resources
import Testing

@Suite("Ingresses")
struct IngressTests {
    private func state(_ ingresses: [MeshIngress]) -> MeshState {
        var state = shop()
        state.ingresses = ingresses
        state.ingressAddress = HostAddress(address: "127.0.0.1", port: 8000)
        return state
    }

    private func path(_ path: String, _ type: String, _ service: String, _ port: IntOrString) -> MeshIngress.Path {
        .init(path: path, type: type, backend: .init(service: service, port: port))
    }

    @Test("exact paths win, then longer prefixes, then rules for every host, then 404")
    func precedence() throws {
        let table = try ProxyConfiguration(
            state([
                MeshIngress(
                    namespace: "shop",
                    name: "shop",
                    rules: [
                        .init(
                            host: "Shop.example",
                            paths: [
                                path("/", "Prefix", "web", .number(80)),
                                path("/users/", "Prefix", "users", .number(9000)),
                                path("/users", "Exact", "web", .text("http")),
                            ]
                        ),
                        .init(
                            host: "*.shop.example",
                            paths: [path("/x", "ImplementationSpecific", "web", .number(80))]
                        ),
                        .init(host: "", paths: [path("/any", "Prefix", "web", .number(80))]),
                    ]
                )
            ])
        ).ingressTable()
        #expect(
            table == [
                "* /any/* -> service/shop/web/80", "* /* -> 404",
                "*.shop.example /x/* -> service/shop/web/80", "*.shop.example /any/* -> service/shop/web/80",
                "*.shop.example /* -> 404",
                "shop.example /users -> service/shop/web/80", "shop.example /users/* -> service/shop/users/9000",
                "shop.example /* -> service/shop/web/80", "shop.example /any/* -> service/shop/web/80",
                "shop.example /* -> 404",
            ]
        )
    }

    @Test("the answer to a host without rules names the hosts that have some")
    func notFound() throws {
        let configuration = ProxyConfiguration(
            state([
                MeshIngress(
                    namespace: "shop",
                    name: "shop",
                    rules: [.init(host: "shop.example", paths: [path("/", "Prefix", "web", .number(80))])]
                )
            ])
        )
        guard
            case .directResponse(let answer)? = configuration.routes["ingress"]?.virtualHosts.first?.routes.last?.action
        else {
            Issue.record("no direct response")
            return
        }
        #expect(
            answer.body?.specifier
                == .inlineString("weft: no Ingress has a rule for this host and path; hosts with rules: shop.example\n")
        )
    }

    @Test("the default backend takes what no rule takes")
    func defaultBackend() throws {
        let table = try ProxyConfiguration(
            state([
                MeshIngress(
                    namespace: "shop",
                    name: "shop",
                    defaultBackend: .init(service: "users", port: .number(9000))
                )
            ])
        ).ingressTable()
        #expect(table == ["* /* -> service/shop/users/9000"])
    }

    @Test("a missing Service or port answers 503 with the reason, and warns")
    func missingBackend() throws {
        let configuration = ProxyConfiguration(
            state([
                MeshIngress(
                    namespace: "shop",
                    name: "shop",
                    rules: [
                        .init(
                            host: "a",
                            paths: [
                                path("/1", "Prefix", "none", .number(80)), path("/2", "Prefix", "web", .text("grpc")),
                            ]
                        )
                    ]
                )
            ])
        )
        #expect(try configuration.ingressTable().contains("a /1/* -> 503"))
        #expect(
            configuration.warnings.map(\.message) == [
                "there is no Service none", "Service web has no TCP port grpc",
            ]
        )
    }

    @Test("the older Ingress keeps a path that two want; TLS and odd paths are warned of")
    func conflicts() throws {
        let rule = { (service: String, port: Int) in
            MeshIngress.Rule(host: "a", paths: [self.path("/", "Prefix", service, .number(port))])
        }
        let configuration = ProxyConfiguration(
            state([
                MeshIngress(
                    namespace: "shop",
                    name: "a",
                    created: "2026-02-01T00:00:00Z",
                    rules: [rule("users", 9000)],
                    hasTLS: true
                ),
                MeshIngress(
                    namespace: "shop",
                    name: "b",
                    created: "2026-01-01T00:00:00Z",
                    rules: [rule("web", 80), .init(host: "a", paths: [path("x?y", "Prefix", "web", .number(80))])]
                ),
            ])
        )
        #expect(try configuration.ingressTable().contains("a /* -> service/shop/web/80"))
        #expect(
            Set(configuration.warnings.map { "\($0.name) \($0.reason)" }) == [
                "a TLSNotServed", "b InvalidPath", "a PathTaken",
            ]
        )
    }

    @Test(
        "a host or path that the proxy would refuse is left out with a warning",
        arguments: ["a.*.b", "*", "a b", "*.*.a", "ä"]
    )
    func oddHost(host: String) throws {
        let rule = MeshIngress.Rule(host: host, paths: [path("/", "Prefix", "web", .number(80))])
        let configuration = ProxyConfiguration(state([MeshIngress(namespace: "shop", name: "x", rules: [rule])]))
        #expect(configuration.warnings.map(\.reason) == ["InvalidHost"])
        #expect(try configuration.ingressTable() == ["* /* -> 404"])
    }

    @Test("without an address there is no entrance")
    func noAddress() {
        var state = state([MeshIngress(namespace: "shop", name: "shop")])
        state.ingressAddress = nil
        #expect(!ProxyConfiguration(state).listeners.contains { $0.name == "ingress" })
    }
}
