import HTTP
import Reactor
import Traffic

/// What `local_reply_config` makes of an answer of the proxy's own.
struct MappedReply {
    var contentType: [UInt8] = []
    /// Before it was changed: what the changes of the head name.
    var status: UInt16 = 0
    var edits = ArenaArray<HeaderEdit>()
}

/// Changes the proxy's own answers as the configuration wants them.
extension Worker {
    /// Changes status and body; what is left to the head is returned.
    func mapReply(
        _ exchange: ExchangePlace,
        _ place: DownstreamPlace,
        _ rules: LocalReplyRules,
        _ status: inout UInt16,
        _ body: inout ByteWriter
    ) -> MappedReply {
        var reply = MappedReply(status: status)
        var format = rules.format
        if !rules.mappers.isEmpty {
            var entry = makeEntry(exchange, place, status: status)
            if let view = keptRequest(exchange) { entry.request = view }
            if let mapper = rules.mappers.first(where: { $0.filter.admits(entry, random: { random.next() }) }) {
                status = mapper.status ?? status
                if let text = mapper.body { replace(&body, with: text) }
                format = mapper.format ?? format
                reply.edits = mapper.edits
            }
        }
        exchange.pointee.status = status
        guard let format, !body.overflowed else { return reply }
        let plain = ByteRun(start: body.base, count: body.count)
        let text = formatText(format.format, exchange, place, localReply: plain)
        replace(&body, with: text + format.ending)
        reply.contentType = format.contentType
        return reply
    }

    /// `proxy-status: weft; error=destination_not_found; details="route_not_found; NR"`.
    func writeProxyStatus(_ exchange: ExchangePlace, _ place: DownstreamPlace, _ writer: inout ByteWriter) {
        let flags = exchange.pointee.responseFlags
        guard let rule = place.pointee.chain?.pointee.configuration.settings.proxyStatus,
            let error = ProxyStatusRule.error(flags)
        else { return }
        writer.put("proxy-status: ")
        rule.name.withUnsafeBytes { writer.put(ByteRun($0)) }
        writer.put("; error=")
        writer.put(error)
        if rule.hasDetails {
            writer.put("; details=\"")
            writer.put(Self.code(flags))
            if rule.hasFlags {
                writer.put("; ")
                writer.put(string: flags.text)
            }
            writer.put("\"")
        }
        writer.endLine()
    }

    private func replace(_ body: inout ByteWriter, with text: [UInt8]) {
        body.count = 0
        text.withUnsafeBytes { body.put(ByteRun($0)) }
    }

    /// Writes the type of the body, unless the changes of the head bring one, and those changes.
    func writeReplyFields(
        _ reply: MappedReply,
        _ exchange: ExchangePlace,
        _ place: DownstreamPlace,
        hasBody: Bool,
        _ writer: inout ByteWriter
    ) {
        let type = Self.run("content-type")
        let bringsType = (0..<reply.edits.count).contains { reply.edits[$0].name.equals(type) }
        if hasBody, !bringsType {
            writer.put("content-type: ")
            if reply.contentType.isEmpty { writer.put("text/plain") }
            reply.contentType.withUnsafeBytes { writer.put(ByteRun($0)) }
            writer.endLine()
        }
        guard !reply.edits.isEmpty else { return }
        let nothing = RequestView(method: .empty, authority: .empty, path: .empty)
        var sources = FieldSources(message: nothing, request: nothing)
        if let view = keptRequest(exchange) { sources.request = view }
        let status = exchange.pointee.status
        exchange.pointee.status = reply.status
        addFields(reply.edits, sources, exchange, place, &writer)
        exchange.pointee.status = status
    }
}
