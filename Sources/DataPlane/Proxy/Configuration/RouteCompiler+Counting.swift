import EnvoyAPI
import Traffic

/// Routes and virtual clusters whose requests are counted apart.
extension RouteCompiler {
    /// The number of a name under which requests are counted, as long as the table lives.
    func counter(_ name: String) -> Int32 { lease.counted(name) }

    /// The number of the series of a route, where all routes have one (`weft.metrics.routes`). Routes of a host with one name
    /// share it; those without a name are called by what they match.
    func series(_ message: Envoy.Route, _ host: Envoy.VirtualHost) -> Int32 {
        guard context.runtime.flag("weft.metrics.routes") ?? false else { return -1 }
        return lease.route(RouteName(host: host.name, route: Self.seriesName(message)))
    }

    private static func seriesName(_ message: Envoy.Route) -> String {
        if !message.name.isEmpty { return cut(message.name) }
        if !message.statPrefix.isEmpty { return cut(message.statPrefix) }
        switch message.match?.pathSpecifier {
        case .prefix(let text): return cut(text)
        case .path(let text): return cut(text)
        case .safeRegex(let regex): return cut(regex.regex)
        case .pathSeparatedPrefix(let text): return cut(text)
        case .connectMatcher: return "CONNECT"
        default: return "other"
        }
    }

    /// A name is a label of every series of its route.
    private static func cut(_ text: String) -> String {
        text.utf8.count <= 256 ? text : String(decoding: text.utf8.prefix(256), as: UTF8.self)
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
