/// What a cluster and its assignment say of balancing beyond the policy.
package struct BalancerSettings: Sendable, Equatable {
    /// Percent: a priority takes all its load while this many times its share of healthy endpoints is 100 % or more.
    package var overprovisioning: UInt32 = 140
    /// A priority's health is the share of its weights that is healthy, not of its endpoints.
    package var weighsPriorityHealth = false
    /// In panic requests fail instead of going to endpoints that are not healthy.
    package var failsInPanic = false
    /// By the index of the locality: a locality's share of its priority's load. nil: localities do not count.
    package var localityWeights: [UInt32]?
    package var slowStart: SlowStart?
    /// Of a million requests so many are refused.
    package var dropPerMillion: UInt32 = 0

    package init() {}

    /// A new endpoint gets its load by and by.
    package struct SlowStart: Sendable, Equatable {
        package var window: UInt64
        package var aggression = 1.0
        /// Share of its weight that it has at once.
        package var minimum = 0.1

        package init(window: UInt64) { self.window = window }

        /// The share of its weight that an endpoint has after a time.
        package func share(after time: UInt64) -> Double {
            guard window > 0, time < window else { return 1 }
            let passed = Double(max(1_000_000, time)) / Double(window)
            return max(aggression == 1 ? passed : power(passed, 1 / aggression), minimum)
        }
    }
}
