import Bytes
import HTTP
import Reactor
import Traffic

/// Calls of the proxy's own: exchanges whose client is nobody, as mirrors are, and whose answer comes back to whoever asked. They
/// take part in balancing, breakers, TLS, retries and deadlines like any other request.
extension Worker {
    /// Begins a call. The owner hears of its end exactly once, never before this returns.
    ///
    /// - Returns: nil when it could not be begun, with `failure` as the reason; the owner hears nothing then.
    func sideCall(
        _ request: CallRequest,
        to cluster: ClusterPlace?,
        _ owner: CallOwner,
        isStream: Bool = false,
        failure: inout StaticString
    ) -> CallToken? {
        guard let cluster, !cluster.pointee.isRetired else {
            failure = "the cluster is not configured"
            return nil
        }
        guard !request.isMalformed, !isStream || cluster.pointee.speaks != .http1 else {
            failure =
                request.isMalformed
                ? "the request is malformed" : "the cluster does not speak HTTP/2 (http2_protocol_options)"
            return nil
        }
        guard cluster.pointee.take(.requests, .normal) else {
            metrics.count(.breakerRequests)
            failure = "the cluster's limit of requests is reached"
            return nil
        }
        guard let (index, exchange) = makeCall(cluster) else {
            cluster.pointee.giveBack(.requests, .normal)
            failure = "too many requests in work"
            return nil
        }
        let call = SideCall(
            owner: owner,
            isStream: isStream,
            limit: request.answerLimit,
            frame: CallFrame(limit: request.answerLimit)
        )
        extras(exchange).pointee.retry = request.retry
        if request.retry.judgesEveryAnswer { exchange.pointee.flags.insert(.judgesEveryAnswer) }
        exchange.pointee.method = request.method
        if request.isGRPC { exchange.pointee.flags.formUnion([.isGRPC, .isUnframed]) }
        let fits = request.text(isStream: isStream).withUnsafeBytes { raw in
            raw.baseAddress.map { buffers.append(&exchange.pointee.request, $0, raw.count) } ?? false
        }
        guard fits else {
            closeDownstream(
                exchange.pointee.downstream,
                downstreams.pointer(exchange.pointee.downstream),
                flags: .localReset
            )
            failure = "the request is too large"
            return nil
        }
        extras(exchange).pointee.call = call
        if isStream {
            exchange.pointee.requestBody = Body(.untilClose)
            standingStreams += 1
        } else {
            exchange.pointee.requestEndedAt = now
            exchange.pointee.routeDeadline = Self.after(now, request.timeout)
        }
        let token = CallToken(exchange: index, generation: exchange.pointee.generation)
        dispatch(index, exchange)
        return token
    }

    /// An exchange with nobody as its client, in a cluster that has a place for it.
    private func makeCall(_ cluster: ClusterPlace) -> (Int32, ExchangePlace)? {
        guard let index = exchanges.take() else { return nil }
        guard let client = downstreams.take() else {
            exchanges.give(index)
            return nil
        }
        cluster.pointee.requestsTotal &+= 1
        let place = downstreams.pointer(client)
        place.pointee.flags = [.isShadow, .closesAfterResponse, .readPaused]
        place.pointee.exchange = index
        place.pointee.timer = loop.timers.make(
            token: Token(.downstreamTimer, client, generation: place.pointee.generation).raw
        )
        let exchange = exchanges.pointer(index)
        exchange.pointee.downstream = client
        exchange.pointee.startedAt = now
        exchange.pointee.lastActivity = now
        exchange.pointee.flags = [.isShadow, .holdsRequest]
        exchange.pointee.cluster = cluster
        hold(cluster)
        return (index, exchange)
    }

    /// Ends a call whose answer is not wanted any more; its owner hears nothing.
    func cancelCall(_ token: CallToken) {
        guard let exchange = exchanges.find(token.exchange, generation: token.generation),
            exchange.pointee.extras?.pointee.call != nil
        else { return }
        if exchange.pointee.extras?.pointee.call?.isStream ?? false { standingStreams -= 1 }
        exchange.pointee.extras?.pointee.call = nil
        closeShadow(exchange)
    }

    private func closeShadow(_ exchange: ExchangePlace) {
        let client = exchange.pointee.downstream
        closeDownstream(client, downstreams.pointer(client), flags: .localReset)
    }

    // MARK: What comes back

    /// The head of an answer to nobody.
    func takeShadowHead(_ exchange: ExchangePlace, _ memory: UnsafeMutableRawPointer) {
        guard let extras = exchange.pointee.extras, extras.pointee.call != nil else { return }
        let fields = CallFields(memory, responseHead.length, responseFields)
        extras.pointee.call?.answer.status = responseHead.status
        extras.pointee.call?.answer.fields = fields
        guard extras.pointee.call?.isStream ?? false, responseHead.status == 200, exchange.pointee.callStatus < 0,
            case .main(let id)? = extras.pointee.call?.owner
        else { return }
        control.post(.call(CallEvent(id: id, what: .begun(fields))))
    }

    /// A piece of an answer's body to nobody. False when that ended the exchange.
    func carryShadow(_ exchange: ExchangePlace, _ bytes: UnsafeMutableRawPointer, _ step: Body.Step, _ isDone: Bool)
        -> Bool
    {
        guard let extras = exchange.pointee.extras, let limit = extras.pointee.call?.limit else { return true }
        if step.trailers > 0, exchange.pointee.trailers.count + step.trailers <= Trailers.maximumBytes {
            _ = buffers.append(&exchange.pointee.trailers, bytes + step.data, step.trailers)
        }
        if isDone { extras.pointee.call?.isWhole = true }
        let piece = UnsafeRawBufferPointer(start: bytes, count: step.data)
        guard step.data > 0 else { return true }
        if extras.pointee.call?.isStream ?? false, exchange.pointee.status == 200 {
            return takeMessages(exchange, extras, piece)
        }
        guard (extras.pointee.call?.answer.body.count ?? 0) + step.data <= limit else {
            extras.pointee.call?.answer.failure = "the answer is larger than allowed"
            closeShadow(exchange)
            return false
        }
        extras.pointee.call?.answer.body.append(contentsOf: piece)
        return true
    }

    /// The proxy's own answer to a call: its failure.
    func failCall(_ exchange: ExchangePlace, _ reason: StaticString?) {
        exchange.pointee.extras?.pointee.call?.answer.failure = reason ?? "the call was refused"
    }

    /// The exchange of a call ends, whatever the reason: its owner hears what came of it.
    func callEnded(_ exchange: ExchangePlace) {
        guard let extras = exchange.pointee.extras, var call = extras.pointee.call else { return }
        extras.pointee.call = nil
        if call.isStream { standingStreams -= 1 }
        call.answer.flags = exchange.pointee.responseFlags
        if call.answer.failure == nil, !call.isWhole { call.answer.failure = Self.cause(exchange) }
        if exchange.pointee.callStatus >= 0 { call.answer.callStatus = Int(exchange.pointee.callStatus) }
        if let raw = exchange.pointee.trailers.bytes, exchange.pointee.responseBody.isComplete {
            let count = exchange.pointee.trailers.count
            do throws(HTTPFault) {
                try Trailers.parse(raw, count: count, limits: HeadLimits(), fields: &responseFields)
                call.answer.trailers = CallFields(raw, count, responseFields)
            } catch {
                call.answer.failure = call.answer.failure ?? "the trailers are malformed"
            }
        }
        switch call.owner {
        case .step, .keys: answeredSteps.append((call.owner, call.answer))
        case .main(let id):
            mainCalls[id] = nil
            let what: CallEvent.What = call.isStream ? .ended(call.answer) : .answered(call.answer)
            control.post(.call(CallEvent(id: id, what: what)))
        }
    }

    private static func cause(_ exchange: ExchangePlace) -> StaticString {
        if exchange.pointee.responseFlags.contains(.durationTimeout) { return "no whole answer within the timeout" }
        if exchange.pointee.status == 0 { return "no answer came" }
        return "the answer was cut short"
    }

    // MARK: From the main thread

    func obey(_ command: CallCommand) {
        let id = command.id
        switch command.what {
        case .call(let cluster, let request): begin(id, cluster, request, isStream: false)
        case .open(let cluster, let request): begin(id, cluster, request, isStream: true)
        case .send(let message): send(message, on: id)
        case .taken(let count): messagesTaken(count, on: id)
        case .finish: finishStream(id)
        case .cancel:
            if let token = mainCalls.removeValue(forKey: id) { cancelCall(token) }
        }
    }

    private func begin(_ id: UInt64, _ cluster: String, _ request: CallRequest, isStream: Bool) {
        let index = current.pointee.snapshot.clusterIndex(named: cluster).map { Int($0) }
        let place = index.flatMap { clusters.indices.contains($0) ? clusters[$0] : nil }
        var failure: StaticString = ""
        let token = sideCall(request, to: place, .main(id), isStream: isStream, failure: &failure)
        guard let token else {
            let answer = CallAnswer.failed(failure)
            control.post(.call(CallEvent(id: id, what: isStream ? .ended(answer) : .answered(answer))))
            return
        }
        // It may have failed by now.
        if exchanges.find(token.exchange, generation: token.generation) != nil { mainCalls[id] = token }
    }
}
