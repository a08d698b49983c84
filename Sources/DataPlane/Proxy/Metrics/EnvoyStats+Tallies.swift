import Telemetry

/// The numbers of connections, relays and routes under Envoy's names.
extension EnvoyStats {
    mutating func add(_ tally: ClusterTally, _ scope: Scope) {
        for counter in ClusterCounter.allCases {
            self.counter(scope, ClusterCounter.names[counter.rawValue], tally[counter])
        }
        histogram(scope, "upstream_cx_length_ms", tally.lengths.distribution)
        histogram(scope, "upstream_cx_connect_ms", tally.connects.distribution)
        statuses(scope, "upstream_rq", tally.statuses)
        let inside = Dictionary(uniqueKeysWithValues: tally.internalStatuses.all)
        let outside = tally.statuses.all.map { (code: $0.code, count: $0.count &- (inside[$0.code] ?? 0)) }
        addOrigin("internal", tally.internalStatuses.all, scope)
        addOrigin("external", outside.filter { $0.count > 0 }, scope)
    }

    /// Answers to requests of the house, or to others.
    private mutating func addOrigin(_ name: String, _ codes: [(code: UInt16, count: UInt64)], _ scope: Scope) {
        guard !codes.isEmpty else { return }
        let inner = Scope(
            prefix: "\(scope.prefix)\(name).",
            family: "\(scope.family)_\(name)",
            labels: scope.labels
        )
        var numbers = AnswerNumbers()
        for (code, count) in codes where code >= 100 && code < 600 {
            numbers.classes[Int(code) / 100 - 1] &+= count
            numbers.completed &+= count
            status(inner, "upstream_rq", code, count)
        }
        counter(inner, "upstream_rq_completed", numbers.completed)
        classes(inner, "upstream_rq", numbers)
    }

    mutating func add(_ tally: ClientTally, _ scope: Scope) {
        for counter in ClientCounter.allCases {
            self.counter(scope, ClientCounter.names[counter.rawValue], tally[counter])
        }
        histogram(scope, "downstream_cx_length_ms", tally.lengths.distribution)
        gauge(scope, "downstream_cx_active", tally.active)
        gauge(scope, "downstream_cx_http1_active", tally.activeHTTP1)
        gauge(scope, "downstream_cx_ssl_active", tally.activeTLS)
        gauge(scope, "downstream_cx_upgrades_active", tally.activeUpgrades)
        gauge(scope, "downstream_rq_active", tally.activeRequests)
    }

    mutating func add(_ tally: ListenerTally, _ scope: Scope) {
        histogram(scope, "downstream_cx_length_ms", tally.lengths.distribution)
        counter(scope, "no_filter_chain_match", tally.noChain)
        counter(scope, "downstream_global_cx_overflow", tally.refused)
        counter(scope, "downstream_cx_overflow", tally.limited)
        gauge(scope, "downstream_pre_cx_active", tally.undecided)
        counter(scope, "downstream_pre_cx_timeout", tally.undecidedTimeouts)
        counter(scope, "downstream_cx_transport_socket_connect_timeout", tally.handshakeTimeouts)
    }

    mutating func add(_ tally: RelayTally, prefix: String) {
        let scope = Scope(prefix: "tcp.\(prefix).", family: "tcp", labels: [("envoy_tcp_prefix", prefix)])
        counter(scope, "downstream_cx_total", tally.total)
        counter(scope, "downstream_cx_no_route", tally.noRoute)
        counter(scope, "downstream_cx_rx_bytes_total", tally.received)
        counter(scope, "downstream_cx_tx_bytes_total", tally.sent)
        counter(scope, "idle_timeout", tally.idleTimeouts)
        counter(scope, "max_downstream_connection_duration", tally.durationTimeouts)
    }

    /// Of a name like `vhost.shop.route.cart`, or `vhost.shop.vcluster.cart`.
    mutating func add(_ tally: RouteTally, name: String, exemplars: ExemplarRow? = nil) {
        var scope = Scope(prefix: name + ".", family: "vhost", labels: [])
        let ends = [(".vcluster.", "vcluster", "envoy_virtual_cluster"), (".route.", "route", "envoy_route")]
        for (mark, family, label) in ends {
            guard let place = name.range(of: mark) else { continue }
            scope.family = "vhost_\(family)"
            scope.labels = [
                ("envoy_virtual_host", String(name[..<place.lowerBound].dropFirst("vhost.".count))),
                (label, String(name[place.upperBound...])),
            ]
            break
        }
        counter(scope, "upstream_rq_total", tally.total)
        counter(scope, "upstream_rq_completed", tally.numbers.completed)
        counter(scope, "upstream_rq_retry", tally.retries)
        counter(scope, "upstream_rq_retry_success", tally.retriesSucceeded)
        counter(scope, "upstream_rq_retry_limit_exceeded", tally.numbers.count(of: .upstreamRetryLimit))
        counter(scope, "upstream_rq_timeout", tally.timeouts)
        histogram(scope, "upstream_rq_time", tally.numbers.times.distribution, exemplars: exemplars)
        classes(scope, "upstream_rq", tally.numbers)
        statuses(scope, "upstream_rq", tally.statuses)
    }

    /// `upstream_rq_200` and so on: one family with a label for the status.
    private mutating func statuses(_ scope: Scope, _ name: String, _ statuses: StatusCounts) {
        for (code, count) in statuses.all { status(scope, name, code, count) }
    }

    private mutating func status(_ scope: Scope, _ name: String, _ code: UInt16, _ count: UInt64) {
        append(
            Stat(
                name: "\(scope.prefix)\(name)_\(code)",
                kind: .counter,
                value: Int64(clamping: count),
                family: "envoy_\(scope.family)_\(name)",
                labels: [("envoy_response_code", "\(code)")] + scope.labels
            )
        )
    }

    /// What the main thread did with configurations.
    mutating func add(_ changes: ResourceChanges) {
        let managers: [(String, String, ResourceChanges.Kind)] = [
            ("listener_manager", "listener", changes.listeners), ("cluster_manager", "cluster", changes.clusters),
        ]
        for (manager, name, kind) in managers {
            let scope = Scope(prefix: "\(manager).", family: manager, labels: [])
            counter(scope, "\(name)_added", kind.added)
            counter(scope, "\(name)_modified", kind.modified)
            counter(scope, "\(name)_removed", kind.removed)
        }
        let runtime = Scope(prefix: "runtime.", family: "runtime", labels: [])
        gauge(runtime, "num_keys", Int64(changes.runtimeKeys))
        gauge(runtime, "num_layers", Int64(changes.runtimeLayers))
        gauge(runtime, "admin_overrides_active", changes.overridesRuntime ? 1 : 0)
        counter(runtime, "load_success", changes.runtimeLoads)
    }
}

extension String {
    /// The first place of a text in this one.
    fileprivate func range(of text: String) -> Range<String.Index>? {
        var place = startIndex
        while place < endIndex {
            if self[place...].hasPrefix(text) { return place..<index(place, offsetBy: text.count) }
            place = index(after: place)
        }
        return nil
    }
}
