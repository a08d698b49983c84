package import Resources

/// How many pods of a PodDisruptionBudget may be taken away now.
///
/// Pure.
package struct DisruptionArithmetic: Equatable, Sendable {
    package let expected: Int
    package let healthy: Int
    package let desired: Int

    /// - Parameters:
    ///   - minAvailable: a number of pods or a share of those expected (rounded up).
    ///   - maxUnavailable: the same of those that may be away; used when there is no `minAvailable`.
    ///   - pods: the pods that the selector chooses, neither ended nor ending.
    ///   - scale: how many pods their controllers want together; `minAvailable` as a number counts the pods themselves.
    ///   - healthy: those that are ready and not promised to an eviction.
    package init(minAvailable: IntOrString?, maxUnavailable: IntOrString?, pods: Int, scale: Int, healthy: Int) {
        self.healthy = healthy
        switch (minAvailable, maxUnavailable) {
        case (.number(let number)?, _): (expected, desired) = (pods, max(0, number))
        case (let share?, _): (expected, desired) = (scale, share.scaled(of: scale, roundingUp: true) ?? 0)
        case (nil, let limit?):
            expected = scale
            desired = max(0, scale - (limit.scaled(of: scale, roundingUp: true) ?? 0))
        case (nil, nil): (expected, desired) = (pods, 0)
        }
    }

    /// How many may go.
    package var allowed: Int { expected > 0 ? max(0, healthy - desired) : 0 }
}
