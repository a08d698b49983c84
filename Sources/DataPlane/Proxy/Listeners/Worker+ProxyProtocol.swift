import Bytes
import Reactor

/// Connections that a balancer in front opens in its client's name.
extension Worker {
    /// Begins with an accepted connection: the header first where the listener demands one.
    func admit(_ index: Int32, _ place: DownstreamPlace, _ configuration: ListenerConfiguration) {
        guard let rule = configuration.settings.proxyProtocol else {
            route(index, place, configuration)
            return
        }
        guard rule.trusts(IPKey(place.pointee.peer)) else {
            refuseProxyHeader(index, place)
            return
        }
        place.pointee.state = .introducing
        detecting[place.pointee.id] = configuration
        armDownstream(index, place)
    }

    /// Bytes came while the header is awaited.
    func readProxyHeader(_ index: Int32, _ place: DownstreamPlace) {
        guard let configuration = detecting[place.pointee.id], let rule = configuration.settings.proxyProtocol,
            let bytes = place.pointee.input.bytes
        else { return }
        let input = UnsafeRawBufferPointer(start: bytes, count: place.pointee.input.count)
        switch ProxyHeader.read(input, rule.versions) {
        case .incomplete: return
        case .refused: refuseProxyHeader(index, place)
        case .accepted(let length, let source, let destination):
            detecting[place.pointee.id] = nil
            if let source {
                let direct = place.pointee.peer
                note(place) { $0.directPeer = direct }
                place.pointee.peer = source
            }
            place.pointee.input.start &+= Int32(length)
            if place.pointee.input.isEmpty { buffers.give(&place.pointee.input) }
            place.pointee.since = now
            route(index, place, configuration, named: destination)
        }
    }

    func proxyHeaderDeadline(_ place: DownstreamPlace) -> UInt64 {
        let timeout = detecting[place.pointee.id]?.settings.proxyProtocol?.timeout ?? 0
        return place.pointee.since &+ timeout
    }

    /// Nobody who fails here is answered: the protocol has no word for it.
    func refuseProxyHeader(_ index: Int32, _ place: DownstreamPlace) {
        metrics.violation(.badProxyHeader)
        closeDownstream(index, place, flags: [])
    }
}
