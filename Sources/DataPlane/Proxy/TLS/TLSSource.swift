import EnvoyAPI
import Glibc
import TLS
import Wire

/// What a context is made of: the message, and the files that it names.
struct TLSSource: Sendable {
    /// For pages and the log: `listener shop/chain`, `cluster shop`.
    var owner: String
    var common: Envoy.CommonTlsContext
    var isServer: Bool
    var requiresPeer = false
    var allowsResumption = true
    var requiresName = false
    var protocols: [String] = []
    /// What endpoints are asked for; empty: their host name where `usesHostName`, else nothing.
    var name = ""
    var usesHostName = false
    /// The endpoint's certificate has to be for the name that was asked for.
    var checksName = false
    /// What the direction's own context says beside the common one.
    var sessionSeconds = 0
    var keptSessions = 0
    var prefersClientCiphers = false
    var checksKeyUsage = false
    /// By name the secrets that a control plane gives.
    var discovered: [String: ResourceKey] = [:]

    /// A file of PEM larger than this is refused.
    static let fileLimit = 4 << 20

    /// Whether something is to come from files of secrets or from a control plane that is not there yet.
    func mayComeLater(_ book: SecretBook) -> Bool {
        isWaiting(book) || secretPaths.contains { access($0, F_OK) != 0 }
    }

    /// Whether a control plane has not given all secrets yet.
    func isWaiting(_ book: SecretBook) -> Bool { discovered.values.contains { book[$0] == nil } }

    private var secrets: [Envoy.SdsSecretConfig] {
        var found = common.tlsCertificateSdsSecretConfigs
        switch common.validationContextType {
        case .validationContextSdsSecretConfig(let secret): found.append(secret)
        case .combinedValidationContext(let combined):
            if let secret = combined.validationContextSdsSecretConfig { found.append(secret) }
        case .validationContext, nil: break
        }
        return found
    }

    private var secretPaths: [String] { secrets.compactMap { $0.sdsConfig?.pathConfigSource?.path } }

    /// The files with the directories whose changes tell of them.
    func files(_ book: SecretBook) -> [(path: String, directory: String)] {
        var found: [(path: String, directory: String)] = []
        func add(_ path: String, _ directory: String?) {
            found.append((path, directory ?? ConfigurationStore.directory(of: path)))
        }
        func add(_ source: Envoy.DataSource?, _ directory: String?) {
            if case .filename(let path) = source?.specifier { add(path, directory) }
        }
        func add(_ certificate: Envoy.TlsCertificate) {
            for source in [certificate.certificateChain, certificate.privateKey, certificate.password] {
                add(source, certificate.watchedDirectory?.path)
            }
        }
        func add(_ validation: Envoy.CertificateValidationContext?) {
            add(validation?.trustedCa, validation?.watchedDirectory?.path)
            add(validation?.crl, validation?.watchedDirectory?.path)
        }
        for certificate in common.tlsCertificates { add(certificate) }
        switch common.validationContextType {
        case .validationContext(let validation): add(validation)
        case .combinedValidationContext(let combined): add(combined.defaultValidationContext)
        case .validationContextSdsSecretConfig, nil: break
        }
        for secret in secrets {
            var message: Envoy.Secret?
            if let source = secret.sdsConfig?.pathConfigSource {
                add(source.path, source.watchedDirectory?.path)
                message = try? self.secret(secret, book).get()
            } else {
                message = discovered[secret.name].flatMap { book[$0] }
            }
            // What a secret names in its turn.
            guard let message else { continue }
            switch message.type {
            case .tlsCertificate(let certificate): add(certificate)
            case .validationContext(let validation): add(validation)
            case nil: break
            }
        }
        return found
    }

    /// Reads everything and makes a context of it; nil: it would be the one whose settings had this hash.
    func load(
        _ book: SecretBook,
        unless known: Int? = nil
    ) -> Result<(context: TLSContext, hash: Int)?, TLSError> {
        do throws(TLSError) {
            let settings = try settings(book)
            let hash = settings.hashValue
            return .success(hash == known ? nil : (try TLSContext(settings), hash))
        } catch { return .failure(error) }
    }

    func settings(_ book: SecretBook) throws(TLSError) -> TLSSettings {
        var settings = TLSSettings(isServer: isServer)
        let parameters = common.tlsParams ?? Envoy.TlsParameters()
        settings.minimum = parameters.tlsMinimumProtocolVersion == .tlsv13 ? .v13 : .v12
        settings.maximum = parameters.tlsMaximumProtocolVersion == .tlsv12 ? .v12 : .v13
        settings.ciphers = parameters.cipherSuites.flatMap(Self.names)
        settings.groups = parameters.ecdhCurves
        settings.protocols = protocols
        settings.allowsResumption = allowsResumption
        settings.sessionSeconds = sessionSeconds
        settings.keptSessions = keptSessions
        settings.prefersClientCiphers = prefersClientCiphers
        settings.checksKeyUsage = checksKeyUsage
        settings.signatures = parameters.signatureAlgorithms
        for certificate in common.tlsCertificates { settings.certificates.append(try Self.certificate(certificate)) }
        for secret in common.tlsCertificateSdsSecretConfigs {
            guard case .tlsCertificate(let certificate) = try self.secret(secret, book).get().type else {
                throw TLSError("the secret \"\(secret.name)\" holds no tls_certificate")
            }
            settings.certificates.append(try Self.certificate(certificate))
        }
        switch common.validationContextType {
        case .validationContext(let validation): try apply(validation, &settings)
        case .validationContextSdsSecretConfig(let secret): try apply(try validation(secret, book), &settings)
        case .combinedValidationContext(let combined):
            var validation = combined.defaultValidationContext ?? Envoy.CertificateValidationContext()
            if let secret = combined.validationContextSdsSecretConfig {
                let dynamic = try self.validation(secret, book)
                validation.trustedCa = dynamic.trustedCa ?? validation.trustedCa
                validation.crl = dynamic.crl ?? validation.crl
                validation.matchTypedSubjectAltNames += dynamic.matchTypedSubjectAltNames
                validation.verifyCertificateHash += dynamic.verifyCertificateHash
                validation.verifyCertificateSpki += dynamic.verifyCertificateSpki
            }
            try apply(validation, &settings)
        case nil: break
        }
        settings.rule.isForClients = isServer
        if requiresPeer { settings.verification = .required }
        let isPinned = !settings.rule.digests.isEmpty || !settings.rule.keyDigests.isEmpty
        if requiresPeer, settings.authorities.isEmpty, !settings.trustsSystem, !isPinned, !settings.acceptsUntrusted {
            throw TLSError("require_client_certificate needs a validation context with trusted_ca")
        }
        return settings
    }

    private func apply(_ validation: Envoy.CertificateValidationContext, _ settings: inout TLSSettings) throws(TLSError)
    {
        if let source = validation.trustedCa { settings.authorities.append(try Self.bytes(source, "trusted_ca")) }
        settings.trustsSystem = validation.systemRootCerts != nil
        if let source = validation.crl { settings.revocations = try Self.bytes(source, "crl") }
        // Envoy counts the authority that is trusted, OpenSSL those between.
        settings.maximumDepth = validation.maxVerifyDepth.map { max(0, Int($0) - 1) }
        settings.rule.names = validation.matchTypedSubjectAltNames.compactMap(Self.matcher)
        // The old form means every kind of name.
        for pattern in validation.matchSubjectAltNames.compactMap(Self.pattern) {
            for kind in [PeerIdentity.Name.Kind.dns, .uri, .ip, .email] {
                settings.rule.names.append(NameMatcher(kind, pattern.0, ignoresCase: pattern.1))
            }
        }
        settings.rule.digests = try validation.verifyCertificateHash.map(Self.digest)
        settings.rule.keyDigests = try validation.verifyCertificateSpki.map(Self.keyDigest)
        settings.revokesLeafOnly = validation.onlyVerifyLeafCertCrl
        settings.ignoresDates = validation.allowExpiredCertificate
        settings.acceptsUntrusted = validation.trustChainVerification == .acceptUntrusted
        let isTrusting = !settings.authorities.isEmpty || settings.trustsSystem
        let isPinned = !settings.rule.digests.isEmpty || !settings.rule.keyDigests.isEmpty
        settings.skipsChain = isPinned && !isTrusting
        if !isTrusting, !isPinned, !settings.rule.names.isEmpty {
            throw TLSError("names are matched, but without trusted_ca any peer could claim them")
        }
        if validation.onlyVerifyLeafCertCrl, validation.crl == nil {
            throw TLSError("only_verify_leaf_cert_crl needs crl")
        }
        if isTrusting || isPinned || settings.acceptsUntrusted {
            settings.verification = isServer ? .optional : .required
        }
    }

    /// 32 bytes from hexadecimal digits, with or without colons between the bytes.
    static func digest(_ text: String) throws(TLSError) -> [UInt8] {
        let digits = text.utf8.filter { $0 != 0x3A }.compactMap { byte -> UInt8? in
            switch byte {
            case 0x30...0x39: byte - 0x30
            case 0x41...0x46, 0x61...0x66: (byte | 0x20) - 0x57
            default: nil
            }
        }
        guard digits.count == 64, text.utf8.count == 64 || text.utf8.count == 95 else {
            throw TLSError("verify_certificate_hash: \"\(text)\" is no SHA-256 in hexadecimal digits")
        }
        return stride(from: 0, to: 64, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    /// 32 bytes from base64.
    static func keyDigest(_ text: String) throws(TLSError) -> [UInt8] {
        guard let bytes = Base64.decode(text), bytes.count == 32 else {
            throw TLSError("verify_certificate_spki: \"\(text)\" is no SHA-256 in base64")
        }
        return bytes
    }

    /// Names of cipher suites: `A:B`, and `[A|B]` for equally good ones.
    static func names(_ suite: String) -> [String] {
        suite.split { "[]|:".contains($0) }.map(String.init)
    }

    static func pattern(_ matcher: Envoy.StringMatcher) -> (NameMatcher.Pattern, Bool)? {
        switch matcher.matchPattern {
        case .exact(let text): (.exact(text), matcher.ignoreCase)
        case .prefix(let text): (.prefix(text), matcher.ignoreCase)
        case .suffix(let text): (.suffix(text), matcher.ignoreCase)
        case .contains(let text): (.contains(text), matcher.ignoreCase)
        default: nil
        }
    }

    private static func matcher(_ message: Envoy.SubjectAltNameMatcher) -> NameMatcher? {
        guard let (pattern, ignoresCase) = message.matcher.flatMap(pattern) else { return nil }
        let kind: PeerIdentity.Name.Kind
        switch message.sanType {
        case .dns: kind = .dns
        case .uri: kind = .uri
        case .ipAddress: kind = .ip
        case .email: kind = .email
        case .unspecified, .otherName: return nil
        }
        return NameMatcher(kind, pattern, ignoresCase: ignoresCase)
    }

    // MARK: Secrets and bytes

    private static func certificate(_ message: Envoy.TlsCertificate) throws(TLSError) -> TLSCertificate {
        guard let chain = message.certificateChain, let key = message.privateKey else {
            throw TLSError("a certificate needs certificate_chain and private_key")
        }
        var made = TLSCertificate(
            chain: try bytes(chain, "certificate_chain"),
            key: try bytes(key, "private_key")
        )
        if let password = message.password {
            let text = try bytes(password, "password")
            made.password = String(decoding: text.prefix { $0 != 0x0A && $0 != 0x0D }, as: UTF8.self)
        }
        return made
    }

    private func validation(_ secret: Envoy.SdsSecretConfig, _ book: SecretBook) throws(TLSError)
        -> Envoy.CertificateValidationContext
    {
        guard case .validationContext(let validation) = try self.secret(secret, book).get().type else {
            throw TLSError("the secret \"\(secret.name)\" holds no validation_context")
        }
        return validation
    }

    private func secret(_ configuration: Envoy.SdsSecretConfig, _ book: SecretBook) -> Result<Envoy.Secret, TLSError> {
        guard let path = configuration.sdsConfig?.pathConfigSource?.path else {
            guard let secret = discovered[configuration.name].flatMap({ book[$0] }) else {
                return .failure(TLSError("the secret \"\(configuration.name)\" did not come yet"))
            }
            return .success(secret)
        }
        switch FileBytes.read(path, limit: Self.fileLimit) {
        case .failure(let failure): return .failure(TLSError(failure.message))
        case .success(let bytes):
            do throws(ConfigurationProblems) {
                let response = try ConfigurationStore.parse(bytes) { _ in }
                guard let secret = response.secrets.first(where: { $0.name == configuration.name }) else {
                    return .failure(TLSError("\(path) holds no secret with the name \"\(configuration.name)\""))
                }
                return .success(secret)
            } catch { return .failure(TLSError("\(path): \(error.text)")) }
        }
    }

    /// The bytes that a source names.
    static func read(_ source: Envoy.DataSource, _ field: String) -> Result<[UInt8], TLSError> {
        do throws(TLSError) {
            return .success(try bytes(source, field))
        } catch { return .failure(error) }
    }

    private static func bytes(_ source: Envoy.DataSource, _ field: String) throws(TLSError) -> [UInt8] {
        switch source.specifier {
        case .inlineBytes(let bytes): return bytes
        case .inlineString(let text): return Array(text.utf8)
        case .environmentVariable(let name):
            guard let value = getenv(name) else { throw TLSError("\(field): there is no environment variable \(name)") }
            return Array(String(cString: value).utf8)
        case .filename(let path):
            switch FileBytes.read(path, limit: fileLimit) {
            case .success(let bytes): return bytes
            case .failure(let failure): throw TLSError("\(field): \(failure.message)")
            }
        case nil: throw TLSError("\(field) is empty")
        }
    }
}
