import EnvoyAPI
import Wire

/// The files of a configuration, without their versions: what is compared to find the files that have to be written.
package struct ConfigurationFiles: Sendable, Equatable {
    /// The file with the listeners.
    package static let listeners = "lds.json"
    /// The file with the clusters.
    package static let clusters = "cds.json"
    /// The file that the proxy is started with; it has no version.
    package static let bootstrapFile = "bootstrap.json"

    /// The bytes of `bootstrap.json`.
    package let bootstrap: [UInt8]
    private let configuration: ProxyConfiguration
    /// The JSON array of the resources of each other file, by the file's path below the proxy's directory.
    private let resources: [String: [UInt8]]

    /// The files of a configuration. What is equal to `last` is taken from there instead of written anew.
    package init(_ configuration: ProxyConfiguration, last: ConfigurationFiles? = nil) {
        self.configuration = configuration
        bootstrap = JSON.bytes(configuration.bootstrap.jsonValue, pretty: true)
        var resources: [String: [UInt8]] = [:]
        func add(_ path: String, isEqual: Bool, _ messages: @autoclosure () -> [Envoy.Resource]) {
            resources[path] = isEqual ? last?.resources[path] : nil
            if resources[path] == nil { resources[path] = Self.bytes(messages()) }
        }
        let old = last?.configuration
        add(
            Self.listeners,
            isEqual: old?.listeners == configuration.listeners,
            configuration.listeners.map { .listener($0) }
        )
        add(
            Self.clusters,
            isEqual: old?.clusters == configuration.clusters,
            configuration.clusters.map { .cluster($0) }
        )
        for (name, routes) in configuration.routes {
            add(MeshNames.routeFile(name), isEqual: old?.routes[name] == routes, [.routeConfiguration(routes)])
        }
        for (name, endpoints) in configuration.endpoints {
            let isEqual = old?.endpoints[name] == endpoints
            add(MeshNames.endpointFile(name), isEqual: isEqual, [.clusterLoadAssignment(endpoints)])
        }
        self.resources = resources
    }

    /// All files but the bootstrap, in the order of `changes(since:)`.
    package var paths: [String] { resources.keys.sorted { Self.rank($0) < Self.rank($1) } }

    /// What has to be done to come from an older set of files to this one; from nil everything is written.
    ///
    /// `written` is in the order in which it has to be done, so that nothing refers to what is not there yet: endpoints,
    /// clusters, routes, listeners. `removed` comes after that.
    package func changes(since old: ConfigurationFiles?) -> (written: [String], removed: [String]) {
        let written = paths.filter { old?.resources[$0] != resources[$0] }
        let removed = (old?.paths ?? []).filter { resources[$0] == nil }
        return (written, removed)
    }

    /// The bytes of a file at a revision, or nil when there is no such file.
    package func bytes(of path: String, version: Int) -> [UInt8]? {
        guard let array = resources[path] else { return nil }
        return Array("{\"version_info\":\"\(version)\",\"resources\":".utf8) + array + Array("}\n".utf8)
    }

    private static func bytes(_ resources: [Envoy.Resource]) -> [UInt8] {
        let response = Envoy.DiscoveryResponse(resources: resources)
        return JSON.bytes(response.jsonValue["resources"] ?? [])
    }

    private static func rank(_ path: String) -> String {
        let step =
            switch path {
            case clusters: 1
            case listeners: 3
            default: path.hasPrefix("eds/") ? 0 : 2
            }
        return "\(step)\(path)"
    }
}
