import Glibc
import HTTP
import Reactor
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

    /// Writes the fields that the edits add. `view` holds the message's own fields.
    func addFields(
        _ edits: ArenaArray<HeaderEdit>,
        _ view: RequestView,
        _ exchange: ExchangePlace,
        _ place: DownstreamPlace,
        _ writer: inout ByteWriter
    ) {
        for index in 0..<edits.count {
            let edit = edits[index]
            let isPresent = view.value(of: edit.name) != nil
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
            for part in 0..<edit.value.count { put(edit.value[part], view, exchange, place, &writer) }
            if writer.count == valueStart, !edit.keepsEmptyValue {
                writer.count = start
                continue
            }
            writer.endLine()
        }
    }

    private func put(
        _ part: ValuePart,
        _ view: RequestView,
        _ exchange: ExchangePlace,
        _ place: DownstreamPlace,
        _ writer: inout ByteWriter
    ) {
        switch part.kind {
        case .literal: writer.put(part.bytes)
        case .downstreamRemoteAddress:
            put(place.pointee.peer, &writer)
            writer.put(byte: 0x3A)
            writer.put(decimal: UInt64(place.pointee.peer.port))
        case .downstreamRemoteAddressWithoutPort: put(place.pointee.peer, &writer)
        case .downstreamLocalAddress:
            put(place.pointee.destination, &writer)
            writer.put(byte: 0x3A)
            writer.put(decimal: UInt64(place.pointee.destination.port))
        case .downstreamLocalPort: writer.put(decimal: UInt64(place.pointee.destination.port))
        case .upstreamHost:
            guard exchange.pointee.upstreamAddress.family != 0 else { return }
            put(exchange.pointee.upstreamAddress, &writer)
            writer.put(byte: 0x3A)
            writer.put(decimal: UInt64(exchange.pointee.upstreamAddress.port))
        case .upstreamCluster: if let cluster = exchange.pointee.cluster { writer.put(cluster.pointee.name) }
        case .routeName: if let route = exchange.pointee.route { writer.put(route.pointee.name) }
        case .protocolName: writer.put(exchange.pointee.flags.contains(.isHTTP10) ? "HTTP/1.0" : "HTTP/1.1")
        case .responseCode: writer.put(decimal: UInt64(exchange.pointee.status))
        case .responseFlags: writer.put(exchange.pointee.responseFlags.text)
        case .startTime: writer.put(decimal: (exchange.pointee.startedAt &+ wallOffset) / 1_000_000)
        case .hostname: writer.put(Self.hostname)
        case .requestHeader, .responseHeader:
            if let value = view.value(of: part.bytes) { writer.put(value) }
        }
    }

    /// The machine's name, asked for once.
    static let hostname: String = {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, 255) == 0 else { return "" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }()
}
