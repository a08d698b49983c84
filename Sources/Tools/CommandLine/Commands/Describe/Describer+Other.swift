import Resources
import Wire

// Nodes, ConfigMaps, Secrets, and kinds that have no page of their own.
extension Describer {
    func node(_ text: inout Description) async throws {
        labels(&text)
        text.field("Created", moment(object.creationTimestamp))
        Self.conditions(object.status.views("conditions"), &text)
        text.group("Addresses") { group in
            for address in object.status.list("addresses") {
                group.field(address.text("type") ?? "", address.text("address") ?? "")
            }
        }
        for (name, field) in [("Capacity", "capacity"), ("Allocatable", "allocatable"), ("System Info", "nodeInfo")] {
            guard let value = object.status[field] else { continue }
            text.group(name) { Self.tree(value, &$0) }
        }
        let metrics = APIPath.metrics(ResourceTypes.nodes, namespace: nil) + "/\(APIPath.escape(object.name))"
        if let usage = try? await client.get(metrics)["usage"] {
            let (use, whole) = (Use(usage), Use(object.status["allocatable"]))
            text.field(
                "Uses",
                "CPU \(use.cores) (\(use.coreShare(of: whole))), memory \(use.memory) (\(use.memoryShare(of: whole)))"
            )
        }
        let pods = try await list(ResourceTypes.pods).filter { pod in
            PodSpec(pod.spec).nodeName == object.name
                && !["Succeeded", "Failed"].contains(PodStatus(pod.status).phase)
        }
        text.table(
            "Pods",
            ["Namespace", "Name", "CPU Requests", "CPU Limits", "Memory Requests", "Memory Limits", "Age"],
            pods.sorted { ($0.namespace, $0.name) < ($1.namespace, $1.name) }.map { pod in
                let needs = PodSpec(pod.spec).containers.map(\.resources)
                func sum(_ field: String, _ name: String) -> String {
                    let amounts = needs.compactMap { Quantity($0.value[field]?[name]) }
                    guard let first = amounts.first else { return "-" }
                    let total = amounts.dropFirst().reduce(first, +)
                    return name == "cpu" ? "\(total.milli)m" : "\(total.rounded >> 20)Mi"
                }
                return [
                    pod.namespace, pod.name, sum("requests", "cpu"), sum("limits", "cpu"), sum("requests", "memory"),
                    sum("limits", "memory"), HumanDuration.age(of: pod.creationTimestamp, at: now),
                ]
            }
        )
    }

    func configMap(_ text: inout Description) {
        labels(&text)
        text.field("Data", object.value.textMap("data").isEmpty ? [] : [""])
        for (key, value) in object.value.textMap("data").sorted(by: { $0.key < $1.key }) {
            let lines = value.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
            text.text(["", "\(key):", "----"] + (lines.last == "" ? lines.dropLast() : lines))
        }
        let binary = object.value.textMap("binaryData")
        guard !binary.isEmpty else { return }
        text.text([""])
        text.group("BinaryData") { group in
            for (key, value) in binary.sorted(by: { $0.key < $1.key }) { group.field(key, Self.size(value)) }
        }
    }

    /// Names and sizes only: what is secret is not shown.
    func secret(_ text: inout Description) {
        labels(&text)
        text.field("Type", object.value.text("type") ?? "Opaque")
        text.group("Data") { group in
            for (key, value) in object.value.textMap("data").sorted(by: { $0.key < $1.key }) {
                group.field(key, Self.size(value))
            }
        }
    }

    private static func size(_ base64: String) -> String { "\(Base64.decode(base64)?.count ?? 0) bytes" }

    func other(_ text: inout Description) {
        labels(&text)
        text.field("API Version", type.apiVersion)
        text.field("Kind", type.kind)
        text.field("Created", moment(object.creationTimestamp))
        owner(&text)
        for (name, value) in object.value.fields ?? Fields()
        where !["apiVersion", "kind", "metadata"].contains(name) {
            Self.entry(name, value, &text)
        }
    }

    private static func tree(_ value: Value, _ text: inout Description) {
        for (name, value) in value.fields ?? Fields() { entry(name, value, &text) }
    }

    private static func entry(_ name: String, _ value: Value, _ text: inout Description) {
        switch value {
        case .object(let fields) where fields.isEmpty: text.field(title(name), "<none>")
        case .object: text.group(title(name)) { tree(value, &$0) }
        case .array(let elements) where elements.contains(where: { $0.fields != nil }):
            text.group(title(name)) { group in
                for (index, element) in elements.enumerated() {
                    group.group("\(index + 1)") { tree(element, &$0) }
                }
            }
        case .array(let elements): text.field(title(name), elements.map(plain))
        default: text.field(title(name), plain(value))
        }
    }

    private static func plain(_ value: Value) -> String {
        value.stringValue.map { $0.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\\n") }
            ?? JSON.write(value)
    }

    /// `storageClassName` becomes `Storage Class Name`; names with signs in them stay.
    private static func title(_ name: String) -> String {
        guard name.allSatisfy(\.isLetter), let first = name.first, first.isLowercase else { return name }
        var title = ""
        var wasLower = false
        for character in name {
            if character.isUppercase, wasLower { title.append(" ") }
            wasLower = character.isLowercase
            title.append(character)
        }
        return title.capitalizedFirst
    }
}
