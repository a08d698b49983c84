package import Resources

/// Brings one object nearer to what it wishes for.
///
/// Level-triggered: a call looks at everything anew and may be repeated at any time. Calls for different keys may run at
/// the same time, calls for one key never.
package protocol Reconciler: Sendable {
    /// Names the loop in the log.
    var name: String { get }

    /// Which keys a change makes worth looking at. Runs on the cache's actor: quick, no waiting.
    func keys(for change: Change, in state: borrowing ClusterState) -> [ObjectKey]

    /// Takes one step.
    ///
    /// - Returns: in how many milliseconds to look again, or nil when only a change makes that worthwhile.
    func reconcile(_ key: ObjectKey) async throws(APIError) -> Int?
}

/// Runs one reconciler: a queue of keys, a few of them worked on at the same time, failures repeated with a back-off.
package actor ReconcileLoop {
    /// Keys worked on at the same time: enough for the store to write several objects in one turn.
    private static let width = 8

    private let reconciler: any Reconciler
    private let log: @Sendable (String) -> Void
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private let incoming: AsyncStream<Void>
    private nonisolated let wake: AsyncStream<Void>.Continuation
    private nonisolated let inbox = Inbox()
    private var queue = WorkQueue<ObjectKey>()
    private var armed: Int?

    package init(_ reconciler: any Reconciler, log: @escaping @Sendable (String) -> Void) {
        self.reconciler = reconciler
        self.log = log
        start = clock.now
        (incoming, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Looks at a change and names the keys it touches. Quick; safe from any thread.
    package nonisolated func observe(_ change: Change, _ state: borrowing ClusterState) {
        let keys = reconciler.keys(for: change, in: state)
        guard !keys.isEmpty else { return }
        add(keys)
    }

    package nonisolated func add(_ keys: [ObjectKey]) {
        inbox.put(keys)
        wake.yield()
    }

    /// Works until the task is cancelled; what is being worked on then is waited for.
    package func run() async {
        await withDiscardingTaskGroup { group in
            for await _ in incoming {
                for key in inbox.take() { queue.add(key) }
                while queue.runningCount < Self.width, let key = queue.take(now: now) {
                    group.addTask { await self.work(key) }
                }
                armTimer(&group)
            }
            group.cancelAll()
        }
    }

    private var now: Int {
        let (seconds, attoseconds) = (clock.now - start).components
        return Int(seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000)
    }

    private func work(_ key: ObjectKey) async {
        do {
            let again = try await reconciler.reconcile(key)
            queue.succeeded(key)
            if let again { queue.add(key, at: now + again) }
        } catch {
            queue.failed(key, now: now)
            // A conflict is the ordinary answer to a stale view; only what keeps failing is worth a line.
            if queue.failureCount(key) == 5 || error.code >= 500 {
                log("loop=\(reconciler.name) key=\(key) failures=\(queue.failureCount(key)) error=\"\(error.message)\"")
            }
        }
        wake.yield()
    }

    private func armTimer(_ group: inout DiscardingTaskGroup) {
        guard let due = queue.nextDue, queue.runningCount < Self.width else { return }
        if let armed, armed <= due { return }
        armed = due
        let instant = start.advanced(by: .milliseconds(due))
        group.addTask {
            try? await Task.sleep(until: instant, clock: .continuous)
            await self.timerFired(due)
        }
    }

    private func timerFired(_ due: Int) {
        if armed == due { armed = nil }
        wake.yield()
    }
}
