import COpenSSL
import Glibc

/// Makes certificates for a small authority of one's own.
package enum CertificateIssuer {
    /// A certificate and its key, in PEM.
    package struct Issued: Sendable, Equatable {
        package let certificate: String
        package let key: String

        package init(certificate: String, key: String) {
            self.certificate = certificate
            self.key = key
        }
    }

    /// A new authority that signs itself.
    package static func authority(name: String, days: Int) throws(TLSError) -> Issued {
        try issue(name, organizations: [], names: nil, days: days, isServer: false, by: nil)
    }

    /// A server's certificate; `names` are texts such as `DNS:localhost` and `IP:127.0.0.1`.
    package static func server(
        name: String,
        names: [String],
        days: Int,
        by authority: Issued
    ) throws(TLSError) -> Issued {
        try issue(
            name,
            organizations: [],
            names: names.joined(separator: ","),
            days: days,
            isServer: true,
            by: authority
        )
    }

    /// A client's certificate: who it is and its groups.
    ///
    /// - Throws: for a name or group that is empty, longer than 64 bytes or holds a NUL.
    package static func client(
        name: String,
        groups: [String],
        days: Int,
        by authority: Issued
    ) throws(TLSError) -> Issued {
        for text in [name] + groups where text.isEmpty || text.utf8.count > 64 || text.utf8.contains(0) {
            throw TLSError("a certificate's names have 1 to 64 bytes")
        }
        return try issue(name, organizations: groups, names: nil, days: days, isServer: false, by: authority)
    }

    private static func issue(
        _ name: String,
        organizations: [String],
        names: String?,
        days: Int,
        isServer: Bool,
        by authority: Issued?
    ) throws(TLSError) -> Issued {
        let nameText = strdup(name)
        let groups = organizations.map { strdup($0) }
        let namesText = names.map { strdup($0) } ?? nil
        let issuer = authority.map { strdup($0.certificate) } ?? nil
        let issuerKey = authority.map { strdup($0.key) } ?? nil
        defer { for text in [nameText, namesText, issuer, issuerKey] + groups { free(text) } }
        var certificate: UnsafeMutablePointer<CChar>?
        var key: UnsafeMutablePointer<CChar>?
        var isMade = false
        let why = TLSContext.errorText { text, size in
            let pointers = groups.map { $0.map { UnsafePointer($0) } }
            pointers.withUnsafeBufferPointer { groups in
                var wish = wtls_wish()
                wish.common_name = nameText.map { UnsafePointer($0) }
                wish.organizations = groups.baseAddress
                wish.organization_count = groups.count
                wish.names = namesText.map { UnsafePointer($0) }
                wish.seconds = days * 86400
                wish.is_server = isServer ? 1 : 0
                isMade = wtls_issue(&wish, issuer, issuerKey, &certificate, &key, text, size) == 1
            }
        }
        defer {
            free(certificate)
            free(key)
        }
        guard isMade, let certificate, let key else { throw TLSError(why) }
        return Issued(certificate: String(cString: certificate), key: String(cString: key))
    }
}

extension TLSSession {
    /// The common name of the peer's certificate; nil when it gave none, or one without.
    package var peerCommonName: String? { peerName(isOrganization: false, 0) }

    /// The organizations of the peer's certificate.
    package var peerOrganizations: [String] {
        var names: [String] = []
        while names.count < 64, let name = peerName(isOrganization: true, names.count) { names.append(name) }
        return names
    }
}

/// Sums and bytes for tokens of one's own.
package enum TokenSecret {
    /// Bytes by chance.
    package static func random(_ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        return bytes.withUnsafeMutableBufferPointer { wsig_random($0.baseAddress, $0.count) } == 1 ? bytes : nil
    }

    /// HMAC with SHA-256; nil when it cannot be made.
    package static func sum(of message: [UInt8], secret: [UInt8]) -> [UInt8]? {
        var sum = [UInt8](repeating: 0, count: 32)
        let isMade = secret.withUnsafeBytes { secret in
            message.withUnsafeBytes { message in
                sum.withUnsafeMutableBufferPointer {
                    wsig_hmac(secret.baseAddress, secret.count, message.baseAddress, message.count, $0.baseAddress)
                }
            }
        }
        return isMade == 1 ? sum : nil
    }

    /// Whether a sum is right; takes the same time wherever it differs.
    package static func verify(_ sum: [UInt8], of message: [UInt8], secret: [UInt8]) -> Bool {
        secret.withUnsafeBytes { secret in
            message.withUnsafeBytes { message in
                sum.withUnsafeBytes {
                    wsig_verify_hmac(
                        256,
                        secret.baseAddress,
                        secret.count,
                        message.baseAddress,
                        message.count,
                        $0.baseAddress,
                        $0.count
                    )
                }
            }
        } == 1
    }
}
