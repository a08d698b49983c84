import COpenSSL

/// What stands in a certificate, for pages, metrics and the choice by name.
package struct CertificateFacts: Sendable, Equatable {
    package var identity: PeerIdentity
    package var issuer: String
    /// Hexadecimal digits.
    package var serial: String
    /// Seconds since 1970.
    package var notBefore: Int64
    package var notAfter: Int64
    package var keyType: String

    /// The names for which it may be chosen: its DNS names; without any, the common name is none.
    var serverNames: [String] { identity.dnsNames.filter(\.isPlain).map(\.text) }

    /// The certificates of a PEM text.
    ///
    /// - Throws: when there is none.
    package static func read(_ text: [UInt8]) throws(TLSError) -> [CertificateFacts] {
        var found: [CertificateFacts] = []
        var count: Int32 = -1
        let failure = TLSContext.errorText { message, size in
            count = withUnsafeMutablePointer(to: &found) { list in
                text.withUnsafeBytes { raw in
                    wtls_certificates(raw.baseAddress, raw.count, Self.collect, list, message, size)
                }
            }
        }
        guard count > 0 else { throw TLSError(failure) }
        return found
    }

    /// The certificates of a session.
    static func of(_ session: OpaquePointer, own: Bool) -> CertificateFacts? {
        var found: [CertificateFacts] = []
        _ = withUnsafeMutablePointer(to: &found) { wtls_session_certificate(session, own ? 1 : 0, Self.collect, $0) }
        return found.first
    }

    private static let collect: @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<wtls_certificate>?) -> Void = {
        list,
        certificate in
        guard let list = list?.assumingMemoryBound(to: [CertificateFacts].self), let certificate,
            let peer = certificate.pointee.peer
        else { return }
        func text(_ start: UnsafePointer<CChar>?) -> String { start.map { String(cString: $0) } ?? "" }
        list.pointee.append(
            CertificateFacts(
                identity: PeerIdentity(peer.pointee),
                issuer: text(certificate.pointee.issuer),
                serial: text(certificate.pointee.serial),
                notBefore: certificate.pointee.not_before,
                notAfter: certificate.pointee.not_after,
                keyType: text(certificate.pointee.key_type)
            )
        )
    }
}
