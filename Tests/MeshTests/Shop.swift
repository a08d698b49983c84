import EnvoyAPI
import Mesh
import Resources
import Testing
import Wire

/// A small shop: two replicas of `web`, one of `users` that is not ready.
func shop() -> MeshState {
    MeshState(
        directory: "/run/proxy",
        admin: .pipe(path: "/run/proxy/admin.sock"),
        services: [
            MeshService(
                namespace: "shop",
                name: "web",
                type: "LoadBalancer",
                clusterIP: "10.96.0.20",
                selector: ["app": "web"],
                ports: [.init(name: "http", port: 80, target: .text("web"), nodePort: 30080)],
                loadBalancerAddresses: ["127.10.0.1"]
            ),
            MeshService(
                namespace: "shop",
                name: "users",
                clusterIP: "10.96.0.21",
                selector: ["app": "users"],
                ports: [.init(port: 9000, target: .number(9001))]
            ),
        ],
        pods: [
            pod("web-2", "10.244.0.3", ["app": "web"], [.init(name: "web", number: 8081)]),
            pod("web-1", "10.244.0.2", ["app": "web"], [.init(name: "web", number: 8080)]),
            pod("users-1", "10.244.0.4", ["app": "users"], [], isReady: false),
        ]
    )
}

func pod(
    _ name: String,
    _ ip: String,
    _ labels: [String: String],
    _ ports: [MeshPod.Port] = [],
    isReady: Bool = true,
    isTerminating: Bool = false
) -> MeshPod {
    MeshPod(
        namespace: "shop",
        name: name,
        ip: ip,
        networkNamespace: "/run/pods/\(name)/net.sock",
        labels: labels,
        workload: Workload(kind: "Deployment", name: String(name.split(separator: "-")[0])),
        ports: ports,
        isReady: isReady,
        isTerminating: isTerminating
    )
}

/// The endpoints that the machine's own proxy is served, by cluster.
func endpoints(of state: MeshState) throws -> [String: Envoy.ClusterLoadAssignment] {
    // Of several with one name the first counts: the index keeps the last.
    var unique = state
    unique.services.reverse()
    unique.pods.reverse()
    var cache = DiscoveryCache()
    let updates = cache.open(.machine, MeshIndex(unique), ProxyConfiguration(state))
    var found: [String: Envoy.ClusterLoadAssignment] = [:]
    for update in try #require(updates) where update.type == .endpoints {
        for resource in update.changed {
            found[resource.name] = try Envoy.ClusterLoadAssignment(protobuf: resource.bytes)
        }
    }
    return found
}

extension ProxyConfiguration {
    func listener(_ name: String) throws -> Envoy.Listener {
        try #require(listeners.first { $0.name == name }, "no listener \(name)")
    }

    func cluster(_ name: String) throws -> Envoy.Cluster {
        try #require(clusters.first { $0.name == name }, "no cluster \(name)")
    }

    /// Host and path of every virtual host's routes, and where they lead, without the doubles for GET and HEAD.
    func ingressTable() throws -> [String] {
        try #require(routes["ingress"]).virtualHosts.flatMap { host in
            host.routes.filter { $0.match?.headers.isEmpty == true }.map { "\(host.domains[0]) \(describe($0))" }
        }
    }
}

private func describe(_ route: Envoy.Route) -> String {
    let path =
        switch route.match?.pathSpecifier {
        case .prefix(let prefix): "\(prefix)*"
        case .path(let path): path
        case .pathSeparatedPrefix(let prefix): "\(prefix)/*"
        case .safeRegex(let regex): "~\(regex.regex)"
        default: "?"
        }
    let target =
        switch route.action {
        case .route(let action):
            action.clusterSpecifier.map { if case .cluster(let name) = $0 { name } else { "?" } } ?? "?"
        case .directResponse(let answer): "\(answer.status)"
        default: "?"
        }
    return "\(path) -> \(target)"
}
