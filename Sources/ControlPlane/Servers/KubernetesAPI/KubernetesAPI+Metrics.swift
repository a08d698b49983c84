package import Resources
import Store
import Wire

/// Where the API learns what pods use.
package protocol UsageSource: Sendable {
    /// The use of processors over the last seconds, and of memory now.
    func report() async -> UsageReport
}

/// What the pods of this machine use.
package struct UsageReport: Sendable {
    package struct Usage: Sendable {
        package let name: String
        /// Billionths of a processor.
        package let nanocores: Int
        package let memoryBytes: Int

        package init(name: String, nanocores: Int, memoryBytes: Int) {
            self.name = name
            self.nanocores = nanocores
            self.memoryBytes = memoryBytes
        }

        fileprivate var value: Value {
            ["cpu": .string("\(nanocores)n"), "memory": .string("\(memoryBytes / 1024)Ki")]
        }
    }

    package let time: Timestamp
    /// Over which the processors' use was measured.
    package let seconds: Double
    /// The running containers, by the pod's uid.
    package var pods: [String: [Usage]] = [:]
    /// The whole machine.
    package var node: Usage?

    package init(time: Timestamp, seconds: Double) {
        self.time = time
        self.seconds = seconds
    }
}

// `metrics.k8s.io/v1beta1`, as `kubectl top` asks for it.
extension KubernetesAPI {
    static let metricsGroup = "metrics.k8s.io"
    static let metricsVersion = "v1beta1"

    /// Everything behind `/apis/metrics.k8s.io`, the version first.
    func metrics(_ request: HTTPRequest, _ segments: [String]) async throws -> HTTPResponse {
        guard segments.first == Self.metricsVersion else { throw Self.unknownPath }
        guard request.method == "GET" else { throw Self.wrongMethod }
        let rest = Array(segments.dropFirst())
        guard !rest.isEmpty else { return Self.json(Self.metricsResources) }
        guard let target = APITarget(group: "", version: "v1", rest, store.types), target.subresource == nil,
            target.type == ResourceTypes.pods || target.type == ResourceTypes.nodes
        else { throw Self.unknownPath }
        guard let usage else { throw APIError.unavailable("no agent runs here that measures pods") }
        if let key = target.key {
            let object = try await store.get(key)
            guard let entry = Self.entry(object, await usage.report()) else {
                throw APIError(
                    code: 404,
                    reason: .notFound,
                    message: "\(target.type.singular)metrics.\(Self.metricsGroup) \"\(key.name)\" not found"
                )
            }
            return Self.json(entry)
        }
        let call = APICall(api: self, request: request, target: target)
        let (labels, fields) = try call.selectors()
        let options = ListOptions(labels: labels, fields: fields)
        let list = try await store.list(target.type, namespace: target.namespace, options)
        let report = await usage.report()
        let kind = target.type == ResourceTypes.pods ? "PodMetricsList" : "NodeMetricsList"
        return Self.json([
            "kind": .string(kind), "apiVersion": .string("\(Self.metricsGroup)/\(Self.metricsVersion)"),
            "metadata": [:], "items": .array(list.items.compactMap { Self.entry($0, report) }),
        ])
    }

    /// The figures of one pod or node; nil when there are none.
    private static func entry(_ object: Object, _ report: UsageReport) -> Value? {
        let isPod = object.kind == ResourceTypes.pods.kind
        var metadata: Value = ["name": .string(object.name), "creationTimestamp": .string(report.time.description)]
        if isPod { metadata["namespace"] = .string(object.namespace) }
        metadata["labels"] = Value.map(object.labels)
        let milliseconds = Int((report.seconds * 1000).rounded())
        var entry: Value = [
            "kind": isPod ? "PodMetrics" : "NodeMetrics",
            "apiVersion": .string("\(metricsGroup)/\(metricsVersion)"), "metadata": metadata,
            "timestamp": .string(report.time.description), "window": .string("\(milliseconds)ms"),
        ]
        if isPod {
            guard let containers = report.pods[object.uid], !containers.isEmpty else { return nil }
            // As the pod names them: what measures them knows no order.
            let spec = PodSpec(object.spec)
            let names = (spec.initContainers + spec.containers).map(\.name)
            let ordered = containers.sorted { one, two in
                (names.firstIndex(of: one.name) ?? .max, one.name) < (names.firstIndex(of: two.name) ?? .max, two.name)
            }
            entry["containers"] = .array(ordered.map { ["name": .string($0.name), "usage": $0.value] })
        } else {
            guard let node = report.node else { return nil }
            entry["usage"] = node.value
        }
        return entry
    }

    static var metricsResources: Value {
        func resource(_ name: String, _ kind: String, _ isNamespaced: Bool) -> Value {
            [
                "name": .string(name), "singularName": "", "namespaced": .bool(isNamespaced), "kind": .string(kind),
                "verbs": ["get", "list"],
            ]
        }
        return [
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": .string("\(metricsGroup)/\(metricsVersion)"),
            "resources": [resource("nodes", "NodeMetrics", false), resource("pods", "PodMetrics", true)],
        ]
    }
}
