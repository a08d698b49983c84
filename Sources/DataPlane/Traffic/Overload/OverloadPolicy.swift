/// From which pressure on a resource an action is taken, and how strongly.
///
/// Source: `envoy.config.overload.v3.Trigger`.
package enum OverloadTrigger: Sendable, Equatable {
    /// Wholly from this pressure on.
    case threshold(Double)
    /// More and more between the two.
    case scaled(from: Double, to: Double)

    /// From 0 to 1.
    package func level(at pressure: Double) -> Double {
        guard pressure.isFinite else { return 0 }
        switch self {
        case .threshold(let bound): return pressure >= bound ? 1 : 0
        case .scaled(let from, let to):
            if pressure <= from { return 0 }
            if pressure >= to { return 1 }
            return (pressure - from) / (to - from)
        }
    }
}

/// Which pressures lead to which actions: of the triggers of an action the strongest counts.
package struct OverloadPolicy: Sendable, Equatable {
    package struct Rule: Sendable, Equatable {
        package var action: OverloadAction
        /// The resource's place among those that are looked at.
        package var resource: Int
        package var trigger: OverloadTrigger

        package init(_ action: OverloadAction, _ resource: Int, _ trigger: OverloadTrigger) {
            self.action = action
            self.resource = resource
            self.trigger = trigger
        }
    }

    package var rules: [Rule]

    package init(_ rules: [Rule]) { self.rules = rules }

    /// The levels at the pressures of all resources; 1 = the resource is used up.
    package func levels(_ pressures: [Double]) -> OverloadLevels {
        var levels = OverloadLevels()
        for rule in rules {
            guard rule.resource >= 0, rule.resource < pressures.count else { continue }
            let pressure = pressures[rule.resource]
            let level = UInt16(rule.trigger.level(at: pressure) * Double(OverloadLevels.whole))
            levels[rule.action] = max(levels[rule.action], level)
        }
        return levels
    }

    /// What holds where a configuration says nothing of a resource: memory as Envoy's guide for edge proxies has it, and the
    /// delay of the workers' loops.
    package static func standard(memory: Int, loopLag: Int) -> OverloadPolicy {
        OverloadPolicy([
            Rule(.shrinkHeap, memory, .threshold(0.9)),
            Rule(.disableKeepAlive, memory, .threshold(0.92)),
            Rule(.stopAcceptingConnections, memory, .threshold(0.95)),
            Rule(.stopAcceptingRequests, memory, .scaled(from: 0.95, to: 0.98)),
            Rule(.stopAcceptingConnections, loopLag, .threshold(0.75)),
            Rule(.stopAcceptingRequests, loopLag, .scaled(from: 0.5, to: 1)),
        ])
    }
}

/// The delay of a loop that lasts: one long pause (a stopped machine, a debugger) is no overload.
package struct LastingLag: Sendable {
    private var recent: (UInt64, UInt64) = (0, 0)

    package init() {}

    /// Takes the longest delay of one interval, nanoseconds; what was exceeded in each of the last three.
    package mutating func take(_ lag: UInt64) -> UInt64 {
        defer { recent = (recent.1, lag) }
        return min(lag, recent.0, recent.1)
    }
}
