import Mesh
package import Resources
import Wire

/// The routes of each Service with what they carry. Pure.
package struct LiveRoutes {
    private let state: LiveServices
    private let sample: LiveSample?
    private let byName: [String: Object]

    /// The sample is nil when the proxy does not answer.
    package init(_ state: LiveServices, _ sample: LiveSample?) {
        self.state = state
        self.sample = sample
        byName = Dictionary(state.services.map { ("\($0.namespace)/\($0.name)", $0) }, uniquingKeysWith: { $1 })
    }

    package var objects: [Object] {
        state.services.map { LiveServices.view(ResourceTypes.serviceRoutes, of: $0, status: status(of: $0)) }
    }

    private func status(of object: Object) -> Value {
        let service = state.meshService(object)
        var routes = object.spec.text("type") == "ExternalName" ? [] : service.ports.map { own($0, of: service) }
        for ingress in sorted(state.ingresses, in: service.namespace) { routes += entries(of: ingress, to: service) }
        for route in state.routes.sorted(by: { ($0.namespace, $0.name) < ($1.namespace, $1.name) }) {
            routes += rules(of: route, to: service)
        }
        var status: Value = [:]
        status["windowSeconds"] = LiveServices.rounded(sample.map { $0.seconds.rounded() }, 1)
        let rates = routes.compactMap { $0["requestsPerSecond"]?.doubleValue }
        status["requestsPerSecond"] = rates.isEmpty ? nil : LiveServices.rounded(rates.reduce(0, +), 10)
        status["routes"] = .array(routes)
        return status
    }

    private func sorted(_ objects: [Object], in namespace: String) -> [Object] {
        objects.filter { $0.namespace == namespace }.sorted { $0.name < $1.name }
    }

    // MARK: The Service itself

    /// What calls the Service at its address, its load balancer or its node's port.
    private func own(_ port: MeshService.Port, of service: MeshService) -> Value {
        let name = MeshNames.service(service.namespace, service.name, port.port)
        var problems: [String] = []
        let policy = ServicePolicy(service, problems: &problems)
        let kind = ServiceProtocol(port)
        var route: Value = [
            "name": .string("Service :\(port.port)"),
            "source": ["kind": "Service", "namespace": .string(service.namespace), "name": .string(service.name)],
            "port": LiveServices.count(port.port),
        ]
        guard port.protocolName == "TCP" else {
            route["protocol"] = .string(port.protocolName)
            route["state"] = "NotCarried"
            route["message"] = "only TCP goes through the proxy"
            return route
        }
        route["protocol"] = .string(Self.word(kind))
        let backends =
            policy.split.isEmpty || kind == .tcp
            ? [backend(service.namespace, service.name, port.port, weight: nil)]
            : policy.split.map { backend(service.namespace, $0.service, port.port, weight: $0.weight) }
        route["backends"] = .array(backends)
        if kind != .tcp {
            route["match"] = "/"
            settings(policy, &route)
            figures([LiveScrape.Route(host: name, route: "/")], &route)
        }
        let clusters =
            policy.split.isEmpty
            ? [name]
            : policy.split.map {
                MeshNames.service(service.namespace, $0.service, port.port)
            }
        let live = clusters.compactMap { sample?.cluster($0) }
        if kind == .tcp {
            route["inFlight"] = live.isEmpty ? nil : LiveServices.count(live.reduce(0) { $0 + $1.connections })
        } else {
            route["inFlight"] = live.isEmpty ? nil : LiveServices.count(live.reduce(0) { $0 + $1.inFlight })
        }
        finish(&route)
        return route
    }

    private static func word(_ kind: ServiceProtocol) -> String {
        switch kind {
        case .http: "HTTP"
        case .http2: "HTTP/2"
        case .tcp: "TCP"
        case .detect: "HTTP or TCP"
        }
    }

    // MARK: Ingresses

    private func entries(of ingress: Object, to service: MeshService) -> [Value] {
        let mesh = MeshIngress(ingress)
        var entries: [Value] = []
        for rule in mesh.rules {
            for path in rule.paths where path.backend.service == service.name {
                let host = rule.host.isEmpty ? "*" : rule.host.lowercased()
                var route = entry(mesh, "\(host)\(path.path)", path.backend, service)
                route["hostnames"] = rule.host.isEmpty ? nil : [.string(rule.host)]
                route["match"] = .string(path.type == "Exact" ? "\(path.path) exactly" : path.path)
                figures(series(host: host, path: path, among: mesh), &route)
                finish(&route)
                entries.append(route)
            }
        }
        if let backend = mesh.defaultBackend, backend.service == service.name {
            var route = entry(mesh, "otherwise", backend, service)
            route["match"] = "what no rule takes"
            finish(&route)
            entries.append(route)
        }
        return entries
    }

    private func entry(_ ingress: MeshIngress, _ text: String, _ backend: MeshIngress.Backend, _ service: MeshService)
        -> Value
    {
        let port = Self.port(backend.port, of: service)
        var problems: [String] = []
        var route: Value = [
            "name": .string("Ingress/\(ingress.name) \(text)"),
            "source": [
                "kind": "Ingress", "namespace": .string(ingress.namespace), "name": .string(ingress.name),
            ],
            "protocol": "HTTP",
        ]
        route["port"] = port.map { LiveServices.count($0.port) }
        route["backends"] = [self.backend(service.namespace, service.name, port?.port, weight: nil)]
        settings(ServicePolicy(service, problems: &problems), &route)
        return route
    }

    private static func port(_ wanted: IntOrString?, of service: MeshService) -> MeshService.Port? {
        switch wanted {
        case .number(let number): service.carriedPorts.first { $0.port == number }
        case .text(let name): service.carriedPorts.first { $0.name == name }
        case nil: service.carriedPorts.count == 1 ? service.carriedPorts.first : nil
        }
    }

    /// The series of a path: a rule without host stands in the virtual hosts of all others, too.
    private func series(host: String, path: MeshIngress.Path, among ingress: MeshIngress) -> [LiveScrape.Route] {
        var name = path.path
        if path.type != "Exact" {
            while name.hasSuffix("/") { name = String(name.dropLast()) }
            if name.isEmpty { name = "/" }
        }
        guard host == "*" else { return [LiveScrape.Route(host: host, route: name)] }
        var hosts: Set<String> = ["*"]
        for other in state.ingresses {
            for rule in MeshIngress(other).rules where !rule.host.isEmpty {
                // A host that has the path itself answers for it.
                guard !rule.paths.contains(where: { $0.path == path.path }) else { continue }
                hosts.insert(rule.host.lowercased())
            }
        }
        return hosts.sorted().map { LiveScrape.Route(host: $0, route: name) }
    }

    // MARK: The Gateway API

    private func rules(of route: Object, to service: MeshService) -> [Value] {
        let parents = route.spec.list("parentRefs")
        let isBound = parents.contains { Self.names($0, service, route.namespace, isParent: true) }
        var found: [Value] = []
        for rule in route.spec.list("rules") {
            let backends = rule.list("backendRefs")
            guard isBound || backends.contains(where: { Self.names($0, service, route.namespace, isParent: false) })
            else { continue }
            let hostnames = route.spec.texts("hostnames")
            let match = Self.text(rule.list("matches"))
            let host = hostnames.isEmpty ? "*" : hostnames.joined(separator: ",")
            var entry: Value = [
                "name": .string("\(route.kind)/\(route.name) \(host)\(match)"),
                "source": [
                    "kind": .string(route.kind), "namespace": .string(route.namespace), "name": .string(route.name),
                ],
                "match": .string(match), "state": "NotActedOn",
                "message": .string("Weft keeps \(route.kind)s but does not route by them yet"),
            ]
            if !hostnames.isEmpty { entry["hostnames"] = .array(hostnames.map { .string($0) }) }
            entry["backends"] = .array(
                backends.map { reference in
                    backend(
                        reference.text("namespace") ?? route.namespace,
                        reference.text("name") ?? "",
                        reference.integer("port"),
                        weight: backends.count > 1 ? reference.integer("weight") ?? 1 : nil
                    )
                }
            )
            found.append(entry)
        }
        return found
    }

    private static func names(_ reference: Value, _ service: MeshService, _ namespace: String, isParent: Bool) -> Bool {
        let kind = reference.text("kind") ?? (isParent ? "Gateway" : "Service")
        return kind == "Service" && reference.text("name") == service.name
            && (reference.text("namespace") ?? namespace) == service.namespace
    }

    /// The first match of a rule, and that there are more.
    private static func text(_ matches: [Value]) -> String {
        guard let first = matches.first else { return "/" }
        var text = first["path"]?.text("value") ?? "/"
        if let method = first["method"] {
            text =
                method.stringValue.map { "\($0) \(text)" }
                ?? "/\(method.text("service") ?? "*")/\(method.text("method") ?? "*")"
        }
        for header in first.list("headers") {
            text += " \(header.text("name") ?? "")=\(header.text("value") ?? "")"
        }
        return matches.count > 1 ? "\(text) (+\(matches.count - 1))" : text
    }

    // MARK: Parts

    private func settings(_ policy: ServicePolicy, _ route: inout Value) {
        route["retriesAllowed"] = LiveServices.count(policy.retries)
        guard policy.requestTimeout > .zero else { return }
        let parts = policy.requestTimeout.components
        route["timeoutSeconds"] = .double(Double(parts.seconds) + Double(parts.attoseconds) / 1e18)
    }

    private func figures(_ series: [LiveScrape.Route], _ route: inout Value) {
        guard let (summary, retries) = sample?.figures(series) else { return }
        route["requestsPerSecond"] = LiveServices.rounded(summary.requestsPerSecond, 10)
        route["retriesPerSecond"] = LiveServices.rounded(retries, 10)
        route["successRate"] = LiveServices.rounded(summary.successRate, 10_000)
        guard summary.p50 != nil else { return }
        var latency: Value = [:]
        latency["p50"] = LiveServices.rounded(summary.p50, 10)
        latency["p95"] = LiveServices.rounded(summary.p95, 10)
        latency["p99"] = LiveServices.rounded(summary.p99, 10)
        route["latencyMilliseconds"] = latency
    }

    /// Says in a word how it goes.
    private func finish(_ route: inout Value) {
        let rate = route["requestsPerSecond"]?.doubleValue ?? 0
        let isBusy = rate > 0 || route.integer("inFlight") ?? 0 > 0
        if !route.list("backends").contains(where: { $0.integer("ready") ?? 0 > 0 }) {
            route["state"] = "NoEndpoints"
            route["message"] = "no pod is ready"
        } else if sample == nil {
            route["state"] = "NoFigures"
            route["message"] = "weft-proxy does not answer"
        } else {
            route["state"] = isBusy ? "Live" : "Idle"
        }
    }

    /// A Service as one that requests go to.
    private func backend(_ namespace: String, _ name: String, _ port: Int?, weight: Int?) -> Value {
        var backend: Value = ["service": .string(name)]
        backend["port"] = port.map(LiveServices.count)
        backend["weight"] = weight.map(LiveServices.count)
        guard let object = byName["\(namespace)/\(name)"] else {
            backend["ready"] = 0
            backend["endpoints"] = 0
            return backend
        }
        let service = state.meshService(object)
        let pods = state.members(of: service)
        let manual = service.manualEndpoints.count
        let ready = pods.filter(Self.isServing)
        backend["ready"] = LiveServices.count(ready.count + manual)
        backend["endpoints"] = LiveServices.count(pods.count + manual)
        backend["revisions"] = revisions(pods)
        if let port {
            let cluster = MeshNames.service(namespace, name, port)
            let hosts = sample?.cluster(cluster)?.endpoints.keys.sorted() ?? []
            if let (rate, success) = sample?.rates(hosts.map { (cluster, $0) }) {
                backend["requestsPerSecond"] = LiveServices.rounded(rate, 10)
                backend["successRate"] = LiveServices.rounded(success, 10_000)
            }
        }
        return backend
    }

    static func isServing(_ pod: Object) -> Bool { PodStatus(pod.status).isReady && !pod.isDeleting }

    private func revisions(_ pods: [Object]) -> Value? {
        struct Name: Hashable, Comparable {
            var workload: String
            var revision: String
            static func < (left: Name, right: Name) -> Bool {
                (left.workload, left.revision) < (right.workload, right.revision)
            }
        }
        var counts: [Name: (ready: Int, pods: Int)] = [:]
        for pod in pods {
            let name = Name(workload: Workload(of: pod).name, revision: state.revision(of: pod) ?? "")
            let old = counts[name] ?? (0, 0)
            counts[name] = (old.ready + (Self.isServing(pod) ? 1 : 0), old.pods + 1)
        }
        guard !counts.isEmpty else { return nil }
        return .array(
            counts.sorted { $0.key < $1.key }.map { name, count in
                var entry: Value = ["workload": .string(name.workload)]
                if !name.revision.isEmpty { entry["revision"] = .string(name.revision) }
                entry["ready"] = LiveServices.count(count.ready)
                entry["pods"] = LiveServices.count(count.pods)
                return entry
            }
        )
    }
}
