import EnvoyAPI
import Traffic

/// Where a resource came from.
enum Origin: Hashable {
    case bootstrap
    case file(String)
    /// A control plane by its number.
    case discovery(Int)
}

/// A cluster as configured, and where its endpoints come from.
struct ClusterEntry {
    @Boxed var message: Envoy.Cluster
    var origin: Origin
    var index: Int32
    /// Shared with the compiled cluster.
    @Boxed var settings: ClusterConfiguration.Settings
    /// How its host names are looked up.
    var names: NameRule
    let traffic: TrafficMark
    let usage: ClusterUsage
    /// Where an EDS cluster's endpoints come from.
    var source: ResourceSource?
    /// Secrets of control planes that it needs, with how long each is waited for.
    var secrets: [ResourceKey: UInt64] = [:]
    /// The version under which it came, and when (wall clock, nanoseconds).
    var version = ""
    var since: UInt64 = 0

    /// The file of an EDS cluster's endpoints.
    var assignmentPath: String? {
        if case .file(let path, _) = source { path } else { nil }
    }

    /// The endpoints at a control plane.
    var assignmentKey: ResourceKey? { source?.server.map { ResourceKey(server: $0, name: assignmentName) } }

    var assignmentName: String {
        let service = message.edsClusterConfig?.serviceName ?? ""
        return service.isEmpty ? message.name : service
    }

    var isResolved: Bool { message.type == .strictDns || message.type == .logicalDns }

    /// Names that have to be looked up.
    var hostNames: [String] {
        guard isResolved else { return [] }
        var names: [String] = []
        for locality in message.loadAssignment?.endpoints ?? [] {
            for endpoint in locality.lbEndpoints {
                guard case .socket(let socket) = endpoint.endpoint?.address?.kind else { continue }
                if Address(literal: socket.address, port: 0) == nil { names.append(socket.address) }
            }
        }
        return names
    }

    /// How its numbers are named.
    var statName: String { settings.statName.isEmpty ? message.name : settings.statName }

    var nameRequests: [NameRequest] {
        hostNames.map { NameRequest(cluster: message.name, name: $0, rule: names) }
    }
}

/// A listener as configured and compiled.
struct ListenerEntry {
    var message: Envoy.Listener
    var origin: Origin
    var compiled: ListenerConfiguration
    /// Keys of the route tables that its chains use.
    var tables: Set<String>
    /// Clusters that its TCP chains name.
    var clusters: Set<Int32>
    /// As of a cluster.
    var secrets: [ResourceKey: UInt64] = [:]
    var version = ""
    var since: UInt64 = 0

    /// The chain that the same message made before, if it leads to the same routes as the one `made` now.
    func chain(of message: Envoy.FilterChain, like made: FilterChainConfiguration) -> FilterChainConfiguration? {
        var known: FilterChainConfiguration?
        if let place = self.message.filterChains.firstIndex(of: message), compiled.chains.indices.contains(place) {
            known = compiled.chains[place]
        } else if self.message.defaultFilterChain == message {
            known = compiled.defaultChain
        }
        guard let known, known.name == made.name else { return nil }
        switch (known.filter, made.filter) {
        case (.http(let one), .http(let two)):
            return one.settings.routeTable == two.settings.routeTable ? known : nil
        default: return known
        }
    }
}

/// A route table that some listener uses.
struct TableEntry {
    /// nil = inline.
    var source: ResourceSource?
    var name: String
    var index: Int32
    var message: Envoy.RouteConfiguration?
    var compiled: RouteTable?
    var clusters: Set<Int32> = []
    var version = ""
    var since: UInt64 = 0

    var path: String? {
        if case .file(let path, _) = source { path } else { nil }
    }

    var key: ResourceKey? { source?.server.map { ResourceKey(server: $0, name: name) } }
}

/// A watched file.
struct FileEntry {
    var state: FileState
    /// The directory whose changes matter.
    var directory: String
    /// The contents seen last, and those in force.
    var lastHash: UInt64?
    var goodHash: UInt64?
    var response: Envoy.DiscoveryResponse?
}
