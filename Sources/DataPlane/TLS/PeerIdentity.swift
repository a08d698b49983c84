import COpenSSL

/// Who a peer is by its certificate.
package struct PeerIdentity: Sendable, Equatable {
    /// A subject alternative name. `bytes` may hold anything.
    package struct Name: Sendable, Equatable {
        package enum Kind: Sendable { case dns, uri, ip, email }
        package var kind: Kind
        package var bytes: [UInt8]

        package init(_ kind: Kind, _ bytes: [UInt8]) {
            self.kind = kind
            self.bytes = bytes
        }

        package init(_ kind: Kind, _ text: String) { self.init(kind, Array(text.utf8)) }

        /// Readable; addresses as such, bytes that are no printable ASCII escaped.
        package var text: String {
            if kind == .ip { return Self.address(bytes) }
            return bytes.reduce(into: "") { text, byte in
                if byte > 0x20, byte < 0x7F, byte != 0x5C {
                    text.unicodeScalars.append(Unicode.Scalar(byte))
                } else {
                    let digits = String(byte, radix: 16)
                    text += "\\x" + (digits.utf8.count < 2 ? "0" : "") + digits
                }
            }
        }

        /// Only printable ASCII: no NUL that another reader would stop at, nothing invisible.
        package var isPlain: Bool { kind == .ip || bytes.allSatisfy { $0 > 0x20 && $0 < 0x7F } }

        private static func address(_ bytes: [UInt8]) -> String {
            if bytes.count == 4 { return bytes.map(String.init).joined(separator: ".") }
            guard bytes.count == 16 else { return "an address of \(bytes.count) bytes" }
            let groups = stride(from: 0, to: 16, by: 2).map { UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]) }
            return groups.map { String($0, radix: 16) }.joined(separator: ":")
        }
    }

    package var names: [Name] = []
    package var subject = ""
    package var isAuthority = false
    /// keyCertSign or cRLSign are among the key's uses.
    package var maySignCertificates = false

    package init(names: [Name] = [], subject: String = "") {
        self.names = names
        self.subject = subject
    }

    init(_ peer: wtls_peer) {
        subject = peer.subject.map { String(cString: $0) } ?? ""
        isAuthority = peer.is_authority != 0
        maySignCertificates = peer.may_sign_certificates != 0
        for name in UnsafeBufferPointer(start: peer.names, count: peer.count) {
            let bytes = Array(UnsafeBufferPointer(start: name.bytes, count: name.length))
            switch wtls_san_kind(UInt32(bitPattern: name.kind)) {
            case wtls_san_dns: names.append(Name(.dns, bytes))
            case wtls_san_uri: names.append(Name(.uri, bytes))
            case wtls_san_ip: names.append(Name(.ip, bytes))
            case wtls_san_email: names.append(Name(.email, bytes))
            default: break
            }
        }
    }

    package var uris: [Name] { names.filter { $0.kind == .uri } }
    package var dnsNames: [Name] { names.filter { $0.kind == .dns } }

    /// The SPIFFE id, when there is one and it is the only URI.
    package var spiffe: SPIFFEIdentity? {
        let uris = uris
        return uris.count == 1 ? SPIFFEIdentity(uris[0].bytes) : nil
    }

    /// Whether any name claims to be a SPIFFE id, in whatever spelling.
    var claimsSPIFFE: Bool {
        uris.contains { uri in uri.bytes.prefix(7).map { $0 | 0x20 }.elementsEqual("spiffe:".utf8.map { $0 | 0x20 }) }
    }

    /// The names for a message, as many as fit.
    package var summary: String {
        let shown = names.prefix(4).map(\.text).joined(separator: ", ")
        if names.isEmpty { return "no names" }
        return names.count > 4 ? shown + " and \(names.count - 4) more" : shown
    }
}

/// A workload's name: `spiffe://TRUST-DOMAIN/PATH`, as the SPIFFE-ID text allows it and nothing more. Compared byte by byte.
package struct SPIFFEIdentity: Sendable, Hashable {
    package let text: String
    package let trustDomain: String

    /// nil for whatever is not exactly in the standard's form: other case of the scheme or trust domain, port, query, user,
    /// escapes, empty or dot segments, no path.
    package init?(_ bytes: [UInt8]) {
        let scheme = Array("spiffe://".utf8)
        guard bytes.count <= 2048, bytes.starts(with: scheme) else { return nil }
        let rest = bytes[scheme.count...]
        let domain = rest.prefix { $0 != 0x2F }
        guard !domain.isEmpty, domain.count <= 255, domain.allSatisfy(Self.isDomainByte) else { return nil }
        let path = rest.dropFirst(domain.count)
        guard path.count > 1 else { return nil }
        for segment in path.dropFirst().split(separator: 0x2F, omittingEmptySubsequences: false) {
            guard !segment.isEmpty, segment.allSatisfy(Self.isPathByte), !segment.elementsEqual([0x2E]),
                !segment.elementsEqual([0x2E, 0x2E])
            else { return nil }
        }
        text = String(decoding: bytes, as: UTF8.self)
        trustDomain = String(decoding: domain, as: UTF8.self)
    }

    private static func isDomainByte(_ byte: UInt8) -> Bool {
        byte >= 0x61 && byte <= 0x7A || byte >= 0x30 && byte <= 0x39 || byte == 0x2E || byte == 0x2D || byte == 0x5F
    }

    private static func isPathByte(_ byte: UInt8) -> Bool { isDomainByte(byte) || byte >= 0x41 && byte <= 0x5A }
}
