import EnvoyAPI
import Traffic

/// Routes and virtual clusters whose requests are counted apart.
extension RouteCompiler {
    /// More names than this are no naming but a leak: they are counted together.
    private static var counterLimit: Int { 10_000 }

    /// The number of a name under which requests are counted.
    func counter(_ name: String) -> Int32 {
        context.counted.values.count < Self.counterLimit ? context.counted.number(of: name) : 0
    }

    /// The virtual clusters of a host, and which of its routes count requests apart.
    func count(_ host: Envoy.VirtualHost, _ draft: inout VirtualHostDraft) {
        if !host.virtualClusters.isEmpty {
            draft.virtualClusters = context.each("virtual_clusters", host.virtualClusters) { cluster in
                VirtualCluster(
                    headers: builder.arena.copy(context.each("headers", cluster.headers) { header($0) }),
                    numbers: counter("vhost.\(host.name).vcluster.\(cluster.name)")
                )
            }
            draft.virtualClusters.append(
                VirtualCluster(headers: ArenaArray(), numbers: counter("vhost.\(host.name).vcluster.other"))
            )
        }
        for index in draft.routes.indices {
            draft.routes[index].isCounted = !host.virtualClusters.isEmpty || draft.routes[index].numbers >= 0
        }
    }
}
