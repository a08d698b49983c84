import Bytes
import CWeft
import Glibc
import HTTP
import Reactor
import Traffic

/// Room for the fields of one answer's head; one for all checks.
final class CheckFields {
    var fields = FieldTable()
}

/// Checks endpoints actively, once for the process: on a thread of its own, so that neither requests nor configurations wait for
/// it or hold it up. The thread starts with the first cluster that has health checks.
///
/// Safety: what is not a lock or a constant is touched by the monitor's own thread only; others post to its loop.
final class HealthMonitor: @unchecked Sendable {
    private let counts = Lock<[UInt64: HealthCounts]>([:])
    private let remote = Lock<LoopRemote?>(nil)
    /// Called on the monitor's thread with each change of an endpoint.
    private let onChange: @Sendable (HealthChange) -> Void
    /// Called on the monitor's thread: every endpoint of this generation was checked once.
    private let onWarm: @Sendable (UInt64) -> Void
    private let onWarning: @Sendable (String) -> Void

    private var loop: HandlerLoop?
    private var clusters: [UInt64: ClusterChecks] = [:]
    private let table = CheckFields()
    private var generation: UInt64 = 0
    private var warmGeneration: UInt64 = 0
    var random = SeededRandom(seed: cweft_monotonic() ^ UInt64(getpid()) << 24)

    init(
        onChange: @escaping @Sendable (HealthChange) -> Void,
        onWarm: @escaping @Sendable (UInt64) -> Void,
        onWarning: @escaping @Sendable (String) -> Void
    ) {
        self.onChange = onChange
        self.onWarm = onWarm
        self.onWarning = onWarning
    }

    // MARK: From any thread

    /// Whether anything is or was checked.
    var isUsed: Bool { remote.withLock { $0 != nil } }

    /// The numbers of a cluster's checks; nil: it has none.
    func counts(of identity: UInt64) -> HealthCounts? { counts.withLock { $0[identity] } }

    /// Takes over a configuration. To be called after the workers were told of it. False when the thread cannot be started.
    func apply(_ snapshot: Snapshot) -> Bool {
        guard isUsed || snapshot.clusters.contains(where: { $0?.settings.check != nil }) else { return true }
        guard let target = remote.withLock({ $0 }) ?? start() else { return false }
        target.post { [self] _ in take(snapshot) }
        return true
    }

    /// An answer to a request said that this endpoint is to be left out.
    func failPassively(cluster: UInt64, endpoint: UInt64) {
        remote.withLock { $0 }?.post { [self] _ in clusters[cluster]?.failPassively(endpoint) }
    }

    /// A worker left this endpoint out; where the cluster wants it, the next check that succeeds brings it back.
    func ejected(cluster: UInt64, endpoint: UInt64) {
        remote.withLock { $0 }?.post { [self] _ in clusters[cluster]?.ejected(endpoint) }
    }

    private func start() -> LoopRemote? {
        guard let made = try? HandlerLoop() else { return nil }
        // Safety: the new thread is the only one that uses the loop from here on; this one keeps the part for all threads.
        nonisolated(unsafe) let handed = made
        let target = made.remote
        remote.withLock { $0 = target }
        let isStarted = SystemThread.start(name: "health") { [self] in
            loop = handed
            handed.run()
        }
        guard isStarted else {
            remote.withLock { $0 = nil }
            return nil
        }
        return target
    }

    // MARK: On the monitor's thread

    private func take(_ snapshot: Snapshot) {
        guard let loop else { return }
        generation = snapshot.generation
        var named: Set<UInt64> = []
        for case let cluster? in snapshot.clusters {
            guard let settings = cluster.settings.check else { continue }
            named.insert(cluster.identity)
            let known = clusters[cluster.identity]
            if let known, known.configuration.version == cluster.version { continue }
            let checks = known ?? ClusterChecks(cluster, settings, self, loop, table)
            clusters[cluster.identity] = checks
            checks.update(cluster, settings)
        }
        for (identity, checks) in clusters where !named.contains(identity) {
            checks.shutdown()
            clusters[identity] = nil
            counts.withLock { $0[identity] = nil }
        }
        firstCheckEnded()
    }

    /// Some endpoint was checked for the first time, or there are others now.
    func firstCheckEnded() {
        guard warmGeneration < generation else { return }
        let isWarm = clusters.values.allSatisfy { !$0.configuration.settings.isAwaited || $0.isWarm }
        guard isWarm else { return }
        warmGeneration = generation
        onWarm(generation)
    }

    func changed(_ change: HealthChange) { onChange(change) }
    func setCounts(_ counted: HealthCounts, of identity: UInt64) { counts.withLock { $0[identity] = counted } }
    func warn(_ line: String) { onWarning(line) }
}
