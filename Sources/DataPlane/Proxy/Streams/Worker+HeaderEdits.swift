import Glibc
import HTTP
import Reactor
import TLS
import Traffic

/// The changes that routes make to the fields of requests and answers.
extension Worker {
    /// Whether an edit takes this field out (to put another in its place, or not).
    func replaces(_ edits: ArenaArray<HeaderEdit>, _ base: UnsafeRawPointer, _ field: Field) -> Bool {
        guard !edits.isEmpty else { return false }
        let name = ByteRun(start: base + Int(field.nameStart), count: Int(field.nameLength))
        for index in 0..<edits.count {
            switch edits[index].kind {
            case .append, .addIfAbsent: continue
            case .overwrite, .overwriteIfPresent, .remove:
                if edits[index].name.equalsIgnoringCase(name) { return true }
            }
        }
        return false
    }

    /// Where the values of an answer's changes come from.
    func sources(answer: RequestView, _ exchange: ExchangePlace) -> FieldSources {
        var sources = FieldSources(
            message: answer,
            request: RequestView(method: .empty, authority: .empty, path: .empty)
        )
        guard let route = exchange.pointee.route, route.pointee.remembersRequest else { return sources }
        if let kept = keptRequest(exchange) { sources.request = kept }
        return sources
    }

    /// Writes the fields that the edits add.
    func addFields(
        _ edits: ArenaArray<HeaderEdit>,
        _ sources: FieldSources,
        _ exchange: ExchangePlace,
        _ place: DownstreamPlace,
        _ writer: inout ByteWriter
    ) {
        for index in 0..<edits.count {
            let edit = edits[index]
            let isPresent = sources.message.value(of: edit.name) != nil
            switch edit.kind {
            case .remove: continue
            case .addIfAbsent: if isPresent { continue }
            case .overwriteIfPresent: if !isPresent { continue }
            case .append, .overwrite: break
            }
            let start = writer.count
            writer.put(edit.name)
            writer.put(": ")
            let valueStart = writer.count
            for part in 0..<edit.value.count { put(edit.value[part], sources, exchange, place, &writer) }
            if writer.count == valueStart, !edit.keepsEmptyValue {
                writer.count = start
                continue
            }
            writer.endLine()
        }
    }

    /// The value that an edit makes.
    func value(
        of edit: HeaderEdit,
        _ sources: FieldSources,
        _ exchange: ExchangePlace,
        _ place: DownstreamPlace
    ) -> [UInt8] {
        withUnsafeTemporaryAllocation(byteCount: 8192, alignment: 1) { room in
            guard let base = room.baseAddress else { return [] }
            var writer = ByteWriter(base, capacity: room.count)
            for part in 0..<edit.value.count { put(edit.value[part], sources, exchange, place, &writer) }
            return writer.overflowed ? [] : [UInt8](room[0..<writer.count])
        }
    }

    private func put(
        _ part: ValuePart,
        _ sources: FieldSources,
        _ exchange: ExchangePlace,
        _ place: DownstreamPlace,
        _ writer: inout ByteWriter
    ) {
        switch part.kind {
        case .literal: writer.put(part.bytes)
        case .downstreamRemoteAddress: putWithPort(client(place, sources.request), &writer)
        case .downstreamRemoteAddressWithoutPort: put(client(place, sources.request), &writer)
        case .directRemoteAddress: putWithPort(place.pointee.peer, &writer)
        case .directRemoteAddressWithoutPort: put(place.pointee.peer, &writer)
        case .downstreamLocalAddress:
            put(place.pointee.destination, &writer)
            writer.put(byte: 0x3A)
            writer.put(decimal: UInt64(place.pointee.destination.port))
        case .downstreamLocalPort: writer.put(decimal: UInt64(place.pointee.destination.port))
        case .downstreamLocalAddressWithoutPort: put(place.pointee.destination, &writer)
        case .upstreamHost, .upstreamHostWithoutPort:
            guard exchange.pointee.upstreamAddress.family != 0 else { return }
            put(exchange.pointee.upstreamAddress, &writer)
            guard part.kind == .upstreamHost else { return }
            writer.put(byte: 0x3A)
            writer.put(decimal: UInt64(exchange.pointee.upstreamAddress.port))
        case .upstreamCluster: if let cluster = exchange.pointee.cluster { writer.put(cluster.pointee.name) }
        case .routeName: if let route = exchange.pointee.route { writer.put(route.pointee.name) }
        case .protocolName: writer.put(exchange.pointee.flags.contains(.isHTTP10) ? "HTTP/1.0" : "HTTP/1.1")
        case .responseCode: writer.put(decimal: UInt64(exchange.pointee.status))
        case .responseFlags: writer.put(string: exchange.pointee.responseFlags.text)
        case .connectionID: writer.put(decimal: place.pointee.id)
        case .attempts: writer.put(decimal: UInt64(max(1, exchange.pointee.attempts)))
        case .serverName: if let name = place.pointee.tls?.serverName { writer.put(string: name) }
        case .startTime:
            let time = exchange.pointee.startedAt &+ wallOffset
            writer.put(
                string: CalendarTime.text(nanoseconds: time, pattern: part.bytes.isEmpty ? nil : part.bytes.text)
            )
        case .hostname: writer.put(string: Self.hostname)
        case .requestHeader: putField(part, sources.request, &writer)
        case .formatted, .formattedWithRequest:
            guard let object = part.bytes.start else { return }
            let format = Unmanaged<FormattedValue>.fromOpaque(object)._withUnsafeGuaranteedRef { $0.format }
            let text = formatText(
                format,
                exchange,
                place,
                request: sources.request.method.isEmpty ? nil : sources.request,
                response: sources.message
            )
            text.withUnsafeBytes { raw in if let start = raw.baseAddress { writer.put(start, raw.count) } }
        case .responseHeader: putField(part, sources.message, &writer)
        }
    }

    private func putWithPort(_ address: SocketAddress, _ writer: inout ByteWriter) {
        put(address, &writer)
        writer.put(byte: 0x3A)
        writer.put(decimal: UInt64(address.port))
    }

    /// Who the client is, as far as the chain trusts what stands in X-Forwarded-For; else the peer of the connection.
    func client(_ place: DownstreamPlace, _ request: RequestView) -> SocketAddress {
        guard let chain = place.pointee.chain else { return place.pointee.peer }
        if chain.pointee.findsClient, let rule = chain.pointee.configuration.settings.clientAddress {
            return rule.client(request, peer: place.pointee.peer)?.address ?? place.pointee.peer
        }
        let hops = Int(chain.pointee.trustedHops)
        guard !chain.pointee.usesRemoteAddress || hops > 0 else { return place.pointee.peer }
        // From the right: with a trusted peer the last entry is the one that it made.
        var skipped = chain.pointee.usesRemoteAddress ? hops - 1 : hops
        var values: [ByteRun] = []
        var position = 0
        while let value = request.nextValue(of: Self.run("x-forwarded-for"), from: &position) { values.append(value) }
        for value in values.reversed() {
            var rest = value
            while !rest.isEmpty {
                let comma = rest.lastIndex(of: 0x2C)
                let entry = rest.dropping(comma.map { $0 + 1 } ?? 0).trimmed
                if skipped == 0 {
                    return Address(literal: entry.text, port: 0)?.socketAddress ?? place.pointee.peer
                }
                skipped -= 1
                rest = rest.first(comma ?? 0)
            }
        }
        return place.pointee.peer
    }

    private func putField(_ part: ValuePart, _ view: RequestView, _ writer: inout ByteWriter) {
        guard let value = field(part.bytes, view) ?? field(part.alternative, view) else { return }
        writer.put(value.first(part.limit))
    }

    private func field(_ name: ByteRun, _ view: RequestView) -> ByteRun? {
        guard name[0] == 0x3A else { return name.isEmpty ? nil : view.value(of: name) }
        if name.equals(Self.run(":method")) { return view.method }
        if name.equals(Self.run(":authority")) { return view.authority }
        if name.equals(Self.run(":scheme")) { return view.isHTTPS ? Self.run("https") : Self.run("http") }
        return name.equals(Self.run(":path")) ? view.pathAndQuery : nil
    }

    /// The machine's name, asked for once.
    static let hostname: String = {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, 255) == 0 else { return "" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }()
}

/// The messages that values of fields are taken from: the one that is changed, and the request that it answers or is.
struct FieldSources {
    var message: RequestView
    var request: RequestView
}
