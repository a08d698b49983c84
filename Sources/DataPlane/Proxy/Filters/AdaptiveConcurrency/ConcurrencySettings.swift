import Bytes
import EnvoyAPI
import Traffic

/// `adaptive_concurrency`, compiled.
final class ConcurrencySettings: Sendable {
    let isEnabled: Bool
    let status: UInt16
    let gradient: SharedGradient
    let blocked: Int32
    /// In the order of `SharedGradient.shown`.
    let gauges: [Int32]

    init(_ message: Envoy.AdaptiveConcurrency, _ context: CompileContext, prefix: String, name: String) {
        isEnabled = context.isOn(message.enabled)
        // A refusal is no success, whatever is configured.
        let code = message.concurrencyLimitExceededStatus?.code.rawValue ?? 503
        status = code < 400 ? 503 : UInt16(clamping: code)
        gradient = context.gradients.gradient("\(prefix) \(name)", Self.settings(message.gradientControllerConfig))
        let place = { (text: String, isGauge: Bool) in
            context.filterStats.place(
                prefix: prefix,
                "adaptive_concurrency.gradient_controller." + text,
                isGauge: isGauge
            )
        }
        blocked = place("rq_blocked", false)
        gauges = [
            "concurrency_limit", "min_rtt_calculation_active", "min_rtt_msecs", "sample_rtt_msecs", "gradient",
            "burst_queue_size",
        ].map { place($0, true) }
    }

    private static func settings(_ message: Envoy.GradientControllerConfig?) -> GradientController.Settings {
        var settings = GradientController.Settings()
        guard let message, let limits = message.concurrencyLimitParams, let least = message.minRttCalcParams else {
            return settings
        }
        if let share = message.sampleAggregatePercentile { settings.percentile = share.value / 100 }
        settings.maxLimit = limits.maxConcurrencyLimit ?? settings.maxLimit
        settings.updateInterval = nanoseconds(limits.concurrencyUpdateInterval) ?? settings.updateInterval
        settings.minConcurrency = least.minConcurrency ?? settings.minConcurrency
        settings.minLimit = limits.minConcurrencyLimit ?? settings.minConcurrency
        settings.minRTTRequests = least.requestCount ?? settings.minRTTRequests
        settings.minRTTInterval = nanoseconds(least.interval) ?? settings.minRTTInterval
        settings.fixedMinRTT = nanoseconds(least.fixedValue)
        if let jitter = least.jitter { settings.jitter = jitter.value / 100 }
        if let buffer = least.buffer { settings.buffer = buffer.value / 100 }
        return settings
    }
}

/// One controller for all workers: only together they see what the endpoints bear.
///
/// The lock is held for some additions, once when a request comes and once when it ends.
final class SharedGradient: Sendable {
    struct State {
        var controller: GradientController?
        /// What the gauges say.
        var shown: [Int64] = [0, 0, 0, 0, 0, 0]
    }

    let settings: GradientController.Settings
    private let state = Lock(State())

    init(_ settings: GradientController.Settings) { self.settings = settings }

    /// Changes the controller; by how much each gauge moved, and what the change gave.
    func change<Result: Sendable>(
        now: UInt64,
        _ work: @Sendable (inout GradientController) -> Result
    ) -> (moved: [Int64], result: Result) {
        let settings = settings
        return state.withLock { state in
            var controller = state.controller ?? GradientController(settings, now: now)
            state.controller = nil
            let result = work(&controller)
            let fresh = Self.gauges(of: controller)
            let moved = zip(fresh, state.shown).map { $0 &- $1 }
            state.shown = fresh
            state.controller = controller
            return (moved, result)
        }
    }

    private static func gauges(of controller: GradientController) -> [Int64] {
        [
            Int64(controller.limit), controller.isMeasuring ? 1 : 0, Int64(clamping: controller.minRTT / 1000),
            Int64(clamping: controller.sampleRTT / 1000), Int64(controller.gradient), Int64(controller.headroom),
        ]
    }
}

/// The controllers by the filters that they belong to, over changes of the configuration. Main thread only.
final class GradientBook {
    private var gradients: [String: SharedGradient] = [:]

    func gradient(_ name: String, _ settings: GradientController.Settings) -> SharedGradient {
        if let known = gradients[name], known.settings == settings { return known }
        let made = SharedGradient(settings)
        gradients[name] = made
        return made
    }
}
