import Bytes
import HTTP
import Traffic

/// The proxy's own answers to calls of gRPC: a head alone that says in `grpc-status` what failed (Trailers-Only).
extension Worker {
    /// The status of gRPC for one of HTTP, as gRPC's own document on the mapping says.
    static func callStatus(_ status: UInt16, _ flags: ResponseFlags) -> UInt64 {
        if flags.contains(.durationTimeout) { return 4 }
        return switch status {
        case 400: 13
        case 401: 16
        case 403: 7
        case 404: 12
        case 429, 502, 503, 504: 14
        default: 2
        }
    }

    func answerCall(
        _ index: Int32,
        _ exchange: ExchangePlace,
        _ place: DownstreamPlace,
        _ status: UInt16,
        _ reason: ByteWriter,
        _ reply: MappedReply,
        _ writer: inout ByteWriter
    ) {
        writer.put("HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: ")
        let own = exchange.filterRun?.pointee.callStatus.map { UInt64($0) }
        let code = own ?? Self.callStatus(status, exchange.pointee.responseFlags)
        writer.put(decimal: code)
        writer.endLine()
        let count = reason.overflowed ? 0 : reason.count
        if count > 0 {
            writer.put("grpc-message: ")
            putEscaped(UnsafeRawBufferPointer(start: reason.base, count: count), &writer)
            writer.endLine()
        }
        if !place.pointee.isStream { writer.put("content-length: 0\r\n") }
        exchange.pointee.callStatus = Int8(truncatingIfNeeded: code)
        writeReplyFields(reply, exchange, place, hasBody: false, &writer)
        if exchange.pointee.extras != nil { writeFilterFields(exchange, &writer) }
        writeOwnHead(exchange, place, &writer)
        exchange.pointee.status = 200
        if exchange.pointee.extras != nil { filterOwnAnswer(exchange, place, &writer, bodyCount: 0) }
        exchange.pointee.bytesSent &+= UInt64(writer.count)
        let downstream = exchange.pointee.downstream
        let isSent =
            place.pointee.isStream
            ? sendStream(downstream, place, writer.base, writer.count, nil, 0, isDone: true)
            : sendDownstream(downstream, place, writer.base, writer.count)
        guard isSent else { return }
        completeExchange(index, exchange)
    }

    /// Bytes outside of visible ASCII, and `%`, become escapes; the line end of a text is left out.
    private func putEscaped(_ text: UnsafeRawBufferPointer, _ writer: inout ByteWriter) {
        for (position, byte) in text.enumerated() {
            if byte == 0x0A, position == text.count - 1 { return }
            if byte >= 0x20, byte < 0x7F, byte != 0x25 {
                writer.put(byte: byte)
            } else {
                writer.put(byte: 0x25)
                let digits: StaticString = "0123456789ABCDEF"
                writer.put(byte: digits.utf8Start[Int(byte >> 4)])
                writer.put(byte: digits.utf8Start[Int(byte & 15)])
            }
        }
    }
}
