extension Envoy {
    /// Lets requests pass that carry good tokens.
    ///
    /// `envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication`
    package struct JwtAuthentication: EnvoyMessage {
        package var providers: [String: JwtProvider]
        package var rules: [JwtRequirementRule]
        package var bypassCorsPreflight: Bool
        /// Requirements by name, for rules and routes.
        package var requirementMap: [String: JwtRequirement]
        /// A denial does not say why.
        package var stripFailureResponse: Bool
        package var statPrefix: String

        package init(
            providers: [String: JwtProvider] = [:],
            rules: [JwtRequirementRule] = [],
            bypassCorsPreflight: Bool = false,
            requirementMap: [String: JwtRequirement] = [:],
            stripFailureResponse: Bool = false,
            statPrefix: String = ""
        ) {
            self.providers = providers
            self.rules = rules
            self.bypassCorsPreflight = bypassCorsPreflight
            self.requirementMap = requirementMap
            self.stripFailureResponse = stripFailureResponse
            self.statPrefix = statPrefix
        }

        package static let schema = MessageSchema<JwtAuthentication>(
            "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            empty: JwtAuthentication()
        ) { schema in
            schema.map(1, "providers", \.providers, .message)
            schema.repeated(2, "rules", \.rules, .message)
            schema.field(4, "bypass_cors_preflight", \.bypassCorsPreflight, .bool)
            schema.map(5, "requirement_map", \.requirementMap, .message)
            schema.field(6, "strip_failure_response", \.stripFailureResponse, .bool)
            schema.field(7, "stat_prefix", \.statPrefix, .string)
            schema.unsupported("filter_state_rules=3", why: "use rules, or requirement_name of a route")
        }
    }
}

extension Envoy {
    /// Who issues tokens, and where they stand.
    ///
    /// `envoy.extensions.filters.http.jwt_authn.v3.JwtProvider`
    package struct JwtProvider: EnvoyMessage {
        package var issuer: String
        package var audiences: [String]
        package var subjects: StringMatcher?
        package var requireExpiration: Bool
        package var maxLifetime: Duration?
        package var remoteJwks: RemoteJwks?
        package var localJwks: DataSource?
        /// The token stays in the request.
        package var forward: Bool
        package var fromHeaders: [JwtHeader]
        package var fromParams: [String]
        package var fromCookies: [String]
        package var forwardPayloadHeader: String
        package var padForwardPayloadHeader: Bool
        /// 0 is 60.
        package var clockSkewSeconds: UInt32
        package var claimToHeaders: [JwtClaimToHeader]
        package var clearRouteCache: Bool

        package init(
            issuer: String = "",
            audiences: [String] = [],
            subjects: StringMatcher? = nil,
            requireExpiration: Bool = false,
            maxLifetime: Duration? = nil,
            remoteJwks: RemoteJwks? = nil,
            localJwks: DataSource? = nil,
            forward: Bool = false,
            fromHeaders: [JwtHeader] = [],
            fromParams: [String] = [],
            fromCookies: [String] = [],
            forwardPayloadHeader: String = "",
            padForwardPayloadHeader: Bool = false,
            clockSkewSeconds: UInt32 = 0,
            claimToHeaders: [JwtClaimToHeader] = [],
            clearRouteCache: Bool = false
        ) {
            self.issuer = issuer
            self.audiences = audiences
            self.subjects = subjects
            self.requireExpiration = requireExpiration
            self.maxLifetime = maxLifetime
            self.remoteJwks = remoteJwks
            self.localJwks = localJwks
            self.forward = forward
            self.fromHeaders = fromHeaders
            self.fromParams = fromParams
            self.fromCookies = fromCookies
            self.forwardPayloadHeader = forwardPayloadHeader
            self.padForwardPayloadHeader = padForwardPayloadHeader
            self.clockSkewSeconds = clockSkewSeconds
            self.claimToHeaders = claimToHeaders
            self.clearRouteCache = clearRouteCache
        }

        package static let schema = MessageSchema<JwtProvider>(
            "envoy.extensions.filters.http.jwt_authn.v3.JwtProvider",
            empty: JwtProvider()
        ) { schema in
            schema.oneof("jwks_source_specifier", isRequired: true)
            schema.field(1, "issuer", \.issuer, .string)
            schema.repeated(2, "audiences", \.audiences, .string)
            schema.optional(19, "subjects", \.subjects, .message)
            schema.field(20, "require_expiration", \.requireExpiration, .bool)
            schema.optional(21, "max_lifetime", \.maxLifetime, .duration)
            schema.optional(3, "remote_jwks", of: "jwks_source_specifier", \.remoteJwks, .message)
            schema.optional(4, "local_jwks", of: "jwks_source_specifier", \.localJwks, .message)
            schema.field(5, "forward", \.forward, .bool)
            schema.repeated(6, "from_headers", \.fromHeaders, .message)
            schema.repeated(7, "from_params", \.fromParams, .string)
            schema.repeated(13, "from_cookies", \.fromCookies, .string)
            schema.field(8, "forward_payload_header", \.forwardPayloadHeader, .string, [.headerName])
            schema.field(11, "pad_forward_payload_header", \.padForwardPayloadHeader, .bool)
            schema.field(10, "clock_skew_seconds", \.clockSkewSeconds, .uint32)
            schema.repeated(15, "claim_to_headers", \.claimToHeaders, .message)
            schema.field(17, "clear_route_cache", \.clearRouteCache, .bool)
            schema.unsupported(
                "payload_in_metadata=9 normalize_payload_in_metadata=18 header_in_metadata=14 failed_status_in_metadata=16",
                why: "there is no metadata of requests here: use claim_to_headers"
            )
            schema.unsupported("jwt_cache_config=12", why: "every token is verified")
        }
    }
}

extension Envoy {
    /// A header field with a token.
    ///
    /// `envoy.extensions.filters.http.jwt_authn.v3.JwtHeader`
    package struct JwtHeader: EnvoyMessage {
        package var name: String
        package var valuePrefix: String

        package init(name: String = "", valuePrefix: String = "") {
            self.name = name
            self.valuePrefix = valuePrefix
        }

        package static let schema = MessageSchema<JwtHeader>(
            "envoy.extensions.filters.http.jwt_authn.v3.JwtHeader",
            empty: JwtHeader()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1), .headerName])
            schema.field(2, "value_prefix", \.valuePrefix, .string, [.headerValue])
        }
    }
}

extension Envoy {
    /// A claim that goes to the endpoint in a header field.
    ///
    /// `envoy.extensions.filters.http.jwt_authn.v3.JwtClaimToHeader`
    package struct JwtClaimToHeader: EnvoyMessage {
        package var headerName: String
        package var claimName: String
        package var claimPath: [JwtPathSegment]

        package init(headerName: String = "", claimName: String = "", claimPath: [JwtPathSegment] = []) {
            self.headerName = headerName
            self.claimName = claimName
            self.claimPath = claimPath
        }

        package static let schema = MessageSchema<JwtClaimToHeader>(
            "envoy.extensions.filters.http.jwt_authn.v3.JwtClaimToHeader",
            empty: JwtClaimToHeader()
        ) { schema in
            schema.field(1, "header_name", \.headerName, .string, [.minLength(1), .headerName])
            schema.field(2, "claim_name", \.claimName, .string)
            schema.repeated(3, "claim_path", \.claimPath, .message)
        }

        package static func verify(_ message: JwtClaimToHeader, _ reader: inout SchemaReader) {
            if message.claimName.isEmpty == message.claimPath.isEmpty {
                reader.report(.missing, "one of claim_name, claim_path is required")
            }
        }
    }
}

extension Envoy {
    /// One step on the way to a claim.
    ///
    /// `envoy.extensions.filters.http.jwt_authn.v3.JwtClaimToHeader.PathSegment`
    package struct JwtPathSegment: EnvoyMessage {
        package var key: String

        package init(key: String = "") {
            self.key = key
        }

        package static let schema = MessageSchema<JwtPathSegment>(
            "envoy.extensions.filters.http.jwt_authn.v3.JwtClaimToHeader.PathSegment",
            empty: JwtPathSegment()
        ) { schema in
            schema.field(1, "key", \.key, .string, [.minLength(1)])
        }
    }
}

extension Envoy {
    /// Keys that are fetched.
    ///
    /// `envoy.extensions.filters.http.jwt_authn.v3.RemoteJwks`
    package struct RemoteJwks: EnvoyMessage {
        package var httpUri: HttpUri?
        /// nil: 10 minutes.
        package var cacheDuration: Duration?
        package var asyncFetch: JwksAsyncFetch?

        package init(httpUri: HttpUri? = nil, cacheDuration: Duration? = nil, asyncFetch: JwksAsyncFetch? = nil) {
            self.httpUri = httpUri
            self.cacheDuration = cacheDuration
            self.asyncFetch = asyncFetch
        }

        package static let schema = MessageSchema<RemoteJwks>(
            "envoy.extensions.filters.http.jwt_authn.v3.RemoteJwks",
            empty: RemoteJwks()
        ) { schema in
            schema.optional(1, "http_uri", \.httpUri, .message, [.required])
            schema.optional(2, "cache_duration", \.cacheDuration, .duration, [.durationAtLeast(.milliseconds(1))])
            schema.optional(3, "async_fetch", \.asyncFetch, .message)
            schema.unsupported("retry_policy=4", why: "a fetch that fails is done again after a second")
        }
    }
}

extension Envoy {
    /// Keys are fetched before they are wanted.
    ///
    /// `envoy.extensions.filters.http.jwt_authn.v3.JwksAsyncFetch`
    package struct JwksAsyncFetch: EnvoyMessage {
        /// nil: a second.
        package var failedRefetchDuration: Duration?

        package init(failedRefetchDuration: Duration? = nil) {
            self.failedRefetchDuration = failedRefetchDuration
        }

        package static let schema = MessageSchema<JwksAsyncFetch>(
            "envoy.extensions.filters.http.jwt_authn.v3.JwksAsyncFetch",
            empty: JwksAsyncFetch()
        ) { schema in
            schema.optional(2, "failed_refetch_duration", \.failedRefetchDuration, .duration, [.durationAbove(.zero)])
            schema.ignored("fast_listener=1", why: "listeners open at once, and requests wait for the keys")
        }
    }
}

extension Envoy {
    /// Something that a cluster serves.
    ///
    /// `envoy.config.core.v3.HttpUri`
    package struct HttpUri: EnvoyMessage {
        package var uri: String
        package var cluster: String
        package var timeout: Duration?

        package init(uri: String = "", cluster: String = "", timeout: Duration? = nil) {
            self.uri = uri
            self.cluster = cluster
            self.timeout = timeout
        }

        package static let schema = MessageSchema<HttpUri>(
            "envoy.config.core.v3.HttpUri",
            empty: HttpUri()
        ) { schema in
            schema.field(1, "uri", \.uri, .string, [.minLength(1)])
            schema.field(2, "cluster", \.cluster, .string, [.minLength(1)])
            schema.optional(3, "timeout", \.timeout, .duration, [.required, .durationAtLeast(.zero)])
        }
    }
}

extension Envoy {
    /// What tokens a request has to carry.
    ///
    /// `envoy.extensions.filters.http.jwt_authn.v3.JwtRequirement`
    package struct JwtRequirement: EnvoyMessage {
        package var requires: Requires?

        /// One of these.
        package enum Requires: Sendable, Equatable {
            case providerName(String)
            case providerAndAudiences(JwtProviderWithAudiences)
            indirect case any(JwtRequirementOrList)
            indirect case all(JwtRequirementAndList)
            case allowMissingOrFailed(JwtAllow)
            case allowMissing(JwtAllow)
        }

        package init(requires: Requires? = nil) { self.requires = requires }

        package static let schema = MessageSchema<JwtRequirement>(
            "envoy.extensions.filters.http.jwt_authn.v3.JwtRequirement",
            empty: JwtRequirement()
        ) { schema in
            schema.oneof("requires_type")
            schema.choice(1, "provider_name", of: "requires_type", \.requires, .string) {
                .providerName($0)
            } get: {
                if case .providerName(let value) = $0 { value } else { nil }
            }
            schema.choice(2, "provider_and_audiences", of: "requires_type", \.requires, .message) {
                .providerAndAudiences($0)
            } get: {
                if case .providerAndAudiences(let value) = $0 { value } else { nil }
            }
            schema.choice(3, "requires_any", of: "requires_type", \.requires, .message) {
                .any($0)
            } get: {
                if case .any(let value) = $0 { value } else { nil }
            }
            schema.choice(4, "requires_all", of: "requires_type", \.requires, .message) {
                .all($0)
            } get: {
                if case .all(let value) = $0 { value } else { nil }
            }
            schema.choice(5, "allow_missing_or_failed", of: "requires_type", \.requires, .message) {
                .allowMissingOrFailed($0)
            } get: {
                if case .allowMissingOrFailed(let value) = $0 { value } else { nil }
            }
            schema.choice(6, "allow_missing", of: "requires_type", \.requires, .message) {
                .allowMissing($0)
            } get: {
                if case .allowMissing(let value) = $0 { value } else { nil }
            }
            schema.unsupported(
                "extract_only_without_validation=7",
                of: "requires_type",
                why: "what is not verified is not believed"
            )
        }
    }
}

extension Envoy {
    /// Says only that it is there.
    ///
    /// `google.protobuf.Empty`
    package struct JwtAllow: EnvoyMessage {
        package init() {}

        package static let schema = MessageSchema<JwtAllow>(
            "google.protobuf.Empty",
            empty: JwtAllow()
        ) { _ in
        }
    }
}

extension Envoy {
    /// A provider with audiences in place of its own.
    ///
    /// `envoy.extensions.filters.http.jwt_authn.v3.ProviderWithAudiences`
    package struct JwtProviderWithAudiences: EnvoyMessage {
        package var providerName: String
        package var audiences: [String]

        package init(providerName: String = "", audiences: [String] = []) {
            self.providerName = providerName
            self.audiences = audiences
        }

        package static let schema = MessageSchema<JwtProviderWithAudiences>(
            "envoy.extensions.filters.http.jwt_authn.v3.ProviderWithAudiences",
            empty: JwtProviderWithAudiences()
        ) { schema in
            schema.field(1, "provider_name", \.providerName, .string)
            schema.repeated(2, "audiences", \.audiences, .string)
        }
    }
}

extension Envoy {
    /// One of these has to be met.
    ///
    /// `envoy.extensions.filters.http.jwt_authn.v3.JwtRequirementOrList`
    package struct JwtRequirementOrList: EnvoyMessage {
        package var requirements: [JwtRequirement]

        package init(requirements: [JwtRequirement] = []) {
            self.requirements = requirements
        }

        package static let schema = MessageSchema<JwtRequirementOrList>(
            "envoy.extensions.filters.http.jwt_authn.v3.JwtRequirementOrList",
            empty: JwtRequirementOrList()
        ) { schema in
            schema.repeated(1, "requirements", \.requirements, .message, [.minItems(2)])
        }
    }
}

extension Envoy {
    /// All of these have to be met.
    ///
    /// `envoy.extensions.filters.http.jwt_authn.v3.JwtRequirementAndList`
    package struct JwtRequirementAndList: EnvoyMessage {
        package var requirements: [JwtRequirement]

        package init(requirements: [JwtRequirement] = []) {
            self.requirements = requirements
        }

        package static let schema = MessageSchema<JwtRequirementAndList>(
            "envoy.extensions.filters.http.jwt_authn.v3.JwtRequirementAndList",
            empty: JwtRequirementAndList()
        ) { schema in
            schema.repeated(1, "requirements", \.requirements, .message, [.minItems(2)])
        }
    }
}

extension Envoy {
    /// What requests of a kind have to carry; the first rule that matches counts.
    ///
    /// `envoy.extensions.filters.http.jwt_authn.v3.RequirementRule`
    package struct JwtRequirementRule: EnvoyMessage {
        package var match: RouteMatch?
        /// Neither this nor a name: nothing.
        package var requires: JwtRequirement?
        package var requirementName: String?

        package init(match: RouteMatch? = nil, requires: JwtRequirement? = nil, requirementName: String? = nil) {
            self.match = match
            self.requires = requires
            self.requirementName = requirementName
        }

        package static let schema = MessageSchema<JwtRequirementRule>(
            "envoy.extensions.filters.http.jwt_authn.v3.RequirementRule",
            empty: JwtRequirementRule()
        ) { schema in
            schema.optional(1, "match", \.match, .message, [.required])
            schema.optional(2, "requires", \.requires, .message)
            schema.optional(3, "requirement_name", \.requirementName, .string, [.minLength(1)])
        }
    }
}

extension Envoy {
    /// What a route requires in place of the rules.
    ///
    /// `envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig`
    package struct JwtPerRoute: EnvoyMessage {
        package var disabled: Bool
        package var requirementName: String

        package init(disabled: Bool = false, requirementName: String = "") {
            self.disabled = disabled
            self.requirementName = requirementName
        }

        package static let schema = MessageSchema<JwtPerRoute>(
            "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig",
            empty: JwtPerRoute()
        ) { schema in
            schema.field(1, "disabled", \.disabled, .bool)
            schema.field(2, "requirement_name", \.requirementName, .string)
        }

        package static func verify(_ message: JwtPerRoute, _ reader: inout SchemaReader) {
            if message.disabled != message.requirementName.isEmpty {
                reader.report(.missing, "one of disabled, requirement_name is required")
            }
        }
    }
}
