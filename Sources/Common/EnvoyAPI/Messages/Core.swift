package import Wire

extension Envoy {
    /// Facts about an object for those who know the key, as `weft.dev/labels`.
    ///
    /// `envoy.config.core.v3.Metadata`
    package struct Metadata: EnvoyMessage {
        package var filterMetadata: [String: Value]

        package init(
            filterMetadata: [String: Value] = [:]
        ) {
            self.filterMetadata = filterMetadata
        }

        package static let schema = MessageSchema<Metadata>(
            "envoy.config.core.v3.Metadata",
            empty: Metadata()
        ) { schema in
            schema.map(1, "filter_metadata", \.filterMetadata, .object)
            schema.unsupported("typed_filter_metadata=2")
        }
    }
}

extension Envoy {
    /// A header field.
    ///
    /// `envoy.config.core.v3.HeaderValue`
    package struct HeaderValue: EnvoyMessage {
        package var key: String
        /// The value; may hold `%COMMAND%` operators of the access log format.
        package var value: String
        package var rawValue: [UInt8]

        package init(
            key: String = "",
            value: String = "",
            rawValue: [UInt8] = []
        ) {
            self.key = key
            self.value = value
            self.rawValue = rawValue
        }

        package static let schema = MessageSchema<HeaderValue>(
            "envoy.config.core.v3.HeaderValue",
            empty: HeaderValue()
        ) { schema in
            schema.field(1, "key", \.key, .string, [.minLength(1), .maxBytes(16384), .headerName])
            schema.field(2, "value", \.value, .string, [.maxBytes(16384), .headerValue])
            schema.field(3, "raw_value", \.rawValue, .bytes, [.maxBytes(16384)])
        }
    }
}

extension Envoy {
    /// A header field to add and what happens when it is there already.
    ///
    /// `envoy.config.core.v3.HeaderValueOption`
    package struct HeaderValueOption: EnvoyMessage {
        package var header: HeaderValue?
        package var append: Bool?
        package var appendAction: HeaderValueOption.HeaderAppendAction
        package var keepEmptyValue: Bool

        package init(
            header: HeaderValue? = nil,
            append: Bool? = nil,
            appendAction: HeaderValueOption.HeaderAppendAction = .appendIfExistsOrAdd,
            keepEmptyValue: Bool = false
        ) {
            self.header = header
            self.append = append
            self.appendAction = appendAction
            self.keepEmptyValue = keepEmptyValue
        }

        package static let schema = MessageSchema<HeaderValueOption>(
            "envoy.config.core.v3.HeaderValueOption",
            empty: HeaderValueOption()
        ) { schema in
            schema.optional(1, "header", \.header, .message, [.required])
            schema.optional(2, "append", \.append, .boolValue)
            schema.field(3, "append_action", \.appendAction, .enumeration)
            schema.field(4, "keep_empty_value", \.keepEmptyValue, .bool)
        }
    }
}

extension Envoy {
    /// Bytes from here or elsewhere.
    ///
    /// `envoy.config.core.v3.DataSource`
    package struct DataSource: EnvoyMessage {
        package var specifier: Specifier?

        /// One of these.
        package enum Specifier: Sendable, Equatable {
            case filename(String)
            case inlineBytes([UInt8])
            case inlineString(String)
            case environmentVariable(String)
        }

        package init(
            specifier: Specifier? = nil
        ) {
            self.specifier = specifier
        }

        package static let schema = MessageSchema<DataSource>(
            "envoy.config.core.v3.DataSource",
            empty: DataSource()
        ) { schema in
            schema.oneof("specifier", isRequired: true)
            schema.choice(1, "filename", of: "specifier", \.specifier, .string, [.minLength(1)]) {
                .filename($0)
            } get: {
                if case .filename(let value) = $0 { value } else { nil }
            }
            schema.choice(2, "inline_bytes", of: "specifier", \.specifier, .bytes) {
                .inlineBytes($0)
            } get: {
                if case .inlineBytes(let value) = $0 { value } else { nil }
            }
            schema.choice(3, "inline_string", of: "specifier", \.specifier, .string) {
                .inlineString($0)
            } get: {
                if case .inlineString(let value) = $0 { value } else { nil }
            }
            schema.choice(4, "environment_variable", of: "specifier", \.specifier, .string, [.minLength(1)]) {
                .environmentVariable($0)
            } get: {
                if case .environmentVariable(let value) = $0 { value } else { nil }
            }
            schema.unsupported("watched_directory=5")
        }
    }
}

extension Envoy {
    /// A share of requests; the runtime key has no effect.
    ///
    /// `envoy.config.core.v3.RuntimeFractionalPercent`
    package struct RuntimeFractionalPercent: EnvoyMessage {
        package var defaultValue: FractionalPercent?
        package var runtimeKey: String

        package init(
            defaultValue: FractionalPercent? = nil,
            runtimeKey: String = ""
        ) {
            self.defaultValue = defaultValue
            self.runtimeKey = runtimeKey
        }

        package static let schema = MessageSchema<RuntimeFractionalPercent>(
            "envoy.config.core.v3.RuntimeFractionalPercent",
            empty: RuntimeFractionalPercent()
        ) { schema in
            schema.optional(1, "default_value", \.defaultValue, .message, [.required])
            schema.field(2, "runtime_key", \.runtimeKey, .string)
        }
    }
}

extension Envoy {
    /// A number; the runtime key has no effect.
    ///
    /// `envoy.config.core.v3.RuntimeDouble`
    package struct RuntimeDouble: EnvoyMessage {
        package var defaultValue: Double
        package var runtimeKey: String

        package init(
            defaultValue: Double = 0,
            runtimeKey: String = ""
        ) {
            self.defaultValue = defaultValue
            self.runtimeKey = runtimeKey
        }

        package static let schema = MessageSchema<RuntimeDouble>(
            "envoy.config.core.v3.RuntimeDouble",
            empty: RuntimeDouble()
        ) { schema in
            schema.field(1, "default_value", \.defaultValue, .double)
            schema.field(2, "runtime_key", \.runtimeKey, .string)
        }
    }
}

extension Envoy {
    /// A share as a fraction of 100, 10 000 or a million.
    ///
    /// `envoy.type.v3.FractionalPercent`
    package struct FractionalPercent: EnvoyMessage {
        package var numerator: UInt32
        package var denominator: FractionalPercent.DenominatorType

        package init(
            numerator: UInt32 = 0,
            denominator: FractionalPercent.DenominatorType = .hundred
        ) {
            self.numerator = numerator
            self.denominator = denominator
        }

        package static let schema = MessageSchema<FractionalPercent>(
            "envoy.type.v3.FractionalPercent",
            empty: FractionalPercent()
        ) { schema in
            schema.field(1, "numerator", \.numerator, .uint32)
            schema.field(2, "denominator", \.denominator, .enumeration)
        }
    }
}

extension Envoy {
    /// A share in percent.
    ///
    /// `envoy.type.v3.Percent`
    package struct Percent: EnvoyMessage {
        package var value: Double

        package init(
            value: Double = 0
        ) {
            self.value = value
        }

        package static let schema = MessageSchema<Percent>(
            "envoy.type.v3.Percent",
            empty: Percent()
        ) { schema in
            schema.field(1, "value", \.value, .double, [.atMost(100)])
        }
    }
}

extension Envoy {
    /// Whole numbers from `start` up to, without, `end`.
    ///
    /// `envoy.type.v3.Int64Range`
    package struct Int64Range: EnvoyMessage {
        package var start: Int64
        package var end: Int64

        package init(
            start: Int64 = 0,
            end: Int64 = 0
        ) {
            self.start = start
            self.end = end
        }

        package static let schema = MessageSchema<Int64Range>(
            "envoy.type.v3.Int64Range",
            empty: Int64Range()
        ) { schema in
            schema.field(1, "start", \.start, .int64)
            schema.field(2, "end", \.end, .int64)
        }
    }
}

extension Envoy {
    /// A load-balancing policy by name and type.
    ///
    /// `envoy.config.core.v3.TypedExtensionConfig`
    package struct TypedExtensionConfig: EnvoyMessage {
        package var name: String
        /// nil when the type is none that this proxy knows; the next policy of the list is tried then.
        package var typedConfig: LoadBalancingPolicyConfig?

        package init(
            name: String = "",
            typedConfig: LoadBalancingPolicyConfig? = nil
        ) {
            self.name = name
            self.typedConfig = typedConfig
        }

        package static let schema = MessageSchema<TypedExtensionConfig>(
            "envoy.config.core.v3.TypedExtensionConfig",
            empty: TypedExtensionConfig()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.optional(2, "typed_config", \.typedConfig, .any)
        }
    }
}

extension Envoy {
    /// What a string has to be.
    ///
    /// `envoy.type.matcher.v3.StringMatcher`
    package struct StringMatcher: EnvoyMessage {
        package var matchPattern: MatchPattern?
        /// Whether letters match in either case.
        package var ignoreCase: Bool

        /// One of these.
        package enum MatchPattern: Sendable, Equatable {
            case exact(String)
            case prefix(String)
            case suffix(String)
            case contains(String)
            case safeRegex(RegexMatcher)
        }

        package init(
            matchPattern: MatchPattern? = nil,
            ignoreCase: Bool = false
        ) {
            self.matchPattern = matchPattern
            self.ignoreCase = ignoreCase
        }

        package static let schema = MessageSchema<StringMatcher>(
            "envoy.type.matcher.v3.StringMatcher",
            empty: StringMatcher()
        ) { schema in
            schema.oneof("match_pattern", isRequired: true)
            schema.choice(1, "exact", of: "match_pattern", \.matchPattern, .string) {
                .exact($0)
            } get: {
                if case .exact(let value) = $0 { value } else { nil }
            }
            schema.choice(2, "prefix", of: "match_pattern", \.matchPattern, .string, [.minLength(1)]) {
                .prefix($0)
            } get: {
                if case .prefix(let value) = $0 { value } else { nil }
            }
            schema.choice(3, "suffix", of: "match_pattern", \.matchPattern, .string, [.minLength(1)]) {
                .suffix($0)
            } get: {
                if case .suffix(let value) = $0 { value } else { nil }
            }
            schema.choice(7, "contains", of: "match_pattern", \.matchPattern, .string, [.minLength(1)]) {
                .contains($0)
            } get: {
                if case .contains(let value) = $0 { value } else { nil }
            }
            schema.field(6, "ignore_case", \.ignoreCase, .bool)
            schema.choice(5, "safe_regex", of: "match_pattern", \.matchPattern, .message, [.required]) {
                .safeRegex($0)
            } get: {
                if case .safeRegex(let value) = $0 { value } else { nil }
            }
            schema.unsupported("custom=8", of: "match_pattern")
        }
    }
}

extension Envoy {
    /// Limits of HTTP connections, whatever the version.
    ///
    /// `envoy.config.core.v3.HttpProtocolOptions`
    package struct CommonHttpProtocolOptions: EnvoyMessage {
        package var idleTimeout: Duration?
        package var maxConnectionDuration: Duration?
        package var maxHeadersCount: UInt32?
        package var maxResponseHeadersKb: UInt32?
        package var maxStreamDuration: Duration?
        package var headersWithUnderscoresAction: CommonHttpProtocolOptions.HeadersWithUnderscoresAction
        package var maxRequestsPerConnection: UInt32?

        package init(
            idleTimeout: Duration? = nil,
            maxConnectionDuration: Duration? = nil,
            maxHeadersCount: UInt32? = nil,
            maxResponseHeadersKb: UInt32? = nil,
            maxStreamDuration: Duration? = nil,
            headersWithUnderscoresAction: CommonHttpProtocolOptions.HeadersWithUnderscoresAction = .allow,
            maxRequestsPerConnection: UInt32? = nil
        ) {
            self.idleTimeout = idleTimeout
            self.maxConnectionDuration = maxConnectionDuration
            self.maxHeadersCount = maxHeadersCount
            self.maxResponseHeadersKb = maxResponseHeadersKb
            self.maxStreamDuration = maxStreamDuration
            self.headersWithUnderscoresAction = headersWithUnderscoresAction
            self.maxRequestsPerConnection = maxRequestsPerConnection
        }

        package static let schema = MessageSchema<CommonHttpProtocolOptions>(
            "envoy.config.core.v3.HttpProtocolOptions",
            empty: CommonHttpProtocolOptions()
        ) { schema in
            schema.optional(1, "idle_timeout", \.idleTimeout, .duration)
            schema.optional(3, "max_connection_duration", \.maxConnectionDuration, .duration)
            schema.optional(2, "max_headers_count", \.maxHeadersCount, .uint32Value, [.atLeast(1)])
            schema.optional(
                7,
                "max_response_headers_kb",
                \.maxResponseHeadersKb,
                .uint32Value,
                [.atMost(8192), .above(0)]
            )
            schema.noted("max_response_headers_kb", why: "the limit of answers' heads is fixed")
            schema.optional(4, "max_stream_duration", \.maxStreamDuration, .duration)
            schema.field(5, "headers_with_underscores_action", \.headersWithUnderscoresAction, .enumeration)
            schema.optional(6, "max_requests_per_connection", \.maxRequestsPerConnection, .uint32Value)
        }
    }
}

extension Envoy {
    /// Choices of HTTP/1.
    ///
    /// `envoy.config.core.v3.Http1ProtocolOptions`
    package struct Http1ProtocolOptions: EnvoyMessage {
        package var allowAbsoluteUrl: Bool?
        package var acceptHttp10: Bool
        package var defaultHostForHttp10: String
        package var enableTrailers: Bool

        package init(
            allowAbsoluteUrl: Bool? = nil,
            acceptHttp10: Bool = false,
            defaultHostForHttp10: String = "",
            enableTrailers: Bool = false
        ) {
            self.allowAbsoluteUrl = allowAbsoluteUrl
            self.acceptHttp10 = acceptHttp10
            self.defaultHostForHttp10 = defaultHostForHttp10
            self.enableTrailers = enableTrailers
        }

        package static let schema = MessageSchema<Http1ProtocolOptions>(
            "envoy.config.core.v3.Http1ProtocolOptions",
            empty: Http1ProtocolOptions()
        ) { schema in
            schema.optional(1, "allow_absolute_url", \.allowAbsoluteUrl, .boolValue)
            schema.field(2, "accept_http_10", \.acceptHttp10, .bool)
            schema.field(3, "default_host_for_http_10", \.defaultHostForHttp10, .string)
            schema.field(5, "enable_trailers", \.enableTrailers, .bool)
            schema.noted("accept_http_10", why: "HTTP/1.0 is always accepted")
            schema.noted("enable_trailers", why: "trailers always pass")
            schema.unsupported(
                """
                header_key_format=4 allow_chunked_length=6 override_stream_error_on_invalid_http_message=7
                send_fully_qualified_url=8 use_balsa_parser=9 allow_custom_methods=10
                ignore_http_11_upgrade=11
                """
            )
        }
    }
}

extension Envoy {
    /// The format of an access log line.
    ///
    /// `envoy.config.core.v3.SubstitutionFormatString`
    package struct SubstitutionFormatString: EnvoyMessage {
        package var format: Format?
        package var omitEmptyValues: Bool
        package var contentType: String
        package var jsonFormatOptions: JsonFormatOptions?

        /// One of these.
        package enum Format: Sendable, Equatable {
            case textFormat(String)
            case jsonFormat(Value)
            case textFormatSource(DataSource)
        }

        package init(
            format: Format? = nil,
            omitEmptyValues: Bool = false,
            contentType: String = "",
            jsonFormatOptions: JsonFormatOptions? = nil
        ) {
            self.format = format
            self.omitEmptyValues = omitEmptyValues
            self.contentType = contentType
            self.jsonFormatOptions = jsonFormatOptions
        }

        package static let schema = MessageSchema<SubstitutionFormatString>(
            "envoy.config.core.v3.SubstitutionFormatString",
            empty: SubstitutionFormatString()
        ) { schema in
            schema.oneof("format", isRequired: true)
            schema.choice(1, "text_format", of: "format", \.format, .string) {
                .textFormat($0)
            } get: {
                if case .textFormat(let value) = $0 { value } else { nil }
            }
            schema.choice(2, "json_format", of: "format", \.format, .object, [.required]) {
                .jsonFormat($0)
            } get: {
                if case .jsonFormat(let value) = $0 { value } else { nil }
            }
            schema.choice(5, "text_format_source", of: "format", \.format, .message) {
                .textFormatSource($0)
            } get: {
                if case .textFormatSource(let value) = $0 { value } else { nil }
            }
            schema.field(3, "omit_empty_values", \.omitEmptyValues, .bool)
            schema.field(4, "content_type", \.contentType, .string, [.headerValue])
            schema.optional(7, "json_format_options", \.jsonFormatOptions, .message)
            schema.unsupported("formatters=6")
        }
    }
}

extension Envoy.HeaderValueOption {
    /// Values of `envoy.config.core.v3.HeaderValueOption.HeaderAppendAction`.
    package enum HeaderAppendAction: Int32, EnvoyEnum {
        case appendIfExistsOrAdd = 0
        case addIfAbsent = 1
        case overwriteIfExistsOrAdd = 2
        case overwriteIfExists = 3

        package static let names = EnumNames(
            "envoy.config.core.v3.HeaderValueOption.HeaderAppendAction",
            "APPEND_IF_EXISTS_OR_ADD=0 ADD_IF_ABSENT=1 OVERWRITE_IF_EXISTS_OR_ADD=2 OVERWRITE_IF_EXISTS=3"
        )
    }
}

extension Envoy.FractionalPercent {
    /// Values of `envoy.type.v3.FractionalPercent.DenominatorType`.
    package enum DenominatorType: Int32, EnvoyEnum {
        case hundred = 0
        case tenThousand = 1
        case million = 2

        package static let names = EnumNames(
            "envoy.type.v3.FractionalPercent.DenominatorType",
            "HUNDRED=0 TEN_THOUSAND=1 MILLION=2"
        )
    }
}

extension Envoy.CommonHttpProtocolOptions {
    /// Values of `envoy.config.core.v3.HttpProtocolOptions.HeadersWithUnderscoresAction`.
    package enum HeadersWithUnderscoresAction: Int32, EnvoyEnum {
        case allow = 0
        case rejectRequest = 1
        case dropHeader = 2

        package static let names = EnumNames(
            "envoy.config.core.v3.HttpProtocolOptions.HeadersWithUnderscoresAction",
            "ALLOW=0 REJECT_REQUEST=1 DROP_HEADER=2"
        )
    }
}
