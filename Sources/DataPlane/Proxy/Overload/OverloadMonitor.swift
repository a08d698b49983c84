import CWeft
import Reactor
import Traffic

/// Looks at the resources again and again and tells the workers what to give up. On the main thread's loop.
final class OverloadMonitor: EventHandler {
    let setup: OverloadSetup
    /// Called when the levels have changed.
    var onChange: (OverloadLevels) -> Void = { _ in }
    private let loop: HandlerLoop
    private let log: ProcessLog
    private let lag: SharedPeak
    private var reader = ResourceReader()
    private var lasting = LastingLag()
    private var levels = OverloadLevels()
    private var pressures: [Double]
    private var failures: [UInt64]
    private var key: HandlerKey?
    private var trimmedAt: UInt64 = 0
    private var saidAt: [OverloadAction: UInt64] = [:]

    /// A line for the same action comes at most this often.
    private static let silence: UInt64 = 10_000_000_000

    init(_ setup: OverloadSetup, loop: HandlerLoop, lag: SharedPeak, log: ProcessLog) {
        self.setup = setup
        self.loop = loop
        self.lag = lag
        self.log = log
        pressures = Array(repeating: 0, count: setup.resources.count)
        failures = Array(repeating: 0, count: setup.resources.count)
    }

    func start() throws(SystemError) {
        key = try loop.add(-1, [], self)
        look()
    }

    func ready(_ readiness: Readiness) {}

    func timerFired() { look() }

    private func look() {
        if let key { loop.setTimer(key, Instant.read().advanced(byNanoseconds: setup.interval)) }
        let delay = lasting.take(lag.take())
        for index in setup.resources.indices {
            if let pressure = reader.pressure(setup.resources[index].resource, lag: delay) {
                pressures[index] = pressure
            } else {
                // Unknown is not calm: what was last known holds.
                failures[index] &+= 1
            }
        }
        let now = setup.policy.levels(pressures)
        if now.isWhole(.shrinkHeap) { trim() }
        guard now != levels else { return }
        for action in OverloadAction.allCases where now.isWhole(action) != levels.isWhole(action) {
            say(action, now.isWhole(action))
        }
        levels = now
        onChange(now)
    }

    /// What it sees and does now.
    var report: OverloadReport { OverloadReport(setup, pressures, failures, levels) }

    private func trim() {
        let now = Instant.read().nanoseconds
        guard now &- trimmedAt > Self.silence else { return }
        trimmedAt = now
        cweft_trim_heap()
    }

    private func say(_ action: OverloadAction, _ begins: Bool) {
        let now = Instant.read().nanoseconds
        guard now &- (saidAt[action] ?? 0) > Self.silence else { return }
        saidAt[action] = now
        let text = zip(setup.resources, pressures).map { "\($0.name)=\(Int(min($1, 1000) * 100))%" }
        log.warning(
            begins ? "overload: an action begins" : "overload: an action ends",
            ["action": action.name, "pressure": text.joined(separator: " ")]
        )
    }
}

/// What the overload manager sees and does, for statistics.
struct OverloadReport {
    let resources: [(name: String, pressure: Double, failures: UInt64)]
    let levels: OverloadLevels
    /// The actions that something can start.
    let actions: [OverloadAction]

    init(_ setup: OverloadSetup, _ pressures: [Double], _ failures: [UInt64], _ levels: OverloadLevels) {
        resources = setup.resources.indices.map { (setup.resources[$0].name, pressures[$0], failures[$0]) }
        actions = OverloadAction.allCases.filter { action in setup.policy.rules.contains { $0.action == action } }
        self.levels = levels
    }

    /// Under Envoy's names.
    func write(into stats: inout EnvoyStats) {
        let scope = EnvoyStats.Scope(prefix: "overload.", family: "overload", labels: [])
        for resource in resources {
            stats.gauge(scope, "\(resource.name).pressure", Int64(min(resource.pressure, 1000) * 100))
            stats.counter(scope, "\(resource.name).failed_updates", resource.failures)
        }
        for action in actions {
            let level = Int64(levels[action])
            stats.gauge(scope, "\(action.name).active", levels.isWhole(action) ? 1 : 0)
            stats.gauge(scope, "\(action.name).scale_percent", level * 100 / Int64(OverloadLevels.whole))
        }
    }
}
