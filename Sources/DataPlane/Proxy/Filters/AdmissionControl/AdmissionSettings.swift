import EnvoyAPI
import Traffic

/// `admission_control`, compiled.
final class AdmissionSettings: Sendable {
    let isEnabled: Bool
    let settings: AdmissionController.Settings
    let criteria: AdmissionCriteria
    /// Under which a worker remembers how requests went, over changes of the configuration.
    let memory: Int32
    let rejected, succeeded, failed: Int32

    init(_ message: Envoy.AdmissionControl, _ context: CompileContext, prefix: String, name: String) {
        isEnabled = context.isOn(message.enabled)
        settings = Self.settings(message, context)
        criteria = Self.criteria(message.successCriteria, context)
        memory = context.filterNames.number(of: "admission_control \(prefix) \(name)")
        let place = { (text: String) in context.filterStats.place(prefix: prefix, "admission_control." + text) }
        rejected = place("rq_rejected")
        succeeded = place("rq_success")
        failed = place("rq_failure")
    }

    private static func settings(_ message: Envoy.AdmissionControl, _ context: CompileContext)
        -> AdmissionController.Settings
    {
        var settings = AdmissionController.Settings()
        if let window = message.samplingWindow {
            settings.window = max(1, nanoseconds(window) / 1_000_000_000) * 1_000_000_000
        }
        if let aggression = message.aggression {
            settings.aggression = max(1, context.runtime.double(aggression.runtimeKey) ?? aggression.defaultValue)
        }
        let share = { (percent: Envoy.RuntimePercent) -> Double in
            (context.runtime.double(percent.runtimeKey) ?? percent.defaultValue?.value ?? 0) / 100
        }
        if let threshold = message.srThreshold { settings.successThreshold = min(1, share(threshold)) }
        if settings.successThreshold < 0.01 { context.report("sr_threshold: must be 1 % or more") }
        if let most = message.maxRejectionProbability { settings.maxRejection = min(1, max(0, share(most))) }
        if let rate = message.rpsThreshold {
            settings.rateThreshold = UInt32(
                clamping: context.runtime.number(rate.runtimeKey) ?? UInt64(rate.defaultValue)
            )
        }
        return settings
    }

    private static func criteria(_ message: Envoy.AdmissionCriteria?, _ context: CompileContext) -> AdmissionCriteria {
        var criteria = AdmissionCriteria()
        if let http = message?.httpCriteria {
            criteria.statuses = context.each(
                "success_criteria.http_criteria.http_success_status",
                http.httpSuccessStatus
            ) {
                guard $0.start >= 100, $0.end <= 600, $0.start < $0.end else {
                    context.report("must be a range within 100 and 600, its end behind its start")
                    return 100..<100
                }
                return $0.start..<$0.end
            }
        }
        if let grpc = message?.grpcCriteria {
            criteria.callStatuses = grpc.grpcSuccessStatus.reduce(0) { $0 | 1 << min(31, $1) }
        }
        return criteria
    }
}

extension CompileContext {
    /// Whether something works: as the runtime says, or the configuration; it does where neither says so.
    func isOn(_ flag: Envoy.RuntimeFeatureFlag?) -> Bool {
        guard let flag else { return true }
        return runtime.flag(flag.runtimeKey) ?? flag.defaultValue ?? true
    }
}
