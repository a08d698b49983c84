extension Envoy {
    /// Asks a service whether a request is one too many.
    ///
    /// `envoy.extensions.filters.http.ratelimit.v3.RateLimit`
    package struct RateLimitFilter: EnvoyMessage {
        package var domain = ""
        package var stage: UInt32 = 0
        package var requestType = ""
        package var timeout: Duration?
        package var failureModeDeny = false
        package var rateLimitedAsResourceExhausted = false
        package var rateLimitService: RateLimitServiceConfig?
        package var enableXRatelimitHeaders: XRateLimitHeaders = .off
        package var disableXEnvoyRatelimitedHeader = false
        package var rateLimitedStatus: HttpStatus?
        package var responseHeadersToAdd: [HeaderValueOption] = []
        package var statusOnError: HttpStatus?
        package var filterEnabled: RuntimeFractionalPercent?
        package var filterEnforced: RuntimeFractionalPercent?
        package var rateLimits: [RouteRateLimit] = []

        package init() {}

        package static let schema = MessageSchema<RateLimitFilter>(
            "envoy.extensions.filters.http.ratelimit.v3.RateLimit",
            empty: RateLimitFilter()
        ) { schema in
            schema.field(1, "domain", \.domain, .string, [.minLength(1)])
            schema.field(2, "stage", \.stage, .uint32, [.atMost(10)])
            schema.field(3, "request_type", \.requestType, .string, [.oneOf(["internal", "external", "both", ""])])
            schema.optional(4, "timeout", \.timeout, .duration)
            schema.field(5, "failure_mode_deny", \.failureModeDeny, .bool)
            schema.field(6, "rate_limited_as_resource_exhausted", \.rateLimitedAsResourceExhausted, .bool)
            schema.optional(7, "rate_limit_service", \.rateLimitService, .message, [.required])
            schema.field(8, "enable_x_ratelimit_headers", \.enableXRatelimitHeaders, .enumeration)
            schema.field(9, "disable_x_envoy_ratelimited_header", \.disableXEnvoyRatelimitedHeader, .bool)
            schema.optional(10, "rate_limited_status", \.rateLimitedStatus, .message)
            schema.repeated(11, "response_headers_to_add", \.responseHeadersToAdd, .message, [.maxItems(10)])
            schema.optional(12, "status_on_error", \.statusOnError, .message)
            schema.optional(14, "filter_enabled", \.filterEnabled, .message)
            schema.optional(15, "filter_enforced", \.filterEnforced, .message)
            schema.repeated(17, "rate_limits", \.rateLimits, .message)
            schema.unsupported("stat_prefix=13 failure_mode_deny_percent=16")
        }
    }

    /// `envoy.extensions.filters.http.ratelimit.v3.RateLimit.XRateLimitHeadersRFCVersion`
    package enum XRateLimitHeaders: Int32, EnvoyEnum {
        case off = 0
        case draftVersion03 = 1

        package static let names = EnumNames(
            "envoy.extensions.filters.http.ratelimit.v3.RateLimit.XRateLimitHeadersRFCVersion",
            "OFF=0 DRAFT_VERSION_03=1"
        )
    }

    /// `envoy.config.ratelimit.v3.RateLimitServiceConfig`
    package struct RateLimitServiceConfig: EnvoyMessage {
        package var grpcService: GrpcService?
        package var transportApiVersion: ApiVersion = .auto

        package init() {}

        package static let schema = MessageSchema<RateLimitServiceConfig>(
            "envoy.config.ratelimit.v3.RateLimitServiceConfig",
            empty: RateLimitServiceConfig()
        ) { schema in
            schema.optional(2, "grpc_service", \.grpcService, .message, [.required])
            schema.field(4, "transport_api_version", \.transportApiVersion, .enumeration)
        }
    }

    /// What a route says of the filter.
    ///
    /// `envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute`
    package struct RateLimitPerRoute: EnvoyMessage {
        package var vhRateLimits: HostRateLimits = .override
        package var rateLimits: [RouteRateLimit] = []
        package var domain = ""

        package init() {}

        package static let schema = MessageSchema<RateLimitPerRoute>(
            "envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute",
            empty: RateLimitPerRoute()
        ) { schema in
            schema.field(1, "vh_rate_limits", \.vhRateLimits, .enumeration)
            schema.repeated(3, "rate_limits", \.rateLimits, .message)
            schema.field(4, "domain", \.domain, .string)
            schema.unsupported("override_option=2")
        }
    }

    /// `envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute.VhRateLimitsOptions`
    package enum HostRateLimits: Int32, EnvoyEnum {
        case override = 0
        case include = 1
        case ignore = 2

        package static let names = EnumNames(
            "envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute.VhRateLimitsOptions",
            "OVERRIDE=0 INCLUDE=1 IGNORE=2"
        )
    }

    /// What requests are counted under.
    ///
    /// `envoy.config.route.v3.RateLimit`
    package struct RouteRateLimit: EnvoyMessage {
        package var stage: UInt32?
        package var actions: [RateLimitAction] = []
        package var hitsAddend: RateLimitHits?

        package init() {}

        package static let schema = MessageSchema<RouteRateLimit>(
            "envoy.config.route.v3.RateLimit",
            empty: RouteRateLimit()
        ) { schema in
            schema.optional(1, "stage", \.stage, .uint32Value, [.atMost(10)])
            schema.repeated(3, "actions", \.actions, .message, [.minItems(1)])
            schema.optional(5, "hits_addend", \.hitsAddend, .message)
            schema.unsupported("disable_key=2 limit=4 apply_on_stream_done=6 x_ratelimit_option=7")
        }
    }

    /// `envoy.config.route.v3.RateLimit.HitsAddend`
    package struct RateLimitHits: EnvoyMessage {
        package var number: UInt64?

        package init() {}

        package static let schema = MessageSchema<RateLimitHits>(
            "envoy.config.route.v3.RateLimit.HitsAddend",
            empty: RateLimitHits()
        ) { schema in
            schema.optional(1, "number", \.number, .uint64Value, [.atMost(1_000_000_000)])
            schema.unsupported("format=2")
        }
    }

    /// One entry of a descriptor.
    ///
    /// `envoy.config.route.v3.RateLimit.Action`
    package struct RateLimitAction: EnvoyMessage {
        package var specifier: Specifier?

        /// One of these.
        package enum Specifier: Sendable, Equatable {
            case sourceCluster
            case maskedRemoteAddress(RateLimitMask)
            case destinationCluster
            case requestHeaders(RateLimitField)
            case queryParameters(RateLimitParameter)
            case remoteAddress
            case genericKey(RateLimitKey)
            case headerValueMatch(RateLimitHeaders)
            case queryParameterValueMatch(RateLimitParameters)
        }

        package init() {}

        package static let schema = MessageSchema<RateLimitAction>(
            "envoy.config.route.v3.RateLimit.Action",
            empty: RateLimitAction()
        ) { schema in
            let one = "action_specifier"
            schema.oneof(one, isRequired: true)
            schema.choice(1, "source_cluster", of: one, \.specifier, Codec<RateLimitSource>.message) { _ in
                .sourceCluster
            } get: {
                if case .sourceCluster = $0 { RateLimitSource() } else { nil }
            }
            schema.choice(10, "masked_remote_address", of: one, \.specifier, .message) {
                .maskedRemoteAddress($0)
            } get: {
                if case .maskedRemoteAddress(let value) = $0 { value } else { nil }
            }
            schema.choice(2, "destination_cluster", of: one, \.specifier, Codec<RateLimitCluster>.message) { _ in
                .destinationCluster
            } get: {
                if case .destinationCluster = $0 { RateLimitCluster() } else { nil }
            }
            schema.choice(3, "request_headers", of: one, \.specifier, .message) {
                .requestHeaders($0)
            } get: {
                if case .requestHeaders(let value) = $0 { value } else { nil }
            }
            schema.choice(12, "query_parameters", of: one, \.specifier, .message) {
                .queryParameters($0)
            } get: {
                if case .queryParameters(let value) = $0 { value } else { nil }
            }
            schema.choice(4, "remote_address", of: one, \.specifier, Codec<RateLimitAddress>.message) { _ in
                .remoteAddress
            } get: {
                if case .remoteAddress = $0 { RateLimitAddress() } else { nil }
            }
            schema.choice(5, "generic_key", of: one, \.specifier, .message) {
                .genericKey($0)
            } get: {
                if case .genericKey(let value) = $0 { value } else { nil }
            }
            schema.choice(6, "header_value_match", of: one, \.specifier, .message) {
                .headerValueMatch($0)
            } get: {
                if case .headerValueMatch(let value) = $0 { value } else { nil }
            }
            schema.choice(11, "query_parameter_value_match", of: one, \.specifier, .message) {
                .queryParameterValueMatch($0)
            } get: {
                if case .queryParameterValueMatch(let value) = $0 { value } else { nil }
            }
            schema.unsupported("dynamic_metadata=7 metadata=8", of: one, why: "there is no dynamic metadata here")
            schema.unsupported("extension=9", of: one)
        }
    }

    /// `envoy.config.route.v3.RateLimit.Action.SourceCluster`
    package struct RateLimitSource: EnvoyMessage {
        package init() {}

        package static let schema = MessageSchema<RateLimitSource>(
            "envoy.config.route.v3.RateLimit.Action.SourceCluster",
            empty: RateLimitSource()
        ) { _ in }
    }

    /// `envoy.config.route.v3.RateLimit.Action.MaskedRemoteAddress`
    package struct RateLimitMask: EnvoyMessage {
        package var v4PrefixMaskLen: UInt32?
        package var v6PrefixMaskLen: UInt32?

        package init() {}

        package static let schema = MessageSchema<RateLimitMask>(
            "envoy.config.route.v3.RateLimit.Action.MaskedRemoteAddress",
            empty: RateLimitMask()
        ) { schema in
            schema.optional(1, "v4_prefix_mask_len", \.v4PrefixMaskLen, .uint32Value, [.atMost(32)])
            schema.optional(2, "v6_prefix_mask_len", \.v6PrefixMaskLen, .uint32Value, [.atMost(128)])
        }
    }

    /// `envoy.config.route.v3.RateLimit.Action.DestinationCluster`
    package struct RateLimitCluster: EnvoyMessage {
        package init() {}

        package static let schema = MessageSchema<RateLimitCluster>(
            "envoy.config.route.v3.RateLimit.Action.DestinationCluster",
            empty: RateLimitCluster()
        ) { _ in }
    }

    /// `envoy.config.route.v3.RateLimit.Action.RemoteAddress`
    package struct RateLimitAddress: EnvoyMessage {
        package init() {}

        package static let schema = MessageSchema<RateLimitAddress>(
            "envoy.config.route.v3.RateLimit.Action.RemoteAddress",
            empty: RateLimitAddress()
        ) { _ in }
    }

    /// `envoy.config.route.v3.RateLimit.Action.RequestHeaders`
    package struct RateLimitField: EnvoyMessage {
        package var headerName = ""
        package var descriptorKey = ""
        package var skipIfAbsent = false

        package init() {}

        package static let schema = MessageSchema<RateLimitField>(
            "envoy.config.route.v3.RateLimit.Action.RequestHeaders",
            empty: RateLimitField()
        ) { schema in
            schema.field(1, "header_name", \.headerName, .string, [.minLength(1), .headerName])
            schema.field(2, "descriptor_key", \.descriptorKey, .string, [.minLength(1)])
            schema.field(3, "skip_if_absent", \.skipIfAbsent, .bool)
        }
    }

    /// `envoy.config.route.v3.RateLimit.Action.QueryParameters`
    package struct RateLimitParameter: EnvoyMessage {
        package var queryParameterName = ""
        package var descriptorKey = ""
        package var skipIfAbsent = false

        package init() {}

        package static let schema = MessageSchema<RateLimitParameter>(
            "envoy.config.route.v3.RateLimit.Action.QueryParameters",
            empty: RateLimitParameter()
        ) { schema in
            schema.field(1, "query_parameter_name", \.queryParameterName, .string, [.minLength(1)])
            schema.field(2, "descriptor_key", \.descriptorKey, .string, [.minLength(1)])
            schema.field(3, "skip_if_absent", \.skipIfAbsent, .bool)
        }
    }

    /// `envoy.config.route.v3.RateLimit.Action.GenericKey`
    package struct RateLimitKey: EnvoyMessage {
        package var descriptorValue = ""
        package var descriptorKey = ""

        package init() {}

        package static let schema = MessageSchema<RateLimitKey>(
            "envoy.config.route.v3.RateLimit.Action.GenericKey",
            empty: RateLimitKey()
        ) { schema in
            schema.field(1, "descriptor_value", \.descriptorValue, .string, [.minLength(1)])
            schema.field(2, "descriptor_key", \.descriptorKey, .string)
            schema.unsupported("default_value=3")
        }
    }

    /// `envoy.config.route.v3.RateLimit.Action.HeaderValueMatch`
    package struct RateLimitHeaders: EnvoyMessage {
        package var descriptorValue = ""
        package var descriptorKey = ""
        package var expectMatch: Bool?
        package var headers: [HeaderMatcher] = []

        package init() {}

        package static let schema = MessageSchema<RateLimitHeaders>(
            "envoy.config.route.v3.RateLimit.Action.HeaderValueMatch",
            empty: RateLimitHeaders()
        ) { schema in
            schema.field(1, "descriptor_value", \.descriptorValue, .string, [.minLength(1)])
            schema.field(4, "descriptor_key", \.descriptorKey, .string)
            schema.optional(2, "expect_match", \.expectMatch, .boolValue)
            schema.repeated(3, "headers", \.headers, .message, [.minItems(1)])
            schema.unsupported("default_value=5")
        }
    }

    /// `envoy.config.route.v3.RateLimit.Action.QueryParameterValueMatch`
    package struct RateLimitParameters: EnvoyMessage {
        package var descriptorValue = ""
        package var descriptorKey = ""
        package var expectMatch: Bool?
        package var queryParameters: [QueryParameterMatcher] = []

        package init() {}

        package static let schema = MessageSchema<RateLimitParameters>(
            "envoy.config.route.v3.RateLimit.Action.QueryParameterValueMatch",
            empty: RateLimitParameters()
        ) { schema in
            schema.field(1, "descriptor_value", \.descriptorValue, .string, [.minLength(1)])
            schema.field(4, "descriptor_key", \.descriptorKey, .string)
            schema.optional(2, "expect_match", \.expectMatch, .boolValue)
            schema.repeated(3, "query_parameters", \.queryParameters, .message, [.minItems(1)])
            schema.unsupported("default_value=5")
        }
    }
}
