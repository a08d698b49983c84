extension Envoy {
    /// Which requests or connections are logged.
    ///
    /// `envoy.config.accesslog.v3.AccessLogFilter`
    package struct AccessLogFilter: EnvoyMessage {
        package var filterSpecifier: FilterSpecifier?

        /// One of these.
        package indirect enum FilterSpecifier: Sendable, Equatable {
            case statusCode(Envoy.StatusCodeFilter)
            case duration(Envoy.DurationFilter)
            case notHealthCheck(Envoy.NotHealthCheckFilter)
            case runtime(Envoy.RuntimeFilter)
            case and(Envoy.AndFilter)
            case or(Envoy.OrFilter)
            case header(Envoy.HeaderFilter)
            case responseFlag(Envoy.ResponseFlagFilter)
            case grpcStatus(Envoy.GrpcStatusFilter)
            case logType(Envoy.LogTypeFilter)
        }

        package init(
            filterSpecifier: FilterSpecifier? = nil
        ) {
            self.filterSpecifier = filterSpecifier
        }

        package static let schema = MessageSchema<AccessLogFilter>(
            "envoy.config.accesslog.v3.AccessLogFilter",
            empty: AccessLogFilter()
        ) { schema in
            schema.oneof("filter_specifier", isRequired: true)
            schema.choice(1, "status_code_filter", of: "filter_specifier", \.filterSpecifier, .message) {
                .statusCode($0)
            } get: {
                if case .statusCode(let value) = $0 { value } else { nil }
            }
            schema.choice(2, "duration_filter", of: "filter_specifier", \.filterSpecifier, .message) {
                .duration($0)
            } get: {
                if case .duration(let value) = $0 { value } else { nil }
            }
            schema.choice(3, "not_health_check_filter", of: "filter_specifier", \.filterSpecifier, .message) {
                .notHealthCheck($0)
            } get: {
                if case .notHealthCheck(let value) = $0 { value } else { nil }
            }
            schema.choice(5, "runtime_filter", of: "filter_specifier", \.filterSpecifier, .message) {
                .runtime($0)
            } get: {
                if case .runtime(let value) = $0 { value } else { nil }
            }
            schema.choice(6, "and_filter", of: "filter_specifier", \.filterSpecifier, .message) {
                .and($0)
            } get: {
                if case .and(let value) = $0 { value } else { nil }
            }
            schema.choice(7, "or_filter", of: "filter_specifier", \.filterSpecifier, .message) {
                .or($0)
            } get: {
                if case .or(let value) = $0 { value } else { nil }
            }
            schema.choice(8, "header_filter", of: "filter_specifier", \.filterSpecifier, .message) {
                .header($0)
            } get: {
                if case .header(let value) = $0 { value } else { nil }
            }
            schema.choice(9, "response_flag_filter", of: "filter_specifier", \.filterSpecifier, .message) {
                .responseFlag($0)
            } get: {
                if case .responseFlag(let value) = $0 { value } else { nil }
            }
            schema.choice(10, "grpc_status_filter", of: "filter_specifier", \.filterSpecifier, .message) {
                .grpcStatus($0)
            } get: {
                if case .grpcStatus(let value) = $0 { value } else { nil }
            }
            schema.choice(13, "log_type_filter", of: "filter_specifier", \.filterSpecifier, .message) {
                .logType($0)
            } get: {
                if case .logType(let value) = $0 { value } else { nil }
            }
            schema.unsupported(
                "traceable_filter=4",
                of: "filter_specifier",
                why: "weft-proxy traces no requests, so that nothing would be logged: leave the filter out"
            )
            schema.unsupported("extension_filter=11 metadata_filter=12", of: "filter_specifier")
        }
    }
}

extension Envoy {
    /// A number held against another.
    ///
    /// `envoy.config.accesslog.v3.ComparisonFilter`
    package struct ComparisonFilter: EnvoyMessage {
        package var op: Op
        package var value: RuntimeUInt32?

        package init(
            op: Op = .equal,
            value: RuntimeUInt32? = nil
        ) {
            self.op = op
            self.value = value
        }

        package static let schema = MessageSchema<ComparisonFilter>(
            "envoy.config.accesslog.v3.ComparisonFilter",
            empty: ComparisonFilter()
        ) { schema in
            schema.field(1, "op", \.op, .enumeration)
            schema.optional(2, "value", \.value, .message)
        }
    }
}

extension Envoy.ComparisonFilter {
    /// Values of `envoy.config.accesslog.v3.ComparisonFilter.Op`.
    package enum Op: Int32, EnvoyEnum {
        case equal = 0
        case greaterOrEqual = 1
        case lessOrEqual = 2
        case notEqual = 3

        package static let names = EnumNames("envoy.config.accesslog.v3.ComparisonFilter.Op", "EQ=0 GE=1 LE=2 NE=3")
    }
}

extension Envoy {
    /// A number; its runtime key is never overridden here.
    ///
    /// `envoy.config.core.v3.RuntimeUInt32`
    package struct RuntimeUInt32: EnvoyMessage {
        package var defaultValue: UInt32
        package var runtimeKey: String

        package init(
            defaultValue: UInt32 = 0,
            runtimeKey: String = ""
        ) {
            self.defaultValue = defaultValue
            self.runtimeKey = runtimeKey
        }

        package static let schema = MessageSchema<RuntimeUInt32>(
            "envoy.config.core.v3.RuntimeUInt32",
            empty: RuntimeUInt32()
        ) { schema in
            schema.field(2, "default_value", \.defaultValue, .uint32)
            schema.field(3, "runtime_key", \.runtimeKey, .string)
        }
    }
}

extension Envoy {
    /// Statuses in a relation to a number.
    ///
    /// `envoy.config.accesslog.v3.StatusCodeFilter`
    package struct StatusCodeFilter: EnvoyMessage {
        package var comparison: ComparisonFilter?

        package init(
            comparison: ComparisonFilter? = nil
        ) {
            self.comparison = comparison
        }

        package static let schema = MessageSchema<StatusCodeFilter>(
            "envoy.config.accesslog.v3.StatusCodeFilter",
            empty: StatusCodeFilter()
        ) { schema in
            schema.optional(1, "comparison", \.comparison, .message, [.required])
        }
    }
}

extension Envoy {
    /// Durations in milliseconds in a relation to a number.
    ///
    /// `envoy.config.accesslog.v3.DurationFilter`
    package struct DurationFilter: EnvoyMessage {
        package var comparison: ComparisonFilter?

        package init(
            comparison: ComparisonFilter? = nil
        ) {
            self.comparison = comparison
        }

        package static let schema = MessageSchema<DurationFilter>(
            "envoy.config.accesslog.v3.DurationFilter",
            empty: DurationFilter()
        ) { schema in
            schema.optional(1, "comparison", \.comparison, .message, [.required])
        }
    }
}

extension Envoy {
    /// Requests that are no health checks: all of them, for no filter here answers health checks.
    ///
    /// `envoy.config.accesslog.v3.NotHealthCheckFilter`
    package struct NotHealthCheckFilter: EnvoyMessage {

        package init() {}

        package static let schema = MessageSchema<NotHealthCheckFilter>(
            "envoy.config.accesslog.v3.NotHealthCheckFilter",
            empty: NotHealthCheckFilter()
        ) { _ in
        }
    }
}

extension Envoy {
    /// A share of the requests.
    ///
    /// `envoy.config.accesslog.v3.RuntimeFilter`
    package struct RuntimeFilter: EnvoyMessage {
        package var runtimeKey: String
        package var percentSampled: FractionalPercent?
        package var useIndependentRandomness: Bool

        package init(
            runtimeKey: String = "",
            percentSampled: FractionalPercent? = nil,
            useIndependentRandomness: Bool = false
        ) {
            self.runtimeKey = runtimeKey
            self.percentSampled = percentSampled
            self.useIndependentRandomness = useIndependentRandomness
        }

        package static let schema = MessageSchema<RuntimeFilter>(
            "envoy.config.accesslog.v3.RuntimeFilter",
            empty: RuntimeFilter()
        ) { schema in
            schema.field(1, "runtime_key", \.runtimeKey, .string, [.minLength(1)])
            schema.optional(2, "percent_sampled", \.percentSampled, .message)
            schema.field(3, "use_independent_randomness", \.useIndependentRandomness, .bool)
            schema.noted("use_independent_randomness", why: "each line has a random number of its own")
        }
    }
}

extension Envoy {
    /// What all of the filters pass.
    ///
    /// `envoy.config.accesslog.v3.AndFilter`
    package struct AndFilter: EnvoyMessage {
        package var filters: [AccessLogFilter]

        package init(
            filters: [AccessLogFilter] = []
        ) {
            self.filters = filters
        }

        package static let schema = MessageSchema<AndFilter>(
            "envoy.config.accesslog.v3.AndFilter",
            empty: AndFilter()
        ) { schema in
            schema.repeated(1, "filters", \.filters, .message, [.minItems(2)])
        }
    }
}

extension Envoy {
    /// What one of the filters passes.
    ///
    /// `envoy.config.accesslog.v3.OrFilter`
    package struct OrFilter: EnvoyMessage {
        package var filters: [AccessLogFilter]

        package init(
            filters: [AccessLogFilter] = []
        ) {
            self.filters = filters
        }

        package static let schema = MessageSchema<OrFilter>(
            "envoy.config.accesslog.v3.OrFilter",
            empty: OrFilter()
        ) { schema in
            schema.repeated(1, "filters", \.filters, .message, [.minItems(2)])
        }
    }
}

extension Envoy {
    /// Requests with a header.
    ///
    /// `envoy.config.accesslog.v3.HeaderFilter`
    package struct HeaderFilter: EnvoyMessage {
        package var header: HeaderMatcher?

        package init(
            header: HeaderMatcher? = nil
        ) {
            self.header = header
        }

        package static let schema = MessageSchema<HeaderFilter>(
            "envoy.config.accesslog.v3.HeaderFilter",
            empty: HeaderFilter()
        ) { schema in
            schema.optional(1, "header", \.header, .message, [.required])
        }
    }
}

extension Envoy {
    /// Answers with one of the response flags; with any, where none is named.
    ///
    /// `envoy.config.accesslog.v3.ResponseFlagFilter`
    package struct ResponseFlagFilter: EnvoyMessage {
        package var flags: [String]

        package init(
            flags: [String] = []
        ) {
            self.flags = flags
        }

        package static let schema = MessageSchema<ResponseFlagFilter>(
            "envoy.config.accesslog.v3.ResponseFlagFilter",
            empty: ResponseFlagFilter()
        ) { schema in
            schema.repeated(1, "flags", \.flags, .string)
        }
    }
}

extension Envoy {
    /// gRPC calls that end with one of the statuses.
    ///
    /// `envoy.config.accesslog.v3.GrpcStatusFilter`
    package struct GrpcStatusFilter: EnvoyMessage {
        package var statuses: [GrpcStatusFilter.Status]
        package var exclude: Bool

        package init(
            statuses: [GrpcStatusFilter.Status] = [],
            exclude: Bool = false
        ) {
            self.statuses = statuses
            self.exclude = exclude
        }

        package static let schema = MessageSchema<GrpcStatusFilter>(
            "envoy.config.accesslog.v3.GrpcStatusFilter",
            empty: GrpcStatusFilter()
        ) { schema in
            schema.repeated(1, "statuses", \.statuses, .enumeration)
            schema.field(2, "exclude", \.exclude, .bool)
        }
    }
}

extension Envoy.GrpcStatusFilter {
    /// Values of `envoy.config.accesslog.v3.GrpcStatusFilter.Status`.
    package enum Status: Int32, EnvoyEnum {
        case ok = 0
        case canceled = 1
        case unknown = 2
        case invalidArgument = 3
        case deadlineExceeded = 4
        case notFound = 5
        case alreadyExists = 6
        case permissionDenied = 7
        case resourceExhausted = 8
        case failedPrecondition = 9
        case aborted = 10
        case outOfRange = 11
        case unimplemented = 12
        case `internal` = 13
        case unavailable = 14
        case dataLoss = 15
        case unauthenticated = 16

        package static let names = EnumNames(
            "envoy.config.accesslog.v3.GrpcStatusFilter.Status",
            """
            OK=0
            CANCELED=1
            UNKNOWN=2
            INVALID_ARGUMENT=3
            DEADLINE_EXCEEDED=4
            NOT_FOUND=5
            ALREADY_EXISTS=6
            PERMISSION_DENIED=7
            RESOURCE_EXHAUSTED=8
            FAILED_PRECONDITION=9
            ABORTED=10
            OUT_OF_RANGE=11
            UNIMPLEMENTED=12
            INTERNAL=13
            UNAVAILABLE=14
            DATA_LOSS=15
            UNAUTHENTICATED=16
            """
        )
    }
}

extension Envoy {
    /// Entries of certain types.
    ///
    /// `envoy.config.accesslog.v3.LogTypeFilter`
    package struct LogTypeFilter: EnvoyMessage {
        package var types: [AccessLogType]
        package var exclude: Bool

        package init(
            types: [AccessLogType] = [],
            exclude: Bool = false
        ) {
            self.types = types
            self.exclude = exclude
        }

        package static let schema = MessageSchema<LogTypeFilter>(
            "envoy.config.accesslog.v3.LogTypeFilter",
            empty: LogTypeFilter()
        ) { schema in
            schema.repeated(1, "types", \.types, .enumeration)
            schema.field(2, "exclude", \.exclude, .bool)
        }
    }
}

extension Envoy {
    /// Values of `envoy.data.accesslog.v3.AccessLogType`; those that are written here are the ends of connections and requests.
    package enum AccessLogType: Int32, EnvoyEnum {
        case notSet = 0
        case tcpUpstreamConnected = 1
        case tcpPeriodic = 2
        case tcpConnectionEnd = 3
        case downstreamStart = 4
        case downstreamPeriodic = 5
        case downstreamEnd = 6
        case upstreamPoolReady = 7
        case upstreamPeriodic = 8
        case upstreamEnd = 9
        case downstreamTunnelSuccessfullyEstablished = 10
        case udpTunnelUpstreamConnected = 11
        case udpPeriodic = 12
        case udpSessionEnd = 13

        package static let names = EnumNames(
            "envoy.data.accesslog.v3.AccessLogType",
            """
            NotSet=0
            TcpUpstreamConnected=1
            TcpPeriodic=2
            TcpConnectionEnd=3
            DownstreamStart=4
            DownstreamPeriodic=5
            DownstreamEnd=6
            UpstreamPoolReady=7
            UpstreamPeriodic=8
            UpstreamEnd=9
            DownstreamTunnelSuccessfullyEstablished=10
            UdpTunnelUpstreamConnected=11
            UdpPeriodic=12
            UdpSessionEnd=13
            """
        )
    }
}

extension Envoy {
    /// How JSON is written: the properties always stand in the order of their names here.
    ///
    /// `envoy.config.core.v3.JsonFormatOptions`
    package struct JsonFormatOptions: EnvoyMessage {
        package var sortProperties: Bool

        package init(
            sortProperties: Bool = false
        ) {
            self.sortProperties = sortProperties
        }

        package static let schema = MessageSchema<JsonFormatOptions>(
            "envoy.config.core.v3.JsonFormatOptions",
            empty: JsonFormatOptions()
        ) { schema in
            schema.field(1, "sort_properties", \.sortProperties, .bool)
        }
    }
}
