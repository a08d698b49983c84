extension Envoy {
    /// Asks a service whether a request may pass.
    ///
    /// `envoy.extensions.filters.http.ext_authz.v3.ExtAuthz`
    package struct ExtAuthz: EnvoyMessage {
        package var services: Services?
        package var transportApiVersion: ApiVersion = .auto
        package var failureModeAllow = false
        package var failureModeAllowHeaderAdd = false
        package var withRequestBody: ExtAuthzBufferSettings?
        package var clearRouteCache = false
        package var statusOnError: HttpStatus?
        package var filterEnabled: RuntimeFractionalPercent?
        package var denyAtDisable: RuntimeFeatureFlag?
        package var includePeerCertificate = false
        package var statPrefix = ""
        package var allowedHeaders: ListStringMatcher?
        package var disallowedHeaders: ListStringMatcher?
        package var includeTlsSession = false
        package var maxDeniedResponseBodyBytes: UInt32 = 0

        /// One of these.
        package enum Services: Sendable, Equatable {
            case grpc(GrpcService)
            case http(ExtAuthzHttpService)
        }

        package init() {}

        package static let schema = MessageSchema<ExtAuthz>(
            "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
            empty: ExtAuthz()
        ) { schema in
            schema.oneof("services", isRequired: true)
            schema.choice(1, "grpc_service", of: "services", \.services, .message) {
                .grpc($0)
            } get: {
                if case .grpc(let value) = $0 { value } else { nil }
            }
            schema.choice(3, "http_service", of: "services", \.services, .message) {
                .http($0)
            } get: {
                if case .http(let value) = $0 { value } else { nil }
            }
            schema.field(12, "transport_api_version", \.transportApiVersion, .enumeration)
            schema.field(2, "failure_mode_allow", \.failureModeAllow, .bool)
            schema.field(19, "failure_mode_allow_header_add", \.failureModeAllowHeaderAdd, .bool)
            schema.optional(5, "with_request_body", \.withRequestBody, .message)
            schema.field(6, "clear_route_cache", \.clearRouteCache, .bool)
            schema.optional(7, "status_on_error", \.statusOnError, .message)
            schema.optional(9, "filter_enabled", \.filterEnabled, .message)
            schema.optional(11, "deny_at_disable", \.denyAtDisable, .message)
            schema.field(10, "include_peer_certificate", \.includePeerCertificate, .bool)
            schema.field(13, "stat_prefix", \.statPrefix, .string)
            schema.optional(17, "allowed_headers", \.allowedHeaders, .message)
            schema.optional(25, "disallowed_headers", \.disallowedHeaders, .message)
            schema.field(18, "include_tls_session", \.includeTlsSession, .bool)
            schema.field(30, "max_denied_response_body_bytes", \.maxDeniedResponseBodyBytes, .uint32)
            schema.unsupported(
                """
                metadata_context_namespaces=8 typed_metadata_context_namespaces=16 route_metadata_context_namespaces=21
                route_typed_metadata_context_namespaces=22 filter_enabled_metadata=14 bootstrap_metadata_labels_key=15
                charge_cluster_response_stats=20 encode_raw_headers=23 decoder_header_mutation_rules=26
                enable_dynamic_metadata_ingestion=27 filter_metadata=28 emit_filter_state_stats=29
                enforce_response_header_limits=31
                """
            )
        }
    }

    /// How much of a request's body the service gets.
    ///
    /// `envoy.extensions.filters.http.ext_authz.v3.BufferSettings`
    package struct ExtAuthzBufferSettings: EnvoyMessage {
        package var maxRequestBytes: UInt32 = 0
        package var allowPartialMessage = false
        package var packAsBytes = false

        package init() {}

        package static let schema = MessageSchema<ExtAuthzBufferSettings>(
            "envoy.extensions.filters.http.ext_authz.v3.BufferSettings",
            empty: ExtAuthzBufferSettings()
        ) { schema in
            schema.field(1, "max_request_bytes", \.maxRequestBytes, .uint32, [.above(0)])
            schema.field(2, "allow_partial_message", \.allowPartialMessage, .bool)
            schema.field(3, "pack_as_bytes", \.packAsBytes, .bool)
        }
    }

    /// A service that answers with a status of HTTP.
    ///
    /// `envoy.extensions.filters.http.ext_authz.v3.HttpService`
    package struct ExtAuthzHttpService: EnvoyMessage {
        package var serverUri: HttpUri?
        package var pathPrefix = ""
        package var authorizationRequest: ExtAuthzAuthorizationRequest?
        package var authorizationResponse: ExtAuthzAuthorizationResponse?

        package init() {}

        package static let schema = MessageSchema<ExtAuthzHttpService>(
            "envoy.extensions.filters.http.ext_authz.v3.HttpService",
            empty: ExtAuthzHttpService()
        ) { schema in
            schema.optional(1, "server_uri", \.serverUri, .message, [.required])
            schema.field(2, "path_prefix", \.pathPrefix, .string)
            schema.optional(7, "authorization_request", \.authorizationRequest, .message)
            schema.optional(8, "authorization_response", \.authorizationResponse, .message)
            schema.unsupported("retry_policy=9")
        }

        package static func verify(_ message: ExtAuthzHttpService, _ reader: inout SchemaReader) {
            let prefix = message.pathPrefix.utf8
            guard !prefix.isEmpty else { return }
            if prefix.first != 0x2F || prefix.contains(where: { $0 <= 0x20 || $0 == 0x3F || $0 == 0x23 || $0 >= 0x7F })
            {
                reader.report(.outOfRange, "path_prefix: begins with / and has neither ?, # nor spaces")
            }
        }
    }

    /// What the service is told of a request.
    ///
    /// `envoy.extensions.filters.http.ext_authz.v3.AuthorizationRequest`
    package struct ExtAuthzAuthorizationRequest: EnvoyMessage {
        package var allowedHeaders: ListStringMatcher?
        package var headersToAdd: [HeaderValue] = []

        package init() {}

        package static let schema = MessageSchema<ExtAuthzAuthorizationRequest>(
            "envoy.extensions.filters.http.ext_authz.v3.AuthorizationRequest",
            empty: ExtAuthzAuthorizationRequest()
        ) { schema in
            schema.optional(1, "allowed_headers", \.allowedHeaders, .message)
            schema.repeated(2, "headers_to_add", \.headersToAdd, .message)
        }
    }

    /// What of the service's answer goes on.
    ///
    /// `envoy.extensions.filters.http.ext_authz.v3.AuthorizationResponse`
    package struct ExtAuthzAuthorizationResponse: EnvoyMessage {
        package var allowedUpstreamHeaders: ListStringMatcher?
        package var allowedUpstreamHeadersToAppend: ListStringMatcher?
        package var allowedClientHeaders: ListStringMatcher?
        package var allowedClientHeadersOnSuccess: ListStringMatcher?

        package init() {}

        package static let schema = MessageSchema<ExtAuthzAuthorizationResponse>(
            "envoy.extensions.filters.http.ext_authz.v3.AuthorizationResponse",
            empty: ExtAuthzAuthorizationResponse()
        ) { schema in
            schema.optional(1, "allowed_upstream_headers", \.allowedUpstreamHeaders, .message)
            schema.optional(3, "allowed_upstream_headers_to_append", \.allowedUpstreamHeadersToAppend, .message)
            schema.optional(2, "allowed_client_headers", \.allowedClientHeaders, .message)
            schema.optional(4, "allowed_client_headers_on_success", \.allowedClientHeadersOnSuccess, .message)
            schema.unsupported("dynamic_metadata_from_headers=5")
        }
    }

    /// What a route says of the filter.
    ///
    /// `envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute`
    package struct ExtAuthzPerRoute: EnvoyMessage {
        package var override: Override?

        /// One of these.
        package enum Override: Sendable, Equatable {
            case disabled(Bool)
            case checkSettings(ExtAuthzCheckSettings)
        }

        package init() {}

        package static let schema = MessageSchema<ExtAuthzPerRoute>(
            "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
            empty: ExtAuthzPerRoute()
        ) { schema in
            schema.oneof("override", isRequired: true)
            schema.choice(1, "disabled", of: "override", \.override, .bool) {
                .disabled($0)
            } get: {
                if case .disabled(let value) = $0 { value } else { nil }
            }
            schema.choice(2, "check_settings", of: "override", \.override, .message) {
                .checkSettings($0)
            } get: {
                if case .checkSettings(let value) = $0 { value } else { nil }
            }
        }

        package static func verify(_ message: ExtAuthzPerRoute, _ reader: inout SchemaReader) {
            if message.override == .disabled(false) { reader.report(.outOfRange, "disabled: only true has a meaning") }
        }
    }

    /// `envoy.extensions.filters.http.ext_authz.v3.CheckSettings`
    package struct ExtAuthzCheckSettings: EnvoyMessage {
        package var contextExtensions: [String: String] = [:]
        package var disableRequestBodyBuffering = false
        package var withRequestBody: ExtAuthzBufferSettings?

        package init() {}

        package static let schema = MessageSchema<ExtAuthzCheckSettings>(
            "envoy.extensions.filters.http.ext_authz.v3.CheckSettings",
            empty: ExtAuthzCheckSettings()
        ) { schema in
            schema.map(1, "context_extensions", \.contextExtensions, .string)
            schema.field(2, "disable_request_body_buffering", \.disableRequestBodyBuffering, .bool)
            schema.optional(3, "with_request_body", \.withRequestBody, .message)
            schema.unsupported("grpc_service=4 http_service=5", of: "service_override")
        }

        package static func verify(_ message: ExtAuthzCheckSettings, _ reader: inout SchemaReader) {
            guard message.disableRequestBodyBuffering, message.withRequestBody != nil else { return }
            reader.report(.outOfRange, "disable_request_body_buffering and with_request_body exclude each other")
        }
    }
}
