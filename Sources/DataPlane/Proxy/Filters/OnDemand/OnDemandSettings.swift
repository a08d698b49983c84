import EnvoyAPI

/// `on_demand`, compiled: of a chain or of a route.
final class OnDemandSettings: Sendable {
    /// The control plane's number; -1: nobody is asked here.
    let server: Int
    /// How long a request waits, nanoseconds.
    let timeout: UInt64
    let numbers: Numbers

    struct Numbers: Sendable {
        var asked: Int32 = -1
        var found: Int32 = -1
        var missing: Int32 = -1
        var overflow: Int32 = -1
    }

    /// `prefix` is the connection manager's; nil for routes, whose numbers are the chain's.
    init(_ message: Envoy.OnDemandCds?, prefix: String?, _ context: CompileContext) {
        var server = -1
        if let message {
            context.at("odcds.source") {
                guard let source = context.source(message.source, .cluster) else { return }
                guard let number = source.server else {
                    return context.report("path_config_source: only a control plane can be asked for single clusters")
                }
                if context.servers.servers[number].variant != .incremental {
                    context.report(
                        "the control plane has to be asked by the incremental protocol (api_type DELTA_GRPC), where single "
                            + "clusters have names"
                    )
                }
                server = number
                context.hasClustersOnDemand = true
            }
        }
        self.server = server
        timeout = max(1_000_000, nanoseconds(message?.timeout) ?? 5_000_000_000)
        var numbers = Numbers()
        if let prefix {
            numbers.asked = context.filterStats.place(prefix: prefix, "on_demand.cluster_asked")
            numbers.found = context.filterStats.place(prefix: prefix, "on_demand.cluster_found")
            numbers.missing = context.filterStats.place(prefix: prefix, "on_demand.cluster_missing")
            numbers.overflow = context.filterStats.place(prefix: prefix, "on_demand.overflow")
        }
        self.numbers = numbers
    }
}

/// A cluster that is asked for: by its name, or by the place that a route's cluster has in snapshots.
struct WantedCluster: Hashable, Sendable {
    enum Name: Hashable, Sendable {
        case text(String)
        case place(Int32)
    }

    var server: Int
    var name: Name
}

/// A request that waits for a cluster.
struct ClusterWait {
    var wanted: WantedCluster
    var exchange: ShadowHandle
}

/// What a worker asks the main thread for.
struct ClusterQuestion: Sendable {
    var wanted: WantedCluster
    /// How long the answer is waited for, nanoseconds.
    var timeout: UInt64
}
