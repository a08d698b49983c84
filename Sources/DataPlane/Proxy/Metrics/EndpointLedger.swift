import Telemetry

/// Which endpoints have series of their own in a scrape, within a budget; the others of a cluster are one, `__other__`, whose
/// counters never go back. On the main thread.
struct EndpointLedger {
    struct Key: Hashable {
        var cluster: UInt64
        var endpoint: UInt64
    }

    static let standardLimit = 1000
    static let mostEndpoints = 20_000

    var limit = standardLimit
    private var own: Set<Key> = []
    /// What those without their own series had when they were looked at last.
    private var others: [Key: ClusterSummary.Endpoint] = [:]
    /// By cluster: what endpoints had that were in `__other__` and are not any more.
    private var departed: [UInt64: Counts] = [:]

    /// Endpoints that have their own series, and those that have not.
    var count: Int { own.count }
    var overflow: Int { others.count }

    struct Counts {
        var requests: UInt64 = 0
        var successes: UInt64 = 0
        var errors: UInt64 = 0
        var timeouts: UInt64 = 0
        var connections: UInt64 = 0
        var connectFailures: UInt64 = 0
        var requestsActive: Int64 = 0
        var connectionsActive: Int64 = 0
        var tally = EndpointTally()

        mutating func add(_ endpoint: ClusterSummary.Endpoint, isPresent: Bool) {
            requests &+= endpoint.requests
            successes &+= endpoint.successes
            errors &+= endpoint.errors
            timeouts &+= endpoint.timeouts
            connections &+= endpoint.connections
            connectFailures &+= endpoint.connectFailures
            tally.add(endpoint.tally)
            guard isPresent else { return }
            requestsActive += endpoint.requestsActive
            connectionsActive += endpoint.connectionsActive
        }
    }

    /// What a cluster's page shows: endpoints with series of their own, and the sum of the others where there are some.
    struct Shown {
        var own: [ClusterSummary.Endpoint] = []
        var other: Counts?
    }

    /// Takes the endpoints of all clusters that count each; by the identity of the cluster.
    mutating func update(_ clusters: [ClusterSummary]) -> [UInt64: Shown] {
        var present: [Key: ClusterSummary.Endpoint] = [:]
        var order: [Key] = []
        for cluster in clusters where cluster.configuration.settings.tracksEndpoints {
            for endpoint in cluster.endpoints {
                let key = Key(cluster: cluster.configuration.identity, endpoint: endpoint.configuration.identity)
                if present.updateValue(endpoint, forKey: key) == nil { order.append(key) }
            }
        }
        let clusterIdentities = Set(clusters.map(\.configuration.identity))
        departed = departed.filter { clusterIdentities.contains($0.key) }
        own = own.filter { present[$0] != nil }
        for (key, last) in others where present[key] == nil || own.count < limit {
            others[key] = nil
            departed[key.cluster, default: Counts()].add(last, isPresent: false)
        }
        var shown: [UInt64: Shown] = [:]
        for (identity, counts) in departed { shown[identity, default: Shown()].other = counts }
        for key in order {
            guard let endpoint = present[key] else { continue }
            if own.contains(key) || (others[key] == nil && own.count < limit) {
                own.insert(key)
                shown[key.cluster, default: Shown()].own.append(endpoint)
            } else {
                others[key] = endpoint
                var counts = shown[key.cluster]?.other ?? Counts()
                counts.add(endpoint, isPresent: true)
                shown[key.cluster, default: Shown()].other = counts
            }
        }
        return shown
    }
}

extension EnvoyStats {
    /// Each endpoint's numbers, as Envoy's `per_endpoint_stats`, with its answers by class and its response times.
    mutating func add(_ shown: EndpointLedger.Shown, of cluster: ClusterSummary) {
        for endpoint in shown.own {
            var counts = EndpointLedger.Counts()
            counts.add(endpoint, isPresent: true)
            let address = endpoint.configuration.address.display
            add(counts, address, endpoint.configuration.hostname, isHealthy: endpoint.healthFlags == "healthy", cluster)
        }
        if let other = shown.other { add(other, "__other__", nil, isHealthy: nil, cluster) }
    }

    private mutating func add(
        _ counts: EndpointLedger.Counts,
        _ address: String,
        _ hostname: String?,
        isHealthy: Bool?,
        _ cluster: ClusterSummary
    ) {
        let label = cluster.configuration.statName
        var labels = [("envoy_cluster_name", label), ("envoy_endpoint_address", address)]
        if let hostname, !hostname.isEmpty { labels.append(("envoy_endpoint_hostname", hostname)) }
        let place = String(address.map { $0 == ":" ? "_" : $0 })
        let scope = Scope(prefix: "cluster.\(label).endpoint.\(place).", family: "cluster_endpoint", labels: labels)
        counter(scope, "cx_connect_fail", counts.connectFailures)
        counter(scope, "cx_total", counts.connections)
        counter(scope, "rq_error", counts.errors)
        counter(scope, "rq_success", counts.successes)
        counter(scope, "rq_timeout", counts.timeouts)
        counter(scope, "rq_total", counts.requests)
        gauge(scope, "cx_active", counts.connectionsActive)
        gauge(scope, "rq_active", counts.requestsActive)
        if let isHealthy { gauge(scope, "healthy", isHealthy ? 1 : 0) }
        var answers = AnswerNumbers()
        answers.classes = counts.tally.classes
        classes(scope, "upstream_rq", answers)
        histogram(scope, "upstream_rq_time", counts.tally.times.distribution)
    }
}
