extension Envoy.HttpConnectionManager {
    /// Spans of requests.
    ///
    /// `envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.Tracing`
    package struct Tracing: EnvoyMessage {
        package var clientSampling: Envoy.Percent?
        package var randomSampling: Envoy.Percent?
        package var overallSampling: Envoy.Percent?
        package var maxPathTagLength: UInt32?
        package var customTags: [Envoy.CustomTag] = []
        package var provider: Envoy.TracingHttp?
        package var spawnUpstreamSpan: Bool?
        package var operation = ""
        package var upstreamOperation = ""

        package init() {}

        package static let schema = MessageSchema<Tracing>(
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.Tracing",
            empty: Tracing()
        ) { schema in
            schema.optional(3, "client_sampling", \.clientSampling, .message)
            schema.optional(4, "random_sampling", \.randomSampling, .message)
            schema.optional(5, "overall_sampling", \.overallSampling, .message)
            schema.ignored("verbose=6", why: "a tracer of OpenTelemetry has no annotations")
            schema.optional(7, "max_path_tag_length", \.maxPathTagLength, .uint32Value)
            schema.repeated(8, "custom_tags", \.customTags, .message)
            schema.optional(9, "provider", \.provider, .message, [.required])
            schema.optional(10, "spawn_upstream_span", \.spawnUpstreamSpan, .boolValue)
            schema.field(11, "operation", \.operation, .string)
            schema.field(12, "upstream_operation", \.upstreamOperation, .string)
        }
    }
}

extension Envoy {
    /// Where spans go.
    ///
    /// `envoy.config.trace.v3.Tracing.Http`
    package struct TracingHttp: EnvoyMessage {
        package var name = ""
        package var typedConfig: TracerConfig?

        package init() {}

        package static let schema = MessageSchema<TracingHttp>(
            "envoy.config.trace.v3.Tracing.Http",
            empty: TracingHttp()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.optional(3, "typed_config", \.typedConfig, .any, [.required])
        }
    }

    /// The tracers that exist here.
    package enum TracerConfig: AnyExtension {
        case openTelemetry(OpenTelemetryConfig)

        package static let members = AnyMembers<TracerConfig>(
            "tracer",
            [
                AnyMember(OpenTelemetryConfig.self, wrap: { .openTelemetry($0) }) {
                    if case .openTelemetry(let value) = $0 { value } else { nil }
                }
            ]
        )
    }

    /// Spans as OTLP.
    ///
    /// `envoy.config.trace.v3.OpenTelemetryConfig`
    package struct OpenTelemetryConfig: EnvoyMessage {
        package var grpcService: GrpcService?
        package var httpService: HttpService?
        package var serviceName = ""
        package var maxCacheSize: UInt32?

        package init() {}

        package static let schema = MessageSchema<OpenTelemetryConfig>(
            "envoy.config.trace.v3.OpenTelemetryConfig",
            empty: OpenTelemetryConfig()
        ) { schema in
            schema.optional(1, "grpc_service", \.grpcService, .message)
            schema.optional(3, "http_service", \.httpService, .message)
            schema.field(2, "service_name", \.serviceName, .string)
            schema.optional(6, "max_cache_size", \.maxCacheSize, .uint32Value, [.above(0)])
            schema.unsupported("resource_detectors=4", why: "name the service with service_name")
            schema.unsupported("sampler=5", why: "use random_sampling of the connection manager's tracing")
        }

        package static func verify(_ message: OpenTelemetryConfig, _ reader: inout SchemaReader) {
            if (message.grpcService == nil) == (message.httpService == nil) {
                reader.report(.missing, "one of grpc_service, http_service is required")
            }
        }
    }

    /// An attribute of spans.
    ///
    /// `envoy.type.tracing.v3.CustomTag`
    package struct CustomTag: EnvoyMessage {
        package var tag = ""
        package var type: TagType?

        /// One of these.
        package enum TagType: Sendable, Equatable {
            case literal(CustomTagLiteral)
            case environment(CustomTagSource)
            case requestHeader(CustomTagHeader)
            case value(String)
        }

        package init() {}

        package static let schema = MessageSchema<CustomTag>(
            "envoy.type.tracing.v3.CustomTag",
            empty: CustomTag()
        ) { schema in
            schema.field(1, "tag", \.tag, .string, [.minLength(1)])
            schema.oneof("type", isRequired: true)
            schema.choice(2, "literal", of: "type", \.type, .message) {
                .literal($0)
            } get: {
                if case .literal(let value) = $0 { value } else { nil }
            }
            schema.choice(3, "environment", of: "type", \.type, .message) {
                .environment($0)
            } get: {
                if case .environment(let value) = $0 { value } else { nil }
            }
            schema.choice(4, "request_header", of: "type", \.type, .message) {
                .requestHeader($0)
            } get: {
                if case .requestHeader(let value) = $0 { value } else { nil }
            }
            schema.choice(6, "value", of: "type", \.type, .string) {
                .value($0)
            } get: {
                if case .value(let value) = $0 { value } else { nil }
            }
            schema.unsupported("metadata=5", of: "type", why: "there is no dynamic metadata here")
        }
    }

    /// `envoy.type.tracing.v3.CustomTag.Literal`
    package struct CustomTagLiteral: EnvoyMessage {
        package var value = ""

        package init() {}

        package static let schema = MessageSchema<CustomTagLiteral>(
            "envoy.type.tracing.v3.CustomTag.Literal",
            empty: CustomTagLiteral()
        ) { schema in
            schema.field(1, "value", \.value, .string, [.minLength(1)])
        }
    }

    /// `envoy.type.tracing.v3.CustomTag.Environment`
    package struct CustomTagSource: EnvoyMessage {
        package var name = ""
        package var defaultValue = ""

        package init() {}

        package static let schema = MessageSchema<CustomTagSource>(
            "envoy.type.tracing.v3.CustomTag.Environment",
            empty: CustomTagSource()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.field(2, "default_value", \.defaultValue, .string)
        }
    }

    /// `envoy.type.tracing.v3.CustomTag.Header`
    package struct CustomTagHeader: EnvoyMessage {
        package var name = ""
        package var defaultValue = ""

        package init() {}

        package static let schema = MessageSchema<CustomTagHeader>(
            "envoy.type.tracing.v3.CustomTag.Header",
            empty: CustomTagHeader()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1), .headerName])
            schema.field(2, "default_value", \.defaultValue, .string)
        }
    }

    /// How the spans of a route's requests are named.
    ///
    /// `envoy.config.route.v3.Decorator`
    package struct Decorator: EnvoyMessage {
        package var operation = ""

        package init() {}

        package static let schema = MessageSchema<Decorator>(
            "envoy.config.route.v3.Decorator",
            empty: Decorator()
        ) { schema in
            schema.field(1, "operation", \.operation, .string, [.minLength(1)])
            schema.ignored("propagate=2", why: "operations are not told to others")
        }
    }
}
