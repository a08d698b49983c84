extension Envoy {
    /// How much a cluster takes at the same time.
    ///
    /// `envoy.config.cluster.v3.CircuitBreakers`
    package struct CircuitBreakers: EnvoyMessage {
        package var thresholds: [CircuitBreakers.Thresholds]
        package var perHostThresholds: [CircuitBreakers.Thresholds]

        package init(
            thresholds: [CircuitBreakers.Thresholds] = [],
            perHostThresholds: [CircuitBreakers.Thresholds] = []
        ) {
            self.thresholds = thresholds
            self.perHostThresholds = perHostThresholds
        }

        package static let schema = MessageSchema<CircuitBreakers>(
            "envoy.config.cluster.v3.CircuitBreakers",
            empty: CircuitBreakers()
        ) { schema in
            schema.repeated(1, "thresholds", \.thresholds, .message)
            schema.repeated(2, "per_host_thresholds", \.perHostThresholds, .message)
        }
    }
}

extension Envoy.CircuitBreakers {
    /// The limits of one priority.
    ///
    /// `envoy.config.cluster.v3.CircuitBreakers.Thresholds`
    package struct Thresholds: EnvoyMessage {
        package var priority: Envoy.RoutingPriority
        /// nil is 1024.
        package var maxConnections: UInt32?
        /// nil is 1024.
        package var maxPendingRequests: UInt32?
        /// nil is 1024.
        package var maxRequests: UInt32?
        /// nil is 3; has no effect beside a retry budget.
        package var maxRetries: UInt32?
        package var retryBudget: Envoy.CircuitBreakers.Thresholds.RetryBudget?
        package var trackRemaining: Bool
        package var maxConnectionPools: UInt32?

        package init(
            priority: Envoy.RoutingPriority = .default,
            maxConnections: UInt32? = nil,
            maxPendingRequests: UInt32? = nil,
            maxRequests: UInt32? = nil,
            maxRetries: UInt32? = nil,
            retryBudget: Envoy.CircuitBreakers.Thresholds.RetryBudget? = nil,
            trackRemaining: Bool = false,
            maxConnectionPools: UInt32? = nil
        ) {
            self.priority = priority
            self.maxConnections = maxConnections
            self.maxPendingRequests = maxPendingRequests
            self.maxRequests = maxRequests
            self.maxRetries = maxRetries
            self.retryBudget = retryBudget
            self.trackRemaining = trackRemaining
            self.maxConnectionPools = maxConnectionPools
        }

        package static let schema = MessageSchema<Thresholds>(
            "envoy.config.cluster.v3.CircuitBreakers.Thresholds",
            empty: Thresholds()
        ) { schema in
            schema.field(1, "priority", \.priority, .enumeration)
            schema.optional(2, "max_connections", \.maxConnections, .uint32Value)
            schema.optional(3, "max_pending_requests", \.maxPendingRequests, .uint32Value)
            schema.optional(4, "max_requests", \.maxRequests, .uint32Value)
            schema.optional(5, "max_retries", \.maxRetries, .uint32Value)
            schema.optional(8, "retry_budget", \.retryBudget, .message)
            schema.field(6, "track_remaining", \.trackRemaining, .bool)
            schema.optional(7, "max_connection_pools", \.maxConnectionPools, .uint32Value)
        }
    }
}

extension Envoy.CircuitBreakers.Thresholds {
    /// How many retries may be in flight.
    ///
    /// `envoy.config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget`
    package struct RetryBudget: EnvoyMessage {
        /// Share of the requests in flight; nil is 20 %.
        package var budgetPercent: Envoy.Percent?
        /// Always allowed; nil is 3.
        package var minRetryConcurrency: UInt32?

        package init(
            budgetPercent: Envoy.Percent? = nil,
            minRetryConcurrency: UInt32? = nil
        ) {
            self.budgetPercent = budgetPercent
            self.minRetryConcurrency = minRetryConcurrency
        }

        package static let schema = MessageSchema<RetryBudget>(
            "envoy.config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget",
            empty: RetryBudget()
        ) { schema in
            schema.optional(1, "budget_percent", \.budgetPercent, .message)
            schema.optional(2, "min_retry_concurrency", \.minRetryConcurrency, .uint32Value)
        }
    }
}

extension Envoy {
    /// When an endpoint is left out because of its answers.
    ///
    /// `envoy.config.cluster.v3.OutlierDetection`
    package struct OutlierDetection: EnvoyMessage {
        package var consecutive5xx: UInt32?
        package var interval: Duration?
        package var baseEjectionTime: Duration?
        package var maxEjectionPercent: UInt32?
        package var enforcingConsecutive5xx: UInt32?
        package var enforcingSuccessRate: UInt32?
        package var successRateMinimumHosts: UInt32?
        package var successRateRequestVolume: UInt32?
        package var successRateStdevFactor: UInt32?
        package var consecutiveGatewayFailure: UInt32?
        package var enforcingConsecutiveGatewayFailure: UInt32?
        package var splitExternalLocalOriginErrors: Bool
        package var consecutiveLocalOriginFailure: UInt32?
        package var enforcingConsecutiveLocalOriginFailure: UInt32?
        package var enforcingLocalOriginSuccessRate: UInt32?
        package var failurePercentageThreshold: UInt32?
        package var enforcingFailurePercentage: UInt32?
        package var enforcingFailurePercentageLocalOrigin: UInt32?
        package var failurePercentageMinimumHosts: UInt32?
        package var failurePercentageRequestVolume: UInt32?
        package var maxEjectionTime: Duration?
        package var maxEjectionTimeJitter: Duration?
        package var alwaysEjectOneHost: Bool?
        /// nil is true.
        package var successfulActiveHealthCheckUnejectHost: Bool?

        package init(
            consecutive5xx: UInt32? = nil,
            interval: Duration? = nil,
            baseEjectionTime: Duration? = nil,
            maxEjectionPercent: UInt32? = nil,
            enforcingConsecutive5xx: UInt32? = nil,
            enforcingSuccessRate: UInt32? = nil,
            successRateMinimumHosts: UInt32? = nil,
            successRateRequestVolume: UInt32? = nil,
            successRateStdevFactor: UInt32? = nil,
            consecutiveGatewayFailure: UInt32? = nil,
            enforcingConsecutiveGatewayFailure: UInt32? = nil,
            splitExternalLocalOriginErrors: Bool = false,
            consecutiveLocalOriginFailure: UInt32? = nil,
            enforcingConsecutiveLocalOriginFailure: UInt32? = nil,
            enforcingLocalOriginSuccessRate: UInt32? = nil,
            failurePercentageThreshold: UInt32? = nil,
            enforcingFailurePercentage: UInt32? = nil,
            enforcingFailurePercentageLocalOrigin: UInt32? = nil,
            failurePercentageMinimumHosts: UInt32? = nil,
            failurePercentageRequestVolume: UInt32? = nil,
            maxEjectionTime: Duration? = nil,
            maxEjectionTimeJitter: Duration? = nil,
            alwaysEjectOneHost: Bool? = nil,
            successfulActiveHealthCheckUnejectHost: Bool? = nil
        ) {
            self.consecutive5xx = consecutive5xx
            self.interval = interval
            self.baseEjectionTime = baseEjectionTime
            self.maxEjectionPercent = maxEjectionPercent
            self.enforcingConsecutive5xx = enforcingConsecutive5xx
            self.enforcingSuccessRate = enforcingSuccessRate
            self.successRateMinimumHosts = successRateMinimumHosts
            self.successRateRequestVolume = successRateRequestVolume
            self.successRateStdevFactor = successRateStdevFactor
            self.consecutiveGatewayFailure = consecutiveGatewayFailure
            self.enforcingConsecutiveGatewayFailure = enforcingConsecutiveGatewayFailure
            self.splitExternalLocalOriginErrors = splitExternalLocalOriginErrors
            self.consecutiveLocalOriginFailure = consecutiveLocalOriginFailure
            self.enforcingConsecutiveLocalOriginFailure = enforcingConsecutiveLocalOriginFailure
            self.enforcingLocalOriginSuccessRate = enforcingLocalOriginSuccessRate
            self.failurePercentageThreshold = failurePercentageThreshold
            self.enforcingFailurePercentage = enforcingFailurePercentage
            self.enforcingFailurePercentageLocalOrigin = enforcingFailurePercentageLocalOrigin
            self.failurePercentageMinimumHosts = failurePercentageMinimumHosts
            self.failurePercentageRequestVolume = failurePercentageRequestVolume
            self.maxEjectionTime = maxEjectionTime
            self.maxEjectionTimeJitter = maxEjectionTimeJitter
            self.alwaysEjectOneHost = alwaysEjectOneHost
            self.successfulActiveHealthCheckUnejectHost = successfulActiveHealthCheckUnejectHost
        }

        package static let schema = MessageSchema<OutlierDetection>(
            "envoy.config.cluster.v3.OutlierDetection",
            empty: OutlierDetection()
        ) { schema in
            schema.optional(1, "consecutive_5xx", \.consecutive5xx, .uint32Value)
            schema.optional(2, "interval", \.interval, .duration, [.durationAbove(.zero)])
            schema.optional(3, "base_ejection_time", \.baseEjectionTime, .duration, [.durationAbove(.zero)])
            schema.optional(4, "max_ejection_percent", \.maxEjectionPercent, .uint32Value, [.atMost(100)])
            schema.optional(5, "enforcing_consecutive_5xx", \.enforcingConsecutive5xx, .uint32Value, [.atMost(100)])
            schema.optional(6, "enforcing_success_rate", \.enforcingSuccessRate, .uint32Value, [.atMost(100)])
            schema.optional(7, "success_rate_minimum_hosts", \.successRateMinimumHosts, .uint32Value)
            schema.optional(8, "success_rate_request_volume", \.successRateRequestVolume, .uint32Value)
            schema.optional(9, "success_rate_stdev_factor", \.successRateStdevFactor, .uint32Value)
            schema.optional(10, "consecutive_gateway_failure", \.consecutiveGatewayFailure, .uint32Value)
            schema.optional(
                11,
                "enforcing_consecutive_gateway_failure",
                \.enforcingConsecutiveGatewayFailure,
                .uint32Value,
                [.atMost(100)]
            )
            schema.field(12, "split_external_local_origin_errors", \.splitExternalLocalOriginErrors, .bool)
            schema.optional(13, "consecutive_local_origin_failure", \.consecutiveLocalOriginFailure, .uint32Value)
            schema.optional(
                14,
                "enforcing_consecutive_local_origin_failure",
                \.enforcingConsecutiveLocalOriginFailure,
                .uint32Value,
                [.atMost(100)]
            )
            schema.optional(
                15,
                "enforcing_local_origin_success_rate",
                \.enforcingLocalOriginSuccessRate,
                .uint32Value,
                [.atMost(100)]
            )
            schema.optional(
                16,
                "failure_percentage_threshold",
                \.failurePercentageThreshold,
                .uint32Value,
                [.atMost(100)]
            )
            schema.optional(
                17,
                "enforcing_failure_percentage",
                \.enforcingFailurePercentage,
                .uint32Value,
                [.atMost(100)]
            )
            schema.optional(
                18,
                "enforcing_failure_percentage_local_origin",
                \.enforcingFailurePercentageLocalOrigin,
                .uint32Value,
                [.atMost(100)]
            )
            schema.optional(19, "failure_percentage_minimum_hosts", \.failurePercentageMinimumHosts, .uint32Value)
            schema.optional(20, "failure_percentage_request_volume", \.failurePercentageRequestVolume, .uint32Value)
            schema.optional(21, "max_ejection_time", \.maxEjectionTime, .duration, [.durationAbove(.zero)])
            schema.optional(22, "max_ejection_time_jitter", \.maxEjectionTimeJitter, .duration)
            schema.optional(25, "always_eject_one_host", \.alwaysEjectOneHost, .boolValue)
            schema.optional(
                23,
                "successful_active_health_check_uneject_host",
                \.successfulActiveHealthCheckUnejectHost,
                .boolValue
            )
            schema.unsupported("monitors=24")
        }
    }
}
