package import Controllers
import Resources
package import Servers

extension DNSTable {
    /// The names of every Service, as the objects have them.
    package init(_ state: borrowing ClusterState) {
        self.init()
        for service in state.list(ResourceTypes.services) where !service.isDeleting {
            let spec = ServiceSpec(service.spec)
            if spec.type == "ExternalName" {
                add(alias: service.name, namespace: service.namespace, target: spec.externalName ?? "")
                continue
            }
            var hosts: [(name: String, address: String)] = []
            var addresses: [String] = []
            var ports = spec.ports.map {
                Port(name: $0.name, transport: $0.protocolName.lowercased(), number: $0.port)
            }
            if spec.isHeadless {
                let ready = ServiceEndpoints(service, in: state).endpoints.filter(\.isReady)
                addresses = ready.map(\.address)
                hosts = ready.compactMap { endpoint in endpoint.hostname.map { ($0, endpoint.address) } }
                // A headless Service's name leads past its ports, straight to the pods'.
                if let first = ready.first {
                    ports = first.ports.map {
                        Port(name: $0.name, transport: $0.protocolName.lowercased(), number: $0.port)
                    }
                }
            } else if !spec.clusterIP.isEmpty {
                addresses = [spec.clusterIP]
            }
            add(service: service.name, namespace: service.namespace, addresses: addresses, ports: ports, hosts: hosts)
        }
    }
}

/// Keeps the server of names up to date with the objects.
actor NamePublisher {
    private let cluster: Cluster
    private let names: NameKeeper
    private let changes: AsyncStream<Void>
    private nonisolated let changed: AsyncStream<Void>.Continuation

    init(cluster: Cluster, names: NameKeeper) {
        self.cluster = cluster
        self.names = names
        (changes, changed) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Listens to the cache; call before the cache runs.
    func attach() async {
        let changed = changed
        await cluster.cache.listen { change, _ in
            guard Self.isRelevant(change) else { return }
            changed.yield()
        }
    }

    private static func isRelevant(_ change: Change) -> Bool {
        switch change.key.type {
        case ResourceTypes.services: return change.old?.spec != change.new?.spec || change.new?.isDeleting == true
        case ResourceTypes.pods:
            guard let old = change.old, let new = change.new else { return true }
            let before = PodStatus(old.status)
            let after = PodStatus(new.status)
            return before.isReady != after.isReady || before.podIP != after.podIP || old.isDeleting != new.isDeleting
        default: return false
        }
    }

    /// Publishes after every change until the task is cancelled.
    func run() async {
        for await _ in changes { names.replace(await cluster.read { DNSTable($0) }) }
    }
}
