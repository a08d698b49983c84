/// Why a route configuration cannot be compiled.
package enum RouteTableError: Error, Equatable {
    /// Two virtual hosts claim the same domain.
    case duplicateDomain(String)
    /// A domain is empty or has a `*` where none may stand.
    case badDomain(String)
}

/// A virtual host before compilation.
package struct VirtualHostDraft {
    package var name: String
    package var domains: [String]
    package var routes: [Route]
    package var requiresTLS: VirtualHost.TLSRule = .none
    package var virtualClusters: [VirtualCluster] = []

    package init(name: String, domains: [String], routes: [Route]) {
        self.name = name
        self.domains = domains
        self.routes = routes
    }
}

/// Compiles virtual hosts into a `RouteTable`. The bytes that the routes point to are put into `arena` beforehand.
package struct RouteTableBuilder {
    package let arena = Arena()
    package var hosts: [VirtualHostDraft] = []
    package var ignoresPort = false
    package var ignoresParameters = false
    package var internalOnly: [String] = []

    package init() {}

    package func build(name: String) throws(RouteTableError) -> RouteTable {
        var view = RouteTableView()
        view.ignoresPort = ignoresPort
        view.ignoresParameters = ignoresParameters
        view.internalOnly = arena.copy(internalOnly.map { arena.copy(Self.lowercased($0)) })
        view.takesConnect = hosts.contains { $0.routes.contains { $0.path.kind == .connect } }
        view.asksForCertificate = hosts.contains {
            $0.routes.contains { !$0.demands.isDisjoint(with: [.certificate, .noCertificate]) }
        }
        var domains: [RouteTableView.Domain] = []
        var seen: Set<String> = []
        var compiled: [VirtualHost] = []
        for (index, host) in hosts.enumerated() {
            var entry = VirtualHost(name: arena.copy(host.name), routes: arena.copy(host.routes))
            entry.requiresTLS = host.requiresTLS
            entry.virtualClusters = arena.copy(host.virtualClusters)
            compiled.append(entry)
            for domain in host.domains {
                let lower = Self.lowercased(domain)
                guard seen.insert(lower).inserted else { throw .duplicateDomain(domain) }
                if lower == "*" {
                    view.anyHost = Int32(index)
                } else {
                    domains.append(try compile(lower, host: Int32(index)))
                }
            }
        }
        view.hosts = arena.copy(compiled)
        view.domains = arena.copy(domains)
        view.buckets = arena.copy(Self.buckets(for: domains))
        view.suffixLengths = arena.copy(Self.lengths(domains, .suffix))
        view.prefixLengths = arena.copy(Self.lengths(domains, .prefix))
        return RouteTable(name: name, view: view, arena: arena)
    }

    private func compile(_ domain: String, host: Int32) throws(RouteTableError) -> RouteTableView.Domain {
        let bytes = Array(domain.utf8)
        let stars = bytes.count { $0 == 0x2A }
        guard !bytes.isEmpty, stars <= 1 else { throw .badDomain(domain) }
        if stars == 0 { return .init(kind: .exact, bytes: arena.copy(bytes), host: host) }
        if bytes[0] == 0x2A { return .init(kind: .suffix, bytes: arena.copy(bytes.dropFirst()), host: host) }
        guard bytes[bytes.count - 1] == 0x2A else { throw .badDomain(domain) }
        return .init(kind: .prefix, bytes: arena.copy(bytes.dropLast()), host: host)
    }

    private static func buckets(for domains: [RouteTableView.Domain]) -> [UInt32] {
        guard !domains.isEmpty else { return [] }
        var size = 8
        while size < domains.count * 2 { size *= 2 }
        var buckets = [UInt32](repeating: 0, count: size)
        for (index, domain) in domains.enumerated() {
            var place = Int(RouteTableView.hash(domain.bytes, kind: domain.kind)) & (size - 1)
            while buckets[place] != 0 { place = (place + 1) & (size - 1) }
            buckets[place] = UInt32(index + 1)
        }
        return buckets
    }

    private static func lengths(_ domains: [RouteTableView.Domain], _ kind: RouteTableView.Domain.Kind) -> [UInt32] {
        Set(domains.filter { $0.kind == kind }.map { UInt32($0.bytes.count) }).sorted(by: >)
    }

    /// ASCII lower case; other characters stay as they are.
    static func lowercased(_ text: String) -> String {
        String(decoding: text.utf8.map { $0 >= 0x41 && $0 <= 0x5A ? $0 | 0x20 : $0 }, as: UTF8.self)
    }
}
