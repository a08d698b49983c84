import EnvoyAPI

/// The kinds of resources that control planes give, in the order in which requests for them go out: what others lean on
/// comes first.
enum ResourceKind: Int, CaseIterable, Sendable {
    case runtime, cluster, endpoints, secret, listener, routes

    var typeURL: String {
        switch self {
        case .runtime: Envoy.Runtime.typeURL
        case .cluster: Envoy.Cluster.typeURL
        case .endpoints: Envoy.ClusterLoadAssignment.typeURL
        case .secret: Envoy.Secret.typeURL
        case .listener: Envoy.Listener.typeURL
        case .routes: Envoy.RouteConfiguration.typeURL
        }
    }

    init?(typeURL: String) {
        guard let kind = Self.allCases.first(where: { $0.typeURL == typeURL }) else { return nil }
        self = kind
    }

    /// All there are are wanted, and a state-of-the-world response names all of them.
    var isComplete: Bool { self == .cluster || self == .listener }

    /// What a resource is called in messages.
    var label: String {
        switch self {
        case .runtime: "runtime layer"
        case .cluster: "cluster"
        case .endpoints: "endpoints of"
        case .secret: "secret"
        case .listener: "listener"
        case .routes: "route configuration"
        }
    }

    /// Path of the stream for this kind alone.
    func path(_ variant: DiscoveryVariant) -> String {
        let (service, method) =
            switch self {
            case .runtime: ("runtime.v3.RuntimeDiscoveryService", "Runtime")
            case .cluster: ("cluster.v3.ClusterDiscoveryService", "Clusters")
            case .endpoints: ("endpoint.v3.EndpointDiscoveryService", "Endpoints")
            case .secret: ("secret.v3.SecretDiscoveryService", "Secrets")
            case .listener: ("listener.v3.ListenerDiscoveryService", "Listeners")
            case .routes: ("route.v3.RouteDiscoveryService", "Routes")
            }
        return "/envoy.service.\(service)/\(variant == .incremental ? "Delta" : "Stream")\(method)"
    }
}

/// How resources are told of.
enum DiscoveryVariant: Sendable {
    /// State of the world: a response of clusters or listeners names all of them.
    case whole
    /// Only what changed.
    case incremental

    /// Path of the stream for all kinds.
    var aggregatedPath: String {
        "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
            + (self == .incremental ? "DeltaAggregatedResources" : "StreamAggregatedResources")
    }
}

/// A resource that came and differs from the one that is in force.
struct DiscoveredResource: Sendable, Equatable {
    var name: String
    var version: String
    /// The message in protobuf.
    var bytes: [UInt8]
    /// Its place in the response.
    var position: Int
}

/// What a response, or the end of lives, changes for one kind.
struct DiscoveryUpdate: Sendable, Equatable {
    var kind: ResourceKind
    var version: String
    var nonce = ""
    var changed: [DiscoveredResource] = []
    /// Clusters and listeners that are no more; for other kinds: names that the control plane does not know.
    var removed: [String] = []
    /// Their lives ended without a heartbeat.
    var expired: [String] = []
    /// Their first response did not come in time ("" for a wildcard's).
    var late: [String] = []
    /// One bad resource refuses the whole response.
    var isWhole = true

    var isEmpty: Bool { changed.isEmpty && removed.isEmpty && expired.isEmpty && late.isEmpty }

    // For the session's books.
    var lives: [String: UInt64?] = [:]
    var faults: [ResourceFault] = []
    var seen: Set<String> = []
}

/// What is wrong with one resource; without a name, with the response.
struct ResourceFault: Error, Sendable, Equatable {
    var name: String
    /// Begins with the path of the field.
    var text: String
}
