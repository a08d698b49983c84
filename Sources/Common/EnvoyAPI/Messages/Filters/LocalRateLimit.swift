extension Envoy {
    /// Lets so many requests pass in a time, counted in this process.
    ///
    /// `envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit`
    package struct LocalRateLimit: EnvoyMessage {
        package var statPrefix: String
        package var status: HttpStatus?
        package var tokenBucket: TokenBucket?
        package var filterEnabled: RuntimeFractionalPercent?
        package var filterEnforced: RuntimeFractionalPercent?
        package var responseHeadersToAdd: [HeaderValueOption]
        package var stage: UInt32
        package var descriptors: [LocalRateLimitDescriptor]
        package var requestHeadersToAddWhenNotEnforced: [HeaderValueOption]
        package var enableXRatelimitHeaders: XRateLimitHeaders
        package var vhRateLimits: HostRateLimits
        package var alwaysConsumeDefaultTokenBucket: Bool?
        package var rateLimitedAsResourceExhausted: Bool
        package var rateLimits: [RouteRateLimit]

        package init(
            statPrefix: String = "",
            status: HttpStatus? = nil,
            tokenBucket: TokenBucket? = nil,
            filterEnabled: RuntimeFractionalPercent? = nil,
            filterEnforced: RuntimeFractionalPercent? = nil,
            responseHeadersToAdd: [HeaderValueOption] = [],
            stage: UInt32 = 0,
            descriptors: [LocalRateLimitDescriptor] = [],
            requestHeadersToAddWhenNotEnforced: [HeaderValueOption] = [],
            enableXRatelimitHeaders: XRateLimitHeaders = .off,
            vhRateLimits: HostRateLimits = .override,
            alwaysConsumeDefaultTokenBucket: Bool? = nil,
            rateLimitedAsResourceExhausted: Bool = false,
            rateLimits: [RouteRateLimit] = []
        ) {
            self.statPrefix = statPrefix
            self.status = status
            self.tokenBucket = tokenBucket
            self.filterEnabled = filterEnabled
            self.filterEnforced = filterEnforced
            self.responseHeadersToAdd = responseHeadersToAdd
            self.stage = stage
            self.descriptors = descriptors
            self.requestHeadersToAddWhenNotEnforced = requestHeadersToAddWhenNotEnforced
            self.enableXRatelimitHeaders = enableXRatelimitHeaders
            self.vhRateLimits = vhRateLimits
            self.alwaysConsumeDefaultTokenBucket = alwaysConsumeDefaultTokenBucket
            self.rateLimitedAsResourceExhausted = rateLimitedAsResourceExhausted
            self.rateLimits = rateLimits
        }

        package static let schema = MessageSchema<LocalRateLimit>(
            "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
            empty: LocalRateLimit()
        ) { schema in
            schema.field(1, "stat_prefix", \.statPrefix, .string, [.minLength(1)])
            schema.optional(2, "status", \.status, .message)
            schema.optional(3, "token_bucket", \.tokenBucket, .message)
            schema.optional(4, "filter_enabled", \.filterEnabled, .message)
            schema.optional(5, "filter_enforced", \.filterEnforced, .message)
            schema.repeated(6, "response_headers_to_add", \.responseHeadersToAdd, .message, [.maxItems(10)])
            schema.field(7, "stage", \.stage, .uint32, [.atMost(10)])
            schema.repeated(8, "descriptors", \.descriptors, .message)
            schema.repeated(
                10,
                "request_headers_to_add_when_not_enforced",
                \.requestHeadersToAddWhenNotEnforced,
                .message,
                [.maxItems(10)]
            )
            schema.field(12, "enable_x_ratelimit_headers", \.enableXRatelimitHeaders, .enumeration)
            schema.field(13, "vh_rate_limits", \.vhRateLimits, .enumeration)
            schema.optional(14, "always_consume_default_token_bucket", \.alwaysConsumeDefaultTokenBucket, .boolValue)
            schema.field(15, "rate_limited_as_resource_exhausted", \.rateLimitedAsResourceExhausted, .bool)
            schema.repeated(17, "rate_limits", \.rateLimits, .message)
            schema.unsupported(
                "local_rate_limit_per_downstream_connection=11 local_cluster_rate_limit=16 max_dynamic_descriptors=18"
            )
        }
    }
}

extension Envoy {
    /// What is taken from by requests, and filled again with time.
    ///
    /// `envoy.type.v3.TokenBucket`
    package struct TokenBucket: EnvoyMessage {
        package var maxTokens: UInt32
        package var tokensPerFill: UInt32?
        package var fillInterval: Duration?

        package init(
            maxTokens: UInt32 = 0,
            tokensPerFill: UInt32? = nil,
            fillInterval: Duration? = nil
        ) {
            self.maxTokens = maxTokens
            self.tokensPerFill = tokensPerFill
            self.fillInterval = fillInterval
        }

        package static let schema = MessageSchema<TokenBucket>(
            "envoy.type.v3.TokenBucket",
            empty: TokenBucket()
        ) { schema in
            schema.field(1, "max_tokens", \.maxTokens, .uint32, [.above(0)])
            schema.optional(2, "tokens_per_fill", \.tokensPerFill, .uint32Value, [.above(0)])
            schema.optional(3, "fill_interval", \.fillInterval, .duration, [.required, .durationAbove(.zero)])
        }
    }
}

extension Envoy {
    /// A bucket for what is counted under these entries.
    ///
    /// `envoy.extensions.common.ratelimit.v3.LocalRateLimitDescriptor`
    package struct LocalRateLimitDescriptor: EnvoyMessage {
        package var entries: [RateLimitEntry]
        package var tokenBucket: TokenBucket?

        package init(
            entries: [RateLimitEntry] = [],
            tokenBucket: TokenBucket? = nil
        ) {
            self.entries = entries
            self.tokenBucket = tokenBucket
        }

        package static let schema = MessageSchema<LocalRateLimitDescriptor>(
            "envoy.extensions.common.ratelimit.v3.LocalRateLimitDescriptor",
            empty: LocalRateLimitDescriptor()
        ) { schema in
            schema.repeated(1, "entries", \.entries, .message, [.minItems(1)])
            schema.optional(2, "token_bucket", \.tokenBucket, .message, [.required])
        }
    }
}

extension Envoy {
    /// A name and a value.
    ///
    /// `envoy.extensions.common.ratelimit.v3.RateLimitDescriptor.Entry`
    package struct RateLimitEntry: EnvoyMessage {
        package var key: String
        package var value: String

        package init(
            key: String = "",
            value: String = ""
        ) {
            self.key = key
            self.value = value
        }

        package static let schema = MessageSchema<RateLimitEntry>(
            "envoy.extensions.common.ratelimit.v3.RateLimitDescriptor.Entry",
            empty: RateLimitEntry()
        ) { schema in
            schema.field(1, "key", \.key, .string, [.minLength(1)])
            schema.field(2, "value", \.value, .string)
        }
    }
}
