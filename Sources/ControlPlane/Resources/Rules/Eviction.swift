import Wire

/// Whether a pod may be evicted: the decision of the `eviction` subresource.
///
/// Pure; the caller reads the pod and the budgets, writes what is to be written, and deletes the pod.
package enum Eviction: Sendable {
    /// The pod goes. With a budget, its status is written first, on the version that was looked at: it remembers the pod,
    /// and allows one less.
    case allow(budget: Object?)
    /// 429: later, or after the budget has seen other pods get ready.
    case deny(APIError)

    /// Pods that a budget remembers at most; beyond, its controller has to catch up first.
    private static let rememberedLimit = 2000
    /// Seconds after which a client may ask again.
    package static let retrySeconds = 10

    /// - Parameters:
    ///   - pod: the pod.
    ///   - budgets: the PodDisruptionBudgets of its namespace.
    ///   - now: the time of day.
    package init(_ pod: Object, budgets: [Object], now: Timestamp) {
        let status = PodStatus(pod.status)
        // Nobody is harmed by the end of what has ended, is ending, or has not begun.
        guard !pod.isDeleting, !["Succeeded", "Failed", "Pending"].contains(status.phase) else {
            self = .allow(budget: nil)
            return
        }
        let mine = budgets.filter { budget in
            guard !budget.isDeleting, let selector = budget.spec["selector"] else { return false }
            return LabelSelector(selector).matches(pod)
        }
        guard mine.count <= 1 else {
            let why = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
            self = .deny(APIError(code: 500, reason: .internalError, message: why))
            return
        }
        guard let budget = mine.first else {
            self = .allow(budget: nil)
            return
        }
        self = Self.decide(pod, isReady: status.isReady, budget, now)
    }

    private static func decide(_ pod: Object, isReady: Bool, _ budget: Object, _ now: Timestamp) -> Eviction {
        let status = budget.status
        func count(_ name: String) -> Int { status.integer(name) ?? 0 }
        if !isReady {
            let always = budget.spec.text("unhealthyPodEvictionPolicy") == "AlwaysAllow"
            let isHealthy = count("currentHealthy") >= count("desiredHealthy") && count("desiredHealthy") > 0
            if always || isHealthy { return .allow(budget: nil) }
        }
        let name = budget.name
        guard count("observedGeneration") >= budget.generation else {
            let why = "The disruption budget \(name) is still being processed by the server."
            return .deny(tooMany(why, retry: retrySeconds))
        }
        guard status["disruptedPods"]?.fields?.count ?? 0 <= rememberedLimit else {
            return .deny(tooMany("The disruption budget \(name) has too many evictions that are not confirmed yet."))
        }
        guard count("disruptionsAllowed") > 0 else {
            return .deny(
                tooMany(
                    "The disruption budget \(name) needs \(count("desiredHealthy")) healthy pods and has "
                        + "\(count("currentHealthy")) currently"
                )
            )
        }
        var updated = budget
        let left = count("disruptionsAllowed") - 1
        updated.value.set(["status", "disruptionsAllowed"], .int(Int64(left)))
        updated.value.set(["status", "disruptedPods", pod.name], .string(now.description))
        return .allow(budget: updated)
    }

    private static func tooMany(_ cause: String, retry: Int? = nil) -> APIError {
        var details = APIError.Details()
        details.retryAfterSeconds = retry
        return APIError(
            code: 429,
            reason: .tooManyRequests,
            message: "Cannot evict pod as it would violate the pod's disruption budget. \(cause)",
            details: details
        )
    }

    /// The condition that a pod gets before it is deleted, so that its Job's rules can tell it from a failure.
    package static func condition(now: Timestamp) -> Condition {
        Condition(
            type: "DisruptionTarget",
            status: true,
            reason: "EvictionByEvictionAPI",
            message: "Eviction API: evicting",
            lastTransitionTime: now
        )
    }
}
