package import EnvoyAPI

/// What the proxy has to run on, made from a `MeshState`, but for endpoints, which `EndpointTable` keeps. Equal states give equal
/// configurations, whatever their order.
package struct ProxyConfiguration: Sendable, Equatable {
    /// By name.
    package internal(set) var listeners: [Envoy.Listener] = []
    /// By name.
    package internal(set) var clusters: [Envoy.Cluster] = []
    /// By the name of the route configuration.
    package internal(set) var routes: [String: Envoy.RouteConfiguration] = [:]
    /// What of the objects could not be done, in the order of the objects.
    package internal(set) var warnings: [MeshWarning] = []

    package init() {}
}

/// Something that an object asks for and does not get: what the control plane tells in an event.
package struct MeshWarning: Sendable, Equatable, Hashable {
    /// `Service` or `Ingress` or `Pod`.
    package var kind: String
    package var namespace: String
    package var name: String
    /// In CamelCase, as events have it.
    package var reason: String
    package var message: String

    package init(kind: String, namespace: String, name: String, reason: String, message: String) {
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.reason = reason
        self.message = message
    }
}
