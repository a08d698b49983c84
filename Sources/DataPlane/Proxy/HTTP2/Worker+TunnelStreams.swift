import Bytes
import HTTP
import Reactor
import Traffic

/// Streams that relay bytes to an endpoint of HTTP/2: CONNECT that is passed on, WebSockets, and TCP connections that go through a
/// further proxy (RFC 9113 section 8.5).
extension Worker {
    /// Bytes follow the head until one side ends, whatever the request says.
    @inline(__always)
    func relaysBytes(_ exchange: ExchangePlace) -> Bool {
        exchange.pointee.flags.contains(.wantsUpgrade) || exchange.pointee.method == .connect || exchange.pointee.isRaw
    }

    /// Whether a TCP connection becomes a stream: its chain asks a further proxy for the tunnel.
    func asksForTunnel(_ exchange: ExchangePlace, _ cluster: ClusterPlace) -> Bool {
        guard cluster.pointee.speaks == .http2 || cluster.pointee.speaks == .automatic,
            let chain = exchange.pointee.tcp?.takeUnretainedValue()
        else { return false }
        return !chain.connectHead.isEmpty
    }

    /// Makes the request for the tunnel what is sent; the client's bytes wait.
    func writeTunnelRequest(_ exchange: ExchangePlace) -> Bool {
        guard let chain = exchange.pointee.tcp?.takeUnretainedValue() else { return false }
        buffers.give(&exchange.pointee.request)
        exchange.pointee.requestSent = 0
        return chain.connectHead.withUnsafeBytes { bytes in
            bytes.baseAddress.map { buffers.append(&exchange.pointee.request, $0, bytes.count) } ?? false
        }
    }

    /// The further proxy has so much time to answer.
    func awaitTunnel(_ entry: EndpointPlace, _ exchange: ExchangePlace) {
        let cluster = upstreams.pointer(entry.pointee.upstream).pointee.cluster
        exchange.pointee.tryDeadline = Self.after(now, cluster.pointee.connectTimeout)
        armExchange(exchange)
    }

    /// The further proxy's answer came: the relay begins.
    func openTunnel(
        _ entry: EndpointPlace,
        _ index: Int32,
        _ stream: UpstreamPlace,
        _ exchangeIndex: Int32,
        _ exchange: ExchangePlace
    ) {
        guard responseHead.status < 300 else {
            badAnswer(entry, index, stream)
            return
        }
        let place = downstreams.pointer(exchange.pointee.downstream)
        stream.pointee.state = .tunnel
        exchange.pointee.tryDeadline = .max
        buffers.give(&exchange.pointee.request)
        exchange.pointee.requestSent = 0
        openTunnel(exchange, place)
        takeHeldInput(place, exchange)
        pump(exchangeIndex, exchange)
    }
}
