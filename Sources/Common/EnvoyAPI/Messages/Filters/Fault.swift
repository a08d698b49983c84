extension Envoy {
    /// Makes requests wait or fail, on purpose.
    ///
    /// `envoy.extensions.filters.http.fault.v3.HTTPFault`
    package struct HTTPFault: EnvoyMessage {
        package var delay: FaultDelay?
        package var abort: FaultAbort?
        package var upstreamCluster: String
        package var headers: [HeaderMatcher]
        package var downstreamNodes: [String]
        package var maxActiveFaults: UInt32?
        package var delayPercentRuntime: String
        package var abortPercentRuntime: String
        package var delayDurationRuntime: String
        package var abortHttpStatusRuntime: String
        package var maxActiveFaultsRuntime: String
        package var abortGrpcStatusRuntime: String
        package var disableDownstreamClusterStats: Bool
        package var responseRateLimit: FaultRateLimit?
        package var responseRateLimitPercentRuntime = ""

        package init(
            delay: FaultDelay? = nil,
            abort: FaultAbort? = nil,
            upstreamCluster: String = "",
            headers: [HeaderMatcher] = [],
            downstreamNodes: [String] = [],
            maxActiveFaults: UInt32? = nil,
            delayPercentRuntime: String = "",
            abortPercentRuntime: String = "",
            delayDurationRuntime: String = "",
            abortHttpStatusRuntime: String = "",
            maxActiveFaultsRuntime: String = "",
            abortGrpcStatusRuntime: String = "",
            disableDownstreamClusterStats: Bool = false
        ) {
            self.delay = delay
            self.abort = abort
            self.upstreamCluster = upstreamCluster
            self.headers = headers
            self.downstreamNodes = downstreamNodes
            self.maxActiveFaults = maxActiveFaults
            self.delayPercentRuntime = delayPercentRuntime
            self.abortPercentRuntime = abortPercentRuntime
            self.delayDurationRuntime = delayDurationRuntime
            self.abortHttpStatusRuntime = abortHttpStatusRuntime
            self.maxActiveFaultsRuntime = maxActiveFaultsRuntime
            self.abortGrpcStatusRuntime = abortGrpcStatusRuntime
            self.disableDownstreamClusterStats = disableDownstreamClusterStats
        }

        package static let schema = MessageSchema<HTTPFault>(
            "envoy.extensions.filters.http.fault.v3.HTTPFault",
            empty: HTTPFault()
        ) { schema in
            schema.optional(1, "delay", \.delay, .message)
            schema.optional(2, "abort", \.abort, .message)
            schema.field(3, "upstream_cluster", \.upstreamCluster, .string)
            schema.repeated(4, "headers", \.headers, .message)
            schema.repeated(5, "downstream_nodes", \.downstreamNodes, .string)
            schema.optional(6, "max_active_faults", \.maxActiveFaults, .uint32Value)
            schema.field(8, "delay_percent_runtime", \.delayPercentRuntime, .string)
            schema.field(9, "abort_percent_runtime", \.abortPercentRuntime, .string)
            schema.field(10, "delay_duration_runtime", \.delayDurationRuntime, .string)
            schema.field(11, "abort_http_status_runtime", \.abortHttpStatusRuntime, .string)
            schema.field(12, "max_active_faults_runtime", \.maxActiveFaultsRuntime, .string)
            schema.field(14, "abort_grpc_status_runtime", \.abortGrpcStatusRuntime, .string)
            schema.field(15, "disable_downstream_cluster_stats", \.disableDownstreamClusterStats, .bool)
            schema.noted("disable_downstream_cluster_stats", why: "there are no numbers by the cluster of the client")
            schema.optional(7, "response_rate_limit", \.responseRateLimit, .message)
            schema.field(13, "response_rate_limit_percent_runtime", \.responseRateLimitPercentRuntime, .string)
            schema.unsupported("filter_metadata=16")
        }
    }
}

extension Envoy {
    /// How long a request waits.
    ///
    /// `envoy.extensions.filters.common.fault.v3.FaultDelay`
    package struct FaultDelay: EnvoyMessage {
        package var faultDelaySecifier: FaultDelaySecifier?
        package var percentage: FractionalPercent?

        /// One of these.
        package enum FaultDelaySecifier: Sendable, Equatable {
            case fixedDelay(Duration)
            case headerDelay(FaultHeader)
        }

        package init(
            faultDelaySecifier: FaultDelaySecifier? = nil,
            percentage: FractionalPercent? = nil
        ) {
            self.faultDelaySecifier = faultDelaySecifier
            self.percentage = percentage
        }

        package static let schema = MessageSchema<FaultDelay>(
            "envoy.extensions.filters.common.fault.v3.FaultDelay",
            empty: FaultDelay()
        ) { schema in
            schema.oneof("fault_delay_secifier", isRequired: true)
            schema.choice(
                3,
                "fixed_delay",
                of: "fault_delay_secifier",
                \.faultDelaySecifier,
                .duration,
                [.durationAbove(.zero)]
            ) {
                .fixedDelay($0)
            } get: {
                if case .fixedDelay(let value) = $0 { value } else { nil }
            }
            schema.choice(5, "header_delay", of: "fault_delay_secifier", \.faultDelaySecifier, .message) {
                .headerDelay($0)
            } get: {
                if case .headerDelay(let value) = $0 { value } else { nil }
            }
            schema.optional(4, "percentage", \.percentage, .message)
            schema.ignored("type=1", why: "there is one kind")
        }
    }
}

extension Envoy {
    /// The request says it in a header.
    ///
    /// `envoy.extensions.filters.common.fault.v3.FaultDelay.HeaderDelay`
    package struct FaultHeader: EnvoyMessage {
        package init() {}

        package static let schema = MessageSchema<FaultHeader>(
            "envoy.extensions.filters.common.fault.v3.FaultDelay.HeaderDelay",
            empty: FaultHeader()
        ) { _ in
        }
    }
}

extension Envoy {
    /// How a request fails.
    ///
    /// `envoy.extensions.filters.http.fault.v3.FaultAbort`
    package struct FaultAbort: EnvoyMessage {
        package var errorType: ErrorType?
        package var percentage: FractionalPercent?

        /// One of these.
        package enum ErrorType: Sendable, Equatable {
            case httpStatus(UInt32)
            case grpcStatus(UInt32)
            case headerAbort(FaultAbortHeader)
        }

        package init(
            errorType: ErrorType? = nil,
            percentage: FractionalPercent? = nil
        ) {
            self.errorType = errorType
            self.percentage = percentage
        }

        package static let schema = MessageSchema<FaultAbort>(
            "envoy.extensions.filters.http.fault.v3.FaultAbort",
            empty: FaultAbort()
        ) { schema in
            schema.oneof("error_type", isRequired: true)
            schema.choice(2, "http_status", of: "error_type", \.errorType, .uint32, [.atLeast(200), .below(600)]) {
                .httpStatus($0)
            } get: {
                if case .httpStatus(let value) = $0 { value } else { nil }
            }
            schema.choice(5, "grpc_status", of: "error_type", \.errorType, .uint32) {
                .grpcStatus($0)
            } get: {
                if case .grpcStatus(let value) = $0 { value } else { nil }
            }
            schema.choice(4, "header_abort", of: "error_type", \.errorType, .message) {
                .headerAbort($0)
            } get: {
                if case .headerAbort(let value) = $0 { value } else { nil }
            }
            schema.optional(3, "percentage", \.percentage, .message)
        }
    }
}

extension Envoy {
    /// The request says it in a header.
    ///
    /// `envoy.extensions.filters.http.fault.v3.FaultAbort.HeaderAbort`
    package struct FaultAbortHeader: EnvoyMessage {
        package init() {}

        package static let schema = MessageSchema<FaultAbortHeader>(
            "envoy.extensions.filters.http.fault.v3.FaultAbort.HeaderAbort",
            empty: FaultAbortHeader()
        ) { _ in
        }
    }
}

extension Envoy {
    /// How slowly an answer's body comes.
    ///
    /// `envoy.extensions.filters.common.fault.v3.FaultRateLimit`
    package struct FaultRateLimit: EnvoyMessage {
        package var limitType: LimitType?
        package var percentage: FractionalPercent?

        /// One of these.
        package enum LimitType: Sendable, Equatable {
            case fixedLimit(FixedLimit)
            case headerLimit(HeaderLimit)
        }

        package init(limitType: LimitType? = nil, percentage: FractionalPercent? = nil) {
            self.limitType = limitType
            self.percentage = percentage
        }

        package static let schema = MessageSchema<FaultRateLimit>(
            "envoy.extensions.filters.common.fault.v3.FaultRateLimit",
            empty: FaultRateLimit()
        ) { schema in
            schema.oneof("limit_type", isRequired: true)
            schema.choice(1, "fixed_limit", of: "limit_type", \.limitType, .message) {
                .fixedLimit($0)
            } get: {
                if case .fixedLimit(let value) = $0 { value } else { nil }
            }
            schema.choice(3, "header_limit", of: "limit_type", \.limitType, .message) {
                .headerLimit($0)
            } get: {
                if case .headerLimit(let value) = $0 { value } else { nil }
            }
            schema.optional(2, "percentage", \.percentage, .message)
        }

        /// `envoy.extensions.filters.common.fault.v3.FaultRateLimit.FixedLimit`
        package struct FixedLimit: EnvoyMessage {
            /// KiB per second.
            package var limitKbps: UInt64

            package init(limitKbps: UInt64 = 0) { self.limitKbps = limitKbps }

            package static let schema = MessageSchema<FixedLimit>(
                "envoy.extensions.filters.common.fault.v3.FaultRateLimit.FixedLimit",
                empty: FixedLimit()
            ) { schema in
                schema.field(1, "limit_kbps", \.limitKbps, .uint64, [.atLeast(1)])
            }
        }

        /// `envoy.extensions.filters.common.fault.v3.FaultRateLimit.HeaderLimit`
        package struct HeaderLimit: EnvoyMessage {
            package init() {}

            package static let schema = MessageSchema<HeaderLimit>(
                "envoy.extensions.filters.common.fault.v3.FaultRateLimit.HeaderLimit",
                empty: HeaderLimit()
            ) { _ in
            }
        }
    }
}
