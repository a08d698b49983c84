extension Envoy {
    /// Names the requests of a chain for `POST /tap` of the admin.
    ///
    /// `envoy.extensions.filters.http.tap.v3.Tap`
    package struct TapFilter: EnvoyMessage {
        package var commonConfig: TapCommon?
        package var recordHeadersReceivedTime: Bool
        package var recordDownstreamConnection: Bool

        package init(
            commonConfig: TapCommon? = nil,
            recordHeadersReceivedTime: Bool = false,
            recordDownstreamConnection: Bool = false
        ) {
            self.commonConfig = commonConfig
            self.recordHeadersReceivedTime = recordHeadersReceivedTime
            self.recordDownstreamConnection = recordDownstreamConnection
        }

        package static let schema = MessageSchema<TapFilter>(
            "envoy.extensions.filters.http.tap.v3.Tap",
            empty: TapFilter()
        ) { schema in
            schema.optional(1, "common_config", \.commonConfig, .message, [.required])
            schema.field(2, "record_headers_received_time", \.recordHeadersReceivedTime, .bool)
            schema.field(3, "record_downstream_connection", \.recordDownstreamConnection, .bool)
            schema.unsupported("record_upstream_connection=4")
        }
    }
}

extension Envoy {
    /// Where a tap's configuration comes from.
    ///
    /// `envoy.extensions.common.tap.v3.CommonExtensionConfig`
    package struct TapCommon: EnvoyMessage {
        package var adminConfig: TapAdmin?

        package init(adminConfig: TapAdmin? = nil) { self.adminConfig = adminConfig }

        package static let schema = MessageSchema<TapCommon>(
            "envoy.extensions.common.tap.v3.CommonExtensionConfig",
            empty: TapCommon()
        ) { schema in
            schema.oneof("config_type", isRequired: true)
            schema.choice(1, "admin_config", of: "config_type", \.adminConfig, .message) {
                $0
            } get: {
                $0
            }
            schema.unsupported("static_config=2", of: "config_type", why: "taps are asked for at the admin")
        }
    }
}

extension Envoy {
    /// The name by which `POST /tap` finds the filter.
    ///
    /// `envoy.extensions.common.tap.v3.AdminConfig`
    package struct TapAdmin: EnvoyMessage {
        package var configId: String

        package init(configId: String = "") { self.configId = configId }

        package static let schema = MessageSchema<TapAdmin>(
            "envoy.extensions.common.tap.v3.AdminConfig",
            empty: TapAdmin()
        ) { schema in
            schema.field(1, "config_id", \.configId, .string, [.minLength(1)])
        }
    }
}

extension Envoy {
    /// The body of `POST /tap`.
    ///
    /// `envoy.admin.v3.TapRequest`
    package struct TapRequest: EnvoyMessage {
        package var configId: String
        package var tapConfig: TapConfig?

        package init(configId: String = "", tapConfig: TapConfig? = nil) {
            self.configId = configId
            self.tapConfig = tapConfig
        }

        package static let schema = MessageSchema<TapRequest>(
            "envoy.admin.v3.TapRequest",
            empty: TapRequest()
        ) { schema in
            schema.field(1, "config_id", \.configId, .string, [.minLength(1)])
            schema.optional(2, "tap_config", \.tapConfig, .message, [.required])
        }
    }
}

extension Envoy {
    /// Which requests are told of, and how.
    ///
    /// `envoy.config.tap.v3.TapConfig`
    package struct TapConfig: EnvoyMessage {
        package var matchConfig: TapMatch?
        package var match: TapMatch?
        package var outputConfig: TapOutput?
        package var tapEnabled: RuntimeFractionalPercent?

        package init(
            matchConfig: TapMatch? = nil,
            match: TapMatch? = nil,
            outputConfig: TapOutput? = nil,
            tapEnabled: RuntimeFractionalPercent? = nil
        ) {
            self.matchConfig = matchConfig
            self.match = match
            self.outputConfig = outputConfig
            self.tapEnabled = tapEnabled
        }

        package static let schema = MessageSchema<TapConfig>(
            "envoy.config.tap.v3.TapConfig",
            empty: TapConfig()
        ) { schema in
            schema.optional(1, "match_config", \.matchConfig, .message)
            schema.optional(4, "match", \.match, .message)
            schema.optional(2, "output_config", \.outputConfig, .message, [.required])
            schema.optional(3, "tap_enabled", \.tapEnabled, .message)
        }
    }
}

extension Envoy {
    /// A condition on requests and their answers.
    ///
    /// `envoy.config.common.matcher.v3.MatchPredicate`
    package struct TapMatch: EnvoyMessage {
        package var rule: Rule?

        /// One of these.
        package enum Rule: Sendable, Equatable {
            case orMatch(TapMatchSet)
            case andMatch(TapMatchSet)
            indirect case notMatch(TapMatch)
            case anyMatch(Bool)
            case requestHeaders(TapHeaders)
            case responseHeaders(TapHeaders)
            case responseTrailers(TapHeaders)
        }

        package init(rule: Rule? = nil) { self.rule = rule }

        package static let schema = MessageSchema<TapMatch>(
            "envoy.config.common.matcher.v3.MatchPredicate",
            empty: TapMatch()
        ) { schema in
            schema.oneof("rule", isRequired: true)
            schema.choice(1, "or_match", of: "rule", \.rule, .message) {
                .orMatch($0)
            } get: {
                if case .orMatch(let value) = $0 { value } else { nil }
            }
            schema.choice(2, "and_match", of: "rule", \.rule, .message) {
                .andMatch($0)
            } get: {
                if case .andMatch(let value) = $0 { value } else { nil }
            }
            schema.choice(3, "not_match", of: "rule", \.rule, .message) {
                .notMatch($0)
            } get: {
                if case .notMatch(let value) = $0 { value } else { nil }
            }
            schema.choice(4, "any_match", of: "rule", \.rule, .bool, [.mustBeTrue]) {
                .anyMatch($0)
            } get: {
                if case .anyMatch(let value) = $0 { value } else { nil }
            }
            schema.choice(5, "http_request_headers_match", of: "rule", \.rule, .message) {
                .requestHeaders($0)
            } get: {
                if case .requestHeaders(let value) = $0 { value } else { nil }
            }
            schema.choice(7, "http_response_headers_match", of: "rule", \.rule, .message) {
                .responseHeaders($0)
            } get: {
                if case .responseHeaders(let value) = $0 { value } else { nil }
            }
            schema.choice(8, "http_response_trailers_match", of: "rule", \.rule, .message) {
                .responseTrailers($0)
            } get: {
                if case .responseTrailers(let value) = $0 { value } else { nil }
            }
            schema.unsupported(
                """
                http_request_trailers_match=6
                http_request_generic_body_match=9 http_response_generic_body_match=10
                """,
                of: "rule",
                why: "a tap sees heads and the trailers of answers"
            )
        }
    }
}

extension Envoy {
    /// Conditions together.
    ///
    /// `envoy.config.common.matcher.v3.MatchPredicate.MatchSet`
    package struct TapMatchSet: EnvoyMessage {
        package var rules: [TapMatch]

        package init(rules: [TapMatch] = []) { self.rules = rules }

        package static let schema = MessageSchema<TapMatchSet>(
            "envoy.config.common.matcher.v3.MatchPredicate.MatchSet",
            empty: TapMatchSet()
        ) { schema in
            schema.repeated(1, "rules", \.rules, .message, [.minItems(2)])
        }
    }
}

extension Envoy {
    /// Fields that all have to match.
    ///
    /// `envoy.config.common.matcher.v3.HttpHeadersMatch`
    package struct TapHeaders: EnvoyMessage {
        package var headers: [HeaderMatcher]

        package init(headers: [HeaderMatcher] = []) { self.headers = headers }

        package static let schema = MessageSchema<TapHeaders>(
            "envoy.config.common.matcher.v3.HttpHeadersMatch",
            empty: TapHeaders()
        ) { schema in
            schema.repeated(1, "headers", \.headers, .message)
        }
    }
}

extension Envoy {
    /// How requests are told of.
    ///
    /// `envoy.config.tap.v3.OutputConfig`
    package struct TapOutput: EnvoyMessage {
        package var sinks: [TapSink]
        package var maxBufferedRxBytes: UInt32?
        package var maxBufferedTxBytes: UInt32?
        package var streaming: Bool

        package init(
            sinks: [TapSink] = [],
            maxBufferedRxBytes: UInt32? = nil,
            maxBufferedTxBytes: UInt32? = nil,
            streaming: Bool = false
        ) {
            self.sinks = sinks
            self.maxBufferedRxBytes = maxBufferedRxBytes
            self.maxBufferedTxBytes = maxBufferedTxBytes
            self.streaming = streaming
        }

        package static let schema = MessageSchema<TapOutput>(
            "envoy.config.tap.v3.OutputConfig",
            empty: TapOutput()
        ) { schema in
            schema.repeated(1, "sinks", \.sinks, .message, [.minItems(1)])
            schema.optional(2, "max_buffered_rx_bytes", \.maxBufferedRxBytes, .uint32Value)
            schema.optional(3, "max_buffered_tx_bytes", \.maxBufferedTxBytes, .uint32Value)
            schema.noted("max_buffered_rx_bytes", why: "bodies are not told of")
            schema.noted("max_buffered_tx_bytes", why: "bodies are not told of")
            schema.field(4, "streaming", \.streaming, .bool)
            schema.unsupported("min_streamed_sent_bytes=5", why: "bodies are not told of")
        }
    }
}

extension Envoy {
    /// Where a tap goes: to whoever asked at the admin.
    ///
    /// `envoy.config.tap.v3.OutputSink`
    package struct TapSink: EnvoyMessage {
        package var format: TapFormat
        package var streamingAdmin: StreamingAdminSink?

        package init(format: TapFormat = .jsonBodyAsBytes, streamingAdmin: StreamingAdminSink? = nil) {
            self.format = format
            self.streamingAdmin = streamingAdmin
        }

        package static let schema = MessageSchema<TapSink>(
            "envoy.config.tap.v3.OutputSink",
            empty: TapSink()
        ) { schema in
            schema.field(1, "format", \.format, .enumeration)
            schema.oneof("output_sink_type", isRequired: true)
            schema.choice(2, "streaming_admin", of: "output_sink_type", \.streamingAdmin, .message) {
                $0
            } get: {
                $0
            }
            schema.unsupported(
                "file_per_tap=3 streaming_grpc=4 buffered_admin=5 custom_sink=6",
                of: "output_sink_type",
                why: "a tap streams to whoever asked for it"
            )
        }
    }

    /// Values of `envoy.config.tap.v3.OutputSink.Format`.
    package enum TapFormat: Int32, EnvoyEnum {
        case jsonBodyAsBytes = 0
        case jsonBodyAsString = 1
        case protoBinary = 2
        case protoBinaryLengthDelimited = 3
        case protoText = 4

        package static let names = EnumNames(
            "envoy.config.tap.v3.OutputSink.Format",
            """
            JSON_BODY_AS_BYTES=0 JSON_BODY_AS_STRING=1
            PROTO_BINARY=2 PROTO_BINARY_LENGTH_DELIMITED=3 PROTO_TEXT=4
            """
        )
    }

    /// The answer to `POST /tap` goes on.
    ///
    /// `envoy.config.tap.v3.StreamingAdminSink`
    package struct StreamingAdminSink: EnvoyMessage {
        package init() {}

        package static let schema = MessageSchema<StreamingAdminSink>(
            "envoy.config.tap.v3.StreamingAdminSink",
            empty: StreamingAdminSink()
        ) { _ in }
    }
}
