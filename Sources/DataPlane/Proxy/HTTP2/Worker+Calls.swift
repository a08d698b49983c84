import Bytes
import HTTP
import Traffic

/// Calls of gRPC: their deadline, and the status that they end with.
extension Worker {
    /// Brings the client's deadline and the route's rule about it together.
    func settleCallTimeout(_ exchange: ExchangePlace, _ rule: CallTimeout, _ view: RequestView) {
        let asked = view.value(of: Self.run("grpc-timeout")).flatMap { CallTimeout.parse($0) }
        guard let time = rule.time(asked) else { return }
        let extras = extras(exchange)
        if rule.isRouteTimeout {
            extras.pointee.timeout = time
        } else {
            extras.pointee.callDuration = time
        }
        extras.pointee.callDeadline = time > 0 ? now &+ time : .max
    }

    /// Tells the endpoint how much of the call's time is left.
    func tellCallTimeout(_ exchange: ExchangePlace) {
        guard let deadline = exchange.pointee.extras?.pointee.callDeadline, deadline < .max else { return }
        let rest = deadline > now ? (deadline &- now) / 1_000_000 : 0
        replaceField(exchange, "grpc-timeout", min(max(1, rest), 99_999_999), unit: "m")
    }

    /// Notes the status in the head of an answer without a body.
    func noteCallStatus(_ exchange: ExchangePlace, head memory: UnsafeMutableRawPointer) {
        guard let status = CallStatus.status(in: responseView(memory)) else { return }
        exchange.pointee.callStatus = Int8(truncatingIfNeeded: status)
    }

    /// Notes the status in trailer lines.
    func noteCallStatus(_ exchange: ExchangePlace, trailers text: UnsafeMutableRawPointer, _ count: Int) {
        let mark = Self.run("grpc-status: ")
        var rest = ByteRun(start: text, count: count)
        while let end = rest.firstIndex(of: 0x0A) {
            if rest.first(mark.count).equalsIgnoringCase(mark), end > mark.count {
                let value = rest.first(end).dropping(mark.count).trimmed
                let bare = value[value.count - 1] == 0x0D ? value.first(value.count - 1) : value
                if let status = CallStatus.status(bare) {
                    exchange.pointee.callStatus = Int8(truncatingIfNeeded: status)
                }
                return
            }
            rest = rest.dropping(end + 1)
        }
    }

    /// The status by which an endpoint is judged: what a call's says in terms of HTTP.
    func judgedStatus(_ exchange: ExchangePlace) -> UInt16 {
        let status = exchange.pointee.callStatus
        return status > 0 && exchange.pointee.status == 200 ? CallStatus.http(Int(status)) : exchange.pointee.status
    }
}
