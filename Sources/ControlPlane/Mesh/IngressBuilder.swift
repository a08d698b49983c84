import EnvoyAPI
import Resources

/// Makes the routes of all Ingresses: one virtual host for each host.
struct IngressBuilder {
    /// A path of a host and what it leads to.
    private struct Entry {
        enum Kind {
            case exact
            case prefix
        }

        var kind: Kind
        var path: String
        var ingress: MeshIngress
        var backend: MeshIngress.Backend

        /// Exact paths first, then longer before shorter ones (Kubernetes' order of precedence).
        var order: (Int, Int, String) { (kind == .exact ? 0 : 1, -path.utf8.count, path) }
    }

    private let services: [String: (service: MeshService, policy: ServicePolicy)]
    private let routes = RouteBuilder()
    private(set) var warnings: [MeshWarning] = []

    /// - Parameter services: by `namespace/name`.
    init(services: [String: (service: MeshService, policy: ServicePolicy)]) { self.services = services }

    mutating func configuration(_ ingresses: [MeshIngress]) -> Envoy.RouteConfiguration {
        let ingresses = ingresses.sorted { ($0.created, $0.namespace, $0.name) < ($1.created, $1.namespace, $1.name) }
        for ingress in ingresses where ingress.hasTLS {
            warn(
                ingress,
                "TLSNotServed",
                "spec.tls is served by gateways over xDS; weft-proxy serves the hosts without TLS"
            )
        }
        var hosts: [String: [Entry]] = ["": []]
        for ingress in ingresses { add(ingress, to: &hosts) }
        // A rule without host is for every host; the paths of the host itself come first.
        let common = hosts[""] ?? []
        let last = fallback(ingresses, knownHosts: hosts.keys.filter { !$0.isEmpty }.sorted())
        let virtualHosts = hosts.keys.sorted().map { host in
            var entries = (hosts[host] ?? []).sorted { $0.order < $1.order }
            if !host.isEmpty { entries += common.sorted { $0.order < $1.order } }
            return Envoy.VirtualHost(
                name: host.isEmpty ? "*" : host,
                domains: [host.isEmpty ? "*" : host],
                routes: entries.flatMap { routes(for: $0) } + last
            )
        }
        return Envoy.RouteConfiguration(
            name: MeshNames.ingress,
            virtualHosts: virtualHosts,
            ignorePortInHostMatching: true
        )
    }

    private mutating func add(_ ingress: MeshIngress, to hosts: inout [String: [Entry]]) {
        for rule in ingress.rules {
            let host = rule.host.lowercased()
            guard host.isEmpty || Self.isHost(host) else {
                warn(ingress, "InvalidHost", "\"\(host.prefix(80))\" is no host name: only the first label may be *")
                continue
            }
            for path in rule.paths {
                guard let entry = entry(path, ingress) else { continue }
                let isTaken = hosts[host, default: []].contains { $0.kind == entry.kind && $0.path == entry.path }
                guard !isTaken else {
                    let place = "\(host.isEmpty ? "every host" : host)\(path.path)"
                    warn(ingress, "PathTaken", "\(place) belongs to an older Ingress or rule already")
                    continue
                }
                hosts[host, default: []].append(entry)
            }
        }
    }

    private static func isHost(_ host: String) -> Bool {
        let name = host.hasPrefix("*.") ? host.dropFirst(2) : host[...]
        return !name.isEmpty && name.utf8.count <= 253
            && name.utf8.allSatisfy { byte in
                (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) || byte == 0x2D || byte == 0x2E
                    || byte == 0x5F
            }
    }

    private mutating func entry(_ path: MeshIngress.Path, _ ingress: MeshIngress) -> Entry? {
        let isPlain = path.path.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F && $0 != 0x3F && $0 != 0x23 }
        guard path.path.hasPrefix("/"), path.path.utf8.count <= 4096, isPlain else {
            warn(
                ingress,
                "InvalidPath",
                "\"\(path.path.prefix(80))\" is no path: it begins with / and has no space, ? or #"
            )
            return nil
        }
        if path.type == "Exact" { return Entry(kind: .exact, path: path.path, ingress: ingress, backend: path.backend) }
        var prefix = path.path[...]
        while prefix.hasSuffix("/") { prefix = prefix.dropLast() }
        return Entry(
            kind: .prefix,
            path: prefix.isEmpty ? "/" : String(prefix),
            ingress: ingress,
            backend: path.backend
        )
    }

    private mutating func routes(for entry: Entry) -> [Envoy.Route] {
        let path: Envoy.RouteMatch.PathSpecifier =
            switch entry.kind {
            case .exact: .path(entry.path)
            case .prefix: entry.path == "/" ? .prefix("/") : .pathSeparatedPrefix(entry.path)
            }
        return routes(to: entry.backend, of: entry.ingress) { .init(pathSpecifier: path) }
    }

    private mutating func routes(
        to backend: MeshIngress.Backend,
        of ingress: MeshIngress,
        match: () -> Envoy.RouteMatch
    ) -> [Envoy.Route] {
        let problem: String
        if let (service, policy) = services["\(ingress.namespace)/\(backend.service)"] {
            if let port = Self.port(backend.port, of: service) {
                return routes.routes(
                    to: MeshNames.service(service.namespace, service.name, port.port),
                    policy,
                    match: match
                )
            }
            problem =
                "Service \(backend.service.prefix(64)) has no TCP port \(backend.port.map { "\($0)" } ?? "by default")"
        } else {
            problem = "there is no Service \(backend.service.isEmpty ? "named" : "\(backend.service.prefix(64))")"
        }
        warn(ingress, "BackendNotFound", problem)
        let text = "weft: Ingress \(ingress.namespace)/\(ingress.name): \(problem)\n"
        return [
            .init(
                match: match(),
                action: .directResponse(.init(status: 503, body: .init(specifier: .inlineString(text))))
            )
        ]
    }

    private static func port(_ wanted: IntOrString?, of service: MeshService) -> MeshService.Port? {
        let ports = service.ports.filter { $0.protocolName == "TCP" }
        return switch wanted {
        case .number(let number): ports.first { $0.port == number }
        case .text(let name): ports.first { $0.name == name }
        case nil: ports.count == 1 ? ports.first : nil
        }
    }

    /// What happens to requests that no rule takes: the oldest default backend, else an answer that says why.
    private mutating func fallback(_ ingresses: [MeshIngress], knownHosts: [String]) -> [Envoy.Route] {
        if let ingress = ingresses.first(where: { $0.defaultBackend != nil }), let backend = ingress.defaultBackend {
            return routes(to: backend, of: ingress) { .init(pathSpecifier: .prefix("/")) }
        }
        var text = "weft: no Ingress has a rule for this host and path"
        if !knownHosts.isEmpty {
            text += "; hosts with rules: \(knownHosts.prefix(8).joined(separator: ", "))"
        }
        return [
            .init(
                match: .init(pathSpecifier: .prefix("/")),
                action: .directResponse(.init(status: 404, body: .init(specifier: .inlineString(text + "\n")))),
                responseHeadersToAdd: [.init(header: .init(key: "x-weft-reason", value: "no_ingress_rule"))]
            )
        ]
    }

    private mutating func warn(_ ingress: MeshIngress, _ reason: String, _ message: String) {
        let warning = MeshWarning(
            kind: "Ingress",
            namespace: ingress.namespace,
            name: ingress.name,
            reason: reason,
            message: message
        )
        if !warnings.contains(warning) { warnings.append(warning) }
    }
}
