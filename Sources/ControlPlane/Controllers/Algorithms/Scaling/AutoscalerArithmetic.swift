/// How many pods a HorizontalPodAutoscaler's metric asks for.
///
/// Pure. Kubernetes' arithmetic: the ratio of use to target over the pods that count, rounded up, and no step at all while
/// the ratio is within the tolerance of 1.
package struct AutoscalerArithmetic: Equatable, Sendable {
    /// One pod of the target and what it uses of a resource.
    package struct Pod: Equatable, Sendable {
        package enum State: Equatable, Sendable {
            /// It counts.
            case ready
            /// It has just begun, or is not ready: nothing it uses says anything yet.
            case unready
        }

        package var state: State
        /// Nil when nothing was measured.
        package var usage: Double?
        /// What it asked for; needed for a share of it.
        package var request: Double?

        package init(_ state: State = .ready, usage: Double?, request: Double? = nil) {
            self.state = state
            self.usage = usage
            self.request = request
        }
    }

    package enum Target: Equatable, Sendable {
        /// Percent of what the pods asked for.
        case utilization(Double)
        /// For each pod.
        case average(Double)
    }

    /// A metric's answer.
    package struct Proposal: Equatable, Sendable {
        package var replicas: Int
        /// Percent of the request, or use per pod: what the status shows.
        package var current: Double

        package init(replicas: Int, current: Double) {
            self.replicas = replicas
            self.current = current
        }
    }

    package var replicas: Int
    package var toleranceUp: Double
    package var toleranceDown: Double
    /// More than this nobody has.
    private static let limit = 1_000_000

    package init(replicas: Int, toleranceUp: Double = 0.1, toleranceDown: Double = 0.1) {
        self.replicas = replicas
        self.toleranceUp = toleranceUp
        self.toleranceDown = toleranceDown
    }

    private func isTolerated(_ ratio: Double) -> Bool {
        // A hair beyond the bound is rounding, not load.
        ratio <= 1 + toleranceUp + 1e-9 && ratio >= 1 - toleranceDown - 1e-9
    }

    private func rounded(_ amount: Double) -> Int {
        Int(max(0, min((amount - 1e-9).rounded(.up), Double(Self.limit))))
    }

    /// By the use of a resource (or of a metric that is shared out) over the pods.
    ///
    /// Pods without a measure count as using all they may when the number would fall, and nothing when it would rise; so do
    /// pods that are not ready when it would rise. When that turns the direction round, nothing is done.
    ///
    /// - Returns: nil when no pod was measured.
    package func byUse(_ pods: [Pod], target: Target) -> Proposal? {
        let counted = pods.filter { $0.state == .ready && $0.usage != nil }
        guard !counted.isEmpty, let (ratio, current) = Self.ratio(counted, target) else { return nil }
        let missing = pods.filter { $0.state == .ready && $0.usage == nil }
        let unready = pods.filter { $0.state == .unready }
        let rises = ratio > 1
        guard (rises && !unready.isEmpty) || !missing.isEmpty else {
            let wanted = isTolerated(ratio) ? replicas : rounded(ratio * Double(counted.count))
            return Proposal(replicas: wanted, current: current)
        }
        var all = counted
        for var pod in missing {
            pod.usage = ratio < 1 ? Self.full(pod, target) : 0
            all.append(pod)
        }
        if rises {
            for var pod in unready {
                pod.usage = 0
                all.append(pod)
            }
        }
        guard let (cautious, _) = Self.ratio(all, target) else { return Proposal(replicas: replicas, current: current) }
        if isTolerated(cautious) || (ratio < 1) != (cautious < 1) {
            return Proposal(replicas: replicas, current: current)
        }
        let wanted = rounded(cautious * Double(all.count))
        let turnsRound = cautious < 1 ? wanted > replicas : wanted < replicas
        return Proposal(replicas: turnsRound ? replicas : wanted, current: current)
    }

    /// What a pod without a measure uses at worst.
    private static func full(_ pod: Pod, _ target: Target) -> Double {
        switch target {
        case .utilization(let percent): (pod.request ?? 0) * max(100, percent) / 100
        case .average(let amount): amount
        }
    }

    private static func ratio(_ pods: [Pod], _ target: Target) -> (ratio: Double, current: Double)? {
        let usage = pods.reduce(0) { $0 + ($1.usage ?? 0) }
        switch target {
        case .utilization(let percent):
            let request = pods.reduce(0) { $0 + ($1.request ?? 0) }
            guard request > 0, percent > 0 else { return nil }
            let current = (usage * 100 / request).rounded(.down)
            return (current / percent, current)
        case .average(let amount):
            guard amount > 0, !pods.isEmpty else { return nil }
            let current = usage / Double(pods.count)
            return (current / amount, current)
        }
    }

    /// By one value for all, such as a latency: the ready pods times value over target.
    package func byValue(_ value: Double, target: Double, readyPods: Int) -> Proposal {
        let ratio = target > 0 ? value / target : 1
        let wanted = isTolerated(ratio) ? replicas : rounded(ratio * Double(readyPods))
        return Proposal(replicas: wanted, current: value)
    }

    /// By a sum that the pods share, such as requests per second.
    package func bySum(_ sum: Double, perPod: Double) -> Proposal {
        guard perPod > 0 else { return Proposal(replicas: replicas, current: 0) }
        let current = replicas > 0 ? sum / Double(replicas) : sum
        let wanted = isTolerated(current / perPod) && replicas > 0 ? replicas : rounded(sum / perPod)
        return Proposal(replicas: wanted, current: current)
    }

    /// Of several metrics the largest answer counts. One that cannot be answered keeps the number from falling.
    ///
    /// - Returns: the number and which metric asked for it; nil when there is no answer, or only one that must not count.
    package static func choose(_ proposals: [Proposal?], replicas: Int) -> (replicas: Int, index: Int)? {
        var best: (replicas: Int, index: Int)?
        for (index, proposal) in proposals.enumerated() {
            guard let proposal, proposal.replicas > best?.replicas ?? -1 else { continue }
            best = (proposal.replicas, index)
        }
        guard let best else { return nil }
        if proposals.contains(where: { $0 == nil }), best.replicas < replicas { return nil }
        return best
    }
}
