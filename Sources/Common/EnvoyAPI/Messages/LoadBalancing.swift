extension Envoy {
    /// The better of two drawn endpoints by latency and load.
    ///
    /// `envoy.extensions.load_balancing_policies.peak_ewma.v3alpha.PeakEwma`
    package struct PeakEwma: EnvoyMessage {
        /// How long a latency peak is remembered; nil is 10 s.
        package var decayTime: Duration?
        /// What an endpoint without answers is taken to need; nil is 10 ms.
        package var defaultRtt: Duration?
        package var penaltyValue: Double?

        package init(
            decayTime: Duration? = nil,
            defaultRtt: Duration? = nil,
            penaltyValue: Double? = nil
        ) {
            self.decayTime = decayTime
            self.defaultRtt = defaultRtt
            self.penaltyValue = penaltyValue
        }

        package static let schema = MessageSchema<PeakEwma>(
            "envoy.extensions.load_balancing_policies.peak_ewma.v3alpha.PeakEwma",
            empty: PeakEwma()
        ) { schema in
            schema.optional(1, "decay_time", \.decayTime, .duration)
            schema.optional(4, "default_rtt", \.defaultRtt, .duration)
            schema.optional(5, "penalty_value", \.penaltyValue, .doubleValue)
            schema.noted("penalty_value", why: "an endpoint without answers is taken to need default_rtt")
            schema.ignored(
                "aggregation_interval=2 max_samples_per_host=3",
                why: "the estimate changes with each answer, so that no samples are gathered"
            )
        }
    }
}

extension Envoy {
    /// How HTTP is spoken to the endpoints.
    ///
    /// `envoy.extensions.upstreams.http.v3.HttpProtocolOptions`
    package struct UpstreamHttpProtocolOptions: EnvoyMessage {
        package var commonHttpProtocolOptions: CommonHttpProtocolOptions?
        package var explicitHttpConfig: UpstreamHttpProtocolOptions.ExplicitHttpConfig?
        /// What the client speaks is spoken to the endpoint, too.
        package var useDownstreamProtocolConfig: UpstreamHttpProtocolOptions.UseDownstreamHttpConfig?
        /// What is agreed on in the handshake of TLS.
        package var autoConfig: UpstreamHttpProtocolOptions.AutoHttpConfig?
        package var upstreamHttpProtocolOptions: NamingOptions?

        package init(
            commonHttpProtocolOptions: CommonHttpProtocolOptions? = nil,
            explicitHttpConfig: UpstreamHttpProtocolOptions.ExplicitHttpConfig? = nil,
            useDownstreamProtocolConfig: UpstreamHttpProtocolOptions.UseDownstreamHttpConfig? = nil,
            autoConfig: UpstreamHttpProtocolOptions.AutoHttpConfig? = nil,
            upstreamHttpProtocolOptions: NamingOptions? = nil
        ) {
            self.upstreamHttpProtocolOptions = upstreamHttpProtocolOptions
            self.commonHttpProtocolOptions = commonHttpProtocolOptions
            self.explicitHttpConfig = explicitHttpConfig
            self.useDownstreamProtocolConfig = useDownstreamProtocolConfig
            self.autoConfig = autoConfig
        }

        package static let schema = MessageSchema<UpstreamHttpProtocolOptions>(
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            empty: UpstreamHttpProtocolOptions()
        ) { schema in
            schema.optional(1, "common_http_protocol_options", \.commonHttpProtocolOptions, .message)
            schema.oneof("upstream_protocol_options", isRequired: true)
            schema.optional(3, "explicit_http_config", of: "upstream_protocol_options", \.explicitHttpConfig, .message)
            schema.optional(2, "upstream_http_protocol_options", \.upstreamHttpProtocolOptions, .message)
            schema.unsupported(
                """
                http_filters=6 header_validation_config=7
                outlier_detection=8 request_mirror_policies=9 hash_policy=10 retry_policy=11
                """
            )
            schema.optional(
                4,
                "use_downstream_protocol_config",
                of: "upstream_protocol_options",
                \.useDownstreamProtocolConfig,
                .message
            )
            schema.optional(5, "auto_config", of: "upstream_protocol_options", \.autoConfig, .message)
        }
    }
}

extension Envoy.UpstreamHttpProtocolOptions {
    /// The version of HTTP.
    ///
    /// `envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig`
    package struct ExplicitHttpConfig: EnvoyMessage {
        package var httpProtocolOptions: Envoy.Http1ProtocolOptions?
        package var http2ProtocolOptions: Envoy.Http2ProtocolOptions?

        package init(
            httpProtocolOptions: Envoy.Http1ProtocolOptions? = nil,
            http2ProtocolOptions: Envoy.Http2ProtocolOptions? = nil
        ) {
            self.httpProtocolOptions = httpProtocolOptions
            self.http2ProtocolOptions = http2ProtocolOptions
        }

        package static let schema = MessageSchema<ExplicitHttpConfig>(
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig",
            empty: ExplicitHttpConfig()
        ) { schema in
            schema.oneof("protocol_config", isRequired: true)
            schema.optional(1, "http_protocol_options", of: "protocol_config", \.httpProtocolOptions, .message)
            schema.optional(2, "http2_protocol_options", of: "protocol_config", \.http2ProtocolOptions, .message)
            schema.unsupported("http3_protocol_options=3", of: "protocol_config")
        }
    }

    /// Options for either version; the client's is taken.
    ///
    /// `envoy.extensions.upstreams.http.v3.HttpProtocolOptions.UseDownstreamHttpConfig`
    package struct UseDownstreamHttpConfig: EnvoyMessage {
        package var httpProtocolOptions: Envoy.Http1ProtocolOptions?
        package var http2ProtocolOptions: Envoy.Http2ProtocolOptions?

        package init(
            httpProtocolOptions: Envoy.Http1ProtocolOptions? = nil,
            http2ProtocolOptions: Envoy.Http2ProtocolOptions? = nil
        ) {
            self.httpProtocolOptions = httpProtocolOptions
            self.http2ProtocolOptions = http2ProtocolOptions
        }

        package static let schema = MessageSchema<UseDownstreamHttpConfig>(
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.UseDownstreamHttpConfig",
            empty: UseDownstreamHttpConfig()
        ) { schema in
            schema.optional(1, "http_protocol_options", \.httpProtocolOptions, .message)
            schema.optional(2, "http2_protocol_options", \.http2ProtocolOptions, .message)
            schema.unsupported("http3_protocol_options=3")
        }
    }

    /// Options for either version; TLS tells which.
    ///
    /// `envoy.extensions.upstreams.http.v3.HttpProtocolOptions.AutoHttpConfig`
    package struct AutoHttpConfig: EnvoyMessage {
        package var httpProtocolOptions: Envoy.Http1ProtocolOptions?
        package var http2ProtocolOptions: Envoy.Http2ProtocolOptions?

        package init(
            httpProtocolOptions: Envoy.Http1ProtocolOptions? = nil,
            http2ProtocolOptions: Envoy.Http2ProtocolOptions? = nil
        ) {
            self.httpProtocolOptions = httpProtocolOptions
            self.http2ProtocolOptions = http2ProtocolOptions
        }

        package static let schema = MessageSchema<AutoHttpConfig>(
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.AutoHttpConfig",
            empty: AutoHttpConfig()
        ) { schema in
            schema.optional(1, "http_protocol_options", \.httpProtocolOptions, .message)
            schema.optional(2, "http2_protocol_options", \.http2ProtocolOptions, .message)
            schema.unsupported("http3_protocol_options=3 alternate_protocols_cache_options=4")
        }
    }
}
