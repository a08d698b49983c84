import EnvoyAPI
import Traffic

extension ClusterCompiler {
    /// Success rates and failure percentages that are never enforced are not looked at.
    func outlier(_ message: Envoy.OutlierDetection) -> OutlierSettings {
        var settings = OutlierSettings()
        func share(_ cause: EjectionCause, _ given: UInt32?, _ standard: UInt32) -> Bool {
            settings.shares[Int(cause.rawValue)] = given ?? standard
            return given ?? standard > 0
        }
        _ = share(.consecutive5xx, message.enforcingConsecutive5xx, 100)
        settings.consecutive5xx = message.consecutive5xx ?? 5
        _ = share(.consecutiveGateway, message.enforcingConsecutiveGatewayFailure, 0)
        settings.consecutiveGateway = message.consecutiveGatewayFailure ?? 5
        _ = share(.consecutiveLocal, message.enforcingConsecutiveLocalOriginFailure, 100)
        settings.consecutiveLocal = message.consecutiveLocalOriginFailure ?? 5
        settings.splitsLocalFailures = message.splitExternalLocalOriginErrors
        if let interval = nanoseconds(message.interval) { settings.interval = max(1_000_000, interval) }
        if let base = nanoseconds(message.baseEjectionTime) { settings.baseEjection = max(1_000_000, base) }
        if let longest = nanoseconds(message.maxEjectionTime) { settings.maximumEjection = longest }
        if let jitter = nanoseconds(message.maxEjectionTimeJitter) { settings.ejectionJitter = jitter }
        if let percent = message.maxEjectionPercent { settings.maximumPercent = percent }
        settings.ejectsOneAlways = message.alwaysEjectOneHost ?? false
        settings.endsWithHealthCheck = message.successfulActiveHealthCheckUnejectHost ?? true
        let hasRate = share(.successRate, message.enforcingSuccessRate, 100)
        let hasLocalRate = share(.localSuccessRate, message.enforcingLocalOriginSuccessRate, 100)
        if hasRate || (hasLocalRate && settings.splitsLocalFailures) { settings.successRate = successRate(message) }
        let hasPercentage = share(.failurePercentage, message.enforcingFailurePercentage, 0)
        let hasLocalPercentage = share(.localFailurePercentage, message.enforcingFailurePercentageLocalOrigin, 0)
        if hasPercentage || (hasLocalPercentage && settings.splitsLocalFailures) {
            settings.failurePercentage = failurePercentage(message)
        }
        return settings
    }

    private func successRate(_ message: Envoy.OutlierDetection) -> OutlierSettings.SuccessRate {
        var rule = OutlierSettings.SuccessRate()
        if let hosts = message.successRateMinimumHosts { rule.minimumHosts = Int(hosts) }
        if let requests = message.successRateRequestVolume { rule.minimumRequests = requests }
        if let factor = message.successRateStdevFactor { rule.deviations = Double(factor) / 1000 }
        return rule
    }

    private func failurePercentage(_ message: Envoy.OutlierDetection) -> OutlierSettings.FailurePercentage {
        var rule = OutlierSettings.FailurePercentage()
        if let hosts = message.failurePercentageMinimumHosts { rule.minimumHosts = Int(hosts) }
        if let requests = message.failurePercentageRequestVolume { rule.minimumRequests = requests }
        if let threshold = message.failurePercentageThreshold { rule.threshold = threshold }
        return rule
    }
}
