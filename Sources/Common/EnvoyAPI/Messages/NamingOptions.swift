extension Envoy {
    /// What of a request's host goes into TLS with the endpoint.
    ///
    /// `envoy.config.core.v3.UpstreamHttpProtocolOptions`
    package struct NamingOptions: EnvoyMessage {
        /// It is asked for.
        package var autoSni: Bool
        /// The endpoint's certificate has to be for it.
        package var autoSanValidation: Bool

        package init(
            autoSni: Bool = false,
            autoSanValidation: Bool = false
        ) {
            self.autoSni = autoSni
            self.autoSanValidation = autoSanValidation
        }

        package static let schema = MessageSchema<NamingOptions>(
            "envoy.config.core.v3.UpstreamHttpProtocolOptions",
            empty: NamingOptions()
        ) { schema in
            schema.field(1, "auto_sni", \.autoSni, .bool)
            schema.field(2, "auto_san_validation", \.autoSanValidation, .bool)
            schema.unsupported(
                """
                override_auto_sni_header=3
                """
            )
        }
    }
}
