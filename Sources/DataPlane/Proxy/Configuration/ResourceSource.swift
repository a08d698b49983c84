import EnvoyAPI

/// Where the resources of a subscription come from.
enum ResourceSource: Hashable {
    case file(path: String, watchedDirectory: String?)
    /// A control plane by its number in `DiscoveryServers`, with how long a first response is waited for (0 = for ever).
    case discovery(server: Int, wait: UInt64)

    /// The control plane's number, if it is one.
    var server: Int? {
        if case .discovery(let server, _) = self { server } else { nil }
    }
}

/// A resource of a control plane.
struct ResourceKey: Hashable {
    var server: Int
    var name: String
}

/// A control plane that is asked.
struct DiscoveryServer: Hashable {
    /// nil: for all kinds (ADS).
    var kind: ResourceKind?
    var variant: DiscoveryVariant
    var cluster: String
    var authority: String
    /// Fields that go with the stream.
    var metadata: [Metadata]
    var repeatsNode: Bool

    struct Metadata: Hashable {
        var name: String
        var value: String
    }

    var path: String { kind?.path(variant) ?? variant.aggregatedPath }
}

/// The control planes that the configuration names, by number. Numbers are never taken back.
final class DiscoveryServers {
    private(set) var servers: [DiscoveryServer] = []
    /// The number of the one behind `ads`.
    private(set) var aggregated: Int?

    func number(of server: DiscoveryServer) -> Int {
        if let known = servers.firstIndex(of: server) { return known }
        servers.append(server)
        return servers.count - 1
    }

    func setAggregated(_ server: DiscoveryServer) { aggregated = number(of: server) }
}

extension CompileContext {
    /// Envoy's `initial_fetch_timeout` where none is given.
    static let fetchTimeout: UInt64 = 15_000_000_000

    /// Understands a source; nil: problems.
    func source(_ message: Envoy.ConfigSource?, _ kind: ResourceKind) -> ResourceSource? {
        let wait = nanoseconds(message?.initialFetchTimeout) ?? Self.fetchTimeout
        switch message?.configSourceSpecifier {
        case .pathConfigSource(let file):
            return .file(path: file.path, watchedDirectory: file.watchedDirectory?.path)
        case .ads: return aggregated("ads", wait)
        case .apiConfigSource(let api):
            switch api.apiType {
            case .aggregatedGrpc, .aggregatedDeltaGrpc: return aggregated("api_config_source.api_type", wait)
            case .grpc, .deltaGrpc, .unset:
                guard let server = at("api_config_source", { server(api, kind) }) else { return nil }
                return .discovery(server: servers.number(of: server), wait: wait)
            }
        case nil:
            report("one of path_config_source, ads, api_config_source is required")
            return nil
        }
    }

    private func aggregated(_ field: String, _ wait: UInt64) -> ResourceSource? {
        guard let server = servers.aggregated else {
            report("\(field): the bootstrap has no dynamic_resources.ads_config, which names the control plane")
            return nil
        }
        return .discovery(server: server, wait: wait)
    }

    /// The control plane of a source; `kind` nil: that for all kinds.
    func server(_ api: Envoy.ApiConfigSource, _ kind: ResourceKind?) -> DiscoveryServer? {
        guard let service = api.grpcServices.first, let target = service.envoyGrpc else {
            report("grpc_services: one service with envoy_grpc is required")
            return nil
        }
        let isDelta = api.apiType == .deltaGrpc || api.apiType == .aggregatedDeltaGrpc
        at("grpc_services[0]") {
            if service.timeout != nil { report("timeout: a stream has none; leave it out") }
            at("envoy_grpc") {
                guard let isHTTP2 = fixedClusters[target.clusterName] else {
                    return report(
                        "cluster_name: the cluster \"\(target.clusterName)\" is not in static_resources.clusters, where that "
                            + "of a control plane has to be"
                    )
                }
                if !isHTTP2 {
                    report(
                        "cluster_name: the cluster \"\(target.clusterName)\" has to speak HTTP/2 (explicit_http_config with "
                            + "http2_protocol_options)"
                    )
                }
            }
        }
        return DiscoveryServer(
            kind: kind,
            variant: isDelta ? .incremental : .whole,
            cluster: target.clusterName,
            authority: target.authority.isEmpty ? target.clusterName : target.authority,
            metadata: service.initialMetadata.map { .init(name: $0.key, value: $0.value) },
            repeatsNode: !api.setNodeOnFirstMessageOnly
        )
    }
}
