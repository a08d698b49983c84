extension Envoy {
    /// How bytes travel over a connection.
    ///
    /// `envoy.config.core.v3.TransportSocket`
    package struct TransportSocket: EnvoyMessage {
        package var name: String
        package var typedConfig: TransportSocketConfig?

        package init(name: String = "", typedConfig: TransportSocketConfig? = nil) {
            self.name = name
            self.typedConfig = typedConfig
        }

        package static let schema = MessageSchema<TransportSocket>(
            "envoy.config.core.v3.TransportSocket",
            empty: TransportSocket()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.oneof("config_type")
            schema.optional(3, "typed_config", of: "config_type", \.typedConfig, .any)
        }
    }

    /// The transport sockets that exist here.
    package indirect enum TransportSocketConfig: AnyExtension {
        case downstreamTls(DownstreamTlsContext)
        case upstreamTls(UpstreamTlsContext)
        case rawBuffer(RawBuffer)
        case upstreamProxyProtocol(ProxyProtocolUpstreamTransport)

        package static let members = AnyMembers<TransportSocketConfig>(
            "transport socket",
            [
                AnyMember(DownstreamTlsContext.self, wrap: { .downstreamTls($0) }) {
                    if case .downstreamTls(let value) = $0 { value } else { nil }
                },
                AnyMember(UpstreamTlsContext.self, wrap: { .upstreamTls($0) }) {
                    if case .upstreamTls(let value) = $0 { value } else { nil }
                },
                AnyMember(RawBuffer.self, wrap: { .rawBuffer($0) }) {
                    if case .rawBuffer(let value) = $0 { value } else { nil }
                },
                AnyMember(ProxyProtocolUpstreamTransport.self, wrap: { .upstreamProxyProtocol($0) }) {
                    if case .upstreamProxyProtocol(let value) = $0 { value } else { nil }
                },
            ]
        )
    }

    /// Bytes as they are.
    ///
    /// `envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer`
    package struct RawBuffer: EnvoyMessage {
        package init() {}

        package static let schema = MessageSchema<RawBuffer>(
            "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
            empty: RawBuffer()
        ) { _ in }
    }

    /// Finds TLS, the name asked for and the protocols offered in a connection's first bytes.
    ///
    /// `envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector`
    package struct TlsInspector: EnvoyMessage {
        package init() {}

        package static let schema = MessageSchema<TlsInspector>(
            "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
            empty: TlsInspector()
        ) { schema in
            schema.unsupported(
                """
                enable_ja3_fingerprinting=1 enable_ja4_fingerprinting=3 max_client_hello_size=5
                initial_read_buffer_size=2
                """
            )
        }
    }

    /// TLS towards clients.
    ///
    /// `envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext`
    package struct DownstreamTlsContext: EnvoyMessage {
        package var commonTlsContext: CommonTlsContext?
        package var requireClientCertificate: Bool?
        package var requireSni: Bool?
        package var disableStatelessSessionResumption: Bool?
        /// There is no session state on this side, whatever stands here.
        package var disableStatefulSessionResumption: Bool
        package var sessionTimeout: Duration?
        package var preferClientCiphers: Bool

        package init(
            commonTlsContext: CommonTlsContext? = nil,
            requireClientCertificate: Bool? = nil,
            requireSni: Bool? = nil,
            disableStatelessSessionResumption: Bool? = nil,
            disableStatefulSessionResumption: Bool = false,
            sessionTimeout: Duration? = nil,
            preferClientCiphers: Bool = false
        ) {
            self.disableStatefulSessionResumption = disableStatefulSessionResumption
            self.sessionTimeout = sessionTimeout
            self.preferClientCiphers = preferClientCiphers
            self.commonTlsContext = commonTlsContext
            self.requireClientCertificate = requireClientCertificate
            self.requireSni = requireSni
            self.disableStatelessSessionResumption = disableStatelessSessionResumption
        }

        package static let schema = MessageSchema<DownstreamTlsContext>(
            "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            empty: DownstreamTlsContext()
        ) { schema in
            schema.optional(1, "common_tls_context", \.commonTlsContext, .message)
            schema.optional(2, "require_client_certificate", \.requireClientCertificate, .boolValue)
            schema.optional(3, "require_sni", \.requireSni, .boolValue)
            schema.oneof("session_ticket_keys_type")
            schema.optional(
                7,
                "disable_stateless_session_resumption",
                of: "session_ticket_keys_type",
                \.disableStatelessSessionResumption,
                .bool
            )
            schema.field(10, "disable_stateful_session_resumption", \.disableStatefulSessionResumption, .bool)
            schema.optional(
                6,
                "session_timeout",
                \.sessionTimeout,
                .duration,
                [.durationBelow(.seconds(4_294_967_296))]
            )
            schema.field(11, "prefer_client_ciphers", \.preferClientCiphers, .bool)
            schema.unsupported("ocsp_staple_policy=8 full_scan_certs_on_sni_mismatch=9")
            schema.unsupported(
                "session_ticket_keys=4 session_ticket_keys_sds_secret_config=5",
                of: "session_ticket_keys_type"
            )
        }
    }

    /// TLS towards endpoints.
    ///
    /// `envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext`
    package struct UpstreamTlsContext: EnvoyMessage {
        package var commonTlsContext: CommonTlsContext?
        package var sni: String
        package var autoHostSni: Bool
        package var autoSniSanValidation: Bool
        /// Sessions that are kept for resumption; nil is one.
        package var maxSessionKeys: UInt32?
        package var enforceRsaKeyUsage: Bool?

        package init(
            commonTlsContext: CommonTlsContext? = nil,
            sni: String = "",
            autoHostSni: Bool = false,
            autoSniSanValidation: Bool = false,
            maxSessionKeys: UInt32? = nil,
            enforceRsaKeyUsage: Bool? = nil
        ) {
            self.maxSessionKeys = maxSessionKeys
            self.enforceRsaKeyUsage = enforceRsaKeyUsage
            self.commonTlsContext = commonTlsContext
            self.sni = sni
            self.autoHostSni = autoHostSni
            self.autoSniSanValidation = autoSniSanValidation
        }

        package static let schema = MessageSchema<UpstreamTlsContext>(
            "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            empty: UpstreamTlsContext()
        ) { schema in
            schema.optional(1, "common_tls_context", \.commonTlsContext, .message)
            schema.field(2, "sni", \.sni, .string, [.maxBytes(255)])
            schema.field(6, "auto_host_sni", \.autoHostSni, .bool)
            schema.field(7, "auto_sni_san_validation", \.autoSniSanValidation, .bool)
            schema.optional(4, "max_session_keys", \.maxSessionKeys, .uint32Value)
            schema.optional(5, "enforce_rsa_key_usage", \.enforceRsaKeyUsage, .boolValue)
            schema.unsupported("allow_renegotiation=3")
        }
    }

    /// What both directions have.
    ///
    /// `envoy.extensions.transport_sockets.tls.v3.CommonTlsContext`
    package struct CommonTlsContext: EnvoyMessage {
        package var tlsParams: TlsParameters?
        package var tlsCertificates: [TlsCertificate]
        package var tlsCertificateSdsSecretConfigs: [SdsSecretConfig]
        package var validationContextType: ValidationContextType?
        package var alpnProtocols: [String]

        /// One of these.
        package enum ValidationContextType: Sendable, Equatable {
            case validationContext(CertificateValidationContext)
            case validationContextSdsSecretConfig(SdsSecretConfig)
            case combinedValidationContext(CombinedCertificateValidationContext)
        }

        package init(
            tlsParams: TlsParameters? = nil,
            tlsCertificates: [TlsCertificate] = [],
            tlsCertificateSdsSecretConfigs: [SdsSecretConfig] = [],
            validationContextType: ValidationContextType? = nil,
            alpnProtocols: [String] = []
        ) {
            self.tlsParams = tlsParams
            self.tlsCertificates = tlsCertificates
            self.tlsCertificateSdsSecretConfigs = tlsCertificateSdsSecretConfigs
            self.validationContextType = validationContextType
            self.alpnProtocols = alpnProtocols
        }

        package static let schema = MessageSchema<CommonTlsContext>(
            "envoy.extensions.transport_sockets.tls.v3.CommonTlsContext",
            empty: CommonTlsContext()
        ) { schema in
            schema.optional(1, "tls_params", \.tlsParams, .message)
            schema.repeated(2, "tls_certificates", \.tlsCertificates, .message)
            schema.repeated(
                6,
                "tls_certificate_sds_secret_configs",
                \.tlsCertificateSdsSecretConfigs,
                .message,
                [.maxItems(2)]
            )
            schema.oneof("validation_context_type")
            schema.choice(
                3,
                "validation_context",
                of: "validation_context_type",
                \.validationContextType,
                .message
            ) {
                .validationContext($0)
            } get: {
                if case .validationContext(let value) = $0 { value } else { nil }
            }
            schema.choice(
                7,
                "validation_context_sds_secret_config",
                of: "validation_context_type",
                \.validationContextType,
                .message
            ) {
                .validationContextSdsSecretConfig($0)
            } get: {
                if case .validationContextSdsSecretConfig(let value) = $0 { value } else { nil }
            }
            schema.choice(
                8,
                "combined_validation_context",
                of: "validation_context_type",
                \.validationContextType,
                .message
            ) {
                .combinedValidationContext($0)
            } get: {
                if case .combinedValidationContext(let value) = $0 { value } else { nil }
            }
            schema.repeated(4, "alpn_protocols", \.alpnProtocols, .string, [.minLength(1), .maxBytes(255)])
            schema.unsupported(
                """
                tls_certificate_certificate_provider=9 tls_certificate_certificate_provider_instance=11
                custom_handshaker=13 tls_certificate_provider_instance=14 key_log=15
                custom_tls_certificate_selector=16
                """
            )
            schema.unsupported(
                "validation_context_certificate_provider=10 validation_context_certificate_provider_instance=12",
                of: "validation_context_type"
            )
        }
    }

    /// Versions, cipher suites and groups.
    ///
    /// `envoy.extensions.transport_sockets.tls.v3.TlsParameters`
    package struct TlsParameters: EnvoyMessage {
        package var tlsMinimumProtocolVersion: TlsParameters.TlsProtocol
        package var tlsMaximumProtocolVersion: TlsParameters.TlsProtocol
        package var cipherSuites: [String]
        package var ecdhCurves: [String]
        package var signatureAlgorithms: [String]

        package init(
            tlsMinimumProtocolVersion: TlsParameters.TlsProtocol = .auto,
            tlsMaximumProtocolVersion: TlsParameters.TlsProtocol = .auto,
            cipherSuites: [String] = [],
            ecdhCurves: [String] = [],
            signatureAlgorithms: [String] = []
        ) {
            self.signatureAlgorithms = signatureAlgorithms
            self.tlsMinimumProtocolVersion = tlsMinimumProtocolVersion
            self.tlsMaximumProtocolVersion = tlsMaximumProtocolVersion
            self.cipherSuites = cipherSuites
            self.ecdhCurves = ecdhCurves
        }

        package static let schema = MessageSchema<TlsParameters>(
            "envoy.extensions.transport_sockets.tls.v3.TlsParameters",
            empty: TlsParameters()
        ) { schema in
            schema.field(1, "tls_minimum_protocol_version", \.tlsMinimumProtocolVersion, .enumeration)
            schema.field(2, "tls_maximum_protocol_version", \.tlsMaximumProtocolVersion, .enumeration)
            schema.repeated(3, "cipher_suites", \.cipherSuites, .string)
            schema.repeated(4, "ecdh_curves", \.ecdhCurves, .string)
            schema.repeated(5, "signature_algorithms", \.signatureAlgorithms, .string, [.minLength(1)])
            schema.unsupported("compliance_policies=6")
        }

        /// Values of `envoy.extensions.transport_sockets.tls.v3.TlsParameters.TlsProtocol`.
        package enum TlsProtocol: Int32, EnvoyEnum {
            case auto = 0
            case tlsv12 = 3
            case tlsv13 = 4

            package static let names = EnumNames(
                "envoy.extensions.transport_sockets.tls.v3.TlsParameters.TlsProtocol",
                "TLS_AUTO=0 TLSv1_2=3 TLSv1_3=4",
                unsupported: "TLSv1_0=1 TLSv1_1=2"
            )
        }
    }

    /// A certificate and its key.
    ///
    /// `envoy.extensions.transport_sockets.tls.v3.TlsCertificate`
    package struct TlsCertificate: EnvoyMessage {
        package var certificateChain: DataSource?
        package var privateKey: DataSource?
        package var password: DataSource?
        package var watchedDirectory: WatchedDirectory?

        package init(
            certificateChain: DataSource? = nil,
            privateKey: DataSource? = nil,
            password: DataSource? = nil,
            watchedDirectory: WatchedDirectory? = nil
        ) {
            self.certificateChain = certificateChain
            self.privateKey = privateKey
            self.password = password
            self.watchedDirectory = watchedDirectory
        }

        package static let schema = MessageSchema<TlsCertificate>(
            "envoy.extensions.transport_sockets.tls.v3.TlsCertificate",
            empty: TlsCertificate()
        ) { schema in
            schema.optional(1, "certificate_chain", \.certificateChain, .message)
            schema.optional(2, "private_key", \.privateKey, .message)
            schema.optional(3, "password", \.password, .message)
            schema.optional(7, "watched_directory", \.watchedDirectory, .message)
            schema.unsupported(
                "ocsp_staple=4 signed_certificate_timestamp=5 private_key_provider=6 pkcs12=8"
            )
        }
    }

    /// Whose certificates are accepted.
    ///
    /// `envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext`
    package struct CertificateValidationContext: EnvoyMessage {
        package var trustedCa: DataSource?
        package var systemRootCerts: CertificateValidationContext.SystemRootCerts?
        package var watchedDirectory: WatchedDirectory?
        package var matchTypedSubjectAltNames: [SubjectAltNameMatcher]
        package var matchSubjectAltNames: [StringMatcher]
        package var crl: DataSource?
        package var maxVerifyDepth: UInt32?
        /// SHA-256 of certificates in hexadecimal digits, with or without colons.
        package var verifyCertificateHash: [String]
        /// SHA-256 of public keys in base64.
        package var verifyCertificateSpki: [String]
        package var allowExpiredCertificate: Bool
        package var trustChainVerification: CertificateValidationContext.TrustChainVerification
        package var onlyVerifyLeafCertCrl: Bool

        package init(
            trustedCa: DataSource? = nil,
            systemRootCerts: CertificateValidationContext.SystemRootCerts? = nil,
            watchedDirectory: WatchedDirectory? = nil,
            matchTypedSubjectAltNames: [SubjectAltNameMatcher] = [],
            matchSubjectAltNames: [StringMatcher] = [],
            crl: DataSource? = nil,
            maxVerifyDepth: UInt32? = nil,
            verifyCertificateHash: [String] = [],
            verifyCertificateSpki: [String] = [],
            allowExpiredCertificate: Bool = false,
            trustChainVerification: CertificateValidationContext.TrustChainVerification = .verifyTrustChain,
            onlyVerifyLeafCertCrl: Bool = false
        ) {
            self.verifyCertificateHash = verifyCertificateHash
            self.verifyCertificateSpki = verifyCertificateSpki
            self.allowExpiredCertificate = allowExpiredCertificate
            self.trustChainVerification = trustChainVerification
            self.onlyVerifyLeafCertCrl = onlyVerifyLeafCertCrl
            self.trustedCa = trustedCa
            self.systemRootCerts = systemRootCerts
            self.watchedDirectory = watchedDirectory
            self.matchTypedSubjectAltNames = matchTypedSubjectAltNames
            self.matchSubjectAltNames = matchSubjectAltNames
            self.crl = crl
            self.maxVerifyDepth = maxVerifyDepth
        }

        package static let schema = MessageSchema<CertificateValidationContext>(
            "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext",
            empty: CertificateValidationContext()
        ) { schema in
            schema.optional(1, "trusted_ca", \.trustedCa, .message)
            schema.optional(17, "system_root_certs", \.systemRootCerts, .message)
            schema.optional(11, "watched_directory", \.watchedDirectory, .message)
            schema.repeated(15, "match_typed_subject_alt_names", \.matchTypedSubjectAltNames, .message)
            schema.repeated(9, "match_subject_alt_names", \.matchSubjectAltNames, .message)
            schema.optional(7, "crl", \.crl, .message)
            schema.optional(16, "max_verify_depth", \.maxVerifyDepth, .uint32Value, [.atMost(100)])
            schema.repeated(
                2,
                "verify_certificate_hash",
                \.verifyCertificateHash,
                .string,
                [.minLength(64), .maxBytes(95)]
            )
            schema.repeated(
                3,
                "verify_certificate_spki",
                \.verifyCertificateSpki,
                .string,
                [.minLength(44), .maxBytes(44)]
            )
            schema.field(8, "allow_expired_certificate", \.allowExpiredCertificate, .bool)
            schema.field(10, "trust_chain_verification", \.trustChainVerification, .enumeration)
            schema.field(14, "only_verify_leaf_cert_crl", \.onlyVerifyLeafCertCrl, .bool)
            schema.unsupported(
                """
                require_signed_certificate_timestamp=6 custom_validator_config=12
                ca_certificate_provider_instance=13
                """
            )
        }

        /// Values of `envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext.TrustChainVerification`.
        package enum TrustChainVerification: Int32, EnvoyEnum {
            case verifyTrustChain = 0
            case acceptUntrusted = 1

            package static let names = EnumNames(
                "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext.TrustChainVerification",
                "VERIFY_TRUST_CHAIN=0 ACCEPT_UNTRUSTED=1"
            )
        }

        /// The system's authorities.
        ///
        /// `envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext.SystemRootCerts`
        package struct SystemRootCerts: EnvoyMessage {
            package init() {}

            package static let schema = MessageSchema<SystemRootCerts>(
                "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext.SystemRootCerts",
                empty: SystemRootCerts()
            ) { _ in }
        }
    }

    /// What one of a certificate's names must look like.
    ///
    /// `envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher`
    package struct SubjectAltNameMatcher: EnvoyMessage {
        package var sanType: SubjectAltNameMatcher.SanType
        package var matcher: StringMatcher?

        package init(sanType: SubjectAltNameMatcher.SanType = .unspecified, matcher: StringMatcher? = nil) {
            self.sanType = sanType
            self.matcher = matcher
        }

        package static let schema = MessageSchema<SubjectAltNameMatcher>(
            "envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher",
            empty: SubjectAltNameMatcher()
        ) { schema in
            schema.field(1, "san_type", \.sanType, .enumeration)
            schema.optional(2, "matcher", \.matcher, .message, [.required])
            schema.unsupported("oid=3")
        }

        /// Values of `envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher.SanType`.
        package enum SanType: Int32, EnvoyEnum {
            case unspecified = 0
            case email = 1
            case dns = 2
            case uri = 3
            case ipAddress = 4
            case otherName = 5

            package static let names = EnumNames(
                "envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher.SanType",
                "SAN_TYPE_UNSPECIFIED=0 EMAIL=1 DNS=2 URI=3 IP_ADDRESS=4 OTHER_NAME=5"
            )
        }
    }

    /// Rules that stand here, and trust that comes from a watched file.
    ///
    /// `envoy.extensions.transport_sockets.tls.v3.CommonTlsContext.CombinedCertificateValidationContext`
    package struct CombinedCertificateValidationContext: EnvoyMessage {
        package var defaultValidationContext: CertificateValidationContext?
        package var validationContextSdsSecretConfig: SdsSecretConfig?

        package init(
            defaultValidationContext: CertificateValidationContext? = nil,
            validationContextSdsSecretConfig: SdsSecretConfig? = nil
        ) {
            self.defaultValidationContext = defaultValidationContext
            self.validationContextSdsSecretConfig = validationContextSdsSecretConfig
        }

        package static let schema = MessageSchema<CombinedCertificateValidationContext>(
            "envoy.extensions.transport_sockets.tls.v3.CommonTlsContext.CombinedCertificateValidationContext",
            empty: CombinedCertificateValidationContext()
        ) { schema in
            schema.optional(1, "default_validation_context", \.defaultValidationContext, .message, [.required])
            schema.optional(
                2,
                "validation_context_sds_secret_config",
                \.validationContextSdsSecretConfig,
                .message,
                [.required]
            )
            schema.unsupported(
                "validation_context_certificate_provider=3 validation_context_certificate_provider_instance=4"
            )
        }
    }

    /// Where a secret comes from.
    ///
    /// `envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig`
    package struct SdsSecretConfig: EnvoyMessage {
        package var name: String
        package var sdsConfig: ConfigSource?

        package init(name: String = "", sdsConfig: ConfigSource? = nil) {
            self.name = name
            self.sdsConfig = sdsConfig
        }

        package static let schema = MessageSchema<SdsSecretConfig>(
            "envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig",
            empty: SdsSecretConfig()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.optional(2, "sds_config", \.sdsConfig, .message)
        }
    }

    /// A certificate with its key, or whom to trust: what a watched file of secrets holds.
    ///
    /// `envoy.extensions.transport_sockets.tls.v3.Secret`
    package struct Secret: EnvoyMessage {
        package var name: String
        package var type: SecretType?

        /// One of these.
        package enum SecretType: Sendable, Equatable {
            case tlsCertificate(TlsCertificate)
            case validationContext(CertificateValidationContext)
        }

        package init(name: String = "", type: SecretType? = nil) {
            self.name = name
            self.type = type
        }

        package static let schema = MessageSchema<Secret>(
            "envoy.extensions.transport_sockets.tls.v3.Secret",
            empty: Secret()
        ) { schema in
            schema.field(1, "name", \.name, .string)
            schema.oneof("type")
            schema.choice(2, "tls_certificate", of: "type", \.type, .message) {
                .tlsCertificate($0)
            } get: {
                if case .tlsCertificate(let value) = $0 { value } else { nil }
            }
            schema.choice(4, "validation_context", of: "type", \.type, .message) {
                .validationContext($0)
            } get: {
                if case .validationContext(let value) = $0 { value } else { nil }
            }
            schema.unsupported("session_ticket_keys=3 generic_secret=5", of: "type")
        }
    }
}

extension Envoy.DiscoveryResponse {
    /// The secrets among the resources.
    package var secrets: [Envoy.Secret] {
        resources.compactMap { if case .secret(let value) = $0 { value } else { nil } }
    }
}
