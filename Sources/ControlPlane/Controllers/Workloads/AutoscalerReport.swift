import Resources
import Wire

/// The status of a HorizontalPodAutoscaler, while it is being found out.
struct AutoscalerReport {
    private(set) var status: Value
    private var conditions: [Condition]
    let now: Timestamp

    init(_ object: Object, now: Timestamp) {
        self.now = now
        status = object.status.isNull ? [:] : object.status
        conditions = object.status.views("conditions")
        status["observedGeneration"] = .int(Int64(object.generation))
        status["currentMetrics"] = nil
    }

    var current: Int {
        get { status.integer("currentReplicas") ?? 0 }
        set {
            status["currentReplicas"] = .int(Int64(newValue))
            status["desiredReplicas"] = .int(Int64(newValue))
        }
    }

    var desired: Int {
        get { status.integer("desiredReplicas") ?? 0 }
        set { status["desiredReplicas"] = .int(Int64(newValue)) }
    }

    mutating func set(_ type: String, _ isTrue: Bool, _ reason: String, _ message: String) {
        conditions.set(
            Condition(type: type, status: isTrue, reason: reason, message: message, lastTransitionTime: now)
        )
        status["conditions"] = .array(conditions.map(\.value))
    }

    mutating func cannotScale(_ message: String) { set("AbleToScale", false, "FailedGetScale", message) }

    mutating func take(_ measures: AutoscalerMeasures) {
        if !measures.current.isEmpty { status["currentMetrics"] = .array(measures.current) }
        if let choice = measures.choice {
            let what = "the HPA was able to successfully calculate a replica count from \(measures.name(of: choice))"
            set("ScalingActive", true, "ValidMetricFound", what)
        } else if let problem = measures.problems.first {
            let what = "the HPA was unable to compute the replica count: \(problem.message)"
            set("ScalingActive", false, problem.reason, what)
        }
    }

    mutating func take(_ outcome: ScalingBehavior.Outcome) {
        if outcome.isStabilized {
            let isDown = outcome.replicas >= current
            set(
                "AbleToScale",
                true,
                isDown ? "ScaleDownStabilized" : "ScaleUpStabilized",
                isDown
                    ? "recent recommendations were higher than current one, applying the highest recent recommendation"
                    : "recent recommendations were lower than current one, applying the lowest recent recommendation"
            )
        } else {
            set("AbleToScale", true, "ReadyForNewScale", "recommended size matches current size")
        }
        if let limit = outcome.limit {
            set("ScalingLimited", true, limit.reason, limit.message)
        } else {
            set("ScalingLimited", false, "DesiredWithinRange", "the desired count is within the acceptable range")
        }
    }

    mutating func scaled() {
        set(
            "AbleToScale",
            true,
            "SucceededRescale",
            "the HPA controller was able to update the target scale to \(desired)"
        )
        status["lastScaleTime"] = .string(now.description)
    }
}
