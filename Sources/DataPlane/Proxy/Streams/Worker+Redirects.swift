import Bytes
import HTTP
import Reactor
import Traffic

/// Redirects of endpoints that the proxy follows itself (`internal_redirect_policy`): the request goes on as another one.
extension Worker {
    /// Whether the answer is a redirect that is followed. False: the client gets it.
    func follows(
        _ index: Int32,
        _ exchange: ExchangePlace,
        _ status: UInt16,
        _ upstreamIndex: Int32,
        _ upstream: UpstreamPlace,
        _ memory: UnsafeMutableRawPointer
    ) -> Bool {
        guard let route = exchange.pointee.route, case .forward(let forward) = route.pointee.action,
            let rule = forward.pointee.extras?.pointee.internalRedirect, rule.statuses.contains(Int(status)),
            (exchange.pointee.extras?.pointee.redirects ?? 0) < rule.limit,
            exchange.pointee.requestBody.isComplete, isReplayable(exchange),
            !exchange.pointee.record.isEmpty, let chain = downstreams.pointer(exchange.pointee.downstream).pointee.chain
        else { return false }
        let place = downstreams.pointer(exchange.pointee.downstream)
        let answer = responseView(memory)
        guard let location = answer.value(of: Self.run("location")),
            let target = rule.target(of: location, isTLS: place.pointee.tls != nil)
        else { return false }
        guard var next = writeRedirected(exchange, target.authority, target.path, status, rule, answer) else {
            return false
        }
        defer { buffers.give(&next) }
        guard let bytes = next.bytes, let found = nextRoute(next, exchange, chain, place) else { return false }
        var body = cutBody(exchange)
        defer { buffers.give(&body) }
        // A body whose length only its stream knew cannot be told again; one that 303 takes away need not be.
        guard head.framing != .none || body.isEmpty || (status == 303 && head.method == .get) else { return false }
        metrics.count(.redirectsFollowed)
        if let cluster = exchange.pointee.cluster { tick(cluster, .upstreamInternalRedirectSucceededTotal) }
        noteRedirect(exchange, place, target.authority, target.path)
        restart(exchange, upstreamIndex, upstream)
        exchange.pointee.method = head.method
        exchange.pointee.requestBody = Body(head.framing)
        if head.framing == .none { exchange.pointee.flags.remove(.requestIsChunked) }
        var facts = found.facts
        facts.base = bytes
        let count = head.framing == .none ? 0 : body.count
        _ = follow(found.match, facts, index, exchange, chain, body.bytes ?? bytes, count)
        return true
    }

    /// The client's request as it would have come for the redirect's target. Nil when it does not fit.
    private func writeRedirected(
        _ exchange: ExchangePlace,
        _ authority: ByteRun,
        _ path: ByteRun,
        _ status: UInt16,
        _ rule: InternalRedirect,
        _ answer: RequestView
    ) -> Buffer? {
        var entry = AccessLogEntry()
        readBack(exchange, &entry)
        let original = entry.request
        guard let base = original.base, let buffer = buffers.take(exchange.pointee.record.count + path.count + 2048),
            let room = buffer.base
        else { return nil }
        var made = buffer
        let turnsToGet = status == 303 && exchange.pointee.method != .get && exchange.pointee.method != .head
        var writer = ByteWriter(room, capacity: Int(buffer.capacity))
        writer.put(turnsToGet ? Self.run("GET") : original.method)
        writer.put(byte: 0x20)
        writer.put(path.isEmpty ? Self.slash : path)
        writer.put(" HTTP/1.1\r\nhost: ")
        writer.put(authority)
        writer.endLine()
        for index in 0..<logFields.count {
            let field = logFields.fields[index]
            let name = ByteRun(start: base + Int(field.nameStart), count: Int(field.nameLength))
            switch logFields.names[index] {
            case .host, .expect: continue
            case .contentLength, .transferEncoding: if turnsToGet { continue }
            default: if isCopied(name, rule, answer) { continue }
            }
            writer.put(name)
            writer.put(": ")
            writer.put(base + Int(field.valueStart), Int(field.valueLength))
            writer.endLine()
        }
        for index in 0..<rule.copied.count {
            guard let value = answer.value(of: rule.copied[index]) else { continue }
            writer.put(rule.copied[index])
            writer.put(": ")
            writer.put(value)
            writer.endLine()
        }
        writer.endLine()
        made.end = Int32(writer.count)
        guard !writer.overflowed else {
            buffers.give(&made)
            return nil
        }
        return made
    }

    private func isCopied(_ name: ByteRun, _ rule: InternalRedirect, _ answer: RequestView) -> Bool {
        for index in 0..<rule.copied.count
        where rule.copied[index].equalsIgnoringCase(name) && answer.value(of: rule.copied[index]) != nil { return true }
        return false
    }

    /// The route of the new request; nil when it is malformed or there is none.
    private func nextRoute(
        _ next: Buffer,
        _ exchange: ExchangePlace,
        _ chain: ChainPlace,
        _ place: DownstreamPlace
    ) -> (match: RouteMatch, facts: RequestFacts)? {
        guard let bytes = next.bytes else { return nil }
        var limits = HeadLimits()
        limits.bytes = chain.pointee.limits.bytes + 4096
        limits.fields = FieldTable.capacity
        limits.rejectsUnderscores = chain.pointee.limits.rejectsUnderscores
        guard head.parse(bytes, count: next.count, limits: limits, fields: &requestFields) == .complete else {
            return nil
        }
        var target = ByteRun(start: bytes + Int(head.pathStart), count: Int(head.pathLength))
        if chain.pointee.normalizesPath, let start = target.start,
            !PathNormalizer.isNormal(start, count: target.count)
        {
            let count = try? PathNormalizer.normalize(
                start,
                count: target.count,
                mergesSlashes: chain.pointee.mergesSlashes,
                escapedSlashes: .reject,
                into: pathSpace
            )
            guard let count else { return nil }
            target = ByteRun(start: pathSpace, count: count)
        }
        let query = target.firstIndex(of: 0x3F)
        var view = RequestView(
            method: ByteRun(start: bytes + Int(head.methodStart), count: Int(head.methodLength)),
            authority: ByteRun(start: bytes + Int(head.authorityStart), count: Int(head.authorityLength)),
            path: query.map { target.first($0) } ?? target,
            query: query.map { target.dropping($0 + 1) } ?? .empty,
            isTLS: place.pointee.tls != nil,
            base: UnsafeRawPointer(bytes),
            fields: UnsafePointer(requestFields.fields),
            fieldCount: requestFields.count
        )
        let table = exchange.pointee.snapshot?.pointee.views._withUnsafeGuaranteedRef { $0[chain.pointee.routeTable] }
        guard let table else { return nil }
        readHouseFields(exchange, chain, place, bytes, table.internalOnly)
        view.isInternal = exchange.pointee.extras?.pointee.isInternal ?? false
        if table.asksForCertificate { view.hasCertificate = hasCertificate(place) }
        let match = table.match(view, random: random.next())
        guard case .route = match else { return nil }
        return (match, RequestFacts(base: bytes, view: view, target: target))
    }

    /// The body of the request, as it was framed for the endpoint; empty when it had none.
    private func cutBody(_ exchange: ExchangePlace) -> Buffer {
        var body = Buffer()
        guard let bytes = exchange.pointee.request.bytes else { return body }
        let text = ByteRun(start: bytes, count: exchange.pointee.request.count)
        var rest = text
        // Behind the first empty line.
        while let end = rest.firstIndex(of: 0x0A) {
            let isEmpty = end <= 1
            rest = rest.dropping(end + 1)
            if isEmpty { break }
        }
        if let start = rest.start, rest.count > 0 { _ = buffers.append(&body, start, rest.count) }
        return body
    }

    /// Ends the try that brought the redirect, and makes the exchange one that has not begun.
    private func restart(_ exchange: ExchangePlace, _ upstreamIndex: Int32, _ upstream: UpstreamPlace) {
        endHedges(exchange)
        exchange.pointee.respondedAt = now
        endTry(exchange, .success)
        exchange.pointee.upstream = -1
        upstream.pointee.exchange = -1
        closeUpstream(upstreamIndex, upstream)
        if let cluster = exchange.pointee.cluster {
            if exchange.pointee.flags.contains(.holdsRetry) {
                cluster.pointee.giveBack(.retries, exchange.pointee.priority)
            }
            if exchange.pointee.flags.contains(.holdsRequest) {
                cluster.pointee.giveBack(.requests, exchange.pointee.priority)
            }
            exchange.pointee.cluster = nil
            letGo(cluster)
        }
        buffers.give(&exchange.pointee.request)
        buffers.give(&exchange.pointee.trailers)
        exchange.pointee.requestSent = 0
        exchange.pointee.flags.subtract([
            .holdsRetry, .holdsRequest, .judgesEveryAnswer, .followsRedirects, .hasReplayLimit, .hasTryIdleTimeout,
            .followsTimeout, .sentBytes, .awaitedEndpoint,
        ])
        exchange.pointee.state = .waiting
        exchange.pointee.tried = TriedEndpoints()
        exchange.pointee.attempts = 0
        exchange.pointee.retries = 0
        exchange.pointee.silentRetries = 0
        exchange.pointee.interims = 0
        exchange.pointee.weighted = nil
        exchange.pointee.requestEndedAt = 0
        exchange.pointee.respondedAt = 0
        exchange.pointee.tryDeadline = .max
        exchange.pointee.routeDeadline = .max
        exchange.pointee.extras?.pointee.retry = nil
    }

    private func noteRedirect(
        _ exchange: ExchangePlace,
        _ place: DownstreamPlace,
        _ authority: ByteRun,
        _ path: ByteRun
    ) {
        let extras = extras(exchange)
        let scheme = Array((place.pointee.tls == nil ? "http://" : "https://").utf8)
        extras.pointee.redirects += 1
        if extras.pointee.redirectedURL.isEmpty {
            var entry = AccessLogEntry()
            readBack(exchange, &entry)
            extras.pointee.originalURL =
                scheme + Array(entry.request.authority.buffer) + Array(entry.request.pathAndQuery.buffer)
        } else {
            extras.pointee.originalURL = extras.pointee.redirectedURL
        }
        extras.pointee.redirectedURL = scheme + Array(authority.buffer) + Array(path.buffer)
    }
}
