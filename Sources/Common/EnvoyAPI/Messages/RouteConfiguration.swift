extension Envoy {
    /// Which request goes where.
    ///
    /// `envoy.config.route.v3.RouteConfiguration`
    package struct RouteConfiguration: EnvoyMessage {
        package var name: String
        package var virtualHosts: [VirtualHost]
        package var internalOnlyHeaders: [String]
        package var responseHeadersToAdd: [HeaderValueOption]
        package var responseHeadersToRemove: [String]
        package var requestHeadersToAdd: [HeaderValueOption]
        package var requestHeadersToRemove: [String]
        package var mostSpecificHeaderMutationsWins: Bool
        package var validateClusters: Bool?
        package var maxDirectResponseBodySizeBytes: UInt32?
        package var ignorePortInHostMatching: Bool
        package var ignorePathParametersInPathMatching: Bool
        package var metadata: Metadata?
        package var requestMirrorPolicies: [RouteAction.RequestMirrorPolicy]
        package var typedPerFilterConfig: [String: RouteFilterConfig]

        package init(
            name: String = "",
            virtualHosts: [VirtualHost] = [],
            internalOnlyHeaders: [String] = [],
            responseHeadersToAdd: [HeaderValueOption] = [],
            responseHeadersToRemove: [String] = [],
            requestHeadersToAdd: [HeaderValueOption] = [],
            requestHeadersToRemove: [String] = [],
            mostSpecificHeaderMutationsWins: Bool = false,
            validateClusters: Bool? = nil,
            maxDirectResponseBodySizeBytes: UInt32? = nil,
            ignorePortInHostMatching: Bool = false,
            ignorePathParametersInPathMatching: Bool = false,
            metadata: Metadata? = nil,
            requestMirrorPolicies: [RouteAction.RequestMirrorPolicy] = [],
            typedPerFilterConfig: [String: RouteFilterConfig] = [:]
        ) {
            self.name = name
            self.virtualHosts = virtualHosts
            self.internalOnlyHeaders = internalOnlyHeaders
            self.responseHeadersToAdd = responseHeadersToAdd
            self.responseHeadersToRemove = responseHeadersToRemove
            self.requestHeadersToAdd = requestHeadersToAdd
            self.requestHeadersToRemove = requestHeadersToRemove
            self.mostSpecificHeaderMutationsWins = mostSpecificHeaderMutationsWins
            self.validateClusters = validateClusters
            self.maxDirectResponseBodySizeBytes = maxDirectResponseBodySizeBytes
            self.ignorePortInHostMatching = ignorePortInHostMatching
            self.ignorePathParametersInPathMatching = ignorePathParametersInPathMatching
            self.metadata = metadata
            self.requestMirrorPolicies = requestMirrorPolicies
            self.typedPerFilterConfig = typedPerFilterConfig
        }

        package static let schema = MessageSchema<RouteConfiguration>(
            "envoy.config.route.v3.RouteConfiguration",
            empty: RouteConfiguration()
        ) { schema in
            schema.field(1, "name", \.name, .string)
            schema.repeated(2, "virtual_hosts", \.virtualHosts, .message)
            schema.repeated(3, "internal_only_headers", \.internalOnlyHeaders, .string, [.headerName])
            schema.repeated(4, "response_headers_to_add", \.responseHeadersToAdd, .message, [.maxItems(1000)])
            schema.repeated(5, "response_headers_to_remove", \.responseHeadersToRemove, .string, [.headerName])
            schema.repeated(6, "request_headers_to_add", \.requestHeadersToAdd, .message, [.maxItems(1000)])
            schema.repeated(8, "request_headers_to_remove", \.requestHeadersToRemove, .string, [.headerName])
            schema.field(10, "most_specific_header_mutations_wins", \.mostSpecificHeaderMutationsWins, .bool)
            schema.optional(7, "validate_clusters", \.validateClusters, .boolValue)
            schema.optional(11, "max_direct_response_body_size_bytes", \.maxDirectResponseBodySizeBytes, .uint32Value)
            schema.field(14, "ignore_port_in_host_matching", \.ignorePortInHostMatching, .bool)
            schema.field(15, "ignore_path_parameters_in_path_matching", \.ignorePathParametersInPathMatching, .bool)
            schema.optional(17, "metadata", \.metadata, .message)
            schema.repeated(13, "request_mirror_policies", \.requestMirrorPolicies, .message)
            schema.map(16, "typed_per_filter_config", \.typedPerFilterConfig, .any)
            schema.unsupported(
                """
                vhds=9 cluster_specifier_plugins=12 vhost_header=18
                """
            )
        }
    }
}

extension Envoy {
    /// The routes of some hosts.
    ///
    /// `envoy.config.route.v3.VirtualHost`
    package struct VirtualHost: EnvoyMessage {
        package var name: String
        /// `host`, `*.suffix`, `prefix.*` or `*`.
        package var domains: [String]
        /// The first that matches counts.
        package var routes: [Route]
        package var requireTls: VirtualHost.TlsRequirementType
        package var requestHeadersToAdd: [HeaderValueOption]
        package var requestHeadersToRemove: [String]
        package var responseHeadersToAdd: [HeaderValueOption]
        package var responseHeadersToRemove: [String]
        package var retryPolicy: RetryPolicy?
        package var hedgePolicy: HedgePolicy?
        package var includeRequestAttemptCount: Bool
        package var includeAttemptCountInResponse: Bool
        package var metadata: Metadata?
        package var requestMirrorPolicies: [RouteAction.RequestMirrorPolicy]
        package var perRequestBufferLimitBytes: UInt32?
        package var requestBodyBufferLimit: UInt64?
        package var includeIsTimeoutRetryHeader: Bool
        package var virtualClusters: [VirtualCluster]
        package var rateLimits: [RouteRateLimit] = []
        package var typedPerFilterConfig: [String: RouteFilterConfig]

        package init(
            name: String = "",
            domains: [String] = [],
            routes: [Route] = [],
            requireTls: VirtualHost.TlsRequirementType = .none,
            requestHeadersToAdd: [HeaderValueOption] = [],
            requestHeadersToRemove: [String] = [],
            responseHeadersToAdd: [HeaderValueOption] = [],
            responseHeadersToRemove: [String] = [],
            retryPolicy: RetryPolicy? = nil,
            includeRequestAttemptCount: Bool = false,
            includeAttemptCountInResponse: Bool = false,
            metadata: Metadata? = nil,
            requestMirrorPolicies: [RouteAction.RequestMirrorPolicy] = [],
            perRequestBufferLimitBytes: UInt32? = nil,
            requestBodyBufferLimit: UInt64? = nil,
            includeIsTimeoutRetryHeader: Bool = false,
            virtualClusters: [VirtualCluster] = [],
            typedPerFilterConfig: [String: RouteFilterConfig] = [:]
        ) {
            self.name = name
            self.domains = domains
            self.routes = routes
            self.requireTls = requireTls
            self.requestHeadersToAdd = requestHeadersToAdd
            self.requestHeadersToRemove = requestHeadersToRemove
            self.responseHeadersToAdd = responseHeadersToAdd
            self.responseHeadersToRemove = responseHeadersToRemove
            self.retryPolicy = retryPolicy
            self.includeRequestAttemptCount = includeRequestAttemptCount
            self.includeAttemptCountInResponse = includeAttemptCountInResponse
            self.metadata = metadata
            self.requestMirrorPolicies = requestMirrorPolicies
            self.perRequestBufferLimitBytes = perRequestBufferLimitBytes
            self.requestBodyBufferLimit = requestBodyBufferLimit
            self.includeIsTimeoutRetryHeader = includeIsTimeoutRetryHeader
            self.virtualClusters = virtualClusters
            self.typedPerFilterConfig = typedPerFilterConfig
        }

        package static let schema = MessageSchema<VirtualHost>(
            "envoy.config.route.v3.VirtualHost",
            empty: VirtualHost()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.repeated(2, "domains", \.domains, .string, [.minItems(1), .headerValue])
            schema.repeated(3, "routes", \.routes, .message)
            schema.field(4, "require_tls", \.requireTls, .enumeration)
            schema.repeated(7, "request_headers_to_add", \.requestHeadersToAdd, .message, [.maxItems(1000)])
            schema.repeated(
                13,
                "request_headers_to_remove",
                \.requestHeadersToRemove,
                .string,
                [.minLength(1), .headerName]
            )
            schema.repeated(10, "response_headers_to_add", \.responseHeadersToAdd, .message, [.maxItems(1000)])
            schema.repeated(
                11,
                "response_headers_to_remove",
                \.responseHeadersToRemove,
                .string,
                [.minLength(1), .headerName]
            )
            schema.optional(16, "retry_policy", \.retryPolicy, .message)
            schema.optional(17, "hedge_policy", \.hedgePolicy, .message)
            schema.field(14, "include_request_attempt_count", \.includeRequestAttemptCount, .bool)
            schema.field(19, "include_attempt_count_in_response", \.includeAttemptCountInResponse, .bool)
            schema.optional(24, "metadata", \.metadata, .message)
            schema.repeated(22, "request_mirror_policies", \.requestMirrorPolicies, .message)
            schema.optional(18, "per_request_buffer_limit_bytes", \.perRequestBufferLimitBytes, .uint32Value)
            schema.optional(25, "request_body_buffer_limit", \.requestBodyBufferLimit, .uint64Value)
            schema.field(23, "include_is_timeout_retry_header", \.includeIsTimeoutRetryHeader, .bool)
            schema.repeated(6, "rate_limits", \.rateLimits, .message)
            schema.repeated(5, "virtual_clusters", \.virtualClusters, .message)
            schema.map(15, "typed_per_filter_config", \.typedPerFilterConfig, .any)
            schema.unsupported(
                """
                matcher=21 cors=8 retry_policy_typed_config=20
                """
            )
        }
    }
}

extension Envoy {
    /// What a request has to be and what is done with it.
    ///
    /// `envoy.config.route.v3.Route`
    package struct Route: EnvoyMessage {
        package var name: String
        package var match: RouteMatch?
        package var action: Action?
        package var metadata: Metadata?
        package var requestHeadersToAdd: [HeaderValueOption]
        package var requestHeadersToRemove: [String]
        package var responseHeadersToAdd: [HeaderValueOption]
        package var responseHeadersToRemove: [String]
        package var statPrefix: String
        package var perRequestBufferLimitBytes: UInt32?
        package var requestBodyBufferLimit: UInt64?
        package var decorator: Decorator?
        package var typedPerFilterConfig: [String: RouteFilterConfig]

        /// One of these.
        package enum Action: Sendable, Equatable {
            case route(RouteAction)
            case redirect(RedirectAction)
            case directResponse(DirectResponseAction)
            case nonForwardingAction(NonForwardingAction)
        }

        package init(
            name: String = "",
            match: RouteMatch? = nil,
            action: Action? = nil,
            metadata: Metadata? = nil,
            requestHeadersToAdd: [HeaderValueOption] = [],
            requestHeadersToRemove: [String] = [],
            responseHeadersToAdd: [HeaderValueOption] = [],
            responseHeadersToRemove: [String] = [],
            statPrefix: String = "",
            perRequestBufferLimitBytes: UInt32? = nil,
            requestBodyBufferLimit: UInt64? = nil,
            typedPerFilterConfig: [String: RouteFilterConfig] = [:]
        ) {
            self.name = name
            self.match = match
            self.action = action
            self.metadata = metadata
            self.requestHeadersToAdd = requestHeadersToAdd
            self.requestHeadersToRemove = requestHeadersToRemove
            self.responseHeadersToAdd = responseHeadersToAdd
            self.responseHeadersToRemove = responseHeadersToRemove
            self.statPrefix = statPrefix
            self.perRequestBufferLimitBytes = perRequestBufferLimitBytes
            self.requestBodyBufferLimit = requestBodyBufferLimit
            self.typedPerFilterConfig = typedPerFilterConfig
        }

        package static let schema = MessageSchema<Route>(
            "envoy.config.route.v3.Route",
            empty: Route()
        ) { schema in
            schema.field(14, "name", \.name, .string)
            schema.optional(1, "match", \.match, .message, [.required])
            schema.oneof("action", isRequired: true)
            schema.choice(2, "route", of: "action", \.action, .message) {
                .route($0)
            } get: {
                if case .route(let value) = $0 { value } else { nil }
            }
            schema.choice(3, "redirect", of: "action", \.action, .message) {
                .redirect($0)
            } get: {
                if case .redirect(let value) = $0 { value } else { nil }
            }
            schema.choice(7, "direct_response", of: "action", \.action, .message) {
                .directResponse($0)
            } get: {
                if case .directResponse(let value) = $0 { value } else { nil }
            }
            schema.choice(18, "non_forwarding_action", of: "action", \.action, .message) {
                .nonForwardingAction($0)
            } get: {
                if case .nonForwardingAction(let value) = $0 { value } else { nil }
            }
            schema.optional(4, "metadata", \.metadata, .message)
            schema.repeated(9, "request_headers_to_add", \.requestHeadersToAdd, .message, [.maxItems(1000)])
            schema.repeated(
                12,
                "request_headers_to_remove",
                \.requestHeadersToRemove,
                .string,
                [.minLength(1), .headerName]
            )
            schema.repeated(10, "response_headers_to_add", \.responseHeadersToAdd, .message, [.maxItems(1000)])
            schema.repeated(
                11,
                "response_headers_to_remove",
                \.responseHeadersToRemove,
                .string,
                [.minLength(1), .headerName]
            )
            schema.field(19, "stat_prefix", \.statPrefix, .string)
            schema.optional(16, "per_request_buffer_limit_bytes", \.perRequestBufferLimitBytes, .uint32Value)
            schema.optional(20, "request_body_buffer_limit", \.requestBodyBufferLimit, .uint64Value)
            schema.map(13, "typed_per_filter_config", \.typedPerFilterConfig, .any)
            schema.optional(5, "decorator", \.decorator, .message)
            schema.unsupported("filter_action=17 ", of: "action")
            schema.unsupported(
                """
                tracing=15 

                """
            )
        }
    }
}

extension Envoy {
    /// What a request has to be.
    ///
    /// `envoy.config.route.v3.RouteMatch`
    package struct RouteMatch: EnvoyMessage {
        package var pathSpecifier: PathSpecifier?
        /// nil is true.
        package var caseSensitive: Bool?
        package var runtimeFraction: RuntimeFractionalPercent?
        package var headers: [HeaderMatcher]
        package var queryParameters: [QueryParameterMatcher]
        package var cookies: [CookieMatcher]
        package var grpc: RouteMatch.GrpcRouteMatchOptions?
        package var tlsContext: RouteMatch.TlsContextMatchOptions?

        /// One of these.
        package enum PathSpecifier: Sendable, Equatable {
            case prefix(String)
            case path(String)
            /// A prefix that ends where a path segment ends: `/api` takes `/api` and `/api/x`, not `/apiary`.
            case pathSeparatedPrefix(String)
            /// The whole path, without the query.
            case safeRegex(RegexMatcher)
            /// Every CONNECT request, and no other.
            case connectMatcher(ConnectMatcher)
            /// A template with names for parts of the path.
            case pathMatchPolicy(PathMatchPolicy)
        }

        package init(
            pathSpecifier: PathSpecifier? = nil,
            caseSensitive: Bool? = nil,
            runtimeFraction: RuntimeFractionalPercent? = nil,
            headers: [HeaderMatcher] = [],
            queryParameters: [QueryParameterMatcher] = [],
            cookies: [CookieMatcher] = [],
            grpc: RouteMatch.GrpcRouteMatchOptions? = nil,
            tlsContext: RouteMatch.TlsContextMatchOptions? = nil
        ) {
            self.pathSpecifier = pathSpecifier
            self.caseSensitive = caseSensitive
            self.runtimeFraction = runtimeFraction
            self.headers = headers
            self.queryParameters = queryParameters
            self.cookies = cookies
            self.grpc = grpc
            self.tlsContext = tlsContext
        }

        package static let schema = MessageSchema<RouteMatch>(
            "envoy.config.route.v3.RouteMatch",
            empty: RouteMatch()
        ) { schema in
            schema.oneof("path_specifier", isRequired: true)
            schema.choice(1, "prefix", of: "path_specifier", \.pathSpecifier, .string) {
                .prefix($0)
            } get: {
                if case .prefix(let value) = $0 { value } else { nil }
            }
            schema.choice(2, "path", of: "path_specifier", \.pathSpecifier, .string) {
                .path($0)
            } get: {
                if case .path(let value) = $0 { value } else { nil }
            }
            schema.choice(14, "path_separated_prefix", of: "path_specifier", \.pathSpecifier, .string) {
                .pathSeparatedPrefix($0)
            } get: {
                if case .pathSeparatedPrefix(let value) = $0 { value } else { nil }
            }
            schema.optional(4, "case_sensitive", \.caseSensitive, .boolValue)
            schema.optional(9, "runtime_fraction", \.runtimeFraction, .message)
            schema.repeated(6, "headers", \.headers, .message)
            schema.repeated(7, "query_parameters", \.queryParameters, .message)
            schema.choice(10, "safe_regex", of: "path_specifier", \.pathSpecifier, .message, [.required]) {
                .safeRegex($0)
            } get: {
                if case .safeRegex(let value) = $0 { value } else { nil }
            }
            schema.choice(12, "connect_matcher", of: "path_specifier", \.pathSpecifier, .message) {
                .connectMatcher($0)
            } get: {
                if case .connectMatcher(let value) = $0 { value } else { nil }
            }
            schema.repeated(17, "cookies", \.cookies, .message)
            schema.optional(8, "grpc", \.grpc, .message)
            schema.optional(11, "tls_context", \.tlsContext, .message)
            schema.choice(15, "path_match_policy", of: "path_specifier", \.pathSpecifier, .message) {
                .pathMatchPolicy($0)
            } get: {
                if case .pathMatchPolicy(let value) = $0 { value } else { nil }
            }
            schema.unsupported("dynamic_metadata=13 filter_state=16")
        }
    }
}

extension Envoy {
    /// What a header of the request has to be.
    ///
    /// `envoy.config.route.v3.HeaderMatcher`
    package struct HeaderMatcher: EnvoyMessage {
        package var name: String
        package var headerMatchSpecifier: HeaderMatchSpecifier?
        package var invertMatch: Bool
        package var treatMissingHeaderAsEmpty: Bool

        /// One of these.
        package enum HeaderMatchSpecifier: Sendable, Equatable {
            case exactMatch(String)
            case rangeMatch(Int64Range)
            case presentMatch(Bool)
            case prefixMatch(String)
            case suffixMatch(String)
            case containsMatch(String)
            case safeRegexMatch(RegexMatcher)
            case stringMatch(StringMatcher)
        }

        package init(
            name: String = "",
            headerMatchSpecifier: HeaderMatchSpecifier? = nil,
            invertMatch: Bool = false,
            treatMissingHeaderAsEmpty: Bool = false
        ) {
            self.name = name
            self.headerMatchSpecifier = headerMatchSpecifier
            self.invertMatch = invertMatch
            self.treatMissingHeaderAsEmpty = treatMissingHeaderAsEmpty
        }

        package static let schema = MessageSchema<HeaderMatcher>(
            "envoy.config.route.v3.HeaderMatcher",
            empty: HeaderMatcher()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1), .headerName])
            schema.oneof("header_match_specifier")
            schema.choice(4, "exact_match", of: "header_match_specifier", \.headerMatchSpecifier, .string) {
                .exactMatch($0)
            } get: {
                if case .exactMatch(let value) = $0 { value } else { nil }
            }
            schema.choice(6, "range_match", of: "header_match_specifier", \.headerMatchSpecifier, .message) {
                .rangeMatch($0)
            } get: {
                if case .rangeMatch(let value) = $0 { value } else { nil }
            }
            schema.choice(7, "present_match", of: "header_match_specifier", \.headerMatchSpecifier, .bool) {
                .presentMatch($0)
            } get: {
                if case .presentMatch(let value) = $0 { value } else { nil }
            }
            schema.choice(
                9,
                "prefix_match",
                of: "header_match_specifier",
                \.headerMatchSpecifier,
                .string,
                [.minLength(1)]
            ) {
                .prefixMatch($0)
            } get: {
                if case .prefixMatch(let value) = $0 { value } else { nil }
            }
            schema.choice(
                10,
                "suffix_match",
                of: "header_match_specifier",
                \.headerMatchSpecifier,
                .string,
                [.minLength(1)]
            ) {
                .suffixMatch($0)
            } get: {
                if case .suffixMatch(let value) = $0 { value } else { nil }
            }
            schema.choice(
                12,
                "contains_match",
                of: "header_match_specifier",
                \.headerMatchSpecifier,
                .string,
                [.minLength(1)]
            ) {
                .containsMatch($0)
            } get: {
                if case .containsMatch(let value) = $0 { value } else { nil }
            }
            schema.choice(13, "string_match", of: "header_match_specifier", \.headerMatchSpecifier, .message) {
                .stringMatch($0)
            } get: {
                if case .stringMatch(let value) = $0 { value } else { nil }
            }
            schema.field(8, "invert_match", \.invertMatch, .bool)
            schema.field(14, "treat_missing_header_as_empty", \.treatMissingHeaderAsEmpty, .bool)
            schema.choice(11, "safe_regex_match", of: "header_match_specifier", \.headerMatchSpecifier, .message) {
                .safeRegexMatch($0)
            } get: {
                if case .safeRegexMatch(let value) = $0 { value } else { nil }
            }
        }
    }
}

extension Envoy {
    /// What a query parameter has to be.
    ///
    /// `envoy.config.route.v3.QueryParameterMatcher`
    package struct QueryParameterMatcher: EnvoyMessage {
        package var name: String
        package var queryParameterMatchSpecifier: QueryParameterMatchSpecifier?

        /// One of these.
        package enum QueryParameterMatchSpecifier: Sendable, Equatable {
            case stringMatch(StringMatcher)
            case presentMatch(Bool)
        }

        package init(
            name: String = "",
            queryParameterMatchSpecifier: QueryParameterMatchSpecifier? = nil
        ) {
            self.name = name
            self.queryParameterMatchSpecifier = queryParameterMatchSpecifier
        }

        package static let schema = MessageSchema<QueryParameterMatcher>(
            "envoy.config.route.v3.QueryParameterMatcher",
            empty: QueryParameterMatcher()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1), .maxBytes(1024)])
            schema.oneof("query_parameter_match_specifier")
            schema.choice(
                5,
                "string_match",
                of: "query_parameter_match_specifier",
                \.queryParameterMatchSpecifier,
                .message,
                [.required]
            ) {
                .stringMatch($0)
            } get: {
                if case .stringMatch(let value) = $0 { value } else { nil }
            }
            schema.choice(
                6,
                "present_match",
                of: "query_parameter_match_specifier",
                \.queryParameterMatchSpecifier,
                .bool
            ) {
                .presentMatch($0)
            } get: {
                if case .presentMatch(let value) = $0 { value } else { nil }
            }
        }
    }
}

extension Envoy.VirtualHost {
    /// Values of `envoy.config.route.v3.VirtualHost.TlsRequirementType`.
    package enum TlsRequirementType: Int32, EnvoyEnum {
        case none = 0
        case externalOnly = 1
        case all = 2

        package static let names = EnumNames(
            "envoy.config.route.v3.VirtualHost.TlsRequirementType",
            "NONE=0 EXTERNAL_ONLY=1 ALL=2"
        )
    }
}
