package import Wire

/// What the LimitRanges of a namespace make of a new pod or claim: defaults that are filled in, and what is beyond bounds.
///
/// Pure.
package struct LimitRules: Sendable {
    private let items: [Value]

    package init(_ ranges: [Object]) {
        items = ranges.sorted { $0.name < $1.name }.flatMap { $0.spec.list("limits") }
    }

    // MARK: Defaults

    /// Fills in the requests and limits that containers leave out.
    ///
    /// - Returns: what was filled in, in words; empty for nothing.
    package func fill(_ pod: inout Value) -> String {
        var limits: [String: Value] = [:]
        var requests: [String: Value] = [:]
        for item in items where item.text("type") == "Container" {
            // What a range leaves out follows from what it says: limits from the maximum, requests from limits or the minimum.
            for (name, amount) in item["max"]?.fields ?? Fields() where item.at("default", name) == nil {
                limits[name] = limits[name] ?? amount
            }
            for (name, amount) in item["default"]?.fields ?? Fields() { limits[name] = limits[name] ?? amount }
            for (name, amount) in item["defaultRequest"]?.fields ?? Fields() {
                requests[name] = requests[name] ?? amount
            }
            for (name, amount) in limits { requests[name] = requests[name] ?? amount }
            for (name, amount) in item["min"]?.fields ?? Fields() { requests[name] = requests[name] ?? amount }
        }
        guard !limits.isEmpty || !requests.isEmpty else { return "" }
        var words: [String] = []
        for field in ["containers", "initContainers"] {
            let kind = field == "containers" ? "container" : "init container"
            pod.updateEach(field) { container in
                let name = container.text("name") ?? ""
                // A limit that is written down is what is asked for, too: before any default.
                for (what, amount) in container.at("resources", "limits")?.fields ?? Fields()
                where container.at("resources", "requests", what) == nil {
                    container.set(["resources", "requests", what], amount)
                }
                for (list, amounts) in [("requests", requests), ("limits", limits)] {
                    let missing = amounts.keys.filter { container.at("resources", list, $0) == nil }.sorted()
                    guard !missing.isEmpty else { continue }
                    for what in missing { container.set(["resources", list, what], amounts[what] ?? .null) }
                    words.append("\(missing.joined(separator: ", ")) \(list.dropLast()) for \(kind) \(name)")
                }
            }
        }
        return words.isEmpty ? "" : "LimitRanger plugin set: " + words.joined(separator: "; ")
    }

    // MARK: Bounds

    /// What is beyond the bounds of a pod's namespace, in Kubernetes' words.
    package func problems(ofPod pod: Value) -> [String] {
        var problems: [String] = []
        for item in items {
            switch item.text("type") {
            case "Container":
                for container in pod.list("containers") + pod.list("initContainers") {
                    let requests = Self.quantities(container.at("resources", "requests"))
                    let limits = Self.quantities(container.at("resources", "limits"))
                    problems += Self.problems(item, "Container", requests, limits)
                }
            case "Pod":
                let (requests, limits) = (PodDemand(pod).amounts, PodDemand(pod, "limits").amounts)
                problems += Self.problems(item, "Pod", requests, limits)
            default: break
            }
        }
        return problems
    }

    /// What is beyond the bounds of a claim's namespace.
    package func problems(ofClaim claim: Value) -> [String] {
        let requests = Self.quantities(claim.at("resources", "requests"))
        return items.filter { $0.text("type") == "PersistentVolumeClaim" }
            .flatMap { Self.problems($0, "PersistentVolumeClaim", requests, [:]) }
    }

    private static func quantities(_ value: Value?) -> [String: Quantity] {
        var quantities: [String: Quantity] = [:]
        for (name, amount) in value?.fields ?? Fields() { quantities[name] = Quantity(amount) }
        return quantities
    }

    private static func problems(
        _ item: Value,
        _ kind: String,
        _ requests: [String: Quantity],
        _ limits: [String: Quantity]
    ) -> [String] {
        var problems: [String] = []
        for (name, bound) in quantities(item["min"]).sorted(by: { $0.key < $1.key }) {
            let said = "minimum \(name) usage per \(kind) is \(item.at("min", name)?.stringValue ?? "")"
            if let amount = requests[name] {
                if amount < bound { problems.append("\(said), but request is \(shown(amount, name))") }
            } else {
                problems.append("\(said).  No request is specified")
            }
            if let amount = limits[name], amount < bound {
                problems.append("\(said), but limit is \(shown(amount, name))")
            }
        }
        for (name, bound) in quantities(item["max"]).sorted(by: { $0.key < $1.key }) {
            let said = "maximum \(name) usage per \(kind) is \(item.at("max", name)?.stringValue ?? "")"
            if kind == "PersistentVolumeClaim" {
                if let amount = requests[name], amount > bound {
                    problems.append("\(said), but request is \(shown(amount, name))")
                }
                continue
            }
            if let amount = limits[name] {
                if amount > bound { problems.append("\(said), but limit is \(shown(amount, name))") }
            } else {
                problems.append("\(said).  No limit is specified")
            }
            if let amount = requests[name], amount > bound {
                problems.append("\(said), but request is \(shown(amount, name))")
            }
        }
        for (name, bound) in quantities(item["maxLimitRequestRatio"]).sorted(by: { $0.key < $1.key }) {
            let text = item.at("maxLimitRequestRatio", name)?.stringValue ?? ""
            let said = "\(name) max limit to request ratio per \(kind) is \(text)"
            guard let limit = limits[name], let request = requests[name], let ratio = limit.ratio(to: request) else {
                problems.append("\(said), but no request is specified or request is 0")
                continue
            }
            if let most = bound.ratio(to: Quantity(1)), ratio > most {
                let shown = Double(Int(ratio * 1_000_000)) / 1_000_000
                problems.append("\(said), but provided ratio is \(shown)")
            }
        }
        return problems
    }

    private static func shown(_ amount: Quantity, _ name: String) -> String {
        amount.text(isBinary: ["memory", "storage", "ephemeral-storage"].contains(name))
    }
}
