import Bytes
import HTTP
import Traffic

/// Answers that filters give.
extension Worker {
    /// Answers in place of the endpoint; the bytes of the body that were taken.
    func answer(_ reply: FilterReply, _ pass: FilterPass, _ body: UnsafeMutableRawPointer, _ count: Int) -> Int {
        let exchange = pass.exchange
        exchange.pointee.flags.remove(.isSuspended)
        exchange.pointee.responseFlags.formUnion(reply.flags)
        guard let run = exchange.filterRun else { return 0 }
        reply.details.withUnsafeBytes { raw in
            if let start = raw.baseAddress {
                buffers.give(&run.pointee.details)
                _ = buffers.append(&run.pointee.details, start, raw.count)
            }
        }
        run.pointee.callStatus = reply.callStatus
        run.pointee.fields = reply.fields
        return reply.body.withUnsafeBytes { content in
            reject(
                pass.index,
                exchange,
                body,
                count,
                status: reply.status,
                nil,
                content: ByteRun(content)
            )
        }
    }

    /// What is told of the proxy's own answer, where a filter gave it.
    func filterDetails(_ exchange: ExchangePlace) -> ByteRun {
        guard let run = exchange.filterRun, let bytes = run.pointee.details.bytes else { return .empty }
        return ByteRun(start: bytes, count: run.pointee.details.count)
    }

    /// Whether the filter gave the type of its answer's body.
    func bringsType(_ exchange: ExchangePlace) -> Bool {
        guard exchange.pointee.extras != nil, let fields = exchange.filterRun?.pointee.fields else { return false }
        return fields.edits.contains { fields.bytes[$0.name].elementsEqual("content-type".utf8) }
    }

    /// Writes the fields that the filter gave with its answer.
    func writeFilterFields(_ exchange: ExchangePlace, _ writer: inout ByteWriter) {
        guard let run = exchange.filterRun else { return }
        let details = filterDetails(exchange)
        if !details.isEmpty {
            writer.put("x-weft-reason: ")
            writer.put(details)
            writer.endLine()
        }
        let fields = run.pointee.fields
        fields.bytes.withUnsafeBytes { raw in
            guard let start = raw.baseAddress else { return }
            for edit in fields.edits where edit.kind != .remove {
                writer.put(ByteRun(start: start + edit.name.lowerBound, count: edit.name.count))
                writer.put(": ")
                writer.put(ByteRun(start: start + edit.value.lowerBound, count: edit.value.count))
                writer.endLine()
            }
        }
    }
}
