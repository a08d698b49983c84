extension Envoy {
    /// Handles a connection as HTTP.
    ///
    /// `envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`
    package struct HttpConnectionManager: EnvoyMessage {
        package var codecType: HttpConnectionManager.CodecType
        package var statPrefix: String
        package var routeSpecifier: RouteSpecifier?
        package var httpFilters: [HttpFilter]
        package var commonHttpProtocolOptions: CommonHttpProtocolOptions?
        package var httpProtocolOptions: Http1ProtocolOptions?
        package var http2ProtocolOptions: Http2ProtocolOptions?
        package var streamErrorOnInvalidHttpMessage: Bool?
        package var addUserAgent: Bool?
        package var serverName: String
        package var serverHeaderTransformation: HttpConnectionManager.ServerHeaderTransformation
        package var maxRequestHeadersKb: UInt32?
        package var streamIdleTimeout: Duration?
        package var requestTimeout: Duration?
        package var requestHeadersTimeout: Duration?
        package var drainTimeout: Duration?
        package var delayedCloseTimeout: Duration?
        package var tracing: HttpConnectionManager.Tracing?
        package var accessLog: [AccessLog]
        package var useRemoteAddress: Bool?
        package var xffNumTrustedHops: UInt32
        package var skipXffAppend: Bool
        package var via: String
        package var generateRequestId: Bool?
        package var preserveExternalRequestId: Bool
        package var alwaysSetRequestIdInResponse: Bool
        package var proxy100Continue: Bool
        package var upgradeConfigs: [HttpConnectionManager.UpgradeConfig]
        package var normalizePath: Bool?
        package var mergeSlashes: Bool
        package var pathWithEscapedSlashesAction: HttpConnectionManager.PathWithEscapedSlashesAction
        package var stripMatchingHostPort: Bool
        package var stripAnyHostPort: Bool?
        package var stripTrailingHostDot: Bool
        package var appendXForwardedPort: Bool
        package var internalAddressConfig: HttpConnectionManager.InternalAddressConfig?
        package var requestIdExtension: HttpConnectionManager.RequestIDExtension?
        package var localReplyConfig: HttpConnectionManager.LocalReplyConfig?
        package var proxyStatusConfig: HttpConnectionManager.ProxyStatusConfig?
        package var schemeHeaderTransformation: SchemeHeaderTransformation?
        package var originalIpDetectionExtensions: [OriginalIpDetection]
        package var accessLogOptions: HttpConnectionManager.HcmAccessLogOptions?

        /// One of these.
        package enum RouteSpecifier: Sendable, Equatable {
            case rds(Rds)
            case routeConfig(RouteConfiguration)
        }

        package var forwardClientCertDetails: HttpConnectionManager.ForwardClientCertDetails
        package var setCurrentClientCertDetails: HttpConnectionManager.SetCurrentClientCertDetails?

        package init(
            forwardClientCertDetails: HttpConnectionManager.ForwardClientCertDetails = .sanitize,
            setCurrentClientCertDetails: HttpConnectionManager.SetCurrentClientCertDetails? = nil,
            codecType: HttpConnectionManager.CodecType = .auto,
            statPrefix: String = "",
            routeSpecifier: RouteSpecifier? = nil,
            httpFilters: [HttpFilter] = [],
            commonHttpProtocolOptions: CommonHttpProtocolOptions? = nil,
            httpProtocolOptions: Http1ProtocolOptions? = nil,
            http2ProtocolOptions: Http2ProtocolOptions? = nil,
            streamErrorOnInvalidHttpMessage: Bool? = nil,
            addUserAgent: Bool? = nil,
            serverName: String = "",
            serverHeaderTransformation: HttpConnectionManager.ServerHeaderTransformation = .overwrite,
            maxRequestHeadersKb: UInt32? = nil,
            streamIdleTimeout: Duration? = nil,
            requestTimeout: Duration? = nil,
            requestHeadersTimeout: Duration? = nil,
            drainTimeout: Duration? = nil,
            delayedCloseTimeout: Duration? = nil,
            accessLog: [AccessLog] = [],
            useRemoteAddress: Bool? = nil,
            xffNumTrustedHops: UInt32 = 0,
            skipXffAppend: Bool = false,
            via: String = "",
            generateRequestId: Bool? = nil,
            preserveExternalRequestId: Bool = false,
            alwaysSetRequestIdInResponse: Bool = false,
            proxy100Continue: Bool = false,
            upgradeConfigs: [HttpConnectionManager.UpgradeConfig] = [],
            normalizePath: Bool? = nil,
            mergeSlashes: Bool = false,
            pathWithEscapedSlashesAction: HttpConnectionManager.PathWithEscapedSlashesAction =
                .implementationSpecificDefault,
            stripMatchingHostPort: Bool = false,
            stripAnyHostPort: Bool? = nil,
            stripTrailingHostDot: Bool = false,
            appendXForwardedPort: Bool = false,
            internalAddressConfig: HttpConnectionManager.InternalAddressConfig? = nil,
            requestIdExtension: HttpConnectionManager.RequestIDExtension? = nil,
            localReplyConfig: HttpConnectionManager.LocalReplyConfig? = nil,
            proxyStatusConfig: HttpConnectionManager.ProxyStatusConfig? = nil,
            schemeHeaderTransformation: SchemeHeaderTransformation? = nil,
            originalIpDetectionExtensions: [OriginalIpDetection] = [],
            accessLogOptions: HttpConnectionManager.HcmAccessLogOptions? = nil
        ) {
            self.forwardClientCertDetails = forwardClientCertDetails
            self.setCurrentClientCertDetails = setCurrentClientCertDetails
            self.codecType = codecType
            self.statPrefix = statPrefix
            self.routeSpecifier = routeSpecifier
            self.httpFilters = httpFilters
            self.commonHttpProtocolOptions = commonHttpProtocolOptions
            self.httpProtocolOptions = httpProtocolOptions
            self.http2ProtocolOptions = http2ProtocolOptions
            self.streamErrorOnInvalidHttpMessage = streamErrorOnInvalidHttpMessage
            self.addUserAgent = addUserAgent
            self.serverName = serverName
            self.serverHeaderTransformation = serverHeaderTransformation
            self.maxRequestHeadersKb = maxRequestHeadersKb
            self.streamIdleTimeout = streamIdleTimeout
            self.requestTimeout = requestTimeout
            self.requestHeadersTimeout = requestHeadersTimeout
            self.drainTimeout = drainTimeout
            self.delayedCloseTimeout = delayedCloseTimeout
            self.accessLog = accessLog
            self.useRemoteAddress = useRemoteAddress
            self.xffNumTrustedHops = xffNumTrustedHops
            self.skipXffAppend = skipXffAppend
            self.via = via
            self.generateRequestId = generateRequestId
            self.preserveExternalRequestId = preserveExternalRequestId
            self.alwaysSetRequestIdInResponse = alwaysSetRequestIdInResponse
            self.proxy100Continue = proxy100Continue
            self.upgradeConfigs = upgradeConfigs
            self.normalizePath = normalizePath
            self.mergeSlashes = mergeSlashes
            self.pathWithEscapedSlashesAction = pathWithEscapedSlashesAction
            self.stripMatchingHostPort = stripMatchingHostPort
            self.stripAnyHostPort = stripAnyHostPort
            self.stripTrailingHostDot = stripTrailingHostDot
            self.appendXForwardedPort = appendXForwardedPort
            self.internalAddressConfig = internalAddressConfig
            self.requestIdExtension = requestIdExtension
            self.localReplyConfig = localReplyConfig
            self.proxyStatusConfig = proxyStatusConfig
            self.schemeHeaderTransformation = schemeHeaderTransformation
            self.originalIpDetectionExtensions = originalIpDetectionExtensions
            self.accessLogOptions = accessLogOptions
        }

        package static let schema = MessageSchema<HttpConnectionManager>(
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            empty: HttpConnectionManager()
        ) { schema in
            schema.field(1, "codec_type", \.codecType, .enumeration)
            schema.field(2, "stat_prefix", \.statPrefix, .string, [.minLength(1)])
            schema.oneof("route_specifier", isRequired: true)
            schema.choice(3, "rds", of: "route_specifier", \.routeSpecifier, .message) {
                .rds($0)
            } get: {
                if case .rds(let value) = $0 { value } else { nil }
            }
            schema.choice(4, "route_config", of: "route_specifier", \.routeSpecifier, .message) {
                .routeConfig($0)
            } get: {
                if case .routeConfig(let value) = $0 { value } else { nil }
            }
            schema.repeated(5, "http_filters", \.httpFilters, .message)
            schema.optional(35, "common_http_protocol_options", \.commonHttpProtocolOptions, .message)
            schema.optional(8, "http_protocol_options", \.httpProtocolOptions, .message)
            schema.optional(9, "http2_protocol_options", \.http2ProtocolOptions, .message)
            schema.optional(
                40,
                "stream_error_on_invalid_http_message",
                \.streamErrorOnInvalidHttpMessage,
                .boolValue
            )
            schema.optional(6, "add_user_agent", \.addUserAgent, .boolValue)
            schema.field(10, "server_name", \.serverName, .string, [.headerValue])
            schema.field(34, "server_header_transformation", \.serverHeaderTransformation, .enumeration)
            schema.optional(
                29,
                "max_request_headers_kb",
                \.maxRequestHeadersKb,
                .uint32Value,
                [.atMost(8192), .above(0)]
            )
            schema.optional(24, "stream_idle_timeout", \.streamIdleTimeout, .duration)
            schema.optional(28, "request_timeout", \.requestTimeout, .duration)
            schema.optional(
                41,
                "request_headers_timeout",
                \.requestHeadersTimeout,
                .duration,
                [.durationAtLeast(.zero)]
            )
            schema.optional(12, "drain_timeout", \.drainTimeout, .duration)
            schema.optional(26, "delayed_close_timeout", \.delayedCloseTimeout, .duration)
            schema.optional(7, "tracing", \.tracing, .message)
            schema.repeated(13, "access_log", \.accessLog, .message)
            schema.optional(14, "use_remote_address", \.useRemoteAddress, .boolValue)
            schema.field(19, "xff_num_trusted_hops", \.xffNumTrustedHops, .uint32)
            schema.field(21, "skip_xff_append", \.skipXffAppend, .bool)
            schema.field(22, "via", \.via, .string, [.headerValue])
            schema.optional(15, "generate_request_id", \.generateRequestId, .boolValue)
            schema.field(32, "preserve_external_request_id", \.preserveExternalRequestId, .bool)
            schema.field(37, "always_set_request_id_in_response", \.alwaysSetRequestIdInResponse, .bool)
            schema.field(18, "proxy_100_continue", \.proxy100Continue, .bool)
            schema.repeated(23, "upgrade_configs", \.upgradeConfigs, .message)
            schema.optional(30, "normalize_path", \.normalizePath, .boolValue)
            schema.field(33, "merge_slashes", \.mergeSlashes, .bool)
            schema.field(45, "path_with_escaped_slashes_action", \.pathWithEscapedSlashesAction, .enumeration)
            schema.field(39, "strip_matching_host_port", \.stripMatchingHostPort, .bool)
            schema.oneof("strip_port_mode")
            schema.optional(42, "strip_any_host_port", of: "strip_port_mode", \.stripAnyHostPort, .bool)
            schema.field(47, "strip_trailing_host_dot", \.stripTrailingHostDot, .bool)
            schema.field(51, "append_x_forwarded_port", \.appendXForwardedPort, .bool)
            schema.optional(25, "internal_address_config", \.internalAddressConfig, .message)
            schema.optional(36, "request_id_extension", \.requestIdExtension, .message)
            schema.optional(38, "local_reply_config", \.localReplyConfig, .message)
            schema.optional(49, "proxy_status_config", \.proxyStatusConfig, .message)
            schema.optional(48, "scheme_header_transformation", \.schemeHeaderTransformation, .message)
            schema.repeated(46, "original_ip_detection_extensions", \.originalIpDetectionExtensions, .message)
            schema.optional(56, "access_log_options", \.accessLogOptions, .message)
            schema.ignored(
                "http3_protocol_options=44",
                why: "no listener of this proxy speaks HTTP/3"
            )
            schema.field(16, "forward_client_cert_details", \.forwardClientCertDetails, .enumeration)
            schema.optional(17, "set_current_client_cert_details", \.setCurrentClientCertDetails, .message)
            schema.ignored(
                "add_proxy_protocol_connection_state=53",
                why: "there is no filter state that it could go to"
            )
            schema.unsupported("represent_ipv4_remote_address_as_ipv4_mapped_ipv6=20 append_local_overload=57")
            schema.unsupported("scoped_routes=31", of: "route_specifier")
            schema.unsupported(
                """
                http1_safe_max_connection_duration=58 
                stream_flush_timeout=59 access_log_flush_interval=54 flush_access_log_on_new_request=55
                early_header_mutation_extensions=52 forward_client_cert_matcher=60
                path_normalization_options=43
                typed_header_validation_config=50 forward_proto_config=61
                """
            )
        }
    }
}

extension Envoy {
    /// Routes by subscription.
    ///
    /// `envoy.extensions.filters.network.http_connection_manager.v3.Rds`
    package struct Rds: EnvoyMessage {
        package var configSource: ConfigSource?
        package var routeConfigName: String

        package init(
            configSource: ConfigSource? = nil,
            routeConfigName: String = ""
        ) {
            self.configSource = configSource
            self.routeConfigName = routeConfigName
        }

        package static let schema = MessageSchema<Rds>(
            "envoy.extensions.filters.network.http_connection_manager.v3.Rds",
            empty: Rds()
        ) { schema in
            schema.optional(1, "config_source", \.configSource, .message)
            schema.field(2, "route_config_name", \.routeConfigName, .string)
        }
    }
}

extension Envoy.HttpConnectionManager {
    /// An upgrade that is let through, as `websocket`.
    ///
    /// `envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.UpgradeConfig`
    package struct UpgradeConfig: EnvoyMessage {
        package var upgradeType: String
        package var enabled: Bool?

        package init(
            upgradeType: String = "",
            enabled: Bool? = nil
        ) {
            self.upgradeType = upgradeType
            self.enabled = enabled
        }

        package static let schema = MessageSchema<UpgradeConfig>(
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.UpgradeConfig",
            empty: UpgradeConfig()
        ) { schema in
            schema.field(1, "upgrade_type", \.upgradeType, .string)
            schema.optional(3, "enabled", \.enabled, .boolValue)
            schema.unsupported("filters=2")
        }
    }
}

extension Envoy {
    /// A step in the handling of a request.
    ///
    /// `envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter`
    package struct HttpFilter: EnvoyMessage {
        package var name: String
        package var typedConfig: HttpFilterConfig?
        package var isOptional: Bool
        package var disabled: Bool

        package init(
            name: String = "",
            typedConfig: HttpFilterConfig? = nil,
            isOptional: Bool = false,
            disabled: Bool = false
        ) {
            self.name = name
            self.typedConfig = typedConfig
            self.isOptional = isOptional
            self.disabled = disabled
        }

        package static let schema = MessageSchema<HttpFilter>(
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
            empty: HttpFilter()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.oneof("config_type")
            schema.optional(4, "typed_config", of: "config_type", \.typedConfig, .any)
            schema.field(6, "is_optional", \.isOptional, .bool)
            schema.noted("is_optional", why: "filters that do not exist here are refused, so that none is missed")
            schema.field(7, "disabled", \.disabled, .bool)
            schema.unsupported("config_discovery=5", of: "config_type")
        }
    }
}

extension Envoy {
    /// Sends the request to the cluster of its route: the last HTTP filter.
    ///
    /// `envoy.extensions.filters.http.router.v3.Router`
    package struct Router: EnvoyMessage {
        package var suppressEnvoyHeaders: Bool

        package init(
            suppressEnvoyHeaders: Bool = false
        ) {
            self.suppressEnvoyHeaders = suppressEnvoyHeaders
        }

        package static let schema = MessageSchema<Router>(
            "envoy.extensions.filters.http.router.v3.Router",
            empty: Router()
        ) { schema in
            schema.field(4, "suppress_envoy_headers", \.suppressEnvoyHeaders, .bool)
            schema.ignored(
                "dynamic_stats=1",
                why: "the numbers of answers are plain counters that cost nothing"
            )
            schema.ignored(
                "start_child_span=2",
                why: "spawn_upstream_span of the connection manager decides"
            )
            schema.unsupported(
                """
                upstream_log=3 upstream_log_options=9 strict_check_headers=5 respect_expected_rq_timeout=6
                suppress_grpc_request_failure_code_stats=7 upstream_http_filters=8
                reject_connect_request_early_data=10
                """
            )
        }
    }
}

extension Envoy.HttpConnectionManager {
    /// Values of `envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.CodecType`.
    package enum CodecType: Int32, EnvoyEnum {
        case auto = 0
        case http1 = 1
        case http2 = 2

        package static let names = EnumNames(
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.CodecType",
            "AUTO=0 HTTP1=1 HTTP2=2",
            unsupported: "HTTP3=3"
        )
    }
}

extension Envoy.HttpConnectionManager {
    /// Values of `envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.ServerHeaderTransformation`.
    package enum ServerHeaderTransformation: Int32, EnvoyEnum {
        case overwrite = 0
        case appendIfAbsent = 1
        case passThrough = 2

        package static let names = EnumNames(
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.ServerHeaderTransformation",
            "OVERWRITE=0 APPEND_IF_ABSENT=1 PASS_THROUGH=2"
        )
    }
}

extension Envoy.HttpConnectionManager {
    /// Values of `envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.PathWithEscapedSlashesAction`.
    package enum PathWithEscapedSlashesAction: Int32, EnvoyEnum {
        case implementationSpecificDefault = 0
        case keepUnchanged = 1
        case rejectRequest = 2
        case unescapeAndRedirect = 3
        case unescapeAndForward = 4

        package static let names = EnumNames(
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.PathWithEscapedSlashesAction",
            "IMPLEMENTATION_SPECIFIC_DEFAULT=0 KEEP_UNCHANGED=1 REJECT_REQUEST=2 UNESCAPE_AND_REDIRECT=3 UNESCAPE_AND_FORWARD=4"
        )
    }
}
