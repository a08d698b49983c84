import Bytes
import HTTP
import Reactor
import Traffic

/// Telling taps of requests. While there are none nothing of this is reached: a chain that is tapped keeps heads as one with logs
/// does, and only there is it looked whether somebody wants to know.
extension Worker {
    enum TapMoment { case request, response, end }

    /// The taps from now on. Requests in work whose heads were not kept are not told of.
    func setTaps(_ wanted: [Tap]) {
        taps = wanted
        for chain in chains.values { mark(chain) }
    }

    func mark(_ chain: ChainPlace) {
        let points = chain.pointee.configuration.settings.taps
        let isTapped = taps.contains { $0.covers(points) }
        chain.pointee.isTapped = isTapped
        chain.pointee.logs = chain.pointee.logsUntapped || isTapped
        chain.pointee.logsResponseHeaders = chain.pointee.logsResponseHeadersUntapped || isTapped
    }

    /// A request of a tapped chain goes to an endpoint.
    func beginTap(_ exchange: ExchangePlace) {
        guard !exchange.pointee.flags.contains(.isShadow) else { return }
        let extras = extras(exchange)
        if extras.pointee.tap == nil { extras.pointee.tap = TapState(number: random.next()) }
    }

    /// Something is known of a request: those who want to hear of it are told.
    func tell(_ exchange: ExchangePlace, _ moment: TapMoment) {
        let place = downstreams.pointer(exchange.pointee.downstream)
        guard !taps.isEmpty, let chain = place.pointee.chain, !exchange.pointee.record.isEmpty,
            !exchange.pointee.flags.contains(.isShadow)
        else { return }
        var state = exchange.pointee.extras?.pointee.tap ?? TapState(number: random.next())
        var entry = makeEntry(exchange, place, status: exchange.pointee.status)
        readBack(exchange, &entry)
        entry.numbers.remote = client(place, entry.request)
        finish(&entry, place)
        let labels =
            exchange.pointee.flags.contains(.countedRequest)
            ? metrics.labels(of: exchange.pointee.edge)
            : (caller: place.pointee.callerLabels, callee: exchange.pointee.cluster?.pointee.labels ?? 0)
        let points = chain.pointee.configuration.settings.taps
        for tap in taps where tap.covers(points) && state.refused & tap.bit == 0 {
            if state.admitted & tap.bit == 0 {
                switch verdict(tap, entry, labels, moment, chain) {
                case .unknown: continue
                case .no:
                    state.refused |= tap.bit
                    continue
                case .yes: state.admitted |= tap.bit
                }
            }
            let parts = parts(tap, moment, &state)
            if parts.isEmpty { continue }
            let piece = piece(exchange, entry, state.number, parts, labels)
            if tap.push(piece) { control.post(.tapped(tap.number)) }
        }
        exchange.pointee.extras?.pointee.tap = state
    }

    private func verdict(
        _ tap: Tap,
        _ entry: AccessLogEntry,
        _ labels: (caller: Int32, callee: Int32),
        _ moment: TapMoment,
        _ chain: ChainPlace
    ) -> TapVerdict {
        let scope = tap.wish.scope
        guard tap.isWanted(caller: labels.caller, callee: labels.callee) else { return .no }
        if !scope.fromAddresses.isEmpty, !scope.fromAddresses.contains(IPKey(entry.numbers.remote)) { return .no }
        if !scope.toAddresses.isEmpty, !scope.toAddresses.contains(IPKey(entry.numbers.upstream)) { return .no }
        let verdict = withSubject(entry, moment) { tap.wish.predicate.verdict($0) }
        guard verdict == .yes else { return verdict }
        let point = chain.pointee.configuration.settings.taps.first { $0.id == tap.wish.configID }
        guard tap.wish.share >= 1_000_000 || UInt32(random.next() % 1_000_000) < tap.wish.share else {
            if let point { countFilter(point.sampledOut) }
            return .no
        }
        guard tap.admits(now: now) else { return .no }
        if let point { countFilter(point.tapped) }
        return .yes
    }

    private func withSubject<Result>(
        _ entry: AccessLogEntry,
        _ moment: TapMoment,
        _ body: (TapSubject) -> Result
    ) -> Result {
        var request = entry.request
        request.isHTTPS = entry.isTLS
        var subject = TapSubject(request: request, isOver: moment == .end)
        guard moment != .request else { return body(subject) }
        let digits = Array(String(entry.numbers.status).utf8)
        return digits.withUnsafeBytes { raw in
            var response = entry.response
            response.method = ByteRun(raw)
            if entry.numbers.status > 0 { subject.response = response }
            guard moment == .end, let base = entry.trailers.start, !entry.trailers.isEmpty else { return body(subject) }
            // Raw lines, one after another: their places are found as those of a head.
            var places = Self.places(ofLines: entry.trailers)
            return places.withUnsafeMutableBufferPointer { fields in
                subject.trailers = RequestView(
                    method: .empty,
                    authority: .empty,
                    path: .empty,
                    base: base,
                    fields: fields.baseAddress.map { UnsafePointer($0) },
                    fieldCount: fields.count
                )
                return body(subject)
            }
        }
    }

    /// The fields in lines `name: value`.
    static func places(ofLines lines: ByteRun) -> [Field] {
        var places: [Field] = []
        var start = 0
        while start < lines.count, places.count < FieldTable.capacity {
            let rest = lines.dropping(start)
            let length = rest.firstIndex(of: 0x0A) ?? rest.count
            let line = rest.first(length)
            if let colon = line.firstIndex(of: 0x3A) {
                var (from, to) = (colon + 1, length)
                while from < to, line[from] == 0x20 || line[from] == 0x09 { from += 1 }
                while to > from, line[to - 1] == 0x0D || line[to - 1] == 0x20 || line[to - 1] == 0x09 { to -= 1 }
                places.append(
                    Field(
                        nameStart: UInt32(start),
                        nameLength: UInt32(colon),
                        valueStart: UInt32(start + from),
                        valueLength: UInt32(to - from)
                    )
                )
            }
            start += length + 1
        }
        return places
    }

    /// What is told now, and has not been told.
    private func parts(_ tap: Tap, _ moment: TapMoment, _ state: inout TapState) -> TapPiece.Parts {
        guard tap.wish.isStreaming else { return moment == .end ? [.request, .response, .end] : [] }
        var parts: TapPiece.Parts = []
        if state.toldRequest & tap.bit == 0 {
            state.toldRequest |= tap.bit
            parts.insert(.request)
        }
        if moment != .request, state.toldResponse & tap.bit == 0 {
            state.toldResponse |= tap.bit
            parts.insert(.response)
        }
        if moment == .end { parts.insert(.end) }
        return parts
    }

    private func piece(
        _ exchange: ExchangePlace,
        _ entry: AccessLogEntry,
        _ number: UInt64,
        _ parts: TapPiece.Parts,
        _ labels: (caller: Int32, callee: Int32)
    ) -> TapPiece {
        var piece = TapPiece(
            number: number,
            parts: parts,
            numbers: entry.numbers,
            caller: labels.caller,
            callee: labels.callee
        )
        piece.isTLS = downstreams.pointer(exchange.pointee.downstream).pointee.tls != nil
        piece.isHTTPS = entry.isTLS
        piece.method = exchange.pointee.method == .head ? 1 : 0
        if parts.contains(.request) { piece.request = Self.bytes(exchange.pointee.record) }
        if parts.contains(.response) {
            let count = exchange.pointee.responseRecord.count - entry.trailers.count
            piece.response = Array(Self.bytes(exchange.pointee.responseRecord).prefix(max(0, count)))
        }
        if parts.contains(.end) { piece.trailers = Array(entry.trailers.buffer) }
        piece.cluster = Array(entry.cluster.buffer)
        piece.route = Array(entry.routeName.buffer)
        piece.details = Array(entry.details.buffer)
        piece.upstreamName = entry.made[.upstreamName] ?? []
        return piece
    }

    private static func bytes(_ buffer: Buffer) -> [UInt8] {
        guard let bytes = buffer.bytes else { return [] }
        return Array(UnsafeRawBufferPointer(start: bytes, count: buffer.count))
    }
}
