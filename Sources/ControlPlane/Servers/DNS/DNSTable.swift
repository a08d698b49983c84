/// The names of services and pods, as Kubernetes' DNS specification has them. Made anew by the control plane on a change.
package struct DNSTable: Sendable, Equatable {
    /// The zone that is ours alone: what is not in the table does not exist.
    package static let zone = "cluster.local"

    var addresses: [String: [DNSRecord]] = [:]
    var services: [String: [DNSRecord]] = [:]
    var names: [String: String] = [:]
    /// Names of services that stand for another name (ExternalName).
    var aliases: [String: String] = [:]
    /// Names that exist because others lie below them.
    var nodes: Set<String> = [zone, "svc.\(zone)", "pod.\(zone)"]

    package init() {}

    /// A port of a service, for SRV records.
    package struct Port: Sendable {
        package let name: String
        /// `tcp` or `udp`.
        package let transport: String
        package let number: Int

        package init(name: String, transport: String, number: Int) {
            self.name = name
            self.transport = transport
            self.number = number
        }
    }

    /// A service: its cluster address, or for a headless one the addresses of its ready pods (with their host names).
    ///
    /// Texts that are no IPv4 address are left out.
    package mutating func add(
        service: String,
        namespace: String,
        addresses texts: [String],
        ports: [Port],
        hosts: [(name: String, address: String)] = []
    ) {
        let name = Self.lower("\(service).\(namespace).svc.\(Self.zone)")
        let found = texts.compactMap(Self.address)
        addresses[name] = found.map(DNSRecord.a)
        nodes.insert(Self.lower("\(namespace).svc.\(Self.zone)"))
        for host in hosts {
            guard let bytes = Self.address(host.address) else { continue }
            addresses[Self.lower("\(host.name).\(name)"), default: []].append(.a(bytes))
        }
        if let first = found.first, found.count == 1, hosts.isEmpty { names[Self.reverse(first)] = name }
        for port in ports where !port.name.isEmpty {
            let transport = "_\(Self.lower(port.transport)).\(name)"
            nodes.insert(transport)
            let targets = hosts.isEmpty ? [name] : hosts.map { Self.lower("\($0.name).\(name)") }
            services["_\(Self.lower(port.name)).\(transport)"] = targets.map {
                .srv(priority: 0, weight: 100, port: UInt16(clamping: port.number), target: $0)
            }
        }
    }

    /// A service that stands for another name.
    package mutating func add(alias service: String, namespace: String, target: String) {
        nodes.insert(Self.lower("\(namespace).svc.\(Self.zone)"))
        let name = Self.lower(target.hasSuffix(".") ? String(target.dropLast()) : target)
        aliases[Self.lower("\(service).\(namespace).svc.\(Self.zone)")] = name
    }

    /// The name behind aliases, up to eight of them; nil for a name that is none.
    func target(of name: String) -> String? {
        guard var target = aliases[name] else { return nil }
        for _ in 0..<8 {
            guard let next = aliases[target] else { break }
            target = next
        }
        return target
    }

    /// What a name resolves to. `name` is in lower case, without the last point.
    package func answer(_ name: String, type: UInt16) -> DNSAnswer {
        if name.hasSuffix(".in-addr.arpa"), let target = names[name] {
            return type == DNSQuery.RecordType.ptr ? .records([.ptr(target)], additional: []) : .noData
        }
        guard name == Self.zone || name.hasSuffix(".\(Self.zone)") else { return .elsewhere }
        let wantsAll = type == DNSQuery.RecordType.any
        if let target = target(of: name) {
            guard type != DNSQuery.RecordType.cname, !wantsAll, aliases[target] == nil,
                case .records(let found, _) = answer(target, type: type)
            else { return .alias(target: target, records: []) }
            return .alias(target: target, records: found)
        }
        if let found = addresses[name] {
            guard type == DNSQuery.RecordType.a || wantsAll, !found.isEmpty else { return .noData }
            // Clients take the first; another order each time spreads them.
            return .records(found.shuffled(), additional: [])
        }
        if let found = services[name] {
            guard type == DNSQuery.RecordType.srv || wantsAll else { return .noData }
            let additional = found.flatMap { record -> [(name: String, record: DNSRecord)] in
                guard case .srv(_, _, _, let target) = record else { return [] }
                return (addresses[target] ?? []).map { (target, $0) }
            }
            return .records(found.shuffled(), additional: additional)
        }
        if let pod = Self.podAddress(name) {
            return type == DNSQuery.RecordType.a || wantsAll ? .records([.a(pod)], additional: []) : .noData
        }
        return nodes.contains(name) ? .noData : .noName
    }

    /// `10-244-0-7.shop.pod.cluster.local`.
    private static func podAddress(_ name: String) -> [UInt8]? {
        let parts = name.split(separator: ".")
        guard parts.count == 5, parts[2] == "pod" else { return nil }
        return address(String(parts[0].map { $0 == "-" ? "." : $0 }))
    }

    /// The four bytes of an IPv4 address.
    static func address(_ text: String) -> [UInt8]? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        let bytes = parts.compactMap { UInt8($0) }
        return parts.count == 4 && bytes.count == 4 ? bytes : nil
    }

    private static func reverse(_ address: [UInt8]) -> String {
        address.reversed().map { "\($0)" }.joined(separator: ".") + ".in-addr.arpa"
    }

    private static func lower(_ text: String) -> String { text.lowercased() }
}
