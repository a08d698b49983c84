import Glibc
import Resources
import Sandbox

/// What a pod without isolation has in place of a network of its own: a loopback address, and for each of its ports one that
/// no other process of the machine has.
struct PlainPod: Sendable {
    var sockets: PodSockets
    /// `$PORT` and its kin, by the container's name.
    private let variables: [String: [(String, String)]]
    /// Nobody was told yet that its program should keep to `$PORT`.
    var hasHinted = false

    /// Gives the pod its ports; `take` finds a free one.
    init(_ spec: PodSpec, address: String, directory: String, take: () -> Int) {
        var sockets = PodSockets(address: address)
        var variables: [String: [(String, String)]] = [:]
        // A pod that is taken over keeps the ports that its processes were told.
        var known = PortRecord(directory: directory)
        for container in spec.initContainers + spec.containers {
            var own: [(String, String)] = []
            for port in container.ports where port.protocolName == "TCP" && sockets.given[port.containerPort] == nil {
                let number = known.port("\(port.containerPort)", take)
                sockets.given[port.containerPort] = number
                if own.isEmpty { own.append(("PORT", String(number))) }
                own.append(("PORT_\(port.containerPort)", String(number)))
                if let name = port.name { own.append(("PORT_\(Self.variable(name))", String(number))) }
            }
            if own.isEmpty {
                let number = known.port(container.name, take)
                own = [("PORT", String(number))]
                sockets.spare = sockets.spare ?? number
            }
            variables[container.name] = own
        }
        known.write()
        self.sockets = sockets
        self.variables = variables
    }

    /// What its containers are told: the lowest of all sources, so that a manifest may say otherwise.
    func environment(of container: Container, user home: String, volumes: [(name: String, path: String)]) -> [(
        String, String
    )] {
        let places = volumes.map { ("WEFT_VOLUME_\(Self.variable($0.name))", $0.path) }
        return [("WEFT_ISOLATION", "none"), ("POD_IP", sockets.address), ("HOST", sockets.address), ("HOME", home)]
            + (variables[container.name] ?? []) + places
    }

    /// The ports given to the pod, for giving them back.
    var ports: [Int] { Array(sockets.given.values) + [sockets.spare].compactMap { $0 } }

    static func variable(_ name: String) -> String {
        String(name.uppercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
    }
}

/// The file in a pod's directory that remembers which ports its processes were told: `NAME NUMBER` a line.
private struct PortRecord {
    private let path: String
    private var known: [String: Int] = [:]
    private var isChanged = false

    init(directory: String) {
        path = "\(directory)/ports"
        for line in (readFile(path, limit: 65_536) ?? "").split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.count == 2, let number = Int(words[1]) { known[String(words[0])] = number }
        }
    }

    mutating func port(_ name: String, _ take: () -> Int) -> Int {
        if let number = known[name] { return number }
        let number = take()
        known[name] = number
        isChanged = true
        return number
    }

    /// Without the file only a later weft would be at a loss, and it would start the pod anew.
    func write() {
        guard isChanged, let slash = path.lastIndex(of: "/") else { return }
        try? makeDirectory(String(path[..<slash]))
        try? replaceFile(path, with: known.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)\n" }.joined())
    }
}

/// The ports that pods without isolation are told: 20000 to 29999, below those that the kernel gives to connections and those
/// of NodePorts.
///
/// The pool walks through the whole range before it gives a port again.
struct PortPool: Sendable {
    private static let range = 20_000...29_999
    private var next: Int
    private var taken: Set<Int> = []

    /// - Parameter seed: daemons of one machine begin at different places.
    init(seed: Int) { next = Self.range.lowerBound + (seed * 111) % Self.range.count }

    /// A port on which nobody listens; the next one when none can be found.
    mutating func take() -> Int {
        for _ in Self.range {
            let candidate = next
            next = next == Self.range.upperBound ? Self.range.lowerBound : next + 1
            if !taken.contains(candidate), Self.isFree(candidate) {
                taken.insert(candidate)
                return candidate
            }
        }
        return next
    }

    mutating func give(back ports: [Int]) { taken.subtract(ports) }

    /// Whether a program could listen on it on all addresses.
    private static func isFree(_ port: Int) -> Bool {
        let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard fd >= 0 else { return false }
        defer { close(fd) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(clamping: port).bigEndian)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(fd, __CONST_SOCKADDR_ARG(__sockaddr__: $0), socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}
