package import Resources
import Wire

/// Whether a pod can stand on the machine as it is, and what would have to go for it.
///
/// Pure: Kubernetes' filters in their order, the first that refuses gives the reasons.
package enum Placement: Equatable, Sendable {
    case fits
    /// Something else than other pods is in the way.
    case unfit([String])
    /// Other pods are in the way.
    case crowded([String])

    /// - Parameters:
    ///   - pod: the pod.
    ///   - holding: what it asks for.
    ///   - node: the machine.
    ///   - ledger: what others hold of it.
    ///   - namespaces: the labels of a namespace.
    package init(
        _ pod: Object,
        _ holding: NodeLedger.Holding,
        on node: Object,
        _ ledger: NodeLedger,
        namespaces: (String) -> [String: String]
    ) {
        if let problem = NodeFit.problem(pod.spec, on: node) {
            self = .unfit([problem])
            return
        }
        if !holding.ports.isEmpty {
            let taken = ledger.holdings.values.lazy.flatMap(\.ports)
            if taken.contains(where: { port in holding.ports.contains { $0.conflicts(with: port) } }) {
                self = .crowded(["node(s) didn't have free ports for the requested pod ports"])
                return
            }
        }
        let short = Self.short(holding, node, ledger)
        guard short.reasons.isEmpty else {
            self = short.isHopeless ? .unfit(short.reasons) : .crowded(short.reasons)
            return
        }
        if let problem = PodNeighbours.problem(pod, beside: ledger, on: node, namespaces: namespaces) {
            self = problem.contains("anti-affinity") ? .crowded([problem]) : .unfit([problem])
            return
        }
        self = .fits
    }

    /// What there is too little of; hopeless, when the empty machine had too little as well.
    private static func short(
        _ holding: NodeLedger.Holding,
        _ node: Object,
        _ ledger: NodeLedger
    ) -> (reasons: [String], isHopeless: Bool) {
        var reasons: [String] = []
        var isHopeless = false
        let has = node.status["allocatable"]
        let pods = Quantity(has?["pods"]) ?? .zero
        if Quantity(ledger.holdings.count + 1) > pods { reasons.append("Too many pods") }
        for (name, wanted) in holding.demand.amounts.sorted(by: { $0.key < $1.key }) where wanted > .zero {
            let all = Quantity(has?[name]) ?? .zero
            guard ledger.sum[name] + wanted > all else { continue }
            reasons.append("Insufficient \(name)")
            if wanted > all { isHopeless = true }
        }
        return (reasons, isHopeless)
    }

    /// Which pods of lower priority have to go so that a pod fits: as few and as unimportant ones as possible.
    ///
    /// - Parameters:
    ///   - holding: what the pod asks for.
    ///   - ledger: what others hold.
    ///   - isProtected: pods that only go when nothing else helps.
    ///   - fits: whether the pod fits beside what is left.
    /// - Returns: nil when nothing helps.
    package static func victims(
        for holding: NodeLedger.Holding,
        in ledger: NodeLedger,
        isProtected: (NodeLedger.Holding) -> Bool = { _ in false },
        fits: (NodeLedger) -> Bool
    ) -> [ObjectKey]? {
        let lower = ledger.holdings.values.filter { $0.priority < holding.priority }
        guard !lower.isEmpty else { return nil }
        var left = ledger
        for one in lower { left.release(one.key) }
        guard fits(left) else { return nil }
        // The important ones come back first, of equals the older; those of a budget before all others.
        let order = lower.map { ($0, isProtected($0)) }.sorted { one, two in
            if one.1 != two.1 { return one.1 }
            if one.0.priority != two.0.priority { return one.0.priority > two.0.priority }
            return (one.0.created, one.0.key) < (two.0.created, two.0.key)
        }
        var victims: [ObjectKey] = []
        for (one, _) in order {
            var tried = left
            tried.hold(one)
            if fits(tried) { left = tried } else { victims.append(one.key) }
        }
        return victims
    }

    /// The scheduler's sentence about one machine.
    package static func sentence(_ reasons: [String], preemption: String?) -> String {
        let list = reasons.sorted().map { "1 \($0)" }.joined(separator: ", ")
        let first = "0/1 nodes are available: \(list)."
        guard let preemption else { return first }
        return "\(first) preemption: \(preemption)"
    }
}
