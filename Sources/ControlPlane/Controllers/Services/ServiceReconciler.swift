package import Resources
import Store
import Wire

/// Gives Services of type LoadBalancer their loopback address, and takes it back from others.
package struct ServiceReconciler: Reconciler {
    package let name = "service"
    private let cluster: Cluster
    private let addresses: LoadBalancerAddresses
    private let ports: HostPortRules

    /// - Parameters:
    ///   - cluster: what to work on.
    ///   - addresses: where addresses are taken from.
    ///   - ports: which of the host's ports may be had.
    package init(
        _ cluster: Cluster,
        addresses: LoadBalancerAddresses = LoadBalancerAddresses(),
        ports: HostPortRules = HostPortRules()
    ) {
        self.cluster = cluster
        self.addresses = addresses
        self.ports = ports
    }

    package func keys(for change: Change, in state: borrowing ClusterState) -> [ObjectKey] {
        guard change.key.type == ResourceTypes.services else { return [] }
        // One key for all: addresses are handed out one after the other.
        return [ObjectKey(ResourceTypes.services, name: "")]
    }

    package func reconcile(_ key: ObjectKey) async throws(APIError) -> Int? {
        let services = await cluster.read { $0.list(ResourceTypes.services) }.sorted {
            ($0.metadata.text("creationTimestamp") ?? "", $0.namespace, $0.name)
                < ($1.metadata.text("creationTimestamp") ?? "", $1.namespace, $1.name)
        }
        for (service, address) in assign(services) {
            var updated = service
            var status = service.status
            if status.isNull { status = [:] }
            status["loadBalancer"] = address.map { ["ingress": [ingress(service, $0)]] } ?? [:]
            updated.status = status
            try await cluster.updateStatus(updated, from: service)
            if let address {
                cluster.events.record(
                    service,
                    .normal,
                    reason: "EnsuredLoadBalancer",
                    message: "Reachable on this machine at \(places(service, address))",
                    component: "service-controller"
                )
            }
        }
        return nil
    }

    /// Address and ports as a person would use them.
    private func places(_ service: Object, _ address: String) -> String {
        let moved = ports.moved(service)
        return ServiceSpec(service.spec).ports.map { "\(address):\(moved[$0.port] ?? $0.port)" }.joined(separator: ", ")
    }

    /// The entry of the status; with `ports` when not all are under their own numbers.
    private func ingress(_ service: Object, _ address: String) -> Value {
        var value: Value = ["ip": .string(address), "ipMode": "VIP"]
        let moved = ports.moved(service)
        guard !moved.isEmpty else { return value }
        value["ports"] = .array(
            ServiceSpec(service.spec).ports.map {
                ["port": .int(Int64(moved[$0.port] ?? $0.port)), "protocol": .string($0.protocolName)]
            }
        )
        return value
    }

    /// The Services whose address must change, and to what: kept when it is good, the wished `loadBalancerIP` when it is
    /// free, else the lowest free one.
    func assign(_ services: [Object]) -> [(Object, String?)] {
        var pool = NumberPool(LoadBalancerAddresses.numbers)
        var open: [Object] = []
        var result: [(Object, String?)] = []
        for service in services {
            let spec = ServiceSpec(service.spec)
            let present = LoadBalancerStatus(service.status).addresses
            guard spec.type == "LoadBalancer", !service.isDeleting else {
                if !present.isEmpty { result.append((service, nil)) }
                continue
            }
            let number = present.first.flatMap(addresses.number)
            let wish = spec.loadBalancerIP.flatMap(addresses.number)
            if let number, wish == nil || wish == number, pool.take(number) { continue }
            open.append(service)
        }
        for service in open {
            let wish = ServiceSpec(service.spec).loadBalancerIP.flatMap(addresses.number)
            let number = wish.flatMap { pool.take($0) ? $0 : nil } ?? pool.takeAny()
            guard let number else { continue }
            let address = addresses.address(of: number)
            if LoadBalancerStatus(service.status).addresses != [address] { result.append((service, address)) }
        }
        return result
    }
}

/// Writes the address at which Ingresses are reached into their status.
package struct IngressReconciler: Reconciler {
    package let name = "ingress"
    private let cluster: Cluster
    private let address: String
    private let port: Int

    /// - Parameters:
    ///   - cluster: what to work on.
    ///   - address: the address of the machine's ingress listener.
    ///   - port: its port.
    package init(_ cluster: Cluster, address: String = "127.0.0.1", port: Int = 80) {
        self.cluster = cluster
        self.address = address
        self.port = port
    }

    package func keys(for change: Change, in state: borrowing ClusterState) -> [ObjectKey] {
        change.key.type == ResourceTypes.ingresses && change.new != nil ? [change.key] : []
    }

    package func reconcile(_ key: ObjectKey) async throws(APIError) -> Int? {
        guard let ingress = await cluster.get(key), !ingress.isDeleting else { return nil }
        var updated = ingress
        updated.status = [
            "loadBalancer": [
                "ingress": [
                    ["ip": .string(address), "ports": [["port": .int(Int64(port)), "protocol": "TCP"]]]
                ]
            ]
        ]
        try await cluster.updateStatus(updated, from: ingress)
        return nil
    }
}
