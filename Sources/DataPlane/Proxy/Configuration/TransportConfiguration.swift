import Reactor

/// How endpoints of a cluster, or some of them, are spoken to.
final class TransportConfiguration: Sendable {
    /// nil: in the clear.
    let tls: TLSHolder?
    /// What is said before anything else; nil: nothing.
    let introduction: ProxyIntroduction?

    init(tls: TLSHolder?, introduction: ProxyIntroduction?) {
        self.tls = tls
        self.introduction = introduction
    }

    /// What of a request's host goes into TLS.
    struct Naming: OptionSet, Sendable, BitwiseCopyable {
        let rawValue: UInt8
        /// It is asked for (SNI).
        static let sni = Naming(rawValue: 1)
        /// The endpoint's certificate has to be for it.
        static let san = Naming(rawValue: 2)
    }
}

/// The header of the PROXY protocol towards endpoints.
struct ProxyIntroduction: Sendable, Equatable {
    enum Version: Sendable { case text, binary }
    static let valuesLimit = 4096

    var version: Version
    /// Values beside the addresses, as they are sent.
    private(set) var values: [UInt8] = []

    init(version: Version) { self.version = version }

    mutating func add(_ type: UInt8, _ value: [UInt8]) {
        values += [type, UInt8(truncatingIfNeeded: value.count >> 8), UInt8(truncatingIfNeeded: value.count)] + value
    }

    /// The header for a client. Without an address on either side it says only that there is none.
    func bytes(from source: SocketAddress, to destination: SocketAddress) -> [UInt8] {
        let isKnown = source.family != 0 && destination.family != 0
        let isIPv6 = source.isIPv6 || destination.isIPv6
        switch version {
        case .text:
            guard isKnown else { return Array("PROXY UNKNOWN\r\n".utf8) }
            let ends = [source, destination].map { address in
                isIPv6 && !address.isIPv6 ? "::ffff:\(address.host)" : address.host
            }
            let text = "PROXY TCP\(isIPv6 ? 6 : 4) \(ends[0]) \(ends[1]) \(source.port) \(destination.port)\r\n"
            return Array(text.utf8)
        case .binary:
            var body: [UInt8] = []
            if isKnown {
                for address in [source, destination] {
                    if isIPv6, !address.isIPv6 { body += [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF] }
                    body += address.bytes
                }
                for port in [source.port, destination.port] {
                    body += [UInt8(truncatingIfNeeded: port >> 8), UInt8(truncatingIfNeeded: port)]
                }
            }
            body += values
            let kind: [UInt8] = isKnown ? [0x21, isIPv6 ? 0x21 : 0x11] : [0x20, 0x00]
            let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
            let length = [UInt8(truncatingIfNeeded: body.count >> 8), UInt8(truncatingIfNeeded: body.count)]
            return signature + kind + length + body
        }
    }
}
