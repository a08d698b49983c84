import Resources
import Wire

// Services and Ingresses.
extension Describer {
    func service(_ text: inout Description) async throws {
        let spec = ServiceSpec(object.spec)
        labels(&text)
        text.field("Selector", spec.selector.isEmpty ? [] : [Self.pairs(spec.selector, "=").joined(separator: ",")])
        text.field("Type", spec.type)
        text.field("IP", spec.clusterIP.isEmpty ? [] : [spec.clusterIP])
        if let name = spec.externalName { text.field("External Name", name) }
        let balancers = LoadBalancerStatus(object.status).addresses
        if !balancers.isEmpty { text.field("LoadBalancer Ingress", balancers.joined(separator: ", ")) }
        let slices = try await list(
            ResourceTypes.endpointSlices,
            [("labelSelector", "kubernetes.io/service-name=\(object.name)")]
        ).map { EndpointSliceView($0.value) }
        for port in spec.ports {
            let name = port.name.isEmpty ? "<unset>" : port.name
            text.field("Port", "\(name) \(port.port)/\(port.protocolName)")
            text.field("TargetPort", "\(port.targetPort)/\(port.protocolName)")
            if let node = port.nodePort { text.field("NodePort", "\(node)/\(port.protocolName)") }
            text.field("Endpoints", Self.addresses(slices, port))
        }
        text.field("Session Affinity", spec.sessionAffinity)
        text.field("Traffic", try await traffic())
        guard !spec.selector.isEmpty else { return }
        try await members(spec, slices, &text)
    }

    private static func addresses(_ slices: [EndpointSliceView], _ port: ServicePort) -> [String] {
        let all = slices.flatMap { slice in
            slice.ports.filter { $0.name == port.name }.flatMap { known in
                slice.endpoints.filter(\.ready).flatMap { $0.addresses.map { "\($0):\(known.port)" } }
            }
        }
        return all.isEmpty ? [] : [all.joined(separator: ", ")]
    }

    /// The golden figures of the last ten seconds.
    private func traffic() async throws -> String {
        let report = try await StatReport.fetch(client, seconds: 10, edges: false)
        let mine = report.rows.first { $0.namespace == object.namespace && $0.service == object.name }
        guard let mine, mine.requestRate > 0 || mine.connections > 0 else { return "none in the last 10 s" }
        guard mine.requestRate > 0 else { return "\(mine.connections) open TCP connections" }
        return "\(Figures.rate(mine.requestRate)) requests/s, \(Figures.percent(mine.successRate)) succeed, "
            + "p50 \(Figures.milliseconds(mine.p50)), p95 \(Figures.milliseconds(mine.p95)), "
            + "p99 \(Figures.milliseconds(mine.p99)) (last 10 s)"
    }

    /// The pods behind a Service: who gets traffic, and why the others do not.
    private func members(_ spec: ServiceSpec, _ slices: [EndpointSliceView], _ text: inout Description) async throws {
        let members = try await pods(LabelSelector(matching: spec.selector)).sorted { $0.name < $1.name }
        let ready = Set(slices.flatMap(\.endpoints).filter(\.ready).map(\.targetUID))
        let ejected = await ejectedAddresses()
        let warnings = try await unhealthy()
        text.table(
            "Pods",
            ["Name", "Address", "Traffic", "Why"],
            members.map { pod in
                let status = PodStatus(pod.status)
                let address = status.podIP.isEmpty ? "<none>" : status.podIP
                if ready.contains(pod.uid) {
                    guard ejected.contains(status.podIP) else { return [pod.name, address, "yes", ""] }
                    return [pod.name, address, "no", "left out by the proxy for a while: too many failures in a row"]
                }
                return [pod.name, address, "no", Self.absence(pod, spec, warnings[pod.uid])]
            }
        )
        if members.isEmpty { text.field("Hint", "no pod has the labels of the selector") }
    }

    private static func absence(_ pod: Object, _ spec: ServiceSpec, _ warning: String?) -> String {
        let status = PodStatus(pod.status)
        if pod.isDeleting { return "the pod is ending" }
        if ["Succeeded", "Failed"].contains(status.phase) { return "the pod has ended: \(status.phase)" }
        guard let reason = PodStory.reason(pod) else {
            return "no container has a port named as the Service's targetPort, or it is not noticed yet"
        }
        return warning.map { "\(reason): \($0)" } ?? reason
    }

    /// The last thing that probes said, by the pod's uid.
    private func unhealthy() async throws -> [String: String] {
        let events = try await list(ResourceTypes.events, [("fieldSelector", "reason=Unhealthy")])
        var last: [String: (time: String, message: String)] = [:]
        for event in events {
            guard let uid = event.value["involvedObject"]?.text("uid"), let time = event.value.text("lastTimestamp"),
                time >= last[uid]?.time ?? ""
            else { continue }
            last[uid] = (time, event.value.text("message") ?? "")
        }
        return last.mapValues(\.message)
    }

    /// Addresses of endpoints that the proxy's outlier detection has left out.
    private func ejectedAddresses() async -> Set<String> {
        guard let clusters = try? await client.get("/apis/weft.dev/v1alpha1/clusters", timeout: .seconds(5)) else {
            return []
        }
        var ejected: Set<String> = []
        for host in clusters.list("cluster_statuses").flatMap({ $0.list("host_statuses") })
        where host["health_status"]?.flag("failed_outlier_check") == true {
            if let address = host.at("address", "socket_address", "address")?.stringValue { ejected.insert(address) }
        }
        return ejected
    }

    func ingress(_ text: inout Description) async throws {
        let spec = IngressSpec(object.spec)
        labels(&text)
        let status = LoadBalancerStatus(object.status)
        text.field("Address", status.addresses.isEmpty ? [] : [status.addresses.joined(separator: ", ")])
        text.field("Ingress Class", spec.ingressClassName ?? "<none>")
        let slices = try await list(ResourceTypes.endpointSlices).map { EndpointSliceView($0.value) }
        text.field("Default backend", spec.defaultBackend.map { Self.backend($0, slices) } ?? "<default>")
        let rows = spec.rules.flatMap { rule in
            rule.paths.map { path in
                [rule.host.isEmpty ? "*" : rule.host, path.path, path.pathType, Self.backend(path.backend, slices)]
            }
        }
        text.table("Rules", ["Host", "Path", "Type", "Backend"], rows)
        for entry in spec.tls { text.field("TLS", "\(entry.secretName) for \(entry.hosts.joined(separator: ", "))") }
    }

    private static func backend(_ backend: IngressSpec.Backend, _ slices: [EndpointSliceView]) -> String {
        let name = "\(backend.serviceName):\(backend.servicePort.map { "\($0)" } ?? "")"
        let endpoints = slices.filter { $0.serviceName == backend.serviceName }.flatMap(\.endpoints)
        let ready = endpoints.count(where: \.ready)
        return endpoints.isEmpty ? "\(name) (no endpoints)" : "\(name) (\(ready) of \(endpoints.count) endpoints ready)"
    }
}
