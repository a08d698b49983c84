import Bytes
import CWeft
import HTTP
import Traffic

/// The two forms in which a request of unknown length is kept: in chunks for HTTP/1, bare for HTTP/2. A try takes the form that its
/// endpoint wants; both have the same head.
extension Worker {
    /// Where the body begins in what is kept of a request.
    func headLength(_ exchange: ExchangePlace) -> Int {
        guard let bytes = exchange.pointee.request.bytes else { return 0 }
        let count = exchange.pointee.request.count
        var position = 0
        while position < count {
            let end = cweft_find(bytes + position, count - position, 0x0A)
            guard end >= 0 else { return count }
            position += end + 1
            if end <= 1 { return position }
        }
        return count
    }

    /// Takes the chunks away. False when the trailers are unusable.
    func unframe(_ exchange: ExchangePlace) -> Bool {
        guard exchange.pointee.flags.contains(.requestIsChunked) else { return true }
        exchange.pointee.flags.remove(.requestIsChunked)
        exchange.pointee.flags.insert(.isUnframed)
        let head = headLength(exchange)
        let count = exchange.pointee.request.count - head
        guard count > 0, let bytes = exchange.pointee.request.bytes else { return true }
        var body = Body(.chunked)
        do throws(HTTPFault) {
            let step = try body.take(bytes + head, count)
            exchange.pointee.request.end &-= Int32(truncatingIfNeeded: count - step.data)
            guard step.trailers > 0 else { return true }
            return buffers.append(&exchange.pointee.trailers, bytes + head + step.data, step.trailers)
        } catch { return false }
    }

    /// Puts the chunks back. False when memory or the trailers fail.
    func frame(_ exchange: ExchangePlace) -> Bool {
        guard exchange.pointee.flags.contains(.isUnframed) else { return true }
        exchange.pointee.flags.remove(.isUnframed)
        exchange.pointee.flags.insert(.requestIsChunked)
        let head = headLength(exchange)
        guard let bytes = exchange.pointee.request.bytes else { return true }
        var bare = exchange.pointee.request
        exchange.pointee.request = Buffer()
        defer { buffers.give(&bare) }
        guard buffers.append(&exchange.pointee.request, bytes, head) else { return false }
        var step = Body.Step()
        step.data = bare.count - head
        guard step.data > 0 || exchange.pointee.requestBody.isComplete else { return true }
        return appendBody(exchange, bytes + head, step)
    }

    /// What a client of HTTP/1 wants to see of its key (RFC 6455 section 4.2.2), where extended CONNECT had none.
    func writeAccept(_ exchange: ExchangePlace, _ writer: inout ByteWriter) {
        guard let wanted = acceptance(exchange) else { return }
        writer.put("sec-websocket-accept: ")
        wanted.withUnsafeBytes { writer.put(ByteRun($0)) }
        writer.endLine()
    }
}
