import Wire

// HorizontalPodAutoscalers and PodDisruptionBudgets.
extension Validation {
    mutating func autoscaler(_ object: Object) {
        let spec = object.spec
        let (low, high) = (spec.integer("minReplicas") ?? 1, spec.integer("maxReplicas") ?? 0)
        if low < 1 { invalid("spec.minReplicas", low, "must be greater than or equal to 1") }
        for (name, number) in [("minReplicas", low), ("maxReplicas", high)] { notHuge(number, "spec.\(name)") }
        if high < 1 {
            invalid("spec.maxReplicas", high, "must be greater than 0")
        } else if high < low {
            invalid("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`")
        }
        let target = spec["scaleTargetRef"] ?? .null
        let (kind, version) = (target.text("kind") ?? "", target.text("apiVersion") ?? "")
        let known = [ResourceTypes.deployments, ResourceTypes.replicaSets, ResourceTypes.statefulSets]
        // Whether a custom kind has a scale is for the autoscaler to find: its definition may come later.
        let group = version.split(separator: "/").first ?? ""
        let isForeign = group.contains(".") && !ResourceTypes.all.contains { $0.group == group }
        if !isForeign, !known.contains(where: { $0.kind == kind && ($0.apiVersion == version || version.isEmpty) }) {
            add(
                "spec.scaleTargetRef.kind",
                .notSupported,
                "Unsupported value: \"\(version) \(kind)\": supported values: apps/v1 Deployment, apps/v1 ReplicaSet, "
                    + "apps/v1 StatefulSet, custom kinds with a scale"
            )
        }
        check("spec.scaleTargetRef.name", target.text("name") ?? "", NameRules.subdomain)
        for (index, metric) in spec.list("metrics").enumerated() { self.metric(metric, "spec.metrics[\(index)]") }
        for direction in ["scaleUp", "scaleDown"] {
            if let rules = spec.at("behavior", direction) { scaling(rules, "spec.behavior.\(direction)") }
        }
    }

    /// Where each type of metric stands, and the metrics that are known of it.
    private static let metricFields = [
        "Resource": "resource", "ContainerResource": "containerResource", "Pods": "pods", "Object": "object",
        "External": "external",
    ]

    private mutating func metric(_ metric: Value, _ path: String) {
        let type = metric.text("type") ?? ""
        guard let field = Self.metricFields[type] else { return }
        guard type != "External" else {
            return add(
                "\(path).type",
                .notSupported,
                "Unsupported value: \"External\": there is no source of external "
                    + "metrics here; Resource, ContainerResource, Pods and Object are served"
            )
        }
        guard let source = metric[field] else {
            return required("\(path).\(field)", "must populate the given metric source")
        }
        for other in Self.metricFields.values.sorted() where other != field && metric[other] != nil {
            add("\(path).\(other)", .forbidden, "Forbidden: must populate the given metric source only")
        }
        let at = "\(path).\(field)"
        switch type {
        case "Resource", "ContainerResource":
            let name = source.text("name") ?? ""
            if !["cpu", "memory"].contains(name) {
                add(
                    "\(at).name",
                    .notSupported,
                    "Unsupported value: \"\(name)\": supported values: \"cpu\", \"memory\""
                )
            }
            if type == "ContainerResource" { check("\(at).container", source.text("container") ?? "", NameRules.label) }
            self.target(source["target"] ?? .null, "\(at).target", ["Utilization", "AverageValue"])
        default:
            let name = source["metric"]?.text("name") ?? ""
            let names = type == "Pods" ? MeshMetric.forPods : MeshMetric.allCases
            if !names.contains(where: { $0.rawValue == name }) {
                let list = names.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
                let message = "Unsupported value: \"\(name.prefix(80))\": supported values: \(list)"
                add("\(at).metric.name", .notSupported, message)
            }
            if type == "Object", source["describedObject"]?.text("kind") != "Service" {
                add("\(at).describedObject.kind", .notSupported, "Unsupported value: the mesh measures Services only")
            }
            let isLevel = MeshMetric(rawValue: name)?.isSum == false
            let types = type == "Pods" ? ["AverageValue"] : isLevel ? ["Value"] : ["Value", "AverageValue"]
            self.target(source["target"] ?? .null, "\(at).target", types)
        }
    }

    private mutating func target(_ target: Value, _ path: String, _ types: [String]) {
        let type = target.text("type") ?? ""
        guard types.contains(type) else {
            let list = types.map { "\"\($0)\"" }.joined(separator: ", ")
            return add("\(path).type", .notSupported, "Unsupported value: \"\(type)\": supported values: \(list)")
        }
        let field = ["Utilization": "averageUtilization", "AverageValue": "averageValue", "Value": "value"][type] ?? ""
        guard let given = target[field] else {
            return required("\(path).\(field)", "must set the target that its type names")
        }
        if type == "Utilization" {
            if let number = given.intValue, number < 1 { invalid("\(path).\(field)", number, "must be greater than 0") }
        } else if let amount = Quantity(given), amount.isNegative || amount.rounded == 0 {
            invalid("\(path).\(field)", given.stringValue ?? "", "must be positive")
        }
    }

    private mutating func scaling(_ rules: Value, _ path: String) {
        if let window = rules.integer("stabilizationWindowSeconds"), !(0...3600).contains(window) {
            invalid("\(path).stabilizationWindowSeconds", window, "must be from 0 to 3600")
        }
        if let tolerance = Quantity(rules["tolerance"]), tolerance.isNegative {
            invalid("\(path).tolerance", rules.text("tolerance") ?? "", "must be greater than or equal to 0")
        }
        for (index, policy) in rules.list("policies").enumerated() {
            let at = "\(path).policies[\(index)]"
            if let value = policy.integer("value") {
                if value < 1 { invalid("\(at).value", value, "must be greater than zero") }
                notHuge(value, "\(at).value")
            }
            if let period = policy.integer("periodSeconds"), !(1...1800).contains(period) {
                invalid("\(at).periodSeconds", period, "must be from 1 to 1800")
            }
        }
    }

    mutating func disruptionBudget(_ object: Object) {
        let spec = object.spec
        if spec["minAvailable"] != nil, spec["maxUnavailable"] != nil {
            invalid("spec", "", "minAvailable and maxUnavailable cannot be both set")
        }
        for name in ["minAvailable", "maxUnavailable"] { allowance(spec, name, "spec", 0) }
        selector(spec["selector"], "spec.selector")
    }
}

/// What the mesh measures of a Service that pods can be scaled by.
package enum MeshMetric: String, Sendable, CaseIterable {
    case requestsPerSecond = "requests-per-second"
    case requestsInFlight = "requests-in-flight"
    /// Milliseconds within which that share of the answers came.
    case latencyP50 = "latency-p50"
    case latencyP95 = "latency-p95"
    case latencyP99 = "latency-p99"

    /// The metrics that can be shared out over pods.
    package static let forPods: [MeshMetric] = [.requestsPerSecond, .requestsInFlight]

    /// Whether two pods have twice as much as one.
    package var isSum: Bool { Self.forPods.contains(self) }
}
