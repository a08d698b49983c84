import Agent
import CWeft
import Controllers
import Glibc
import Mesh
import Resources
import Sandbox
import Servers
import Store

/// The proxy's admin over its Unix socket.
struct UnixProxyAdmin: ProxyAdmin {
    let path: String

    func get(_ target: String, timeout: Duration) async throws -> (status: Int, body: [UInt8]) {
        let answer = try await HTTPClient.send(
            HTTPRequest("GET", target),
            to: .unix(path),
            target: target,
            timeout: timeout
        )
        return (answer.status, answer.body)
    }

    /// The page of metrics in the form that a client accepts.
    func metrics(accept: String?) async throws -> HTTPAnswer {
        let target = "/stats/prometheus"
        var request = HTTPRequest("GET", target)
        request.headers["Accept"] = accept
        return try await HTTPClient.send(request, to: .unix(path), target: target, timeout: .seconds(5))
    }
}

/// What the agent asks of the mesh: confirm that traffic left a pod, hear where pods are.
struct MeshPorts: TrafficGate, PodPlaceListener {
    let publisher: MeshPublisher
    /// Whether the proxy may enter namespaces itself; else it asks the pods' brokers for sockets.
    let entersNamespaces: Bool

    func podLeavesTraffic(uid: String) async { await publisher.podLeaves(uid: uid) }

    func podPlaced(_ place: PodPlace) async {
        await publisher.podPlaced(network(place))
    }

    func network(_ place: PodPlace) -> PodNetwork {
        PodNetwork(
            uid: place.uid,
            namespace: place.namespace,
            name: place.name,
            address: place.address,
            namespacePath: entersNamespaces ? place.networkNamespacePath : place.brokerPath,
            sockets: place.sockets
        )
    }

    func podGone(uid: String) async { await publisher.podGone(uid: uid) }
}

/// The machine's proxy as the mesh waits for it.
struct ProxyPorts: ProxyFeed {
    let server: DiscoveryServer

    func confirm(silence: Duration, limit: Duration) async -> ProxyConfirmation {
        switch await server.confirm(silence: silence, limit: limit) {
        case .confirmed: .confirmed
        case .silent: .silent
        case .late: .late
        }
    }

    func refusals() async -> [String: String] { await server.refusals() }

    func stop() async { await server.stopWaiting() }
}

/// What the xDS server asks of the mesh, and tells people.
enum DiscoveryPorts {
    /// The server of the machine's own proxy.
    static func feed(_ publisher: MeshPublisher, _ log: ServeLog) -> DiscoveryServer {
        DiscoveryServer(
            source: DiscoverySource(
                open: { await publisher.open($0, $1) },
                close: { await publisher.close($0) }
            ),
            audience: .machine,
            now: { SQLiteStore.now() },
            refused: { refusal in
                let names = refusal.names.prefix(8).joined(separator: ",")
                log.write(
                    "mesh=refused",
                    ["type": refusal.type.shortName, "resources": names, "error": refusal.error]
                )
            }
        )
    }

    static func server(_ publisher: MeshPublisher, _ cluster: Cluster, _ log: ServeLog) -> DiscoveryServer {
        DiscoveryServer(
            source: DiscoverySource(
                open: { await publisher.open($0, $1) },
                close: { await publisher.close($0) }
            ),
            now: { SQLiteStore.now() },
            refused: { refusal in
                let names = refusal.names.prefix(8).joined(separator: ",")
                log.write(
                    "xds=refused",
                    [
                        "client": refusal.client, "type": refusal.type.shortName, "resources": names,
                        "error": refusal.error,
                    ]
                )
                cluster.events.record(
                    Object(ResourceTypes.nodes, name: PodBinder.nodeName),
                    .warning,
                    reason: "XDSRefused",
                    message:
                        "the xDS client \(refusal.client) refused \(refusal.type.shortName) \(names): \(refusal.error)",
                    component: "weft"
                )
            }
        )
    }
}

/// Gives the pods' name sockets to the server of names.
struct NamePorts: PodDNS {
    let names: NameKeeper

    func isServing(uid: String, initPID: Int32) async -> Bool { await names.isServing(uid, process: initPID) }

    func podStarted(uid: String, initPID: Int32, udp: Int32, tcp: Int32) async {
        names.add(uid, process: initPID, udp: udp, tcp: tcp)
    }

    func podStopped(uid: String) async { names.remove(uid) }
}

/// Writes the agent's events.
struct EventPorts: PodEventSink {
    let recorder: EventRecorder

    func record(_ pod: Object, isWarning: Bool, reason: String, message: String) {
        recorder.record(pod, isWarning ? .warning : .normal, reason: reason, message: message, component: "kubelet")
    }
}

/// Reads logs for the API.
struct LogPorts: PodLogSource {
    let logs: PodLogs

    func logs(
        of pod: Object,
        container: String,
        options: PodLogOptions
    ) async throws(APIError) -> AsyncThrowingStream<[UInt8], any Error> {
        try await logs.logs(of: pod, container: container, options: options)
    }
}

/// Ports of the host.
enum HostPorts {
    /// Which ports this process may listen on.
    static var rules: HostPortRules {
        let text = readFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", limit: 32) ?? "1024"
        let lowest = Int(text.prefix { $0.isNumber }) ?? 1024
        // Tried, not guessed: root of a user namespace may not, and an ordinary user with the capability may.
        guard lowest > 1, tryBind(lowest - 1) == nil, errno == EACCES else { return HostPortRules() }
        return HostPortRules(lowest: lowest)
    }

    /// The first of `wished` on which 127.0.0.1 can be listened on, else any free one.
    static func free(_ wished: [Int]) -> Int {
        for port in wished + [0] {
            if let found = tryBind(port) { return found }
        }
        return wished.last ?? 0
    }

    private static func tryBind(_ port: Int) -> Int? {
        let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard fd >= 0 else { return nil }
        var yes: Int32 = 1
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(clamping: port).bigEndian)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        var failure: Int32 = 0
        let found = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic -> Int? in
                guard
                    bind(fd, __CONST_SOCKADDR_ARG(__sockaddr__: generic), length) == 0,
                    listen(fd, 1) == 0,
                    getsockname(fd, __SOCKADDR_ARG(__sockaddr__: generic), &length) == 0
                else {
                    failure = errno
                    return nil
                }
                return Int(UInt16(bigEndian: pointer.pointee.sin_port))
            }
        }
        close(fd)
        errno = failure
        return found
    }
}
