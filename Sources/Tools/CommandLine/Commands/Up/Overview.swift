import Resources
import Wire

/// Everything that `weft up` shows, fetched at one moment: services with their pods, addresses, and what is not well.
struct Overview: Sendable {
    struct Line: Sendable {
        let namespace: String
        let name: String
        var ready = 0
        var desired = 0
        var restarts = 0
        /// Names of its pods.
        var pods: [String] = []
    }

    struct Address: Sendable {
        let name: String
        let url: String
    }

    private(set) var lines: [Line] = []
    private(set) var addresses: [Address] = []
    /// One sentence per pod or deployment that is not as it should be.
    private(set) var troubles: [String] = []
    private(set) var isReady = true

    static func fetch(_ client: APIClient) async throws -> Overview {
        async let services = items(client, "services")
        async let pods = items(client, "pods")
        async let deployments = items(client, "deployments")
        async let statefulSets = items(client, "statefulsets")
        async let daemonSets = items(client, "daemonsets")
        async let ingresses = items(client, "ingresses")
        async let nodes = items(client, "nodes")
        return try await Overview(
            services: services,
            pods: pods,
            deployments: try await deployments + statefulSets.map(Self.asDeployment(statefulSet:))
                + daemonSets.map(Self.asDeployment(daemonSet:)),
            ingresses: ingresses,
            nodes: nodes
        )
    }

    /// A StatefulSet told as a Deployment is: one whose update waits for somebody has what it is to have.
    private static func asDeployment(statefulSet: Value) -> Value {
        var set = statefulSet
        set["kind"] = "StatefulSet"
        let spec = StatefulSetSpec(set["spec"] ?? .null)
        if spec.updatesOnDelete || spec.partition > 0 {
            set.set(["status", "updatedReplicas"], set.at("status", "replicas"))
        }
        return set
    }

    private static func asDeployment(daemonSet: Value) -> Value {
        var set = daemonSet
        set["kind"] = "DaemonSet"
        let isSeen = set.at("status", "observedGeneration") != nil
        set.set(["spec", "replicas"], isSeen ? set.at("status", "desiredNumberScheduled") ?? 0 : 1)
        let updated =
            DaemonSetSpec(set["spec"] ?? .null).updatesOnDelete ? "currentNumberScheduled" : "updatedNumberScheduled"
        set.set(["status", "updatedReplicas"], set.at("status", updated))
        set.set(["status", "availableReplicas"], set.at("status", "numberAvailable"))
        return set
    }

    private static func items(_ client: APIClient, _ plural: String) async throws -> [Value] {
        let list = try await client.get(APIPath.of(try Target.type(named: plural), namespace: nil))
        return list["items"]?.arrayValue ?? []
    }

    init(services: [Value], pods: [Value], deployments: [Value], ingresses: [Value], nodes: [Value] = []) {
        let host = nodes.first?.at("status", "addresses")?[0]?["address"]?.stringValue ?? "127.0.0.1"
        for service in services where !Self.isBuiltIn(service) {
            lines.append(Self.line(of: service, pods, deployments))
            addresses += Self.addresses(of: service, host)
        }
        for deployment in deployments where !Self.isSelected(deployment, by: services) {
            lines.append(Self.line(ofLonely: deployment, pods))
        }
        lines.sort { ($0.namespace, $0.name) < ($1.namespace, $1.name) }
        addresses += ingresses.flatMap(Self.addresses(ofIngress:))
        for deployment in deployments { judge(deployment) }
        for pod in pods { judge(pod: pod) }
    }

    private static func isBuiltIn(_ service: Value) -> Bool {
        let namespace = service.at("metadata", "namespace")?.stringValue
        return namespace == "kube-system" || (namespace == "default" && name(of: service) == "kubernetes")
    }

    static func name(of object: Value) -> String { object.at("metadata", "name")?.stringValue ?? "" }

    private static func line(of service: Value, _ pods: [Value], _ deployments: [Value]) -> Line {
        let namespace = service.at("metadata", "namespace")?.stringValue ?? "default"
        var line = Line(namespace: namespace, name: name(of: service))
        guard let selector = service.at("spec", "selector")?.fields, !selector.isEmpty else { return line }
        let mine = pods.filter { has(labels: selector, $0["metadata"], namespace) && !isGoing($0) }
        count(mine, into: &line)
        let owners = deployments.filter { has(labels: selector, $0.at("spec", "template", "metadata"), namespace, $0) }
        let wanted = owners.reduce(0) { $0 + ($1.at("spec", "replicas")?.intValue ?? 1) }
        let bare = mine.count { $0.at("metadata", "ownerReferences") == nil }
        line.desired = owners.isEmpty ? mine.count : wanted + bare
        return line
    }

    private static func line(ofLonely deployment: Value, _ pods: [Value]) -> Line {
        let namespace = deployment.at("metadata", "namespace")?.stringValue ?? "default"
        var line = Line(namespace: namespace, name: name(of: deployment))
        let selector = deployment.at("spec", "selector", "matchLabels")?.fields ?? Fields()
        count(pods.filter { has(labels: selector, $0["metadata"], namespace) && !isGoing($0) }, into: &line)
        line.desired = deployment.at("spec", "replicas")?.intValue ?? 1
        return line
    }

    private static func count(_ pods: [Value], into line: inout Line) {
        line.ready = pods.count { isReady(pod: $0) }
        line.pods = pods.map(name(of:))
        line.restarts = pods.reduce(0) { sum, pod in
            let statuses = pod.at("status", "containerStatuses")?.arrayValue ?? []
            return sum + statuses.reduce(0) { $0 + ($1["restartCount"]?.intValue ?? 0) }
        }
    }

    private static func isSelected(_ deployment: Value, by services: [Value]) -> Bool {
        let namespace = deployment.at("metadata", "namespace")?.stringValue ?? "default"
        return services.contains { service in
            guard let selector = service.at("spec", "selector")?.fields, !selector.isEmpty,
                service.at("metadata", "namespace")?.stringValue == namespace
            else { return false }
            return has(labels: selector, deployment.at("spec", "template", "metadata"), namespace, deployment)
        }
    }

    private static func has(
        labels selector: Fields,
        _ metadata: Value?,
        _ namespace: String,
        _ owner: Value? = nil
    ) -> Bool {
        let place = owner?.at("metadata", "namespace") ?? metadata?["namespace"]
        guard place?.stringValue == namespace else { return false }
        return selector.allSatisfy { metadata?.at("labels", $0.name) == $0.value }
    }

    private static func isGoing(_ object: Value) -> Bool { object.at("metadata", "deletionTimestamp") != nil }

    static func isReady(pod: Value) -> Bool {
        (pod.at("status", "conditions")?.arrayValue ?? []).contains {
            $0["type"]?.stringValue == "Ready" && $0["status"]?.stringValue == "True"
        }
    }

    private static func addresses(of service: Value, _ host: String) -> [Address] {
        let name = name(of: service)
        let ports = service.at("spec", "ports")?.arrayValue ?? []
        let ips = (service.at("status", "loadBalancer", "ingress")?.arrayValue ?? []).compactMap {
            $0["ip"]?.stringValue
        }
        if !ips.isEmpty {
            // Ports that may not be listened on are served under other numbers, which the status tells in order.
            let served = service.at("status", "loadBalancer", "ingress")?[0]?["ports"]?.arrayValue ?? []
            return ips.flatMap { ip in
                ports.enumerated().map { index, port in
                    let number = served.indices.contains(index) ? served[index]["port"] : port["port"]
                    return Address(name: name, url: url(ip, port, number?.intValue))
                }
            }
        }
        guard service.at("spec", "type")?.stringValue == "NodePort" else { return [] }
        return ports.map { Address(name: name, url: url(host, $0, $0["nodePort"]?.intValue)) }
    }

    /// A link for what looks like HTTP, host and port for the rest.
    private static func url(_ host: String, _ port: Value, _ number: Int?) -> String {
        let number = number ?? 0
        let name = port["name"]?.stringValue ?? ""
        let isHTTP = name.hasPrefix("http") || name.hasPrefix("web") || [80, 8080, 8000, 3000].contains(number)
        guard isHTTP else { return "\(host):\(number)" }
        return number == 80 ? "http://\(host)/" : "http://\(host):\(number)/"
    }

    private static func addresses(ofIngress ingress: Value) -> [Address] {
        guard let status = ingress.at("status", "loadBalancer", "ingress")?.arrayValue?.first,
            let ip = status["ip"]?.stringValue
        else { return [] }
        let port = status["ports"]?.arrayValue?.first?["port"]?.intValue ?? 80
        let hosts = (ingress.at("spec", "rules")?.arrayValue ?? []).map { $0["host"]?.stringValue ?? ip }
        var seen: Set<String> = []
        return hosts.filter { seen.insert($0).inserted }.map { host in
            let shown = host.hasPrefix("*.") ? "any" + host.dropFirst() : host
            return Address(name: name(of: ingress), url: "http://\(shown)\(port == 80 ? "" : ":\(port)")/")
        }
    }

    private static func condition(_ object: Value, _ type: String) -> Value? {
        object.at("status", "conditions")?.arrayValue?.first { $0["type"]?.stringValue == type }
    }

    private mutating func judge(_ deployment: Value) {
        let wanted = deployment.at("spec", "replicas")?.intValue ?? 1
        let status = deployment["status"]
        let updated = status?["updatedReplicas"]?.intValue ?? 0
        let available = status?["availableReplicas"]?.intValue ?? 0
        let seen = status?["observedGeneration"]?.intValue ?? 0
        let generation = deployment.at("metadata", "generation")?.intValue ?? 1
        guard updated < wanted || available < wanted || seen < generation else { return }
        isReady = false
        let name = Self.name(of: deployment)
        let kind = deployment["kind"]?.stringValue?.lowercased() ?? "deployment"
        troubles.append("\(kind)/\(name): \(available) of \(wanted) pods are ready")
        if let failure = Self.condition(deployment, "ReplicaFailure"), failure["status"]?.stringValue == "True" {
            troubles.append("\(kind)/\(name): \(failure["message"]?.stringValue ?? "pods cannot be made")")
        }
    }

    private mutating func judge(pod: Value) {
        guard !Self.isGoing(pod), !Self.isReady(pod: pod), pod.at("status", "phase")?.stringValue != "Succeeded" else {
            return
        }
        if pod.at("metadata", "ownerReferences") == nil { isReady = false }
        if let placed = Self.condition(pod, "PodScheduled"), placed["status"]?.stringValue == "False" {
            let (reason, why) = (placed["reason"]?.stringValue ?? "", placed["message"]?.stringValue ?? "")
            troubles.append("pod/\(Self.name(of: pod)): \(reason): \(why)")
        }
        let statuses =
            (pod.at("status", "initContainerStatuses")?.arrayValue ?? [])
            + (pod.at("status", "containerStatuses")?.arrayValue ?? [])
        for status in statuses {
            let state = status["state"]
            guard let details = state?["waiting"] ?? state?["terminated"] ?? status.at("lastState", "terminated"),
                let reason = details["reason"]?.stringValue, reason != "ContainerCreating", reason != "PodInitializing",
                reason != "Completed"
            else { continue }
            let message = details["message"]?.stringValue.map { ": \($0)" }
            let code = details["exitCode"]?.intValue.map { ": exit code \($0)" }
            troubles.append("pod/\(Self.name(of: pod)): \(reason)\(message ?? code ?? "")")
        }
    }
}
