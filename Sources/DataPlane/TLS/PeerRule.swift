/// What a name of a peer's certificate must look like.
package struct NameMatcher: Sendable, Hashable {
    package enum Pattern: Sendable, Hashable {
        case exact(String)
        case prefix(String)
        case suffix(String)
        case contains(String)
    }

    package var kind: PeerIdentity.Name.Kind
    package var pattern: Pattern
    package var ignoresCase: Bool

    package init(_ kind: PeerIdentity.Name.Kind, _ pattern: Pattern, ignoresCase: Bool = false) {
        self.kind = kind
        self.pattern = pattern
        self.ignoresCase = ignoresCase
    }

    package func accepts(_ name: PeerIdentity.Name) -> Bool {
        guard name.kind == kind, name.isPlain else { return false }
        // Names of hosts know no case (RFC 4343); all other names are compared byte by byte.
        let folds = ignoresCase || kind == .dns
        let bytes = fold(kind == .ip ? Array(name.text.utf8) : name.bytes, folds)
        switch pattern {
        case .exact(let text):
            let wanted = fold(Array(text.utf8), folds)
            return bytes == wanted || kind == .dns && Self.covers(bytes, wanted)
        case .prefix(let text): return bytes.starts(with: fold(Array(text.utf8), folds))
        case .suffix(let text): return bytes.reversed().starts(with: fold(Array(text.utf8), folds).reversed())
        case .contains(let text):
            let wanted = fold(Array(text.utf8), folds)
            guard bytes.count >= wanted.count else { return false }
            return (0...(bytes.count - wanted.count)).contains { bytes[$0...].starts(with: wanted) }
        }
    }

    private func fold(_ bytes: [UInt8], _ folds: Bool) -> [UInt8] { folds ? ServerName.lowercased(bytes) : bytes }

    /// Whether a certificate's `*.example.com` stands for `api.example.com`: one whole label, the leftmost (RFC 9525 section 6.3).
    static func covers(_ pattern: [UInt8], _ name: [UInt8]) -> Bool {
        guard pattern.starts(with: [0x2A, 0x2E]), pattern.dropFirst(2).contains(0x2E),
            let dot = name.firstIndex(of: 0x2E), dot > 0
        else { return false }
        return name[dot...].elementsEqual(pattern.dropFirst(1))
    }

    var text: String {
        switch pattern {
        case .exact(let text): text
        case .prefix(let text): "\(text)*"
        case .suffix(let text): "*\(text)"
        case .contains(let text): "*\(text)*"
        }
    }
}

/// What a peer's certificate must say, beyond that an authority vouches for it.
package struct PeerRule: Sendable, Hashable {
    /// One of them has to hold for one of the names; none: any name will do.
    package var names: [NameMatcher] = []
    /// The peer is a client: it must not come with an authority's certificate.
    package var isForClients = false
    /// SHA-256 of certificates, and of public keys with their kind: one of all these has to be the peer's; none: any will do.
    package var digests: [[UInt8]] = []
    package var keyDigests: [[UInt8]] = []

    package init(names: [NameMatcher] = [], isForClients: Bool = false) {
        self.names = names
        self.isForClients = isForClients
    }

    /// Why a certificate with these digests is refused; nil: it is accepted.
    func objection(toDigest digest: UnsafeRawBufferPointer, keyDigest: UnsafeRawBufferPointer) -> String? {
        guard !digests.isEmpty || !keyDigests.isEmpty else { return nil }
        if digests.contains(where: { $0.elementsEqual(digest) }) { return nil }
        if keyDigests.contains(where: { $0.elementsEqual(keyDigest) }) { return nil }
        return "neither the certificate's nor its key's SHA-256 is among those that are accepted"
    }

    /// Why the peer is refused; nil: it is accepted. With `wanted` the certificate has to be for that host, too.
    package func objection(to peer: PeerIdentity, wanted: String? = nil) -> String? {
        if let odd = peer.names.first(where: { !$0.isPlain }) {
            return "the certificate holds a name with unprintable bytes: \(odd.text)"
        }
        if peer.claimsSPIFFE {
            guard peer.uris.count == 1 else {
                return "a SPIFFE certificate has exactly one URI, this one has \(peer.uris.count)"
            }
            guard peer.spiffe != nil else { return "\(peer.uris[0].text) is no SPIFFE id" }
        }
        if isForClients || peer.claimsSPIFFE, peer.isAuthority || peer.maySignCertificates {
            return "the certificate of \(peer.subject) is an authority's, not a peer's"
        }
        if let wanted, !peer.names.contains(where: { NameMatcher(.dns, .exact(wanted)).accepts($0) }) {
            return "name mismatch: wanted \(wanted), got \(peer.summary)"
        }
        guard !names.isEmpty else { return nil }
        if peer.names.contains(where: { name in names.contains { $0.accepts(name) } }) { return nil }
        let texts = names.prefix(4).map(\.text).joined(separator: " or ")
        return "name mismatch: wanted \(texts), got \(peer.summary)"
    }
}
