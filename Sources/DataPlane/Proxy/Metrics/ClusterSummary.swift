import Traffic

/// A cluster over all workers: its endpoints' numbers added up.
struct ClusterSummary {
    struct Endpoint {
        var configuration: EndpointConfiguration
        var requestsActive: Int64 = 0
        var connectionsActive: Int64 = 0
        var requests: UInt64 = 0
        var successes: UInt64 = 0
        var errors: UInt64 = 0
        var timeouts: UInt64 = 0
        var connections: UInt64 = 0
        var connectFailures: UInt64 = 0
        /// Some worker leaves it out.
        var isEjected = false
        /// When the last worker takes it back: nanoseconds of the steady clock.
        var ejectedUntil: UInt64 = 0
        var ejectionCause: EjectionCause?
        /// Ejections in a row, and failures in a row: the most that a worker counts.
        var ejections: UInt32 = 0
        var consecutiveErrors: UInt32 = 0
        var check = CheckState.none
        /// The mean of the workers' estimates that have one, milliseconds.
        var ewmaMilliseconds = 0.0
        var tally = EndpointTally()

        var healthFlags: String {
            var flags = ""
            switch check {
            case .failed: flags += "/failed_active_hc"
            case .pending: flags += "/failed_active_hc/pending_active_hc"
            case .degraded: flags += "/degraded_active_hc"
            case .none, .healthy: break
            }
            if configuration.isLeaving { flags += "/pending_dynamic_removal" }
            if isEjected { flags += "/failed_outlier_check" }
            switch configuration.health {
            case .unknown, .healthy: break
            case .degraded: flags += "/eds_degraded"
            case .unhealthy, .draining, .timeout: flags += "/failed_eds_health"
            }
            return flags.isEmpty ? "healthy" : flags
        }
    }
    struct Breaker {
        var priority: String
        var resource: String
        var limit: Int
        var inUse: Int
        var isOpen: Bool
    }

    let configuration: ClusterConfiguration
    private(set) var endpoints: [Endpoint]
    private(set) var breakerStates: [Breaker] = []
    private(set) var requestsTotal: UInt64 = 0
    private(set) var retriesTotal: UInt64 = 0
    private(set) var isInPanic = false
    private(set) var outliers = OutlierCounts()
    private(set) var numbers = AnswerNumbers()
    private(set) var tally = ClusterTally()
    private(set) var subsets: SubsetCounts?
    private(set) var panicChoices: UInt64 = 0
    private(set) var droppedTotal: UInt64 = 0
    private(set) var rateLimits = RateLimitNumbers()
    private(set) var hashTableSizes: HashTableSizes?

    var name: String { configuration.name }

    init(_ configuration: ClusterConfiguration, reports: [ClusterReport]) {
        self.configuration = configuration
        endpoints = configuration.endpoints.map { Endpoint(configuration: $0) }
        var places: [UInt64: Int] = [:]
        for (index, endpoint) in configuration.endpoints.enumerated() { places[endpoint.identity] = index }
        var samples = [Int](repeating: 0, count: endpoints.count)
        for report in reports where report.identity == configuration.identity {
            requestsTotal &+= report.requestsTotal
            retriesTotal &+= report.retriesTotal
            isInPanic = isInPanic || report.isInPanic
            outliers += report.outliers
            numbers.add(report.numbers)
            if let more = report.tally { tally.add(more) }
            if let more = report.subsets {
                var sum = subsets ?? SubsetCounts()
                sum.add(more)
                subsets = sum
            }
            tally.count(.membershipChange, times: report.membershipChanges)
            panicChoices &+= report.panicChoices
            droppedTotal &+= report.droppedTotal
            rateLimits.add(report.rateLimits)
            // The workers share their tables.
            hashTableSizes = report.hashTableSizes ?? hashTableSizes
            for endpoint in report.endpoints {
                guard let place = places[endpoint.identity] else { continue }
                endpoints[place].add(endpoint.state)
                if let tally = endpoint.tally { endpoints[place].tally.add(tally) }
                if endpoint.state.ewma > 0 { samples[place] += 1 }
            }
        }
        for index in endpoints.indices where samples[index] > 0 {
            endpoints[index].ewmaMilliseconds /= Double(samples[index])
        }
        addBreakers(reports.filter { $0.identity == configuration.identity })
    }

    private mutating func addBreakers(_ reports: [ClusterReport]) {
        for (priority, limits) in configuration.settings.breakers.enumerated() {
            let values = [limits.connections, limits.pending, limits.requests, limits.retries]
            for resource in BreakerResource.allCases {
                let place = Int(resource.rawValue)
                var state = Breaker(
                    priority: priority == 0 ? "default" : "high",
                    resource: "\(resource)",
                    limit: values[place],
                    inUse: 0,
                    isOpen: false
                )
                for report in reports where report.breakers.indices.contains(priority) {
                    let breaker = report.breakers[priority]
                    guard breaker.inUse.indices.contains(place), breaker.isOpen.indices.contains(place) else {
                        continue
                    }
                    // Each worker tells of all of them, at its own moment.
                    state.inUse = max(state.inUse, breaker.inUse[place])
                    state.isOpen = state.isOpen || breaker.isOpen[place]
                }
                breakerStates.append(state)
            }
        }
    }

    /// Endpoints by state, each endpoint in one.
    var endpointCounts: [(state: String, count: Int)] {
        var healthy = 0
        var ejected = 0
        var unhealthy = 0
        for endpoint in endpoints {
            if !endpoint.configuration.health.isUsable || !endpoint.check.isUsable {
                unhealthy += 1
            } else if endpoint.isEjected {
                ejected += 1
            } else {
                healthy += 1
            }
        }
        return [("healthy", healthy), ("ejected", ejected), ("unhealthy", unhealthy)]
    }
}

extension ClusterSummary.Endpoint {
    fileprivate mutating func add(_ state: EndpointState) {
        requestsActive += Int64(state.requestsInFlight)
        connectionsActive += Int64(state.connections)
        requests &+= state.requestsTotal
        successes &+= state.successesTotal
        errors &+= state.errorsTotal
        timeouts &+= state.timeoutsTotal
        connections &+= state.connectionsTotal
        connectFailures &+= state.connectFailuresTotal
        isEjected = isEjected || state.isEjected
        ejectedUntil = max(ejectedUntil, state.ejectedUntil)
        if state.isEjected { ejectionCause = state.ejectionCause ?? ejectionCause }
        ejections = max(ejections, state.ejections)
        consecutiveErrors = max(consecutiveErrors, state.consecutive5xx, state.consecutiveLocal)
        // All workers are told the same; the last one to hear of it counts.
        if check == .none || state.check == .failed { check = state.check }
        ewmaMilliseconds += state.ewma / 1_000_000
    }
}
