package import Wire

extension Envoy.RouteAction {
    /// A copy of some of the requests goes to another cluster; its answer is thrown away.
    ///
    /// `envoy.config.route.v3.RouteAction.RequestMirrorPolicy`
    package struct RequestMirrorPolicy: EnvoyMessage {
        package var cluster: String
        /// The header that names the cluster.
        package var clusterHeader: String
        package var runtimeFraction: Envoy.RuntimeFractionalPercent?
        package var disableShadowHostSuffixAppend: Bool

        package init(
            cluster: String = "",
            clusterHeader: String = "",
            runtimeFraction: Envoy.RuntimeFractionalPercent? = nil,
            disableShadowHostSuffixAppend: Bool = false
        ) {
            self.cluster = cluster
            self.clusterHeader = clusterHeader
            self.runtimeFraction = runtimeFraction
            self.disableShadowHostSuffixAppend = disableShadowHostSuffixAppend
        }

        package static let schema = MessageSchema<RequestMirrorPolicy>(
            "envoy.config.route.v3.RouteAction.RequestMirrorPolicy",
            empty: RequestMirrorPolicy()
        ) { schema in
            schema.field(1, "cluster", \.cluster, .string)
            schema.field(5, "cluster_header", \.clusterHeader, .string, [.headerName])
            schema.optional(3, "runtime_fraction", \.runtimeFraction, .message)
            schema.field(6, "disable_shadow_host_suffix_append", \.disableShadowHostSuffixAppend, .bool)
            schema.ignored(
                "trace_sampled=4",
                why: "a copy is part of its request's trace, and has no span"
            )
            schema.unsupported("request_headers_mutations=7 host_rewrite_literal=8")
        }

        package static func verify(_ message: RequestMirrorPolicy, _ reader: inout SchemaReader) {
            guard message.cluster.isEmpty == message.clusterHeader.isEmpty else { return }
            reader.report(.missing, "one of cluster, cluster_header is required")
        }
    }

    /// What becomes of a CONNECT request.
    ///
    /// `envoy.config.route.v3.RouteAction.UpgradeConfig.ConnectConfig`
    package struct ConnectConfig: EnvoyMessage {
        package init() {}

        package static let schema = MessageSchema<ConnectConfig>(
            "envoy.config.route.v3.RouteAction.UpgradeConfig.ConnectConfig",
            empty: ConnectConfig()
        ) { schema in
            schema.unsupported("proxy_protocol_config=1 allow_post=2")
        }
    }
}

extension Envoy {
    /// Tries that run beside one another.
    ///
    /// `envoy.config.route.v3.HedgePolicy`
    package struct HedgePolicy: EnvoyMessage {
        /// nil is 1.
        package var initialRequests: UInt32?
        package var additionalRequestChance: FractionalPercent?
        package var hedgeOnPerTryTimeout: Bool

        package init(
            initialRequests: UInt32? = nil,
            additionalRequestChance: FractionalPercent? = nil,
            hedgeOnPerTryTimeout: Bool = false
        ) {
            self.initialRequests = initialRequests
            self.additionalRequestChance = additionalRequestChance
            self.hedgeOnPerTryTimeout = hedgeOnPerTryTimeout
        }

        package static let schema = MessageSchema<HedgePolicy>(
            "envoy.config.route.v3.HedgePolicy",
            empty: HedgePolicy()
        ) { schema in
            schema.optional(1, "initial_requests", \.initialRequests, .uint32Value, [.atLeast(1)])
            schema.optional(2, "additional_request_chance", \.additionalRequestChance, .message)
            schema.field(3, "hedge_on_per_try_timeout", \.hedgeOnPerTryTimeout, .bool)
        }
    }

    /// Redirects of endpoints that the proxy follows itself.
    ///
    /// `envoy.config.route.v3.InternalRedirectPolicy`
    package struct InternalRedirectPolicy: EnvoyMessage {
        /// nil is 1.
        package var maxInternalRedirects: UInt32?
        /// None: 302.
        package var redirectResponseCodes: [UInt32]
        package var allowCrossSchemeRedirect: Bool
        package var responseHeadersToCopy: [String]

        package init(
            maxInternalRedirects: UInt32? = nil,
            redirectResponseCodes: [UInt32] = [],
            allowCrossSchemeRedirect: Bool = false,
            responseHeadersToCopy: [String] = []
        ) {
            self.maxInternalRedirects = maxInternalRedirects
            self.redirectResponseCodes = redirectResponseCodes
            self.allowCrossSchemeRedirect = allowCrossSchemeRedirect
            self.responseHeadersToCopy = responseHeadersToCopy
        }

        package static let schema = MessageSchema<InternalRedirectPolicy>(
            "envoy.config.route.v3.InternalRedirectPolicy",
            empty: InternalRedirectPolicy()
        ) { schema in
            schema.optional(1, "max_internal_redirects", \.maxInternalRedirects, .uint32Value)
            schema.repeated(2, "redirect_response_codes", \.redirectResponseCodes, .uint32, [.maxItems(5)])
            schema.field(4, "allow_cross_scheme_redirect", \.allowCrossSchemeRedirect, .bool)
            schema.repeated(5, "response_headers_to_copy", \.responseHeadersToCopy, .string, [.headerName])
            schema.unsupported("predicates=3")
        }
    }

    /// The proxy does not answer such requests: others do.
    ///
    /// `envoy.config.route.v3.NonForwardingAction`
    package struct NonForwardingAction: EnvoyMessage {
        package init() {}

        package static let schema = MessageSchema<NonForwardingAction>(
            "envoy.config.route.v3.NonForwardingAction",
            empty: NonForwardingAction()
        ) { _ in }
    }
}

extension Envoy.RouteMatch {
    /// Only gRPC requests.
    ///
    /// `envoy.config.route.v3.RouteMatch.GrpcRouteMatchOptions`
    package struct GrpcRouteMatchOptions: EnvoyMessage {
        package init() {}

        package static let schema = MessageSchema<GrpcRouteMatchOptions>(
            "envoy.config.route.v3.RouteMatch.GrpcRouteMatchOptions",
            empty: GrpcRouteMatchOptions()
        ) { _ in }
    }

    /// Only CONNECT requests.
    ///
    /// `envoy.config.route.v3.RouteMatch.ConnectMatcher`
    package struct ConnectMatcher: EnvoyMessage {
        package init() {}

        package static let schema = MessageSchema<ConnectMatcher>(
            "envoy.config.route.v3.RouteMatch.ConnectMatcher",
            empty: ConnectMatcher()
        ) { _ in }
    }

    /// What the client's TLS must be.
    ///
    /// `envoy.config.route.v3.RouteMatch.TlsContextMatchOptions`
    package struct TlsContextMatchOptions: EnvoyMessage {
        /// A certificate was presented, or not.
        package var presented: Bool?
        /// A certificate was presented and its chain was found good, or not.
        package var validated: Bool?

        package init(
            presented: Bool? = nil,
            validated: Bool? = nil
        ) {
            self.presented = presented
            self.validated = validated
        }

        package static let schema = MessageSchema<TlsContextMatchOptions>(
            "envoy.config.route.v3.RouteMatch.TlsContextMatchOptions",
            empty: TlsContextMatchOptions()
        ) { schema in
            schema.optional(1, "presented", \.presented, .boolValue)
            schema.optional(2, "validated", \.validated, .boolValue)
        }
    }
}

extension Envoy.RetryPolicy {
    /// The endpoint says when it wants to be asked again.
    ///
    /// `envoy.config.route.v3.RetryPolicy.RateLimitedRetryBackOff`
    package struct RateLimitedRetryBackOff: EnvoyMessage {
        /// The first that is there counts.
        package var resetHeaders: [ResetHeader]
        /// nil is 300 s.
        package var maxInterval: Duration?

        package init(
            resetHeaders: [ResetHeader] = [],
            maxInterval: Duration? = nil
        ) {
            self.resetHeaders = resetHeaders
            self.maxInterval = maxInterval
        }

        package static let schema = MessageSchema<RateLimitedRetryBackOff>(
            "envoy.config.route.v3.RetryPolicy.RateLimitedRetryBackOff",
            empty: RateLimitedRetryBackOff()
        ) { schema in
            schema.repeated(1, "reset_headers", \.resetHeaders, .message, [.minItems(1)])
            schema.optional(2, "max_interval", \.maxInterval, .duration, [.durationAbove(.zero)])
        }
    }

    /// A header that says when.
    ///
    /// `envoy.config.route.v3.RetryPolicy.ResetHeader`
    package struct ResetHeader: EnvoyMessage {
        package var name: String
        package var format: ResetHeaderFormat

        package init(
            name: String = "",
            format: ResetHeaderFormat = .seconds
        ) {
            self.name = name
            self.format = format
        }

        package static let schema = MessageSchema<ResetHeader>(
            "envoy.config.route.v3.RetryPolicy.ResetHeader",
            empty: ResetHeader()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1), .headerName])
            schema.field(2, "format", \.format, .enumeration)
        }
    }

    /// Values of `envoy.config.route.v3.RetryPolicy.ResetHeaderFormat`.
    package enum ResetHeaderFormat: Int32, EnvoyEnum {
        case seconds = 0
        case unixTimestamp = 1

        package static let names = EnumNames(
            "envoy.config.route.v3.RetryPolicy.ResetHeaderFormat",
            "SECONDS=0 UNIX_TIMESTAMP=1"
        )
    }
}

extension Envoy.HttpConnectionManager {
    /// Whose requests are the house's own: their `x-envoy-` headers are honoured.
    ///
    /// `envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.InternalAddressConfig`
    package struct InternalAddressConfig: EnvoyMessage {
        package var unixSockets: Bool
        package var cidrRanges: [Envoy.CidrRange]

        package init(
            unixSockets: Bool = false,
            cidrRanges: [Envoy.CidrRange] = []
        ) {
            self.unixSockets = unixSockets
            self.cidrRanges = cidrRanges
        }

        package static let schema = MessageSchema<InternalAddressConfig>(
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.InternalAddressConfig",
            empty: InternalAddressConfig()
        ) { schema in
            schema.field(1, "unix_sockets", \.unixSockets, .bool)
            schema.repeated(2, "cidr_ranges", \.cidrRanges, .message)
        }
    }
}

extension Envoy {
    /// A retry avoids endpoints whose metadata say `envoy.lb: {canary: true}`.
    ///
    /// `envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate`
    package struct OmitCanaryHostsPredicate: EnvoyMessage {
        package init() {}

        package static let schema = MessageSchema<OmitCanaryHostsPredicate>(
            "envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate",
            empty: OmitCanaryHostsPredicate()
        ) { _ in }
    }

    /// Layers of runtime values: later ones win.
    ///
    /// `envoy.config.bootstrap.v3.LayeredRuntime`
    package struct LayeredRuntime: EnvoyMessage {
        package var layers: [RuntimeLayer]

        package init(layers: [RuntimeLayer] = []) { self.layers = layers }

        package static let schema = MessageSchema<LayeredRuntime>(
            "envoy.config.bootstrap.v3.LayeredRuntime",
            empty: LayeredRuntime()
        ) { schema in
            schema.repeated(1, "layers", \.layers, .message)
        }
    }

    /// One layer of runtime values.
    ///
    /// `envoy.config.bootstrap.v3.RuntimeLayer`
    package struct RuntimeLayer: EnvoyMessage {
        package var name: String
        package var layerSpecifier: LayerSpecifier?

        /// One of these.
        package enum LayerSpecifier: Sendable, Equatable {
            case staticLayer(Value)
            /// What the admin would be told to change; it is empty for ever.
            case adminLayer(AdminLayer)
            /// Values that a control plane changes.
            case rtdsLayer(RtdsLayer)
        }

        package init(
            name: String = "",
            layerSpecifier: LayerSpecifier? = nil
        ) {
            self.name = name
            self.layerSpecifier = layerSpecifier
        }

        package static let schema = MessageSchema<RuntimeLayer>(
            "envoy.config.bootstrap.v3.RuntimeLayer",
            empty: RuntimeLayer()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.oneof("layer_specifier", isRequired: true)
            schema.choice(2, "static_layer", of: "layer_specifier", \.layerSpecifier, .object) {
                .staticLayer($0)
            } get: {
                if case .staticLayer(let value) = $0 { value } else { nil }
            }
            schema.choice(4, "admin_layer", of: "layer_specifier", \.layerSpecifier, .message) {
                .adminLayer($0)
            } get: {
                if case .adminLayer(let value) = $0 { value } else { nil }
            }
            schema.choice(5, "rtds_layer", of: "layer_specifier", \.layerSpecifier, .message) {
                .rtdsLayer($0)
            } get: {
                if case .rtdsLayer(let value) = $0 { value } else { nil }
            }
            schema.unsupported("disk_layer=3", of: "layer_specifier")
        }
    }

    /// A layer that is subscribed to.
    ///
    /// `envoy.config.bootstrap.v3.RuntimeLayer.RtdsLayer`
    package struct RtdsLayer: EnvoyMessage {
        package var name: String
        package var rtdsConfig: ConfigSource?

        package init(name: String = "", rtdsConfig: ConfigSource? = nil) {
            self.name = name
            self.rtdsConfig = rtdsConfig
        }

        package static let schema = MessageSchema<RtdsLayer>(
            "envoy.config.bootstrap.v3.RuntimeLayer.RtdsLayer",
            empty: RtdsLayer()
        ) { schema in
            schema.field(1, "name", \.name, .string)
            schema.optional(2, "rtds_config", \.rtdsConfig, .message)
        }
    }

    /// The layer of the admin.
    ///
    /// `envoy.config.bootstrap.v3.RuntimeLayer.AdminLayer`
    package struct AdminLayer: EnvoyMessage {
        package init() {}

        package static let schema = MessageSchema<AdminLayer>(
            "envoy.config.bootstrap.v3.RuntimeLayer.AdminLayer",
            empty: AdminLayer()
        ) { _ in }
    }
}

extension Envoy.TcpProxy {
    /// The bytes go through a proxy behind the cluster, which is asked with CONNECT.
    ///
    /// `envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TunnelingConfig`
    package struct TunnelingConfig: EnvoyMessage {
        package var hostname: String
        package var headersToAdd: [Envoy.HeaderValueOption]

        package init(
            hostname: String = "",
            headersToAdd: [Envoy.HeaderValueOption] = []
        ) {
            self.hostname = hostname
            self.headersToAdd = headersToAdd
        }

        package static let schema = MessageSchema<TunnelingConfig>(
            "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TunnelingConfig",
            empty: TunnelingConfig()
        ) { schema in
            schema.field(1, "hostname", \.hostname, .string, [.minLength(1)])
            schema.repeated(3, "headers_to_add", \.headersToAdd, .message, [.maxItems(1000)])
            schema.unsupported(
                """
                use_post=2 propagate_response_headers=4 post_path=5 propagate_response_trailers=6 request_id_extension=7
                request_id_header=8 request_id_metadata_key=9
                """
            )
        }
    }
}

extension Envoy.HttpConnectionManager {
    /// How requests get their ids.
    ///
    /// `envoy.extensions.filters.network.http_connection_manager.v3.RequestIDExtension`
    package struct RequestIDExtension: EnvoyMessage {
        package var typedConfig: Envoy.RequestIDConfig?

        package init(typedConfig: Envoy.RequestIDConfig? = nil) { self.typedConfig = typedConfig }

        package static let schema = MessageSchema<RequestIDExtension>(
            "envoy.extensions.filters.network.http_connection_manager.v3.RequestIDExtension",
            empty: RequestIDExtension()
        ) { schema in
            schema.optional(1, "typed_config", \.typedConfig, .any)
        }
    }
}

extension Envoy {
    /// The kinds of request ids that exist here.
    package enum RequestIDConfig: AnyExtension {
        case uuid(UuidRequestIdConfig)

        package static let members = AnyMembers<RequestIDConfig>(
            "kind of request ids",
            [
                AnyMember(UuidRequestIdConfig.self, wrap: { .uuid($0) }) {
                    if case .uuid(let value) = $0 { value } else { nil }
                }
            ]
        )
    }

    /// Ids are UUIDs. Nothing is traced here, so no reason for it is packed into them.
    ///
    /// `envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig`
    package struct UuidRequestIdConfig: EnvoyMessage {
        package init() {}

        package static let schema = MessageSchema<UuidRequestIdConfig>(
            "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
            empty: UuidRequestIdConfig()
        ) { schema in
            schema.ignored(
                "pack_trace_reason=1 use_request_id_for_trace_sampling=2",
                why: "a copy is part of its request's trace, and has no span"
            )
        }
    }
}
