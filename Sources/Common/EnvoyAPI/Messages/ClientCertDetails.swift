extension Envoy.HttpConnectionManager {
    /// What `x-forwarded-client-cert` says beside the digest of the client's certificate.
    ///
    /// `envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.SetCurrentClientCertDetails`
    package struct SetCurrentClientCertDetails: EnvoyMessage {
        package var subject: Bool?
        /// The certificate itself.
        package var cert: Bool
        /// All certificates that the client sent.
        package var chain: Bool
        package var dns: Bool
        package var uri: Bool

        package init(
            subject: Bool? = nil,
            cert: Bool = false,
            chain: Bool = false,
            dns: Bool = false,
            uri: Bool = false
        ) {
            self.subject = subject
            self.cert = cert
            self.chain = chain
            self.dns = dns
            self.uri = uri
        }

        package static let schema = MessageSchema<SetCurrentClientCertDetails>(
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.SetCurrentClientCertDetails",
            empty: SetCurrentClientCertDetails()
        ) { schema in
            schema.optional(1, "subject", \.subject, .boolValue)
            schema.field(3, "cert", \.cert, .bool)
            schema.field(6, "chain", \.chain, .bool)
            schema.field(4, "dns", \.dns, .bool)
            schema.field(5, "uri", \.uri, .bool)
        }
    }
}

extension Envoy.HttpConnectionManager {
    /// Values of `envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.ForwardClientCertDetails`.
    package enum ForwardClientCertDetails: Int32, EnvoyEnum {
        case sanitize = 0
        case forwardOnly = 1
        case appendForward = 2
        case sanitizeSet = 3
        case alwaysForwardOnly = 4

        package static let names = EnumNames(
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.ForwardClientCertDetails",
            "SANITIZE=0 FORWARD_ONLY=1 APPEND_FORWARD=2 SANITIZE_SET=3 ALWAYS_FORWARD_ONLY=4"
        )
    }
}
