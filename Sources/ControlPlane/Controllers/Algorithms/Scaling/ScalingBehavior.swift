package import Resources
package import Wire

/// How fast an autoscaler may change the number of pods: stabilization windows and policies.
///
/// Pure: it keeps what was recommended and done, and time is an argument.
package struct ScalingBehavior: Equatable, Sendable {
    package struct Rules: Equatable, Sendable {
        package enum Selection: String, Sendable { case max = "Max", min = "Min", disabled = "Disabled" }

        package struct Policy: Equatable, Sendable {
            package var isPercent: Bool
            package var value: Int
            package var period: Int

            package init(percent value: Int, period: Int) {
                (isPercent, self.value, self.period) = (true, value, period)
            }

            package init(pods value: Int, period: Int) { (isPercent, self.value, self.period) = (false, value, period) }
        }

        package var window: Int
        package var selection = Selection.max
        package var policies: [Policy]

        package init(window: Int, selection: Selection = .max, policies: [Policy]) {
            self.window = window
            self.selection = selection
            self.policies = policies
        }

        /// +4 pods or +100 % in 15 s, at once.
        package static let up = Rules(
            window: 0,
            policies: [Policy(pods: 4, period: 15), Policy(percent: 100, period: 15)]
        )
        /// -100 % in 15 s, and only to the most that was wanted within five minutes.
        package static let down = Rules(window: 300, policies: [Policy(percent: 100, period: 15)])

        /// `behavior.scaleUp` or `scaleDown`; what it does not say is as in `usual`.
        package init(_ value: Value?, usual: Rules) {
            self = usual
            guard let value else { return }
            window = value.integer("stabilizationWindowSeconds") ?? usual.window
            selection = value.text("selectPolicy").flatMap(Selection.init(rawValue:)) ?? .max
            let given = value.list("policies").compactMap { policy -> Policy? in
                guard let amount = policy.integer("value"), let period = policy.integer("periodSeconds") else {
                    return nil
                }
                return policy.text("type") == "Percent"
                    ? Policy(percent: amount, period: period) : Policy(pods: amount, period: period)
            }
            if !given.isEmpty { policies = given }
        }

        fileprivate var memory: Int { max(window, policies.map(\.period).max() ?? 0) }
    }

    private struct Moment: Equatable {
        var time: Timestamp
        var amount: Int
    }

    private var recommended: [Moment] = []
    private var added: [Moment] = []
    private var removed: [Moment] = []

    package init() {}

    /// What came of a wish.
    package struct Outcome: Equatable, Sendable {
        package var replicas: Int
        /// The condition ScalingLimited: reason and message, nil when nothing held the number.
        package var limit: Limit?
        /// The window held the number: the condition AbleToScale says so.
        package var isStabilized: Bool
    }

    package struct Limit: Equatable, Sendable {
        package var reason: String
        package var message: String
    }

    /// The number of pods for a wish at a moment; the wish is remembered.
    package mutating func limit(
        _ wish: Int,
        current: Int,
        bounds: ClosedRange<Int>,
        up: Rules,
        down: Rules,
        now: Timestamp
    ) -> Outcome {
        recommended = Self.recent(recommended, seconds: max(up.memory, down.memory), now)
        added = Self.recent(added, seconds: max(up.memory, down.memory), now)
        removed = Self.recent(removed, seconds: max(up.memory, down.memory), now)
        // Upwards the least that was wanted within the window counts, downwards the most.
        let least = Self.recent(recommended, seconds: up.window, now).map(\.amount).reduce(wish, min)
        let most = Self.recent(recommended, seconds: down.window, now).map(\.amount).reduce(wish, max)
        recommended.append(Moment(time: now, amount: wish))
        if recommended.count > 4096 { recommended.removeFirst(recommended.count - 4096) }
        let steady = min(max(current, least), most)
        var outcome = Outcome(replicas: steady, limit: nil, isStabilized: steady != wish)
        if steady > current {
            let most = ceiling(current, up, now)
            let high = min(bounds.upperBound, most)
            if steady > high {
                outcome.replicas = high
                outcome.limit = bounds.upperBound <= most ? Self.tooMany : Self.upRate
            }
        } else if steady < current {
            let least = floor(current, down, now)
            let low = max(bounds.lowerBound, least)
            if steady < low {
                outcome.replicas = low
                outcome.limit = bounds.lowerBound >= least ? Self.tooFew : Self.downRate
            }
        }
        if steady >= current, outcome.replicas < bounds.lowerBound {
            outcome.replicas = bounds.lowerBound
            outcome.limit = Self.tooFew
        }
        if outcome.replicas > bounds.upperBound {
            outcome.replicas = bounds.upperBound
            outcome.limit = Self.tooMany
        }
        return outcome
    }

    private static let tooMany = Limit(
        reason: "TooManyReplicas",
        message: "the desired replica count is more than the maximum replica count"
    )
    private static let tooFew = Limit(
        reason: "TooFewReplicas",
        message: "the desired replica count is less than the minimum replica count"
    )
    private static let upRate = Limit(
        reason: "ScaleUpLimit",
        message: "the desired replica count is increasing faster than the maximum scale rate"
    )
    private static let downRate = Limit(
        reason: "ScaleDownLimit",
        message: "the desired replica count is decreasing faster than the maximum scale rate"
    )

    /// Remembers that the number was changed.
    package mutating func scaled(from old: Int, to new: Int, at now: Timestamp) {
        if new > old { added.append(Moment(time: now, amount: new - old)) }
        if new < old { removed.append(Moment(time: now, amount: old - new)) }
    }

    private static func recent(_ moments: [Moment], seconds: Int, _ now: Timestamp) -> [Moment] {
        let first = now.adding(seconds: -seconds)
        // A moment that lies ahead: the clock was set back.
        return moments.filter { $0.time > first && $0.time <= now }
    }

    /// The number at the beginning of a period that ends now.
    private func begin(_ current: Int, _ period: Int, _ now: Timestamp) -> Int {
        let up = Self.recent(added, seconds: period, now).reduce(0) { $0 + $1.amount }
        let down = Self.recent(removed, seconds: period, now).reduce(0) { $0 + $1.amount }
        return max(0, current - up + down)
    }

    private func ceiling(_ current: Int, _ rules: Rules, _ now: Timestamp) -> Int {
        let limits = rules.policies.map { policy in
            let begin = begin(current, policy.period, now)
            let share = (Double(begin) * (1 + Double(policy.value) / 100)).rounded(.up)
            return policy.isPercent ? Int(min(share, 1e9)) : begin + policy.value
        }
        switch rules.selection {
        case .disabled: return current
        case .max: return max(current, limits.max() ?? current)
        case .min: return max(current, limits.min() ?? current)
        }
    }

    private func floor(_ current: Int, _ rules: Rules, _ now: Timestamp) -> Int {
        let limits = rules.policies.map { policy in
            let begin = begin(current, policy.period, now)
            let share = Int(Double(begin) * (1 - Double(min(policy.value, 100)) / 100))
            return max(0, policy.isPercent ? share : begin - policy.value)
        }
        switch rules.selection {
        case .disabled: return current
        case .max: return min(current, limits.min() ?? current)
        case .min: return min(current, limits.max() ?? current)
        }
    }
}
