import Traffic

extension EnvoyStats {
    /// The sizes of the tables by which a cluster's requests are placed.
    mutating func addHashTable(_ scope: Scope, _ cluster: ClusterSummary) {
        guard case .hash(let settings) = cluster.configuration.settings.policy, let sizes = cluster.hashTableSizes
        else { return }
        if case .ring = settings.kind {
            gauge(scope, "ring_hash_lb.size", Int64(sizes.count))
            gauge(scope, "ring_hash_lb.min_hashes_per_host", Int64(sizes.fewest))
            gauge(scope, "ring_hash_lb.max_hashes_per_host", Int64(sizes.most))
        } else {
            gauge(scope, "maglev_lb.min_entries_per_host", Int64(sizes.fewest))
            gauge(scope, "maglev_lb.max_entries_per_host", Int64(sizes.most))
        }
    }
}
