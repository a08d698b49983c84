/// What a question about the health of what stands behind is answered with.
package enum HealthAnswer: Sendable, Equatable {
    case ok
    /// The proxy itself is told to fail, or drains.
    case failed
    case noCluster
    case emptyCluster
    case unhealthyCluster

    /// A cluster's endpoints, and the share of them that has to be well.
    package struct Cluster: Sendable {
        package var total: Int
        package var healthy: Int
        package var wantedPercent: Double

        package init(total: Int, healthy: Int, wantedPercent: Double) {
            self.total = total
            self.healthy = healthy
            self.wantedPercent = wantedPercent
        }
    }

    package var status: UInt16 { self == .ok ? 200 : 503 }

    package var details: String {
        switch self {
        case .ok: "health_check_ok"
        case .failed: "health_check_failed"
        case .noCluster: "health_check_no_cluster_found"
        case .emptyCluster: "health_check_cluster_empty"
        case .unhealthyCluster: "health_check_cluster_unhealthy"
        }
    }

    /// The first cluster that is not as it has to be decides; nil in the list stands for one that is not there.
    package static func judge(isFailed: Bool, clusters: [Cluster?]) -> HealthAnswer {
        if isFailed { return .failed }
        for cluster in clusters {
            guard let cluster else { return .noCluster }
            guard cluster.total > 0 else {
                if cluster.wantedPercent > 0 { return .emptyCluster }
                continue
            }
            if Double(100 * cluster.healthy) < Double(cluster.total) * cluster.wantedPercent {
                return .unhealthyCluster
            }
        }
        return .ok
    }
}
