import Reactor
import Traffic
import Wire

/// `/clusters` in Envoy's text and JSON shapes.
enum ClusterPages {
    static func text(_ clusters: [ClusterSummary]) -> String {
        var text = ""
        for cluster in clusters {
            let name = cluster.name
            for breaker in cluster.breakerStates {
                let resource = breaker.resource == "pending" ? "pending_requests" : breaker.resource
                text += "\(name)::\(breaker.priority)_priority::max_\(resource)::\(breaker.limit)\n"
            }
            text += "\(name)::observability_name::\(name)\n"
            text += "\(name)::panic::\(cluster.isInPanic)\n"
            for endpoint in cluster.endpoints { write(endpoint, cluster: name, into: &text) }
        }
        return text
    }

    private static func write(_ endpoint: ClusterSummary.Endpoint, cluster: String, into text: inout String) {
        let prefix = "\(cluster)::\(endpoint.configuration.display)::"
        for (name, value) in numbers(of: endpoint) { text += "\(prefix)\(name)::\(value)\n" }
        text += "\(prefix)hostname::\(endpoint.configuration.hostname ?? "")\n"
        text += "\(prefix)health_flags::\(endpoint.healthFlags)\n"
        text += "\(prefix)weight::\(endpoint.configuration.weight)\n"
        text += "\(prefix)priority::\(endpoint.configuration.priority)\n"
        let ewma = (endpoint.ewmaMilliseconds * 1000).rounded() / 1000
        text += "\(prefix)ewma_ms::\(ewma)\n"
    }

    private static func numbers(of endpoint: ClusterSummary.Endpoint) -> [(name: String, value: UInt64)] {
        [
            ("cx_active", UInt64(max(0, endpoint.connectionsActive))),
            ("cx_connect_fail", endpoint.connectFailures),
            ("cx_total", endpoint.connections),
            ("rq_active", UInt64(max(0, endpoint.requestsActive))),
            ("rq_error", endpoint.errors),
            ("rq_success", endpoint.successes),
            ("rq_timeout", endpoint.timeouts),
            ("rq_total", endpoint.requests),
        ]
    }

    /// The page as JSON; `now` is of the steady clock, in nanoseconds.
    static func json(_ clusters: [ClusterSummary], now: UInt64) -> Value {
        ["cluster_statuses": .array(clusters.map { status($0, now) })]
    }

    private static func status(_ cluster: ClusterSummary, _ now: UInt64) -> Value {
        let thresholds = Dictionary(grouping: cluster.breakerStates, by: \.priority).sorted { $0.key < $1.key }
        return [
            "name": .string(cluster.name),
            "observability_name": .string(cluster.name),
            "is_in_panic": .bool(cluster.isInPanic),
            "circuit_breakers": [
                "thresholds": .array(
                    thresholds.map { priority, breakers in
                        var fields: Value = ["priority": .string(priority.uppercased())]
                        for breaker in breakers {
                            let name = breaker.resource == "pending" ? "pending_requests" : breaker.resource
                            fields["max_\(name)"] = .int(Int64(breaker.limit))
                            fields["\(name)_in_use"] = .int(Int64(breaker.inUse))
                        }
                        return fields
                    }
                )
            ],
            "host_statuses": .array(cluster.endpoints.map { host($0, now) }),
        ]
    }

    private static func host(_ endpoint: ClusterSummary.Endpoint, _ now: UInt64) -> Value {
        let stats = numbers(of: endpoint).map { name, value -> Value in
            let kind: Value = name.hasSuffix("active") ? "GAUGE" : "COUNTER"
            return ["name": .string(name), "value": .string(String(value)), "type": kind]
        }
        var status: Value = [
            "address": address(endpoint.configuration.address),
            "stats": .array(stats),
            "health_status": [
                "eds_health_status": .string(endpoint.configuration.health.apiName),
                "failed_outlier_check": .bool(endpoint.isEjected),
                "failed_active_health_check": .bool(!endpoint.check.isUsable),
                "failed_active_degraded_check": .bool(endpoint.check == .degraded),
                "pending_active_hc": .bool(endpoint.check == .pending),
                "pending_dynamic_removal": .bool(endpoint.configuration.isLeaving),
            ],
            "weight": .int(Int64(endpoint.configuration.weight)),
            "priority": .int(Int64(endpoint.configuration.priority)),
            "ewma_ms": .double(endpoint.ewmaMilliseconds),
        ]
        if let hostname = endpoint.configuration.hostname { status["hostname"] = .string(hostname) }
        if endpoint.ejections > 0 || endpoint.consecutiveErrors > 0 { status["outlier"] = outlier(endpoint, now) }
        return status
    }

    /// What outlier detection holds against an endpoint; Envoy's page has no word for it.
    private static func outlier(_ endpoint: ClusterSummary.Endpoint, _ now: UInt64) -> Value {
        var outlier: Value = [
            "ejections": .int(Int64(endpoint.ejections)),
            "consecutive_errors": .int(Int64(endpoint.consecutiveErrors)),
        ]
        guard endpoint.isEjected else { return outlier }
        let left = endpoint.ejectedUntil > now ? (endpoint.ejectedUntil - now) / 1_000_000 : 0
        outlier["ejected_milliseconds"] = .int(Int64(clamping: left))
        if let cause = endpoint.ejectionCause { outlier["cause"] = .string(cause.name) }
        return outlier
    }

    static func address(_ address: Address) -> Value {
        if case .pipe(let path) = address.host { return ["pipe": ["path": .string(path)]] }
        let host = address.socketAddress?.host ?? ""
        return ["socket_address": ["address": .string(host), "port_value": .int(Int64(address.port))]]
    }
}

extension EndpointConfiguration.Health {
    /// The name in Envoy's API.
    var apiName: String { "\(self)".uppercased() }
}
