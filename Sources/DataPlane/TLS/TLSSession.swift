import COpenSSL
import Glibc

/// One TLS connection over a non-blocking socket. A plain pointer: whoever made it ends it with `free`, before the socket closes.
///
/// Belongs to one thread.
package struct TLSSession: BitwiseCopyable {
    private let handle: OpaquePointer

    /// A client asks for `name` (SNI). With `wanted` the server's certificate has to be for that host, beside the context's rule.
    /// `prefix` are bytes that were read from the socket already.
    package init?(
        _ context: TLSContext,
        fd: Int32,
        name: String? = nil,
        wanted: String? = nil,
        prefix: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
    ) {
        func make(_ name: UnsafePointer<CChar>?, _ wanted: UnsafePointer<CChar>?) -> OpaquePointer? {
            wtls_session_new(context.handle, fd, name, wanted, prefix.baseAddress, prefix.count)
        }
        func withText<Result>(_ text: String?, _ work: (UnsafePointer<CChar>?) -> Result) -> Result {
            guard let text else { return work(nil) }
            return text.withCString(work)
        }
        guard let made = withText(name, { name in withText(wanted) { make(name, $0) } }) else { return nil }
        handle = made
    }

    package func free() { wtls_session_free(handle) }

    package enum Progress: Sendable { case done, wantsRead, wantsWrite, failed }

    /// Goes on with the handshake.
    package func handshake() -> Progress {
        switch wtls_handshake(handle) {
        case 1: .done
        case 0: .wantsRead
        case 2: .wantsWrite
        default: .failed
        }
    }

    /// Reads what is there: a count, 0 at the end that the peer declared, or `-errno`: EAGAIN, ECONNRESET when the stream was
    /// cut off, EPROTO when the peer broke the protocol.
    package func receive(_ bytes: UnsafeMutableRawPointer, _ count: Int) -> Int { wtls_receive(handle, bytes, count) }

    /// Whether bytes are held inside that no event of the socket will tell of. To be asked after `receive`.
    package var hasMore: Bool { wtls_has_more(handle) != 0 }

    /// Writes what fits: a count or `-errno`. After EAGAIN the same bytes, and at least as many, must come next.
    package func send(_ bytes: UnsafeRawPointer, _ count: Int) -> Int { wtls_send(handle, bytes, count) }

    /// Writes three pieces, as one record where they fit. With `more` the end follows at once, in the same packet.
    package func send(
        _ first: UnsafeRawPointer?,
        _ firstCount: Int,
        _ second: UnsafeRawPointer?,
        _ secondCount: Int,
        _ third: UnsafeRawPointer?,
        _ thirdCount: Int,
        more: Bool = false
    ) -> Int {
        more
            ? wtls_send3_more(handle, first, firstCount, second, secondCount, third, thirdCount)
            : wtls_send3(handle, first, firstCount, second, secondCount, third, thirdCount)
    }

    /// Whether the peer has neither sent nor ended anything.
    package var isQuiet: Bool { wtls_is_quiet(handle) != 0 }

    /// Declares the end of what is sent; the socket's own end must follow, and both go out together.
    package func end() { wtls_end(handle) }

    /// Why it failed; empty as long as it did not.
    package var reason: String { String(cString: wtls_reason(handle)) }
    /// Whether the peer gave a certificate whose chain and names are good.
    package var isVerified: Bool { wtls_is_verified(handle) != 0 }
    /// Whether the peer gave a certificate.
    package var hasPeer: Bool { wtls_has_peer(handle) != 0 }

    package enum Failure: Sendable { case none, other, noCertificate, chain, identity }

    /// What kind of failure it was.
    package var failure: Failure {
        switch wtls_failure(handle) {
        case wtls_failure_other: .other
        case wtls_failure_no_certificate: .noCertificate
        case wtls_failure_chain: .chain
        case wtls_failure_identity: .identity
        default: .none
        }
    }
    package var isVersion13: Bool { wtls_is_version13(handle) != 0 }
    package var version: String { String(cString: wtls_version(handle)) }
    package var cipher: String { String(cString: wtls_cipher(handle)) }
    package var wasResumed: Bool { wtls_was_resumed(handle) != 0 }
    /// The name that the client asked for.
    package var serverName: String? { wtls_server_name(handle).map { String(cString: $0) } }

    /// The application protocol that was agreed on.
    package var applicationProtocol: String? {
        var bytes: UnsafePointer<UInt8>?
        let count = wtls_protocol(handle, &bytes)
        guard count > 0 else { return nil }
        return String(decoding: UnsafeBufferPointer(start: bytes, count: count), as: UTF8.self)
    }

    /// Who the peer is; nil when it gave no certificate.
    package var peer: PeerIdentity? {
        var identity: PeerIdentity?
        _ = withUnsafeMutablePointer(to: &identity) { place in
            wtls_peer(
                handle,
                { place, peer in
                    guard let peer else { return }
                    place?.assumingMemoryBound(to: PeerIdentity?.self).pointee = PeerIdentity(peer.pointee)
                },
                place
            )
        }
        return identity
    }

    func peerName(isOrganization: Bool, _ index: Int) -> String? {
        var text = [UInt8](repeating: 0, count: 256)
        let length = text.withUnsafeMutableBytes {
            wtls_peer_name(handle, isOrganization ? 1 : 0, Int32(index), $0.baseAddress, $0.count)
        }
        guard length >= 0 else { return nil }
        return String(validating: text.prefix(length), as: UTF8.self)
    }

    /// The SHA-256 of the peer's certificate in hexadecimal digits.
    package var peerDigest: String? {
        var digits = [CChar](repeating: 0, count: 65)
        guard digits.withUnsafeMutableBufferPointer({ wtls_peer_digest(handle, $0.baseAddress) }) == 1 else {
            return nil
        }
        return String(decoding: digits.prefix(64).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The SHA-1 of the peer's certificate in hexadecimal digits: for those who look certificates up by it.
    package var peerShortDigest: String? {
        var digits = [CChar](repeating: 0, count: 41)
        guard digits.withUnsafeMutableBufferPointer({ wtls_peer_short_digest(handle, $0.baseAddress) }) == 1 else {
            return nil
        }
        return String(decoding: digits.prefix(40).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// What the peer's certificate says; nil when it gave none. Reads the certificate anew each time.
    package var peerCertificate: CertificateFacts? { CertificateFacts.of(handle, own: false) }
    /// What the certificate says that was shown to the peer.
    package var ownCertificate: CertificateFacts? { CertificateFacts.of(handle, own: true) }

    /// The peer's certificate in PEM, with `chain` all that it sent; empty when it gave none.
    package func peerText(chain: Bool) -> [UInt8] {
        var length = 0
        guard let text = wtls_peer_text(handle, chain ? 1 : 0, &length) else { return [] }
        defer { Glibc.free(text) }
        return Array(UnsafeRawBufferPointer(start: text, count: length))
    }

    /// The number of the session in hexadecimal digits; empty where there is none.
    package var sessionID: String {
        var id = [UInt8](repeating: 0, count: 32)
        let length = id.withUnsafeMutableBufferPointer { wtls_session_id(handle, $0.baseAddress) }
        return id.prefix(length).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// The group of the key exchange; empty where there was none.
    package var group: String { String(cString: wtls_group(handle)) }
}
