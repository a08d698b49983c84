package import Wire

/// What a pod asks of a machine, or may take of it at most, by resource.
///
/// The sum of its containers and sidecars, or the largest init container with the sidecars that run before it, whichever is
/// more; what the pod's own `resources` name stands instead; `overhead` comes on top.
package struct PodDemand: Sendable, Equatable {
    package private(set) var amounts: [String: Quantity] = [:]

    package init() {}

    /// - Parameters:
    ///   - pod: a pod's `spec`.
    ///   - list: `requests` or `limits`.
    package init(_ pod: Value, _ list: String = "requests") {
        var running: [String: Quantity] = [:]
        for container in pod.list("containers") { Self.add(Self.amounts(container, list), to: &running) }
        var beside: [String: Quantity] = [:]
        var first: [String: Quantity] = [:]
        for container in pod.list("initContainers") {
            let own = Self.amounts(container, list)
            if container.text("restartPolicy") == "Always" {
                Self.add(own, to: &running)
                Self.add(own, to: &beside)
                Self.raise(&first, to: beside)
            } else {
                var together = beside
                Self.add(own, to: &together)
                Self.raise(&first, to: together)
            }
        }
        Self.raise(&running, to: first)
        for (name, amount) in Self.amounts(pod, list) { running[name] = amount }
        for (name, value) in pod["overhead"]?.fields ?? Fields() {
            guard let amount = Quantity(value), list == "requests" || running[name] != nil else { continue }
            running[name] = (running[name] ?? .zero) + amount
        }
        amounts = running
    }

    package subscript(name: String) -> Quantity { amounts[name] ?? .zero }

    package static func += (left: inout PodDemand, right: PodDemand) { add(right.amounts, to: &left.amounts) }

    package static func -= (left: inout PodDemand, right: PodDemand) {
        for (name, amount) in right.amounts {
            let rest = (left.amounts[name] ?? .zero) - amount
            left.amounts[name] = rest == .zero ? nil : rest
        }
    }

    private static func amounts(_ holder: Value, _ list: String) -> [String: Quantity] {
        var amounts: [String: Quantity] = [:]
        for (name, value) in holder.at("resources", list)?.fields ?? Fields() { amounts[name] = Quantity(value) }
        return amounts
    }

    private static func add(_ more: [String: Quantity], to sum: inout [String: Quantity]) {
        for (name, amount) in more { sum[name] = (sum[name] ?? .zero) + amount }
    }

    private static func raise(_ amounts: inout [String: Quantity], to others: [String: Quantity]) {
        for (name, amount) in others { amounts[name] = max(amounts[name] ?? .zero, amount) }
    }
}
