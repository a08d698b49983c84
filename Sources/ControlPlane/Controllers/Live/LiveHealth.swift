import Mesh
package import Resources
import Wire

/// What a probe of a container found last, for whoever shows it.
package struct ProbeSighting: Sendable, Equatable {
    package var container: String
    /// `Startup`, `Liveness` or `Readiness`.
    package var kind: String
    package var hasPassed: Bool
    /// Why the last turn failed; empty when it did not.
    package var message: String
    package var time: Timestamp
    /// How often in a row the last outcome came.
    package var runLength: Int

    package init(
        container: String,
        kind: String,
        hasPassed: Bool,
        message: String,
        time: Timestamp,
        runLength: Int
    ) {
        self.container = container
        self.kind = kind
        self.hasPassed = hasPassed
        self.message = message
        self.time = time
        self.runLength = runLength
    }

    fileprivate var value: Value {
        var value: Value = [
            "container": .string(container), "kind": .string(kind), "passed": .bool(hasPassed),
            "lastTime": .string(time.description),
        ]
        if !message.isEmpty { value["message"] = .string(String(message.prefix(300))) }
        // That all is well, once more, is no news.
        value["consecutiveFailures"] = LiveServices.count(hasPassed ? 0 : runLength)
        return value
    }
}

/// The endpoints of each Service, and who says what of their health. Pure.
package struct LiveHealth {
    private let state: LiveServices
    private let sample: LiveSample?
    private let probes: [String: [ProbeSighting]]
    private let now: Timestamp

    /// The sample is nil when the proxy does not answer; probes stand by the pod's uid.
    package init(_ state: LiveServices, _ sample: LiveSample?, probes: [String: [ProbeSighting]], now: Timestamp) {
        self.state = state
        self.sample = sample
        self.probes = probes
        self.now = now
    }

    package var objects: [Object] {
        state.services.map { LiveServices.view(ResourceTypes.serviceHealth, of: $0, status: status(of: $0)) }
    }

    private func status(of object: Object) -> Value {
        let service = state.meshService(object)
        let clusters = service.carriedPorts.map {
            (port: $0.port, name: MeshNames.service(service.namespace, service.name, $0.port))
        }
        var endpoints = state.members(of: service).map { pod -> Value in
            var endpoint = endpoint(pod)
            measure(pod.name, clusters.map(\.name), &endpoint)
            return endpoint
        }
        for manual in service.manualEndpoints {
            var endpoint: Value = ["address": .string(manual.address), "ready": true]
            measure(manual.address, clusters.map(\.name), &endpoint)
            endpoints.append(endpoint)
        }
        let ejected = endpoints.filter { $0["outlier"]?.flag("ejected") ?? false }.count
        return [
            "ready": LiveServices.count(endpoints.filter { $0.flag("ready") }.count),
            "ejected": LiveServices.count(ejected), "pods": LiveServices.count(endpoints.count),
            "circuits": .array(
                clusters.compactMap { place in sample?.cluster(place.name).map { Self.circuit(place.port, $0) } }
            ),
            "endpoints": .array(endpoints),
        ]
    }

    private static func circuit(_ port: Int, _ cluster: LiveScrape.Cluster) -> Value {
        var circuit: Value = [
            "port": LiveServices.count(port), "open": .bool(cluster.isOpen), "panic": .bool(cluster.isInPanic),
        ]
        circuit["limits"] = .array(
            cluster.limits.map {
                [
                    "resource": .string($0.resource), "inUse": LiveServices.count($0.inUse),
                    "limit": LiveServices.count($0.limit),
                ]
            }
        )
        return circuit
    }

    private func endpoint(_ pod: Object) -> Value {
        let summary = PodSummary(pod, at: now)
        let status = PodStatus(pod.status)
        let node = PodSpec(pod.spec).nodeName
        var endpoint: Value = ["pod": .string(pod.name)]
        if !status.podIP.isEmpty { endpoint["address"] = .string(status.podIP) }
        endpoint["node"] = node.map { .string($0) }
        let zone = pod.label("topology.kubernetes.io/zone") ?? node.flatMap { state.zones[$0] }
        endpoint["zone"] = zone.map { .string($0) }
        endpoint["version"] = Self.version(of: pod).map { .string($0) }
        endpoint["workload"] = .string(Workload(of: pod).name)
        endpoint["revision"] = state.revision(of: pod).map { .string($0) }
        endpoint["ready"] = .bool(LiveRoutes.isServing(pod))
        endpoint["phase"] = .string(summary.status)
        endpoint["restarts"] = LiveServices.count(summary.restartCount)
        endpoint["probes"] = .array((probes[pod.uid] ?? []).map(\.value))
        return endpoint
    }

    /// What its labels say, else the tag of its first image.
    private static func version(of pod: Object) -> String? {
        if let version = pod.label("app.kubernetes.io/version") ?? pod.label("version") { return version }
        let image = PodSpec(pod.spec).containers.first?.image.split(separator: "/").last.map(String.init) ?? ""
        let parts = image.split(separator: "@").first?.split(separator: ":") ?? []
        return parts.count == 2 ? String(parts[1]) : nil
    }

    private func measure(_ host: String, _ clusters: [String], _ endpoint: inout Value) {
        let seen = clusters.compactMap { sample?.cluster($0)?.endpoints[host] }
        guard !seen.isEmpty else { return }
        if let (rate, success) = sample?.rates(clusters.map { ($0, host) }) {
            endpoint["requestsPerSecond"] = LiveServices.rounded(rate, 10)
            endpoint["successRate"] = LiveServices.rounded(success, 10_000)
        }
        endpoint["inFlight"] = LiveServices.count(seen.reduce(0) { $0 + $1.inFlight })
        endpoint["connections"] = LiveServices.count(seen.reduce(0) { $0 + $1.connections })
        let worst = seen.max { ($0.isEjected ? 1 : 0, $0.ejections) < ($1.isEjected ? 1 : 0, $1.ejections) }
        guard let worst else { return }
        var outlier: Value = [
            "ejected": .bool(worst.isEjected), "ejections": LiveServices.count(worst.ejections),
            "consecutiveErrors": LiveServices.count(worst.consecutiveErrors),
        ]
        if worst.isEjected {
            // To the nearest second, so that it stays the same while it does.
            let end = now.seconds * 1000 + Int64(now.nanoseconds / 1_000_000) + Int64(worst.ejectedMilliseconds)
            outlier["until"] = .string(Timestamp(seconds: (end + 500) / 1000).description)
            outlier["cause"] = worst.cause.map { .string($0) }
        }
        endpoint["outlier"] = outlier
    }
}
