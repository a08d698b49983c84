import Bytes
import HTTP
import Reactor
import Traffic

/// The ends of tries, responses and exchanges: everything taken is given back exactly once.
extension Worker {
    /// Tells the balancer how the present try ended.
    func endTry(_ exchange: ExchangePlace, _ result: EndpointResult) {
        guard exchange.pointee.flags.contains(.startedTry), let cluster = exchange.pointee.cluster else { return }
        exchange.pointee.flags.remove(.startedTry)
        if exchange.pointee.extras != nil { endTrySpan(exchange, result) }
        if !exchange.pointee.flags.contains(.isQueued) { leavePending(exchange) }
        if exchange.pointee.flags.contains(.holdsRetry) {
            exchange.pointee.flags.remove(.holdsRetry)
            cluster.pointee.giveBack(.retries, exchange.pointee.priority)
            if result == .success {
                metrics.count(.retriesSucceeded)
                tick(cluster, .upstreamRqRetrySuccess)
            }
        }
        let slot = exchange.pointee.endpoint
        guard slot >= 0 else { return }
        let end = exchange.pointee.respondedAt > 0 ? exchange.pointee.respondedAt : now
        let time = end > exchange.pointee.triedAt ? end &- exchange.pointee.triedAt : 0
        if cluster.pointee.tracksEndpoints { countEndpoint(exchange, cluster, slot, time) }
        if let cause = cluster.pointee.set.requestEnded(slot, result: result, time: time, now: now) {
            ejected(cluster, slot, cause)
        }
        recycleIfUnused(cluster, slot)
    }

    /// The response is whole: the connections go their ways.
    func finishResponse(_ index: Int32, _ upstream: UpstreamPlace, _ exchangeIndex: Int32, _ exchange: ExchangePlace) {
        let status = judgedStatus(exchange)
        endTry(exchange, status < 500 ? .success : status >= 502 && status <= 504 ? .gatewayError : .serverError)
        let isRequestWhole =
            exchange.pointee.requestBody.isComplete
            && Int(exchange.pointee.requestSent) == exchange.pointee.request.count
        if !isRequestWhole {
            // Answered early: the rest of the request has nowhere to go (RFC 9112 section 9.3).
            downstreams.pointer(exchange.pointee.downstream).pointee.flags.insert(.closesAfterResponse)
        }
        exchange.pointee.upstream = -1
        upstream.pointee.exchange = -1
        if upstream.pointee.isStream {
            closeStream(index, upstream)
            completeExchange(exchangeIndex, exchange)
            return
        }
        let cluster = upstream.pointee.cluster
        let isSpent =
            !isRequestWhole || upstream.pointee.flags.contains(.closesAfterResponse) || cluster.pointee.isRetired
            || (cluster.pointee.maxRequests > 0 && upstream.pointee.requestsServed >= cluster.pointee.maxRequests)
            || (upstream.pointee.endpoint >= 0 && !cluster.pointee.set.isPresent(upstream.pointee.endpoint))
        completeExchange(exchangeIndex, exchange)
        // The client's side first: what is freed by it may serve the next in the queue.
        if isSpent {
            if cluster.pointee.maxRequests > 0, upstream.pointee.requestsServed >= cluster.pointee.maxRequests {
                tick(cluster, .upstreamCxMaxRequests)
            }
            upstream.pointee.flags.insert(.isAnswered)
            closeUpstream(index, upstream)
        } else {
            putIdle(index, upstream)
        }
    }

    /// Frees an exchange and brings its client's connection to what comes next.
    func completeExchange(_ index: Int32, _ exchange: ExchangePlace) {
        let downstreamIndex = exchange.pointee.downstream
        let place = downstreams.pointer(downstreamIndex)
        let isWhole = exchange.pointee.requestBody.isComplete
        countResponse(exchange, flags: [])
        releaseExchange(index, exchange)
        if place.pointee.isStream {
            streamAnswered(downstreamIndex, place)
            return
        }
        place.pointee.exchange = -1
        place.pointee.since = now
        if place.pointee.flags.contains(.closesAfterResponse) {
            if !place.pointee.output.isEmpty {
                place.pointee.flags.insert(.closesWhenFlushed)
                buffers.give(&place.pointee.input)
                armDownstream(downstreamIndex, place)
            } else if isWhole, place.pointee.input.isEmpty {
                closeDownstream(downstreamIndex, place, flags: [])
            } else {
                linger(downstreamIndex, place)
            }
            return
        }
        if place.pointee.flags.contains(.readEnded), place.pointee.input.isEmpty {
            if place.pointee.output.isEmpty { closeDownstream(downstreamIndex, place, flags: []) }
            return
        }
        resumeReading(downstreamIndex, place)
        if !place.pointee.input.isEmpty, place.pointee.output.isEmpty { enqueue(downstreamIndex, place) }
        armDownstream(downstreamIndex, place)
    }

    /// Counts and logs an exchange that is over.
    func countResponse(_ exchange: ExchangePlace, flags: ResponseFlags) {
        exchange.pointee.responseFlags.formUnion(flags)
        if exchange.pointee.extras != nil, let run = exchange.filterRun { endFilters(exchange, run) }
        if let trace = exchange.pointee.extras?.pointee.trace {
            endTrace(exchange)
            noteExemplar(exchange, trace)
        }
        let isShadow = exchange.pointee.flags.contains(.isShadow)
        if !isShadow { metrics.add(.downstreamRequests, exchange.pointee.flags.contains(.isTunnelOnly) ? 0 : -1) }
        if exchange.pointee.flags.contains(.countedTCP) {
            metrics.tcpClosed(exchange.pointee.edge, withError: !exchange.pointee.responseFlags.isEmpty)
        }
        if exchange.pointee.flags.contains(.countedRequest), !exchange.pointee.flags.contains(.isTunnelOnly) {
            let status = Int(exchange.pointee.status)
            let isCut = flags.contains(.upstreamConnectionTermination) || flags.contains(.streamIdleTimeout)
            metrics.responded(
                exchange.pointee.edge,
                status: status,
                isFailure: status >= 500 || status == 0 || isCut
                    || CallStatus.isFailure(Int(exchange.pointee.callStatus)),
                time: now > exchange.pointee.startedAt ? now &- exchange.pointee.startedAt : 0
            )
        }
        if !exchange.pointee.flags.contains(.isTunnelOnly) { countAnswer(exchange) }
        if exchange.pointee.flags.contains(.isTunnelOnly) { tallyRelayEnd(exchange) }
        if !isShadow {
            log(exchange, exchange.pointee.flags.contains(.isTunnelOnly) ? .tcpConnectionEnd : .downstreamEnd)
        }
    }

    /// Under Envoy's names: what the client got, and what the endpoint gave.
    private func countAnswer(_ exchange: ExchangePlace) {
        let status = exchange.pointee.status
        if let chain = downstreams.pointer(exchange.pointee.downstream).pointee.chain {
            let time = now > exchange.pointee.startedAt ? now &- exchange.pointee.startedAt : 0
            chain.pointee.numbers.pointee.count(status, exchange.pointee.responseFlags, time)
            chain.pointee.numbers.pointee.received &+= exchange.pointee.bytesReceived
            chain.pointee.numbers.pointee.sent &+= exchange.pointee.bytesSent
        }
        if let route = exchange.pointee.route, route.pointee.series >= 0 {
            countSeries(exchange, route.pointee.series)
        }
        guard let cluster = exchange.pointee.cluster else { return }
        let begin = exchange.pointee.requestEndedAt
        let time = exchange.pointee.respondedAt > 0 && begin > 0 && now > begin ? now &- begin : 0
        cluster.pointee.numbers.count(status, exchange.pointee.responseFlags, time)
        cluster.pointee.numbers.received &+= exchange.pointee.responseBody.carried
        cluster.pointee.numbers.sent &+= exchange.pointee.requestBody.carried
        tally(cluster).pointee.statuses.count(status)
        if exchange.pointee.extras != nil { countRoute(exchange, cluster, time) }
    }

    /// Gives back all that an exchange holds.
    func releaseExchange(_ index: Int32, _ exchange: ExchangePlace) {
        removePending(index, exchange)
        if exchange.pointee.flags.contains(.isShadow) {
            callEnded(exchange)
            if let owner = exchange.pointee.extras?.pointee.hedgeOf { forgetHedge(index, of: owner) }
        }
        if let cluster = exchange.pointee.cluster {
            endTry(exchange, .cancelled)
            leavePending(exchange)
            if exchange.pointee.flags.contains(.holdsRetry) {
                cluster.pointee.giveBack(.retries, exchange.pointee.priority)
            }
            if exchange.pointee.flags.contains(.holdsRequest) {
                cluster.pointee.giveBack(.requests, exchange.pointee.priority)
            }
        }
        buffers.give(&exchange.pointee.request)
        buffers.give(&exchange.pointee.record)
        buffers.give(&exchange.pointee.responseRecord)
        buffers.give(&exchange.pointee.trailers)
        let cluster = exchange.pointee.cluster
        let snapshot = exchange.pointee.snapshot
        exchange.pointee.cluster = nil
        exchange.pointee.snapshot = nil
        exchange.pointee.route = nil
        exchange.pointee.tcp?.release()
        exchange.pointee.tcp = nil
        if exchange.pointee.extras != nil { releaseExtras(exchange) }
        exchanges.give(index)
        if let cluster { letGo(cluster) }
        if let snapshot { letGo(snapshot) }
    }

    /// The client is gone, or the exchange cannot go on: the endpoint's connection is cut.
    func abandonExchange(_ index: Int32, _ flags: ResponseFlags) {
        let exchange = exchanges.pointer(index)
        let upstreamIndex = exchange.pointee.upstream
        exchange.pointee.upstream = -1
        if flags.contains(.downstreamTermination), backlog.isWatching { backlog.leaves() }
        countResponse(exchange, flags: flags)
        releaseExchange(index, exchange)
        guard upstreamIndex >= 0 else { return }
        let upstream = upstreams.pointer(upstreamIndex)
        upstream.pointee.exchange = -1
        if !exchange.pointee.isTunnel, let cluster = exchange.pointee.cluster { tick(cluster, .upstreamRqTxReset) }
        closeUpstream(upstreamIndex, upstream, reset: flags.contains(.downstreamTermination))
    }
}
