extension Envoy {
    /// A request goes to a cluster.
    ///
    /// `envoy.config.route.v3.RouteAction`
    package struct RouteAction: EnvoyMessage {
        package var clusterSpecifier: ClusterSpecifier?
        package var clusterNotFoundResponseCode: RouteAction.ClusterNotFoundResponseCode
        package var prefixRewrite: String
        package var regexRewrite: RegexMatchAndSubstitute?
        package var pathRewritePolicy: PathRewritePolicy?
        package var hostRewriteSpecifier: HostRewriteSpecifier?
        package var appendXForwardedHost: Bool
        /// nil is 15 s, 0 none.
        package var timeout: Duration?
        package var idleTimeout: Duration?
        package var retryPolicy: RetryPolicy?
        package var priority: RoutingPriority
        package var upgradeConfigs: [RouteAction.UpgradeConfig]
        package var maxStreamDuration: RouteAction.MaxStreamDuration?
        /// The old form of `grpcTimeoutHeaderMax`, in place of `timeout`.
        package var maxGrpcTimeout: Duration?
        package var grpcTimeoutOffset: Duration?
        package var requestMirrorPolicies: [RouteAction.RequestMirrorPolicy]
        package var hashPolicy: [RouteAction.HashPolicy]
        package var internalRedirectPolicy: InternalRedirectPolicy?
        package var rateLimits: [RouteRateLimit] = []
        package var includeVhRateLimits: Bool?
        package var hedgePolicy: HedgePolicy?
        /// What endpoints are asked for, of clusters with subsets.
        package var metadataMatch: Metadata?

        /// One of these.
        package enum ClusterSpecifier: Sendable, Equatable {
            case cluster(String)
            case clusterHeader(String)
            case weightedClusters(WeightedCluster)
        }

        /// One of these.
        package enum HostRewriteSpecifier: Sendable, Equatable {
            case hostRewriteLiteral(String)
            case autoHostRewrite(Bool)
            case hostRewriteHeader(String)
            /// Host becomes the path, without its query, as the expression rewrites it.
            case hostRewritePathRegex(RegexMatchAndSubstitute)
        }

        package init(
            clusterSpecifier: ClusterSpecifier? = nil,
            clusterNotFoundResponseCode: RouteAction.ClusterNotFoundResponseCode = .serviceUnavailable,
            prefixRewrite: String = "",
            regexRewrite: RegexMatchAndSubstitute? = nil,
            pathRewritePolicy: PathRewritePolicy? = nil,
            hostRewriteSpecifier: HostRewriteSpecifier? = nil,
            appendXForwardedHost: Bool = false,
            timeout: Duration? = nil,
            idleTimeout: Duration? = nil,
            retryPolicy: RetryPolicy? = nil,
            priority: RoutingPriority = .default,
            upgradeConfigs: [RouteAction.UpgradeConfig] = [],
            maxStreamDuration: RouteAction.MaxStreamDuration? = nil,
            maxGrpcTimeout: Duration? = nil,
            grpcTimeoutOffset: Duration? = nil,
            requestMirrorPolicies: [RouteAction.RequestMirrorPolicy] = [],
            hashPolicy: [RouteAction.HashPolicy] = [],
            internalRedirectPolicy: InternalRedirectPolicy? = nil
        ) {
            self.clusterSpecifier = clusterSpecifier
            self.clusterNotFoundResponseCode = clusterNotFoundResponseCode
            self.prefixRewrite = prefixRewrite
            self.regexRewrite = regexRewrite
            self.pathRewritePolicy = pathRewritePolicy
            self.hostRewriteSpecifier = hostRewriteSpecifier
            self.appendXForwardedHost = appendXForwardedHost
            self.timeout = timeout
            self.idleTimeout = idleTimeout
            self.retryPolicy = retryPolicy
            self.priority = priority
            self.upgradeConfigs = upgradeConfigs
            self.maxStreamDuration = maxStreamDuration
            self.maxGrpcTimeout = maxGrpcTimeout
            self.grpcTimeoutOffset = grpcTimeoutOffset
            self.requestMirrorPolicies = requestMirrorPolicies
            self.hashPolicy = hashPolicy
            self.internalRedirectPolicy = internalRedirectPolicy
        }

        package static let schema = MessageSchema<RouteAction>(
            "envoy.config.route.v3.RouteAction",
            empty: RouteAction()
        ) { schema in
            schema.oneof("cluster_specifier", isRequired: true)
            schema.choice(1, "cluster", of: "cluster_specifier", \.clusterSpecifier, .string, [.minLength(1)]) {
                .cluster($0)
            } get: {
                if case .cluster(let value) = $0 { value } else { nil }
            }
            schema.choice(
                2,
                "cluster_header",
                of: "cluster_specifier",
                \.clusterSpecifier,
                .string,
                [.minLength(1), .headerName]
            ) {
                .clusterHeader($0)
            } get: {
                if case .clusterHeader(let value) = $0 { value } else { nil }
            }
            schema.choice(3, "weighted_clusters", of: "cluster_specifier", \.clusterSpecifier, .message) {
                .weightedClusters($0)
            } get: {
                if case .weightedClusters(let value) = $0 { value } else { nil }
            }
            schema.field(20, "cluster_not_found_response_code", \.clusterNotFoundResponseCode, .enumeration)
            schema.field(5, "prefix_rewrite", \.prefixRewrite, .string, [.headerValue])
            schema.optional(32, "regex_rewrite", \.regexRewrite, .message)
            schema.optional(41, "path_rewrite_policy", \.pathRewritePolicy, .message)
            schema.oneof("host_rewrite_specifier")
            schema.choice(
                6,
                "host_rewrite_literal",
                of: "host_rewrite_specifier",
                \.hostRewriteSpecifier,
                .string,
                [.headerValue]
            ) {
                .hostRewriteLiteral($0)
            } get: {
                if case .hostRewriteLiteral(let value) = $0 { value } else { nil }
            }
            schema.choice(7, "auto_host_rewrite", of: "host_rewrite_specifier", \.hostRewriteSpecifier, .boolValue) {
                .autoHostRewrite($0)
            } get: {
                if case .autoHostRewrite(let value) = $0 { value } else { nil }
            }
            schema.choice(
                29,
                "host_rewrite_header",
                of: "host_rewrite_specifier",
                \.hostRewriteSpecifier,
                .string,
                [.headerName]
            ) {
                .hostRewriteHeader($0)
            } get: {
                if case .hostRewriteHeader(let value) = $0 { value } else { nil }
            }
            schema.choice(
                35,
                "host_rewrite_path_regex",
                of: "host_rewrite_specifier",
                \.hostRewriteSpecifier,
                .message
            ) {
                .hostRewritePathRegex($0)
            } get: {
                if case .hostRewritePathRegex(let value) = $0 { value } else { nil }
            }
            schema.field(38, "append_x_forwarded_host", \.appendXForwardedHost, .bool)
            schema.optional(8, "timeout", \.timeout, .duration)
            schema.optional(24, "idle_timeout", \.idleTimeout, .duration)
            schema.optional(9, "retry_policy", \.retryPolicy, .message)
            schema.field(11, "priority", \.priority, .enumeration)
            schema.repeated(25, "upgrade_configs", \.upgradeConfigs, .message)
            schema.optional(36, "max_stream_duration", \.maxStreamDuration, .message)
            schema.repeated(30, "request_mirror_policies", \.requestMirrorPolicies, .message)
            schema.optional(34, "internal_redirect_policy", \.internalRedirectPolicy, .message)
            schema.optional(23, "max_grpc_timeout", \.maxGrpcTimeout, .duration)
            schema.optional(28, "grpc_timeout_offset", \.grpcTimeoutOffset, .duration)
            schema.ignored(
                "early_data_policy=40",
                why: "early data of TLS is never accepted"
            )
            schema.optional(27, "hedge_policy", \.hedgePolicy, .message)
            schema.optional(4, "metadata_match", \.metadataMatch, .message)
            schema.repeated(13, "rate_limits", \.rateLimits, .message)
            schema.optional(14, "include_vh_rate_limits", \.includeVhRateLimits, .boolValue)
            schema.repeated(15, "hash_policy", \.hashPolicy, .message, [.maxItems(16)])
            schema.unsupported(
                "cluster_specifier_plugin=37 inline_cluster_specifier_plugin=39",
                of: "cluster_specifier"
            )
            schema.unsupported(
                """
                path_rewrite=45 flush_timeout=42
                retry_policy_typed_config=33 cors=17
                internal_redirect_action=26 max_internal_redirects=31
                """
            )
            schema.unsupported("host_rewrite=44", of: "host_rewrite_specifier")
        }
    }
}

extension Envoy.RouteAction {
    /// An upgrade that this route lets through or not.
    ///
    /// `envoy.config.route.v3.RouteAction.UpgradeConfig`
    package struct UpgradeConfig: EnvoyMessage {
        package var upgradeType: String
        package var enabled: Bool?
        package var connectConfig: Envoy.RouteAction.ConnectConfig?

        package init(
            upgradeType: String = "",
            enabled: Bool? = nil,
            connectConfig: Envoy.RouteAction.ConnectConfig? = nil
        ) {
            self.upgradeType = upgradeType
            self.enabled = enabled
            self.connectConfig = connectConfig
        }

        package static let schema = MessageSchema<UpgradeConfig>(
            "envoy.config.route.v3.RouteAction.UpgradeConfig",
            empty: UpgradeConfig()
        ) { schema in
            schema.field(1, "upgrade_type", \.upgradeType, .string, [.minLength(1), .headerValue])
            schema.optional(2, "enabled", \.enabled, .boolValue)
            schema.optional(3, "connect_config", \.connectConfig, .message)
        }
    }
}

extension Envoy {
    /// Clusters and their shares of the requests.
    ///
    /// `envoy.config.route.v3.WeightedCluster`
    package struct WeightedCluster: EnvoyMessage {
        package var clusters: [WeightedCluster.ClusterWeight]
        package var totalWeight: UInt32?
        package var runtimeKeyPrefix: String
        package var headerName: String?

        package init(
            clusters: [WeightedCluster.ClusterWeight] = [],
            totalWeight: UInt32? = nil,
            runtimeKeyPrefix: String = "",
            headerName: String? = nil
        ) {
            self.clusters = clusters
            self.totalWeight = totalWeight
            self.runtimeKeyPrefix = runtimeKeyPrefix
            self.headerName = headerName
        }

        package static let schema = MessageSchema<WeightedCluster>(
            "envoy.config.route.v3.WeightedCluster",
            empty: WeightedCluster()
        ) { schema in
            schema.repeated(1, "clusters", \.clusters, .message, [.minItems(1)])
            schema.optional(3, "total_weight", \.totalWeight, .uint32Value)
            schema.field(2, "runtime_key_prefix", \.runtimeKeyPrefix, .string)
            schema.oneof("random_value_specifier")
            schema.optional(4, "header_name", of: "random_value_specifier", \.headerName, .string, [.headerName])
            schema.unsupported("use_hash_policy=5", of: "random_value_specifier")
        }
    }
}

extension Envoy.WeightedCluster {
    /// A cluster and its share.
    ///
    /// `envoy.config.route.v3.WeightedCluster.ClusterWeight`
    package struct ClusterWeight: EnvoyMessage {
        package var name: String
        package var weight: UInt32?
        package var requestHeadersToAdd: [Envoy.HeaderValueOption]
        package var requestHeadersToRemove: [String]
        package var responseHeadersToAdd: [Envoy.HeaderValueOption]
        package var responseHeadersToRemove: [String]
        package var hostRewriteLiteral: String?
        package var clusterHeader: String
        package var typedPerFilterConfig: [String: Envoy.RouteFilterConfig]
        /// Goes before the route's.
        package var metadataMatch: Envoy.Metadata?

        package init(
            name: String = "",
            weight: UInt32? = nil,
            requestHeadersToAdd: [Envoy.HeaderValueOption] = [],
            requestHeadersToRemove: [String] = [],
            responseHeadersToAdd: [Envoy.HeaderValueOption] = [],
            responseHeadersToRemove: [String] = [],
            hostRewriteLiteral: String? = nil,
            clusterHeader: String = "",
            typedPerFilterConfig: [String: Envoy.RouteFilterConfig] = [:],
            metadataMatch: Envoy.Metadata? = nil
        ) {
            self.name = name
            self.weight = weight
            self.requestHeadersToAdd = requestHeadersToAdd
            self.requestHeadersToRemove = requestHeadersToRemove
            self.responseHeadersToAdd = responseHeadersToAdd
            self.responseHeadersToRemove = responseHeadersToRemove
            self.hostRewriteLiteral = hostRewriteLiteral
            self.clusterHeader = clusterHeader
            self.typedPerFilterConfig = typedPerFilterConfig
            self.metadataMatch = metadataMatch
        }

        package static let schema = MessageSchema<ClusterWeight>(
            "envoy.config.route.v3.WeightedCluster.ClusterWeight",
            empty: ClusterWeight()
        ) { schema in
            schema.field(1, "name", \.name, .string)
            schema.optional(2, "weight", \.weight, .uint32Value)
            schema.repeated(4, "request_headers_to_add", \.requestHeadersToAdd, .message, [.maxItems(1000)])
            schema.repeated(9, "request_headers_to_remove", \.requestHeadersToRemove, .string, [.headerName])
            schema.repeated(5, "response_headers_to_add", \.responseHeadersToAdd, .message, [.maxItems(1000)])
            schema.repeated(6, "response_headers_to_remove", \.responseHeadersToRemove, .string, [.headerName])
            schema.oneof("host_rewrite_specifier")
            schema.optional(
                11,
                "host_rewrite_literal",
                of: "host_rewrite_specifier",
                \.hostRewriteLiteral,
                .string,
                [.headerValue]
            )
            schema.field(12, "cluster_header", \.clusterHeader, .string, [.headerName])
            schema.map(10, "typed_per_filter_config", \.typedPerFilterConfig, .any)
            schema.optional(3, "metadata_match", \.metadataMatch, .message)
        }
    }
}

extension Envoy {
    /// When and how often a request is tried again.
    ///
    /// `envoy.config.route.v3.RetryPolicy`
    package struct RetryPolicy: EnvoyMessage {
        /// Conditions, separated by commas.
        package var retryOn: String
        package var numRetries: UInt32?
        package var perTryTimeout: Duration?
        package var perTryIdleTimeout: Duration?
        package var retryHostPredicate: [RetryPolicy.RetryHostPredicate]
        package var hostSelectionRetryMaxAttempts: Int64
        package var retriableStatusCodes: [UInt32]
        package var retryBackOff: RetryPolicy.RetryBackOff?
        package var retriableHeaders: [HeaderMatcher]
        package var retriableRequestHeaders: [HeaderMatcher]
        package var rateLimitedRetryBackOff: RetryPolicy.RateLimitedRetryBackOff?

        package init(
            retryOn: String = "",
            numRetries: UInt32? = nil,
            perTryTimeout: Duration? = nil,
            perTryIdleTimeout: Duration? = nil,
            retryHostPredicate: [RetryPolicy.RetryHostPredicate] = [],
            hostSelectionRetryMaxAttempts: Int64 = 0,
            retriableStatusCodes: [UInt32] = [],
            retryBackOff: RetryPolicy.RetryBackOff? = nil,
            retriableHeaders: [HeaderMatcher] = [],
            retriableRequestHeaders: [HeaderMatcher] = [],
            rateLimitedRetryBackOff: RetryPolicy.RateLimitedRetryBackOff? = nil
        ) {
            self.retryOn = retryOn
            self.numRetries = numRetries
            self.perTryTimeout = perTryTimeout
            self.perTryIdleTimeout = perTryIdleTimeout
            self.retryHostPredicate = retryHostPredicate
            self.hostSelectionRetryMaxAttempts = hostSelectionRetryMaxAttempts
            self.retriableStatusCodes = retriableStatusCodes
            self.retryBackOff = retryBackOff
            self.retriableHeaders = retriableHeaders
            self.retriableRequestHeaders = retriableRequestHeaders
            self.rateLimitedRetryBackOff = rateLimitedRetryBackOff
        }

        package static let schema = MessageSchema<RetryPolicy>(
            "envoy.config.route.v3.RetryPolicy",
            empty: RetryPolicy()
        ) { schema in
            schema.field(1, "retry_on", \.retryOn, .string)
            schema.optional(2, "num_retries", \.numRetries, .uint32Value)
            schema.optional(3, "per_try_timeout", \.perTryTimeout, .duration)
            schema.optional(13, "per_try_idle_timeout", \.perTryIdleTimeout, .duration)
            schema.repeated(5, "retry_host_predicate", \.retryHostPredicate, .message)
            schema.field(6, "host_selection_retry_max_attempts", \.hostSelectionRetryMaxAttempts, .int64)
            schema.repeated(7, "retriable_status_codes", \.retriableStatusCodes, .uint32)
            schema.optional(8, "retry_back_off", \.retryBackOff, .message)
            schema.repeated(9, "retriable_headers", \.retriableHeaders, .message)
            schema.repeated(10, "retriable_request_headers", \.retriableRequestHeaders, .message)
            schema.optional(11, "rate_limited_retry_back_off", \.rateLimitedRetryBackOff, .message)
            schema.unsupported(
                """
                retry_priority=4 retry_options_predicates=12 

                """
            )
        }
    }
}

extension Envoy.RetryPolicy {
    /// The pause before a retry.
    ///
    /// `envoy.config.route.v3.RetryPolicy.RetryBackOff`
    package struct RetryBackOff: EnvoyMessage {
        package var baseInterval: Duration?
        package var maxInterval: Duration?

        package init(
            baseInterval: Duration? = nil,
            maxInterval: Duration? = nil
        ) {
            self.baseInterval = baseInterval
            self.maxInterval = maxInterval
        }

        package static let schema = MessageSchema<RetryBackOff>(
            "envoy.config.route.v3.RetryPolicy.RetryBackOff",
            empty: RetryBackOff()
        ) { schema in
            schema.optional(1, "base_interval", \.baseInterval, .duration, [.required, .durationAbove(.zero)])
            schema.optional(2, "max_interval", \.maxInterval, .duration, [.durationAbove(.zero)])
        }
    }
}

extension Envoy.RetryPolicy {
    /// Which endpoints a retry avoids.
    ///
    /// `envoy.config.route.v3.RetryPolicy.RetryHostPredicate`
    package struct RetryHostPredicate: EnvoyMessage {
        package var name: String
        package var typedConfig: Envoy.RetryHostPredicateConfig?

        package init(
            name: String = "",
            typedConfig: Envoy.RetryHostPredicateConfig? = nil
        ) {
            self.name = name
            self.typedConfig = typedConfig
        }

        package static let schema = MessageSchema<RetryHostPredicate>(
            "envoy.config.route.v3.RetryPolicy.RetryHostPredicate",
            empty: RetryHostPredicate()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.oneof("config_type")
            schema.optional(3, "typed_config", of: "config_type", \.typedConfig, .any)
        }
    }
}

extension Envoy {
    /// A retry avoids the endpoints that were tried already.
    ///
    /// `envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate`
    package struct PreviousHostsPredicate: EnvoyMessage {
        package init() {}

        package static let schema = MessageSchema<PreviousHostsPredicate>(
            "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
            empty: PreviousHostsPredicate()
        ) { _ in }
    }
}

extension Envoy {
    /// The answer is a redirect.
    ///
    /// `envoy.config.route.v3.RedirectAction`
    package struct RedirectAction: EnvoyMessage {
        package var schemeRewriteSpecifier: SchemeRewriteSpecifier?
        package var hostRedirect: String
        package var portRedirect: UInt32
        package var pathRewriteSpecifier: PathRewriteSpecifier?
        package var responseCode: RedirectAction.RedirectResponseCode
        package var stripQuery: Bool

        /// One of these.
        package enum SchemeRewriteSpecifier: Sendable, Equatable {
            case httpsRedirect(Bool)
            case schemeRedirect(String)
        }

        /// One of these.
        package enum PathRewriteSpecifier: Sendable, Equatable {
            case pathRedirect(String)
            case prefixRewrite(String)
            case regexRewrite(RegexMatchAndSubstitute)
        }

        package init(
            schemeRewriteSpecifier: SchemeRewriteSpecifier? = nil,
            hostRedirect: String = "",
            portRedirect: UInt32 = 0,
            pathRewriteSpecifier: PathRewriteSpecifier? = nil,
            responseCode: RedirectAction.RedirectResponseCode = .movedPermanently,
            stripQuery: Bool = false
        ) {
            self.schemeRewriteSpecifier = schemeRewriteSpecifier
            self.hostRedirect = hostRedirect
            self.portRedirect = portRedirect
            self.pathRewriteSpecifier = pathRewriteSpecifier
            self.responseCode = responseCode
            self.stripQuery = stripQuery
        }

        package static let schema = MessageSchema<RedirectAction>(
            "envoy.config.route.v3.RedirectAction",
            empty: RedirectAction()
        ) { schema in
            schema.oneof("scheme_rewrite_specifier")
            schema.choice(4, "https_redirect", of: "scheme_rewrite_specifier", \.schemeRewriteSpecifier, .bool) {
                .httpsRedirect($0)
            } get: {
                if case .httpsRedirect(let value) = $0 { value } else { nil }
            }
            schema.choice(7, "scheme_redirect", of: "scheme_rewrite_specifier", \.schemeRewriteSpecifier, .string) {
                .schemeRedirect($0)
            } get: {
                if case .schemeRedirect(let value) = $0 { value } else { nil }
            }
            schema.field(1, "host_redirect", \.hostRedirect, .string, [.headerValue])
            schema.field(8, "port_redirect", \.portRedirect, .uint32)
            schema.oneof("path_rewrite_specifier")
            schema.choice(
                2,
                "path_redirect",
                of: "path_rewrite_specifier",
                \.pathRewriteSpecifier,
                .string,
                [.headerValue]
            ) {
                .pathRedirect($0)
            } get: {
                if case .pathRedirect(let value) = $0 { value } else { nil }
            }
            schema.choice(
                5,
                "prefix_rewrite",
                of: "path_rewrite_specifier",
                \.pathRewriteSpecifier,
                .string,
                [.headerValue]
            ) {
                .prefixRewrite($0)
            } get: {
                if case .prefixRewrite(let value) = $0 { value } else { nil }
            }
            schema.field(3, "response_code", \.responseCode, .enumeration)
            schema.field(6, "strip_query", \.stripQuery, .bool)
            schema.choice(9, "regex_rewrite", of: "path_rewrite_specifier", \.pathRewriteSpecifier, .message) {
                .regexRewrite($0)
            } get: {
                if case .regexRewrite(let value) = $0 { value } else { nil }
            }
        }
    }
}

extension Envoy {
    /// The proxy answers itself.
    ///
    /// `envoy.config.route.v3.DirectResponseAction`
    package struct DirectResponseAction: EnvoyMessage {
        package var status: UInt32
        package var body: DataSource?

        package init(
            status: UInt32 = 0,
            body: DataSource? = nil
        ) {
            self.status = status
            self.body = body
        }

        package static let schema = MessageSchema<DirectResponseAction>(
            "envoy.config.route.v3.DirectResponseAction",
            empty: DirectResponseAction()
        ) { schema in
            schema.field(1, "status", \.status, .uint32, [.below(600), .atLeast(200)])
            schema.optional(2, "body", \.body, .message)
            schema.unsupported("body_format=3")
        }
    }
}

extension Envoy.RouteAction {
    /// Values of `envoy.config.route.v3.RouteAction.ClusterNotFoundResponseCode`.
    package enum ClusterNotFoundResponseCode: Int32, EnvoyEnum {
        case serviceUnavailable = 0
        case notFound = 1
        case internalServerError = 2

        package static let names = EnumNames(
            "envoy.config.route.v3.RouteAction.ClusterNotFoundResponseCode",
            "SERVICE_UNAVAILABLE=0 NOT_FOUND=1 INTERNAL_SERVER_ERROR=2"
        )
    }
}

extension Envoy {
    /// Values of `envoy.config.core.v3.RoutingPriority`.
    package enum RoutingPriority: Int32, EnvoyEnum {
        case `default` = 0
        case high = 1

        package static let names = EnumNames(
            "envoy.config.core.v3.RoutingPriority",
            "DEFAULT=0 HIGH=1"
        )
    }
}

extension Envoy.RedirectAction {
    /// Values of `envoy.config.route.v3.RedirectAction.RedirectResponseCode`.
    package enum RedirectResponseCode: Int32, EnvoyEnum {
        case movedPermanently = 0
        case found = 1
        case seeOther = 2
        case temporaryRedirect = 3
        case permanentRedirect = 4

        package static let names = EnumNames(
            "envoy.config.route.v3.RedirectAction.RedirectResponseCode",
            "MOVED_PERMANENTLY=0 FOUND=1 SEE_OTHER=2 TEMPORARY_REDIRECT=3 PERMANENT_REDIRECT=4"
        )
    }
}
