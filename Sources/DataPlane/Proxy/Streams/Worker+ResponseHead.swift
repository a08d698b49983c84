import HTTP
import Reactor
import Traffic

/// Writes response heads for clients.
extension Worker {
    /// Writes the head that was just parsed as the client shall see it.
    func writeResponseHead(
        _ exchange: ExchangePlace,
        _ place: DownstreamPlace,
        _ base: UnsafeMutableRawPointer,
        _ writer: inout ByteWriter
    ) {
        writer.put("HTTP/1.1 ")
        writer.put(decimal: UInt64(responseHead.status))
        writer.put(byte: 0x20)
        if responseHead.reasonLength > 0 {
            writer.put(base + Int(responseHead.reasonStart), Int(responseHead.reasonLength))
        } else {
            writer.put(StatusText.reason(responseHead.status))
        }
        writer.endLine()
        let edits = responseEdits(exchange)
        let hasEdits = !edits.isEmpty
        let seen = copyResponseFields(base, place, edits, hasEdits, &writer)
        if let chain = place.pointee.chain {
            writeServer(chain, seen.contains(.server), &writer)
            writeHouseFields(exchange, chain, &writer)
            if chain.pointee.repeatsRequestID { writeRequestID(exchange, &writer) }
        }
        if exchange.pointee.extras != nil { writeNewCookies(exchange, place, &writer) }
        if !seen.contains(.date) { writeDate(&writer) }
        writeResponseFraming(exchange, place, &writer)
        if hasEdits {
            addFields(edits, sources(answer: responseView(base), exchange), exchange, place, &writer)
        }
        writer.endLine()
    }

    /// The changes that the route, or the cluster that was drawn, makes to answers.
    func responseEdits(_ exchange: ExchangePlace) -> ArenaArray<HeaderEdit> {
        if let weighted = exchange.pointee.weighted { return weighted.pointee.responseEdits }
        return exchange.pointee.route?.pointee.responseEdits ?? ArenaArray()
    }

    /// What the endpoint's part of the work took, and which try this was.
    private func writeHouseFields(_ exchange: ExchangePlace, _ chain: ChainPlace, _ writer: inout ByteWriter) {
        guard let route = exchange.pointee.route, !chain.pointee.suppressesEnvoyFields else { return }
        writer.put("x-envoy-upstream-service-time: ")
        let begin = exchange.pointee.requestEndedAt
        writer.put(decimal: begin > 0 && now > begin ? (now &- begin) / 1_000_000 : 0)
        writer.endLine()
        writeAttempts(exchange, route, &writer)
    }

    func writeAttempts(_ exchange: ExchangePlace, _ route: UnsafePointer<Route>, _ writer: inout ByteWriter) {
        guard case .forward(let forward) = route.pointee.action, forward.pointee.addsAttemptCountToResponse else {
            return
        }
        writer.put("x-envoy-attempt-count: ")
        writer.put(decimal: UInt64(exchange.pointee.attempts))
        writer.endLine()
    }

    func writeRequestID(_ exchange: ExchangePlace, _ writer: inout ByteWriter) {
        guard let extras = exchange.pointee.extras, !extras.pointee.requestID.isEmpty else { return }
        writer.put("x-request-id: ")
        extras.pointee.requestID.withUnsafeBytes { writer.put(ByteRun($0)) }
        writer.endLine()
    }

    private struct Seen: OptionSet {
        let rawValue: UInt8
        static let server = Seen(rawValue: 1)
        static let date = Seen(rawValue: 2)
    }

    func responseView(_ base: UnsafeMutableRawPointer) -> RequestView {
        RequestView(
            method: .empty,
            authority: .empty,
            path: .empty,
            base: UnsafeRawPointer(base),
            fields: UnsafePointer(responseFields.fields),
            fieldCount: responseFields.count
        )
    }

    private func copyResponseFields(
        _ memory: UnsafeMutableRawPointer,
        _ place: DownstreamPlace,
        _ edits: ArenaArray<HeaderEdit>,
        _ hasEdits: Bool,
        _ writer: inout ByteWriter
    ) -> Seen {
        let base = UnsafeRawPointer(memory)
        let nominates = responseHead.flags.contains(.nominatesFields)
        let overwritesServer = place.pointee.chain?.pointee.serverHeader == .overwrite
        var seen: Seen = []
        var run = FieldRun(base)
        for index in 0..<responseFields.count {
            let name = responseFields.names[index]
            let field = responseFields.fields[index]
            var passes = true
            switch name {
            case .other: break
            case .contentLength: passes = false
            case .server:
                if !overwritesServer { seen.insert(.server) }
                passes = !overwritesServer
            case .date: seen.insert(.date)
            case .envoy: passes = !isMadeHere(base, field, place)
            case .requestID: passes = !(place.pointee.chain?.pointee.repeatsRequestID ?? false)
            default: passes = !name.isHopByHop
            }
            if passes, nominates, !name.isProtected { passes = !isNominated(base, field, responseFields) }
            if passes, hasEdits {
                passes = !replaces(edits, base, field)
            }
            if passes { run.add(field, &writer) } else { run.flush(&writer) }
        }
        run.flush(&writer)
        return seen
    }

    /// Whether the proxy writes this field itself.
    private func isMadeHere(_ base: UnsafeRawPointer, _ field: Field, _ place: DownstreamPlace) -> Bool {
        guard let chain = place.pointee.chain, !chain.pointee.suppressesEnvoyFields else { return false }
        let name = ByteRun(start: base + Int(field.nameStart), count: Int(field.nameLength))
        return name.equalsIgnoringCase(Self.run("x-envoy-upstream-service-time"))
            || name.equalsIgnoringCase(Self.run("x-envoy-attempt-count"))
    }

    private func writeServer(_ chain: ChainPlace, _ isPresent: Bool, _ writer: inout ByteWriter) {
        if !chain.pointee.via.isEmpty {
            writer.put("via: ")
            writer.put(chain.pointee.via)
            writer.endLine()
        }
        guard chain.pointee.serverHeader != .passThrough, !isPresent, !chain.pointee.serverName.isEmpty else { return }
        writer.put("server: ")
        writer.put(chain.pointee.serverName)
        writer.endLine()
    }

    func writeDate(_ writer: inout ByteWriter) {
        writer.put("date: ")
        guard writer.capacity - writer.count >= HTTPDate.count else {
            writer.overflowed = true
            return
        }
        date.write(to: writer.base + writer.count)
        writer.count += HTTPDate.count
        writer.endLine()
    }

    private func writeResponseFraming(
        _ exchange: ExchangePlace,
        _ place: DownstreamPlace,
        _ writer: inout ByteWriter
    ) {
        if exchange.pointee.flags.contains(.responseIsChunked) {
            writer.put("transfer-encoding: chunked\r\n")
        } else if let length = responseHead.declaredLength, responseHead.status >= 200, responseHead.status != 204 {
            // Also for HEAD and 304, where it tells what a GET would have got.
            writer.put("content-length: ")
            writer.put(decimal: length)
            writer.endLine()
        }
        writeConnection(exchange, place, &writer)
    }

    func writeConnection(_ exchange: ExchangePlace, _ place: DownstreamPlace, _ writer: inout ByteWriter) {
        if place.pointee.flags.contains(.closesAfterResponse) || endsForDrain {
            place.pointee.flags.insert(.closesAfterResponse)
            writer.put("connection: close\r\n")
        } else if exchange.pointee.flags.contains(.isHTTP10) {
            writer.put("connection: keep-alive\r\n")
        }
    }
}
