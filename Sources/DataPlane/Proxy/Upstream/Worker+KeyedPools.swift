import Bytes
import CWeft
import Glibc
import HTTP
import Reactor
import Traffic

/// Whom a connection serves where it may not serve everybody.
struct PoolKey: Hashable {
    /// The client and what it dialled, where endpoints are told of them; else nobody.
    struct Client: Hashable {
        var peer = SocketAddress()
        var destination = SocketAddress()
    }
    var client = Client()
    var cluster: ClusterPlace
    var slot: Int32
    /// Of an original destination.
    var address = SocketAddress()
    /// The host, where TLS is for it.
    var name: [UInt8] = []
}

/// Pools of connections that are told of their client (PROXY protocol), or whose TLS is for the request's host.
extension Worker {
    func key(_ cluster: ClusterPlace, _ slot: Int32, _ exchange: ExchangePlace) -> PoolKey {
        var key = PoolKey(cluster: cluster, slot: slot)
        let place = downstreams.pointer(exchange.pointee.downstream)
        if introduction(of: cluster, slot) != nil {
            key.client = PoolKey.Client(peer: place.pointee.peer, destination: place.pointee.destination)
        }
        if slot < 0, let cluster = exchange.pointee.cluster { key.address = originalDestination(exchange, cluster) }
        if !cluster.pointee.naming.isEmpty { key.name = Self.host(of: exchange.pointee.request) }
        return key
    }

    /// The host that a request's head names, without its port; empty for addresses, which no server name can be.
    private static func host(of request: Buffer) -> [UInt8] {
        guard let bytes = request.bytes else { return [] }
        let lineEnd = cweft_find(bytes, request.count, 0x0A)
        let start = lineEnd + 1 + 6
        guard lineEnd >= 0, start < request.count else { return [] }
        let length = cweft_find(bytes + start, request.count - start, 0x0D)
        guard length > 0 else { return [] }
        let host = ByteRun(start: bytes + start, count: length).withoutPort
        let name = Array(host.buffer)
        return Address(literal: String(decoding: name, as: UTF8.self), port: 0) == nil && name.first != 0x5B ? name : []
    }

    func takeIdleKeyed(_ cluster: ClusterPlace, _ slot: Int32, _ exchange: ExchangePlace) -> Int32 {
        let key = key(cluster, slot, exchange)
        while let index = keyedIdle[key.client]?[key]?.popLast() {
            if keyedIdle[key.client]?[key]?.isEmpty ?? false { keyedIdle[key.client]?[key] = nil }
            let upstream = upstreams.pointer(index)
            upstream.pointee.state = .busy
            upstream.pointee.flags.insert(.isReused)
            exchange.pointee.state = .awaitingResponse
            if exchange.pointee.method.isIdempotent || isQuiet(upstream) { return index }
            closeUpstream(index, upstream)
        }
        if keyedIdle[key.client]?.isEmpty ?? false { keyedIdle[key.client] = nil }
        return -1
    }

    /// Notes whom a new connection serves.
    func noteKey(_ index: Int32, _ upstream: UpstreamPlace, _ exchange: ExchangePlace) {
        keyed[index] = key(upstream.pointee.cluster, upstream.pointee.endpoint, exchange)
        upstream.pointee.flags.insert(.isKeyed)
    }

    func putIdleKeyed(_ index: Int32, _ upstream: UpstreamPlace) {
        guard let key = keyed[index] else {
            closeUpstream(index, upstream)
            return
        }
        keyedIdle[key.client, default: [:]][key, default: []].append(index)
        armIdle(upstream)
        // The waiting one may be another client's: it gets the connection's place instead of the connection.
        if upstream.pointee.cluster.pointee.firstPending >= 0 { closeUpstream(index, upstream) }
    }

    /// Forgets a connection that closes.
    func removeKeyed(_ index: Int32) {
        guard let key = keyed.removeValue(forKey: index) else { return }
        keyedIdle[key.client]?[key]?.removeAll { $0 == index }
        if keyedIdle[key.client]?[key]?.isEmpty ?? false { keyedIdle[key.client]?[key] = nil }
        if keyedIdle[key.client]?.isEmpty ?? false { keyedIdle[key.client] = nil }
    }

    /// The client is gone: nobody else may use what was told of it.
    func closeUpstreams(of place: DownstreamPlace) {
        let client = PoolKey.Client(peer: place.pointee.peer, destination: place.pointee.destination)
        if let idle = keyedIdle[client] {
            for index in idle.values.joined() { closeUpstream(index, upstreams.pointer(index)) }
        }
        if let sessions = keyedSessions[client] {
            for index in sessions.values.joined() { retireSession(endpointSessions.pointer(index)) }
        }
    }

    // MARK: Sessions of HTTP/2

    /// A session takes streams of whom its connection serves from here on.
    func addKeyed(_ entry: EndpointPlace) {
        guard let key = keyed[entry.pointee.upstream] else { return }
        keyedSessions[key.client, default: [:]][key, default: []].append(entry.pointee.index)
    }

    func removeKeyed(_ entry: EndpointPlace) {
        guard let key = keyed[entry.pointee.upstream] else { return }
        keyedSessions[key.client]?[key]?.removeAll { $0 == entry.pointee.index }
        if keyedSessions[key.client]?[key]?.isEmpty ?? false { keyedSessions[key.client]?[key] = nil }
        if keyedSessions[key.client]?.isEmpty ?? false { keyedSessions[key.client] = nil }
    }

    /// Closes the idle ones of an endpoint; nil: of the whole cluster.
    func closeIdleKeyed(_ cluster: ClusterPlace, _ slot: Int32?) {
        for (index, key) in keyed where key.cluster == cluster && (slot == nil || key.slot == slot) {
            let upstream = upstreams.pointer(index)
            if upstream.pointee.state == .idle { closeUpstream(index, upstream) }
        }
    }

    // MARK: How an endpoint is spoken to

    func tls(of cluster: ClusterPlace, _ slot: Int32) -> TLSHolder? {
        guard slot >= 0, let own = cluster.pointee.targets[Int(slot)].transport else { return cluster.pointee.tls }
        return own.tls
    }

    func introduction(of cluster: ClusterPlace, _ slot: Int32) -> ProxyIntroduction? {
        guard slot >= 0, let own = cluster.pointee.targets[Int(slot)].transport else {
            return cluster.pointee.introduction
        }
        return own.introduction
    }

    /// Tells the endpoint of the client, before anything else. False when that failed (and was dealt with).
    func introduce(_ index: Int32, _ upstream: UpstreamPlace) -> Bool {
        guard let wanted = introduction(of: upstream.pointee.cluster, upstream.pointee.endpoint) else { return true }
        let client = keyed[index]?.client ?? PoolKey.Client()
        let header = wanted.bytes(from: client.peer, to: client.destination)
        let sent = header.withUnsafeBytes { raw in
            raw.baseAddress.map { Socket.send(upstream.pointee.fd, $0, raw.count) } ?? 0
        }
        // A fresh socket takes more than this; one that does not is broken.
        guard sent == header.count else {
            upstreamFailed(index, upstream, code: sent < 0 ? Int32(-sent) : ECONNRESET)
            return false
        }
        return true
    }
}
