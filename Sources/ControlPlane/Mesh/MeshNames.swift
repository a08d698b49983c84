/// The names of listeners, clusters and routes.
package enum MeshNames {
    /// The cluster that dials where a pod wanted to go.
    package static let passthrough = "passthrough"
    /// A cluster without endpoints, for addresses that no Service or pod has.
    package static let unreachable = "unreachable"
    package static let ingress = "ingress"
    /// The listener and cluster of the control plane's entrance for other machines.
    package static let discovery = "xds"
    /// The cluster of the collector of spans.
    static let traces = "traces"

    /// The listener, cluster and route configuration of a Service's port.
    package static func service(_ namespace: String, _ name: String, _ port: Int) -> String {
        "service/\(namespace)/\(name)/\(port)"
    }

    /// The cluster of the same port of another Service in the namespace.
    static func sibling(of cluster: String, _ name: String) -> String {
        var parts = cluster.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 4 else { return cluster }
        parts[2] = name
        return parts.joined(separator: "/")
    }

    /// The listener inside a pod that takes everything the pod sends.
    package static func outbound(_ namespace: String, _ pod: String) -> String { "outbound/\(namespace)/\(pod)" }

    /// The listener and cluster of a pod's own address.
    package static func pod(_ namespace: String, _ pod: String) -> String { "pod/\(namespace)/\(pod)" }

    /// The listener of a LoadBalancer's port on the host.
    package static func loadBalancer(_ namespace: String, _ name: String, _ port: Int) -> String {
        "lb/\(namespace)/\(name)/\(port)"
    }

    /// The listener of a NodePort on the host.
    package static func nodePort(_ namespace: String, _ name: String, _ port: Int) -> String {
        "nodeport/\(namespace)/\(name)/\(port)"
    }

    /// The listener and cluster of a container's host port.
    package static func hostPort(_ namespace: String, _ pod: String, _ port: Int) -> String {
        "hostport/\(namespace)/\(pod)/\(port)"
    }
}
