import Bytes
import CWeft
import HTTP
import Reactor
import Traffic

/// Copies of requests for other clusters: each is an exchange of its own, whose client is nobody. The original neither waits
/// for it nor fails with it; a copy that lags behind is given up.
extension Worker {
    /// Makes the copies that the route wants, from the request as it is about to be sent.
    func makeShadows(
        _ exchange: ExchangePlace,
        _ forward: UnsafePointer<Forward>,
        _ mirrors: ArenaArray<Mirror>,
        _ facts: RequestFacts
    ) -> [ShadowHandle] {
        // What becomes of a connection that changes its protocol cannot be shown to a second endpoint.
        guard !exchange.pointee.flags.contains(.wantsUpgrade), exchange.pointee.method != .connect else { return [] }
        var made: [ShadowHandle] = []
        for index in 0..<mirrors.count {
            let mirror = mirrors[index]
            guard mirror.share >= 1_000_000 || random.next() % 1_000_000 < UInt64(mirror.share) else { continue }
            guard let cluster = cluster(for: mirror, facts, exchange), !cluster.pointee.isRetired,
                let shadow = makeShadow(exchange, cluster, mirror)
            else {
                metrics.count(.mirrorsRefused)
                continue
            }
            if exchange.pointee.requestBody.isComplete {
                limitShadow(shadow, forward)
            }
            metrics.count(.mirrorsTotal)
            made.append(ShadowHandle(exchange: shadow, generation: exchanges.pointer(shadow).pointee.generation))
        }
        if !made.isEmpty, !exchange.pointee.requestBody.isComplete { extras(exchange).pointee.shadows = made }
        return made
    }

    func startShadows(_ shadows: [ShadowHandle]) {
        for shadow in shadows {
            guard let exchange = exchanges.find(shadow.exchange, generation: shadow.generation) else { continue }
            dispatch(shadow.exchange, exchange)
        }
    }

    private func limitShadow(_ index: Int32, _ forward: UnsafePointer<Forward>) {
        let shadow = exchanges.pointer(index)
        shadow.pointee.requestEndedAt = now
        shadow.pointee.routeDeadline = Self.after(now, forward.pointee.timeout)
    }

    /// The index of the copy; nil when there is no room for it.
    private func makeShadow(_ exchange: ExchangePlace, _ cluster: ClusterPlace, _ mirror: Mirror) -> Int32? {
        guard cluster.pointee.take(.requests, exchange.pointee.priority) else {
            metrics.count(.breakerRequests)
            return nil
        }
        guard let index = exchanges.take() else {
            cluster.pointee.giveBack(.requests, exchange.pointee.priority)
            return nil
        }
        let shadow = exchanges.pointer(index)
        guard let client = makeNobody(index, like: exchange) else {
            cluster.pointee.giveBack(.requests, exchange.pointee.priority)
            exchanges.give(index)
            return nil
        }
        let place = downstreams.pointer(client)
        shadow.pointee.downstream = client
        shadow.pointee.method = exchange.pointee.method
        shadow.pointee.priority = exchange.pointee.priority
        shadow.pointee.startedAt = now
        shadow.pointee.lastActivity = now
        shadow.pointee.idleTimeout = exchange.pointee.idleTimeout
        shadow.pointee.requestBody = exchange.pointee.requestBody
        shadow.pointee.flags = exchange.pointee.flags.intersection([.requestIsChunked, .isUnframed, .declaresLength])
        shadow.pointee.flags.formUnion([.isShadow, .isNotReplayable, .holdsRequest])
        shadow.pointee.cluster = cluster
        hold(cluster)
        guard copyRequest(exchange, shadow, mirror) else {
            closeDownstream(client, place, flags: .localReset)
            return nil
        }
        return index
    }

    /// The client of an exchange that has none: what an endpoint may hear of it is what the original's endpoint hears.
    func makeNobody(_ index: Int32, like exchange: ExchangePlace) -> Int32? {
        guard let client = downstreams.take() else { return nil }
        let place = downstreams.pointer(client)
        let original = downstreams.pointer(exchange.pointee.downstream)
        place.pointee.flags = [.isShadow, .closesAfterResponse, .readPaused]
        place.pointee.exchange = index
        place.pointee.callerLabels = original.pointee.callerLabels
        place.pointee.peer = original.pointee.peer
        place.pointee.destination = original.pointee.destination
        place.pointee.timer = loop.timers.make(
            token: Token(.downstreamTimer, client, generation: place.pointee.generation).raw
        )
        return client
    }

    /// Copies what was written of the request, for the host with `-shadow` behind its name.
    private func copyRequest(_ exchange: ExchangePlace, _ shadow: ExchangePlace, _ mirror: Mirror) -> Bool {
        guard let bytes = exchange.pointee.request.bytes else { return false }
        let text = ByteRun(start: bytes, count: exchange.pointee.request.count)
        if let raw = exchange.pointee.trailers.bytes,
            !buffers.append(&shadow.pointee.trailers, raw, exchange.pointee.trailers.count)
        {
            return false
        }
        guard mirror.marksHost else { return append(text, to: shadow) }
        // The second line is `host: name`.
        guard let lineEnd = text.firstIndex(of: 0x0A), let length = text.dropping(lineEnd + 7).firstIndex(of: 0x0D)
        else {
            return false
        }
        let parts = text.dropping(lineEnd + 7).first(length).shadowParts()
        return append(text.first(lineEnd + 7), to: shadow) && append(parts.name, to: shadow)
            && append(Self.run("-shadow"), to: shadow) && append(parts.port, to: shadow)
            && append(text.dropping(lineEnd + 7 + length), to: shadow)
    }

    private func append(_ run: ByteRun, to shadow: ExchangePlace) -> Bool {
        guard let start = run.start, run.count > 0 else { return true }
        return buffers.append(&shadow.pointee.request, start, run.count)
    }

    /// Gives a piece of the original's body to its copies.
    func feedShadows(_ exchange: ExchangePlace, _ bytes: UnsafeMutableRawPointer, _ step: Body.Step) {
        guard let shadows = exchange.pointee.extras?.pointee.shadows, !shadows.isEmpty else { return }
        var forward: UnsafePointer<Forward>?
        if case .forward(let found)? = exchange.pointee.route?.pointee.action { forward = found }
        for handle in shadows {
            guard let shadow = exchanges.find(handle.exchange, generation: handle.generation) else { continue }
            let waiting = shadow.pointee.request.count &- Int(shadow.pointee.requestSent)
            guard waiting + step.data + step.trailers <= Limits.shadow else {
                metrics.count(.mirrorsGivenUp)
                giveUp(handle)
                continue
            }
            shadow.pointee.request.start &+= shadow.pointee.requestSent
            shadow.pointee.requestSent = 0
            shadow.pointee.requestBody = exchange.pointee.requestBody
            shadow.pointee.lastActivity = now
            if exchange.pointee.requestBody.isComplete, shadow.pointee.trailers.isEmpty, step.trailers == 0,
                let raw = exchange.pointee.trailers.bytes
            {
                _ = buffers.append(&shadow.pointee.trailers, raw, exchange.pointee.trailers.count)
            }
            if exchange.pointee.requestBody.isComplete, let forward { limitShadow(handle.exchange, forward) }
            guard appendBody(shadow, bytes, step) else {
                giveUp(handle)
                continue
            }
            armExchange(shadow)
            if shadow.pointee.upstream >= 0,
                ![.connecting, .handshaking].contains(upstreams.pointer(shadow.pointee.upstream).pointee.state)
            {
                pump(handle.exchange, shadow)
            }
        }
    }

    /// Ends a copy that is not wanted any more.
    func giveUp(_ handle: ShadowHandle) {
        guard let shadow = exchanges.find(handle.exchange, generation: handle.generation) else { return }
        let client = shadow.pointee.downstream
        closeDownstream(client, downstreams.pointer(client), flags: .localReset)
    }
}
