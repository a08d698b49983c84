import CWeft
import Reactor

extension IPKey {
    init(_ address: SocketAddress) {
        let bytes = address.native.ip
        let words = withUnsafeBytes(of: bytes) { raw in
            (
                UInt64(bigEndian: raw.loadUnaligned(as: UInt64.self)),
                UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            )
        }
        if address.isIPv6 {
            self.init(high: words.0, low: words.1)
        } else {
            self.init(ipv4: UInt32(truncatingIfNeeded: words.0 >> 32))
        }
    }
}

extension Address {
    /// The address as sockets take it; nil for a Unix socket.
    var socketAddress: SocketAddress? {
        var native = SocketAddress.loopback(port: port).native
        switch host {
        case .pipe: return nil
        case .ipv4(let number):
            native.family = 4
            withUnsafeMutableBytes(of: &native.ip) { raw in
                raw.storeBytes(of: 0, as: UInt64.self)
                raw.storeBytes(of: 0, toByteOffset: 8, as: UInt64.self)
                raw.storeBytes(of: number.bigEndian, as: UInt32.self)
            }
        case .ipv6(let high, let low):
            native.family = 6
            withUnsafeMutableBytes(of: &native.ip) { raw in
                raw.storeBytes(of: high.bigEndian, as: UInt64.self)
                raw.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
            }
        }
        return SocketAddress(native)
    }

    /// An address from a literal IPv4 or IPv6 text; nil for anything else.
    init?(literal text: String, port: UInt16, namespacePath: String? = nil) {
        guard let parsed = SocketAddress(text, port: port) else { return nil }
        let key = IPKey(parsed)
        let host: Host =
            parsed.isIPv6 ? .ipv6(high: key.high, low: key.low) : .ipv4(UInt32(truncatingIfNeeded: key.low))
        self.init(host: host, port: port, namespacePath: namespacePath)
    }

    /// `10.0.0.1:80`, `[::1]:80`, or the path.
    var display: String {
        if case .pipe(let path) = host { return path }
        return socketAddress?.description ?? "?"
    }
}
