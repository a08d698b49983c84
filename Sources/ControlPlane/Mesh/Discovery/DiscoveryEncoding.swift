package import EnvoyAPI
import Wire

/// Resources as clients of xDS get them: where a configuration names files, they are told to ask on the same stream.
package enum DiscoveryEncoding {
    private static let typePrefix = "type.googleapis.com/"

    /// `ConfigSource{ads {}, resource_api_version V3}`.
    private static let ads: [UInt8] = {
        var writer = ProtobufWriter()
        writer.run(3, [])
        writer.varint(6, 2)
        return writer.bytes
    }()

    static func text(_ number: Int, _ text: String) -> [UInt8] {
        var writer = ProtobufWriter()
        writer.text(number, text)
        return writer.bytes
    }

    /// A message as `google.protobuf.Any`.
    static func any<Message: EnvoyMessage>(_ message: Message) -> [UInt8] {
        any(Message.schema.name, message.protobufBytes)
    }

    private static func any(_ type: String, _ bytes: [UInt8]) -> [UInt8] {
        var writer = ProtobufWriter()
        writer.text(1, typePrefix + type)
        writer.run(2, bytes)
        return writer.bytes
    }

    /// A cluster whose endpoints come by EDS.
    package static func cluster(_ cluster: Envoy.Cluster) -> DiscoveryResource {
        guard cluster.edsClusterConfig != nil else {
            return DiscoveryResource(name: cluster.name, bytes: cluster.protobufBytes)
        }
        var plain = cluster
        plain.edsClusterConfig = nil
        var source = ProtobufWriter()
        source.run(1, ads)
        var writer = ProtobufWriter()
        writer.run(3, source.bytes)
        return DiscoveryResource(name: cluster.name, bytes: plain.protobufBytes + writer.bytes)
    }

    /// A listener whose routes come by RDS.
    package static func listener(_ listener: Envoy.Listener) -> DiscoveryResource {
        var plain = listener
        plain.filterChains = []
        plain.defaultFilterChain = nil
        var writer = ProtobufWriter()
        for chain in listener.filterChains { writer.run(3, bytes(chain)) }
        if let chain = listener.defaultFilterChain { writer.run(25, bytes(chain)) }
        return DiscoveryResource(name: listener.name, bytes: plain.protobufBytes + writer.bytes)
    }

    private static func bytes(_ chain: Envoy.FilterChain) -> [UInt8] {
        var plain = chain
        plain.filters = []
        var writer = ProtobufWriter()
        for filter in chain.filters {
            guard case .httpConnectionManager(let manager) = filter.typedConfig,
                case .rds(let routes) = manager.routeSpecifier
            else {
                writer.run(3, filter.protobufBytes)
                continue
            }
            var inner = ProtobufWriter()
            inner.text(1, filter.name)
            inner.run(4, any(Envoy.HttpConnectionManager.schema.name, bytes(manager, routes: routes.routeConfigName)))
            writer.run(3, inner.bytes)
        }
        return plain.protobufBytes + writer.bytes
    }

    private static func bytes(_ manager: Envoy.HttpConnectionManager, routes: String) -> [UInt8] {
        var plain = manager
        plain.routeSpecifier = nil
        var source = ProtobufWriter()
        source.run(1, ads)
        source.text(2, routes)
        var writer = ProtobufWriter()
        writer.run(3, source.bytes)
        return plain.protobufBytes + writer.bytes
    }

    package static func routes(_ routes: Envoy.RouteConfiguration) -> DiscoveryResource {
        DiscoveryResource(name: routes.name, bytes: routes.protobufBytes)
    }

    /// The listener of a proxyless client, under a key and without its name: an `api_listener` whose routes come by RDS.
    static func apiListener(_ key: String, routes: String) -> DiscoveryResource {
        let manager = Envoy.HttpConnectionManager(
            statPrefix: routes,
            httpFilters: [.init(name: "envoy.filters.http.router", typedConfig: .router(.init()))]
        )
        var api = ProtobufWriter()
        api.run(1, any(Envoy.HttpConnectionManager.schema.name, bytes(manager, routes: routes)))
        var writer = ProtobufWriter()
        writer.run(19, api.bytes)
        return DiscoveryResource(name: key, bytes: writer.bytes)
    }
}
