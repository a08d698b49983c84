/// The next steps of a StatefulSet: which pods to make, which to delete. Empty while something is to be waited for.
///
/// Pure. In order (`OrderedReady`) one pod at a time, lower numbers first when growing, higher ones first when shrinking and
/// updating; in parallel all at once, but for updates.
package struct StatefulSetArithmetic: Equatable, Sendable {
    /// One pod of the set.
    package struct Pod: Equatable, Sendable {
        package var ordinal: Int
        package var revision: String
        package var isEnding = false
        /// It ended by itself, well or badly: it is made anew.
        package var hasEnded = false
        package var isReady = true
        /// Ready for `minReadySeconds`.
        package var isAvailable = true

        package init(
            _ ordinal: Int,
            _ revision: String,
            isEnding: Bool = false,
            hasEnded: Bool = false,
            isReady: Bool = true,
            isAvailable: Bool? = nil
        ) {
            self.ordinal = ordinal
            self.revision = revision
            self.isEnding = isEnding
            self.hasEnded = hasEnded
            self.isReady = isReady
            self.isAvailable = isAvailable ?? isReady
        }

        var isHealthy: Bool { isReady && isAvailable && !isEnding && !hasEnded }
    }

    package enum Step: Equatable, Sendable {
        case create(ordinal: Int, revision: String)
        /// The number is kept: the pod comes back.
        case replace(ordinal: Int)
        /// The number is given up.
        case remove(ordinal: Int)
    }

    package var replicas: Int
    package var start = 0
    package var isParallel = false
    package var updatesOnDelete = false
    package var partition = 0
    package var maxUnavailable = 1
    package var currentRevision: String
    package var updateRevision: String

    package init(replicas: Int, currentRevision: String, updateRevision: String) {
        self.replicas = replicas
        self.currentRevision = currentRevision
        self.updateRevision = updateRevision
    }

    private var numbers: Range<Int> { start..<(start + max(0, replicas)) }

    /// The revision of which a pod is made.
    package func revision(of ordinal: Int) -> String {
        !updatesOnDelete && ordinal - start < partition ? currentRevision : updateRevision
    }

    package func steps(_ pods: [Pod]) -> [Step] {
        let present = Dictionary(pods.map { ($0.ordinal, $0) }, uniquingKeysWith: { first, _ in first })
        var steps: [Step] = []
        for ordinal in numbers {
            let pod = present[ordinal]
            if let step = grow(ordinal, pod) { steps.append(step) }
            let isSettled = pod?.isHealthy ?? false
            if !isParallel, !isSettled { return steps }
        }
        for pod in pods.filter({ !numbers.contains($0.ordinal) }).sorted(by: { $0.ordinal > $1.ordinal }) {
            if !pod.isEnding { steps.append(.remove(ordinal: pod.ordinal)) }
            if !isParallel { return steps }
        }
        if !updatesOnDelete { steps += update(present, excluding: steps) }
        return steps
    }

    private func grow(_ ordinal: Int, _ pod: Pod?) -> Step? {
        guard let pod else { return .create(ordinal: ordinal, revision: revision(of: ordinal)) }
        if pod.isEnding { return nil }
        if pod.hasEnded { return .replace(ordinal: ordinal) }
        // An outdated pod that does not get ready would hold up the very update that may cure it.
        let isOutdated = !updatesOnDelete && pod.revision != updateRevision && ordinal - start >= partition
        return !isParallel && !pod.isReady && isOutdated ? .replace(ordinal: ordinal) : nil
    }

    private func update(_ present: [Int: Pod], excluding steps: [Step]) -> [Step] {
        var result: [Step] = []
        var left = maxUnavailable
        for ordinal in numbers.reversed() where ordinal - start >= partition {
            guard left > 0 else { break }
            guard let pod = present[ordinal], !pod.isEnding, !steps.contains(.replace(ordinal: ordinal)) else {
                left -= 1
                continue
            }
            if pod.revision != updateRevision {
                result.append(.replace(ordinal: ordinal))
                left -= 1
            } else if !pod.isHealthy {
                left -= 1
            }
        }
        return result
    }
}
