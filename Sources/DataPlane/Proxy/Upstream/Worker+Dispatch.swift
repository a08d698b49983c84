import Bytes
import CWeft
import Glibc
import HTTP
import Reactor
import Traffic

/// Brings a request to an endpoint: choice, idle connection, new connection, queue.
extension Worker {
    /// Begins a try.
    func dispatch(_ index: Int32, _ exchange: ExchangePlace) {
        guard let cluster = exchange.pointee.cluster else { return }
        exchange.pointee.flags.remove(.isBackingOff)
        exchange.pointee.wakeDeadline = .max
        exchange.pointee.requestSent = 0
        exchange.pointee.flags.remove(.sentBytes)
        guard !cluster.pointee.isRetired else {
            exchange.pointee.responseFlags.insert(.noCluster)
            answer(index, exchange, status: 503, reason: "the cluster was removed")
            return
        }
        var slot: Int32 = -1
        if cluster.pointee.isOriginalDestination {
            if cluster.pointee.readsDestination, exchange.pointee.extras?.pointee.destination == nil {
                noEndpoint(index, exchange, cluster, "the request names no destination")
                return
            }
        } else if exchange.pointee.extras?.pointee.session != nil, let wished = sessionSlot(exchange, cluster) {
            slot = wished
            guard slot >= 0 else {
                noEndpoint(index, exchange, cluster, "the endpoint of the session is not there")
                return
            }
        } else if cluster.pointee.clientTimeout != 0, let kept = keptSlot(exchange, cluster) {
            slot = kept
        } else {
            switch chooseEndpoint(exchange, cluster) {
            case .endpoint(let chosen):
                slot = exchange.pointee.retries == 0 ? chosen : redrawn(chosen, exchange, cluster)
                if cluster.pointee.clientTimeout != 0 { keepClient(exchange, cluster, slot) }
            case .noEndpoints:
                if awaitEndpoint(exchange, cluster) { return }
                noEndpoint(index, exchange, cluster, "the cluster has no endpoints")
                return
            case .allUnhealthy:
                noEndpoint(index, exchange, cluster, "all endpoints are unhealthy")
                return
            case .noSubset:
                noEndpoint(index, exchange, cluster, "no endpoint has the metadata that the route asks for")
                return
            }
        }
        beginTry(exchange, cluster, slot)
        if speaksHTTP2(exchange, cluster), dispatchStream(index, exchange, cluster, slot) {
            armExchange(exchange)
            return
        }
        if exchange.pointee.flags.contains(.isUnframed), !frame(exchange) {
            answer(index, exchange, status: 400, reason: "the trailers are malformed or too long")
            return
        }
        let idle = exchange.pointee.isRaw ? -1 : takeIdle(cluster, slot, exchange)
        if idle >= 0 {
            attach(idle, upstreams.pointer(idle), index, exchange)
            pump(index, exchange)
        } else if takePending(index, exchange, cluster) {
            if takeConnection(exchange, cluster, slot) {
                connect(index, exchange, cluster, slot)
            } else {
                enqueuePending(index, exchange, cluster)
            }
        }
        armExchange(exchange)
    }

    func armExchange(_ exchange: ExchangePlace) {
        guard exchange.pointee.isLive, exchange.pointee.downstream >= 0 else { return }
        armDownstream(exchange.pointee.downstream, downstreams.pointer(exchange.pointee.downstream))
    }

    /// A service whose last pod has just gone, or whose first is on its way, will have one in a moment: the request waits a
    /// little instead of failing. A service that has had none for longer fails at once.
    private func awaitEndpoint(_ exchange: ExchangePlace, _ cluster: ClusterPlace) -> Bool {
        let since = cluster.pointee.emptySince
        guard since != 0, now < since &+ cluster.pointee.endpointWait, !exchange.pointee.isTunnel else { return false }
        if !exchange.pointee.flags.contains(.awaitedEndpoint) { metrics.count(.endpointWaits) }
        exchange.pointee.state = .waiting
        exchange.pointee.flags.formUnion([.isBackingOff, .awaitedEndpoint])
        exchange.pointee.wakeDeadline = now &+ Self.endpointLook
        armExchange(exchange)
        return true
    }

    /// Between looks for an endpoint.
    private static var endpointLook: UInt64 { 20_000_000 }

    private func noEndpoint(_ index: Int32, _ exchange: ExchangePlace, _ cluster: ClusterPlace, _ reason: StaticString)
    {
        exchange.pointee.responseFlags.insert(.noHealthyUpstream)
        metrics.count(.noHealthyEndpoint)
        if awaitsHedges(exchange) { return }
        countRequest(exchange, labels: cluster.pointee.labels)
        answer(index, exchange, status: 503, reason: reason)
    }

    private func beginTry(_ exchange: ExchangePlace, _ cluster: ClusterPlace, _ slot: Int32) {
        exchange.pointee.endpoint = slot
        exchange.pointee.attempts &+= 1
        exchange.pointee.triedAt = now
        exchange.pointee.flags.insert(.startedTry)
        let labels = slot >= 0 ? cluster.pointee.pools[Int(slot)].labels : cluster.pointee.labels
        countRequest(exchange, labels: labels)
        if slot >= 0 {
            exchange.pointee.upstreamAddress = cluster.pointee.pools[Int(slot)].address
            cluster.pointee.set.requestStarted(slot)
        } else {
            exchange.pointee.upstreamAddress = originalDestination(exchange, cluster)
        }
        guard let route = exchange.pointee.route, case .forward(let forward) = route.pointee.action else { return }
        // While the client still sends, the wait is not the endpoint's fault.
        exchange.pointee.tryDeadline = exchange.pointee.requestBody.isComplete ? tryDeadline(exchange, forward) : .max
        if forward.pointee.autoHostRewrite, slot >= 0 {
            rewriteHost(exchange, cluster.pointee.targets[Int(slot)].hostname)
        }
        if exchange.pointee.attempts > 1 { tellAttempt(exchange, forward) }
        if exchange.pointee.extras != nil {
            tellCallTimeout(exchange)
            beginTrySpan(exchange)
            if exchange.pointee.extras?.pointee.tap != nil { tell(exchange, .request) }
        }
    }

    private func countRequest(_ exchange: ExchangePlace, labels: Int32) {
        guard !exchange.pointee.flags.contains(.countedRequest) else { return }
        exchange.pointee.flags.insert(.countedRequest)
        let caller = downstreams.pointer(exchange.pointee.downstream).pointee.callerLabels
        exchange.pointee.edge = metrics.edge(caller: caller, callee: labels)
        if !exchange.pointee.flags.contains(.isTunnelOnly) { metrics.requestStarted(exchange.pointee.edge) }
    }

    /// Ties a connection to a request.
    func attach(_ upstreamIndex: Int32, _ upstream: UpstreamPlace, _ index: Int32, _ exchange: ExchangePlace) {
        upstream.pointee.exchange = index
        upstream.pointee.requestsServed &+= 1
        upstream.pointee.cluster.pointee.requestsTotal &+= 1
        if exchange.pointee.extras != nil { countRouteTry(exchange) }
        upstream.pointee.flags.remove(.hasAnswered)
        exchange.pointee.upstream = upstreamIndex
        exchange.pointee.upstreamAddress = upstream.pointee.address
    }

    // MARK: New connections

    /// Begins a connection; nil when it failed (and was dealt with).
    func dial(_ index: Int32, _ exchange: ExchangePlace, _ cluster: ClusterPlace, _ slot: Int32) -> Int32? {
        let target = target(exchange, cluster, slot)
        metrics.count(.upstreamConnectionsTotal)
        cluster.pointee.configuration.traffic.set()
        let fd = target.isUnreachable ? -ENOENT : open(target, cluster)
        guard fd >= 0, let upstreamIndex = upstreams.take() else {
            if fd >= 0 { Socket.close(fd) }
            cluster.pointee.giveBack(.connections, exchange.pointee.priority)
            connectFailed(index, exchange, cluster, slot, code: fd >= 0 ? EMFILE : -fd)
            return nil
        }
        let upstream = upstreams.pointer(upstreamIndex)
        upstream.pointee.fd = fd
        upstream.pointee.cluster = cluster
        upstream.pointee.endpoint = slot
        upstream.pointee.priority = exchange.pointee.priority.rawValue
        upstream.pointee.address = target.address
        upstream.pointee.openedAt = now
        let limit = cluster.pointee.configuration.settings.perConnectionBufferLimit
        upstream.pointee.readLimit = Int32(clamping: max(1, limit))
        hold(cluster)
        if slot >= 0 {
            cluster.pointee.pools[Int(slot)].open &+= 1
            cluster.pointee.targets[Int(slot)].usage?.add(1)
        } else {
            cluster.pointee.originals &+= 1
        }
        metrics.add(.upstreamConnections, 1)
        let timer = Token(.upstreamTimer, upstreamIndex, generation: upstream.pointee.generation)
        upstream.pointee.timer = loop.timers.make(token: timer.raw)
        loop.timers.set(
            upstream.pointee.timer,
            Instant(nanoseconds: Self.after(now, cluster.pointee.connectTimeout))
        )
        return upstreamIndex
    }

    private func connect(_ index: Int32, _ exchange: ExchangePlace, _ cluster: ClusterPlace, _ slot: Int32) {
        guard let upstreamIndex = dial(index, exchange, cluster, slot) else { return }
        let upstream = upstreams.pointer(upstreamIndex)
        let token = Token(.upstream, upstreamIndex, generation: upstream.pointee.generation)
        exchange.pointee.state = .connecting
        attach(upstreamIndex, upstream, index, exchange)
        if cluster.pointee.keysConnections { noteKey(upstreamIndex, upstream, exchange) }
        let waits =
            exchange.pointee.request.isEmpty || tls(of: cluster, slot) != nil || introduction(of: cluster, slot) != nil
        if waits { upstream.pointee.flags.insert(.writeArmed) }
        guard loop.tryWatch(upstream.pointee.fd, upstream.pointee.interest, token: token.raw) else {
            upstreamFailed(upstreamIndex, upstream, code: EMFILE)
            return
        }
        // On one machine the handshake is over by now: sending at once saves a wake-up. If it is not, the kernel says so.
        if !waits { pump(index, exchange) }
    }

    private func target(_ exchange: ExchangePlace, _ cluster: ClusterPlace, _ slot: Int32) -> EndpointTarget {
        guard slot < 0 else { return cluster.pointee.targets[Int(slot)] }
        var target = EndpointTarget()
        target.address = originalDestination(exchange, cluster)
        target.place = cluster.pointee.source.place
        target.isUnreachable = cluster.pointee.source.isUnreachable
        return target
    }

    private func open(_ target: EndpointTarget, _ cluster: ClusterPlace) -> Int32 {
        if let path = target.pipe {
            return cweft_connect_unix(path, Int32(SOCK_STREAM.rawValue), 1)
        }
        let source = cluster.pointee.source.address
        return Socket.connect(
            target.address,
            network: target.network,
            from: source.family == target.address.family ? source : nil,
            options: cluster.pointee.socketOptions
        )
    }

    /// No connection came to be: counts it and lets the request go elsewhere.
    func connectFailed(_ index: Int32, _ exchange: ExchangePlace, _ cluster: ClusterPlace, _ slot: Int32, code: Int32) {
        metrics.count(code == ETIMEDOUT ? .upstreamConnectTimeouts : .upstreamConnectFailures)
        if code == ETIMEDOUT { tick(cluster, .upstreamCxConnectTimeout) }
        if slot >= 0 { cluster.pointee.set.connectFailed(slot) }
        exchange.pointee.failure =
            switch code {
            case ECONNREFUSED: .refused
            case ENETUNREACH, EHOSTUNREACH: .unreachable
            case ETIMEDOUT: .connectTimeout
            case ENOENT: .namespaceGone
            case EMFILE, ENFILE: .outOfDescriptors
            case EPROTO: .tlsFailed
            default: .otherConnectError
            }
        tryFailed(index, exchange, .connect, result: code == ETIMEDOUT ? .localTimeout : .localFailure)
    }

    /// The connection is there: the first event after connecting, or the first send that worked.
    func connected(_ upstreamIndex: Int32, _ upstream: UpstreamPlace) {
        upstream.pointee.state = .busy
        upstream.pointee.flags.insert(.isOpen)
        let cluster = upstream.pointee.cluster
        if upstream.pointee.endpoint >= 0 { cluster.pointee.set.connectionOpened(upstream.pointee.endpoint) }
        tallyConnected(upstream)
        let duration = cluster.pointee.maxConnectionDuration
        loop.timers.set(upstream.pointee.timer, Instant(nanoseconds: Self.after(now, duration)))
        if upstream.pointee.session >= 0 {
            sessionConnected(upstreamIndex, upstream)
            return
        }
        guard upstream.pointee.exchange >= 0 else { return }
        let exchange = exchanges.pointer(upstream.pointee.exchange)
        leavePending(exchange)
        if exchange.pointee.flags.contains(.terminatesConnect) {
            connectTerminated(upstreamIndex, upstream, upstream.pointee.exchange, exchange)
        } else if exchange.pointee.isTunnel {
            tunnelConnected(upstreamIndex, upstream, upstream.pointee.exchange, exchange)
        } else {
            exchange.pointee.state = .awaitingResponse
        }
    }

    // MARK: Breakers

    /// Takes a place for a connection. A worker that has none to the endpoint may always make one, as in Envoy: no other would ever
    /// serve its requests.
    func takeConnection(_ exchange: ExchangePlace, _ cluster: ClusterPlace, _ slot: Int32) -> Bool {
        let priority = exchange.pointee.priority
        let hasRoom = slot < 0 || hasRoomAtEndpoint(cluster, slot, priority)
        if hasRoom, cluster.pointee.take(.connections, priority) { return true }
        if slot < 0 || cluster.pointee.keysConnections, closeOneIdle(cluster),
            slot < 0 || hasRoomAtEndpoint(cluster, slot, priority), cluster.pointee.take(.connections, priority)
        {
            return true
        }
        metrics.count(.breakerConnections)
        tick(cluster, .upstreamCxOverflow)
        let isFirst =
            slot >= 0 ? cluster.pointee.pools[Int(slot)].open == 0 : cluster.pointee.originals == 0
        if isFirst { (priority == .normal ? cluster.pointee.normal : cluster.pointee.high).takeAnyway(.connections) }
        return isFirst
    }

    /// Whether an endpoint may have another connection, of all workers together.
    private func hasRoomAtEndpoint(_ cluster: ClusterPlace, _ slot: Int32, _ priority: Priority) -> Bool {
        guard let limits = cluster.pointee.endpointLimits, let usage = cluster.pointee.targets[Int(slot)].usage else {
            return true
        }
        return usage.open < (priority == .normal ? limits.normal : limits.high)
    }

    /// Makes room where idle connections serve one client, host or address only. False when none is idle.
    private func closeOneIdle(_ cluster: ClusterPlace) -> Bool {
        let keyed = keyedIdle.values.lazy.flatMap { $0 }.first { $0.key.cluster == cluster }?.value.last
        let original = idleOriginals.first { $0.key.cluster == cluster }?.value.last
        guard let index = keyed ?? original else {
            if let session = idleSession(cluster) { retireSession(endpointSessions.pointer(session)) }
            return false
        }
        closeUpstream(index, upstreams.pointer(index))
        return true
    }

    /// A session without a stream that not everybody may use. It closes at the end of the turn, and what waits goes on then.
    private func idleSession(_ cluster: ClusterPlace) -> Int32? {
        var next = cluster.pointee.sessions
        while next >= 0 {
            let entry = endpointSessions.pointer(next)
            if entry.pointee.streams == 0 { return next }
            next = entry.pointee.next
        }
        for sessions in keyedSessions.values {
            for (key, own) in sessions where key.cluster == cluster {
                if let found = own.first(where: { endpointSessions.pointer($0).pointee.streams == 0 }) { return found }
            }
        }
        return nil
    }

    // MARK: The queue for a connection

    /// A place among those that wait for a connection, one that is being made or one that gets free. False when there is none: the
    /// request is answered.
    func takePending(_ index: Int32, _ exchange: ExchangePlace, _ cluster: ClusterPlace) -> Bool {
        guard !cluster.pointee.take(.pending, exchange.pointee.priority) else {
            exchange.pointee.flags.insert(.holdsPending)
            tick(cluster, .upstreamRqPendingTotal)
            return true
        }
        endTry(exchange, .cancelled)
        exchange.pointee.attempts &-= 1
        metrics.count(.breakerPending)
        tick(cluster, .upstreamRqPendingOverflow)
        exchange.pointee.responseFlags.insert(.upstreamOverflow)
        if awaitsHedges(exchange) { return false }
        answer(index, exchange, status: 503, reason: "the cluster's limit of waiting requests is reached")
        return false
    }

    /// The request has its connection, or waits no more.
    @inline(__always)
    func leavePending(_ exchange: ExchangePlace) {
        guard exchange.pointee.flags.contains(.holdsPending), let cluster = exchange.pointee.cluster else { return }
        exchange.pointee.flags.remove(.holdsPending)
        cluster.pointee.giveBack(.pending, exchange.pointee.priority)
    }

    /// Waits until a connection is free; holds its place among those that wait already.
    func enqueuePending(_ index: Int32, _ exchange: ExchangePlace, _ cluster: ClusterPlace) {
        exchange.pointee.flags.insert(.isQueued)
        // The place is chosen anew when a connection is free.
        endTry(exchange, .cancelled)
        exchange.pointee.attempts &-= 1
        exchange.pointee.state = .waiting
        exchange.pointee.previousPending = cluster.pointee.lastPending
        exchange.pointee.nextPending = -1
        if cluster.pointee.lastPending >= 0 {
            exchanges.pointer(cluster.pointee.lastPending).pointee.nextPending = index
        } else {
            cluster.pointee.firstPending = index
        }
        cluster.pointee.lastPending = index
    }

    func removePending(_ index: Int32, _ exchange: ExchangePlace) {
        guard exchange.pointee.flags.contains(.isQueued), let cluster = exchange.pointee.cluster else { return }
        let next = exchange.pointee.nextPending
        let previous = exchange.pointee.previousPending
        if next >= 0 {
            exchanges.pointer(next).pointee.previousPending = previous
        } else {
            cluster.pointee.lastPending = previous
        }
        if previous >= 0 {
            exchanges.pointer(previous).pointee.nextPending = next
        } else {
            cluster.pointee.firstPending = next
        }
        exchange.pointee.flags.remove(.isQueued)
        leavePending(exchange)
    }

    /// A connection or a place for one became free: the oldest waiting request goes on.
    func servePending(_ cluster: ClusterPlace) {
        let index = cluster.pointee.firstPending
        guard index >= 0 else { return }
        let exchange = exchanges.pointer(index)
        removePending(index, exchange)
        dispatch(index, exchange)
    }

    func failPending(_ cluster: ClusterPlace) {
        while cluster.pointee.firstPending >= 0 {
            let index = cluster.pointee.firstPending
            let exchange = exchanges.pointer(index)
            removePending(index, exchange)
            exchange.pointee.responseFlags.insert(.noCluster)
            answer(index, exchange, status: 503, reason: "the cluster was removed")
        }
    }
}
