import Glibc

extension EndpointSet {
    /// Counts a result against its endpoint, and ejects it when it failed too often in a row.
    mutating func judge(_ slot: Int32, result: EndpointResult, now: UInt64) -> EjectionCause? {
        guard let settings = outlier else { return nil }
        clock = max(clock, now)
        let index = Int(slot)
        slots[index].count(result, splits: settings.splitsLocalFailures)
        guard result != .success, result != .cancelled else { return nil }
        var decided: EjectionCause?
        while let cause = slots[index].cause(under: settings) {
            // The next detection wants as many failures again, whether or not this one is enforced.
            slots[index].forget(cause)
            if eject(slot, cause, settings: settings, now: now) { decided = cause }
        }
        return decided
    }

    /// Ends ejections whose time is over and, once per interval, ejects by what the interval's numbers say. To be called about
    /// once a second. `decides` is false where another worker decides for all by the numbers that `takeTallies` gave it.
    ///
    /// - Returns: the slots that came back, and those that were ejected now.
    package mutating func sweep(now: UInt64, decides: Bool = true) -> (returned: [Int32], ejected: [Int32]) {
        clock = max(clock, now)
        var returned: [Int32] = []
        for index in slots.indices where slots[index].isEjected && slots[index].ejectedUntil <= now {
            slots[index].comeBack()
            returned.append(Int32(index))
        }
        var ejected: [Int32] = []
        if let settings = outlier, now >= lastStatisticalSweep &+ settings.interval {
            lastStatisticalSweep = now
            if decides { ejected = decide(settings, now: now) }
            for index in slots.indices {
                if decides { slots[index].clearInterval() }
                // An interval of good conduct takes one ejection off the count.
                if !slots[index].isEjected, slots[index].ejections > 0, !returned.contains(Int32(index)) {
                    slots[index].ejections -= 1
                }
            }
        }
        if !returned.isEmpty || !ejected.isEmpty { rebuild() }
        return (returned, ejected)
    }

    // MARK: Several workers

    /// The numbers since the last call, for the worker that decides; they begin anew here.
    package mutating func takeTallies() -> [OutlierTally] {
        guard outlier?.usesStatistics ?? false else { return [] }
        var tallies: [OutlierTally] = []
        for index in slots.indices where slots[index].intervalRequests > 0 || slots[index].localRequests > 0 {
            tallies.append(slots[index].tally)
            slots[index].clearInterval()
        }
        return tallies
    }

    /// Adds the numbers of another worker.
    package mutating func add(_ tallies: [OutlierTally]) {
        var places: [UInt64: Int] = [:]
        for (index, slot) in slots.enumerated() where slot.id != 0 { places[slot.id] = index }
        for tally in tallies {
            if let index = places[tally.endpoint] { slots[index].add(tally) }
        }
    }

    /// The ejection of a slot, for the other workers; nil: it is not ejected.
    package func ejection(of slot: Int32) -> Ejection? {
        guard isValid(slot), slots[Int(slot)].isEjected else { return nil }
        let state = slots[Int(slot)]
        return Ejection(endpoint: state.id, until: state.ejectedUntil, count: state.ejections)
    }

    /// Follows another worker's ejection.
    package mutating func follow(_ ejection: Ejection) {
        guard let slot = slot(of: ejection.endpoint), slots[Int(slot)].isPresent, !slots[Int(slot)].isEjected else {
            return
        }
        slots[Int(slot)].ejectedUntil = ejection.until
        slots[Int(slot)].ejections = ejection.count
        slots[Int(slot)].ejectionNumber = 0
        rebuild()
    }

    // MARK: Decisions

    private mutating func decide(_ settings: OutlierSettings, now: UInt64) -> [Int32] {
        var ejected: [Int32] = []
        func local(_ cause: EjectionCause) -> Bool { cause == .localSuccessRate || cause == .localFailurePercentage }
        for cause in [
            EjectionCause.successRate, .failurePercentage, .localSuccessRate, .localFailurePercentage,
        ] where !local(cause) || settings.splitsLocalFailures {
            for slot in outliers(cause, settings, isLocal: local(cause))
            where eject(slot, cause, settings: settings, now: now) { ejected.append(slot) }
        }
        return ejected
    }

    private func outliers(_ cause: EjectionCause, _ settings: OutlierSettings, isLocal: Bool) -> [Int32] {
        switch cause {
        case .successRate, .localSuccessRate:
            guard let rule = settings.successRate else { return [] }
            let rates = rates(minimum: rule.minimumRequests, isLocal: isLocal)
            guard rates.count >= max(1, rule.minimumHosts) else { return [] }
            let mean = rates.reduce(0) { $0 + $1.rate } / Double(rates.count)
            let variance = rates.reduce(0) { $0 + ($1.rate - mean) * ($1.rate - mean) } / Double(rates.count)
            let threshold = mean - rule.deviations * variance.squareRoot()
            return rates.filter { $0.rate < threshold }.map(\.slot)
        case .failurePercentage, .localFailurePercentage:
            guard let rule = settings.failurePercentage else { return [] }
            let rates = rates(minimum: rule.minimumRequests, isLocal: isLocal)
            guard rates.count >= max(1, rule.minimumHosts) else { return [] }
            return rates.filter { (1 - $0.rate) * 100 >= Double(rule.threshold) }.map(\.slot)
        default: return []
        }
    }

    private func rates(minimum: UInt32, isLocal: Bool) -> [(slot: Int32, rate: Double)] {
        var rates: [(slot: Int32, rate: Double)] = []
        for (index, slot) in slots.enumerated() where slot.isPresent && !slot.isEjected {
            let requests = isLocal ? slot.localRequests : slot.intervalRequests
            let successes = isLocal ? slot.localSuccesses : slot.intervalSuccesses
            guard requests >= max(1, minimum) else { continue }
            rates.append((Int32(index), Double(successes) / Double(requests)))
        }
        return rates
    }

    private mutating func eject(_ slot: Int32, _ cause: EjectionCause, settings: OutlierSettings, now: UInt64) -> Bool {
        let index = Int(slot)
        guard slots[index].isPresent, !slots[index].isEjected else { return false }
        outlierCounts.detected[Int(cause.rawValue)] &+= 1
        let isWithinShare = (ejectedCount + 1) * 100 <= Int(min(settings.maximumPercent, 100)) * presentCount
        guard isWithinShare || (settings.ejectsOneAlways && ejectedCount == 0) else {
            outlierCounts.overflow &+= 1
            return false
        }
        var draws = Draws(outlierSeed)
        let chance = draws.next()
        outlierSeed = draws.next()
        guard chance % 100 < UInt64(settings.shares[Int(cause.rawValue)]) else { return false }
        outlierCounts.enforced[Int(cause.rawValue)] &+= 1
        slots[index].ejections = min(slots[index].ejections + 1, 1000)
        slots[index].ejectionNumber = cause.rawValue + 1
        let (product, overflow) = settings.baseEjection.multipliedReportingOverflow(by: UInt64(slots[index].ejections))
        let longest = max(settings.maximumEjection, settings.baseEjection)
        var time = overflow ? longest : min(product, longest)
        if settings.ejectionJitter > 0 { time &+= outlierSeed % (settings.ejectionJitter &+ 1) }
        slots[index].ejectedUntil = max(1, now &+ time)
        rebuild()
        return true
    }
}

extension EndpointState {
    fileprivate mutating func count(_ result: EndpointResult, splits: Bool) {
        switch result {
        case .cancelled: return
        case .localFailure, .localTimeout:
            guard splits else {
                intervalRequests &+= 1
                consecutive5xx &+= 1
                consecutiveGateway &+= 1
                return
            }
            localRequests &+= 1
            consecutiveLocal &+= 1
            return
        case .success:
            intervalSuccesses &+= 1
            consecutive5xx = 0
            consecutiveGateway = 0
        case .serverError:
            consecutive5xx &+= 1
            consecutiveGateway = 0
        case .gatewayError:
            consecutive5xx &+= 1
            consecutiveGateway &+= 1
        }
        intervalRequests &+= 1
        consecutiveLocal = 0
        if splits {
            localRequests &+= 1
            localSuccesses &+= 1
        }
    }

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

    fileprivate mutating func forget(_ cause: EjectionCause) {
        switch cause {
        case .consecutiveGateway: consecutiveGateway = 0
        case .consecutive5xx: consecutive5xx = 0
        default: consecutiveLocal = 0
        }
    }

    /// The ejection is over.
    mutating func comeBack() {
        ejectedUntil = 0
        consecutive5xx = 0
        consecutiveGateway = 0
        consecutiveLocal = 0
    }

    fileprivate var tally: OutlierTally {
        OutlierTally(
            endpoint: id,
            requests: intervalRequests,
            successes: intervalSuccesses,
            localRequests: localRequests,
            localSuccesses: localSuccesses
        )
    }

    fileprivate mutating func add(_ tally: OutlierTally) {
        intervalRequests &+= tally.requests
        intervalSuccesses &+= tally.successes
        localRequests &+= tally.localRequests
        localSuccesses &+= tally.localSuccesses
    }

    fileprivate mutating func clearInterval() {
        intervalRequests = 0
        intervalSuccesses = 0
        localRequests = 0
        localSuccesses = 0
    }
}
