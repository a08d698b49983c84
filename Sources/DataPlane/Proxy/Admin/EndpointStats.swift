extension ProxyProcess {
    /// What the main thread itself counts of clusters' endpoints, under Envoy's names.
    var endpointStats: [(name: String, value: Int64)] {
        var stats: [(name: String, value: Int64)] = []
        func add(_ name: String, _ value: UInt64) { stats.append((name, Int64(clamping: value))) }
        for (name, counts) in names.counts {
            let cluster = store.clusters[name].map(\.statName) ?? name
            add("cluster.\(cluster).update_attempt", counts.attempts)
            add("cluster.\(cluster).update_success", counts.successes)
            add("cluster.\(cluster).update_failure", counts.failures)
            add("cluster.\(cluster).update_empty", counts.empty)
        }
        add("dns.cares.resolve_total", names.totals.questions)
        add("dns.cares.pending_resolutions", UInt64(names.pending))
        add("dns.cares.not_found", names.totals.notFound)
        add("dns.cares.get_addr_failure", names.totals.failures)
        for case let cluster? in store.snapshot.clusters {
            guard let counts = health?.counts(of: cluster.identity) else { continue }
            let prefix = "cluster.\(cluster.statName).health_check."
            add(prefix + "attempt", counts.attempts)
            add(prefix + "success", counts.successes)
            add(prefix + "failure", counts.failures)
            add(prefix + "passive_failure", counts.passiveFailures)
            add(prefix + "network_failure", counts.networkFailures)
            add(prefix + "verify_cluster", counts.verifyFailures)
            stats.append((prefix + "healthy", counts.healthy))
            stats.append((prefix + "degraded", counts.degraded))
        }
        return stats
    }
}
