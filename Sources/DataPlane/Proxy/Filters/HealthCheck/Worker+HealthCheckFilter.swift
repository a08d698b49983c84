import Synchronization
import Traffic

/// `health_check`: answers those who ask whether requests are welcome here.
extension Worker {
    func answerHealth(_ filter: HealthCheckFilter, _ pass: inout FilterPass) -> FilterVerdict {
        for index in 0..<filter.headers.count where !filter.headers[index].matches(pass.facts.view) { return .next }
        setState(pass.exchange, pass.step, .healthCheck)
        pass.exchange.filterRun?.pointee.isHealthCheck = true
        let isFailed = failsHealthChecks
        var cached: UInt16?
        if filter.cacheTime > 0, filter.cachedUntil.load(ordering: .acquiring) > now {
            cached = UInt16(clamping: filter.cachedStatus.load(ordering: .relaxed))
        }
        guard !filter.passesThrough || isFailed || cached != nil else { return .next }
        if !isFailed, let cached {
            let flags: ResponseFlags = (200..<300).contains(cached) ? [] : .failedLocalHealthCheck
            return .answered(FilterReply(status: cached, details: "health_check_cached", flags: flags))
        }
        let snapshot = pass.exchange.pointee.snapshot
        let clusters = isFailed ? [] : filter.clusters.map { summary(of: $0.name, $0.percent, snapshot) }
        let answer = HealthAnswer.judge(isFailed: isFailed, clusters: clusters)
        let flags: ResponseFlags = answer == .ok ? [] : .failedLocalHealthCheck
        return .answered(FilterReply(status: answer.status, details: answer.details, flags: flags))
    }

    /// Told to fail by the admin, or on its way out.
    private var failsHealthChecks: Bool { control.failsHealthCheck.load(ordering: .relaxed) || isDraining }

    private func summary(of name: String, _ percent: Double, _ holder: SnapshotPlace?) -> HealthAnswer.Cluster? {
        guard let index = holder?.pointee.snapshot.clusterIndex(named: name), Int(index) < clusters.count,
            let cluster = clusters[Int(index)]
        else { return nil }
        let counts = cluster.pointee.set.membership
        return HealthAnswer.Cluster(total: counts.total, healthy: counts.usable, wantedPercent: percent)
    }

    func tellHealth(_ filter: HealthCheckFilter, _ pass: inout AnswerPass) {
        if case .healthCheck = state(pass.exchange, pass.step) {
            if filter.cacheTime > 0, !pass.isLocal {
                filter.cachedStatus.store(Int(pass.status), ordering: .relaxed)
                filter.cachedUntil.store(now &+ filter.cacheTime, ordering: .releasing)
            }
            if !filter.own.isEmpty { pass.edits.set("x-envoy-upstream-healthchecked-cluster", filter.own) }
        } else if failsHealthChecks {
            pass.edits.set("x-envoy-immediate-health-check-fail", "true")
        }
    }
}
