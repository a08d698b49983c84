import Bytes
import CWeft
import HTTP
import Reactor
import TLS
import Traffic

/// What a request is, once its target is brought into the one form that all see.
struct RequestFacts {
    /// The head as it came; places in `head` and in the field table are relative to it.
    var base: UnsafeMutableRawPointer
    var view: RequestView
    /// Path and query in normal form.
    var target: ByteRun
}

/// Begins requests: from a parsed head to a route and a cluster, or to an answer of the proxy's own.
extension Worker {
    /// Begins the request whose head was just parsed. Bytes of its body that are there are taken too.
    ///
    /// - Returns: how many of the `count` bytes belong to the request.
    func startRequest(
        _ index: Int32,
        _ place: DownstreamPlace,
        _ chain: ChainPlace,
        _ bytes: UnsafeMutableRawPointer,
        _ count: Int
    ) -> Int {
        let length = head.length
        place.pointee.flags.remove(.headStarted)
        guard let exchangeIndex = exchanges.take() else {
            answerWithoutRequest(
                index,
                place,
                status: 503,
                reason: "too many requests in work",
                flags: .overloadManager
            )
            return length
        }
        let exchange = exchanges.pointer(exchangeIndex)
        begin(exchangeIndex, exchange, index, place, chain)
        if head.framing != .none, isGRPC(bytes) { exchange.pointee.flags.insert(.isGRPC) }
        if chain.pointee.logs {
            record(exchange, bytes, length)
            if chain.pointee.logsStarts { log(exchange, .downstreamStart) }
        }
        guard var facts = examine(index, place, exchange, chain, bytes) else { return length }
        if place.pointee.flags.contains(.checksHost), isMisdirected(place, facts.view.authority) {
            return length
                + reject(
                    exchangeIndex,
                    exchange,
                    bytes + length,
                    count - length,
                    status: 421,
                    "the host wants another TLS than this connection has"
                )
        }
        let route = exchange.pointee.snapshot?.pointee.views._withUnsafeGuaranteedRef { $0[chain.pointee.routeTable] }
        let isConnect = exchange.pointee.method == .connect
        if isConnect { place.pointee.flags.insert(.closesAfterResponse) }
        if isConnect, !(chain.pointee.allowsConnect || route?.takesConnect ?? false) || head.framing != .none {
            // What follows is meant for a tunnel that does not open: no byte of it is a request.
            exchange.pointee.requestBody = Body(.untilClose)
            return length
                + reject(
                    exchangeIndex,
                    exchange,
                    bytes + length,
                    count - length,
                    status: 405,
                    "CONNECT is not allowed here"
                )
        }
        guard let route else {
            exchange.pointee.responseFlags.insert(.noRoute)
            return length
                + reject(exchangeIndex, exchange, bytes + length, count - length, status: 404, "no route configuration")
        }
        if head.flags.contains(.hasEnvoyFields) || !route.internalOnly.isEmpty || chain.pointee.knowsHouse {
            readHouseFields(exchange, chain, place, bytes, route.internalOnly)
            facts.view.isInternal = exchange.pointee.extras?.pointee.isInternal ?? false
        }
        if route.asksForCertificate { facts.view.hasCertificate = hasCertificate(place) }
        if chain.pointee.traces { beginTrace(exchange, chain, facts) }
        return length
            + follow(
                route.match(facts.view, random: random.next()),
                facts,
                exchangeIndex,
                exchange,
                chain,
                bytes + length,
                count - length
            )
    }

    /// Whether the client presented a certificate; one that is not found good ends the handshake.
    func hasCertificate(_ place: DownstreamPlace) -> Bool { place.pointee.tls?.peer != nil }

    private func begin(
        _ exchangeIndex: Int32,
        _ exchange: ExchangePlace,
        _ index: Int32,
        _ place: DownstreamPlace,
        _ chain: ChainPlace
    ) {
        place.pointee.exchange = exchangeIndex
        place.pointee.requestsServed &+= 1
        exchange.pointee.downstream = index
        exchange.pointee.method = head.method
        exchange.pointee.startedAt = now
        exchange.pointee.lastActivity = now
        exchange.pointee.requestBody = Body(head.framing)
        exchange.pointee.bytesReceived = UInt64(head.length)
        exchange.pointee.idleTimeout = chain.pointee.streamIdleTimeout
        let holder = chain.pointee.holder
        exchange.pointee.snapshot = holder
        hold(holder)
        var flags: Exchange.Flags = []
        if head.minorVersion == 0 { flags.insert(.isHTTP10) }
        if head.framing == .chunked || head.framing == .untilClose { flags.insert(.requestIsChunked) }
        if head.flags.contains(.expectsContinue), head.minorVersion == 1 { flags.insert(.expectsContinue) }
        if head.isUpgrade { flags.insert(.wantsUpgrade) }
        exchange.pointee.flags = flags
        let isLast = chain.pointee.maxRequests > 0 && place.pointee.requestsServed >= chain.pointee.maxRequests
        if !head.keepsAlive || isLast || endsForDrain || !chain.pointee.isCurrent {
            if isLast { chain.pointee.tally.pointee.count(.downstreamCxMaxRequestsReached) }
            if isDraining { chain.pointee.tally.pointee.count(.downstreamCxDrainClose) }
            place.pointee.flags.insert(.closesAfterResponse)
        }
        metrics.count(.downstreamRequestsTotal)
        metrics.add(.downstreamRequests, 1)
        if chain.pointee.requestTimeout > 0, head.framing != .none {
            exchange.pointee.bodyDeadline = now &+ chain.pointee.requestTimeout
        }
    }

    /// Whether the request is a call of gRPC, whose client reads errors from `grpc-status`.
    private func isGRPC(_ bytes: UnsafeRawPointer) -> Bool {
        for index in 0..<requestFields.count where requestFields.names[index] == .contentType {
            let field = requestFields.fields[index]
            let type: StaticString = "application/grpc"
            let count = Int(field.valueLength)
            guard count >= 16, cweft_equals_lower(bytes + Int(field.valueStart), type.utf8Start, 16) != 0 else {
                return false
            }
            guard count > 16 else { return true }
            // `application/grpc+proto`, `application/grpc;charset`: not `application/grpc-web`.
            let next = bytes.load(fromByteOffset: Int(field.valueStart) + 16, as: UInt8.self)
            return next == 0x2B || next == 0x3B
        }
        return false
    }

    func record(_ exchange: ExchangePlace, _ bytes: UnsafeMutableRawPointer, _ length: Int) {
        _ = buffers.append(&exchange.pointee.record, bytes, length)
    }

    /// Normalises the target. Nil when the request is refused (and answered).
    private func examine(
        _ index: Int32,
        _ place: DownstreamPlace,
        _ exchange: ExchangePlace,
        _ chain: ChainPlace,
        _ bytes: UnsafeMutableRawPointer
    ) -> RequestFacts? {
        if head.minorVersion == 0, !chain.pointee.acceptsHTTP10 {
            refuse(index, place, .unsupportedVersion)
            return nil
        }
        var target = ByteRun(start: bytes + Int(head.pathStart), count: Int(head.pathLength))
        if target.isEmpty, exchange.pointee.method != .connect {
            target = exchange.pointee.method == .options ? Self.asterisk : Self.slash
        }
        if chain.pointee.normalizesPath, target[0] == 0x2F, let start = target.start,
            !PathNormalizer.isNormal(start, count: target.count)
        {
            do throws(HTTPFault) {
                let escaped: PathNormalizer.EscapedSlashes =
                    switch chain.pointee.escapedSlashes {
                    case .keep: .keep
                    case .reject: .reject
                    case .unescapeAndForward, .unescapeAndRedirect: .unescape
                    }
                let count = try PathNormalizer.normalize(
                    start,
                    count: target.count,
                    mergesSlashes: chain.pointee.mergesSlashes,
                    escapedSlashes: escaped,
                    into: pathSpace
                )
                let redirects =
                    chain.pointee.escapedSlashes == .unescapeAndRedirect && Self.hasEscapedSlash(target)
                target = ByteRun(start: pathSpace, count: count)
                if redirects {
                    chain.pointee.tally.pointee.count(.downstreamRqRedirectedWithNormalizedPath)
                    answer(place.pointee.exchange, exchange, status: 307, reason: nil, location: target)
                    return nil
                }
            } catch {
                chain.pointee.tally.pointee.count(.downstreamRqFailedPathNormalization)
                refuse(index, place, error)
                return nil
            }
        }
        var authority = ByteRun(start: bytes + Int(head.authorityStart), count: Int(head.authorityLength))
        if authority.isEmpty, head.minorVersion == 0 { authority = chain.pointee.defaultHost }
        if chain.pointee.tidiesHost { authority = tidied(authority, chain, place) }
        let query = target.firstIndex(of: 0x3F)
        var view = RequestView(
            method: ByteRun(start: bytes + Int(head.methodStart), count: Int(head.methodLength)),
            authority: authority,
            path: query.map { target.first($0) } ?? target,
            query: query.map { target.dropping($0 + 1) } ?? .empty,
            isTLS: place.pointee.tls != nil,
            base: UnsafeRawPointer(bytes),
            fields: UnsafePointer(requestFields.fields),
            fieldCount: requestFields.count
        )
        if let overwritten = chain.pointee.isHTTPS { view.isHTTPS = overwritten }
        return RequestFacts(base: bytes, view: view, target: target)
    }

    /// Whether `%2F` or `%5C` stands in a path.
    private static func hasEscapedSlash(_ target: ByteRun) -> Bool {
        var rest = target
        while let place = rest.firstIndex(of: 0x25) {
            rest = rest.dropping(place + 1)
            let low = (rest[1] ?? 0) | 0x20
            if (rest[0] == 0x32 && low == 0x66) || (rest[0] == 0x35 && low == 0x63) { return true }
        }
        return false
    }

    static var slash: ByteRun { run("/") }
    static var asterisk: ByteRun { run("*") }
    static func run(_ text: StaticString) -> ByteRun { ByteRun(start: text.utf8Start, count: text.utf8CodeUnitCount) }

    /// Goes on with a request whose route is found: through the filters first. The bytes of the body that were taken.
    func follow(
        _ match: RouteMatch,
        _ facts: RequestFacts,
        _ exchangeIndex: Int32,
        _ exchange: ExchangePlace,
        _ chain: ChainPlace,
        _ body: UnsafeMutableRawPointer,
        _ count: Int
    ) -> Int {
        // Before the filters: what they do may be most of a request's cost.
        if isUnderPressure, case .route(let route, let host) = match, sheds(exchange, route) {
            exchange.pointee.route = route
            if route.pointee.isCounted { noteCounted(exchange, route, host, facts.view) }
            return shed(exchangeIndex, exchange, body, count)
        }
        return chain.pointee.hasFilters
            ? beginFilters(match, facts, exchangeIndex, exchange, chain, body, count)
            : settle(match, facts, exchangeIndex, exchange, chain, body, count)
    }

    /// Acts on the outcome of routing; the bytes of the body that were taken.
    func settle(
        _ match: RouteMatch,
        _ facts: RequestFacts,
        _ exchangeIndex: Int32,
        _ exchange: ExchangePlace,
        _ chain: ChainPlace,
        _ body: UnsafeMutableRawPointer,
        _ count: Int
    ) -> Int {
        switch match {
        case .noVirtualHost:
            exchange.pointee.responseFlags.insert(.noRoute)
            metrics.count(.noRoute)
            return reject(exchangeIndex, exchange, body, count, status: 404, "no virtual host for this authority")
        case .noRoute:
            exchange.pointee.responseFlags.insert(.noRoute)
            metrics.count(.noRoute)
            return reject(exchangeIndex, exchange, body, count, status: 404, "no route matches")
        case .requiresTLS:
            var redirect = Redirect()
            redirect.usesHTTPS = true
            chain.pointee.tally.pointee.count(.rqDirectResponse)
            return redirectClient(redirect, facts, PathMatch(), exchangeIndex, exchange, body, count)
        case .route(let route, let host):
            exchange.pointee.route = route
            if route.pointee.isCounted { noteCounted(exchange, route, host, facts.view) }
            if route.pointee.remembersRequest, exchange.pointee.record.isEmpty {
                record(exchange, facts.base, head.length)
            }
            switch route.pointee.action {
            case .forward: return forward(facts, exchangeIndex, exchange, chain, route, body, count)
            case .redirect(let redirect):
                chain.pointee.tally.pointee.count(.rqDirectResponse)
                return redirectClient(redirect.pointee, facts, route.pointee.path, exchangeIndex, exchange, body, count)
            case .direct(let direct):
                chain.pointee.tally.pointee.count(.rqDirectResponse)
                return reject(
                    exchangeIndex,
                    exchange,
                    body,
                    count,
                    status: direct.pointee.status,
                    nil,
                    content: direct.pointee.body
                )
            case .notFound:
                exchange.pointee.responseFlags.insert(.noCluster)
                return reject(exchangeIndex, exchange, body, count, status: 503, "the route does not forward")
            }
        }
    }

    private func redirectClient(
        _ redirect: Redirect,
        _ facts: RequestFacts,
        _ path: PathMatch,
        _ exchangeIndex: Int32,
        _ exchange: ExchangePlace,
        _ body: UnsafeMutableRawPointer,
        _ count: Int
    ) -> Int {
        guard var space = buffers.take(16_384), let memory = space.base else { return count }
        defer { buffers.give(&space) }
        var sink = ByteSink(UnsafeMutableRawBufferPointer(start: memory, count: 16_384))
        redirect.writeLocation(facts.view, matched: path, into: &sink)
        guard !sink.overflowed else {
            return reject(exchangeIndex, exchange, body, count, status: 414, "the location would be too long")
        }
        return reject(exchangeIndex, exchange, body, count, status: redirect.status, nil, location: sink.written)
    }

    /// Answers a request without asking anybody; takes what is there of its body.
    func reject(
        _ exchangeIndex: Int32,
        _ exchange: ExchangePlace,
        _ body: UnsafeMutableRawPointer,
        _ count: Int,
        status: UInt16,
        _ reason: StaticString?,
        location: ByteRun = .empty,
        content: ByteRun = .empty
    ) -> Int {
        var taken = 0
        do throws(HTTPFault) {
            let step = try exchange.pointee.requestBody.take(body, count)
            taken = step.consumed
            exchange.pointee.bytesReceived &+= UInt64(step.consumed)
        } catch {
            exchange.pointee.responseFlags.insert(.downstreamProtocolError)
            metrics.violation(.badChunk)
        }
        answer(exchangeIndex, exchange, status: status, reason: reason, location: location, content: content)
        return taken
    }

    /// Chooses the cluster, writes the request as it goes upstream, and sends it on its way.
    func forward(
        _ facts: RequestFacts,
        _ exchangeIndex: Int32,
        _ exchange: ExchangePlace,
        _ chain: ChainPlace,
        _ route: UnsafePointer<Route>,
        _ body: UnsafeMutableRawPointer,
        _ count: Int
    ) -> Int {
        guard case .forward(let forward) = route.pointee.action else { return 0 }
        if exchange.pointee.flags.contains(.wantsUpgrade),
            !(forward.pointee.allowsWebSocket ?? chain.pointee.allowsWebSocket)
        {
            chain.pointee.tally.pointee.count(.downstreamRqWsOnNonWsRoute)
            return reject(exchangeIndex, exchange, body, count, status: 403, "WebSocket is not allowed on this route")
        }
        let connect = forward.pointee.extras?.pointee.connect ?? (chain.pointee.allowsConnect ? .passOn : .refuse)
        if exchange.pointee.method == .connect, connect == .refuse {
            return reject(exchangeIndex, exchange, body, count, status: 403, "CONNECT is not allowed on this route")
        }
        guard var cluster = cluster(for: forward, facts, exchange) else {
            exchange.pointee.responseFlags.insert(.noCluster)
            metrics.count(.noCluster)
            return reject(
                exchangeIndex,
                exchange,
                body,
                count,
                status: forward.pointee.clusterNotFoundStatus,
                "the route's cluster is not configured"
            )
        }
        exchange.pointee.cluster = cluster
        hold(cluster)
        exchange.pointee.priority = forward.pointee.priority
        if cluster.pointee.readsDestination { readDestination(exchange, cluster, facts.view) }
        if exchange.pointee.extras != nil || forward.pointee.retry.isSpecial || forward.pointee.extras != nil {
            settleRules(exchange, forward, facts.view)
        }
        if let idle = forward.pointee.idleTimeout { exchange.pointee.idleTimeout = idle }
        if exchange.pointee.flags.contains(.isGRPC), let rule = forward.pointee.extras?.pointee.callTimeout {
            settleCallTimeout(exchange, rule, facts.view)
        }
        let duration =
            exchange.pointee.extras?.pointee.callDuration ?? forward.pointee.maxStreamDuration
            ?? chain.pointee.maxStreamDuration
        if duration > 0 { exchange.pointee.routeDeadline = min(exchange.pointee.routeDeadline, now &+ duration) }
        if cluster.pointee.dropPerMillion > 0, UInt32(random.next() % 1_000_000) < cluster.pointee.dropPerMillion {
            cluster.pointee.droppedTotal &+= 1
            exchange.pointee.responseFlags.insert(.dropOverload)
            return reject(exchangeIndex, exchange, body, count, status: 503, "the cluster drops a share of its load")
        }
        if !takePlaces(exchange, cluster) {
            metrics.count(.breakerRequests)
            tick(cluster, .upstreamRqPendingOverflow)
            exchange.pointee.responseFlags.insert(.upstreamOverflow)
            guard exchange.pointee.extras != nil, let other = otherCluster(exchange), takePlaces(exchange, other)
            else {
                return reject(
                    exchangeIndex,
                    exchange,
                    body,
                    count,
                    status: 503,
                    "the cluster's limit of requests is reached"
                )
            }
            cluster = other
        }
        if exchange.pointee.method == .connect, connect == .terminate {
            exchange.pointee.flags.insert(.terminatesConnect)
            requestBecameWhole(exchange)
            dispatch(exchangeIndex, exchange)
            return 0
        }
        if exchange.pointee.flags.contains(.requestIsChunked), speaksHTTP2(exchange, cluster) {
            exchange.pointee.flags.remove(.requestIsChunked)
            exchange.pointee.flags.insert(.isUnframed)
        }
        guard writeRequestHead(facts, exchange, chain, route, forward) else {
            return reject(exchangeIndex, exchange, body, count, status: 431, "the head would be too large to forward")
        }
        // An internal redirect starts from the client's own request.
        if chain.pointee.logs {
            if forward.pointee.extras?.pointee.internalRedirect == nil { recordForwarded(exchange) }
            if chain.pointee.isTapped { beginTap(exchange) }
        }
        var taken = 0
        if !exchange.pointee.requestBody.isComplete {
            taken = takeFirstBody(exchange, body, count)
            if taken < 0 {
                answer(exchangeIndex, exchange, status: 400, reason: "the body's framing is malformed")
                return count
            }
        } else {
            requestBecameWhole(exchange)
        }
        guard let extras = forward.pointee.extras, !extras.pointee.mirrors.isEmpty else {
            if downstreams.pointer(exchange.pointee.downstream).pointee.isStream,
                isFeeding || !exchange.pointee.requestBody.isComplete
            {
                deferDispatch(exchangeIndex, exchange)
            } else {
                dispatch(exchangeIndex, exchange)
            }
            return taken
        }
        let shadows = makeShadows(exchange, forward, extras.pointee.mirrors, facts)
        dispatch(exchangeIndex, exchange)
        startShadows(shadows)
        return taken
    }

    private func takePlaces(_ exchange: ExchangePlace, _ cluster: ClusterPlace) -> Bool {
        guard cluster.pointee.take(.requests, exchange.pointee.priority) else { return false }
        exchange.pointee.flags.insert(.holdsRequest)
        return true
    }

    private func cluster(for forward: UnsafePointer<Forward>, _ facts: RequestFacts, _ exchange: ExchangePlace)
        -> ClusterPlace?
    {
        if exchange.pointee.extras != nil, let run = exchange.filterRun, let drawn = run.pointee.cluster {
            if let found = run.pointee.found, !found.pointee.isRetired { return found }
            return cluster(at: drawn, exchange)
        }
        return cluster(at: drawCluster(forward, facts, exchange), exchange)
    }

    /// The number of the request's cluster; what a draw among several gave is noted in the exchange.
    func drawCluster(_ forward: UnsafePointer<Forward>, _ facts: RequestFacts, _ exchange: ExchangePlace) -> Int32 {
        let index: Int32
        var point = random.next()
        if let name = forward.pointee.extras?.pointee.drawHeader, let number = facts.view.value(of: name)?.decimal,
            number >= 0
        {
            point = UInt64(number)
        }
        switch forward.pointee.choice.draw(facts.view, random: point) {
        case .cluster(let fixed): index = fixed
        case .weighted(let entry):
            exchange.pointee.weighted = entry
            let isNamed = entry.pointee.cluster < 0
            index =
                isNamed
                ? clusterIndex(named: facts.view.value(of: entry.pointee.header), exchange)
                : entry.pointee.cluster
        case .named(let name): index = clusterIndex(named: name, exchange)
        }
        return index
    }

    private func clusterIndex(named name: ByteRun?, _ exchange: ExchangePlace) -> Int32 {
        guard let name else { return -1 }
        return exchange.pointee.snapshot?.pointee.snapshot.clusterIndex(named: name.text) ?? -1
    }

    /// The cluster in which a mirror's copies go.
    func cluster(for mirror: Mirror, _ facts: RequestFacts, _ exchange: ExchangePlace) -> ClusterPlace? {
        guard mirror.cluster < 0 else { return cluster(at: mirror.cluster, exchange) }
        return cluster(at: clusterIndex(named: facts.view.value(of: mirror.header), exchange), exchange)
    }

    func cluster(at index: Int32, _ exchange: ExchangePlace) -> ClusterPlace? {
        guard index >= 0, Int(index) < clusters.count, let place = clusters[Int(index)] else { return nil }
        // A place may have passed to another name since the snapshot of an old listener was made.
        if let holder = exchange.pointee.snapshot, !holder.pointee.isCurrent {
            let named = holder.pointee.snapshot.clusters
            guard Int(index) < named.count, named[Int(index)]?.identity == place.pointee.identity else { return nil }
        }
        return place
    }

    /// Puts the part of the body that came with the head behind it. -1 when its framing is malformed.
    private func takeFirstBody(_ exchange: ExchangePlace, _ body: UnsafeMutableRawPointer, _ count: Int) -> Int {
        if exchange.pointee.extras != nil, let run = exchange.filterRun {
            return takeFilteredBody(exchange, run, body, count)
        }
        guard count > 0 else { return 0 }
        do throws(HTTPFault) {
            let step = try exchange.pointee.requestBody.take(body, count)
            exchange.pointee.bytesReceived &+= UInt64(step.consumed)
            guard appendBody(exchange, body, step) else { return -1 }
            return step.consumed
        } catch {
            exchange.pointee.responseFlags.insert(.downstreamProtocolError)
            metrics.violation(.badChunk)
            return -1
        }
    }
}
