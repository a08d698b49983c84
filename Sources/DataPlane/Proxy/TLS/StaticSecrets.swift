import EnvoyAPI

/// The bootstrap's own secrets: an SDS configuration without a source names one of them.
struct StaticSecrets {
    private var secrets: [String: Envoy.Secret] = [:]

    init() {}

    /// Takes the bootstrap's secrets; what is wrong with them is reported.
    init(_ messages: [Envoy.Secret], _ report: (String) -> Void) {
        for (index, message) in messages.enumerated() {
            if message.name.isEmpty {
                report("static_resources.secrets[\(index)].name: is required")
            } else if secrets.updateValue(message, forKey: message.name) != nil {
                report("static_resources.secrets[\(index)]: the name \"\(message.name)\" stands here twice")
            }
        }
    }

    /// The same TLS with the secrets themselves in place of their names. Names of secrets from elsewhere stay.
    func inlined(_ common: Envoy.CommonTlsContext, _ context: CompileContext) -> Envoy.CommonTlsContext {
        var made = common
        made.tlsCertificateSdsSecretConfigs = []
        for (index, secret) in common.tlsCertificateSdsSecretConfigs.enumerated() {
            guard secret.sdsConfig == nil else {
                made.tlsCertificateSdsSecretConfigs.append(secret)
                continue
            }
            let step = "common_tls_context.tls_certificate_sds_secret_configs[\(index)]"
            if case .tlsCertificate(let certificate) = find(secret, "tls_certificate", step, context) {
                made.tlsCertificates.append(certificate)
            }
        }
        switch common.validationContextType {
        case .validationContextSdsSecretConfig(let secret) where secret.sdsConfig == nil:
            let step = "common_tls_context.validation_context_sds_secret_config"
            if case .validationContext(let found) = find(secret, "validation_context", step, context) {
                made.validationContextType = .validationContext(found)
            }
        case .combinedValidationContext(let combined):
            guard let secret = combined.validationContextSdsSecretConfig, secret.sdsConfig == nil else { break }
            let step = "common_tls_context.combined_validation_context.validation_context_sds_secret_config"
            if case .validationContext(let found) = find(secret, "validation_context", step, context) {
                let base = combined.defaultValidationContext ?? Envoy.CertificateValidationContext()
                made.validationContextType = .validationContext(base.adopting(found))
            }
        default: break
        }
        return made
    }

    private func find(
        _ configuration: Envoy.SdsSecretConfig,
        _ kind: String,
        _ step: String,
        _ context: CompileContext
    ) -> Envoy.Secret.SecretType? {
        context.at(step) {
            guard let secret = secrets[configuration.name] else {
                context.report(
                    "name: static_resources.secrets has no \"\(configuration.name)\"; a secret from elsewhere needs sds_config"
                )
                return nil
            }
            switch (secret.type, kind) {
            case (.tlsCertificate, "tls_certificate"), (.validationContext, "validation_context"): return secret.type
            default:
                context.report("name: the secret \"\(configuration.name)\" holds no \(kind)")
                return nil
            }
        }
    }
}

extension Envoy.CertificateValidationContext {
    /// This with what a secret says beside it, as protobuf merges messages.
    func adopting(_ other: Envoy.CertificateValidationContext) -> Envoy.CertificateValidationContext {
        var made = self
        made.trustedCa = other.trustedCa ?? trustedCa
        made.systemRootCerts = other.systemRootCerts ?? systemRootCerts
        made.watchedDirectory = other.watchedDirectory ?? watchedDirectory
        made.crl = other.crl ?? crl
        made.maxVerifyDepth = other.maxVerifyDepth ?? maxVerifyDepth
        made.matchTypedSubjectAltNames += other.matchTypedSubjectAltNames
        made.matchSubjectAltNames += other.matchSubjectAltNames
        made.verifyCertificateHash += other.verifyCertificateHash
        made.verifyCertificateSpki += other.verifyCertificateSpki
        made.allowExpiredCertificate = allowExpiredCertificate || other.allowExpiredCertificate
        made.onlyVerifyLeafCertCrl = onlyVerifyLeafCertCrl || other.onlyVerifyLeafCertCrl
        if other.trustChainVerification == .acceptUntrusted { made.trustChainVerification = .acceptUntrusted }
        return made
    }
}
