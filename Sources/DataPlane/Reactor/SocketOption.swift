import Glibc

/// An option of a socket, and when in its life it is set.
public struct SocketOption: Hashable, Sendable {
    public enum Stage: Sendable { case prebind, bound, listening }

    public var level: Int32
    public var name: Int32
    /// As `setsockopt` takes it.
    public var value: [UInt8]
    public var stage: Stage

    public init(level: Int32, name: Int32, value: [UInt8], stage: Stage = .prebind) {
        self.level = level
        self.name = name
        self.value = value
        self.stage = stage
    }

    public init(level: Int32, name: Int32, number: Int32, stage: Stage = .prebind) {
        self.init(level: level, name: name, value: withUnsafeBytes(of: number, Array.init), stage: stage)
    }

    // Numbers of the kernel's that the C library hides behind macros.
    private static let ip: Int32 = 0
    private static let ipv6: Int32 = 41
    private static let tcp: Int32 = 6

    /// An address may be bound that the machine does not have (yet).
    public static func freebind(isIPv6: Bool) -> SocketOption {
        isIPv6 ? SocketOption(level: ipv6, name: 78, number: 1) : SocketOption(level: ip, name: 15, number: 1)
    }

    /// Connections to any address arrive here when the routing says so.
    public static func transparent(isIPv6: Bool) -> SocketOption {
        isIPv6 ? SocketOption(level: ipv6, name: 75, number: 1) : SocketOption(level: ip, name: 19, number: 1)
    }

    /// Whether a socket on `::` takes connections over IPv4, too.
    public static func ipv6Only(_ isOnly: Bool) -> SocketOption {
        SocketOption(level: ipv6, name: 26, number: isOnly ? 1 : 0)
    }

    /// Data with the first packet (TCP Fast Open), for so many connections that are not complete.
    public static func fastOpen(_ length: Int32) -> SocketOption {
        SocketOption(level: tcp, name: 23, number: length, stage: .listening)
    }

    /// Keep-alive probes; nil = the kernel's numbers. Accepted connections have them of their listener.
    public static func keepalive(probes: UInt32?, idleSeconds: UInt32?, intervalSeconds: UInt32?) -> [SocketOption] {
        var options = [SocketOption(level: SOL_SOCKET, name: SO_KEEPALIVE, number: 1)]
        for (name, number) in [(Int32(4), idleSeconds), (5, intervalSeconds), (6, probes)] {
            if let number { options.append(SocketOption(level: tcp, name: name, number: Int32(clamping: number))) }
        }
        return options
    }
}
