package import Resources

/// The pods behind a Service and the ports that its ports mean on each of them.
///
/// One answer for everybody who asks: Endpoints, EndpointSlices, the mesh, DNS. Pure.
package struct ServiceEndpoints: Sendable, Equatable {
    /// One port of the Service on one pod.
    package struct Port: Sendable, Equatable, Hashable {
        package var name: String
        package var port: Int
        package var protocolName: String
        package var appProtocol: String?
    }

    /// One pod behind the Service.
    package struct Endpoint: Sendable, Equatable {
        package var pod: String
        package var uid: String
        package var address: String
        package var nodeName: String
        package var hostname: String?
        /// Gets traffic: the pod is ready and not ending, or the Service publishes pods that are not ready.
        package var isReady: Bool
        /// The pod is ready, ending or not.
        package var isServing: Bool
        package var isTerminating: Bool
        /// A port of the Service that the pod does not have by that name is missing here.
        package var ports: [Port]
    }

    /// Ordered by pod name.
    package private(set) var endpoints: [Endpoint] = []

    package init(_ service: Object, in state: borrowing ClusterState) {
        let selector = ServiceSpec(service.spec).selector
        let labels = LabelSelector(matching: selector)
        let pods = selector.isEmpty ? [] : state.list(ResourceTypes.pods, namespace: service.namespace)
        self.init(service, pods: pods.filter { labels.matches($0) })
    }

    /// - Parameters:
    ///   - service: the Service.
    ///   - pods: the pods that its selector chooses.
    package init(_ service: Object, pods: [Object]) {
        let spec = ServiceSpec(service.spec)
        endpoints = pods.compactMap { Self.endpoint($0, spec) }.sorted { $0.pod < $1.pod }
    }

    private static func endpoint(_ pod: Object, _ spec: ServiceSpec) -> Endpoint? {
        let status = PodStatus(pod.status)
        let podSpec = PodSpec(pod.spec)
        guard !status.podIP.isEmpty, status.phase != "Succeeded", status.phase != "Failed" else { return nil }
        return Endpoint(
            pod: pod.name,
            uid: pod.uid,
            address: status.podIP,
            nodeName: podSpec.nodeName ?? "",
            hostname: podSpec.subdomain == nil ? nil : podSpec.hostname,
            isReady: spec.publishNotReadyAddresses || (status.isReady && !pod.isDeleting),
            isServing: status.isReady,
            isTerminating: pod.isDeleting,
            ports: spec.ports.compactMap { port in
                guard let number = resolve(port, podSpec) else { return nil }
                return Port(
                    name: port.name,
                    port: number,
                    protocolName: port.protocolName,
                    appProtocol: port.appProtocol
                )
            }
        )
    }

    /// The number behind a target port on a pod, or nil when no container names one so.
    private static func resolve(_ port: ServicePort, _ pod: PodSpec) -> Int? {
        switch port.targetPort {
        case .number(let number): return number == 0 ? port.port : number
        case .text(let name):
            if let number = Int(name) { return number }
            for container in pod.containers + pod.initContainers.filter({ $0.restartPolicy == "Always" }) {
                if let found = container.ports.first(where: {
                    $0.name == name && $0.protocolName == port.protocolName
                }) {
                    return found.containerPort
                }
            }
            return nil
        }
    }

    /// The ports with a different resolution on some pods are kept apart: every group has the same ports.
    package var groups: [(ports: [Port], endpoints: [Endpoint])] {
        var order: [[Port]] = []
        var members: [[Port]: [Endpoint]] = [:]
        for endpoint in endpoints {
            if members[endpoint.ports] == nil { order.append(endpoint.ports) }
            members[endpoint.ports, default: []].append(endpoint)
        }
        return order.map { ($0, members[$0] ?? []) }
    }
}

extension Change {
    /// The keys of the Services whose selectors choose the changed pod, before or after the change.
    func servicesSelectingPod(in state: borrowing ClusterState) -> [ObjectKey] {
        let services = state.list(ResourceTypes.services, namespace: key.namespace)
        return services.compactMap { service in
            let selector = ServiceSpec(service.spec).selector
            guard !selector.isEmpty else { return nil }
            let labels = LabelSelector(matching: selector)
            let matches = [old, new].contains { $0.map { labels.matches($0) } ?? false }
            return matches ? ObjectKey(ResourceTypes.services, namespace: service.namespace, name: service.name) : nil
        }
    }
}
