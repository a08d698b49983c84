import Bytes
import HTTP
import Traffic

/// The way of a request through the filters of its chain: after its route is found and before anything is done with it.
extension Worker {
    /// Begins a request's way. The bytes of the body that were taken.
    func beginFilters(
        _ match: RouteMatch,
        _ facts: RequestFacts,
        _ index: Int32,
        _ exchange: ExchangePlace,
        _ chain: ChainPlace,
        _ body: UnsafeMutableRawPointer,
        _ count: Int
    ) -> Int {
        let extras = extras(exchange)
        // A redirect that the proxy follows is a request of its own.
        if extras.pointee.filters != nil { releaseFilters(exchange, extras) }
        let run = UnsafeMutablePointer<FilterRun>.allocate(capacity: 1)
        run.initialize(to: FilterRun())
        // Safety: owned by the extras, freed in `releaseFilters`.
        extras.pointee.filters = run
        let place = downstreams.pointer(exchange.pointee.downstream)
        hideUntrusted(facts, place, chain)
        if chain.pointee.remembersRequest, exchange.pointee.record.isEmpty { record(exchange, facts.base, head.length) }
        var pass = FilterPass(
            index: index,
            exchange: exchange,
            place: place,
            chain: chain,
            facts: facts,
            match: match
        )
        settleRoute(&pass)
        return runFilters(&pass, body, count)
    }

    /// What a client says of itself and may not say is nothing that a filter may decide by.
    private func hideUntrusted(_ facts: RequestFacts, _ place: DownstreamPlace, _ chain: ChainPlace) {
        guard chain.pointee.clientCertificate == .remove || !passesClientCertificate(place, chain) else { return }
        dropField(Self.run("x-forwarded-client-cert"), facts.base)
    }

    /// Draws the cluster: what weighted clusters say of filters counts, too.
    private func settleRoute(_ pass: inout FilterPass) {
        let exchange = pass.exchange
        exchange.pointee.weighted = nil
        exchange.filterRun?.pointee.cluster = nil
        guard let route = pass.route else { return }
        exchange.pointee.route = route
        if route.pointee.remembersRequest, exchange.pointee.record.isEmpty {
            record(exchange, pass.facts.base, head.length)
        }
        guard case .forward(let forward) = route.pointee.action else { return }
        exchange.filterRun?.pointee.cluster = drawCluster(forward, pass.facts, exchange)
    }

    /// What routes say of filters, for this request.
    func routeFilters(_ exchange: ExchangePlace) -> ArenaArray<RouteFilter> {
        if let weighted = exchange.pointee.weighted, !weighted.pointee.filters.isEmpty {
            return weighted.pointee.filters
        }
        return exchange.pointee.route?.pointee.filters ?? ArenaArray()
    }

    /// The most specific settings of a route for a step, of the type that `kind` numbers; nil where there are none.
    func settings<Settings: AnyObject>(
        _ exchange: ExchangePlace,
        _ step: FilterStep,
        _ kind: RouteFilterKind,
        _: Settings.Type
    ) -> Settings? {
        let filters = routeFilters(exchange)
        for index in 0..<filters.count
        where filters[index].name == step.name && filters[index].kind == kind.rawValue {
            guard let address = filters[index].settings.start else { continue }
            // Safety: the arena of the route's table keeps the object, which is of the type that its kind says.
            return Unmanaged<Settings>.fromOpaque(address).takeUnretainedValue()
        }
        return nil
    }

    /// What all levels of a route's configuration say of a step, the most specific one first.
    func levels<Settings: AnyObject>(
        _ exchange: ExchangePlace,
        _ step: FilterStep,
        _ kind: RouteFilterKind,
        _: Settings.Type
    ) -> [Settings] {
        let filters = routeFilters(exchange)
        var found: [Settings] = []
        for index in 0..<filters.count
        where filters[index].name == step.name && filters[index].kind == kind.rawValue {
            guard let address = filters[index].settings.start else { continue }
            // Safety: as in `settings`.
            found.append(Unmanaged<Settings>.fromOpaque(address).takeUnretainedValue())
        }
        return found
    }

    /// The name of the cluster that was drawn; nil: there is none.
    func clusterName(_ exchange: ExchangePlace) -> String? {
        if let found = exchange.filterRun?.pointee.found { return found.pointee.configuration.name }
        guard let index = exchange.filterRun?.pointee.cluster, index >= 0, let holder = exchange.pointee.snapshot,
            Int(index) < holder.pointee.snapshot.clusters.count
        else { return nil }
        return holder.pointee.snapshot.clusters[Int(index)]?.name
    }

    /// Whether a step works for this request.
    func isActive(_ step: FilterStep, _ exchange: ExchangePlace) -> Bool {
        let filters = routeFilters(exchange)
        for index in 0..<filters.count where filters[index].name == step.name { return !filters[index].isDisabled }
        return !step.isDisabled
    }

    // MARK: Running

    /// Runs the steps from where the request stands. The bytes of the client's input that were taken.
    func runFilters(_ pass: inout FilterPass, _ body: UnsafeMutableRawPointer, _ count: Int) -> Int {
        let exchange = pass.exchange
        var taken = 0
        guard let run = exchange.filterRun else { return 0 }
        while run.pointee.position < pass.chain.pointee.steps.count {
            pass.step = run.pointee.position
            let step = pass.chain.pointee.steps[pass.step]
            guard step.parts.contains(.request), isActive(step, exchange) else {
                run.pointee.position += 1
                continue
            }
            let verdict = ask(step, &pass)
            guard change(&pass) else {
                let reply = FilterReply(status: 431, details: "request_headers_too_large_after_filters")
                return taken + answer(reply, pass, body + taken, count - taken)
            }
            switch verdict {
            case .next: run.pointee.position += 1
            case .answered(let reply): return taken + answer(reply, pass, body + taken, count - taken)
            case .suspended:
                suspend(&pass, body + taken, count - taken)
                return taken
            case .collects(let limit):
                run.pointee.limit = limit
                let used = collectFirst(pass, body + taken, count - taken)
                guard used >= 0 else {
                    answer(pass.index, exchange, status: 400, reason: "the body's framing is malformed")
                    return count
                }
                taken += used
                guard run.pointee.collected != .nothing else {
                    run.pointee.isCollecting = true
                    suspend(&pass, body + taken, count - taken)
                    return taken
                }
            }
        }
        return taken + goOn(pass, body + taken, count - taken)
    }

    /// Does what the step wanted changed. False when the head does not fit or is none any more.
    private func change(_ pass: inout FilterPass) -> Bool {
        if !pass.edits.isEmpty {
            let edits = pass.edits
            pass.edits = HeadEdits()
            guard let facts = rewriteHead(pass.facts, pass.exchange, edits) else { return false }
            pass.facts = facts
        }
        if pass.transformsBody {
            pass.transformsBody = false
            pass.exchange.filterRun?.pointee.requestTransforms.append(pass.step)
        }
        if pass.clearsRoute {
            pass.clearsRoute = false
            let table = pass.exchange.pointee.snapshot?.pointee.views._withUnsafeGuaranteedRef {
                $0[pass.chain.pointee.routeTable]
            }
            guard let table else { return true }
            if table.asksForCertificate { pass.facts.view.hasCertificate = hasCertificate(pass.place) }
            pass.match = table.match(pass.facts.view, random: random.next())
            pass.exchange.pointee.route = nil
            settleRoute(&pass)
        }
        return true
    }

    /// All steps have had their turn: what the route wants is done.
    private func goOn(_ pass: FilterPass, _ body: UnsafeMutableRawPointer, _ count: Int) -> Int {
        guard let run = pass.exchange.filterRun else { return 0 }
        if !run.pointee.requestTransforms.isEmpty, !pass.exchange.pointee.requestBody.isComplete {
            head.framing = .chunked
            pass.exchange.pointee.flags.insert(.requestIsChunked)
        }
        // More than the step wanted, and yet all there is.
        if run.pointee.collected == .beginning, pass.exchange.pointee.requestBody.isComplete {
            run.pointee.collected = .whole
        }
        guard run.pointee.collected == .whole else {
            return settle(pass.match, pass.facts, pass.index, pass.exchange, pass.chain, body, count)
        }
        goOnWithStored(pass, run)
        return 0
    }

    // MARK: Waiting

    /// Keeps what is needed to go on later.
    private func suspend(_ pass: inout FilterPass, _ body: UnsafeMutableRawPointer, _ count: Int) {
        let exchange = pass.exchange
        guard let run = exchange.filterRun else { return }
        if run.pointee.head.isEmpty {
            guard let facts = rewriteHead(pass.facts, exchange, HeadEdits()) else {
                answer(pass.index, exchange, status: 431, reason: "the head is too large to wait")
                return
            }
            pass.facts = facts
        }
        run.pointee.parsed = head
        run.pointee.match = pass.match
        exchange.pointee.flags.insert(.isSuspended)
        if exchange.pointee.bodyDeadline != .max {
            // It is the proxy that waits, not the client.
            if !run.pointee.isCollecting {
                run.pointee.bodyTime = exchange.pointee.bodyDeadline &- min(now, exchange.pointee.bodyDeadline)
                exchange.pointee.bodyDeadline = .max
            }
        }
        let life = pass.chain.pointee.maxStreamDuration
        if life > 0 {
            exchange.pointee.routeDeadline = min(exchange.pointee.routeDeadline, exchange.pointee.startedAt &+ life)
        }
        if (exchange.pointee.extras?.pointee.redirects ?? 0) > 0, count > 0, run.pointee.redirected.isEmpty {
            _ = buffers.append(&run.pointee.redirected, body, count)
        }
        if !exchange.pointee.requestBody.isComplete, !run.pointee.isCollecting {
            pauseReading(exchange.pointee.downstream, pass.place)
        }
        armExchange(exchange)
    }

    /// Goes on with a request that waits; nothing happens when it does not.
    func resumeFilters(_ index: Int32, _ exchange: ExchangePlace) {
        guard exchange.pointee.flags.contains(.isSuspended), let run = exchange.filterRun,
            let bytes = run.pointee.head.bytes
        else { return }
        let downstream = exchange.pointee.downstream
        let place = downstreams.pointer(downstream)
        guard let chain = place.pointee.chain, let facts = readHead(bytes, run.pointee.head.count, place, run) else {
            exchange.pointee.flags.remove(.isSuspended)
            answer(index, exchange, status: 500, reason: "the request could not be read again")
            return
        }
        exchange.pointee.flags.remove(.isSuspended)
        exchange.pointee.wakeDeadline = .max
        exchange.pointee.lastActivity = now
        run.pointee.isCollecting = false
        if run.pointee.bodyTime != .max {
            exchange.pointee.bodyDeadline = now &+ run.pointee.bodyTime
            run.pointee.bodyTime = .max
        }
        var pass = FilterPass(
            index: index,
            exchange: exchange,
            place: place,
            chain: chain,
            facts: facts,
            match: run.pointee.match
        )
        pass.facts.view.isInternal = exchange.pointee.extras?.pointee.isInternal ?? false
        let generation = place.pointee.generation
        if !run.pointee.redirected.isEmpty {
            var held = run.pointee.redirected
            run.pointee.redirected = Buffer()
            if let body = held.bytes { _ = runFilters(&pass, body, held.count) }
            buffers.give(&held)
        } else if place.pointee.isStream {
            _ = runFilters(&pass, bytes, 0)
        } else {
            let input = place.pointee.input.bytes ?? bytes
            let used = runFilters(&pass, input, exchange.pointee.requestBody.isComplete ? 0 : place.pointee.input.count)
            guard used > 0 else {
                resumed(index, downstream, generation)
                return
            }
            guard let place = downstreams.find(downstream, generation: generation), place.pointee.state == .http,
                !place.pointee.flags.contains(.closesWhenFlushed), !place.pointee.input.isEmpty
            else { return }
            place.pointee.input.start &+= Int32(used)
            if place.pointee.input.isEmpty { buffers.give(&place.pointee.input) }
        }
        resumed(index, downstream, generation)
    }

    /// The client's side goes on, too, unless the request waits again or is over.
    private func resumed(_ index: Int32, _ downstream: Int32, _ generation: UInt32) {
        guard let place = downstreams.find(downstream, generation: generation), place.pointee.exchange == index else {
            return
        }
        let exchange = exchanges.pointer(index)
        guard !exchange.pointee.flags.contains(.isSuspended) else { return }
        resumeReading(downstream, place)
        if !deferred.isEmpty { dispatchDeferred() }
        guard let place = downstreams.find(downstream, generation: generation), place.pointee.exchange == index else {
            return
        }
        armDownstream(downstream, place)
    }

    // MARK: The end

    /// Frees what a request's filters kept, and calls off what they wait for.
    func releaseFilters(_ exchange: ExchangePlace, _ extras: UnsafeMutablePointer<ExchangeExtras>) {
        guard let run = extras.pointee.filters else { return }
        extras.pointee.filters = nil
        for state in run.pointee.states { cancel(state) }
        if let found = run.pointee.found { letGo(found) }
        buffers.give(&run.pointee.head)
        buffers.give(&run.pointee.answer)
        buffers.give(&run.pointee.details)
        buffers.give(&run.pointee.redirected)
        run.deinitialize(count: 1)
        run.deallocate()
    }

    /// Tells the steps that want to know it how the request ended.
    func endFilters(_ exchange: ExchangePlace, _ run: UnsafeMutablePointer<FilterRun>) {
        guard let chain = downstreams.pointer(exchange.pointee.downstream).pointee.chain else { return }
        for number in 0..<chain.pointee.steps.count {
            let step = chain.pointee.steps[number]
            if step.parts.contains(.end), number < run.pointee.states.count { ended(step, number, exchange, run) }
        }
    }

    /// What a step keeps of this request.
    func state(_ exchange: ExchangePlace, _ step: Int) -> FilterState {
        guard let run = exchange.filterRun, step < run.pointee.states.count else { return .none }
        return run.pointee.states[step]
    }

    func setState(_ exchange: ExchangePlace, _ step: Int, _ state: FilterState) {
        guard let run = exchange.filterRun else { return }
        while run.pointee.states.count <= step { run.pointee.states.append(.none) }
        run.pointee.states[step] = state
    }
}
