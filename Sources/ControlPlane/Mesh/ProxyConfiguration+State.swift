import EnvoyAPI
import Resources

extension ProxyConfiguration {
    /// Makes the configuration of a state. Pure and cheap: it is made anew after every change but of endpoints, and compared.
    package init(_ state: MeshState) {
        self.init()
        var assembly = Assembly(state)
        assembly.run()
        listeners = assembly.listeners.sorted { $0.name < $1.name }
        clusters = assembly.clusters.sorted { $0.name < $1.name }
        routes = assembly.routes
        warnings = assembly.warnings
    }
}

/// The walk over a state.
private struct Assembly {
    let state: MeshState
    let clusterBuilder = ClusterBuilder()
    let listenerBuilder: ListenerBuilder
    let routeBuilder = RouteBuilder()
    let pods: [MeshPod]
    let podsByAddress: [String: MeshPod]
    var listeners: [Envoy.Listener] = []
    var clusters: [Envoy.Cluster] = []
    var routes: [String: Envoy.RouteConfiguration] = [:]
    var warnings: [MeshWarning] = []
    /// Who listens where, on the host and inside pods.
    var taken: [String: String] = [:]

    init(_ state: MeshState) {
        self.state = state
        listenerBuilder = ListenerBuilder(state)
        pods = unique(state.pods.filter { isIPv4($0.ip) }) { "\($0.namespace)/\($0.name)" }.sorted {
            ($0.namespace, $0.name) < ($1.namespace, $1.name)
        }
        podsByAddress = Dictionary(pods.map { ($0.ip, $0) }, uniquingKeysWith: { first, _ in first })
    }

    mutating func run() {
        clusters = [clusterBuilder.passthrough, clusterBuilder.unreachable]
        if let address = state.ingressAddress, !state.ingresses.isEmpty {
            taken["\(address.address):\(address.port)"] = "all Ingresses"
        }
        if let entrance = state.discoveryEntrance {
            taken["\(entrance.address.address):\(entrance.address.port)"] = "xDS"
            clusters.append(clusterBuilder.discovery(entrance))
            listeners.append(listenerBuilder.discovery(entrance))
        }
        if let collector = state.traceCollector { clusters.append(clusterBuilder.traces(collector)) }
        let addresses = Set(state.services.compactMap(\.clusterIP))
        var known: [String: (service: MeshService, policy: ServicePolicy)] = [:]
        let services = unique(state.services) { "\($0.namespace)/\($0.name)" }
        for service in services.sorted(by: { ($0.namespace, $0.name) < ($1.namespace, $1.name) })
        where service.type != "ExternalName" {
            let policy = policy(of: service)
            known["\(service.namespace)/\(service.name)"] = (service, policy)
            add(service, policy)
        }
        for pod in pods { add(pod, isShadowed: addresses.contains(pod.ip)) }
        addIngresses(known)
        if state.traceCollector != nil { listeners = listeners.map(ListenerBuilder.keepingErrors) }
    }

    private mutating func policy(of service: MeshService) -> ServicePolicy {
        var problems: [String] = []
        let policy = ServicePolicy(service, problems: &problems)
        for problem in problems { warn(service, "InvalidAnnotation", problem) }
        return policy
    }

    private mutating func add(_ service: MeshService, _ policy: ServicePolicy) {
        if let address = service.clusterIP, !isIPv4(address) {
            warn(service, "AddressNotCarried", "clusterIP \(address.prefix(64)) is no IPv4 address")
        }
        checkSplit(service, policy)
        var seen: Set<Int> = []
        for port in service.ports where (1...65535).contains(port.port) {
            guard port.protocolName == "TCP" else {
                warn(
                    service,
                    "ProtocolNotCarried",
                    "port \(port.port): \(port.protocolName) is not carried, only TCP is"
                )
                continue
            }
            guard seen.insert(port.port).inserted else { continue }
            let name = MeshNames.service(service.namespace, service.name, port.port)
            clusters.append(clusterBuilder.service(service, port, policy))
            if let address = service.loopbackAddress {
                addLoopback(
                    service,
                    port,
                    HostAddress(address: address, port: service.loadBalancerPorts[port.port] ?? port.port),
                    policy
                )
            } else if let address = service.clusterIP, isIPv4(address),
                take(HostAddress(address: address, port: port.port), service)
            {
                if ServiceProtocol(port) != .tcp { routes[name] = routeBuilder.service(service, port, policy) }
                listeners.append(listenerBuilder.service(service, port, at: address, policy))
            }
            addHostListeners(service, port, name, policy)
        }
    }

    /// Requests that go to a part of a split that is not there fail.
    private mutating func checkSplit(_ service: MeshService, _ policy: ServicePolicy) {
        for port in service.carriedPorts where !policy.split.isEmpty {
            guard ServiceProtocol(port) != .tcp else {
                warn(
                    service,
                    "SplitIgnored",
                    "port \(port.port): weft.dev/traffic-split has no effect on TCP, only on HTTP"
                )
                continue
            }
            for share in policy.split {
                let target = state.services.first { $0.namespace == service.namespace && $0.name == share.service }
                guard target?.carriedPorts.contains(where: { $0.port == port.port }) != true else { continue }
                warn(
                    service,
                    "BackendNotFound",
                    "weft.dev/traffic-split: there is no Service \(share.service) with port \(port.port)"
                )
            }
        }
    }

    /// Without isolation a Service is a listener on the machine; who calls is not known.
    private mutating func addLoopback(
        _ service: MeshService,
        _ port: MeshService.Port,
        _ address: HostAddress,
        _ policy: ServicePolicy
    ) {
        guard take(address, service) else { return }
        let name = MeshNames.service(service.namespace, service.name, port.port)
        let kind = ServiceProtocol(port)
        if kind != .tcp { routes[name] = routeBuilder.service(service, port, policy) }
        listeners.append(listenerBuilder.host(name, at: address, label: "host", to: name, kind, policy, isEdge: false))
    }

    private mutating func addHostListeners(
        _ service: MeshService,
        _ port: MeshService.Port,
        _ cluster: String,
        _ policy: ServicePolicy
    ) {
        guard service.type == "NodePort" || service.type == "LoadBalancer" else { return }
        let kind = ServiceProtocol(port)
        if let number = port.nodePort, (1...65535).contains(number) {
            let address = HostAddress(address: state.nodeAddress, port: number)
            if take(address, service) {
                let name = MeshNames.nodePort(service.namespace, service.name, port.port)
                listeners.append(
                    listenerBuilder.host(name, at: address, label: "nodeport", to: cluster, kind, policy)
                )
            }
        }
        guard service.type == "LoadBalancer", let ip = service.loadBalancerAddresses.first, isIPv4(ip) else { return }
        let address = HostAddress(address: ip, port: service.loadBalancerPorts[port.port] ?? port.port)
        guard (1...65535).contains(address.port), take(address, service) else { return }
        let name = MeshNames.loadBalancer(service.namespace, service.name, port.port)
        listeners.append(listenerBuilder.host(name, at: address, label: "loadbalancer", to: cluster, kind, policy))
    }

    /// Two listeners on one address would be refused as a whole: the later one is left out, with a warning.
    private mutating func take(_ address: HostAddress, _ service: MeshService) -> Bool {
        let owner = "Service \(service.namespace)/\(service.name)"
        guard let present = taken["\(address.address):\(address.port)"] else {
            taken["\(address.address):\(address.port)"] = owner
            return true
        }
        warn(service, "AddressTaken", "\(address.address):\(address.port) belongs to \(present) already")
        return false
    }

    private mutating func add(_ pod: MeshPod, isShadowed: Bool) {
        if pod.sockets == nil {
            listeners.append(listenerBuilder.outbound(pod))
            guard !isShadowed, podsByAddress[pod.ip] == pod else { return }
            listeners.append(listenerBuilder.pod(pod))
            clusters.append(clusterBuilder.pod(pod))
        }
        guard !pod.isTerminating else { return }
        let ports = pod.ports.filter { $0.protocolName == "TCP" && $0.hostPort != nil }
        for port in unique(ports, by: { "\($0.number)" }) { addHostPort(pod, port) }
    }

    private mutating func addHostPort(_ pod: MeshPod, _ port: MeshPod.Port) {
        guard let number = port.hostPort, (1...65535).contains(number), (1...65535).contains(port.number) else {
            return
        }
        guard let target = ClusterBuilder.address(pod, port.number) else { return }
        let given = port.hostIP.flatMap { $0.isEmpty || $0 == "0.0.0.0" ? nil : $0 }
        let address = HostAddress(address: given ?? state.nodeAddress, port: number)
        let place = "\(address.address):\(address.port)"
        let problem: (reason: String, message: String)? =
            if !isIPv4(address.address) {
                ("AddressNotCarried", "hostIP \(address.address.prefix(64)) is no IPv4 address")
            } else {
                taken[place].map { ("AddressTaken", "hostPort \(place) belongs to \($0) already") }
            }
        if let problem {
            warnings.append(
                MeshWarning(
                    kind: "Pod",
                    namespace: pod.namespace,
                    name: pod.name,
                    reason: problem.reason,
                    message: problem.message
                )
            )
            return
        }
        taken[place] = "Pod \(pod.namespace)/\(pod.name)"
        listeners.append(listenerBuilder.hostPort(pod, port, at: address))
        clusters.append(clusterBuilder.hostPort(pod, port, at: target))
    }

    private mutating func addIngresses(_ services: [String: (service: MeshService, policy: ServicePolicy)]) {
        guard !state.ingresses.isEmpty else { return }
        var builder = IngressBuilder(services: services)
        let configuration = builder.configuration(state.ingresses)
        warnings += builder.warnings
        guard let address = state.ingressAddress else { return }
        routes[MeshNames.ingress] = configuration
        listeners.append(listenerBuilder.ingress(at: address))
    }

    private mutating func warn(_ service: MeshService, _ reason: String, _ message: String) {
        warnings.append(
            MeshWarning(
                kind: "Service",
                namespace: service.namespace,
                name: service.name,
                reason: reason,
                message: message
            )
        )
    }
}

/// The elements of which no earlier one has the same key.
private func unique<Element>(_ elements: [Element], by key: (Element) -> String) -> [Element] {
    var seen: Set<String> = []
    return elements.filter { seen.insert(key($0)).inserted }
}

/// Whether a text is an IPv4 address in its usual form: one that is not would have the whole file refused.
func isIPv4(_ text: String) -> Bool {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4
        && parts.allSatisfy { part in
            part.utf8.count <= 3 && !(part.utf8.count > 1 && part.hasPrefix("0"))
                && part.utf8.allSatisfy { (0x30...0x39).contains($0) } && (Int(part).map { $0 <= 255 } ?? false)
        }
}

extension MeshPod {
    /// Whether the pod has all labels of a selector.
    func isChosen(by selector: [String: String]) -> Bool {
        selector.allSatisfy { labels[$0.key] == $0.value }
    }
}
