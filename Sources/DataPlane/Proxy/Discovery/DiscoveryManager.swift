import EnvoyAPI
import Reactor
import Traffic
import Wire

/// All control planes of the proxy: asks them for what the configuration names, in the order in which things lean on one
/// another, and says when the proxy has what it needs to serve.
///
/// Belongs to the main thread's loop.
final class DiscoveryManager {
    /// By the number of the server.
    private(set) var clients: [Int: DiscoveryClient] = [:]
    /// The configuration may have changed.
    var onChange: () -> Void = {}

    private let store: ConfigurationStore
    private let node: Envoy.Node
    private let loop: HandlerLoop
    private let log: ProcessLog

    init(_ store: ConfigurationStore, node: Envoy.Node?, loop: HandlerLoop, log: ProcessLog) {
        self.store = store
        self.node = node ?? Envoy.Node()
        self.loop = loop
        self.log = log
    }

    var isUsed: Bool { !store.context.servers.servers.isEmpty }

    func shutdown() {
        for client in clients.values { client.shutdown() }
    }

    /// Asks for what the configuration names now.
    func refresh() {
        guard isUsed else { return }
        if case .discovery(let server, let wait) = store.discovered.clusterSource {
            client(server).wantAll(.cluster, wait: wait)
        }
        if store.takeWishes() {
            for number in store.context.servers.servers.indices { client(number).want(store.wishes(of: number)) }
        }
        // Nobody is to come before there is somewhere to go.
        if case .discovery(let server, let wait) = store.discovered.listenerSource, store.areClustersSettled {
            client(server).wantAll(.listener, wait: wait)
        }
    }

    private func client(_ number: Int) -> DiscoveryClient {
        if let known = clients[number] { return known }
        let server = store.context.servers.servers[number]
        let made = DiscoveryClient(server, node: node, loop: loop, log: log)
        clients[number] = made
        made.onTarget = { [unowned self] in target(server, $0) }
        made.onUpdate = { [unowned self] in
            store.setClock()
            return store.take($0, from: number)
        }
        made.onRest = { [unowned self] in onChange() }
        return made
    }

    /// The endpoint of the control plane's cluster whose turn it is.
    private func target(_ server: DiscoveryServer, _ attempt: Int) -> Result<DiscoveryStream.Target, DiscoveryTrouble> {
        guard let place = store.context.clusters.known(server.cluster),
            store.compiledClusters.indices.contains(Int(place)), let cluster = store.compiledClusters[Int(place)]
        else { return .failure(DiscoveryTrouble("there is no cluster \(server.cluster)")) }
        let usable = cluster.endpoints.filter(\.health.isUsable)
        guard !usable.isEmpty else {
            return .failure(DiscoveryTrouble("the cluster \(server.cluster) has no endpoint"))
        }
        let endpoint = usable[(attempt - 1) % usable.count]
        let tls = endpoint.transport.map(\.tls) ?? cluster.settings.tls
        let name = tls?.source.usesHostName ?? false ? endpoint.hostname ?? "" : tls?.source.name ?? ""
        var network: NetworkPlace?
        if let path = endpoint.address.namespacePath { network = try? NetworkPlace(path: path) }
        return .success(
            DiscoveryStream.Target(
                address: endpoint.address,
                source: cluster.settings.source?.socketAddress,
                options: cluster.settings.socketOptions + Self.keepalive,
                place: network,
                tls: tls,
                serverName: name.isEmpty ? nil : name,
                head: Self.head(server),
                connectTimeout: cluster.settings.connectTimeout
            )
        )
    }

    /// A control plane whose machine is gone is found out in about a minute. PING frames would anger gRPC servers.
    private static let keepalive = SocketOption.keepalive(probes: 3, idleSeconds: 30, intervalSeconds: 10)

    private static func head(_ server: DiscoveryServer) -> [UInt8] {
        var text = "POST \(server.path) HTTP/1.1\r\nhost: \(server.authority)\r\n"
        text += "content-type: application/grpc\r\nte: trailers\r\nuser-agent: weft-proxy/\(ProxyProcess.version)\r\n"
        for field in server.metadata { text += "\(RouteCompiler.lowercased(field.name)): \(field.value)\r\n" }
        return Array((text + "\r\n").utf8)
    }

    // MARK: The workers

    /// What was taken so far is in the snapshot of this generation.
    func committed(_ generation: UInt64) {
        for client in clients.values { client.committed(generation) }
    }

    /// All workers use the snapshot of this generation: control planes are told that what they sent is in force.
    func applied(_ generation: UInt64) {
        for client in clients.values { client.applied(generation) }
    }

    // MARK: What is told

    /// Why the proxy waits, with the control plane's trouble if it has one.
    var reason: String {
        let trouble = clients.sorted { $0.key < $1.key }.compactMap(\.value.trouble).first
        return store.waitingReason + (trouble.map { " (\($0))" } ?? "")
    }
}

extension ConfigurationStore {
    /// Whether what is wanted of control planes may have changed since it was asked last.
    func takeWishes() -> Bool {
        defer { changes.wishes = false }
        return changes.wishes
    }
}
