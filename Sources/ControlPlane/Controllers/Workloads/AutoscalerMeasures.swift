import Resources
import Wire

/// What an autoscaler's metrics say about its target at one moment.
struct AutoscalerMeasures {
    struct Problem {
        let reason: String
        let message: String
    }

    /// For the status, in the order of the metrics; null for one without an answer.
    private(set) var current: [Value] = []
    private(set) var problems: [Problem] = []
    /// The number that counts, and the metric that asked for it.
    private(set) var choice: (replicas: Int, index: Int)?
    private var names: [String] = []

    /// Seconds after its start within which a pod's use of processors counts only when it is ready, and those within which
    /// a pod that was never ready counts as starting.
    private static let initializationPeriod = 300
    private static let readinessDelay = 30

    init(
        _ reconciler: AutoscalerReconciler,
        _ workload: Object,
        _ type: ResourceType,
        _ spec: AutoscalerSpec,
        current replicas: Int
    ) async {
        let namespace = workload.namespace
        guard let selector = Self.selector(of: workload, type) else {
            problems = [Problem(reason: "InvalidSelector", message: "the HPA target's scale is missing a selector")]
            return
        }
        let (pods, services) = await reconciler.cluster.read { state in
            let pods = state.list(ResourceTypes.pods, namespace: namespace).filter { pod in
                !pod.isDeleting && selector.matches(pod)
                    && !["Failed", "Succeeded"].contains(PodStatus(pod.status).phase)
            }
            // The pods of a custom kind are known by their selector alone.
            let labels =
                type.custom == nil ? PodTemplate(workload.spec["template"] ?? .null).labels : pods.first?.labels
            let services = state.list(ResourceTypes.services, namespace: namespace).filter { service in
                let chosen = ServiceSpec(service.spec).selector
                return !chosen.isEmpty && LabelSelector(matching: chosen).matches(labels ?? [:])
            }.map(\.name)
            return (pods, services)
        }
        let types = Set(spec.metrics.compactMap { $0.text("type") })
        let needsUse = !types.isDisjoint(with: ["Resource", "ContainerResource"])
        let needsLoad = !types.isDisjoint(with: ["Pods", "Object"])
        let use = needsUse ? await reconciler.metrics.podUse() : [:]
        let load = needsLoad ? await reconciler.metrics.serviceLoad() : nil
        let arithmetic = AutoscalerArithmetic(
            replicas: replicas,
            toleranceUp: spec.tolerance("scaleUp"),
            toleranceDown: spec.tolerance("scaleDown")
        )
        let source = Source(
            pods: pods,
            use: use,
            load: load,
            services: services,
            namespace: namespace,
            now: reconciler.cluster.now(),
            arithmetic: arithmetic
        )
        var proposals: [AutoscalerArithmetic.Proposal?] = []
        for metric in spec.metrics { proposals.append(take(metric, source)) }
        choice = AutoscalerArithmetic.choose(proposals, replicas: replicas)
    }

    private static func selector(of workload: Object, _ type: ResourceType) -> LabelSelector? {
        guard type.custom != nil else { return LabelSelector(workload.spec["selector"] ?? .null) }
        guard let numbers = try? ScaleNumbers(workload, type), !numbers.selector.isEmpty else { return nil }
        return try? LabelSelector(text: numbers.selector)
    }

    private struct Source {
        let pods: [Object]
        let use: [String: [ContainerUse]]
        let load: [String: ServiceLoad]?
        let services: [String]
        let namespace: String
        let now: Timestamp
        let arithmetic: AutoscalerArithmetic
    }

    /// `cpu resource utilization (percentage of request)`: the metric that asked, in words, and what of it.
    func reason(_ choice: (replicas: Int, index: Int), rises: Bool) -> String {
        let name = names.indices.contains(choice.index) ? names[choice.index] : "metric"
        return rises ? "\(name) above target" : "All metrics below target"
    }

    func name(of choice: (replicas: Int, index: Int)) -> String {
        names.indices.contains(choice.index) ? names[choice.index] : "metric"
    }

    private mutating func fail(_ name: String, _ reason: String, _ message: String) -> AutoscalerArithmetic.Proposal? {
        problems.append(Problem(reason: reason, message: message))
        current.append(.null)
        names.append(name)
        return nil
    }

    private mutating func take(_ metric: Value, _ source: Source) -> AutoscalerArithmetic.Proposal? {
        switch metric.text("type") {
        case "Resource": return resource(metric["resource"] ?? .null, container: nil, source)
        case "ContainerResource":
            let value = metric["containerResource"] ?? .null
            return resource(value, container: value.text("container") ?? "", source)
        case "Pods": return pods(metric["pods"] ?? .null, source)
        default: return object(metric["object"] ?? .null, source)
        }
    }

    // MARK: Resources

    private mutating func resource(
        _ metric: Value,
        container: String?,
        _ source: Source
    ) -> AutoscalerArithmetic.Proposal? {
        let name = metric.text("name") ?? ""
        let target = metric["target"] ?? .null
        let isShare = target.text("type") == "Utilization"
        let words =
            "\(name) \(container == nil ? "" : "container ")resource "
            + (isShare ? "utilization (percentage of request)" : "usage per pod")
        let failure = container == nil ? "FailedGetResourceMetric" : "FailedGetContainerResourceMetric"
        var samples: [AutoscalerArithmetic.Pod] = []
        for pod in source.pods {
            switch sample(pod, name, container, isShare: isShare, source) {
            case .success(let sample): samples.append(sample)
            case .failure(let problem): return fail(words, failure, problem.message)
            }
        }
        let goal: AutoscalerArithmetic.Target =
            isShare
            ? .utilization(Double(target.integer("averageUtilization") ?? 80))
            : .average(Self.number(target["averageValue"]))
        guard let proposal = source.arithmetic.byUse(samples, target: goal) else {
            let why =
                "failed to get \(name) \(isShare ? "utilization" : "usage"): no metrics returned from resource metrics API"
            return fail(words, failure, why)
        }
        var now: Value = [:]
        let measured = samples.compactMap { $0.state == .ready ? $0.usage : nil }
        let average = measured.isEmpty ? 0 : measured.reduce(0, +) / Double(measured.count)
        now["averageValue"] = .string(Self.text(average, isBytes: name == "memory"))
        if isShare { now["averageUtilization"] = .int(Int64(min(proposal.current, 1e12))) }
        var shown: Value = ["name": .string(name), "current": now]
        if let container { shown["container"] = .string(container) }
        let field = container == nil ? "resource" : "containerResource"
        current.append(["type": container == nil ? "Resource" : "ContainerResource", field: shown])
        names.append(words)
        return proposal
    }

    private struct NoRequest: Error { let message: String }

    private func sample(
        _ pod: Object,
        _ name: String,
        _ container: String?,
        isShare: Bool,
        _ source: Source
    ) -> Result<AutoscalerArithmetic.Pod, NoRequest> {
        let containers = PodSpec(pod.spec).containers.filter { container == nil || $0.name == container }
        var request = 0.0
        for one in containers where isShare {
            guard let amount = one.resources.request(name) else {
                let why = "missing request for \(name) in container \(one.name) of Pod \(pod.name)"
                return .failure(NoRequest(message: why))
            }
            request += Double(amount.milli) / 1000
        }
        let used = (source.use[pod.uid] ?? []).filter { container == nil || $0.name == container }
        let usage = used.isEmpty ? nil : used.reduce(0) { $0 + (name == "cpu" ? $1.cores : $1.memoryBytes) }
        let state: AutoscalerArithmetic.Pod.State =
            isStarting(pod, hasMeasure: usage != nil, isProcessor: name == "cpu", source.now) ? .unready : .ready
        return .success(AutoscalerArithmetic.Pod(state, usage: usage, request: isShare ? request : nil))
    }

    /// Whether what a pod uses says nothing yet.
    private func isStarting(_ pod: Object, hasMeasure: Bool, isProcessor: Bool, _ now: Timestamp) -> Bool {
        let status = PodStatus(pod.status)
        if status.phase == "Pending" { return true }
        guard isProcessor, hasMeasure else { return false }
        guard let ready = status.conditions.first(ofType: "Ready"), let start = status.startTime else { return true }
        if now.seconds(since: start) < Self.initializationPeriod { return !ready.isTrue }
        // One that was ready once and is not now works on; one that never was does not count.
        let changed = ready.lastTransitionTime ?? now
        return !ready.isTrue && changed.seconds(since: start) < Self.readinessDelay
    }

    // MARK: The mesh

    private mutating func pods(_ metric: Value, _ source: Source) -> AutoscalerArithmetic.Proposal? {
        let name = metric["metric"]?.text("name") ?? ""
        let words = "pods metric \(name)"
        guard let load = source.load, let kind = MeshMetric(rawValue: name) else {
            return fail(words, "FailedGetPodsMetric", "the mesh has not measured yet")
        }
        guard !source.services.isEmpty else {
            return fail(words, "FailedGetPodsMetric", "no Service chooses these pods: the mesh measures Services")
        }
        let sum = source.services.reduce(0) { $0 + (load["\(source.namespace)/\($1)"] ?? ServiceLoad()).value(kind) }
        let proposal = source.arithmetic.bySum(sum, perPod: Self.number(metric["target"]?["averageValue"]))
        current.append([
            "type": "Pods",
            "pods": [
                "metric": ["name": .string(name)], "current": ["averageValue": .string(Self.text(proposal.current))],
            ],
        ])
        names.append(words)
        return proposal
    }

    private mutating func object(_ metric: Value, _ source: Source) -> AutoscalerArithmetic.Proposal? {
        let name = metric["metric"]?.text("name") ?? ""
        let service = metric["describedObject"]?.text("name") ?? ""
        let words = "Service metric \(name)"
        guard let load = source.load, let kind = MeshMetric(rawValue: name) else {
            return fail(words, "FailedGetObjectMetric", "the mesh has not measured yet")
        }
        let value = (load["\(source.namespace)/\(service)"] ?? ServiceLoad()).value(kind)
        let target = metric["target"] ?? .null
        let isShared = target.text("type") == "AverageValue"
        let ready = source.pods.count { PodStatus($0.status).isReady }
        let proposal =
            isShared
            ? source.arithmetic.bySum(value, perPod: Self.number(target["averageValue"]))
            : source.arithmetic.byValue(value, target: Self.number(target["value"]), readyPods: ready)
        let field = isShared ? "averageValue" : "value"
        current.append([
            "type": "Object",
            "object": [
                "metric": ["name": .string(name)], "describedObject": metric["describedObject"] ?? .null,
                "current": [field: .string(Self.text(proposal.current))],
            ],
        ])
        names.append(words)
        return proposal
    }

    // MARK: Numbers

    private static func number(_ value: Value?) -> Double { Quantity(value).map { Double($0.milli) / 1000 } ?? 0 }

    /// A quantity: whole where it may be, else thousandths.
    private static func text(_ number: Double, isBytes: Bool = false) -> String {
        let bounded = max(0, min(number, 1e15))
        let milli = Int((bounded * 1000).rounded())
        return isBytes || milli % 1000 == 0 ? "\(Int(bounded.rounded()))" : "\(milli)m"
    }
}

extension ServiceLoad {
    func value(_ metric: MeshMetric) -> Double {
        switch metric {
        case .requestsPerSecond: requestsPerSecond
        case .requestsInFlight: requestsInFlight
        case .latencyP50: latencyP50
        case .latencyP95: latencyP95
        case .latencyP99: latencyP99
        }
    }
}
