import Glibc

extension EndpointSet {
    /// Counts a result against its endpoint, and ejects it when it failed too often in a row.
    mutating func judge(_ slot: Int32, result: EndpointResult, now: UInt64) -> EjectionCause? {
        guard let settings = outlier else { return nil }
        let index = Int(slot)
        slots[index].intervalRequests &+= 1
        switch result {
        case .success:
            slots[index].intervalSuccesses &+= 1
            slots[index].consecutive5xx = 0
            slots[index].consecutiveGateway = 0
            slots[index].consecutiveLocal = 0
        case .serverError:
            slots[index].consecutive5xx &+= 1
            slots[index].consecutiveGateway = 0
            slots[index].consecutiveLocal = 0
        case .gatewayError:
            slots[index].consecutive5xx &+= 1
            slots[index].consecutiveGateway &+= 1
            slots[index].consecutiveLocal = 0
        case .localFailure, .localTimeout:
            if settings.splitsLocalFailures {
                slots[index].consecutiveLocal &+= 1
            } else {
                slots[index].consecutive5xx &+= 1
                slots[index].consecutiveGateway &+= 1
            }
        case .cancelled:
            return nil
        }
        guard let cause = slots[index].cause(under: settings) else { return nil }
        return eject(slot, settings: settings, now: now) ? cause : nil
    }

    /// Ends ejections whose time is over and, once per interval, ejects by success rate. To be called about once a second.
    ///
    /// - Returns: the slots that came back, and those that were ejected now.
    package mutating func sweep(now: UInt64) -> (returned: [Int32], ejected: [Int32]) {
        var returned: [Int32] = []
        for index in slots.indices where slots[index].isEjected && slots[index].ejectedUntil <= now {
            slots[index].ejectedUntil = 0
            slots[index].consecutive5xx = 0
            slots[index].consecutiveGateway = 0
            slots[index].consecutiveLocal = 0
            returned.append(Int32(index))
        }
        var ejected: [Int32] = []
        if let settings = outlier, now >= lastStatisticalSweep &+ settings.interval {
            lastStatisticalSweep = now
            ejected = sweepStatistics(settings, now: now, justReturned: returned)
        }
        if !returned.isEmpty || !ejected.isEmpty { rebuild() }
        return (returned, ejected)
    }

    private mutating func sweepStatistics(
        _ settings: OutlierSettings,
        now: UInt64,
        justReturned: [Int32]
    ) -> [Int32] {
        var ejected: [Int32] = []
        if let rule = settings.successRate {
            for slot in belowSuccessRate(rule) where eject(slot, settings: settings, now: now) { ejected.append(slot) }
        }
        for index in slots.indices {
            slots[index].intervalRequests = 0
            slots[index].intervalSuccesses = 0
            // An interval of good conduct takes one ejection off the count.
            if !slots[index].isEjected, slots[index].ejections > 0, !justReturned.contains(Int32(index)) {
                slots[index].ejections -= 1
            }
        }
        return ejected
    }

    private func belowSuccessRate(_ rule: OutlierSettings.SuccessRate) -> [Int32] {
        var rates: [(slot: Int32, rate: Double)] = []
        for (index, slot) in slots.enumerated()
        where slot.isPresent && !slot.isEjected && slot.intervalRequests >= max(1, rule.minimumRequests) {
            rates.append((Int32(index), Double(slot.intervalSuccesses) / Double(slot.intervalRequests)))
        }
        guard rates.count >= max(1, rule.minimumHosts) else { return [] }
        let mean = rates.reduce(0) { $0 + $1.rate } / Double(rates.count)
        let variance = rates.reduce(0) { $0 + ($1.rate - mean) * ($1.rate - mean) } / Double(rates.count)
        let threshold = mean - rule.deviations * variance.squareRoot()
        return rates.filter { $0.rate < threshold }.map(\.slot)
    }

    private mutating func eject(_ slot: Int32, settings: OutlierSettings, now: UInt64) -> Bool {
        let index = Int(slot)
        guard slots[index].isPresent, !slots[index].isEjected else { return false }
        // One endpoint may always be ejected, however small the share.
        let allowed = max(1, presentCount * Int(min(settings.maximumPercent, 100)) / 100)
        guard ejectedCount < allowed else { return false }
        slots[index].ejections = min(slots[index].ejections + 1, 1000)
        let (product, overflow) = settings.baseEjection.multipliedReportingOverflow(by: UInt64(slots[index].ejections))
        let longest = max(settings.maximumEjection, settings.baseEjection)
        slots[index].ejectedUntil = max(1, now &+ (overflow ? longest : min(product, longest)))
        rebuild()
        return true
    }
}

extension EndpointState {
    fileprivate func cause(under settings: OutlierSettings) -> EjectionCause? {
        if settings.consecutiveGateway > 0, consecutiveGateway >= settings.consecutiveGateway {
            return .consecutiveGateway
        }
        if settings.consecutive5xx > 0, consecutive5xx >= settings.consecutive5xx { return .consecutive5xx }
        if settings.splitsLocalFailures, settings.consecutiveLocal > 0, consecutiveLocal >= settings.consecutiveLocal {
            return .consecutiveLocal
        }
        return nil
    }
}
