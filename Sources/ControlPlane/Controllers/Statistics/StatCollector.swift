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
        let wasBusy = isBusy
        lastAsked = clock.now
        if isStale(Self.busyInterval) { await scrape() }
        if !wasBusy { pause?.cancel() }
        if !history.hasBaseline {
            try? await Task.sleep(for: Self.busyInterval)
            await scrape()
        }
        let milliseconds =
            Int(window.components.seconds) * 1000 + Int(window.components.attoseconds / 1_000_000_000_000_000)
        return TrafficReport(services: services, window: history.window(milliseconds)).value(withEdges: withEdges)
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
