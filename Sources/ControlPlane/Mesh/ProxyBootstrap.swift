package import EnvoyAPI
import Wire

/// What the machine's proxy is started with: where its control plane is, and its admin. All else comes over ADS.
package enum ProxyBootstrap {
    /// The file that the proxy is started with, below the proxy's directory. Not the name that it had when the proxy was fed by files,
    /// so that a proxy of those times is known by its command line.
    package static let file = "proxy.json"
    /// The cluster of the control plane.
    package static let controlCluster = "weft"

    /// The socket of the control plane, below the proxy's directory.
    package static func socket(_ directory: String) -> String { "\(directory)/xds.sock" }

    package static func bytes(_ state: MeshState) -> [UInt8] { JSON.bytes(make(state).jsonValue, pretty: true) }

    package static func make(_ state: MeshState) -> Envoy.Bootstrap {
        let address: Envoy.Address =
            switch state.admin {
            case .socket(let address, let port): .socket(address, port)
            case .pipe(let path): .init(kind: .pipe(.init(path: path)))
            }
        // What the control plane does not say is waited for without limit: without it there is nothing to serve.
        var source = ClusterBuilder.ads
        source.initialFetchTimeout = .zero
        return Envoy.Bootstrap(
            node: .init(id: "weft", cluster: "weft"),
            staticResources: .init(clusters: [control(state.directory)]),
            dynamicResources: .init(
                ldsConfig: source,
                cdsConfig: source,
                adsConfig: .init(
                    apiType: .deltaGrpc,
                    transportApiVersion: .v3,
                    grpcServices: [.init(envoyGrpc: .init(clusterName: controlCluster))]
                )
            ),
            admin: .init(address: address),
            layeredRuntime: .init(
                layers: [
                    // Every route has series of its own; how many may have, it says itself.
                    .init(name: "weft", layerSpecifier: .staticLayer(["weft.metrics.routes": true]))
                ]
            )
        )
    }

    private static func control(_ directory: String) -> Envoy.Cluster {
        let endpoint = Envoy.LbEndpoint(
            endpoint: .init(address: .init(kind: .pipe(.init(path: socket(directory)))))
        )
        var cluster = Envoy.Cluster(
            name: controlCluster,
            type: .static,
            connectTimeout: .seconds(1),
            loadAssignment: .init(clusterName: controlCluster, endpoints: [.init(lbEndpoints: [endpoint])])
        )
        cluster.typedExtensionProtocolOptions = [ClusterBuilder.httpOptions: .http(ClusterBuilder.http2)]
        return cluster
    }
}
