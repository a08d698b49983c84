import Bytes
import HTTP
import Traffic

/// `adaptive_concurrency`: a bound on the requests in flight that follows their latency.
extension Worker {
    func admit(_ settings: ConcurrencySettings, _ pass: FilterPass) -> FilterVerdict {
        guard settings.isEnabled else { return .next }
        let time = now
        let (moved, isAdmitted) = settings.gradient.change(now: time) { $0.admit(now: time) }
        show(moved, settings)
        guard isAdmitted else {
            countFilter(settings.blocked)
            return .answered(
                FilterReply(
                    status: settings.status,
                    body: "reached concurrency limit",
                    details: "reached_concurrency_limit"
                )
            )
        }
        setState(pass.exchange, pass.step, .admitted(time))
        return .next
    }

    /// An admitted request is over.
    func measure(_ settings: ConcurrencySettings, _ exchange: ExchangePlace, since start: UInt64) {
        let (time, draw) = (now, random.next())
        // A client that left says nothing of the endpoints.
        let isAnswered =
            exchange.pointee.status > 0
            && exchange.pointee.responseFlags.isDisjoint(with: [.downstreamTermination, .downstreamRemoteReset])
        let (moved, _) = settings.gradient.change(now: time) { controller in
            if isAnswered {
                controller.record(startedAt: start, now: time, random: draw)
            } else {
                controller.cancel()
            }
        }
        show(moved, settings)
    }

    private func show(_ moved: [Int64], _ settings: ConcurrencySettings) {
        for (place, difference) in zip(settings.gauges, moved) where difference != 0 { countFilter(place, difference) }
    }
}
