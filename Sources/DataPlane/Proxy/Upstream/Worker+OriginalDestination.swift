import Bytes
import Reactor
import Traffic

/// ORIGINAL_DST clusters: where the client meant to go, or where a header says.
extension Worker {
    func originalDestination(_ exchange: ExchangePlace, _ cluster: ClusterPlace) -> SocketAddress {
        var address =
            exchange.pointee.extras?.pointee.destination
            ?? downstreams.pointer(exchange.pointee.downstream).pointee.destination
        if cluster.pointee.destinationPort > 0 { address.port = cluster.pointee.destinationPort }
        return address
    }

    /// Reads the destination that a header of the request names.
    func readDestination(_ exchange: ExchangePlace, _ cluster: ClusterPlace, _ view: RequestView) {
        guard let name = cluster.pointee.configuration.settings.original?.header else { return }
        let value = name.withUnsafeBytes { view.value(of: ByteRun($0)) }
        guard let value, let address = Self.destination(value) else {
            exchange.pointee.extras?.pointee.destination = nil
            return
        }
        extras(exchange).pointee.destination = address
    }

    /// `10.0.0.1:80`, `[::1]:80`.
    static func destination(_ text: ByteRun) -> SocketAddress? {
        let host = text.withoutPort
        guard host.count + 1 < text.count, let port = text.dropping(host.count + 1).decimal,
            let number = UInt16(exactly: port), number > 0
        else { return nil }
        var name = host.text
        if name.hasPrefix("[") { name = String(name.dropFirst().dropLast()) }
        return SocketAddress(name, port: number)
    }
}
