import Bytes
import Glibc
import HTTP
import Reactor
import TLS
import Traffic

/// Idle connections: a stack per endpoint, the newest on top.
extension Worker {
    /// Takes an idle connection of an endpoint; -1 when there is none.
    func takeIdle(_ cluster: ClusterPlace, _ slot: Int32, _ exchange: ExchangePlace) -> Int32 {
        guard !cluster.pointee.keysConnections else { return takeIdleKeyed(cluster, slot, exchange) }
        guard slot >= 0 else {
            let destination = originalDestination(exchange, cluster)
            return takeIdleOriginal(cluster, destination)
        }
        let pool = cluster.pointee.pools + Int(slot)
        var index = pool.pointee.top
        if !exchange.pointee.method.isIdempotent { index = firstOpenIdle(pool) }
        guard index >= 0 else { return -1 }
        let upstream = upstreams.pointer(index)
        unlinkIdle(index, upstream, pool)
        upstream.pointee.state = .busy
        upstream.pointee.flags.insert(.isReused)
        exchange.pointee.state = .awaitingResponse
        return index
    }

    /// The newest idle connection that the endpoint has not closed, -1 when there is none. A request that must not be sent twice
    /// cannot be repaired after it met a closed connection, so it looks before.
    private func firstOpenIdle(_ pool: UnsafeMutablePointer<EndpointPool>) -> Int32 {
        while pool.pointee.top >= 0 {
            let index = pool.pointee.top
            let upstream = upstreams.pointer(index)
            if isQuiet(upstream) { return index }
            upstream.pointee.flags.insert(.endedThere)
            closeUpstream(index, upstream)
        }
        return -1
    }

    @inline(__always)
    private func unlinkIdle(_ index: Int32, _ upstream: UpstreamPlace, _ pool: UnsafeMutablePointer<EndpointPool>) {
        let above = upstream.pointee.above
        let below = upstream.pointee.below
        if above >= 0 { upstreams.pointer(above).pointee.below = below } else { pool.pointee.top = below }
        if below >= 0 { upstreams.pointer(below).pointee.above = above }
        upstream.pointee.above = -1
        upstream.pointee.below = -1
        pool.pointee.idle &-= 1
    }

    /// The response is over: the connection waits for the next request, or serves one that waits already.
    func putIdle(_ index: Int32, _ upstream: UpstreamPlace) {
        let cluster = upstream.pointee.cluster
        upstream.pointee.exchange = -1
        upstream.pointee.state = .idle
        let slot = upstream.pointee.endpoint
        guard !upstream.pointee.flags.contains(.isKeyed) else {
            putIdleKeyed(index, upstream)
            return
        }
        guard slot >= 0 else {
            putIdleOriginal(index, upstream)
            return
        }
        let pool = cluster.pointee.pools + Int(slot)
        let top = pool.pointee.top
        upstream.pointee.below = top
        upstream.pointee.above = -1
        if top >= 0 { upstreams.pointer(top).pointee.above = index }
        pool.pointee.top = index
        pool.pointee.idle &+= 1
        armIdle(upstream)
        if cluster.pointee.firstPending >= 0 { serveWith(index, upstream, cluster) }
    }

    @inline(__always)
    func armIdle(_ upstream: UpstreamPlace) {
        let cluster = upstream.pointee.cluster
        var deadline = Self.after(now, cluster.pointee.idleTimeout)
        if cluster.pointee.maxConnectionDuration > 0 {
            deadline = min(deadline, upstream.pointee.openedAt &+ cluster.pointee.maxConnectionDuration)
        }
        loop.timers.set(upstream.pointee.timer, Instant(nanoseconds: deadline))
    }

    /// Gives a free connection to the oldest request that waits for one.
    private func serveWith(_ index: Int32, _ upstream: UpstreamPlace, _ cluster: ClusterPlace) {
        let waiting = cluster.pointee.firstPending
        let exchange = exchanges.pointer(waiting)
        removePending(waiting, exchange)
        guard !exchange.pointee.isRaw else {
            dispatch(waiting, exchange)
            return
        }
        unlinkIdle(index, upstream, cluster.pointee.pools + Int(upstream.pointee.endpoint))
        upstream.pointee.state = .busy
        upstream.pointee.flags.insert(.isReused)
        exchange.pointee.state = .awaitingResponse
        exchange.pointee.endpoint = upstream.pointee.endpoint
        exchange.pointee.attempts &+= 1
        exchange.pointee.triedAt = now
        exchange.pointee.flags.insert(.startedTry)
        cluster.pointee.set.requestStarted(upstream.pointee.endpoint)
        attach(index, upstream, waiting, exchange)
        pump(waiting, exchange)
    }

    /// Closes all idle connections of an endpoint.
    func closeIdle(_ cluster: ClusterPlace, _ slot: Int32) {
        if cluster.pointee.keysConnections { closeIdleKeyed(cluster, slot) }
        guard slot >= 0, Int(slot) < cluster.pointee.poolCount else { return }
        retireSessions(cluster, slot)
        while cluster.pointee.pools[Int(slot)].top >= 0 {
            let index = cluster.pointee.pools[Int(slot)].top
            closeUpstream(index, upstreams.pointer(index))
        }
    }

    // MARK: Original destinations: few, short-lived, found by address

    private func takeIdleOriginal(_ cluster: ClusterPlace, _ destination: SocketAddress) -> Int32 {
        guard let list = idleOriginals[OriginalKey(cluster, destination)] else { return -1 }
        guard let index = list.last else { return -1 }
        let upstream = upstreams.pointer(index)
        removeIdleOriginal(index, upstream)
        upstream.pointee.state = .busy
        upstream.pointee.flags.insert(.isReused)
        return index
    }

    private func putIdleOriginal(_ index: Int32, _ upstream: UpstreamPlace) {
        idleOriginals[OriginalKey(upstream.pointee.cluster, upstream.pointee.address), default: []].append(index)
        armIdle(upstream)
        // The waiting one may want another address: it gets the connection's place instead of the connection.
        let cluster = upstream.pointee.cluster
        if cluster.pointee.firstPending >= 0 {
            closeUpstream(index, upstream)
        }
    }

    private func removeIdleOriginal(_ index: Int32, _ upstream: UpstreamPlace) {
        let key = OriginalKey(upstream.pointee.cluster, upstream.pointee.address)
        idleOriginals[key]?.removeAll { $0 == index }
        if idleOriginals[key]?.isEmpty ?? false { idleOriginals[key] = nil }
    }

    func closeIdleOriginals(_ cluster: ClusterPlace) {
        retireSessions(cluster, -1)
        for (key, list) in idleOriginals where key.cluster == cluster {
            for index in list { closeUpstream(index, upstreams.pointer(index)) }
        }
    }

    // MARK: The end of a connection

    /// Closes at once. The request that used it, if any, must have been dealt with.
    func closeUpstream(_ index: Int32, _ upstream: UpstreamPlace, reset: Bool = false) {
        guard upstream.pointee.isLive else { return }
        if upstream.pointee.session >= 0 {
            if upstream.pointee.isStream {
                closeStream(index, upstream)
            } else {
                endSession(endpointSessions.pointer(upstream.pointee.session), .resetBeforeResponse)
            }
            return
        }
        let cluster = upstream.pointee.cluster
        let slot = upstream.pointee.endpoint
        if upstream.pointee.flags.contains(.isKeyed) {
            removeKeyed(index)
        } else if upstream.pointee.state == .idle {
            if slot >= 0 {
                unlinkIdle(index, upstream, cluster.pointee.pools + Int(slot))
            } else {
                removeIdleOriginal(index, upstream)
            }
        }
        if slot >= 0 {
            cluster.pointee.pools[Int(slot)].open &-= 1
            cluster.pointee.targets[Int(slot)].usage?.add(-1)
            if upstream.pointee.flags.contains(.isOpen) { cluster.pointee.set.connectionClosed(slot) }
        } else {
            cluster.pointee.originals &-= 1
        }
        tallyClosed(upstream)
        buffers.give(&upstream.pointee.input)
        loop.timers.free(upstream.pointee.timer)
        if let tls = upstream.pointee.tls {
            if upstream.pointee.state == .idle { tls.end() }
            tls.free()
            upstream.pointee.tls = nil
        }
        if reset { Socket.resetOnClose(upstream.pointee.fd) }
        Socket.close(upstream.pointee.fd)
        metrics.add(.upstreamConnections, -1)
        cluster.pointee.giveBack(.connections, Priority(rawValue: upstream.pointee.priority) ?? .normal)
        upstreams.give(index)
        recycleIfUnused(cluster, slot)
        if cluster.pointee.firstPending >= 0 {
            // The list takes the connection's hold over.
            freed.append(cluster)
        } else {
            letGo(cluster)
        }
    }

    func upstreamTimer(_ index: Int32, _ upstream: UpstreamPlace) {
        switch upstream.pointee.state {
        case .idle:
            let cluster = upstream.pointee.cluster
            let most = cluster.pointee.maxConnectionDuration
            let isOld = most > 0 && now >= upstream.pointee.openedAt &+ most
            tick(cluster, isOld ? .upstreamCxMaxDurationReached : .upstreamCxIdleTimeout)
            closeUpstream(index, upstream)
        case .connecting, .handshaking: upstreamFailed(index, upstream, code: ETIMEDOUT)
        case .http2: sessionTimer(index, upstream)
        case .busy, .tunnel: break
        }
    }
}

/// An address of an ORIGINAL_DST cluster.
struct OriginalKey: Hashable {
    let cluster: ClusterPlace
    let address: SocketAddress

    init(_ cluster: ClusterPlace, _ address: SocketAddress) {
        self.cluster = cluster
        self.address = address
    }
}
