import Bytes
import HTTP
import Reactor
import Traffic

/// Hands finished exchanges to the access log.
extension Worker {
    func log(_ exchange: ExchangePlace) {
        let place = downstreams.pointer(exchange.pointee.downstream)
        guard let ring, let snapshot = exchange.pointee.snapshot?.pointee.snapshot else { return }
        let listener = Int(place.pointee.listener)
        let listenerLogs =
            listener < listeners.count ? listeners[listener]?.configuration.settings.accessLogs ?? [] : []
        let own: [AccessLogIndex]
        if exchange.pointee.flags.contains(.isTunnelOnly) {
            own = exchange.pointee.tcp?.takeUnretainedValue().accessLogs ?? []
        } else {
            own = place.pointee.chain?.pointee.configuration.settings.accessLogs ?? []
        }
        guard !own.isEmpty || !listenerLogs.isEmpty else { return }
        var entry = AccessLogEntry()
        entry.numbers = numbers(exchange, place)
        readBack(exchange, &entry)
        if let route = exchange.pointee.route { entry.routeName = route.pointee.name }
        if let cluster = exchange.pointee.cluster { entry.cluster = cluster.pointee.name }
        let failure = exchange.pointee.failure.text
        if exchange.pointee.failure != .none { entry.failure = Self.run(failure) }
        let isLocal = exchange.pointee.respondedAt == 0 && !exchange.pointee.responseFlags.isEmpty
        entry.details = isLocal ? Self.run(Self.code(exchange.pointee.responseFlags)) : Self.run("via_upstream")
        for index in own + listenerLogs where snapshot.accessLogs.indices.contains(Int(index)) {
            ring.append(entry, to: index, format: snapshot.accessLogs[Int(index)].format)
        }
    }

    private func numbers(_ exchange: ExchangePlace, _ place: DownstreamPlace) -> AccessLogNumbers {
        func span(_ end: UInt64) -> UInt64 { end > exchange.pointee.startedAt ? end &- exchange.pointee.startedAt : 0 }
        var numbers = AccessLogNumbers()
        numbers.startTime = exchange.pointee.startedAt &+ wallOffset
        numbers.requestTime = span(exchange.pointee.requestEndedAt)
        numbers.responseTime = span(exchange.pointee.respondedAt)
        numbers.duration = span(now)
        numbers.bytesReceived = exchange.pointee.bytesReceived
        numbers.bytesSent = exchange.pointee.bytesSent
        numbers.connectionID = place.pointee.id
        numbers.flags = exchange.pointee.responseFlags
        numbers.status = exchange.pointee.status
        numbers.attempts = exchange.pointee.attempts
        let isHTTP = !exchange.pointee.flags.contains(.isTunnelOnly)
        numbers.version =
            isHTTP ? (place.pointee.isStream ? 20 : exchange.pointee.flags.contains(.isHTTP10) ? 10 : 11) : 0
        numbers.remote = place.pointee.peer
        numbers.directRemote = place.pointee.peer
        numbers.local = place.pointee.destination
        if exchange.pointee.attempts > 0 { numbers.upstream = exchange.pointee.upstreamAddress }
        return numbers
    }

    /// Reads the kept heads again: only where a log wants them.
    func readBack(_ exchange: ExchangePlace, _ entry: inout AccessLogEntry) {
        if let bytes = exchange.pointee.record.bytes {
            var head = RequestHead()
            var limits = HeadLimits()
            limits.fields = FieldTable.capacity
            limits.rejectsUnderscores = false
            let count = exchange.pointee.record.count
            if head.parse(bytes, count: count, limits: limits, fields: &logFields) == .complete {
                entry.request = RequestView(
                    method: ByteRun(start: bytes + Int(head.methodStart), count: Int(head.methodLength)),
                    authority: ByteRun(start: bytes + Int(head.authorityStart), count: Int(head.authorityLength)),
                    path: ByteRun(start: bytes + Int(head.pathStart), count: Int(head.pathLength)),
                    base: UnsafeRawPointer(bytes),
                    fields: UnsafePointer(logFields.fields),
                    fieldCount: logFields.count
                )
            }
        }
        guard let bytes = exchange.pointee.responseRecord.bytes else { return }
        var head = ResponseHead()
        let outcome = head.parse(
            bytes,
            count: exchange.pointee.responseRecord.count,
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
    }
}
