import Synchronization

/// The limits of one priority of a cluster (Envoy's `CircuitBreakers.Thresholds`).
package struct BreakerLimits: Sendable, Equatable, BitwiseCopyable {
    package var connections = 1024
    package var pending = 1024
    package var requests = 1024
    package var retries = 3
    /// When set it stands in place of `retries`.
    package var budget: RetryBudget?

    package init() {}
}

/// What a breaker counts.
package enum BreakerResource: UInt8, CaseIterable, Sendable { case connections, pending, requests, retries }

/// What the workers have in use of one priority of a cluster, all together.
///
/// From any thread; a worker that counts too much for a moment, before it takes that back, is all that another sees of it.
package struct BreakerCounts: ~Copyable, Sendable {
    let connections = Atomic<Int>(0)
    let pending = Atomic<Int>(0)
    let requests = Atomic<Int>(0)
    let retries = Atomic<Int>(0)

    package init() {}
}

/// Counts what a cluster has in use and refuses what would go over its limits, which hold for the process.
///
/// A handle of one worker on counts that all workers share: relaxed additions, O(1), no lock. The counts are another's and have
/// to live as long. Who gives back more than was taken makes a count negative, which admits more and traps nothing.
package struct CircuitBreaker: Sendable {
    package var limits: BreakerLimits
    /// Safety: the counts are atomic; their owner outlives this.
    private nonisolated(unsafe) let counts: UnsafePointer<BreakerCounts>

    package init(_ limits: BreakerLimits, counts: UnsafePointer<BreakerCounts>) {
        self.limits = limits
        self.counts = counts
    }

    /// Takes one of `resource`; false when its limit is reached.
    @inline(__always)
    package func take(_ resource: BreakerResource) -> Bool {
        let limit = limit(of: resource)
        if add(resource, 1) <= limit { return true }
        add(resource, -1)
        return false
    }

    /// Takes one of `resource`, whatever its limit says.
    package func takeAnyway(_ resource: BreakerResource) { add(resource, 1) }

    /// Gives one of `resource` back.
    @inline(__always)
    package func giveBack(_ resource: BreakerResource) { add(resource, -1) }

    /// How many are in use, of all workers.
    package func inUse(_ resource: BreakerResource) -> Int { max(0, add(resource, 0)) }

    package func isOpen(_ resource: BreakerResource) -> Bool { inUse(resource) >= limit(of: resource) }

    @inline(__always)
    private func limit(of resource: BreakerResource) -> Int {
        switch resource {
        case .connections: limits.connections
        case .pending: limits.pending
        case .requests: limits.requests
        case .retries: limits.budget?.limit(requests: inUse(.requests)) ?? limits.retries
        }
    }

    /// The count afterwards.
    @inline(__always) @discardableResult
    private func add(_ resource: BreakerResource, _ step: Int) -> Int {
        switch resource {
        case .connections: counts.pointee.connections.wrappingAdd(step, ordering: .relaxed).newValue
        case .pending: counts.pointee.pending.wrappingAdd(step, ordering: .relaxed).newValue
        case .requests: counts.pointee.requests.wrappingAdd(step, ordering: .relaxed).newValue
        case .retries: counts.pointee.retries.wrappingAdd(step, ordering: .relaxed).newValue
        }
    }
}
