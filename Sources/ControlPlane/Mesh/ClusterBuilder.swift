import EnvoyAPI
import Resources
import Wire

/// Makes clusters and their endpoints.
struct ClusterBuilder {
    static let labelsKey = "weft.dev/labels"

    static func labels(_ labels: [(String, String)]) -> Envoy.Metadata {
        Envoy.Metadata(filterMetadata: [labelsKey: .object(Fields(labels.map { ($0.0, .string($0.1)) }))])
    }

    /// What is referred to comes on the stream on which the reference came.
    static let ads: Envoy.ConfigSource = {
        var source = Envoy.ConfigSource(resourceApiVersion: .v3)
        source.configSourceSpecifier = .ads(.init())
        return source
    }()

    /// The cluster of a Service's port; its endpoints come by EDS.
    func service(_ service: MeshService, _ port: MeshService.Port, _ policy: ServicePolicy) -> Envoy.Cluster {
        let name = MeshNames.service(service.namespace, service.name, port.port)
        var cluster = Envoy.Cluster(
            name: name,
            type: .eds,
            edsClusterConfig: .init(edsConfig: Self.ads),
            connectTimeout: policy.connectTimeout,
            circuitBreakers: breakers(policy),
            outlierDetection: policy.detectsOutliers ? Self.outliers : nil,
            metadata: metadata(service, policy),
            loadBalancingPolicy: balancing(policy)
        )
        if ServiceProtocol(port) == .http2 {
            cluster.typedExtensionProtocolOptions = [Self.httpOptions: .http(Self.http2)]
        }
        return cluster
    }

    static let httpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    static let http2 = Envoy.UpstreamHttpProtocolOptions(
        explicitHttpConfig: .init(http2ProtocolOptions: .init())
    )

    private func metadata(_ service: MeshService, _ policy: ServicePolicy) -> Envoy.Metadata {
        var metadata = Self.labels([("dst_namespace", service.namespace), ("dst_service", service.name)])
        if policy.endpointWait > .zero {
            let seconds = Double(policy.endpointWait.components.seconds)
            let rest = Double(policy.endpointWait.components.attoseconds) / 1e18
            metadata.filterMetadata["weft.dev/endpoints"] = ["wait": .string("\(seconds + rest)s")]
        }
        if let seconds = policy.clientTimeout {
            metadata.filterMetadata["weft.dev/clients"] = ["timeout": .string("\(seconds)s")]
        }
        return metadata
    }

    private func breakers(_ policy: ServicePolicy) -> Envoy.CircuitBreakers {
        let limits = Envoy.CircuitBreakers.Thresholds(
            priority: .default,
            maxConnections: UInt32(clamping: policy.maxConnections),
            maxPendingRequests: UInt32(clamping: policy.maxPendingRequests),
            maxRequests: UInt32(clamping: policy.maxRequests),
            retryBudget: .init(budgetPercent: .init(value: 20), minRetryConcurrency: 3)
        )
        return Envoy.CircuitBreakers(thresholds: [limits])
    }

    /// A pod that fails five times in a row, by its answers or by no answer, is left out for 10 s; never more than half.
    private static let outliers = Envoy.OutlierDetection(
        consecutive5xx: 5,
        interval: .seconds(5),
        baseEjectionTime: .seconds(10),
        maxEjectionPercent: 50,
        enforcingConsecutive5xx: 100,
        enforcingSuccessRate: 0,
        consecutiveGatewayFailure: 5,
        enforcingConsecutiveGatewayFailure: 100,
        maxEjectionTime: .seconds(60)
    )

    /// Places in the table by which clients find their pod: a prime, far more than a Service has pods.
    private static let affinityTable: UInt64 = 4093

    private func balancing(_ service: ServicePolicy) -> Envoy.LoadBalancingPolicy {
        guard !service.bindsClients else {
            let config = Envoy.TypedExtensionConfig(
                name: "envoy.load_balancing_policies.maglev",
                typedConfig: Envoy.LoadBalancingPolicyConfig.maglev(.init(tableSize: Self.affinityTable))
            )
            return Envoy.LoadBalancingPolicy(policies: [.init(typedExtensionConfig: config)])
        }
        let choice = service.loadBalancer
        let policy: Envoy.LoadBalancingPolicyConfig =
            switch choice {
            case .peakEwma: .peakEwma(.init())
            case .roundRobin: .roundRobin(.init())
            case .leastRequest: .leastRequest(.init(choiceCount: 2))
            case .random: .random(.init())
            }
        let config = Envoy.TypedExtensionConfig(
            name: "envoy.load_balancing_policies.\(choice.rawValue)",
            typedConfig: policy
        )
        return Envoy.LoadBalancingPolicy(policies: [.init(typedExtensionConfig: config)])
    }

    /// Where the proxy dials a port of a pod: inside its network, or what stands for it on the machine's; nil while nothing
    /// does.
    static func address(_ pod: MeshPod, _ port: Int) -> Envoy.Address? {
        guard let sockets = pod.sockets else { return .socket(pod.ip, port, in: pod.networkNamespace) }
        return sockets.place(of: port).map { .socket($0.address, $0.port) }
    }

    /// A pod behind a Service's port, as the machine's proxy has it.
    static func endpoint(_ pod: MeshPod, at address: Envoy.Address) -> Envoy.LbEndpoint {
        Envoy.LbEndpoint(
            endpoint: .init(address: address, hostname: pod.name),
            healthStatus: .healthy,
            metadata: labels([("dst_\(pod.workload.label)", pod.workload.name), ("dst_pod", pod.name)])
        )
    }

    /// An address that was written by hand.
    static func endpoint(_ address: String, _ port: Int) -> Envoy.LbEndpoint {
        Envoy.LbEndpoint(
            endpoint: .init(address: .socket(address, port), hostname: address),
            healthStatus: .healthy,
            metadata: labels([("dst_workload", address)])
        )
    }

    /// The number behind a target port on a pod, or nil when no container names one so.
    static func resolve(_ port: MeshService.Port, _ pod: MeshPod) -> Int? {
        switch port.target {
        case .number(let number): number
        case .text(let name):
            Int(name) ?? pod.ports.first { $0.name == name && $0.protocolName == port.protocolName }?.number
        }
    }

    /// The cluster of a pod's own address: dials the port that was asked for, inside the pod.
    func pod(_ pod: MeshPod) -> Envoy.Cluster {
        Envoy.Cluster(
            name: MeshNames.pod(pod.namespace, pod.name),
            type: .originalDst,
            connectTimeout: .seconds(1),
            lbPolicy: .clusterProvided,
            upstreamBindConfig: .init(
                sourceAddress: .init(address: pod.ip, portValue: 0, networkNamespaceFilepath: pod.networkNamespace)
            ),
            metadata: Self.labels(destination(pod))
        )
    }

    /// The cluster of a container's host port.
    func hostPort(_ pod: MeshPod, _ port: MeshPod.Port, at address: Envoy.Address) -> Envoy.Cluster {
        let name = MeshNames.hostPort(pod.namespace, pod.name, port.number)
        let endpoint = Envoy.LbEndpoint(
            endpoint: .init(address: address, hostname: pod.name),
            healthStatus: .healthy
        )
        return Envoy.Cluster(
            name: name,
            type: .static,
            connectTimeout: .seconds(1),
            loadAssignment: .init(clusterName: name, endpoints: [.init(lbEndpoints: [endpoint])]),
            metadata: Self.labels(destination(pod))
        )
    }

    private func destination(_ pod: MeshPod) -> [(String, String)] {
        [
            ("dst_namespace", pod.namespace), ("dst_\(pod.workload.label)", pod.workload.name), ("dst_pod", pod.name),
        ]
    }

    /// The control plane's socket.
    func discovery(_ entrance: DiscoveryEntrance) -> Envoy.Cluster {
        let endpoint = Envoy.LbEndpoint(endpoint: .init(address: .init(kind: .pipe(.init(path: entrance.socket)))))
        return Envoy.Cluster(
            name: MeshNames.discovery,
            type: .static,
            connectTimeout: .seconds(1),
            loadAssignment: .init(clusterName: MeshNames.discovery, endpoints: [.init(lbEndpoints: [endpoint])])
        )
    }

    /// The collector of spans.
    func traces(_ collector: TraceCollector) -> Envoy.Cluster {
        let place = collector.address
        let endpoint = Envoy.LbEndpoint(endpoint: .init(address: .socket(place.address, place.port)))
        var cluster = Envoy.Cluster(
            name: MeshNames.traces,
            type: collector.isName ? .strictDns : .static,
            connectTimeout: .seconds(1),
            loadAssignment: .init(clusterName: MeshNames.traces, endpoints: [.init(lbEndpoints: [endpoint])]),
            metadata: Self.labels([("dst_service", "traces")])
        )
        if !collector.isHTTP { cluster.typedExtensionProtocolOptions = [Self.httpOptions: .http(Self.http2)] }
        return cluster
    }

    /// Dials in the host's network what pods ask for outside the mesh.
    var passthrough: Envoy.Cluster {
        Envoy.Cluster(
            name: MeshNames.passthrough,
            type: .originalDst,
            connectTimeout: .seconds(5),
            lbPolicy: .clusterProvided,
            metadata: Self.labels([("dst_service", "external")])
        )
    }

    /// Refuses.
    var unreachable: Envoy.Cluster {
        Envoy.Cluster(
            name: MeshNames.unreachable,
            type: .static,
            connectTimeout: .seconds(1),
            loadAssignment: .init(clusterName: MeshNames.unreachable),
            metadata: Self.labels([("dst_service", "unreachable")])
        )
    }
}

extension Envoy.Address {
    /// An address and port, in the network namespace of the proxy or in another one.
    static func socket(_ address: String, _ port: Int, in namespace: String = "") -> Envoy.Address {
        Envoy.Address(
            kind: .socket(
                .init(address: address, portValue: UInt32(clamping: port), networkNamespaceFilepath: namespace)
            )
        )
    }
}
