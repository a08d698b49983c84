package import Wire

/// Scrapes the proxy: every second while somebody asks, rarely otherwise.
package actor StatCollector {
    /// Between scrapes while somebody asked lately.
    private static let busyInterval = Duration.seconds(1)
    /// Between scrapes else: enough that the first answer has something to compare with.
    private static let idleInterval = Duration.seconds(10)
    /// How long after a question scrapes stay frequent.
    private static let attention = Duration.seconds(10)

    private let admin: any ProxyAdmin
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private var history = TrafficHistory()
    private var lastAsked: ContinuousClock.Instant?
    /// The rest between two scrapes; a question after a quiet time ends it.
    private var pause: Task<Void, Never>?

    package init(admin: any ProxyAdmin) {
        self.admin = admin
        start = clock.now
    }

    /// Scrapes until the task is cancelled.
    package func run() async {
        while !Task.isCancelled {
            // Until the proxy has answered once it is asked often: the first answer is what later ones are compared with.
            let interval = isBusy || history.latest == nil ? Self.busyInterval : Self.idleInterval
            if isStale(interval) { await scrape() }
            pause = Task { try? await Task.sleep(for: interval) }
            let current = pause
            await withTaskCancellationHandler {
                await current?.value
            } onCancel: {
                current?.cancel()
            }
        }
    }

    /// The golden numbers of the last `window`.
    ///
    /// - Parameters:
    ///   - window: how far back to look.
    ///   - services: every Service, so that idle ones are listed too.
    ///   - withEdges: also per caller and callee.
    /// - Returns: what `TrafficReport` writes.
    package func report(
        window: Duration,
        services: [(namespace: String, name: String)],
        withEdges: Bool
    ) async -> Value {
        await refresh()
        return TrafficReport(services: services, window: history.window(Self.milliseconds(window))).value(
            withEdges: withEdges
        )
    }

    /// What every Service carried in the last `window`, by `namespace/name`; nil while there is nothing to compare.
    package func serviceLoad(window: Duration) async -> [String: ServiceLoad]? {
        await refresh()
        guard history.hasBaseline, let latest = history.latest else { return nil }
        return Self.load(history.window(Self.milliseconds(window)), inFlight: latest.inFlight)
    }

    static func load(
        _ window: (seconds: Double, edges: [TrafficEdge: TrafficCounters]),
        inFlight: [String: Double]
    ) -> [String: ServiceLoad] {
        var counters: [String: TrafficCounters] = [:]
        for (edge, count) in window.edges where !edge.calleeService.isEmpty {
            counters["\(edge.calleeNamespace)/\(edge.calleeService)", default: TrafficCounters()].add(count)
        }
        var loads = counters.mapValues { counters -> ServiceLoad in
            let summary = TrafficSummary(counters, seconds: window.seconds)
            var load = ServiceLoad()
            load.requestsPerSecond = summary.requestsPerSecond
            load.latencyP50 = summary.p50 ?? 0
            load.latencyP95 = summary.p95 ?? 0
            load.latencyP99 = summary.p99 ?? 0
            return load
        }
        for (name, count) in inFlight { loads[name, default: ServiceLoad()].requestsInFlight = count }
        return loads
    }

    private static func milliseconds(_ duration: Duration) -> Int {
        Int(duration.components.seconds) * 1000 + Int(duration.components.attoseconds / 1_000_000_000_000_000)
    }

    /// Scrapes as often as questions deserve, and until there are two to compare.
    private func refresh() async {
        let wasBusy = isBusy
        lastAsked = clock.now
        if isStale(Self.busyInterval) { await scrape() }
        if !wasBusy { pause?.cancel() }
        if !history.hasBaseline {
            try? await Task.sleep(for: Self.busyInterval)
            await scrape()
        }
    }

    private var isBusy: Bool { lastAsked.map { $0.duration(to: clock.now) < Self.attention } ?? false }

    private var elapsed: Int {
        let parts = start.duration(to: clock.now).components
        return Int(parts.seconds) * 1000 + Int(parts.attoseconds / 1_000_000_000_000_000)
    }

    private func isStale(_ interval: Duration) -> Bool {
        guard let latest = history.latest else { return true }
        return elapsed - latest.time >= Int(interval.components.seconds) * 1000 - 50
    }

    private func scrape() async {
        guard let answer = try? await admin.get("/stats/prometheus?only=edges", timeout: .seconds(2)),
            answer.status == 200
        else { return }
        history.add(TrafficScrape(time: elapsed, page: answer.body))
    }
}
