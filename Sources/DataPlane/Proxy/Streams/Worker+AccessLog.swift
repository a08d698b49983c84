import Bytes
import HTTP
import Reactor
import TLS
import Traffic

/// Hands finished exchanges to the access log, and formats texts of requests in work.
extension Worker {
    /// Logs a request or a relay; with the listener's logs the end of a relay is the end of its connection.
    func log(_ exchange: ExchangePlace, _ kind: AccessLogKind) {
        let place = downstreams.pointer(exchange.pointee.downstream)
        // Most connections have no log at all, and nothing is retained to find that out.
        if !logsListeners, let chain = place.pointee.chain, !chain.pointee.logs,
            !exchange.pointee.flags.contains(.isTunnelOnly)
        {
            return
        }
        if kind == .downstreamEnd, place.pointee.chain?.pointee.isTapped ?? false { tell(exchange, .end) }
        guard let snapshot = exchange.pointee.snapshot?.pointee.snapshot else { return }
        let own: [AccessLogIndex]
        if exchange.pointee.flags.contains(.isTunnelOnly) {
            own = exchange.pointee.tcp?.takeUnretainedValue().accessLogs ?? []
        } else {
            own = place.pointee.chain?.pointee.configuration.settings.accessLogs ?? []
        }
        let others = kind == .tcpConnectionEnd ? listenerLogs(place) : []
        if kind == .downstreamEnd, !listenerLogs(place).isEmpty { noteForConnection(exchange, place) }
        guard !own.isEmpty || !others.isEmpty else { return }
        var entry = makeEntry(exchange, place, status: exchange.pointee.status)
        readBack(exchange, &entry)
        entry.numbers.remote = client(place, entry.request)
        if exchange.pointee.extras != nil { entry.isHealthCheck = exchange.filterRun?.pointee.isHealthCheck ?? false }
        finish(&entry, place)
        entry.numbers.kind = kind
        append(&entry, to: own, snapshot, place)
        entry.numbers.kind = .notSet
        append(&entry, to: others, snapshot, place)
    }

    func append(
        _ entry: inout AccessLogEntry,
        to logs: [AccessLogIndex],
        _ snapshot: Snapshot,
        _ place: DownstreamPlace
    ) {
        guard let ring else { return }
        for index in logs where snapshot.accessLogs.indices.contains(Int(index)) {
            let log = snapshot.accessLogs[Int(index)]
            if let filter = log.filter, !filter.admits(entry, random: { random.next() }) { continue }
            makeTexts(log.format.texts, place, &entry)
            ring.append(entry, to: index, format: log.format)
        }
    }

    /// The text that a format makes of a request in work: for header values and for bodies of the proxy's own answers.
    ///
    /// `request` is the request's head, nil for the one that was kept; `response` are the answer's fields, where there are
    /// some; `localReply` is the body that would be sent without the format.
    func formatText(
        _ format: AccessLogFormat,
        _ exchange: ExchangePlace,
        _ place: DownstreamPlace,
        request: RequestView? = nil,
        response: RequestView? = nil,
        localReply: ByteRun = .empty
    ) -> [UInt8] {
        var entry = makeEntry(exchange, place, status: exchange.pointee.status)
        if let view = request ?? keptRequest(exchange) { entry.request = view }
        entry.numbers.remote = client(place, entry.request)
        if let response { entry.response = response }
        entry.localReply = localReply
        finish(&entry, place)
        makeTexts(format.texts, place, &entry)
        var text: [UInt8] = []
        AccessLogFormatter(hostname: Self.hostname).writeText(
            AccessLogRecord(entry, format: format),
            format: format,
            escapes: false,
            into: &text
        )
        return text
    }

    // MARK: What is kept while the request is in work

    /// From here on the log shows the request as it goes to the endpoint, as Envoy does.
    func recordForwarded(_ exchange: ExchangePlace) {
        guard let bytes = exchange.pointee.request.bytes else { return }
        buffers.give(&exchange.pointee.record)
        _ = buffers.append(&exchange.pointee.record, bytes, exchange.pointee.request.count)
    }

    func keepForLog(
        _ exchange: ExchangePlace,
        _ upstream: UpstreamPlace,
        _ chain: ChainPlace,
        _ bytes: UnsafeRawPointer,
        _ count: Int
    ) {
        if chain.pointee.logsResponseHeaders { _ = buffers.append(&exchange.pointee.responseRecord, bytes, count) }
        if chain.pointee.logsUpstreamSocket, upstream.pointee.fd >= 0 {
            exchange.pointee.upstreamLocal = Socket.localAddress(upstream.pointee.fd) ?? SocketAddress()
        }
    }

    /// Trailers stand behind the response's head, as raw lines.
    func keepTrailersForLog(_ exchange: ExchangePlace, _ bytes: UnsafeRawPointer, _ count: Int) {
        guard !exchange.pointee.responseRecord.isEmpty else { return }
        _ = buffers.append(&exchange.pointee.responseRecord, bytes, count)
    }

    // MARK: Entries

    func makeEntry(_ exchange: ExchangePlace, _ place: DownstreamPlace, status: UInt16) -> AccessLogEntry {
        var entry = AccessLogEntry()
        entry.numbers = numbers(exchange, place)
        entry.numbers.status = status
        entry.isTLS = place.pointee.chain?.pointee.isHTTPS ?? (place.pointee.tls != nil)
        if let route = exchange.pointee.route { entry.routeName = route.pointee.name }
        if let cluster = exchange.pointee.cluster {
            entry.cluster = cluster.pointee.name
            let slot = Int(exchange.pointee.endpoint)
            if exchange.pointee.attempts > 0, cluster.pointee.targets.indices.contains(slot) {
                let target = cluster.pointee.targets[slot]
                if let pipe = target.pipe { entry.made[.upstreamName] = Array(pipe.utf8) }
                if !target.hostname.isEmpty { entry.made[.upstreamHostname] = target.hostname }
            }
        }
        let failure = exchange.pointee.failure.text
        if exchange.pointee.failure != .none { entry.failure = Self.run(failure) }
        let isLocal = exchange.pointee.respondedAt == 0
        entry.details =
            isLocal
            ? Self.run(Self.details(exchange))
            : exchange.pointee.flags.contains(.isTunnelOnly)
                ? .empty : Self.run("via_upstream")
        if isLocal, exchange.pointee.extras != nil {
            let details = filterDetails(exchange)
            if !details.isEmpty { entry.details = details }
        }
        if let trace = exchange.pointee.extras?.pointee.trace {
            let (high, low) = (Self.hexadecimal(trace.context.high), Self.hexadecimal(trace.context.low))
            entry.made[.traceID] = high + low
            entry.made[.spanID] = Self.hexadecimal(trace.context.span)
        }
        return entry
    }

    private func numbers(_ exchange: ExchangePlace, _ place: DownstreamPlace) -> AccessLogNumbers {
        func span(_ end: UInt64) -> UInt64 { end > exchange.pointee.startedAt ? end &- exchange.pointee.startedAt : 0 }
        var numbers = AccessLogNumbers()
        numbers.startTime = exchange.pointee.startedAt &+ wallOffset
        numbers.requestTime = span(exchange.pointee.requestEndedAt)
        numbers.tryTime = span(exchange.pointee.triedAt)
        numbers.responseTime = span(exchange.pointee.respondedAt)
        numbers.duration = span(now)
        numbers.wireReceived = exchange.pointee.bytesReceived
        numbers.wireSent = exchange.pointee.bytesSent
        let isHTTP = !exchange.pointee.flags.contains(.isTunnelOnly)
        let countsBodies = isHTTP && exchange.pointee.state != .tunnel
        numbers.bytesReceived = countsBodies ? exchange.pointee.requestBody.carried : exchange.pointee.bytesReceived
        numbers.bytesSent = countsBodies ? exchange.pointee.responseBody.carried : exchange.pointee.bytesSent
        numbers.connectionID = place.pointee.id
        numbers.flags = exchange.pointee.responseFlags
        numbers.attempts = exchange.pointee.attempts
        numbers.version = isHTTP ? downstreamVersion(exchange, place) : 0
        numbers.upstreamVersion = isHTTP && exchange.pointee.attempts > 0 ? upstreamVersion(exchange) : 0
        numbers.remote = place.pointee.peer
        numbers.directRemote = notes(of: place)?.directPeer ?? place.pointee.peer
        numbers.local = place.pointee.destination
        if exchange.pointee.attempts > 0 { numbers.upstream = exchange.pointee.upstreamAddress }
        numbers.upstreamLocal = exchange.pointee.upstreamLocal
        return numbers
    }

    private func downstreamVersion(_ exchange: ExchangePlace, _ place: DownstreamPlace) -> UInt8 {
        place.pointee.isStream ? 20 : exchange.pointee.flags.contains(.isHTTP10) ? 10 : 11
    }

    private func upstreamVersion(_ exchange: ExchangePlace) -> UInt8 {
        guard let cluster = exchange.pointee.cluster, speaksHTTP2(exchange, cluster) else { return 11 }
        let slot = Int(exchange.pointee.endpoint)
        let isOld = cluster.pointee.speaks == .automatic && slot >= 0 && slot < cluster.pointee.poolCount
        return isOld && cluster.pointee.pools[slot].speaksHTTP1 ? 11 : 20
    }

    private static func hexadecimal(_ number: UInt64) -> [UInt8] {
        let digits = String(number, radix: 16)
        return Array((String(repeating: "0", count: 16 - digits.utf8.count) + digits).utf8)
    }

    /// What follows from the heads: sizes, the status of gRPC, and who the client is.
    func finish(_ entry: inout AccessLogEntry, _ place: DownstreamPlace) {
        guard entry.numbers.version != 0 else { return }
        entry.numbers.requestHeaders = entry.request.size
        entry.numbers.responseHeaders = entry.response.size
        entry.numbers.responseTrailers = UInt32(clamping: entry.trailers.count)
        if let type = entry.request.value(of: Self.run("content-type")), Self.isGRPC(type) {
            let name = Self.run("grpc-status")
            let status = entry.trailer(name) ?? entry.response.value(of: name)
            entry.numbers.grpcStatus = status.flatMap { Int32($0.text) } ?? Self.grpcStatus(http: entry.numbers.status)
        }
        guard let chain = place.pointee.chain, !chain.pointee.findsClient,
            !chain.pointee.usesRemoteAddress || chain.pointee.trustedHops > 0
        else { return }
        // Whoever is trusted to append to the header says who its client is: the last address, or the one before the
        // trusted hops.
        guard let value = entry.request.value(of: Self.run("x-forwarded-for")) else { return }
        let addresses = value.text.split(separator: ",").map { $0.filter { $0 != " " } }
        let hops = Int(chain.pointee.trustedHops) + (chain.pointee.usesRemoteAddress ? 1 : 0)
        let place = addresses.count - 1 - hops
        guard addresses.indices.contains(place), let client = SocketAddress(addresses[place], port: 0) else { return }
        entry.numbers.remote = client
    }

    static func isGRPC(_ type: ByteRun) -> Bool {
        let name = run("application/grpc")
        guard type.first(name.count).equalsIgnoringCase(name) else { return false }
        let next = type[name.count]
        return next == nil || next == 0x2B || next == 0x3B
    }

    /// gRPC's mapping for answers without a status of gRPC.
    private static func grpcStatus(http status: UInt16) -> Int32 {
        switch status {
        case 400: 13
        case 401: 16
        case 403: 7
        case 404: 12
        case 429, 502, 503, 504: 14
        default: 2
        }
    }

    /// Texts that cost something to make: only where a format wants them.
    private func makeTexts(_ wanted: [LogText], _ place: DownstreamPlace, _ entry: inout AccessLogEntry) {
        for text in wanted where text.rawValue >= LogText.serverName.rawValue && entry.made[text] == nil {
            entry.made[text] = Array(tlsText(text, place).utf8)
        }
    }

    private func tlsText(_ text: LogText, _ place: DownstreamPlace) -> String {
        if text == .serverName { return requestedServerName(place) ?? "" }
        guard let tls = place.pointee.tls else { return "" }
        func names(_ facts: PeerIdentity?, _ kind: PeerIdentity.Name.Kind) -> String {
            (facts?.names ?? []).filter { $0.kind == kind }.map(\.text).joined(separator: ",")
        }
        switch text {
        case .tlsVersion: return tls.version
        case .tlsCipher: return tls.cipher
        case .tlsGroup: return tls.group
        case .tlsSessionID: return tls.sessionID
        case .peerSubject: return tls.peer?.subject ?? ""
        case .peerIssuer: return tls.peerCertificate?.issuer ?? ""
        case .peerSerial: return tls.peerCertificate?.serial ?? ""
        case .peerURIs: return names(tls.peer, .uri)
        case .peerDNSNames: return names(tls.peer, .dns)
        case .peerAddresses: return names(tls.peer, .ip)
        case .peerEmails: return names(tls.peer, .email)
        case .peerDigest: return tls.peerDigest ?? ""
        case .peerShortDigest: return tls.peerShortDigest ?? ""
        case .peerCertificate: return Self.escaped(tls.peerText(chain: false))
        case .peerNotBefore: return tls.peerCertificate.map { CertificatePage.date($0.notBefore) } ?? ""
        case .peerNotAfter: return tls.peerCertificate.map { CertificatePage.date($0.notAfter) } ?? ""
        case .ownSubject: return tls.ownCertificate?.identity.subject ?? ""
        case .ownURIs: return names(tls.ownCertificate?.identity, .uri)
        case .ownDNSNames: return names(tls.ownCertificate?.identity, .dns)
        case .ownAddresses: return names(tls.ownCertificate?.identity, .ip)
        case .ownEmails: return names(tls.ownCertificate?.identity, .email)
        default: return ""
        }
    }

    /// Escaped as in a URL, as Envoy writes certificates.
    private static func escaped(_ bytes: [UInt8]) -> String {
        let hex = Array("0123456789ABCDEF".utf8)
        var text: [UInt8] = []
        for byte in bytes {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: text.append(byte)
            default: text += [0x25, hex[Int(byte >> 4)], hex[Int(byte & 15)]]
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    // MARK: Kept heads

    /// The kept head of the request, read again into the table for logs; nil when none was kept.
    func keptRequest(_ exchange: ExchangePlace) -> RequestView? {
        guard let bytes = exchange.pointee.record.bytes else { return nil }
        var head = RequestHead()
        var limits = HeadLimits()
        limits.fields = FieldTable.capacity
        limits.rejectsUnderscores = false
        let count = exchange.pointee.record.count
        guard head.parse(bytes, count: count, limits: limits, fields: &logFields) == .complete else { return nil }
        return RequestView(
            method: ByteRun(start: bytes + Int(head.methodStart), count: Int(head.methodLength)),
            authority: ByteRun(start: bytes + Int(head.authorityStart), count: Int(head.authorityLength)),
            path: ByteRun(start: bytes + Int(head.pathStart), count: Int(head.pathLength)),
            base: UnsafeRawPointer(bytes),
            fields: UnsafePointer(logFields.fields),
            fieldCount: logFields.count
        )
    }

    /// Reads the kept heads again: only where a log wants them.
    func readBack(_ exchange: ExchangePlace, _ entry: inout AccessLogEntry) {
        if let view = keptRequest(exchange) { entry.request = view }
        guard let bytes = exchange.pointee.responseRecord.bytes else { return }
        var head = ResponseHead()
        let count = exchange.pointee.responseRecord.count
        let outcome = head.parse(
            bytes,
            count: count,
            limits: .responses,
            request: exchange.pointee.method,
            fields: &logResponseFields
        )
        guard outcome == .complete else { return }
        entry.response = RequestView(
            method: .empty,
            authority: .empty,
            path: .empty,
            base: UnsafeRawPointer(bytes),
            fields: UnsafePointer(logResponseFields.fields),
            fieldCount: logResponseFields.count
        )
        entry.trailers = ByteRun(start: bytes + head.length, count: count - head.length)
    }

    /// Why the proxy answered itself, under Envoy's names.
    static func details(_ exchange: ExchangePlace) -> StaticString {
        let flags = exchange.pointee.responseFlags
        if flags.contains(.downstreamTermination) { return "downstream_remote_disconnect" }
        if flags.contains(.noHealthyUpstream) { return "no_healthy_upstream" }
        if flags.contains(.upstreamConnectionFailure) {
            return "upstream_reset_before_response_started{connection_failure}"
        }
        if flags.contains(.upstreamConnectionTermination) {
            return "upstream_reset_before_response_started{connection_termination}"
        }
        if flags.contains(.upstreamRemoteReset) { return "upstream_reset_before_response_started{remote_reset}" }
        if flags.contains(.upstreamProtocolError) { return "upstream_reset_before_response_started{protocol_error}" }
        if flags.contains(.upstreamOverflow) { return "upstream_reset_before_response_started{overflow}" }
        if flags.contains(.upstreamTimeout) { return "upstream_response_timeout" }
        if flags.contains(.upstreamMaxStreamDuration) { return "upstream_max_stream_duration_reached" }
        if flags.contains(.durationTimeout) { return "max_duration_timeout" }
        if flags.contains(.noCluster) { return "cluster_not_found" }
        if flags.contains(.noRoute) { return "route_not_found" }
        if flags.contains(.streamIdleTimeout) { return "stream_idle_timeout" }
        if flags.contains(.downstreamProtocolError) { return "http1.codec_error" }
        if flags.contains(.overloadManager) { return "overload" }
        if flags.contains(.upstreamRetryLimit) { return "upstream_retry_limit_exceeded" }
        if exchange.pointee.flags.contains(.isTunnelOnly) { return "" }
        return "direct_response"
    }
}

extension RequestView {
    /// Bytes of names and values, as Envoy counts them: pseudo headers too.
    fileprivate var size: UInt32 {
        var size = 0
        for index in 0..<(fields == nil ? 0 : fieldCount) {
            guard let field = fields?[index] else { continue }
            size += Int(field.nameLength) + Int(field.valueLength)
        }
        if !method.isEmpty { size += 7 + method.count + 5 + path.count + 7 + 4 + 6 }
        return UInt32(clamping: size)
    }
}
