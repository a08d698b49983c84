import Resources
import Wire

/// A version that clients ask for, too, of a kind that is kept in another one: most are older.
struct OlderVersion: Sendable {
    let group: String
    let version: String
    let plural: String
    /// The version in which the objects are kept.
    let kept: String
    /// The group in which they are kept, when it is not this one.
    var keptGroup: String?
    /// Whether it says all that is kept: then objects can be changed in it, too.
    var isWhole = false

    static let all = [
        OlderVersion(group: "autoscaling", version: "v1", plural: "horizontalpodautoscalers", kept: "v2"),
        OlderVersion(group: "batch", version: "v1beta1", plural: "cronjobs", kept: "v1"),
        OlderVersion(group: "policy", version: "v1beta1", plural: "poddisruptionbudgets", kept: "v1"),
        OlderVersion(
            group: "events.k8s.io",
            version: "v1",
            plural: "events",
            kept: "v1",
            keptGroup: "",
            isWhole: true
        ),
    ]

    static func find(group: String, version: String, plural: String) -> OlderVersion? {
        all.first { $0.group == group && $0.version == version && $0.plural == plural }
    }

    var type: ResourceType? { ResourceTypes.find(group: keptGroup ?? group, version: kept, plural: plural) }
    var apiVersion: String { "\(group)/\(version)" }

    /// An object of this version as it is kept.
    func inward(_ value: Value) -> Value {
        guard value.fields != nil, value.text("apiVersion") ?? apiVersion == apiVersion else { return value }
        var value = value
        value["apiVersion"] = type.map { .string($0.apiVersion) }
        if plural == "events" { return EventNames.inward(value) }
        guard plural == "horizontalpodautoscalers", var spec = value["spec"] else { return value }
        if let percent = spec["targetCPUUtilizationPercentage"], !percent.isNull {
            let target: Value = ["type": "Utilization", "averageUtilization": percent]
            spec["metrics"] = [["type": "Resource", "resource": ["name": "cpu", "target": target]]]
        }
        spec["targetCPUUtilizationPercentage"] = nil
        value["spec"] = spec
        return value
    }

    /// A selector of this version's fields as one of those that are kept.
    func inward(selector: String) -> String {
        guard plural == "events" else { return selector }
        return selector.split(separator: ",").map(EventNames.inward).joined(separator: ",")
    }

    /// A kept object in this version.
    func outward(_ value: Value) -> Value {
        var value = value
        value["apiVersion"] = .string(apiVersion)
        if plural == "events" { return EventNames.outward(value) }
        guard plural == "horizontalpodautoscalers" else { return value }
        let isCPU = { (metric: Value) in metric["resource"]?.text("name") == "cpu" }
        if var spec = value["spec"] {
            spec["targetCPUUtilizationPercentage"] =
                spec.list("metrics").first(where: isCPU)?.at("resource", "target", "averageUtilization")
            spec["metrics"] = nil
            spec["behavior"] = nil
            value["spec"] = spec
        }
        if var status = value["status"] {
            status["currentCPUUtilizationPercentage"] =
                status.list("currentMetrics").first(where: isCPU)?.at("resource", "current", "averageUtilization")
            status["currentMetrics"] = nil
            status["conditions"] = nil
            value["status"] = status
        }
        return value
    }
}
