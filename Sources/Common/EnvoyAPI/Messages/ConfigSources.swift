extension Envoy {
    /// Where a subscription's resources come from: a watched file, the stream for all types, or a stream for one type.
    ///
    /// `envoy.config.core.v3.ConfigSource`
    package struct ConfigSource: EnvoyMessage {
        package var configSourceSpecifier: ConfigSource.Specifier?
        /// How long is waited for the first resource before the proxy goes on without; nil = 15 s, 0 = for ever.
        package var initialFetchTimeout: Duration?
        package var resourceApiVersion: ApiVersion

        /// One of these.
        package enum Specifier: Sendable, Equatable {
            case pathConfigSource(PathConfigSource)
            case apiConfigSource(ApiConfigSource)
            /// The bootstrap's `ads_config`.
            case ads(AggregatedConfigSource)
        }

        package init(
            pathConfigSource: PathConfigSource? = nil,
            initialFetchTimeout: Duration? = nil,
            resourceApiVersion: ApiVersion = .auto
        ) {
            configSourceSpecifier = pathConfigSource.map { .pathConfigSource($0) }
            self.initialFetchTimeout = initialFetchTimeout
            self.resourceApiVersion = resourceApiVersion
        }

        /// The watched file, if it is one.
        package var pathConfigSource: PathConfigSource? {
            if case .pathConfigSource(let path) = configSourceSpecifier { path } else { nil }
        }

        package static let schema = MessageSchema<ConfigSource>(
            "envoy.config.core.v3.ConfigSource",
            empty: ConfigSource()
        ) { schema in
            schema.oneof("config_source_specifier", isRequired: true)
            schema.choice(
                8,
                "path_config_source",
                of: "config_source_specifier",
                \.configSourceSpecifier,
                .message
            ) {
                .pathConfigSource($0)
            } get: {
                if case .pathConfigSource(let value) = $0 { value } else { nil }
            }
            schema.choice(2, "api_config_source", of: "config_source_specifier", \.configSourceSpecifier, .message) {
                .apiConfigSource($0)
            } get: {
                if case .apiConfigSource(let value) = $0 { value } else { nil }
            }
            schema.choice(3, "ads", of: "config_source_specifier", \.configSourceSpecifier, .message) {
                .ads($0)
            } get: {
                if case .ads(let value) = $0 { value } else { nil }
            }
            schema.optional(4, "initial_fetch_timeout", \.initialFetchTimeout, .duration)
            schema.field(6, "resource_api_version", \.resourceApiVersion, .enumeration)
            schema.unsupported("authorities=7")
            schema.unsupported("path=1 self=5", of: "config_source_specifier")
        }
    }

    /// The bootstrap's stream for all types.
    ///
    /// `envoy.config.core.v3.AggregatedConfigSource`
    package struct AggregatedConfigSource: EnvoyMessage {
        package init() {}

        package static let schema = MessageSchema<AggregatedConfigSource>(
            "envoy.config.core.v3.AggregatedConfigSource",
            empty: AggregatedConfigSource()
        ) { _ in }
    }

    /// A control plane that is asked over gRPC.
    ///
    /// `envoy.config.core.v3.ApiConfigSource`
    package struct ApiConfigSource: EnvoyMessage {
        package var apiType: ApiConfigSource.ApiType
        package var transportApiVersion: ApiVersion
        package var grpcServices: [GrpcService]
        package var setNodeOnFirstMessageOnly: Bool

        package init(
            apiType: ApiConfigSource.ApiType = .unset,
            transportApiVersion: ApiVersion = .auto,
            grpcServices: [GrpcService] = [],
            setNodeOnFirstMessageOnly: Bool = false
        ) {
            self.apiType = apiType
            self.transportApiVersion = transportApiVersion
            self.grpcServices = grpcServices
            self.setNodeOnFirstMessageOnly = setNodeOnFirstMessageOnly
        }

        package static let schema = MessageSchema<ApiConfigSource>(
            "envoy.config.core.v3.ApiConfigSource",
            empty: ApiConfigSource()
        ) { schema in
            schema.field(1, "api_type", \.apiType, .enumeration)
            schema.field(8, "transport_api_version", \.transportApiVersion, .enumeration)
            schema.repeated(4, "grpc_services", \.grpcServices, .message)
            schema.field(7, "set_node_on_first_message_only", \.setNodeOnFirstMessageOnly, .bool)
            schema.unsupported(
                "cluster_names=2 refresh_delay=3 request_timeout=5",
                why: "they are for api_type REST; use GRPC or DELTA_GRPC with grpc_services"
            )
            schema.unsupported("rate_limit_settings=6 config_validators=9")
        }

        package static func verify(_ message: ApiConfigSource, _ reader: inout SchemaReader) {
            if message.apiType == .unset {
                reader.report(.missing, at: "api_type", "use one of GRPC, DELTA_GRPC")
            }
            guard message.grpcServices.count <= 1 else {
                return reader.report(.unsupported, at: "grpc_services", "one service is supported, not several")
            }
            let isAggregated = message.apiType == .aggregatedGrpc || message.apiType == .aggregatedDeltaGrpc
            if message.grpcServices.isEmpty, !isAggregated {
                reader.report(.missing, at: "grpc_services", "required: the cluster of the control plane")
            }
        }

        /// Values of `envoy.config.core.v3.ApiConfigSource.ApiType`.
        package enum ApiType: Int32, EnvoyEnum {
            case unset = 0
            case grpc = 2
            case deltaGrpc = 3
            /// Over the bootstrap's stream for all types.
            case aggregatedGrpc = 5
            case aggregatedDeltaGrpc = 6

            package static let names = EnumNames(
                "envoy.config.core.v3.ApiConfigSource.ApiType",
                """
                DEPRECATED_AND_UNAVAILABLE_DO_NOT_USE=0 GRPC=2 DELTA_GRPC=3 AGGREGATED_GRPC=5
                AGGREGATED_DELTA_GRPC=6
                """,
                unsupported: "REST=1"
            )
        }
    }
}
