import Traffic

/// Outlier detection in a worker: failures in a row are counted here, ejections hold for all workers, and what needs the numbers
/// of an interval is decided by the first worker with the numbers of all.
extension Worker {
    func ejected(_ cluster: ClusterPlace, _ slot: Int32, _ cause: EjectionCause) {
        switch cause {
        case .consecutive5xx: metrics.count(.ejectionsConsecutive5xx)
        case .consecutiveGateway: metrics.count(.ejectionsConsecutiveGateway)
        case .consecutiveLocal: metrics.count(.ejectionsConsecutiveLocal)
        case .successRate, .localSuccessRate: metrics.count(.ejectionsSuccessRate)
        case .failurePercentage, .localFailurePercentage: metrics.count(.ejectionsFailurePercentage)
        }
        tell(cluster, slot)
    }

    private func tell(_ cluster: ClusterPlace, _ slot: Int32) {
        guard let ejection = cluster.pointee.set.ejection(of: slot) else { return }
        control.post(
            .ejected(
                ClusterEjection(
                    worker: number,
                    cluster: cluster.pointee.index,
                    identity: cluster.pointee.identity,
                    ejection: ejection
                )
            )
        )
    }

    func sweepOutliers() {
        let decides = number == 0
        var tallies: [ClusterTallies] = []
        for case let cluster? in clusters where cluster.pointee.configuration.settings.outlier != nil {
            if !decides {
                let taken = cluster.pointee.set.takeTallies()
                if !taken.isEmpty {
                    tallies.append(
                        ClusterTallies(
                            cluster: cluster.pointee.index,
                            identity: cluster.pointee.identity,
                            tallies: taken
                        )
                    )
                }
            }
            let before = cluster.pointee.set.outlierCounts
            let (returned, ejected) = cluster.pointee.set.sweep(now: now, decides: decides)
            metrics.count(.ejectionsEnded, UInt64(returned.count))
            guard !ejected.isEmpty else { continue }
            let after = cluster.pointee.set.outlierCounts
            func made(_ causes: EjectionCause...) -> UInt64 {
                causes.reduce(0) { $0 + after.enforced[Int($1.rawValue)] - before.enforced[Int($1.rawValue)] }
            }
            metrics.count(.ejectionsSuccessRate, made(.successRate, .localSuccessRate))
            metrics.count(.ejectionsFailurePercentage, made(.failurePercentage, .localFailurePercentage))
            for slot in ejected { tell(cluster, slot) }
        }
        if !tallies.isEmpty { control.post(.tallies(tallies)) }
    }

    func follow(_ other: ClusterEjection) {
        guard other.worker != number, let cluster = cluster(other.cluster, other.identity) else { return }
        cluster.pointee.set.follow(other.ejection)
    }

    func add(_ tallies: [ClusterTallies]) {
        for entry in tallies { cluster(entry.cluster, entry.identity)?.pointee.set.add(entry.tallies) }
    }

    /// A cluster by its place, if it is still the same one.
    func cluster(_ index: Int32, _ identity: UInt64) -> ClusterPlace? {
        guard clusters.indices.contains(Int(index)), let cluster = clusters[Int(index)],
            cluster.pointee.identity == identity
        else { return nil }
        return cluster
    }
}

/// An ejection by a worker, for the others.
struct ClusterEjection: Sendable {
    var worker: Int
    var cluster: Int32
    var identity: UInt64
    var ejection: Ejection
}

/// The numbers of a worker, for the one that decides.
struct ClusterTallies: Sendable {
    var cluster: Int32
    var identity: UInt64
    var tallies: [OutlierTally]
}
