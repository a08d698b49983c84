package import Resources
import Wire

/// Everything that the proxy's configuration is made from, as plain values. Order does not matter.
package struct MeshState: Sendable, Equatable {
    /// The directory of the proxy's bootstrap and sockets: an absolute path without trailing slash.
    package var directory: String
    /// Where the proxy's admin interface listens.
    package var admin: AdminAddress
    package var services: [MeshService]
    package var pods: [MeshPod]
    package var ingresses: [MeshIngress]
    /// Where Ingresses are served on the host; nil while no port was found.
    package var ingressAddress: HostAddress?
    /// The host's address of NodePorts and host ports.
    package var nodeAddress: String
    /// The file of the access log; nil writes none.
    package var accessLogPath: String?
    /// The ranges of Service and pod addresses: what no Service or pod has there is refused at once instead of dialled.
    package var clusterRanges: [String]
    /// Where xDS is served to other machines; nil: nowhere.
    package var discoveryEntrance: DiscoveryEntrance?
    /// Whom the proxy tells of requests; nil: nobody.
    package var traceCollector: TraceCollector?

    package init(
        directory: String,
        admin: AdminAddress,
        services: [MeshService] = [],
        pods: [MeshPod] = [],
        ingresses: [MeshIngress] = [],
        ingressAddress: HostAddress? = nil,
        nodeAddress: String = "127.0.0.1",
        accessLogPath: String? = nil,
        clusterRanges: [String] = ["10.96.0.0/16", "10.244.0.0/16"]
    ) {
        self.directory = directory
        self.admin = admin
        self.services = services
        self.pods = pods
        self.ingresses = ingresses
        self.ingressAddress = ingressAddress
        self.nodeAddress = nodeAddress
        self.accessLogPath = accessLogPath
        self.clusterRanges = clusterRanges
    }
}

/// The machine's proxy ends TLS there, asks clients for certificates, and hands what is inside over to the control plane's socket.
package struct DiscoveryEntrance: Sendable, Equatable {
    package var address: HostAddress
    /// Holds `tls.crt`, `tls.key` and `ca.crt`: the server's certificate and key, and who signs the clients' certificates.
    package var folder: String
    /// The control plane's Unix socket.
    package var socket: String

    package init(address: HostAddress, folder: String, socket: String) {
        self.address = address
        self.folder = folder
        self.socket = socket
    }
}

/// A collector of spans, which is called with OTLP.
package struct TraceCollector: Sendable, Equatable {
    /// Over HTTP; else over gRPC.
    package var isHTTP: Bool
    package var address: HostAddress
    /// The address is a name, to be resolved.
    package var isName: Bool
    /// Of calls over HTTP.
    package var path: String
    /// Percent of requests that are told of. Those that fail always are.
    package var sampling: Double

    package init(isHTTP: Bool, address: HostAddress, isName: Bool, path: String, sampling: Double) {
        self.isHTTP = isHTTP
        self.address = address
        self.isName = isName
        self.path = path
        self.sampling = sampling
    }
}

/// Where the admin interface of the proxy listens.
package enum AdminAddress: Sendable, Equatable {
    case socket(address: String, port: Int)
    case pipe(path: String)
}

/// An address and port of the host.
package struct HostAddress: Sendable, Equatable {
    package var address: String
    package var port: Int

    package init(address: String, port: Int) {
        self.address = address
        self.port = port
    }
}

/// A pod as the mesh sees it.
package struct MeshPod: Sendable, Equatable {
    /// A port that a container gives a name or a place on the host.
    package struct Port: Sendable, Equatable {
        package var name: String
        package var protocolName: String
        package var number: Int
        package var hostPort: Int?
        package var hostIP: String?

        package init(
            name: String = "",
            protocolName: String = "TCP",
            number: Int,
            hostPort: Int? = nil,
            hostIP: String? = nil
        ) {
            self.name = name
            self.protocolName = protocolName
            self.number = number
            self.hostPort = hostPort
            self.hostIP = hostIP
        }
    }

    package var namespace: String
    package var name: String
    package var ip: String
    /// How to get sockets of the pod's network namespace: an nsfs file or the socket of the pod's broker.
    package var networkNamespace: String
    package var labels: [String: String]
    package var workload: Workload
    package var ports: [Port]
    package var isReady: Bool
    /// Gets no new traffic, but its own connections go on.
    package var isTerminating: Bool
    /// Without isolation: where its programs listen on the machine's network. Such a pod has no network of its own.
    package var sockets: PodSockets?

    package init(
        namespace: String,
        name: String,
        ip: String,
        networkNamespace: String,
        labels: [String: String] = [:],
        workload: Workload? = nil,
        ports: [Port] = [],
        isReady: Bool = true,
        isTerminating: Bool = false
    ) {
        self.namespace = namespace
        self.name = name
        self.ip = ip
        self.networkNamespace = networkNamespace
        self.labels = labels
        self.workload = workload ?? Workload(kind: "Pod", name: name)
        self.ports = ports
        self.isReady = isReady
        self.isTerminating = isTerminating
    }

    /// A pod from its object; nil while it has no address, and when it has ended.
    package init?(_ pod: Object, networkNamespace: String) {
        let status = PodStatus(pod.status)
        guard !status.podIP.isEmpty, status.phase != "Succeeded", status.phase != "Failed" else { return nil }
        let spec = PodSpec(pod.spec)
        self.init(
            namespace: pod.namespace,
            name: pod.name,
            ip: status.podIP,
            networkNamespace: networkNamespace,
            labels: pod.labels,
            workload: Workload(of: pod),
            ports: (spec.containers + spec.initContainers.filter { $0.restartPolicy == "Always" }).flatMap(\.ports).map
            {
                Port(
                    name: $0.name ?? "",
                    protocolName: $0.protocolName,
                    number: $0.containerPort,
                    hostPort: $0.hostPort.flatMap { $0 == 0 ? nil : $0 },
                    hostIP: $0.value["hostIP"]?.stringValue
                )
            },
            isReady: status.isReady,
            isTerminating: pod.isDeleting
        )
    }
}

/// What a pod is a replica of.
package struct Workload: Sendable, Equatable {
    package var kind: String
    package var name: String

    package init(kind: String, name: String) {
        self.kind = kind
        self.name = name
    }

    /// The workload of a pod by its owner: the Deployment behind a ReplicaSet, else the owner, else the pod itself.
    package init(of pod: Object) {
        guard let owner = pod.controller else {
            self.init(kind: "Pod", name: pod.name)
            return
        }
        if owner.kind == "ReplicaSet", let hash = pod.label("pod-template-hash"), owner.name.hasSuffix("-\(hash)") {
            self.init(kind: "Deployment", name: String(owner.name.dropLast(hash.utf8.count + 1)))
        } else {
            self.init(kind: owner.kind, name: owner.name)
        }
    }

    /// The metric label of this kind of workload.
    var label: String { kind == "Deployment" ? "deployment" : "workload" }
}

/// A Service as the mesh sees it.
package struct MeshService: Sendable, Equatable {
    package struct Port: Sendable, Equatable {
        package var name: String
        package var port: Int
        package var target: IntOrString
        package var protocolName: String
        package var appProtocol: String?
        package var nodePort: Int?

        package init(
            name: String = "",
            port: Int,
            target: IntOrString? = nil,
            protocolName: String = "TCP",
            appProtocol: String? = nil,
            nodePort: Int? = nil
        ) {
            self.name = name
            self.port = port
            self.target = target ?? .number(port)
            self.protocolName = protocolName
            self.appProtocol = appProtocol
            self.nodePort = nodePort
        }
    }

    /// An endpoint that was written by hand, for a Service without selector.
    package struct ManualEndpoint: Sendable, Equatable {
        package var address: String
        /// Numbers by the name of the Service's port.
        package var ports: [String: Int]

        package init(address: String, ports: [String: Int]) {
            self.address = address
            self.ports = ports
        }
    }

    package var namespace: String
    package var name: String
    /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`.
    package var type: String
    /// nil for headless Services and while none is given.
    package var clusterIP: String?
    package var selector: [String: String]
    package var ports: [Port]
    package var annotations: [String: String]
    package var publishesNotReady: Bool
    /// Seconds for which a client stays with its pod; nil: it does not.
    package var affinitySeconds: Int?
    /// The addresses on the host of a LoadBalancer.
    package var loadBalancerAddresses: [String]
    /// Where a LoadBalancer's port is served on the host, when not under its own number.
    package var loadBalancerPorts: [Int: Int]
    /// Without isolation: where the Service is served on the machine, in place of its clusterIP.
    package var loopbackAddress: String?
    package var manualEndpoints: [ManualEndpoint]

    package init(
        namespace: String,
        name: String,
        type: String = "ClusterIP",
        clusterIP: String? = nil,
        selector: [String: String] = [:],
        ports: [Port] = [],
        annotations: [String: String] = [:],
        publishesNotReady: Bool = false,
        affinitySeconds: Int? = nil,
        loadBalancerAddresses: [String] = [],
        loadBalancerPorts: [Int: Int] = [:],
        manualEndpoints: [ManualEndpoint] = []
    ) {
        self.namespace = namespace
        self.name = name
        self.type = type
        self.clusterIP = clusterIP
        self.selector = selector
        self.ports = ports
        self.annotations = annotations
        self.publishesNotReady = publishesNotReady
        self.affinitySeconds = affinitySeconds
        self.loadBalancerAddresses = loadBalancerAddresses
        self.loadBalancerPorts = loadBalancerPorts
        self.manualEndpoints = manualEndpoints
    }

    /// A Service from its object; `slices` are its EndpointSlices, which count when it has no selector.
    package init(_ service: Object, slices: [Object] = []) {
        let spec = ServiceSpec(service.spec)
        self.init(
            namespace: service.namespace,
            name: service.name,
            type: spec.type,
            clusterIP: spec.isHeadless || spec.clusterIP.isEmpty ? nil : spec.clusterIP,
            selector: spec.selector,
            ports: spec.ports.map {
                Port(
                    name: $0.name,
                    port: $0.port,
                    target: $0.targetPort == .number(0) ? .number($0.port) : $0.targetPort,
                    protocolName: $0.protocolName,
                    appProtocol: $0.appProtocol,
                    nodePort: $0.nodePort
                )
            },
            annotations: service.annotations,
            publishesNotReady: spec.publishNotReadyAddresses,
            affinitySeconds: spec.affinitySeconds,
            loadBalancerAddresses: LoadBalancerStatus(service.status).addresses,
            manualEndpoints: spec.selector.isEmpty ? slices.flatMap(Self.manualEndpoints) : []
        )
    }

    private static func manualEndpoints(_ slice: Object) -> [ManualEndpoint] {
        let view = EndpointSliceView(slice.value)
        let ports = Dictionary(view.ports.map { ($0.name, $0.port) }, uniquingKeysWith: { first, _ in first })
        return view.endpoints.filter(\.ready).flatMap { endpoint in
            endpoint.addresses.prefix(1).map { ManualEndpoint(address: $0, ports: ports) }
        }
    }
}

/// An Ingress as the mesh sees it.
package struct MeshIngress: Sendable, Equatable {
    package struct Backend: Sendable, Equatable {
        package var service: String
        package var port: IntOrString?

        package init(service: String, port: IntOrString?) {
            self.service = service
            self.port = port
        }
    }

    /// The certificate for some hosts; no hosts: for all.
    package struct TLS: Sendable, Equatable {
        package var hosts: [String]
        /// The name of a Secret of the namespace.
        package var secret: String

        package init(hosts: [String], secret: String) {
            self.hosts = hosts
            self.secret = secret
        }
    }

    package struct Path: Sendable, Equatable {
        package var path: String
        /// `Exact`, `Prefix` or `ImplementationSpecific`.
        package var type: String
        package var backend: Backend

        package init(path: String, type: String, backend: Backend) {
            self.path = path
            self.type = type
            self.backend = backend
        }
    }

    package struct Rule: Sendable, Equatable {
        /// Empty for every host; may begin with `*.`.
        package var host: String
        package var paths: [Path]

        package init(host: String, paths: [Path]) {
            self.host = host
            self.paths = paths
        }
    }

    package var namespace: String
    package var name: String
    /// RFC 3339; of two Ingresses with the same host and path the older one counts.
    package var created: String
    package var rules: [Rule]
    package var defaultBackend: Backend?
    package var hasTLS: Bool
    package var tls: [TLS] = []

    package init(
        namespace: String,
        name: String,
        created: String = "",
        rules: [Rule] = [],
        defaultBackend: Backend? = nil,
        hasTLS: Bool = false
    ) {
        self.namespace = namespace
        self.name = name
        self.created = created
        self.rules = rules
        self.defaultBackend = defaultBackend
        self.hasTLS = hasTLS
    }

    /// An Ingress from its object.
    package init(_ ingress: Object) {
        let spec = IngressSpec(ingress.spec)
        func backend(_ view: IngressSpec.Backend) -> Backend {
            Backend(service: view.serviceName, port: view.servicePort)
        }
        self.init(
            namespace: ingress.namespace,
            name: ingress.name,
            created: ingress.creationTimestamp.map { "\($0)" } ?? "",
            rules: spec.rules.map { rule in
                Rule(
                    host: rule.host,
                    paths: rule.paths.map { Path(path: $0.path, type: $0.pathType, backend: backend($0.backend)) }
                )
            },
            defaultBackend: spec.defaultBackend.map(backend),
            hasTLS: !spec.tls.isEmpty
        )
        tls = spec.tls.map { TLS(hosts: $0.hosts, secret: $0.secretName) }
    }
}
