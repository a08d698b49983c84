package import Resources
package import Wire

/// What the pods of the machine hold of it, kept pod by pod, so that a change costs no look at the others.
///
/// Pure.
package struct NodeLedger: Sendable {
    /// A port of the machine itself.
    package struct HostPort: Sendable, Hashable {
        package var address: String
        package var port: Int
        package var protocolName: String

        /// Whether both cannot be had: an empty address is every one.
        func conflicts(with other: HostPort) -> Bool {
            port == other.port && protocolName == other.protocolName
                && (address == other.address || address.isEmpty || other.address.isEmpty)
        }
    }

    /// What one pod has, or wants to have.
    package struct Holding: Sendable, Equatable {
        package var key: ObjectKey
        package var demand: PodDemand
        package var ports: [HostPort]
        package var priority: Int
        /// RFC 3339 text: when the pod was made.
        package var created: String
        package var labels: [String: String]
        /// Terms of required anti-affinity.
        package var rejects: [Value]
        package var isEnding: Bool

        package init(_ pod: Object, _ key: ObjectKey) {
            self.key = key
            demand = PodDemand(pod.spec)
            priority = pod.spec.integer("priority") ?? 0
            created = pod.metadata.text("creationTimestamp") ?? ""
            labels = pod.labels
            rejects = PodNeighbours.terms(pod.spec, "podAntiAffinity")
            isEnding = pod.isDeleting
            ports = (pod.spec.list("containers") + pod.spec.list("initContainers")).flatMap { container in
                container.list("ports").compactMap { port in
                    guard let number = port.integer("hostPort"), number != 0 else { return nil }
                    let address = port.text("hostIP") ?? ""
                    return HostPort(
                        address: address == "0.0.0.0" ? "" : address,
                        port: number,
                        protocolName: port.text("protocol") ?? "TCP"
                    )
                }
            }
        }
    }

    package private(set) var holdings: [ObjectKey: Holding] = [:]
    package private(set) var sum = PodDemand()
    /// Pods without a machine.
    package private(set) var waiting: Set<ObjectKey> = []
    /// How many pods reject others.
    private var rejecting = 0

    package init() {}

    /// Whether some pod on the machine rejects others.
    package var hasRejections: Bool { rejecting > 0 }

    /// Takes over the newest state of a pod, nil for one that is gone.
    ///
    /// - Returns: whether the machine has more room than before, or other pods for neighbours.
    package mutating func observe(_ key: ObjectKey, _ pod: Object?) -> Bool {
        let isOver = ["Succeeded", "Failed"].contains(pod?.status.text("phase") ?? "")
        guard let pod, !isOver else {
            waiting.remove(key)
            return release(key)
        }
        guard PodSpec(pod.spec).nodeName != nil else {
            if pod.isDeleting { waiting.remove(key) } else { waiting.insert(key) }
            return release(key)
        }
        waiting.remove(key)
        return hold(Holding(pod, key))
    }

    /// Counts a pod in.
    ///
    /// - Returns: whether it stood there otherwise.
    @discardableResult
    package mutating func hold(_ holding: Holding) -> Bool {
        if holdings[holding.key] == holding { return false }
        let known = holdings[holding.key]
        release(holding.key)
        holdings[holding.key] = holding
        sum += holding.demand
        if !holding.rejects.isEmpty { rejecting += 1 }
        return known?.labels != holding.labels || known?.demand != holding.demand
    }

    /// - Returns: whether the pod was there.
    @discardableResult
    package mutating func release(_ key: ObjectKey) -> Bool {
        guard let holding = holdings.removeValue(forKey: key) else { return false }
        sum -= holding.demand
        if !holding.rejects.isEmpty { rejecting -= 1 }
        return true
    }
}
