import EnvoyAPI
import Resources

/// The endpoints of all Services for clients at one place. Only those of which something changed are made anew.
struct EndpointTable: Sendable {
    let place: DiscoveryAudience.Place
    let nodeAddress: String
    private var lists: [String: EndpointList] = [:]
    /// Digests of what clients have, by Service and cluster.
    private var known: [String: [String: UInt64]] = [:]
    private(set) var resources: [String: DiscoveryResource] = [:]
    /// Resources built since the start.
    private(set) var built = 0

    init(_ place: DiscoveryAudience.Place, nodeAddress: String) {
        self.place = place
        self.nodeAddress = nodeAddress
    }

    /// Takes a change over and tells what is different for clients.
    mutating func update(_ index: MeshIndex, _ delta: MeshDelta) -> DiscoveryUpdate {
        var update = DiscoveryUpdate(.endpoints)
        for key in delta.services.sorted() { rebuild(key, index, &update) }
        for (key, pods) in delta.members.sorted(by: { $0.key < $1.key }) where !delta.services.contains(key) {
            guard let service = index.services[key] else { continue }
            // Hand-written endpoints are few: all are looked at.
            if service.selector.isEmpty {
                rebuild(key, index, &update)
                continue
            }
            for port in service.carriedPorts {
                let name = MeshNames.service(service.namespace, service.name, port.port)
                var isChanged = false
                for pod in pods {
                    let bytes = endpoint(pod, service, port, index)
                    if lists[name]?.set(pod, bytes) == true { isChanged = true }
                }
                if isChanged { publish(name, of: key, &update) }
            }
        }
        return update
    }

    /// Everything, for a client that has nothing yet.
    var all: DiscoveryUpdate { DiscoveryUpdate(.endpoints, changed: resources.values.sorted { $0.name < $1.name }) }

    private mutating func rebuild(_ key: String, _ index: MeshIndex, _ update: inout DiscoveryUpdate) {
        let before = known[key] ?? [:]
        var present: Set<String> = []
        if let service = index.services[key], service.type != "ExternalName" {
            let members = index.members(of: service)
            for port in service.carriedPorts {
                let name = MeshNames.service(service.namespace, service.name, port.port)
                var list = EndpointList()
                for pod in members { _ = list.set(pod, endpoint(pod, service, port, index)) }
                list.fixed = fixed(service, port, index)
                lists[name] = list
                present.insert(name)
                publish(name, of: key, &update)
            }
        }
        for name in before.keys.sorted() where !present.contains(name) {
            lists[name] = nil
            resources[name] = nil
            known[key]?[name] = nil
            update.removed.append(name)
        }
        if known[key]?.isEmpty == true { known[key] = nil }
    }

    private mutating func publish(_ name: String, of key: String, _ update: inout DiscoveryUpdate) {
        guard let resource = lists[name]?.assignment(name, isWeighted: place != .machine) else { return }
        built += 1
        guard known[key]?[name] != resource.digest else { return }
        known[key, default: [:]][name] = resource.digest
        resources[name] = resource
        update.changed.append(resource)
    }

    /// A pod as an endpoint; nil when it is none, or when no client here can dial it.
    private func endpoint(_ key: String, _ service: MeshService, _ port: MeshService.Port, _ index: MeshIndex)
        -> [UInt8]?
    {
        guard let pod = index.pods[key], isIPv4(pod.ip), pod.isChosen(by: service.selector),
            service.publishesNotReady || (pod.isReady && !pod.isTerminating),
            let number = ClusterBuilder.resolve(port, pod), (1...65535).contains(number)
        else { return nil }
        return encoded(pod, number)
    }

    private func encoded(_ pod: MeshPod, _ port: Int) -> [UInt8]? {
        guard place == .machine else {
            return address(pod, port).map { EndpointList.endpoint($0.address, $0.port) }
        }
        return ClusterBuilder.address(pod, port).map { ClusterBuilder.endpoint(pod, at: $0).protobufBytes }
    }

    private func address(_ pod: MeshPod, _ port: Int) -> HostAddress? {
        if let sockets = pod.sockets {
            return sockets.place(of: port).map { HostAddress(address: $0.address, port: $0.port) }
        }
        return place == .pod ? HostAddress(address: pod.ip, port: port) : nil
    }

    /// What does not come from pods of a selector: hand-written addresses, and on the host the Service's own address.
    private func fixed(_ service: MeshService, _ port: MeshService.Port, _ index: MeshIndex) -> [[UInt8]] {
        var endpoints: [[UInt8]] = []
        for manual in service.manualEndpoints.sorted(by: { $0.address < $1.address }) where isIPv4(manual.address) {
            let only = manual.ports.count == 1 ? manual.ports.values.first : nil
            guard let number = manual.ports[port.name] ?? only, (1...65535).contains(number) else { continue }
            if let pod = index.pod(at: manual.address) {
                if let found = encoded(pod, number) { endpoints.append(found) }
            } else if place == .machine {
                endpoints.append(ClusterBuilder.endpoint(manual.address, number).protobufBytes)
            } else {
                endpoints.append(EndpointList.endpoint(manual.address, number))
            }
        }
        if place == .host, service.loopbackAddress == nil, !service.selector.isEmpty,
            let front = service.hostAddress(of: port, nodeAddress: nodeAddress)
        {
            endpoints.append(EndpointList.endpoint(front.address, front.port))
        }
        return endpoints
    }
}

extension MeshService {
    /// The ports that are carried: TCP, each once.
    package var carriedPorts: [Port] {
        var seen: Set<Int> = []
        return ports.filter {
            $0.protocolName == "TCP" && (1...65535).contains($0.port) && seen.insert($0.port).inserted
        }
    }

    /// The port of a name without one: that of gRPC when one is, else the first.
    var mainPort: Port? {
        let ports = carriedPorts
        return ports.first { $0.appProtocol == "grpc" || $0.name == "grpc" || $0.name.hasPrefix("grpc-") }
            ?? ports.first
    }

    /// Where a port is served on the machine: as a load balancer's, or as a NodePort.
    func hostAddress(of port: Port, nodeAddress: String) -> HostAddress? {
        if type == "LoadBalancer", let address = loadBalancerAddresses.first, isIPv4(address) {
            return HostAddress(address: address, port: loadBalancerPorts[port.port] ?? port.port)
        }
        guard type == "LoadBalancer" || type == "NodePort", let number = port.nodePort, (1...65535).contains(number)
        else {
            return nil
        }
        return HostAddress(address: nodeAddress, port: number)
    }
}
