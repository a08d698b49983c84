import Bytes
import Reactor
import Traffic

/// Hashes of requests and connections, for the balancers that go by them.
extension Worker {
    /// Makes the hash that the route's rules ask for.
    func settleHash(_ exchange: ExchangePlace, _ rules: ArenaArray<HashRule>, _ view: RequestView) {
        let place = downstreams.pointer(exchange.pointee.downstream)
        let made = withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { room -> RequestHash in
            guard let base = room.baseAddress else { return RequestHash() }
            var writer = ByteWriter(base, capacity: 48)
            put(client(place, view), &writer)
            let address = ByteRun(start: UnsafeRawPointer(base), count: writer.count)
            var cookie = cookieValue(place)
            return withUnsafeBytes(of: &cookie) { view.hash(rules, address: address, cookie: ByteRun($0)) }
        }
        let extras = extras(exchange)
        extras.pointee.hash = made.hash
        extras.pointee.newCookies = made.newCookies
    }

    /// A connection's hash is that of its client's address.
    func settleHash(_ exchange: ExchangePlace, connection place: DownstreamPlace) {
        let hash = withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { room -> UInt64? in
            guard let base = room.baseAddress else { return nil }
            var writer = ByteWriter(base, capacity: 64)
            put(place.pointee.peer, &writer)
            return writer.count == 0 ? nil : hash64(ByteRun(start: UnsafeRawPointer(base), count: writer.count))
        }
        extras(exchange).pointee.hash = hash
    }

    // MARK: New cookies

    typealias CookieValue = (UInt64, UInt64)

    /// The value of a new cookie: 16 hexadecimal digits of the hash of both ends of the connection, so that it is the same
    /// for all requests that come over it before the client sends it.
    private func cookieValue(_ place: DownstreamPlace) -> CookieValue {
        withUnsafeTemporaryAllocation(byteCount: 128, alignment: 8) { room -> CookieValue in
            guard let base = room.baseAddress else { return (0, 0) }
            var writer = ByteWriter(base, capacity: 128)
            put(socket: place.pointee.peer, &writer)
            put(socket: place.pointee.destination, &writer)
            let hash = hash64(ByteRun(start: UnsafeRawPointer(base), count: writer.count))
            var digits: CookieValue = (0, 0)
            withUnsafeMutableBytes(of: &digits) { bytes in
                for index in bytes.indices {
                    let nibble = UInt8(truncatingIfNeeded: hash >> UInt64(60 - 4 * index)) & 15
                    bytes[index] = nibble < 10 ? 0x30 + nibble : 0x57 + nibble
                }
            }
            return digits
        }
    }

    private func put(socket address: SocketAddress, _ writer: inout ByteWriter) {
        if address.isIPv6 { writer.put(byte: 0x5B) }
        put(address, &writer)
        if address.isIPv6 { writer.put(byte: 0x5D) }
        writer.put(byte: 0x3A)
        writer.put(decimal: UInt64(address.port))
    }

    /// `set-cookie` for the cookies that the request's hash was made of for want of the client's own.
    func writeNewCookies(_ exchange: ExchangePlace, _ place: DownstreamPlace, _ writer: inout ByteWriter) {
        guard let wanted = exchange.pointee.extras?.pointee.newCookies, wanted != 0,
            let route = exchange.pointee.route, case .forward(let forward) = route.pointee.action,
            let rules = forward.pointee.extras?.pointee.hashRules
        else { return }
        for index in 0..<rules.count where wanted & (1 << UInt32(index)) != 0 {
            guard let tail = rules[index].cookieTail else { continue }
            var value = cookieValue(place)
            writer.put("set-cookie: ")
            writer.put(rules[index].name)
            writer.put("=\"")
            withUnsafeBytes(of: &value) { writer.put(ByteRun($0)) }
            writer.put("\"")
            writer.put(tail)
            writer.endLine()
        }
    }
}
