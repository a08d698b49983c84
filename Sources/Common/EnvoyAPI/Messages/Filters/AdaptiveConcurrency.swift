extension Envoy {
    /// Bounds the requests in flight by their latency.
    ///
    /// `envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency`
    package struct AdaptiveConcurrency: EnvoyMessage {
        package var gradientControllerConfig: GradientControllerConfig?
        package var enabled: RuntimeFeatureFlag?
        package var concurrencyLimitExceededStatus: HttpStatus?

        package init(
            gradientControllerConfig: GradientControllerConfig? = nil,
            enabled: RuntimeFeatureFlag? = nil,
            concurrencyLimitExceededStatus: HttpStatus? = nil
        ) {
            self.gradientControllerConfig = gradientControllerConfig
            self.enabled = enabled
            self.concurrencyLimitExceededStatus = concurrencyLimitExceededStatus
        }

        package static let schema = MessageSchema<AdaptiveConcurrency>(
            "envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency",
            empty: AdaptiveConcurrency()
        ) { schema in
            schema.oneof("concurrency_controller_config", isRequired: true)
            schema.optional(
                1,
                "gradient_controller_config",
                of: "concurrency_controller_config",
                \.gradientControllerConfig,
                .message,
                [.required]
            )
            schema.optional(2, "enabled", \.enabled, .message)
            schema.optional(3, "concurrency_limit_exceeded_status", \.concurrencyLimitExceededStatus, .message)
        }
    }
}

extension Envoy {
    /// How the bound is found.
    ///
    /// `envoy.extensions.filters.http.adaptive_concurrency.v3.GradientControllerConfig`
    package struct GradientControllerConfig: EnvoyMessage {
        /// nil: 50.
        package var sampleAggregatePercentile: Percent?
        package var concurrencyLimitParams: ConcurrencyLimitParams?
        package var minRttCalcParams: MinRttParams?

        package init(
            sampleAggregatePercentile: Percent? = nil,
            concurrencyLimitParams: ConcurrencyLimitParams? = nil,
            minRttCalcParams: MinRttParams? = nil
        ) {
            self.sampleAggregatePercentile = sampleAggregatePercentile
            self.concurrencyLimitParams = concurrencyLimitParams
            self.minRttCalcParams = minRttCalcParams
        }

        package static let schema = MessageSchema<GradientControllerConfig>(
            "envoy.extensions.filters.http.adaptive_concurrency.v3.GradientControllerConfig",
            empty: GradientControllerConfig()
        ) { schema in
            schema.optional(1, "sample_aggregate_percentile", \.sampleAggregatePercentile, .message)
            schema.optional(2, "concurrency_limit_params", \.concurrencyLimitParams, .message, [.required])
            schema.optional(3, "min_rtt_calc_params", \.minRttCalcParams, .message, [.required])
        }
    }
}

extension Envoy {
    /// How the bound follows.
    ///
    /// `envoy.extensions.filters.http.adaptive_concurrency.v3.GradientControllerConfig.ConcurrencyLimitCalculationParams`
    package struct ConcurrencyLimitParams: EnvoyMessage {
        /// nil: 1000.
        package var maxConcurrencyLimit: UInt32?
        package var concurrencyUpdateInterval: Duration?
        /// nil: that of the measurement.
        package var minConcurrencyLimit: UInt32?

        package init(
            maxConcurrencyLimit: UInt32? = nil,
            concurrencyUpdateInterval: Duration? = nil,
            minConcurrencyLimit: UInt32? = nil
        ) {
            self.maxConcurrencyLimit = maxConcurrencyLimit
            self.concurrencyUpdateInterval = concurrencyUpdateInterval
            self.minConcurrencyLimit = minConcurrencyLimit
        }

        package static let schema = MessageSchema<ConcurrencyLimitParams>(
            "envoy.extensions.filters.http.adaptive_concurrency.v3.GradientControllerConfig.ConcurrencyLimitCalculationParams",
            empty: ConcurrencyLimitParams()
        ) { schema in
            schema.optional(2, "max_concurrency_limit", \.maxConcurrencyLimit, .uint32Value, [.above(0)])
            schema.optional(
                3,
                "concurrency_update_interval",
                \.concurrencyUpdateInterval,
                .duration,
                [.required, .durationAbove(.zero)]
            )
            schema.optional(4, "min_concurrency_limit", \.minConcurrencyLimit, .uint32Value, [.above(0)])
        }
    }
}

extension Envoy {
    /// How the least latency is found.
    ///
    /// `envoy.extensions.filters.http.adaptive_concurrency.v3.GradientControllerConfig.MinimumRTTCalculationParams`
    package struct MinRttParams: EnvoyMessage {
        package var interval: Duration?
        package var fixedValue: Duration?
        /// nil: 50.
        package var requestCount: UInt32?
        /// nil: 15.
        package var jitter: Percent?
        /// nil: 3.
        package var minConcurrency: UInt32?
        /// nil: 25.
        package var buffer: Percent?

        package init(
            interval: Duration? = nil,
            fixedValue: Duration? = nil,
            requestCount: UInt32? = nil,
            jitter: Percent? = nil,
            minConcurrency: UInt32? = nil,
            buffer: Percent? = nil
        ) {
            self.interval = interval
            self.fixedValue = fixedValue
            self.requestCount = requestCount
            self.jitter = jitter
            self.minConcurrency = minConcurrency
            self.buffer = buffer
        }

        package static let schema = MessageSchema<MinRttParams>(
            "envoy.extensions.filters.http.adaptive_concurrency.v3.GradientControllerConfig.MinimumRTTCalculationParams",
            empty: MinRttParams()
        ) { schema in
            schema.optional(1, "interval", \.interval, .duration, [.durationAtLeast(.milliseconds(1))])
            schema.optional(6, "fixed_value", \.fixedValue, .duration, [.durationAbove(.zero)])
            schema.optional(2, "request_count", \.requestCount, .uint32Value, [.above(0)])
            schema.optional(3, "jitter", \.jitter, .message)
            schema.optional(4, "min_concurrency", \.minConcurrency, .uint32Value, [.above(0)])
            schema.optional(5, "buffer", \.buffer, .message)
        }

        package static func verify(_ message: MinRttParams, _ reader: inout SchemaReader) {
            if (message.interval == nil) == (message.fixedValue == nil) {
                reader.report(.missing, "one of interval, fixed_value is required")
            }
        }
    }
}
