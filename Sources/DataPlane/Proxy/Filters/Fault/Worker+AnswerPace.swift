import Bytes
import Traffic

/// How slowly the body of an answer is to come: what is read of it is a debt of time, and nothing is read while there is one. So
/// the endpoint waits, and nothing is stored.
struct AnswerPace: BitwiseCopyable {
    /// Bytes per second, at least 1024.
    let rate: UInt64
    /// When the next bytes may come.
    var due: UInt64 = 0

    /// At most so much is read at once: the client gets bytes sixteen times a second.
    var slice: Int { max(1, Int(clamping: min(rate / 16, 1 << 16))) }
}

extension Worker {
    /// Bytes of the answer's body came.
    func chargePace(_ exchange: ExchangePlace, _ count: Int) {
        guard count > 0, let pace = exchange.pointee.extras?.pointee.pace else { return }
        let (time, overflows) = UInt64(count).multipliedReportingOverflow(by: 1_000_000_000)
        exchange.pointee.extras?.pointee.pace?.due = max(now, pace.due) &+ (overflows ? 1 << 50 : time / pace.rate)
    }

    /// Whether more of the answer's body has to wait; the exchange wakes up when its time comes.
    func isHeldByPace(_ exchange: ExchangePlace) -> Bool {
        guard let pace = exchange.pointee.extras?.pointee.pace, pace.due > now else { return false }
        exchange.pointee.wakeDeadline = pace.due
        armExchange(exchange)
        return true
    }

    /// The debt of time is paid.
    func resumePaced(_ exchange: ExchangePlace) {
        exchange.pointee.lastActivity = now
        armExchange(exchange)
        let upstreamIndex = exchange.pointee.upstream
        if upstreamIndex >= 0 { resumeReading(upstreamIndex, upstreams.pointer(upstreamIndex)) }
    }
}
