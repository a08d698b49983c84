import EnvoyAPI
import Wire

/// Makes listeners.
struct ListenerBuilder {
    /// Where the listener inside a pod is: the pod's nftables rules redirect to it.
    static let podPort = 15001

    let accessLog: [Envoy.AccessLog]
    let clusterRanges: [Envoy.CidrRange]
    private let tracing: Envoy.HttpConnectionManager.Tracing?

    init(_ state: MeshState) {
        accessLog =
            state.accessLogPath.map {
                [.init(name: "envoy.access_loggers.file", typedConfig: .file(.init(path: $0)))]
            } ?? []
        tracing = state.traceCollector.map(Self.tracing)
        clusterRanges = state.clusterRanges.compactMap { range in
            let parts = range.split(separator: "/")
            guard parts.count == 2, let length = UInt32(parts[1]) else { return nil }
            return Envoy.CidrRange(addressPrefix: String(parts[0]), prefixLen: length)
        }
    }

    /// Takes everything that a pod sends; what no other listener takes over goes out, or is refused.
    func outbound(_ pod: MeshPod) -> Envoy.Listener {
        let name = MeshNames.outbound(pod.namespace, pod.name)
        let refused = Envoy.FilterChain(
            name: "unreachable",
            filterChainMatch: .init(prefixRanges: clusterRanges),
            filters: [tcp(name, to: MeshNames.unreachable)]
        )
        return Envoy.Listener(
            name: name,
            address: .socket("0.0.0.0", Self.podPort, in: pod.networkNamespace),
            filterChains: clusterRanges.isEmpty ? [] : [refused],
            useOriginalDst: true,
            defaultFilterChain: .init(name: "passthrough", filters: [tcp(name, to: MeshNames.passthrough)]),
            metadata: ClusterBuilder.labels([
                ("namespace", pod.namespace), (pod.workload.label, pod.workload.name), ("pod", pod.name),
            ]),
            listenerFilters: [
                .init(name: "envoy.filters.listener.original_dst", typedConfig: .originalDst(.init()))
            ],
            trafficDirection: .outbound
        )
    }

    /// The address of a Service inside pods: no socket, connections are handed over.
    func service(_ service: MeshService, _ port: MeshService.Port, at address: String, _ policy: ServicePolicy)
        -> Envoy.Listener
    {
        let name = MeshNames.service(service.namespace, service.name, port.port)
        var listener = routed(name, to: name, ServiceProtocol(port), policy)
        listener.address = .socket(address, port.port)
        listener.bindToPort = false
        listener.trafficDirection = .outbound
        return listener
    }

    /// A port on the host that leads to a Service.
    func host(
        _ name: String,
        at address: HostAddress,
        label: String,
        to cluster: String,
        _ kind: ServiceProtocol,
        _ policy: ServicePolicy,
        isEdge: Bool = true
    ) -> Envoy.Listener {
        var listener = routed(name, to: cluster, kind, policy, isEdge: isEdge)
        listener.address = .socket(address.address, address.port)
        listener.metadata = ClusterBuilder.labels([("workload", label)])
        listener.trafficDirection = .inbound
        return listener
    }

    /// The address of a pod inside other pods: every port.
    func pod(_ pod: MeshPod) -> Envoy.Listener {
        let name = MeshNames.pod(pod.namespace, pod.name)
        let routes = Envoy.RouteConfiguration(
            name: name,
            virtualHosts: [
                .init(
                    name: name,
                    domains: ["*"],
                    routes: [
                        .init(
                            match: .init(pathSpecifier: .prefix("/")),
                            action: .route(.init(clusterSpecifier: .cluster(name), timeout: .zero))
                        )
                    ]
                )
            ]
        )
        return detected(
            Envoy.Listener(
                name: name,
                address: .socket(pod.ip, 0),
                defaultFilterChain: .init(name: "tcp", filters: [tcp(name, to: name)]),
                trafficDirection: .outbound,
                bindToPort: false
            ),
            http: http(name, .routeConfig(routes))
        )
    }

    /// A container's port on the host.
    func hostPort(_ pod: MeshPod, _ port: MeshPod.Port, at address: HostAddress) -> Envoy.Listener {
        let name = MeshNames.hostPort(pod.namespace, pod.name, port.number)
        return Envoy.Listener(
            name: name,
            address: .socket(address.address, address.port),
            filterChains: [.init(name: "tcp", filters: [tcp(name, to: name)])],
            metadata: ClusterBuilder.labels([("workload", "hostport")]),
            trafficDirection: .inbound
        )
    }

    /// The entrance for all Ingresses.
    func ingress(at address: HostAddress) -> Envoy.Listener {
        let name = MeshNames.ingress
        return Envoy.Listener(
            name: name,
            address: .socket(address.address, address.port),
            filterChains: [.init(name: "http", filters: [http(name, .rds(routeSource(name)), isEdge: true)])],
            metadata: ClusterBuilder.labels([("workload", "ingress")]),
            trafficDirection: .inbound
        )
    }

    /// The control plane for other machines: who has a certificate may come in.
    func discovery(_ entrance: DiscoveryEntrance) -> Envoy.Listener {
        func file(_ name: String) -> Envoy.DataSource { .init(specifier: .filename("\(entrance.folder)/\(name)")) }
        let common = Envoy.CommonTlsContext(
            tlsCertificates: [.init(certificateChain: file("tls.crt"), privateKey: file("tls.key"))],
            validationContextType: .validationContext(.init(trustedCa: file("ca.crt"))),
            alpnProtocols: ["h2"]
        )
        var chain = Envoy.FilterChain(name: "tls", filters: [tcp(MeshNames.discovery, to: MeshNames.discovery)])
        chain.transportSocket = Envoy.TransportSocket(
            name: "envoy.transport_sockets.tls",
            typedConfig: .downstreamTls(.init(commonTlsContext: common, requireClientCertificate: true))
        )
        return Envoy.Listener(
            name: MeshNames.discovery,
            address: .socket(entrance.address.address, entrance.address.port),
            filterChains: [chain],
            metadata: ClusterBuilder.labels([("workload", "xds")]),
            trafficDirection: .inbound
        )
    }

    // MARK: parts

    private func routed(
        _ name: String,
        to cluster: String,
        _ kind: ServiceProtocol,
        _ policy: ServicePolicy,
        isEdge: Bool = false
    ) -> Envoy.Listener {
        let http = http(name, .rds(routeSource(cluster)), isEdge: isEdge, limitsAdaptively: policy.limitsAdaptively)
        let tcp = tcp(name, to: cluster, idleTimeout: policy.idleTimeout, bindsClients: policy.bindsClients)
        switch kind {
        case .http, .http2: return Envoy.Listener(name: name, filterChains: [.init(name: "http", filters: [http])])
        case .tcp: return Envoy.Listener(name: name, filterChains: [.init(name: "tcp", filters: [tcp])])
        case .detect:
            return detected(
                Envoy.Listener(name: name, defaultFilterChain: .init(name: "tcp", filters: [tcp])),
                http: http
            )
        }
    }

    /// Adds the look at the first bytes, and the chain for HTTP.
    private func detected(_ listener: Envoy.Listener, http: Envoy.Filter) -> Envoy.Listener {
        var listener = listener
        listener.filterChains = [
            .init(
                name: "http",
                filterChainMatch: .init(applicationProtocols: ["http/1.0", "http/1.1"]),
                filters: [http]
            )
        ]
        listener.listenerFilters = [
            .init(name: "envoy.filters.listener.http_inspector", typedConfig: .httpInspector(.init()))
        ]
        listener.listenerFiltersTimeout = .seconds(5)
        listener.continueOnListenerFiltersTimeout = true
        return listener
    }

    private func routeSource(_ name: String) -> Envoy.Rds {
        Envoy.Rds(configSource: ClusterBuilder.ads, routeConfigName: name)
    }

    private func tcp(
        _ name: String,
        to cluster: String,
        idleTimeout: Duration? = nil,
        bindsClients: Bool = false
    ) -> Envoy.Filter {
        Envoy.Filter(
            name: "envoy.filters.network.tcp_proxy",
            typedConfig: .tcpProxy(
                .init(
                    statPrefix: name,
                    clusterSpecifier: .cluster(cluster),
                    idleTimeout: idleTimeout,
                    accessLog: accessLog,
                    maxConnectAttempts: 3,
                    hashPolicy: bindsClients ? [.init(sourceIp: .init())] : []
                )
            )
        )
    }

    /// With `isEdge` clients are no pods: their address is added to `X-Forwarded-For`, and what they say of it not trusted.
    private func http(
        _ name: String,
        _ routes: Envoy.HttpConnectionManager.RouteSpecifier,
        isEdge: Bool = false,
        limitsAdaptively: Bool = false
    ) -> Envoy.Filter {
        var manager = Envoy.HttpConnectionManager(
            codecType: .auto,
            statPrefix: name,
            routeSpecifier: routes,
            httpFilters: (limitsAdaptively ? [Self.adaptiveLimit] : []) + [
                .init(
                    name: "envoy.filters.http.router",
                    typedConfig: .router(.init(suppressEnvoyHeaders: true))
                )
            ],
            serverHeaderTransformation: .passThrough,
            accessLog: accessLog,
            useRemoteAddress: isEdge,
            skipXffAppend: !isEdge,
            generateRequestId: true,
            preserveExternalRequestId: !isEdge,
            upgradeConfigs: [.init(upgradeType: "websocket")],
            pathWithEscapedSlashesAction: .keepUnchanged
        )
        manager.tracing = tracing
        return Envoy.Filter(
            name: "envoy.filters.network.http_connection_manager",
            typedConfig: .httpConnectionManager(manager)
        )
    }

    /// Finds how many requests at once the pods can do: Envoy's own values.
    private static let adaptiveLimit: Envoy.HttpFilter = {
        let gradient = Envoy.GradientControllerConfig(
            concurrencyLimitParams: .init(concurrencyUpdateInterval: .milliseconds(100)),
            minRttCalcParams: .init(interval: .seconds(60), requestCount: 50)
        )
        return Envoy.HttpFilter(
            name: "envoy.filters.http.adaptive_concurrency",
            typedConfig: .adaptiveConcurrency(.init(gradientControllerConfig: gradient)),
            isOptional: true
        )
    }()

    // MARK: Spans

    /// Says that requests which fail are told of whatever was drawn.
    static func keepingErrors(_ listener: Envoy.Listener) -> Envoy.Listener {
        var listener = listener
        var metadata = listener.metadata ?? Envoy.Metadata()
        metadata.filterMetadata["weft.dev/tracing"] = ["keep_errors": true]
        listener.metadata = metadata
        return listener
    }

    private static func tracing(_ collector: TraceCollector) -> Envoy.HttpConnectionManager.Tracing {
        var tracer = Envoy.OpenTelemetryConfig()
        tracer.serviceName = "weft"
        if collector.isHTTP {
            let host =
                collector.address.address.contains(":") ? "[\(collector.address.address)]" : collector.address.address
            tracer.httpService = .init(
                httpUri: .init(
                    uri: "http://\(host):\(collector.address.port)\(collector.path)",
                    cluster: MeshNames.traces,
                    timeout: .seconds(5)
                )
            )
        } else {
            tracer.grpcService = .init(envoyGrpc: .init(clusterName: MeshNames.traces), timeout: .seconds(5))
        }
        var provider = Envoy.TracingHttp()
        provider.name = "envoy.tracers.opentelemetry"
        provider.typedConfig = .openTelemetry(tracer)
        var tracing = Envoy.HttpConnectionManager.Tracing()
        tracing.randomSampling = .init(value: collector.sampling)
        tracing.spawnUpstreamSpan = true
        tracing.provider = provider
        return tracing
    }
}
