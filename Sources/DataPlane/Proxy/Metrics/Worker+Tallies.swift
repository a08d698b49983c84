import Bytes
import Traffic

/// Counting what Envoy counts beside answers: connections by how they end, times of tries, chosen routes.
extension Worker {
    // MARK: Clusters

    /// A cluster's tally, made on first use; lives as long as the cluster's state.
    @inline(__always)
    func tally(_ cluster: ClusterPlace) -> UnsafeMutablePointer<ClusterTally> {
        if let present = cluster.pointee.tally { return present }
        let made = UnsafeMutablePointer<ClusterTally>.allocate(capacity: 1)
        made.initialize(to: ClusterTally())
        cluster.pointee.tally = made
        return made
    }

    func tick(_ cluster: ClusterPlace, _ counter: ClusterCounter) { tally(cluster).pointee.count(counter) }

    /// A connection to an endpoint is there.
    func tallyConnected(_ upstream: UpstreamPlace) {
        let tally = tally(upstream.pointee.cluster)
        tally.pointee.connects.observe(nanoseconds: now &- upstream.pointee.openedAt)
        if upstream.pointee.session >= 0 {
            tally.pointee.count(.upstreamCxHttp2Total)
        } else if upstream.pointee.exchange >= 0, !exchanges.pointer(upstream.pointee.exchange).pointee.isRaw {
            tally.pointee.count(.upstreamCxHttp1Total)
        }
    }

    /// A connection to an endpoint ends, as its flags say.
    func tallyClosed(_ upstream: UpstreamPlace) {
        let tally = tally(upstream.pointee.cluster)
        let isRemote = !upstream.pointee.flags.isDisjoint(with: [.readEnded, .endedThere])
        let isActive: Bool
        switch upstream.pointee.state {
        case .busy, .tunnel: isActive = !upstream.pointee.flags.contains(.isAnswered)
        case .http2: isActive = upstream.pointee.flags.contains(.diedBusy)
        case .connecting, .handshaking, .idle: isActive = false
        }
        tally.pointee.count(.upstreamCxDestroy)
        tally.pointee.count(isRemote ? .upstreamCxDestroyRemote : .upstreamCxDestroyLocal)
        if isActive {
            tally.pointee.count(.upstreamCxDestroyWithActiveRq)
            tally.pointee.count(
                isRemote ? .upstreamCxDestroyRemoteWithActiveRq : .upstreamCxDestroyLocalWithActiveRq
            )
        }
        tally.pointee.lengths.observe(nanoseconds: now &- upstream.pointee.openedAt)
    }

    /// A try took longer than a try may.
    func countTryTimeout(_ exchange: ExchangePlace) {
        guard let cluster = exchange.pointee.cluster else { return }
        let whole = policy(exchange)?.perTryTimeout ?? 0
        let begin = max(exchange.pointee.triedAt, exchange.pointee.requestEndedAt)
        let isWhole = whole > 0 && exchange.pointee.state != .responding && now >= begin &+ whole
        tick(cluster, isWhole ? .upstreamRqPerTryTimeout : .upstreamRqPerTryIdleTimeout)
    }

    // MARK: Clients

    /// The numbers of a `stat_prefix`; lives as long as the worker.
    func clientTally(of prefix: String) -> UnsafeMutablePointer<ClientTally> {
        if let known = clientTallies[prefix] { return known }
        guard clientTallies.count < 10_000 else { return clientTally(of: "others") }
        let place = UnsafeMutablePointer<ClientTally>.allocate(capacity: 1)
        place.initialize(to: ClientTally())
        clientTallies[prefix] = place
        return place
    }

    func tick(_ place: DownstreamPlace, _ counter: ClientCounter) {
        place.pointee.chain?.pointee.tally.pointee.count(counter)
    }

    /// A client's connection is served by a chain of HTTP.
    func tallyOpened(_ place: DownstreamPlace, _ chain: ChainPlace, isHTTP2: Bool) {
        chain.pointee.tally.pointee.count(.downstreamCxTotal)
        if !isHTTP2 { chain.pointee.tally.pointee.count(.downstreamCxHttp1Total) }
        if place.pointee.tls != nil { chain.pointee.tally.pointee.count(.downstreamCxSslTotal) }
    }

    /// A client's connection ends. `flags` say why, as for the access log.
    func tallyClosed(_ place: DownstreamPlace, flags: ResponseFlags, hadRequest: Bool) {
        let listener = Int(place.pointee.listener)
        let length = now &- place.pointee.acceptedAt
        if listener < listeners.count, listener >= 0, let state = listeners[listener] {
            state.tally.lengths.observe(nanoseconds: length)
        }
        guard let tally = place.pointee.chain?.pointee.tally else { return }
        let isRemote = place.pointee.flags.contains(.readEnded) || flags.contains(.downstreamTermination)
        tally.pointee.count(.downstreamCxDestroy)
        tally.pointee.count(isRemote ? .downstreamCxDestroyRemote : .downstreamCxDestroyLocal)
        if hadRequest {
            tally.pointee.count(.downstreamCxDestroyActiveRq)
            tally.pointee.count(isRemote ? .downstreamCxDestroyRemoteActiveRq : .downstreamCxDestroyLocalActiveRq)
        }
        tally.pointee.lengths.observe(nanoseconds: length)
    }

    /// The tallies of all `stat_prefix`es, with what is open now.
    func clientReports() -> [String: ClientTally] {
        var reports = clientTallies.mapValues(\.pointee)
        for index in 0..<downstreams.used {
            let place = downstreams.pointer(index)
            guard place.pointee.isLive, let chain = place.pointee.chain, !place.pointee.flags.contains(.isShadow) else {
                continue
            }
            let prefix = chain.pointee.configuration.settings.statPrefix
            if place.pointee.exchange >= 0 { reports[prefix]?.activeRequests += 1 }
            if place.pointee.state == .tunnel { reports[prefix]?.activeUpgrades += 1 }
            guard !place.pointee.isStream else { continue }
            reports[prefix]?.active += 1
            if place.pointee.state != .http2 { reports[prefix]?.activeHTTP1 += 1 }
            if place.pointee.tls != nil { reports[prefix]?.activeTLS += 1 }
        }
        return reports
    }

    /// A connection without a request ends because of its time.
    func countIdleEnd(_ place: DownstreamPlace) {
        guard let chain = place.pointee.chain, !isDraining, chain.pointee.isCurrent else { return }
        let most = chain.pointee.maxConnectionDuration
        let isOld = most > 0 && now >= place.pointee.acceptedAt &+ most
        chain.pointee.tally.pointee.count(isOld ? .downstreamCxMaxDurationReached : .downstreamCxIdleTimeout)
    }

    func tallyListener(_ place: DownstreamPlace, _ change: (inout ListenerTally) -> Void) {
        let listener = Int(place.pointee.listener)
        guard listener >= 0, listener < listeners.count, let state = listeners[listener] else { return }
        change(&state.tally)
    }

    // MARK: Relays

    func tallyRelay(_ prefix: String, _ change: (inout RelayTally) -> Void) {
        let isKnown = relayTallies[prefix] != nil || relayTallies.count < 10_000
        change(&relayTallies[isKnown ? prefix : "others", default: RelayTally()])
    }

    /// A relay of a TCP chain is over.
    func tallyRelayEnd(_ exchange: ExchangePlace) {
        guard let chain = exchange.pointee.tcp?.takeUnretainedValue() else { return }
        let flags = exchange.pointee.responseFlags
        if let cluster = exchange.pointee.cluster {
            cluster.pointee.numbers.received &+= exchange.pointee.bytesSent
            cluster.pointee.numbers.sent &+= exchange.pointee.bytesReceived
        }
        tallyRelay(chain.statPrefix) { tally in
            tally.received &+= exchange.pointee.bytesReceived
            tally.sent &+= exchange.pointee.bytesSent
            if flags.contains(.streamIdleTimeout) { tally.idleTimeouts &+= 1 }
            if flags.contains(.durationTimeout) { tally.durationTimeouts &+= 1 }
            if flags.contains(.noCluster) { tally.noRoute &+= 1 }
        }
    }

    // MARK: Routes

    /// The numbers of a route or virtual cluster; they are few, and named by the configuration.
    func routeTally(_ number: Int32, _ change: (inout RouteTally) -> Void) {
        while routeTallies.count <= Int(number) { routeTallies.append(nil) }
        if routeTallies[Int(number)] == nil { routeTallies[Int(number)] = RouteTally() }
        routeTallies[Int(number)].map { known in
            var tally = known
            change(&tally)
            routeTallies[Int(number)] = tally
        }
    }

    /// The route of a request that is forwarded is known: whoever counts it is noted.
    func noteCounted(
        _ exchange: ExchangePlace,
        _ route: UnsafePointer<Route>,
        _ host: VirtualHostPlace,
        _ view: RequestView
    ) {
        let own = route.pointee.numbers
        let virtual = host.pointee.virtualCluster(for: view)
        guard own >= 0 || virtual >= 0 else { return }
        let extras = extras(exchange)
        extras.pointee.counted = (own, virtual)
    }

    /// A try has a connection.
    func countRouteTry(_ exchange: ExchangePlace) {
        guard let (own, virtual) = exchange.pointee.extras?.pointee.counted else { return }
        for number in [own, virtual] where number >= 0 { routeTally(number) { $0.total &+= 1 } }
    }

    /// The whole time of a request is over.
    func countRouteTimeout(_ exchange: ExchangePlace) {
        guard let cluster = exchange.pointee.cluster else { return }
        // Every try of it was too slow.
        for _ in 0...hedgeCount(exchange) { tick(cluster, .upstreamRqTimeout) }
        guard let (own, virtual) = exchange.pointee.extras?.pointee.counted else { return }
        for number in [own, virtual] where number >= 0 { routeTally(number) { $0.timeouts &+= 1 } }
    }

    /// Counts an answer where its client is of the house, or its route or its virtual cluster is counted apart.
    func countRoute(_ exchange: ExchangePlace, _ cluster: ClusterPlace, _ time: UInt64) {
        guard let extras = exchange.pointee.extras else { return }
        if extras.pointee.isInternal { tally(cluster).pointee.internalStatuses.count(exchange.pointee.status) }
        let (own, virtual) = extras.pointee.counted
        for number in [own, virtual] where number >= 0 {
            routeTally(number) { tally in
                tally.numbers.count(exchange.pointee.status, exchange.pointee.responseFlags, time)
                tally.statuses.count(exchange.pointee.status)
                tally.retries &+= UInt64(exchange.pointee.retries)
                if exchange.pointee.retries > 0, exchange.pointee.status < 500, exchange.pointee.status > 0 {
                    tally.retriesSucceeded &+= 1
                }
            }
        }
    }
}
