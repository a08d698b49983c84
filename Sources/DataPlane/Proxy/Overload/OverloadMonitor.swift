import CWeft
import Reactor
import Traffic

/// Looks at the resources again and again and tells the workers what to give up. On the main thread's loop.
final class OverloadMonitor: EventHandler {
    let setup: OverloadSetup
    /// Called when the levels have changed.
    var onChange: (OverloadLevels) -> Void = { _ in }
    /// Called after every look.
    var onReport: (OverloadReport) -> Void = { _ in }
    private var report: OverloadReport
    private let loop: HandlerLoop
    private let log: ProcessLog
    private let lag: SharedPeak
    private var reader = ResourceReader()
    private var lasting = LastingLag()
    private var levels = OverloadLevels()
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
        report = OverloadReport(setup)
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
        var pressures: [String: Double] = [:]
        for (index, one) in setup.resources.enumerated() {
            guard let pressure = reader.pressure(one.resource, lag: delay) else {
                report.failed(index)
                // Unknown is not calm: what was last known holds.
                pressures[one.name] = report.resources[index].pressure
                continue
            }
            pressures[one.name] = pressure
            report.resources[index].pressure = pressure
        }
        let now = setup.policy.levels(pressures)
        if now.isWhole(.shrinkHeap) { trim() }
        report.levels = now
        onReport(report)
        guard now != levels else { return }
        for action in OverloadAction.allCases where now.isWhole(action) != levels.isWhole(action) {
            say(action, now.isWhole(action), pressures)
        }
        levels = now
        onChange(now)
    }

    private func trim() {
        let now = Instant.read().nanoseconds
        guard now &- trimmedAt > Self.silence else { return }
        trimmedAt = now
        cweft_trim_heap()
    }

    private func say(_ action: OverloadAction, _ begins: Bool, _ pressures: [String: Double]) {
        let now = Instant.read().nanoseconds
        guard now &- (saidAt[action] ?? 0) > Self.silence else { return }
        saidAt[action] = now
        let text = pressures.sorted { $0.key < $1.key }.map { "\($0.key)=\(Int($0.value * 100))%" }
        log.warning(
            begins ? "overload: an action begins" : "overload: an action ends",
            ["action": action.name, "pressure": text.joined(separator: " ")]
        )
    }
}

/// What the overload manager sees and does, for statistics.
struct OverloadReport: Sendable {
    struct Resource: Sendable {
        let name: String
        /// 1 = used up.
        var pressure = 0.0
        var failures: UInt64 = 0
    }

    var resources: [Resource]
    var levels = OverloadLevels()
    /// The actions that something can start.
    let actions: [OverloadAction]

    init(_ setup: OverloadSetup) {
        resources = setup.resources.map { Resource(name: $0.name) }
        actions = OverloadAction.allCases.filter { action in setup.policy.rules.contains { $0.action == action } }
    }

    mutating func failed(_ index: Int) { resources[index].failures &+= 1 }

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
