import COpenSSL

/// Why a context cannot be made of a configuration.
package struct TLSError: Error, Sendable, Equatable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

package enum TLSVersion: Int32, Sendable { case v12 = 0x0303, v13 = 0x0304 }

/// A certificate with its chain and its key, in PEM.
package struct TLSCertificate: Sendable, Hashable {
    package var chain: [UInt8]
    package var key: [UInt8]
    package var password: String?

    package init(chain: [UInt8], key: [UInt8], password: String? = nil) {
        self.chain = chain
        self.key = key
        self.password = password
    }
}

/// What a context is made of. The defaults are safe: TLS 1.2 and 1.3, forward secrecy, authenticated encryption.
package struct TLSSettings: Sendable, Hashable {
    package enum Verification: Sendable { case none, optional, required }

    package var isServer: Bool
    package var minimum = TLSVersion.v12
    package var maximum = TLSVersion.v13
    /// For TLS 1.2, in OpenSSL's names; empty: the safe ones.
    package var ciphers: [String] = []
    package var groups: [String] = []
    package var certificates: [TLSCertificate] = []
    /// In the order of preference.
    package var protocols: [String] = []
    package var verification = Verification.none
    /// PEM bundles.
    package var authorities: [[UInt8]] = []
    package var trustsSystem = false
    package var revocations: [UInt8]?
    package var maximumDepth: Int?
    /// Tickets, where no certificate of the peer is asked for.
    package var allowsResumption = true
    package var rule = PeerRule()
    /// Only the peer's own certificate is looked up in `revocations`.
    package var revokesLeafOnly = false
    package var ignoresDates = false
    /// Whatever the peer shows is taken; `TLSSession.isVerified` says what it is worth.
    package var acceptsUntrusted = false
    /// The rule's digests say who the peer is; no authority is asked.
    package var skipsChain = false
    package var checksKeyUsage = false
    package var prefersClientCiphers = false
    /// How long sessions may be resumed; 0 = two hours.
    package var sessionSeconds = 0
    /// A client keeps so many sessions for resumption.
    package var keptSessions = 0
    /// Names of signature schemes; empty: the safe ones.
    package var signatures: [String] = []

    package init(isServer: Bool) { self.isServer = isServer }
}

/// Certificates, trust and rules from which sessions are made. Immutable; any thread may make sessions of it.
///
/// Sessions keep what they need of it alive. Safety: OpenSSL's contexts are safe to share once they are complete, and the count
/// of users is atomic.
package final class TLSContext: @unchecked Sendable {
    let handle: OpaquePointer
    /// What the own certificates say, for pages.
    package let certificates: [CertificateFacts]
    package let authorities: [CertificateFacts]

    /// What the hooks of a context look at. Owned by the context's C part.
    private final class Owner: Sendable {
        let rule: PeerRule
        let table: ServerNameTable

        init(rule: PeerRule, table: ServerNameTable) {
            self.rule = rule
            self.table = table
        }
    }

    /// - Throws: what is wrong with a certificate, key, bundle or setting.
    package init(_ settings: TLSSettings) throws(TLSError) {
        var table = ServerNameTable()
        var own: [CertificateFacts] = []
        var places: [Int] = []
        for certificate in settings.certificates {
            guard let leaf = try CertificateFacts.read(certificate.chain).first else { continue }
            let names = leaf.serverNames
            // The same names with another kind of key stand beside the first.
            let beside = own.indices.first { own[$0].serverNames == names && own[$0].keyType != leaf.keyType }
            let place = beside.map { places[$0] } ?? (places.max() ?? -1) + 1
            table.add(names, place: place)
            places.append(place)
            own.append(leaf)
        }
        let owner = Owner(rule: settings.rule, table: table)
        handle = try Self.make(settings, owner)
        certificates = own
        do {
            for (index, certificate) in settings.certificates.enumerated() {
                let beside = places.prefix(index).contains(places[index]) ? places[index] : -1
                try Self.add(certificate, beside: beside, to: handle)
            }
            authorities = try Self.trust(settings, handle)
        } catch {
            wtls_context_free(handle)
            throw error
        }
        wtls_context_finish(handle)
    }

    deinit { wtls_context_free(handle) }

    private static func make(_ settings: TLSSettings, _ owner: Owner) throws(TLSError) -> OpaquePointer {
        var wire: [UInt8] = []
        for name in settings.protocols {
            guard !name.isEmpty, name.utf8.count <= 255 else {
                throw TLSError("\"\(name)\" is no application protocol")
            }
            wire.append(UInt8(name.utf8.count))
            wire += Array(name.utf8)
        }
        let ciphers = settings.ciphers.joined(separator: ":")
        let groups = settings.groups.joined(separator: ":")
        let signatures = settings.signatures.joined(separator: ":")
        var hooks = wtls_hooks()
        hooks.release = { if let owner = $0 { Unmanaged<Owner>.fromOpaque(owner).release() } }
        hooks.choose = { owner, name, length in
            guard let owner, let name else { return 0 }
            let bytes = UnsafeRawBufferPointer(start: name, count: length)
            return Int32(Unmanaged<Owner>.fromOpaque(owner).takeUnretainedValue().table.place(of: Array(bytes)))
        }
        hooks.judge = { owner, peer, reason, size in
            guard let owner, let peer else { return 0 }
            let rule = Unmanaged<Owner>.fromOpaque(owner).takeUnretainedValue().rule
            let wanted = peer.pointee.wanted_name.map { String(cString: $0) }
            let objection =
                rule.objection(
                    toDigest: UnsafeRawBufferPointer(start: peer.pointee.digest, count: 32),
                    keyDigest: UnsafeRawBufferPointer(start: peer.pointee.key_digest, count: 32)
                ) ?? rule.objection(to: PeerIdentity(peer.pointee), wanted: wanted)
            guard let objection else { return 1 }
            TLSContext.write(objection, reason, size)
            return 0
        }
        let retained = Unmanaged.passRetained(owner).toOpaque()
        var made: OpaquePointer?
        let failure = errorText { text, size in
            wire.withUnsafeBufferPointer { wire in
                ciphers.withCString { ciphers in
                    groups.withCString { groups in
                        signatures.withCString { signatures in
                            var native = wtls_settings()
                            native.is_server = settings.isServer ? 1 : 0
                            native.minimum_version = settings.minimum.rawValue
                            native.maximum_version = settings.maximum.rawValue
                            native.ciphers = settings.ciphers.isEmpty ? nil : ciphers
                            native.groups = settings.groups.isEmpty ? nil : groups
                            native.protocols = wire.baseAddress
                            native.protocols_length = wire.count
                            switch settings.verification {
                            case .none: native.verify = wtls_verify_none
                            case .optional: native.verify = wtls_verify_optional
                            case .required: native.verify = wtls_verify_required
                            }
                            // A ticket would carry an identity past the checks of a full handshake.
                            native.allows_resumption =
                                settings.isServer && settings.allowsResumption && settings.verification == .none ? 1 : 0
                            native.revokes_leaf_only = settings.revokesLeafOnly ? 1 : 0
                            native.ignores_dates = settings.ignoresDates ? 1 : 0
                            native.accepts_untrusted = settings.acceptsUntrusted ? 1 : 0
                            native.skips_chain = settings.skipsChain ? 1 : 0
                            native.checks_key_usage = settings.checksKeyUsage ? 1 : 0
                            native.prefers_client_ciphers = settings.prefersClientCiphers ? 1 : 0
                            native.session_seconds = settings.sessionSeconds
                            native.kept_sessions = Int32(clamping: settings.keptSessions)
                            native.signatures = settings.signatures.isEmpty ? nil : signatures
                            native.checks_revocation = settings.revocations == nil ? 0 : 1
                            native.maximum_depth = Int32(clamping: settings.maximumDepth ?? -1)
                            made = wtls_context_new(&native, &hooks, retained, text, size)
                        }
                    }
                }
            }
        }
        guard let made else { throw TLSError(failure) }
        return made
    }

    private static func add(_ certificate: TLSCertificate, beside: Int, to handle: OpaquePointer) throws(TLSError) {
        var place: Int32 = -1
        let failure = errorText { text, size in
            certificate.chain.withUnsafeBytes { chain in
                certificate.key.withUnsafeBytes { key in
                    func add(_ password: UnsafePointer<CChar>?) {
                        place = wtls_context_add(
                            handle,
                            chain.baseAddress,
                            chain.count,
                            key.baseAddress,
                            key.count,
                            password,
                            Int32(beside),
                            text,
                            size
                        )
                    }
                    if let password = certificate.password { password.withCString { add($0) } } else { add(nil) }
                }
            }
        }
        guard place >= 0 else { throw TLSError(failure) }
    }

    private static func trust(_ settings: TLSSettings, _ handle: OpaquePointer) throws(TLSError) -> [CertificateFacts] {
        var facts: [CertificateFacts] = []
        for bundle in settings.authorities {
            var count: Int32 = -1
            let failure = errorText { text, size in
                count = bundle.withUnsafeBytes { wtls_context_trust(handle, $0.baseAddress, $0.count, text, size) }
            }
            guard count > 0 else { throw TLSError(failure) }
            facts += try CertificateFacts.read(bundle)
        }
        if settings.trustsSystem, wtls_context_trust_system(handle) != 1 {
            throw TLSError("the system's authorities cannot be read")
        }
        if let lists = settings.revocations {
            var count: Int32 = -1
            let failure = errorText { text, size in
                count = lists.withUnsafeBytes { wtls_context_revoke(handle, $0.baseAddress, $0.count, text, size) }
            }
            guard count > 0 else { throw TLSError(failure) }
        }
        return facts
    }

    static func errorText(_ work: (UnsafeMutablePointer<CChar>?, Int) -> Void) -> String {
        var text = [CChar](repeating: 0, count: 512)
        text.withUnsafeMutableBufferPointer { work($0.baseAddress, $0.count) }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func write(_ message: String, _ place: UnsafeMutablePointer<CChar>?, _ size: Int) {
        guard let place, size > 0 else { return }
        let bytes = message.utf8.prefix(size - 1)
        for (index, byte) in bytes.enumerated() { place[index] = CChar(bitPattern: byte) }
        place[bytes.count] = 0
    }
}
