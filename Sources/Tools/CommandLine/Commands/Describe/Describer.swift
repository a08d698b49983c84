import Controllers
import Resources
import Wire

/// Tells all about one object.
struct Describer: Sendable {
    let client: APIClient
    let type: ResourceType
    let object: Object
    let now = Timestamp.systemNow()

    func describe() async throws -> Description {
        var text = Description()
        text.field("Name", object.name)
        if type.isNamespaced { text.field("Namespace", object.namespace) }
        switch type {
        case ResourceTypes.pods: try await pod(&text)
        case ResourceTypes.deployments: try await deployment(&text)
        case ResourceTypes.replicaSets: try await replicaSet(&text)
        case ResourceTypes.statefulSets: try await statefulSet(&text)
        case ResourceTypes.daemonSets: try await daemonSet(&text)
        case ResourceTypes.jobs: try await job(&text)
        case ResourceTypes.cronJobs: try await cronJob(&text)
        case ResourceTypes.autoscalers: autoscaler(&text)
        case ResourceTypes.disruptionBudgets: disruptionBudget(&text)
        case ResourceTypes.services: try await service(&text)
        case ResourceTypes.ingresses: try await ingress(&text)
        case ResourceTypes.nodes: try await node(&text)
        case ResourceTypes.configMaps: configMap(&text)
        case ResourceTypes.secrets: secret(&text)
        default: other(&text)
        }
        if type != ResourceTypes.events { try await events(&text) }
        return text
    }

    // MARK: What all have

    func labels(_ text: inout Description) {
        text.field("Labels", Self.pairs(object.labels, "="))
        text.field("Annotations", Self.annotations(object.annotations))
        if object.isDeleting {
            text.field("Status", "Terminating since \(moment(object.deletionTimestamp))")
            if !object.finalizers.isEmpty { text.field("Finalizers", object.finalizers) }
        }
    }

    static func pairs(_ map: [String: String], _ separator: String) -> [String] {
        map.sorted { $0.key < $1.key }.map { "\($0.key)\(separator)\($0.value)" }
    }

    /// What kubectl keeps for itself is left out, and long ones are cut.
    static func annotations(_ map: [String: String]) -> [String] {
        let shown = map.filter { $0.key != "kubectl.kubernetes.io/last-applied-configuration" }
        return pairs(shown, ": ").map { $0.count > 300 ? "\($0.prefix(300))..." : $0 }
    }

    func moment(_ time: Timestamp?) -> String {
        time.map { "\($0.description) (\(HumanDuration.text(seconds: max(now.seconds(since: $0), 0))) ago)" }
            ?? "<unknown>"
    }

    func owner(_ text: inout Description) {
        if let owner = object.controller { text.field("Controlled By", "\(owner.kind)/\(owner.name)") }
    }

    static func conditions(_ conditions: [Condition], _ text: inout Description) {
        let rows = conditions.map { [$0.type, $0.status, $0.reason, $0.message] }
        let hasReason = conditions.contains { !$0.reason.isEmpty || !$0.message.isEmpty }
        let columns = ["Type", "Status"] + (hasReason ? ["Reason", "Message"] : [])
        text.table("Conditions", columns, hasReason ? rows : rows.map { Array($0.prefix(2)) })
    }

    // MARK: Other objects

    func list(_ type: ResourceType, _ items: [(String, String?)] = []) async throws -> [Object] {
        let namespace = object.namespace.isEmpty ? nil : object.namespace
        let list = try await client.get(APIPath.of(type, namespace: namespace) + APIPath.query(items))
        return (list["items"]?.arrayValue ?? []).map(Object.init)
    }

    /// The pods that a selector chooses, those of this object's namespace.
    func pods(_ selector: LabelSelector) async throws -> [Object] {
        try await list(ResourceTypes.pods).filter { selector.matches($0) }
    }

    func podTable(_ pods: [Object], _ text: inout Description) {
        text.table(
            "Pods",
            ["Name", "Ready", "Status", "Restarts", "Age", "Why"],
            pods.sorted { $0.name < $1.name }.map { pod in
                let summary = PodSummary(pod, at: now)
                return [
                    pod.name, summary.ready, summary.status, summary.restarts,
                    HumanDuration.age(of: pod.creationTimestamp, at: now), PodStory.reason(pod) ?? "",
                ]
            }
        )
    }

    // MARK: Events

    private func events(_ text: inout Description) async throws {
        let selector = "involvedObject.uid=\(object.uid)"
        let namespace = object.namespace.isEmpty ? nil : object.namespace
        let path = APIPath.of(ResourceTypes.events, namespace: namespace)
        let list = try await client.get(path + APIPath.query([("fieldSelector", selector)]))
        var events = list["items"]?.arrayValue ?? []
        // The machine's events name it, and it has had other uids.
        if events.isEmpty, type == ResourceTypes.nodes {
            let named = "involvedObject.kind=Node,involvedObject.name=\(object.name)"
            events = try await client.get(path + APIPath.query([("fieldSelector", named)]))["items"]?.arrayValue ?? []
        }
        let sorted = events.enumerated().sorted { left, right in
            let (a, b) = (Self.last(left.element) ?? "", Self.last(right.element) ?? "")
            return a == b ? left.offset < right.offset : a < b
        }
        text.table("Events", ["Type", "Reason", "Age", "From", "Message"], sorted.map { row($0.element) })
    }

    private static func last(_ event: Value) -> String? { event.text("lastTimestamp") ?? event.text("firstTimestamp") }

    /// `12s`, or `12s (x3 over 2m)` for what happened again and again.
    private func row(_ event: Value) -> [String] {
        let last = Self.last(event).flatMap(Timestamp.init)
        let first = event.text("firstTimestamp").flatMap(Timestamp.init)
        var age = HumanDuration.age(of: last, at: now)
        let count = event.integer("count") ?? 1
        if count > 1 { age += " (x\(count) over \(HumanDuration.age(of: first, at: now)))" }
        let source = event["source"]?.text("component") ?? event.text("reportingComponent") ?? ""
        let message = (event.text("message") ?? "").split(separator: "\n").joined(separator: " ")
        return [event.text("type") ?? "", event.text("reason") ?? "", age, source, message]
    }
}

/// Why a pod does not do what it should, in one line.
enum PodStory {
    /// Nil when the pod is ready, or has ended well.
    static func reason(_ pod: Object) -> String? {
        let status = PodStatus(pod.status)
        if pod.isDeleting { return "is ending" }
        if status.isReady || status.phase == "Succeeded" { return nil }
        if !status.reason.isEmpty { return joined(status.reason, status.message) }
        for container in status.initContainerStatuses + status.containerStatuses {
            if case .waiting(let reason, let message)? = container.state, reason != "PodInitializing" {
                guard case .terminated(let end)? = container.lastState else {
                    return "\(container.name): \(joined(reason, message))"
                }
                return "\(container.name): \(reason), its last run ended with \(ending(end))"
            }
            if case .terminated(let end)? = container.state, end.exitCode != 0 {
                return "\(container.name): ended with \(ending(end))"
            }
        }
        if let unready = status.containerStatuses.first(where: { !$0.ready }) {
            return "\(unready.name): \(unready.started ? "not ready" : "has not passed its startup probe")"
        }
        if let placed = status.conditions.first(ofType: "PodScheduled"), !placed.isTrue {
            return joined(placed.reason, placed.message)
        }
        let condition = status.conditions.first(ofType: "Ready")
        return condition.map { joined($0.reason, $0.message) } ?? status.phase
    }

    static func ending(_ end: ContainerStatus.Termination) -> String {
        let code = end.signal == 0 ? "exit code \(end.exitCode)" : "signal \(end.signal)"
        return end.reason == "Error" || end.reason.isEmpty ? code : "\(end.reason) (\(code))"
    }

    private static func joined(_ reason: String, _ message: String) -> String {
        let first = message.split(separator: "\n").first.map(String.init) ?? ""
        return first.isEmpty ? reason : "\(reason): \(first)"
    }
}
