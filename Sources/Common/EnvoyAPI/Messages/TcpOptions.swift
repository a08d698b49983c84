extension Envoy {
    /// Waits that grow, with a part of chance.
    ///
    /// `envoy.config.core.v3.BackoffStrategy`
    package struct BackoffStrategy: EnvoyMessage {
        package var baseInterval: Duration?
        package var maxInterval: Duration?

        package init(
            baseInterval: Duration? = nil,
            maxInterval: Duration? = nil
        ) {
            self.baseInterval = baseInterval
            self.maxInterval = maxInterval
        }

        package static let schema = MessageSchema<BackoffStrategy>(
            "envoy.config.core.v3.BackoffStrategy",
            empty: BackoffStrategy()
        ) { schema in
            schema.optional(
                1,
                "base_interval",
                \.baseInterval,
                .duration,
                [.required, .durationAtLeast(.milliseconds(1))]
            )
            schema.optional(2, "max_interval", \.maxInterval, .duration, [.durationAbove(.zero)])
        }
    }
}

extension Envoy.TcpProxy {
    /// When lines are written beside the end of a connection.
    ///
    /// `envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TcpAccessLogOptions`
    package struct TcpAccessLogOptions: EnvoyMessage {
        package var accessLogFlushInterval: Duration?
        package var flushAccessLogOnConnected: Bool

        package init(
            accessLogFlushInterval: Duration? = nil,
            flushAccessLogOnConnected: Bool = false
        ) {
            self.accessLogFlushInterval = accessLogFlushInterval
            self.flushAccessLogOnConnected = flushAccessLogOnConnected
        }

        package static let schema = MessageSchema<TcpAccessLogOptions>(
            "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TcpAccessLogOptions",
            empty: TcpAccessLogOptions()
        ) { schema in
            schema.optional(
                1,
                "access_log_flush_interval",
                \.accessLogFlushInterval,
                .duration,
                [.durationAtLeast(.milliseconds(1))]
            )
            schema.field(2, "flush_access_log_on_connected", \.flushAccessLogOnConnected, .bool)
        }
    }
}
