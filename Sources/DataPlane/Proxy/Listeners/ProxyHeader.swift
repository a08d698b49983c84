import Reactor
import Traffic

/// The header of the PROXY protocol, in which a balancer in front says who its client is.
///
/// Pure. The whole header is checked before any of it is believed: HAProxy's specification of the protocol, version 2020/03/05,
/// sections 2.1 (text) and 2.2 (binary).
enum ProxyHeader {
    enum Outcome {
        /// What is there can still become a header.
        case incomplete
        case refused(StaticString)
        /// `length` bytes are the header. Without addresses (LOCAL, UNKNOWN, AF_UNSPEC, AF_UNIX) those of the connection hold.
        case accepted(length: Int, source: SocketAddress?, destination: SocketAddress?)
    }

    /// The longest text header, its line end included.
    static let textLimit = 107
    /// The longest binary header: addresses and what few TLVs (ALPN, authority, TLS facts) need.
    static let binaryLimit = 16 + 4096

    private static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
    private static let word: [UInt8] = Array("PROXY ".utf8)

    static func read(_ bytes: UnsafeRawBufferPointer, _ versions: ProxyProtocolRule.Versions) -> Outcome {
        if bytes.starts(with: signature.prefix(bytes.count)) {
            guard versions.contains(.binary) else { return .refused("version 2 is not allowed") }
            return bytes.count < 16 ? .incomplete : readBinary(bytes)
        }
        if bytes.starts(with: word.prefix(bytes.count)) {
            guard versions.contains(.text) else { return .refused("version 1 is not allowed") }
            return readText(bytes)
        }
        return .refused("there is no header")
    }

    // MARK: Version 1

    private static func readText(_ bytes: UnsafeRawBufferPointer) -> Outcome {
        let visible = bytes.prefix(textLimit)
        guard let end = visible.firstIndex(of: 0x0A) else {
            // A line that ends without CR or goes on for ever is none.
            return visible.count == textLimit ? .refused("the line is too long") : .incomplete
        }
        guard end > word.count, bytes[end - 1] == 0x0D, !visible.prefix(end - 1).contains(0x0D) else {
            return .refused("the line end is not CR LF")
        }
        let line = bytes[word.count..<(end - 1)]
        let words = line.split(separator: 0x20, omittingEmptySubsequences: false)
        switch words.first.map({ String(decoding: $0, as: UTF8.self) }) {
        case "UNKNOWN": return .accepted(length: end + 1, source: nil, destination: nil)
        case "TCP4": return text(words, family: 4, length: end + 1)
        case "TCP6": return text(words, family: 6, length: end + 1)
        default: return .refused("the protocol is not TCP4, TCP6 or UNKNOWN")
        }
    }

    private static func text(_ words: [Slice<UnsafeRawBufferPointer>], family: UInt8, length: Int) -> Outcome {
        guard words.count == 5, let sourcePort = port(words[3]), let destinationPort = port(words[4]),
            let source = SocketAddress(String(decoding: words[1], as: UTF8.self), port: sourcePort),
            let destination = SocketAddress(String(decoding: words[2], as: UTF8.self), port: destinationPort),
            source.family == family, destination.family == family
        else { return .refused("the addresses are malformed") }
        return .accepted(length: length, source: source, destination: destination)
    }

    /// 0 to 65535 in decimal, without leading zeros.
    private static func port(_ digits: Slice<UnsafeRawBufferPointer>) -> UInt16? {
        guard (1...5).contains(digits.count), digits.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }),
            digits.count == 1 || digits.first != 0x30
        else { return nil }
        return UInt16(exactly: digits.reduce(0) { $0 * 10 + Int($1) - 0x30 })
    }

    // MARK: Version 2

    private static func readBinary(_ bytes: UnsafeRawBufferPointer) -> Outcome {
        let command = bytes[12]
        let family = bytes[13]
        let length = 16 + (Int(bytes[14]) << 8 | Int(bytes[15]))
        guard command == 0x20 || command == 0x21 else { return .refused("the version or the command is unknown") }
        guard length <= binaryLimit else { return .refused("the header is too long") }
        guard bytes.count >= length else { return .incomplete }
        // LOCAL: the balancer speaks for itself (a health check); whatever follows is skipped.
        guard command == 0x21 else { return .accepted(length: length, source: nil, destination: nil) }
        let size: Int
        switch family {
        case 0x00: return .accepted(length: length, source: nil, destination: nil)
        case 0x11: size = 12
        case 0x21: size = 36
        case 0x31: size = 216
        default: return .refused("the address family or the transport is not supported")
        }
        guard length - 16 >= size else { return .refused("the addresses are cut off") }
        let header = UnsafeRawBufferPointer(rebasing: bytes[..<length])
        if let fault = checkValues(header, from: 16 + size) { return .refused(fault) }
        guard size != 216 else { return .accepted(length: length, source: nil, destination: nil) }
        let width = size == 12 ? 4 : 16
        return .accepted(
            length: length,
            source: address(header, at: 16, width, port: 16 + 2 * width),
            destination: address(header, at: 16 + width, width, port: 18 + 2 * width)
        )
    }

    private static func address(_ header: UnsafeRawBufferPointer, at start: Int, _ width: Int, port: Int)
        -> SocketAddress
    {
        SocketAddress(
            bytes: UnsafeRawBufferPointer(rebasing: header[start..<(start + width)]),
            port: UInt16(header[port]) << 8 | UInt16(header[port + 1])
        )
    }

    /// The type-length-value fields must fill the rest of the header exactly; a checksum among them must hold.
    private static func checkValues(_ header: UnsafeRawBufferPointer, from start: Int) -> StaticString? {
        var position = start
        var checksum: Int?
        while position < header.count {
            guard header.count - position >= 3 else { return "a field is cut off" }
            let length = Int(header[position + 1]) << 8 | Int(header[position + 2])
            guard header.count - position - 3 >= length else { return "a field reaches past the header" }
            if header[position] == 0x03 {
                guard length == 4, checksum == nil else { return "the checksum is malformed" }
                checksum = position + 3
            }
            position += 3 + length
        }
        guard let checksum else { return nil }
        var stated: UInt32 = 0
        for index in 0..<4 { stated = stated << 8 | UInt32(header[checksum + index]) }
        let actual = castagnoli(header, zeroing: checksum..<(checksum + 4))
        return stated == actual ? nil : "the checksum is wrong"
    }

    /// CRC-32C (RFC 4960 appendix B) with four bytes taken as zero. Headers are short and rare: bit by bit is enough.
    private static func castagnoli(_ bytes: UnsafeRawBufferPointer, zeroing zeroed: Range<Int>) -> UInt32 {
        var sum: UInt32 = .max
        for index in bytes.indices {
            sum ^= zeroed.contains(index) ? 0 : UInt32(bytes[index])
            for _ in 0..<8 { sum = sum & 1 == 0 ? sum >> 1 : sum >> 1 ^ 0x82F6_3B78 }
        }
        return ~sum
    }
}

/// When a listener demands the PROXY protocol, and of whom. Immutable.
struct ProxyProtocolRule: Sendable {
    struct Versions: OptionSet, Sendable {
        let rawValue: UInt8
        static let text = Versions(rawValue: 1)
        static let binary = Versions(rawValue: 2)
    }

    var versions: Versions = [.text, .binary]
    /// Who may say so; empty: everybody who can connect.
    var networks: [AddressRange] = []
    /// Until the whole header is there, nanoseconds.
    var timeout: UInt64 = 1_000_000_000

    func trusts(_ peer: IPKey) -> Bool { networks.isEmpty || networks.contains { $0.contains(peer) } }
}
