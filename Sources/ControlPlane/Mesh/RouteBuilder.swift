import EnvoyAPI

/// Makes routes to Services.
struct RouteBuilder {
    /// Nothing of the request was answered: safe for every method.
    private static let safeConditions = "connect-failure,refused-stream,reset-before-request"
    /// For methods that may be repeated.
    private static let idempotentConditions = safeConditions + ",reset,gateway-error"

    /// The routes of a Service's port: all hosts, as the listener is of this port alone.
    func service(_ service: MeshService, _ port: MeshService.Port, _ policy: ServicePolicy) -> Envoy.RouteConfiguration
    {
        let name = MeshNames.service(service.namespace, service.name, port.port)
        return Envoy.RouteConfiguration(
            name: name,
            virtualHosts: [
                .init(
                    name: name,
                    domains: ["*"],
                    routes: routes(to: name, policy) { .init(pathSpecifier: .prefix("/")) }
                )
            ]
        )
    }

    /// Routes to a cluster: GET and HEAD are tried again for more reasons than what must not happen twice.
    func routes(
        to cluster: String,
        _ policy: ServicePolicy,
        match: () -> Envoy.RouteMatch
    ) -> [Envoy.Route] {
        var routes: [Envoy.Route] = []
        if policy.retries > 0 {
            for method in ["GET", "HEAD"] {
                var match = match()
                match.headers = [
                    .init(name: ":method", headerMatchSpecifier: .stringMatch(.init(matchPattern: .exact(method))))
                ]
                routes.append(route(match, cluster, policy, retryOn: Self.idempotentConditions))
            }
        }
        routes.append(route(match(), cluster, policy, retryOn: Self.safeConditions))
        return routes
    }

    /// The cluster of a Service's port, or those that share its requests.
    static func specifier(_ cluster: String, _ policy: ServicePolicy) -> Envoy.RouteAction.ClusterSpecifier {
        guard !policy.split.isEmpty else { return .cluster(cluster) }
        return .weightedClusters(
            .init(
                clusters: policy.split.map {
                    .init(name: MeshNames.sibling(of: cluster, $0.service), weight: UInt32(clamping: $0.weight))
                }
            )
        )
    }

    private func route(
        _ match: Envoy.RouteMatch,
        _ cluster: String,
        _ policy: ServicePolicy,
        retryOn: String
    ) -> Envoy.Route {
        let retry = Envoy.RetryPolicy(
            retryOn: retryOn,
            numRetries: UInt32(clamping: policy.retries),
            retryHostPredicate: [
                .init(name: "envoy.retry_host_predicates.previous_hosts", typedConfig: .previousHosts(.init()))
            ],
            hostSelectionRetryMaxAttempts: 3,
            retryBackOff: .init(baseInterval: .milliseconds(25), maxInterval: .milliseconds(250))
        )
        return Envoy.Route(
            match: match,
            action: .route(
                .init(
                    clusterSpecifier: Self.specifier(cluster, policy),
                    timeout: policy.requestTimeout,
                    retryPolicy: policy.retries > 0 ? retry : nil,
                    hashPolicy: policy.bindsClients
                        ? [.init(policySpecifier: .connectionProperties(.init(sourceIp: true)))] : []
                )
            )
        )
    }
}
