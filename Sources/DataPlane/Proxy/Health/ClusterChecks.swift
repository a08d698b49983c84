import Reactor
import Traffic

/// The checks of one cluster's endpoints.
///
/// Belongs to the monitor's loop.
final class ClusterChecks {
    private(set) var settings: HealthCheckSettings
    private(set) var configuration: ClusterConfiguration
    let loop: HandlerLoop
    let table: CheckFields
    private var checks: [UInt64: EndpointCheck] = [:]
    private let monitor: HealthMonitor
    private var counts = HealthCounts()
    /// Endpoints that workers left out since their last check that succeeded.
    private var ejected: Set<UInt64> = []

    init(
        _ configuration: ClusterConfiguration,
        _ settings: HealthCheckSettings,
        _ monitor: HealthMonitor,
        _ loop: HandlerLoop,
        _ table: CheckFields
    ) {
        self.configuration = configuration
        self.settings = settings
        self.monitor = monitor
        self.loop = loop
        self.table = table
    }

    /// Takes over the newest endpoints: those that stay keep what is known of them.
    func update(_ configuration: ClusterConfiguration, _ settings: HealthCheckSettings) {
        let isOther = configuration.settings.checkVersion != self.configuration.settings.checkVersion
        self.configuration = configuration
        self.settings = settings
        var wanted: Set<UInt64> = []
        for endpoint in configuration.endpoints {
            guard let target = endpoint.check, wanted.insert(endpoint.identity).inserted else { continue }
            if let known = checks[endpoint.identity] {
                known.update(target, isOtherCheck: isOther)
            } else if let made = EndpointCheck(endpoint.identity, target, self) {
                checks[endpoint.identity] = made
            } else {
                monitor.warn("cluster \(configuration.name): an endpoint cannot be checked: out of memory")
            }
        }
        for (identity, check) in checks where !wanted.contains(identity) {
            check.shutdown()
            checks[identity] = nil
            ejected.remove(identity)
        }
        publishCounts()
    }

    func shutdown() {
        for check in checks.values { check.shutdown() }
        checks = [:]
    }

    /// Whether every endpoint was checked once.
    var isWarm: Bool { checks.values.allSatisfy { !$0.judge.isFirst } }

    func ejected(_ endpoint: UInt64) {
        guard checks[endpoint] != nil, configuration.settings.outlier?.endsWithHealthCheck ?? false else { return }
        ejected.insert(endpoint)
    }

    func failPassively(_ endpoint: UInt64) { checks[endpoint]?.failPassively() }

    // MARK: For a check

    var hasTraffic: Bool { configuration.traffic.isSet }
    func random() -> UInt64 { monitor.random.next() }

    func count(_ change: (inout HealthCounts) -> Void) {
        change(&counts)
        publishCounts()
    }

    private func publishCounts() {
        counts.healthy = Int64(checks.values.count { $0.judge.state.isUsable })
        counts.degraded = Int64(checks.values.count { $0.judge.state == .degraded })
        monitor.setCounts(counts, of: configuration.identity)
    }

    func connect(_ check: EndpointCheck, _ target: CheckTarget) -> CheckConnection? {
        var place: NetworkPlace?
        if let path = target.address.namespacePath {
            place = try? NetworkPlace(path: path)
            if place == nil { return nil }
        }
        return CheckConnection(
            check,
            target,
            place: place,
            source: configuration.settings.source?.socketAddress,
            tls: settings.usesOneTransport ? settings.tls : target.transport.map(\.tls) ?? settings.tls,
            introduction: settings.introduction,
            loop: loop
        )
    }

    /// The text of a check's request.
    func request(
        _ method: String,
        _ path: String,
        host: String,
        _ fields: [(name: String, value: String)],
        body: [UInt8] = [],
        isHTTP2: Bool
    ) -> [UInt8] {
        var text = "\(method) \(path) HTTP/1.1\r\nhost: \(host.isEmpty ? configuration.name : host)\r\n"
        for field in fields { text += "\(field.name): \(field.value)\r\n" }
        if !body.isEmpty || (!isHTTP2 && ["POST", "PUT", "PATCH"].contains(method)) {
            text += "content-length: \(body.count)\r\n"
        }
        return Array("\(text)\r\n".utf8) + (isHTTP2 ? [] : body)
    }

    /// A check has a result.
    func took(
        _ check: EndpointCheck,
        _ result: CheckResult,
        before: HealthJudge,
        transition: HealthJudge.Transition,
        isTimeout: Bool
    ) {
        switch result {
        case .healthy, .degraded: counts.successes += 1
        case .failed, .retriable: counts.failures += 1
        case .network:
            counts.failures += 1
            counts.networkFailures += 1
        case .passive:
            counts.failures += 1
            counts.passiveFailures += 1
        }
        publishCounts()
        let unejects = result.isSuccess && check.judge.state.isUsable && ejected.remove(check.identity) != nil
        if transition == .changed || unejects {
            monitor.changed(
                HealthChange(
                    cluster: configuration.index,
                    identity: configuration.identity,
                    endpoint: check.identity,
                    state: check.judge.state,
                    unejects: unejects
                )
            )
        }
        log(check, result, before: before, isChanged: transition == .changed, isTimeout: isTimeout)
        if before.isFirst { monitor.firstCheckEnded() }
    }

    private func log(
        _ check: EndpointCheck,
        _ result: CheckResult,
        before: HealthJudge,
        isChanged: Bool,
        isTimeout: Bool
    ) {
        guard !settings.logPaths.isEmpty else { return }
        let host = configuration.endpoints.first { $0.identity == check.identity }?.address ?? check.target.address
        let events = HealthEvent.events(
            result,
            before: before,
            after: check.judge,
            isTimeout: isTimeout,
            logsFailures: settings.logsFailures,
            logsSuccesses: settings.logsSuccesses
        )
        for event in events {
            let line = event.line(checker: settings.name, host: host, cluster: configuration.name)
            for path in settings.logPaths {
                if let problem = HealthEvent.append(line, to: path) {
                    monitor.warn("the health event log \(path) cannot be written: \(problem)")
                }
            }
        }
    }
}
