import Synchronization
import Traffic

/// `fault`: a request waits, then fails, or neither.
extension Worker {
    func injectFault(_ filter: FaultFilter, _ step: FilterStep, _ pass: inout FilterPass) -> FilterVerdict {
        let own = settings(pass.exchange, step, .fault, FaultFilter.self) ?? filter
        if case .fault = state(pass.exchange, pass.step) { return abort(own, filter, pass) }
        guard concerns(own, pass) else { return .next }
        guard filter.active.load(ordering: .relaxed) < own.limit else {
            countFilter(filter.numbers.overflow)
            return .next
        }
        if let rate = own.rules.rate(of: pass.facts.view, random: random.next()) {
            countFilter(filter.numbers.rates)
            begin(filter, pass, isDelayed: false)
            extras(pass.exchange).pointee.pace = AnswerPace(rate: rate)
        }
        let delay = own.rules.delay(of: pass.facts.view, random: random.next())
        guard delay > 0 else { return abort(own, filter, pass) }
        countFilter(filter.numbers.delays)
        pass.exchange.pointee.responseFlags.insert(.delayInjected)
        begin(filter, pass, isDelayed: true)
        pass.exchange.pointee.wakeDeadline = now &+ delay
        return .suspended
    }

    /// Whether the request is one that faults are meant for.
    private func concerns(_ filter: FaultFilter, _ pass: FilterPass) -> Bool {
        if !filter.cluster.isEmpty {
            guard let name = clusterName(pass.exchange), Array(name.utf8) == filter.cluster else { return false }
        }
        if !filter.nodes.isEmpty {
            let node = pass.facts.view.value(of: Self.run("x-envoy-downstream-service-node"))
            let isNamed = filter.nodes.contains { named in
                named.withUnsafeBytes { ByteRun($0).equals(node ?? .empty) }
            }
            guard isNamed else { return false }
        }
        for index in 0..<filter.headers.count where !filter.headers[index].matches(pass.facts.view) { return false }
        return true
    }

    private func abort(_ own: FaultFilter, _ filter: FaultFilter, _ pass: FilterPass) -> FilterVerdict {
        guard let failure = own.rules.failure(of: pass.facts.view, random: random.next()) else { return .next }
        countFilter(filter.numbers.aborts)
        begin(filter, pass, isDelayed: false)
        var reply = FilterReply(
            status: failure.status,
            body: "fault filter abort",
            details: "fault_filter_abort",
            flags: .faultInjected
        )
        reply.callStatus = failure.call
        return .answered(reply)
    }

    private func begin(_ filter: FaultFilter, _ pass: FilterPass, isDelayed: Bool) {
        guard case .fault = state(pass.exchange, pass.step) else {
            filter.active.wrappingAdd(1, ordering: .relaxed)
            countFilter(filter.numbers.active)
            setState(
                pass.exchange,
                pass.step,
                .fault(FaultState(filter: .passUnretained(filter), isDelayed: isDelayed))
            )
            return
        }
    }

    /// The request is over: it is not active any more.
    func endFault(_ state: FaultState) {
        // Safety: the chain's configuration owns the filter, and the client's connection holds the chain.
        state.filter._withUnsafeGuaranteedRef { filter in
            filter.active.wrappingSubtract(1, ordering: .relaxed)
            countFilter(filter.numbers.active, -1)
        }
    }
}
