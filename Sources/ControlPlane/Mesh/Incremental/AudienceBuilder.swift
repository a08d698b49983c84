import EnvoyAPI

/// Makes what one kind of client is served, but for endpoints.
struct AudienceBuilder {
    let audience: DiscoveryAudience
    let ingressAddress: HostAddress?
    private let listeners = ListenerBuilder(MeshState(directory: "", admin: .pipe(path: "")))
    private let clusters = ClusterBuilder()
    private let routes = RouteBuilder()

    init(_ audience: DiscoveryAudience, ingressAddress: HostAddress?) {
        self.audience = audience
        self.ingressAddress = ingressAddress
    }

    /// The resources of one Service, by type.
    func resources(_ service: MeshService) -> [DiscoveryType: [DiscoveryResource]] {
        guard service.type != "ExternalName" else { return [:] }
        var problems: [String] = []
        let policy = ServicePolicy(service, problems: &problems)
        return switch audience.kind {
        case .proxyless: proxyless(service, policy)
        case .gateway: gateway(service, policy)
        case .machine: [:]
        }
    }

    // MARK: gRPC without a proxy

    private func proxyless(_ service: MeshService, _ policy: ServicePolicy) -> [DiscoveryType: [DiscoveryResource]] {
        var made: [DiscoveryType: [DiscoveryResource]] = [:]
        var name = ServiceName(namespace: service.namespace, name: service.name)
        if let main = service.mainPort {
            let routes = MeshNames.service(service.namespace, service.name, main.port)
            made[.listener, default: []].append(DiscoveryEncoding.apiListener(name.key, routes: routes))
        }
        for port in service.carriedPorts {
            let cluster = MeshNames.service(service.namespace, service.name, port.port)
            name.port = port.port
            made[.listener, default: []].append(DiscoveryEncoding.apiListener(name.key, routes: cluster))
            made[.route, default: []].append(DiscoveryEncoding.routes(proxylessRoutes(cluster, service, policy)))
            made[.cluster, default: []].append(DiscoveryEncoding.cluster(proxylessCluster(cluster, policy)))
        }
        return made
    }

    /// gRPC dials by itself: of the policy it knows the limit of requests.
    private func proxylessCluster(_ name: String, _ policy: ServicePolicy) -> Envoy.Cluster {
        let limits = Envoy.CircuitBreakers.Thresholds(
            priority: .default,
            maxRequests: UInt32(clamping: policy.maxRequests)
        )
        return Envoy.Cluster(
            name: name,
            type: .eds,
            edsClusterConfig: .init(edsConfig: ClusterBuilder.ads),
            connectTimeout: policy.connectTimeout,
            circuitBreakers: .init(thresholds: [limits])
        )
    }

    /// Older gRPC wants to be told the sum of the weights, which newer ones and Envoy make themselves.
    private func proxylessSpecifier(_ name: String, _ policy: ServicePolicy) -> Envoy.RouteAction.ClusterSpecifier {
        let specifier = RouteBuilder.specifier(name, policy)
        guard case .weightedClusters(var shares) = specifier else { return specifier }
        shares.totalWeight = shares.clusters.reduce(0) { $0 &+ ($1.weight ?? 0) }
        return .weightedClusters(shares)
    }

    private func proxylessRoutes(_ name: String, _ service: MeshService, _ policy: ServicePolicy)
        -> Envoy.RouteConfiguration
    {
        // An answer "unavailable" may come from the program itself, after it has worked: calls are repeated where that is asked for.
        let isWished = policy.retries > 0 && service.annotations["weft.dev/retries"] != nil
        let retry = Envoy.RetryPolicy(
            retryOn: "unavailable",
            numRetries: UInt32(clamping: policy.retries),
            retryBackOff: .init(baseInterval: .milliseconds(25), maxInterval: .milliseconds(250))
        )
        let limit = policy.requestTimeout > .zero ? policy.requestTimeout : nil
        let action = Envoy.RouteAction(
            clusterSpecifier: proxylessSpecifier(name, policy),
            retryPolicy: isWished ? retry : nil,
            maxStreamDuration: limit.map { .init(maxStreamDuration: $0) }
        )
        return Envoy.RouteConfiguration(
            name: name,
            virtualHosts: [
                .init(
                    name: name,
                    domains: ["*"],
                    routes: [.init(match: .init(pathSpecifier: .prefix("")), action: .route(action))]
                )
            ]
        )
    }

    // MARK: gateways

    private func gateway(_ service: MeshService, _ policy: ServicePolicy) -> [DiscoveryType: [DiscoveryResource]] {
        var made: [DiscoveryType: [DiscoveryResource]] = [:]
        for port in service.carriedPorts {
            let name = MeshNames.service(service.namespace, service.name, port.port)
            made[.cluster, default: []].append(DiscoveryEncoding.cluster(gatewayCluster(service, port, policy)))
            let kind = ServiceProtocol(port)
            if kind != .tcp {
                made[.route, default: []].append(DiscoveryEncoding.routes(routes.service(service, port, policy)))
            }
            guard service.type == "LoadBalancer", let address = service.loadBalancerAddresses.first, isIPv4(address),
                let place = shifted(address, service.loadBalancerPorts[port.port] ?? port.port)
            else { continue }
            let listener = listeners.host(
                MeshNames.loadBalancer(service.namespace, service.name, port.port),
                at: place,
                label: "loadbalancer",
                to: name,
                kind,
                policy
            )
            made[.listener, default: []].append(DiscoveryEncoding.listener(listener))
        }
        return made
    }

    /// Balancing that only weft-proxy knows becomes what is nearest to it, and what only weft-proxy reads is left out.
    private func gatewayCluster(_ service: MeshService, _ port: MeshService.Port, _ policy: ServicePolicy)
        -> Envoy.Cluster
    {
        var policy = policy
        if policy.loadBalancer == .peakEwma { policy.loadBalancer = .leastRequest }
        policy.endpointWait = .zero
        return clusters.service(service, port, policy)
    }

    /// The entrances for all Ingresses, without TLS and with it.
    func ingress(_ index: MeshIndex) -> [DiscoveryType: [DiscoveryResource]] {
        guard audience.kind == .gateway, !index.ingresses.isEmpty, let ingressAddress else { return [:] }
        var known: [String: (service: MeshService, policy: ServicePolicy)] = [:]
        for (key, service) in index.services where service.type != "ExternalName" {
            var problems: [String] = []
            known[key] = (service, ServicePolicy(service, problems: &problems))
        }
        let ingresses = Array(index.ingresses.values)
        var builder = IngressBuilder(services: known)
        var made: [DiscoveryType: [DiscoveryResource]] = [
            .route: [DiscoveryEncoding.routes(builder.configuration(ingresses))]
        ]
        if let place = shifted(ingressAddress.address, ingressAddress.port) {
            made[.listener, default: []].append(DiscoveryEncoding.listener(listeners.ingress(at: place)))
        }
        let tls = IngressTLS(ingresses, index.secrets)
        if let place = shifted(ingressAddress.address, IngressTLS.port),
            let listener = tls.listener(listeners.ingress(at: place), at: place)
        {
            made[.listener, default: []].append(DiscoveryEncoding.listener(listener))
            made[.secret] = tls.resources
        }
        return made
    }

    private func shifted(_ address: String, _ port: Int) -> HostAddress? {
        let port = port + audience.portOffset
        return (1...65535).contains(port) ? HostAddress(address: address, port: port) : nil
    }
}
