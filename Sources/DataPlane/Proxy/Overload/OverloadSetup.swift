import EnvoyAPI
import Traffic

/// The resources that are looked at, how often, and what follows from them.
struct OverloadSetup: Sendable {
    enum Resource: Sendable, Equatable {
        /// Resident memory of the process against so many bytes.
        case heap(UInt64)
        /// Memory of the control group against its limit, or against so many bytes when that is less (0: its limit alone).
        case controlGroup(UInt64)
        /// The share of time in which the machine's processors work.
        case processors
        /// A number in a file.
        case file(String)
        /// How late workers come to their work, against so many nanoseconds.
        case loopLag(UInt64)
    }

    var resources: [(name: String, resource: Resource)] = []
    var policy = OverloadPolicy([])
    /// Nanoseconds.
    var interval: UInt64 = Self.usualInterval

    static let memoryName = "memory"
    static let lagName = "loop_lag"
    /// Requests that wait longer in a worker, again and again, are refused; nanoseconds, 0 = none. Half of the delay that
    /// makes a pressure of 1 for the action that refuses requests.
    var longestWait: UInt64 {
        policy.rules.compactMap { rule -> UInt64? in
            guard rule.action == .stopAcceptingRequests, resources.indices.contains(rule.resource),
                case .loopLag(let most) = resources[rule.resource].resource
            else { return nil }
            return max(1, most / 2)
        }.min() ?? 0
    }

    private static let usualInterval: UInt64 = 500_000_000
    private static let usualLag: UInt64 = 1_000_000_000

    /// What holds without a configuration: a budget for memory, and one for the delay of the loops.
    static func standard(memory budget: UInt64) -> OverloadSetup {
        var setup = OverloadSetup()
        // Without a known budget there is nothing to compare with.
        setup.resources = [(memoryName, .heap(budget > 0 ? budget : .max)), (lagName, .loopLag(usualLag))]
        setup.policy = .standard(memory: 0, loopLag: 1)
        return setup
    }

    /// The setup of a configuration. Without actions of its own the standard ones hold. The budget: bytes of memory that the
    /// process may use.
    static func compile(
        _ message: Envoy.OverloadManager?,
        memory budget: UInt64
    ) -> (setup: OverloadSetup, problems: [String]) {
        var setup = standard(memory: budget)
        guard let message else { return (setup, []) }
        if let interval = message.refreshInterval { setup.interval = nanoseconds(interval) }
        guard !message.actions.isEmpty else { return (setup, unused(message)) }
        setup.resources = []
        setup.policy.rules = []
        var problems: [String] = []
        var names: Set<String> = []
        for (index, monitor) in message.resourceMonitors.enumerated() {
            if !names.insert(monitor.name).inserted {
                problems.append("overload_manager.resource_monitors[\(index)].name: \"\(monitor.name)\" stands twice")
            }
            if let resource = resource(monitor.typedConfig) { setup.resources.append((monitor.name, resource)) }
        }
        for (index, action) in message.actions.enumerated() {
            let path = "overload_manager.actions[\(index)]"
            guard let known = OverloadAction(name: action.name) else {
                problems.append("\(path).name: \"\(action.name)\" is not supported; there are \(Self.names())")
                continue
            }
            for (number, trigger) in action.triggers.enumerated() {
                let path = "\(path).triggers[\(number)]"
                guard let place = setup.resources.firstIndex(where: { $0.name == trigger.name }) else {
                    problems.append("\(path).name: no resource monitor with a pressure is named \"\(trigger.name)\"")
                    continue
                }
                switch compile(trigger, path) {
                case .success(let trigger): setup.policy.rules.append(.init(known, place, trigger))
                case .failure(let problem): problems.append(problem)
                }
            }
        }
        return (setup, problems)
    }

    private enum Outcome {
        case success(OverloadTrigger)
        case failure(String)
    }

    private static func compile(_ trigger: Envoy.OverloadTrigger, _ path: String) -> Outcome {
        switch trigger.triggerOneof {
        case .threshold(let bound): return .success(.threshold(bound.value))
        case .scaled(let scaled):
            guard scaled.scalingThreshold < scaled.saturationThreshold else {
                return .failure("\(path).scaled: scaling_threshold must be less than saturation_threshold")
            }
            return .success(.scaled(from: scaled.scalingThreshold, to: scaled.saturationThreshold))
        case nil: return .failure("\(path): threshold or scaled is required")
        }
    }

    /// Monitors that nothing asks would mislead: whoever writes them expects an effect.
    private static func unused(_ message: Envoy.OverloadManager) -> [String] {
        message.resourceMonitors.enumerated().compactMap { index, monitor in
            guard resource(monitor.typedConfig) != nil else { return nil }
            return "overload_manager.resource_monitors[\(index)]: no action asks for \"\(monitor.name)\"; write actions"
        }
    }

    private static func resource(_ config: Envoy.ResourceMonitorConfig?) -> Resource? {
        switch config {
        case .fixedHeap(let heap): .heap(heap.maxHeapSizeBytes)
        case .cgroupMemory(let group): .controlGroup(group.maxMemoryBytes)
        case .cpuUtilization: .processors
        case .injected(let file): .file(file.filename)
        case .loopLag(let lag): .loopLag(lag.maxLag.map(nanoseconds) ?? usualLag)
        case .downstreamConnections, nil: nil
        }
    }

    private static func names() -> String { OverloadAction.allCases.map(\.name).joined(separator: ", ") }

    private static func nanoseconds(_ duration: Duration) -> UInt64 {
        let parts = duration.components
        return UInt64(max(0, parts.seconds)) * 1_000_000_000 + UInt64(max(0, parts.attoseconds / 1_000_000_000))
    }
}
