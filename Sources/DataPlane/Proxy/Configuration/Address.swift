/// An address to listen on or to dial, as a configuration names it.
struct Address: Hashable, Sendable {
    enum Host: Hashable, Sendable {
        /// Network byte order as it would stand in memory read as a big-endian number: 127.0.0.1 is `0x7F00_0001`.
        case ipv4(UInt32)
        case ipv6(high: UInt64, low: UInt64)
        /// A Unix socket; the path begins with `@` for the abstract name space.
        case pipe(String)
    }
    var host: Host
    var port: UInt16
    /// The network namespace in which the socket is made: a file such as `/proc/12/ns/net`, or the path of a socket broker;
    /// nil = the proxy's own.
    var namespacePath: String?
    /// A socket on `::` takes connections over IPv4, too.
    var acceptsIPv4 = false
    /// Permissions of a Unix socket's file; 0 = for the owner.
    var mode: UInt16 = 0

    init(host: Host, port: UInt16, namespacePath: String? = nil) {
        self.host = host
        self.port = port
        self.namespacePath = namespacePath
    }
}

/// An IPv4 or IPv6 address without a port, comparable in one step: IPv4 stands as an IPv4-mapped IPv6 address.
struct IPKey: Hashable, Sendable, BitwiseCopyable {
    var high: UInt64
    var low: UInt64

    init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    init(ipv4: UInt32) { self.init(high: 0, low: 0x0000_FFFF_0000_0000 | UInt64(ipv4)) }

    var isIPv4: Bool { high == 0 && low >> 32 == 0xFFFF }
    /// 127.0.0.0/8 and ::1.
    var isLoopback: Bool { isIPv4 ? (low >> 24) & 0xFF == 127 : high == 0 && low == 1 }
    var isUnspecified: Bool { high == 0 && (low == 0 || low == 0x0000_FFFF_0000_0000) }
}

extension Address {
    /// The address for comparison; nil for a Unix socket.
    var key: IPKey? {
        switch host {
        case .ipv4(let number): IPKey(ipv4: number)
        case .ipv6(let high, let low): IPKey(high: high, low: low)
        case .pipe: nil
        }
    }
}

/// A range of addresses (CIDR).
struct AddressRange: Hashable, Sendable, BitwiseCopyable {
    var base: IPKey
    /// Leading bits that count, of the 128 of the mapped form: an IPv4 /8 is 104.
    var prefixLength: UInt8

    init(base: IPKey, prefixLength: UInt8) {
        self.base = base
        self.prefixLength = prefixLength
    }

    /// From `10.0.0.0/8` or `fd00::/8`; nil when it is none.
    init?(cidr: String) {
        let parts = cidr.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let key = Address(literal: String(parts[0]), port: 0)?.key,
            let length = UInt8(parts[1]),
            length <= (key.isIPv4 ? 32 : 128)
        else { return nil }
        self.init(base: key, prefixLength: key.isIPv4 ? 96 + length : length)
    }

    /// `0.0.0.0/0` and `::/0`: either stands for any address.
    var isWidest: Bool { significantBits == 0 }

    /// The length as it is written.
    var significantBits: Int { base.isIPv4 && prefixLength >= 96 ? Int(prefixLength) - 96 : Int(prefixLength) }

    func contains(_ key: IPKey) -> Bool {
        let highBits = min(64, Int(prefixLength))
        let lowBits = max(0, min(64, Int(prefixLength) - 64))
        let highMask: UInt64 = highBits == 0 ? 0 : ~0 << UInt64(64 - highBits)
        let lowMask: UInt64 = lowBits == 0 ? 0 : ~0 << UInt64(64 - lowBits)
        return (key.high ^ base.high) & highMask == 0 && (key.low ^ base.low) & lowMask == 0
    }
}
