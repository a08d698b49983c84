import Bytes
import Reactor
import Traffic

/// Drain, stop and reports.
extension Worker {
    /// Stops accepting. Gracefully: idle connections close, the others with their next answer, what is left at the deadline is cut.
    func drain(isGraceful: Bool, deadline: UInt64) {
        closeAllListeners()
        guard !isDraining || (isGraceful && !drainsGracefully) else { return }
        isDraining = true
        drainsGracefully = isGraceful
        idleDeadline = now &+ min(Limits.idleGrace, deadline / 2)
        let limits = current.pointee.snapshot.limits
        if limits.drainsGradually, isGraceful {
            drainSince = now
            idleDeadline = now &+ deadline
        }
        guard isGraceful else { return }
        loop.timers.set(drainTimer, Instant(nanoseconds: now &+ deadline))
        for index in 0..<downstreams.used {
            let place = downstreams.pointer(index)
            if place.pointee.isLive, place.pointee.state == .http2 { drainSession(index, place, deadline: deadline) }
            guard place.pointee.isLive, place.pointee.state == .http, place.pointee.exchange < 0,
                !place.pointee.flags.contains(.headStarted), place.pointee.output.isEmpty
            else { continue }
            // Not at once: a request may be on its way. It is answered, with `Connection: close`.
            armDownstream(index, place)
        }
        if hasNoClients { control.post(.drained(worker: number)) }
    }

    /// Streams that the proxy itself holds open keep nothing from ending.
    var hasNoClients: Bool { downstreams.liveCount <= standingStreams }

    private func drainSession(_ index: Int32, _ place: DownstreamPlace, deadline: UInt64) {
        let entry = sessions.pointer(place.pointee.session)
        entry.pointee.drainAt = drawDrain()
        if entry.pointee.drainAt <= now {
            drainSession(entry, grace: min(Limits.idleGrace, deadline / 2))
        } else {
            armDownstream(index, place)
        }
    }

    /// Whether a connection of HTTP/1 ends with this answer. Gradually: the more surely, the more of the time has passed.
    @inline(__always)
    var endsForDrain: Bool { (isDraining || isUnderPressure) && (endsForOverload || isDraining && drawsEnd()) }

    private var endsForOverload: Bool { isUnderPressure && overload.takes(.disableKeepAlive, random: random.next()) }

    private func drawsEnd() -> Bool {
        guard drainSince > 0 else { return true }
        let time = current.pointee.snapshot.limits.drainTime
        return time == 0 || random.next() % time < now &- drainSince
    }

    /// The grace is over.
    func cutRemaining() {
        for index in 0..<downstreams.used {
            let place = downstreams.pointer(index)
            if place.pointee.isLive { closeDownstream(index, place, flags: .localReset) }
        }
    }

    /// Closes everything; the thread ends.
    func shutDown() {
        closeAllListeners()
        cutRemaining()
        for index in 0..<upstreams.used {
            let upstream = upstreams.pointer(index)
            if upstream.pointee.isLive { closeUpstream(index, upstream) }
        }
        buffers.give(&scratch)
        dropPipe()
    }

    func makeReport() -> WorkerReport {
        var idle: Int64 = 0
        for case let cluster? in clusters {
            for slot in 0..<cluster.pointee.poolCount { idle += Int64(cluster.pointee.pools[slot].idle) }
        }
        metrics.set(.upstreamConnectionsIdle, idle)
        metrics.set(.bufferBytes, Int64(buffers.bytesInUse))
        return WorkerReport(
            worker: number,
            generation: current.pointee.snapshot.generation,
            metrics: metrics.copy(),
            clusters: clusters.compactMap { $0.map(report) },
            listeners: listeners.compactMap { $0.map(report) },
            answers: answerPlaces.mapValues(\.pointee),
            clients: clientReports(),
            relays: relayTallies,
            routes: routeTallies,
            countedStamps: countedStamps,
            cells: routeCells.map { $0?.pointee },
            routeStamps: routeStamps,
            filters: filterNumbers
        )
    }

    private func report(_ cluster: ClusterPlace) -> ClusterReport {
        var endpoints: [EndpointReport] = []
        for slot in 0..<Int32(cluster.pointee.set.slotCount) {
            let state = cluster.pointee.set[slot]
            guard state.isPresent else { continue }
            let tally = cluster.pointee.pools[Int(slot)].tally?.pointee
            endpoints.append(EndpointReport(identity: state.id, state: state, tally: tally))
        }
        return ClusterReport(
            index: cluster.pointee.index,
            identity: cluster.pointee.identity,
            endpoints: endpoints,
            breakers: [report(cluster.pointee.normal), report(cluster.pointee.high)],
            requestsTotal: cluster.pointee.requestsTotal,
            retriesTotal: cluster.pointee.retriesTotal,
            isInPanic: cluster.pointee.set.isInPanic,
            outliers: cluster.pointee.set.outlierCounts,
            numbers: cluster.pointee.numbers,
            tally: cluster.pointee.tally?.pointee,
            subsets: cluster.pointee.set.subsetCounts,
            membershipChanges: cluster.pointee.membershipChanges,
            panicChoices: cluster.pointee.set.panicChoices,
            droppedTotal: cluster.pointee.droppedTotal,
            rateLimits: cluster.pointee.rateLimits,
            hashTableSizes: cluster.pointee.set.hashTableSizes.map {
                HashTableSizes(count: $0.count, fewest: $0.fewest, most: $0.most)
            },
            leaving: leaving(cluster)
        )
    }

    /// Relayed connections do not count: nobody knows when they end.
    private func leaving(_ cluster: ClusterPlace) -> [LeavingReport] {
        var counts: [Int32: Int] = [:]
        for slot in 0..<Int32(cluster.pointee.set.slotCount) {
            let state = cluster.pointee.set[slot]
            if !state.isPresent, state.requestsInFlight > 0 { counts[slot] = 0 }
        }
        guard !counts.isEmpty else { return [] }
        for index in 0..<exchanges.used {
            let exchange = exchanges.pointer(index)
            guard exchange.pointee.isLive, exchange.pointee.cluster == cluster, !exchange.pointee.isTunnel,
                exchange.pointee.flags.contains(.startedTry)
            else { continue }
            counts[exchange.pointee.endpoint]? += 1
        }
        return counts.compactMap { slot, requests in
            guard requests > 0 else { return nil }
            return LeavingReport(address: cluster.pointee.pools[Int(slot)].address, requests: requests)
        }
    }

    private func report(_ breaker: CircuitBreaker) -> BreakerReport {
        BreakerReport(
            inUse: BreakerResource.allCases.map { breaker.inUse($0) },
            isOpen: BreakerResource.allCases.map { breaker.isOpen($0) }
        )
    }

    private func tally(_ state: ListenerState) -> ListenerTally {
        var tally = state.tally
        tally.undecided = Int64(detecting.values.count { $0.index == state.configuration.index })
        return tally
    }

    private func report(_ state: ListenerState) -> ListenerReport {
        ListenerReport(
            index: state.configuration.index,
            connections: state.connections,
            addresses: state.sockets.map { $0.address.description },
            connectionsTotal: state.connectionsTotal,
            tally: tally(state)
        )
    }
}
