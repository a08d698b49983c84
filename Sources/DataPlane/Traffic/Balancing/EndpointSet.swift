/// A cluster's endpoints as one worker sees them: which ones may be used, how loaded and how fast they are, and which one
/// comes next.
///
/// Each endpoint has a slot whose number stays the same as long as the endpoint lives, also over configuration updates, so
/// that connection pools can be kept beside it in an array of the same shape. Owned by one worker; pure: time and
/// randomness are arguments. `choose` allocates nothing.
package struct EndpointSet {
    package private(set) var policy: BalancerPolicy
    package var outlier: OutlierSettings?
    /// Below this share of healthy endpoints (percent) health is ignored; 0 = never.
    package var panicThreshold: Double
    package internal(set) var settings = BalancerSettings()
    /// Choices that were made without regard to health.
    package internal(set) var panicChoices: UInt64 = 0

    /// Endpoints do not count at all before their first health check (`ignore_new_hosts_until_first_hc`).
    package var ignoresUnchecked = false

    var slots: [EndpointState] = []
    var free: [Int32] = []
    /// The endpoints that may be chosen.
    var groups: [EndpointGroup] = []
    /// Shares of the load; empty when it all goes to one group.
    var tiers: [EndpointTier] = []
    /// For each entry of the newest configuration its slot.
    var slotOfPosition: [Int32] = []
    var tables: HashTables?
    /// nil: requests cannot ask for some of the endpoints.
    var book: SubsetBook?
    /// Requests of all endpoints together.
    var inFlight = 0
    /// The newest time that anybody named.
    var clock: UInt64 = 0
    var usesHash = false
    var presentCount = 0
    var ejectedCount = 0
    var lastStatisticalSweep: UInt64 = 0
    package internal(set) var outlierCounts = OutlierCounts()
    /// Decides where only a share of detections ejects; to be set to something random.
    package var outlierSeed: UInt64 = 0

    package init(policy: BalancerPolicy, outlier: OutlierSettings? = nil, panicThreshold: Double = 50) {
        self.policy = policy
        self.outlier = outlier
        self.panicThreshold = panicThreshold
    }

    /// Slots ever in use: what an array kept beside this one must be able to hold.
    package var slotCount: Int { slots.count }
    /// Endpoints of the newest configuration.
    package var count: Int { presentCount }
    package var ejected: Int { ejectedCount }
    /// Endpoints of the newest configuration that are healthy and not ejected.
    package var healthyCount: Int {
        var total = 0
        for slot in slots where slot.isPresent && slot.isHealthy && slot.check.isUsable && !slot.isEjected {
            total += 1
        }
        return total
    }
    /// Whether health is being ignored because too few endpoints are healthy.
    package var isInPanic: Bool { groups.contains { $0.isPanic } }

    /// The state in a slot; a free state for a slot that never existed.
    package subscript(slot: Int32) -> EndpointState {
        guard slot >= 0, Int(slot) < slots.count else { return EndpointState() }
        return slots[Int(slot)]
    }

    /// Whether a slot's endpoint belongs to the set. Mutating for speed alone: asked in place, the set is not copied.
    package mutating func isPresent(_ slot: Int32) -> Bool {
        slot >= 0 && Int(slot) < slots.count && slots[Int(slot)].isPresent
    }

    /// The slot of an endpoint, or nil. Scans: for updates and tests.
    package func slot(of id: UInt64) -> Int32? {
        guard let found = slots.firstIndex(where: { $0.id == id && id != 0 }) else { return nil }
        return Int32(found)
    }

    /// What an update changed.
    package struct Update: Equatable {
        /// Endpoints that are new, in the order of the configuration.
        package var added: [Int32] = []
        /// Slots whose endpoint is gone: to be drained, then given back with `recycle`.
        package var removed: [Int32] = []
        /// For each entry of the configuration its slot.
        package var slots: [Int32] = []
    }

    /// Takes over the endpoints of a new configuration; those that stay keep their slots, estimates and ejections. With a
    /// policy of hashes `tables` has a key for each of `specs`.
    package mutating func update(
        _ specs: [EndpointSpec],
        policy: BalancerPolicy? = nil,
        settings: BalancerSettings? = nil,
        tables: HashTables? = nil,
        now: UInt64 = 0
    ) -> Update {
        if let policy { self.policy = policy }
        if let settings { self.settings = settings }
        self.tables = tables
        clock = max(clock, now)
        var known: [UInt64: Int32] = [:]
        known.reserveCapacity(slots.count)
        for (index, slot) in slots.enumerated() where slot.id != 0 { known[slot.id] = Int32(index) }
        var result = Update()
        var wanted: Set<UInt64> = []
        wanted.reserveCapacity(specs.count)
        result.slots.reserveCapacity(specs.count)
        slotOfPosition = [Int32](repeating: -1, count: specs.count)
        for (position, spec) in specs.enumerated() where spec.id != 0 && wanted.insert(spec.id).inserted {
            let slot: Int32
            if let present = known[spec.id] {
                slot = present
                if !slots[Int(slot)].isPresent { result.added.append(slot) }
            } else {
                slot = takeSlot()
                slots[Int(slot)] = EndpointState()
                slots[Int(slot)].id = spec.id
                result.added.append(slot)
            }
            slots[Int(slot)].weight = max(1, spec.weight)
            slots[Int(slot)].priority = spec.priority
            slots[Int(slot)].isHealthy = spec.isHealthy
            slots[Int(slot)].begin(isChecked: spec.isChecked)
            slots[Int(slot)].isDegraded = spec.isDegraded
            slots[Int(slot)].locality = spec.locality
            slots[Int(slot)].position = Int32(position)
            slots[Int(slot)].isPresent = true
            slotOfPosition[position] = slot
            result.slots.append(slot)
        }
        for index in slots.indices where slots[index].isPresent && !wanted.contains(slots[index].id) {
            slots[index].isPresent = false
            slots[index].wasHealthy = false
            result.removed.append(Int32(index))
        }
        rebuild()
        return result
    }

    /// Frees the slot of an endpoint that is gone and has nothing in flight. Its number may then name another endpoint.
    package mutating func recycle(_ slot: Int32) {
        guard isValid(slot), !slots[Int(slot)].isPresent, slots[Int(slot)].id != 0 else { return }
        slots[Int(slot)] = EndpointState()
        free.append(slot)
    }

    // MARK: What happens to an endpoint

    /// Takes over what health checks say of an endpoint. With `unejects` success ends an ejection.
    package mutating func setCheck(_ slot: Int32, _ state: CheckState, unejects: Bool = false, now: UInt64 = 0) {
        clock = max(clock, now)
        guard isValid(slot), slots[Int(slot)].isPresent else { return }
        slots[Int(slot)].check = state
        if unejects, state.isUsable { slots[Int(slot)].comeBack() }
        rebuild()
    }

    package mutating func requestStarted(_ slot: Int32) {
        guard isValid(slot) else { return }
        slots[Int(slot)].requestsInFlight &+= 1
        inFlight &+= 1
        slots[Int(slot)].requestsTotal &+= 1
    }

    package mutating func connectionOpened(_ slot: Int32) {
        guard isValid(slot) else { return }
        slots[Int(slot)].connections &+= 1
        slots[Int(slot)].connectionsTotal &+= 1
    }

    package mutating func connectionClosed(_ slot: Int32) {
        guard isValid(slot) else { return }
        slots[Int(slot)].connections = max(0, slots[Int(slot)].connections - 1)
    }

    /// A connection that never came to be. `connectionOpened` must not have been called for it.
    package mutating func connectFailed(_ slot: Int32) {
        guard isValid(slot) else { return }
        slots[Int(slot)].connectFailuresTotal &+= 1
    }

    /// A request that was counted by `requestStarted` is over; why the endpoint was ejected just now, or nil. `time` is
    /// from the request's dispatch to the response's head, in nanoseconds.
    package mutating func requestEnded(
        _ slot: Int32,
        result: EndpointResult,
        time: UInt64,
        now: UInt64
    ) -> EjectionCause? {
        guard isValid(slot) else { return nil }
        let index = Int(slot)
        slots[index].requestsInFlight = max(0, slots[index].requestsInFlight - 1)
        inFlight = max(0, inFlight &- 1)
        switch result {
        case .success: slots[index].successesTotal &+= 1
        case .serverError, .gatewayError, .localFailure: slots[index].errorsTotal &+= 1
        case .localTimeout: slots[index].timeoutsTotal &+= 1
        case .cancelled: return nil
        }
        if case .peakEWMA(let numbers) = policy {
            let sample = result == .success ? time : max(time, numbers.failurePenalty)
            slots[index].observe(sample, now: now, numbers: numbers)
        }
        return judge(slot, result: result, now: now)
    }

    // MARK: Internals

    func isValid(_ slot: Int32) -> Bool { slot >= 0 && Int(slot) < slots.count }

    private mutating func takeSlot() -> Int32 {
        if let slot = free.popLast() { return slot }
        slots.append(EndpointState())
        return Int32(slots.count - 1)
    }
}

extension EndpointState {
    /// A new endpoint waits for its first check; one that was there before checks came counts as healthy until they say otherwise.
    mutating func begin(isChecked: Bool) {
        if !isChecked {
            check = .none
        } else if !isPresent {
            check = .pending
        } else if check == .none {
            check = .healthy
        }
    }

    /// The estimate as of `now`: it falls while there are no samples, so that a slow endpoint is tried again some time.
    func estimate(now: UInt64, numbers: PeakEWMA) -> Double {
        guard ewma > 0 else { return Double(numbers.defaultTime) }
        guard now > ewmaTime, numbers.decay > 0 else { return ewma }
        return ewma * decayFactor(elapsed: now - ewmaTime, decay: numbers.decay)
    }

    /// Takes a sample: a higher one counts at once (the peak), a lower one by how long the last one is ago.
    mutating func observe(_ sample: UInt64, now: UInt64, numbers: PeakEWMA) {
        let value = max(1, Double(sample))
        if ewma <= 0 {
            ewma = value
        } else {
            let current = estimate(now: now, numbers: numbers)
            if value > current {
                ewma = value
            } else {
                let elapsed = now > ewmaTime ? now - ewmaTime : 0
                let keep = decayFactor(elapsed: elapsed, decay: max(1, numbers.decay))
                ewma = ewma * keep + value * (1 - keep)
            }
        }
        ewmaTime = max(now, ewmaTime)
    }
}
