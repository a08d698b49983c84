package import Wire

extension Envoy {
    /// How the endpoints of a cluster are asked whether they are well.
    ///
    /// `envoy.config.core.v3.HealthCheck`
    package struct HealthCheck: EnvoyMessage {
        /// For one check, from its connect to its answer.
        package var timeout: Duration?
        package var interval: Duration?
        package var initialJitter: Duration?
        package var intervalJitter: Duration?
        package var intervalJitterPercent: UInt32
        /// Failures in a row until an endpoint is left out.
        package var unhealthyThreshold: UInt32?
        /// Successes in a row until it is used again.
        package var healthyThreshold: UInt32?
        /// nil is true.
        package var reuseConnection: Bool?
        package var healthChecker: HealthChecker?
        /// While no connection of the cluster was ever made for a request; nil is 60 s.
        package var noTrafficInterval: Duration?
        package var noTrafficHealthyInterval: Duration?
        package var unhealthyInterval: Duration?
        package var unhealthyEdgeInterval: Duration?
        package var healthyEdgeInterval: Duration?
        package var eventLogPath: String
        package var eventLogger: [HealthCheckEventLogger]
        package var alwaysLogHealthCheckFailures: Bool
        package var alwaysLogHealthCheckSuccess: Bool
        package var tlsOptions: HealthCheck.TlsOptions?
        /// Chooses among the cluster's `transport_socket_matches`, whatever the endpoints' metadata say.
        package var transportSocketMatchCriteria: Value?

        /// One of these.
        package enum HealthChecker: Sendable, Equatable {
            case httpHealthCheck(HealthCheck.HttpHealthCheck)
            case tcpHealthCheck(HealthCheck.TcpHealthCheck)
            case grpcHealthCheck(HealthCheck.GrpcHealthCheck)
        }

        package init(
            timeout: Duration? = nil,
            interval: Duration? = nil,
            initialJitter: Duration? = nil,
            intervalJitter: Duration? = nil,
            intervalJitterPercent: UInt32 = 0,
            unhealthyThreshold: UInt32? = nil,
            healthyThreshold: UInt32? = nil,
            reuseConnection: Bool? = nil,
            healthChecker: HealthChecker? = nil,
            noTrafficInterval: Duration? = nil,
            noTrafficHealthyInterval: Duration? = nil,
            unhealthyInterval: Duration? = nil,
            unhealthyEdgeInterval: Duration? = nil,
            healthyEdgeInterval: Duration? = nil,
            eventLogPath: String = "",
            eventLogger: [HealthCheckEventLogger] = [],
            alwaysLogHealthCheckFailures: Bool = false,
            alwaysLogHealthCheckSuccess: Bool = false,
            tlsOptions: HealthCheck.TlsOptions? = nil,
            transportSocketMatchCriteria: Value? = nil
        ) {
            self.transportSocketMatchCriteria = transportSocketMatchCriteria
            self.timeout = timeout
            self.interval = interval
            self.initialJitter = initialJitter
            self.intervalJitter = intervalJitter
            self.intervalJitterPercent = intervalJitterPercent
            self.unhealthyThreshold = unhealthyThreshold
            self.healthyThreshold = healthyThreshold
            self.reuseConnection = reuseConnection
            self.healthChecker = healthChecker
            self.noTrafficInterval = noTrafficInterval
            self.noTrafficHealthyInterval = noTrafficHealthyInterval
            self.unhealthyInterval = unhealthyInterval
            self.unhealthyEdgeInterval = unhealthyEdgeInterval
            self.healthyEdgeInterval = healthyEdgeInterval
            self.eventLogPath = eventLogPath
            self.eventLogger = eventLogger
            self.alwaysLogHealthCheckFailures = alwaysLogHealthCheckFailures
            self.alwaysLogHealthCheckSuccess = alwaysLogHealthCheckSuccess
            self.tlsOptions = tlsOptions
        }

        package static let schema = MessageSchema<HealthCheck>(
            "envoy.config.core.v3.HealthCheck",
            empty: HealthCheck()
        ) { schema in
            schema.optional(1, "timeout", \.timeout, .duration, [.required, .durationAbove(.zero)])
            schema.optional(2, "interval", \.interval, .duration, [.required, .durationAbove(.zero)])
            schema.optional(20, "initial_jitter", \.initialJitter, .duration)
            schema.optional(3, "interval_jitter", \.intervalJitter, .duration)
            schema.field(18, "interval_jitter_percent", \.intervalJitterPercent, .uint32)
            schema.optional(4, "unhealthy_threshold", \.unhealthyThreshold, .uint32Value, [.required])
            schema.optional(5, "healthy_threshold", \.healthyThreshold, .uint32Value, [.required])
            schema.optional(7, "reuse_connection", \.reuseConnection, .boolValue)
            schema.oneof("health_checker", isRequired: true)
            schema.choice(8, "http_health_check", of: "health_checker", \.healthChecker, .message) {
                .httpHealthCheck($0)
            } get: {
                if case .httpHealthCheck(let value) = $0 { value } else { nil }
            }
            schema.choice(9, "tcp_health_check", of: "health_checker", \.healthChecker, .message) {
                .tcpHealthCheck($0)
            } get: {
                if case .tcpHealthCheck(let value) = $0 { value } else { nil }
            }
            schema.choice(11, "grpc_health_check", of: "health_checker", \.healthChecker, .message) {
                .grpcHealthCheck($0)
            } get: {
                if case .grpcHealthCheck(let value) = $0 { value } else { nil }
            }
            schema.optional(12, "no_traffic_interval", \.noTrafficInterval, .duration, [.durationAbove(.zero)])
            schema.optional(
                24,
                "no_traffic_healthy_interval",
                \.noTrafficHealthyInterval,
                .duration,
                [.durationAbove(.zero)]
            )
            schema.optional(14, "unhealthy_interval", \.unhealthyInterval, .duration, [.durationAbove(.zero)])
            schema.optional(15, "unhealthy_edge_interval", \.unhealthyEdgeInterval, .duration, [.durationAbove(.zero)])
            schema.optional(16, "healthy_edge_interval", \.healthyEdgeInterval, .duration, [.durationAbove(.zero)])
            schema.field(17, "event_log_path", \.eventLogPath, .string)
            schema.repeated(25, "event_logger", \.eventLogger, .message)
            schema.field(19, "always_log_health_check_failures", \.alwaysLogHealthCheckFailures, .bool)
            schema.field(26, "always_log_health_check_success", \.alwaysLogHealthCheckSuccess, .bool)
            schema.optional(21, "tls_options", \.tlsOptions, .message)
            schema.optional(23, "transport_socket_match_criteria", \.transportSocketMatchCriteria, .object)
            schema.unsupported("alt_port=6 event_service=22")
            schema.unsupported("custom_health_check=13", of: "health_checker")
        }
    }
}

extension Envoy.HealthCheck {
    /// Bytes of a check.
    ///
    /// `envoy.config.core.v3.HealthCheck.Payload`
    package struct Payload: EnvoyMessage {
        /// Text is hexadecimal digits.
        package var payload: Content?

        /// One of these.
        package enum Content: Sendable, Equatable {
            case text(String)
            case binary([UInt8])
        }

        package init(
            payload: Content? = nil
        ) {
            self.payload = payload
        }

        package static let schema = MessageSchema<Payload>(
            "envoy.config.core.v3.HealthCheck.Payload",
            empty: Payload()
        ) { schema in
            schema.oneof("payload", isRequired: true)
            schema.choice(1, "text", of: "payload", \.payload, .string, [.minLength(1)]) {
                .text($0)
            } get: {
                if case .text(let value) = $0 { value } else { nil }
            }
            schema.choice(2, "binary", of: "payload", \.payload, .bytes) {
                .binary($0)
            } get: {
                if case .binary(let value) = $0 { value } else { nil }
            }
        }
    }
}

extension Envoy.HealthCheck {
    /// A check by an HTTP request.
    ///
    /// `envoy.config.core.v3.HealthCheck.HttpHealthCheck`
    package struct HttpHealthCheck: EnvoyMessage {
        /// Empty: the cluster's name.
        package var host: String
        package var path: String
        /// The body of the request.
        package var send: Envoy.HealthCheck.Payload?
        /// What the body has to hold, in this order.
        package var receive: [Envoy.HealthCheck.Payload]
        /// Bytes of the body that are looked at; nil is 1024.
        package var responseBufferSize: UInt64?
        package var requestHeadersToAdd: [Envoy.HeaderValueOption]
        package var requestHeadersToRemove: [String]
        /// Empty: 200 alone.
        package var expectedStatuses: [Envoy.Int64Range]
        package var retriableStatuses: [Envoy.Int64Range]
        package var codecClientType: Envoy.CodecClientType
        /// What `x-envoy-upstream-healthchecked-cluster` has to say.
        package var serviceNameMatcher: Envoy.StringMatcher?
        /// Unspecified is GET.
        package var method: Envoy.RequestMethod

        package init(
            host: String = "",
            path: String = "",
            receive: [Envoy.HealthCheck.Payload] = [],
            responseBufferSize: UInt64? = nil,
            requestHeadersToAdd: [Envoy.HeaderValueOption] = [],
            requestHeadersToRemove: [String] = [],
            expectedStatuses: [Envoy.Int64Range] = [],
            retriableStatuses: [Envoy.Int64Range] = [],
            codecClientType: Envoy.CodecClientType = .http1,
            serviceNameMatcher: Envoy.StringMatcher? = nil,
            method: Envoy.RequestMethod = .methodUnspecified,
            send: Envoy.HealthCheck.Payload? = nil
        ) {
            self.send = send
            self.host = host
            self.path = path
            self.receive = receive
            self.responseBufferSize = responseBufferSize
            self.requestHeadersToAdd = requestHeadersToAdd
            self.requestHeadersToRemove = requestHeadersToRemove
            self.expectedStatuses = expectedStatuses
            self.retriableStatuses = retriableStatuses
            self.codecClientType = codecClientType
            self.serviceNameMatcher = serviceNameMatcher
            self.method = method
        }

        package static let schema = MessageSchema<HttpHealthCheck>(
            "envoy.config.core.v3.HealthCheck.HttpHealthCheck",
            empty: HttpHealthCheck()
        ) { schema in
            schema.field(1, "host", \.host, .string, [.headerValue])
            schema.field(2, "path", \.path, .string, [.minLength(1), .headerValue])
            schema.repeated(4, "receive", \.receive, .message)
            schema.optional(14, "response_buffer_size", \.responseBufferSize, .uint64Value)
            schema.repeated(6, "request_headers_to_add", \.requestHeadersToAdd, .message, [.maxItems(1000)])
            schema.repeated(8, "request_headers_to_remove", \.requestHeadersToRemove, .string, [.headerName])
            schema.repeated(9, "expected_statuses", \.expectedStatuses, .message)
            schema.repeated(12, "retriable_statuses", \.retriableStatuses, .message)
            schema.field(10, "codec_client_type", \.codecClientType, .enumeration)
            schema.optional(11, "service_name_matcher", \.serviceNameMatcher, .message)
            schema.field(13, "method", \.method, .enumeration)
            schema.optional(3, "send", \.send, .message)
        }
    }
}

extension Envoy.HealthCheck {
    /// A check by a connection and, if wanted, bytes.
    ///
    /// `envoy.config.core.v3.HealthCheck.TcpHealthCheck`
    package struct TcpHealthCheck: EnvoyMessage {
        package var send: Envoy.HealthCheck.Payload?
        /// To be found in this order, not necessarily side by side.
        package var receive: [Envoy.HealthCheck.Payload]

        package init(
            send: Envoy.HealthCheck.Payload? = nil,
            receive: [Envoy.HealthCheck.Payload] = []
        ) {
            self.send = send
            self.receive = receive
        }

        package static let schema = MessageSchema<TcpHealthCheck>(
            "envoy.config.core.v3.HealthCheck.TcpHealthCheck",
            empty: TcpHealthCheck()
        ) { schema in
            schema.optional(1, "send", \.send, .message)
            schema.repeated(2, "receive", \.receive, .message)
            schema.unsupported("proxy_protocol_config=3")
        }
    }
}

extension Envoy.HealthCheck {
    /// A check by `grpc.health.v1.Health`.
    ///
    /// `envoy.config.core.v3.HealthCheck.GrpcHealthCheck`
    package struct GrpcHealthCheck: EnvoyMessage {
        package var serviceName: String
        /// Empty: the cluster's name.
        package var authority: String
        package var initialMetadata: [Envoy.HeaderValueOption]

        package init(
            serviceName: String = "",
            authority: String = "",
            initialMetadata: [Envoy.HeaderValueOption] = []
        ) {
            self.serviceName = serviceName
            self.authority = authority
            self.initialMetadata = initialMetadata
        }

        package static let schema = MessageSchema<GrpcHealthCheck>(
            "envoy.config.core.v3.HealthCheck.GrpcHealthCheck",
            empty: GrpcHealthCheck()
        ) { schema in
            schema.field(1, "service_name", \.serviceName, .string)
            schema.field(2, "authority", \.authority, .string, [.headerValue])
            schema.repeated(3, "initial_metadata", \.initialMetadata, .message, [.maxItems(1000)])
        }
    }
}

extension Envoy.HealthCheck {
    /// What is different from the cluster's own TLS.
    ///
    /// `envoy.config.core.v3.HealthCheck.TlsOptions`
    package struct TlsOptions: EnvoyMessage {
        package var alpnProtocols: [String]

        package init(
            alpnProtocols: [String] = []
        ) {
            self.alpnProtocols = alpnProtocols
        }

        package static let schema = MessageSchema<TlsOptions>(
            "envoy.config.core.v3.HealthCheck.TlsOptions",
            empty: TlsOptions()
        ) { schema in
            schema.repeated(1, "alpn_protocols", \.alpnProtocols, .string)
        }
    }
}

extension Envoy {
    /// Where health events go, by name and type.
    ///
    /// `envoy.config.core.v3.TypedExtensionConfig`
    package struct HealthCheckEventLogger: EnvoyMessage {
        package var name: String
        package var typedConfig: HealthCheckEventSinkConfig?

        package init(
            name: String = "",
            typedConfig: HealthCheckEventSinkConfig? = nil
        ) {
            self.name = name
            self.typedConfig = typedConfig
        }

        package static let schema = MessageSchema<HealthCheckEventLogger>(
            "envoy.config.core.v3.TypedExtensionConfig",
            empty: HealthCheckEventLogger()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.optional(2, "typed_config", \.typedConfig, .any, [.required])
        }
    }
}

extension Envoy {
    /// A file of health events, one JSON object a line.
    ///
    /// `envoy.extensions.health_check.event_sinks.file.v3.HealthCheckEventFileSink`
    package struct HealthCheckEventFileSink: EnvoyMessage {
        package var eventLogPath: String

        package init(
            eventLogPath: String = ""
        ) {
            self.eventLogPath = eventLogPath
        }

        package static let schema = MessageSchema<HealthCheckEventFileSink>(
            "envoy.extensions.health_check.event_sinks.file.v3.HealthCheckEventFileSink",
            empty: HealthCheckEventFileSink()
        ) { schema in
            schema.field(1, "event_log_path", \.eventLogPath, .string, [.minLength(1)])
        }
    }
}

extension Envoy {
    /// Values of `envoy.type.v3.CodecClientType`.
    package enum CodecClientType: Int32, EnvoyEnum {
        case http1 = 0
        case http2 = 1

        package static let names = EnumNames(
            "envoy.type.v3.CodecClientType",
            "HTTP1=0 HTTP2=1",
            unsupported: "HTTP3=2"
        )
    }
}

extension Envoy {
    /// Values of `envoy.config.core.v3.RequestMethod`.
    package enum RequestMethod: Int32, EnvoyEnum {
        case methodUnspecified = 0
        case get = 1
        case head = 2
        case post = 3
        case put = 4
        case delete = 5
        case options = 7
        case trace = 8
        case patch = 9

        package static let names = EnumNames(
            "envoy.config.core.v3.RequestMethod",
            "METHOD_UNSPECIFIED=0 GET=1 HEAD=2 POST=3 PUT=4 DELETE=5 OPTIONS=7 TRACE=8 PATCH=9",
            unsupported: "CONNECT=6"
        )
    }
}
