public import CWeft

/// An IP address with a port, as one plain value.
public struct SocketAddress: BitwiseCopyable, Sendable, Hashable, CustomStringConvertible {
    @usableFromInline var high: UInt64
    @usableFromInline var low: UInt64
    public var port: UInt16
    /// 0 (none), 4 or 6.
    public var family: UInt8

    public init() {
        high = 0
        low = 0
        port = 0
        family = 0
    }

    /// Nil when the text is no literal IPv4 or IPv6 address.
    public init?(_ text: String, port: UInt16) {
        var native = cweft_address()
        // C would stop at a NUL and take what is before it.
        guard !text.utf8.contains(0), cweft_parse_address(text, port, &native) == 0 else { return nil }
        self.init(native)
    }

    /// From 4 or 16 address bytes in network order; any other count gives none.
    public init(bytes: UnsafeRawBufferPointer, port: UInt16) {
        self.init()
        guard bytes.count == 4 || bytes.count == 16 else { return }
        var whole: (UInt64, UInt64) = (0, 0)
        withUnsafeMutableBytes(of: &whole) { $0.copyMemory(from: bytes) }
        (high, low) = whole
        family = bytes.count == 4 ? 4 : 6
        self.port = port
    }

    public init(_ native: cweft_address) {
        (high, low) = withUnsafeBytes(of: native.ip) {
            ($0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        }
        port = native.port
        family = native.family
    }

    /// The form that the C calls take.
    public var native: cweft_address {
        var native = cweft_address()
        withUnsafeMutableBytes(of: &native.ip) {
            $0.storeBytes(of: high, as: UInt64.self)
            $0.storeBytes(of: low, toByteOffset: 8, as: UInt64.self)
        }
        native.port = port
        native.family = family
        return native
    }

    /// 127.0.0.1.
    public static func loopback(port: UInt16) -> SocketAddress {
        SocketAddress("127.0.0.1", port: port) ?? SocketAddress()
    }

    public var isIPv6: Bool { family == 6 }
    /// 0.0.0.0 or ::.
    public var isAny: Bool { high == 0 && low == 0 }
    /// The address with another port.
    public func with(port: UInt16) -> SocketAddress {
        var copy = self
        copy.port = port
        return copy
    }

    /// The address bytes, 16 of them; IPv4 fills the first four.
    public var bytes: [UInt8] {
        withUnsafeBytes(of: (high, low)) { Array($0.prefix(family == 6 ? 16 : 4)) }
    }

    /// Whether the first `length` bits equal those of `prefix`, in the same family.
    public func isWithin(_ prefix: SocketAddress, length: Int) -> Bool {
        guard family == prefix.family else { return false }
        let own = (UInt64(bigEndian: high), UInt64(bigEndian: low))
        let other = (UInt64(bigEndian: prefix.high), UInt64(bigEndian: prefix.low))
        if length <= 64 { return (own.0 ^ other.0) >> UInt64(64 - max(0, length)) == 0 }
        return own.0 == other.0 && (own.1 ^ other.1) >> UInt64(128 - min(128, length)) == 0
    }

    /// Writes the address without port to memory of at least 46 bytes; the count.
    public func write(to text: UnsafeMutablePointer<CChar>) -> Int {
        var address = native
        return Int(cweft_format_address(&address, text))
    }

    /// The address without port.
    public var host: String {
        var text = [CChar](repeating: 0, count: 46)
        let count = text.withUnsafeMutableBufferPointer { $0.baseAddress.map { write(to: $0) } ?? 0 }
        return String(decoding: text.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    public var description: String { isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
