import Bytes
import HTTP
import Reactor

/// One timer per connection stands for all its deadlines: the earliest is armed, and when it fires the facts are asked again.
extension Worker {
    @inline(__always)
    func armDownstream(_ index: Int32, _ place: DownstreamPlace) {
        loop.timers.set(place.pointee.timer, Instant(nanoseconds: downstreamDeadline(place)))
    }

    func downstreamDeadline(_ place: DownstreamPlace) -> UInt64 {
        let since = place.pointee.since
        switch place.pointee.state {
        case .lingering: return since &+ (place.pointee.chain?.pointee.delayedCloseTimeout ?? Limits.lingerTime)
        case .handshaking: return handshakeDeadline(place)
        case .introducing: return proxyHeaderDeadline(place)
        case .detecting:
            let own = detectionDeadline(place)
            guard place.pointee.exchange >= 0 else { return own }
            return min(own, exchangeDeadline(exchanges.pointer(place.pointee.exchange)))
        case .echo: return place.pointee.flags.contains(.closesWhenFlushed) ? since &+ Limits.lingerTime &* 5 : .max
        case .tunnel:
            guard place.pointee.exchange >= 0 else { return .max }
            return exchangeDeadline(exchanges.pointer(place.pointee.exchange))
        case .http2:
            guard let chain = place.pointee.chain, place.pointee.session >= 0 else { return .max }
            return sessionDeadline(place, chain)
        case .http:
            // Also of those that have no chain: copies for mirrors, and the proxy's own calls.
            if place.pointee.exchange >= 0 {
                return exchangeDeadline(exchanges.pointer(place.pointee.exchange))
            }
            guard let chain = place.pointee.chain else { return .max }
            // A stream that is answered: its end waits for the client.
            if place.pointee.isStream { return Self.after(since, chain.pointee.streamIdleTimeout) }
            if place.pointee.flags.contains(.closesWhenFlushed) { return since &+ Limits.lingerTime &* 5 }
            if place.pointee.flags.contains(.headStarted) { return Self.after(since, chain.pointee.headersTimeout) }
            var deadline = Self.after(since, chain.pointee.idleTimeout)
            if isDraining { deadline = min(deadline, idleDeadline) }
            if !chain.pointee.isCurrent {
                deadline = min(deadline, since &+ chain.pointee.configuration.settings.drainTimeout)
            }
            if chain.pointee.maxConnectionDuration > 0 {
                deadline = min(deadline, place.pointee.acceptedAt &+ chain.pointee.maxConnectionDuration)
            }
            return deadline
        }
    }

    @inline(__always)
    static func after(_ start: UInt64, _ span: UInt64) -> UInt64 { span == 0 ? .max : start &+ span }

    @inline(__always)
    func exchangeDeadline(_ exchange: ExchangePlace) -> UInt64 {
        var deadline = min(exchange.pointee.routeDeadline, exchange.pointee.tryDeadline)
        deadline = min(deadline, exchange.pointee.wakeDeadline)
        deadline = min(deadline, exchange.pointee.bodyDeadline)
        if exchange.pointee.idleTimeout > 0 {
            deadline = min(deadline, exchange.pointee.lastActivity &+ exchange.pointee.idleTimeout)
        }
        return deadline
    }

    func downstreamTimer(_ index: Int32, _ place: DownstreamPlace) {
        guard downstreamDeadline(place) <= now else {
            armDownstream(index, place)
            return
        }
        switch place.pointee.state {
        case .lingering:
            tick(place, .downstreamCxDelayedCloseTimeout)
            closeDownstream(index, place, flags: [])
        case .handshaking: handshakeTimedOut(index, place)
        case .introducing: refuseProxyHeader(index, place)
        case .detecting:
            if place.pointee.exchange >= 0, exchangeDeadline(exchanges.pointer(place.pointee.exchange)) <= now {
                exchangeTimer(place.pointee.exchange, index, place)
            } else if detectionDeadline(place) <= now {
                let timeout = detecting[place.pointee.id]?.settings.filtersTimeout ?? 0
                if !place.pointee.flags.contains(.isQuietOver), now < Self.after(place.pointee.since, timeout) {
                    speculate(index, place)
                } else {
                    detectionTimedOut(index, place)
                }
            }
        case .echo: closeDownstream(index, place, flags: [])
        case .tunnel: exchangeTimer(place.pointee.exchange, index, place)
        case .http2: sessionTimer(index, place)
        case .http:
            if place.pointee.isStream, place.pointee.exchange < 0 {
                closeStream(index, place, flags: .streamIdleTimeout)
            } else if place.pointee.exchange >= 0 {
                exchangeTimer(place.pointee.exchange, index, place)
            } else if place.pointee.flags.contains(.headStarted), !place.pointee.flags.contains(.closesWhenFlushed) {
                metrics.violation(.slowRequest)
                tick(place, .downstreamRqHeaderTimeout)
                answerWithoutRequest(index, place, status: 408, reason: "the head took too long", flags: [])
            } else {
                countIdleEnd(place)
                closeDownstream(index, place, flags: [])
            }
        }
    }
}
