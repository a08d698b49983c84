package import EnvoyAPI
import Wire

/// Resources as clients of xDS get them.
package enum DiscoveryEncoding {
    private static let typePrefix = "type.googleapis.com/"

    static func text(_ number: Int, _ text: String) -> [UInt8] {
        var writer = ProtobufWriter()
        writer.text(number, text)
        return writer.bytes
    }

    package static func cluster(_ cluster: Envoy.Cluster) -> DiscoveryResource {
        DiscoveryResource(name: cluster.name, bytes: cluster.protobufBytes)
    }

    package static func listener(_ listener: Envoy.Listener) -> DiscoveryResource {
        DiscoveryResource(name: listener.name, bytes: listener.protobufBytes)
    }

    package static func routes(_ routes: Envoy.RouteConfiguration) -> DiscoveryResource {
        DiscoveryResource(name: routes.name, bytes: routes.protobufBytes)
    }

    /// The listener of a proxyless client, under a key and without its name: an `api_listener` whose routes come by RDS.
    static func apiListener(_ key: String, routes: String) -> DiscoveryResource {
        let manager = Envoy.HttpConnectionManager(
            statPrefix: routes,
            routeSpecifier: .rds(.init(configSource: ClusterBuilder.ads, routeConfigName: routes)),
            httpFilters: [.init(name: "envoy.filters.http.router", typedConfig: .router(.init()))]
        )
        var any = ProtobufWriter()
        any.text(1, typePrefix + Envoy.HttpConnectionManager.schema.name)
        any.run(2, manager.protobufBytes)
        var api = ProtobufWriter()
        api.run(1, any.bytes)
        var writer = ProtobufWriter()
        writer.run(19, api.bytes)
        return DiscoveryResource(name: key, bytes: writer.bytes)
    }
}
