extension Envoy {
    /// Bounds the connections of a filter chain.
    ///
    /// `envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit`
    package struct ConnectionLimit: EnvoyMessage {
        package var statPrefix: String
        package var maxConnections: UInt64?
        /// How long a connection beyond the limit is held before it is closed.
        package var delay: Duration?

        package init(
            statPrefix: String = "",
            maxConnections: UInt64? = nil,
            delay: Duration? = nil
        ) {
            self.statPrefix = statPrefix
            self.maxConnections = maxConnections
            self.delay = delay
        }

        package static let schema = MessageSchema<ConnectionLimit>(
            "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
            empty: ConnectionLimit()
        ) { schema in
            schema.field(1, "stat_prefix", \.statPrefix, .string, [.minLength(1)])
            schema.optional(2, "max_connections", \.maxConnections, .uint64Value, [.atLeast(1)])
            schema.optional(3, "delay", \.delay, .duration)
            schema.unsupported(
                """
                runtime_enabled=4
                """
            )
        }
    }
}

extension Envoy {
    /// Answers each connection with a fixed text and closes it.
    ///
    /// `envoy.extensions.filters.network.direct_response.v3.Config`
    package struct NetworkDirectResponse: EnvoyMessage {
        package var response: DataSource?

        package init(
            response: DataSource? = nil
        ) {
            self.response = response
        }

        package static let schema = MessageSchema<NetworkDirectResponse>(
            "envoy.extensions.filters.network.direct_response.v3.Config",
            empty: NetworkDirectResponse()
        ) { schema in
            schema.optional(1, "response", \.response, .message)
        }
    }
}

extension Envoy {
    /// Sends back what comes.
    ///
    /// `envoy.extensions.filters.network.echo.v3.Echo`
    package struct Echo: EnvoyMessage {

        package init() {}

        package static let schema = MessageSchema<Echo>(
            "envoy.extensions.filters.network.echo.v3.Echo",
            empty: Echo()
        ) { _ in }
    }
}
