extension Envoy {
    /// What the process bounds as a whole.
    ///
    /// `envoy.config.overload.v3.OverloadManager`
    package struct OverloadManager: EnvoyMessage {
        /// The bound is looked at for every connection, whatever stands here.
        package var refreshInterval: Duration?
        package var resourceMonitors: [ResourceMonitor]

        package init(
            refreshInterval: Duration? = nil,
            resourceMonitors: [ResourceMonitor] = []
        ) {
            self.refreshInterval = refreshInterval
            self.resourceMonitors = resourceMonitors
        }

        package static let schema = MessageSchema<OverloadManager>(
            "envoy.config.overload.v3.OverloadManager",
            empty: OverloadManager()
        ) { schema in
            schema.optional(1, "refresh_interval", \.refreshInterval, .duration)
            schema.noted("refresh_interval", why: "connections are counted as they come and go")
            schema.repeated(2, "resource_monitors", \.resourceMonitors, .message, [.minItems(1)])
            schema.unsupported(
                """
                actions=3 loadshed_points=5 buffer_factory_config=4
                """
            )
        }
    }
}

extension Envoy {
    /// One of the bounds.
    ///
    /// `envoy.config.overload.v3.ResourceMonitor`
    package struct ResourceMonitor: EnvoyMessage {
        package var name: String
        package var typedConfig: ResourceMonitorConfig?

        package init(
            name: String = "",
            typedConfig: ResourceMonitorConfig? = nil
        ) {
            self.name = name
            self.typedConfig = typedConfig
        }

        package static let schema = MessageSchema<ResourceMonitor>(
            "envoy.config.overload.v3.ResourceMonitor",
            empty: ResourceMonitor()
        ) { schema in
            schema.oneof("config_type")
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.optional(3, "typed_config", of: "config_type", \.typedConfig, .any, [.required])
        }
    }
}

extension Envoy {
    /// The resource monitors that exist here.
    package enum ResourceMonitorConfig: AnyExtension {
        case downstreamConnections(DownstreamConnectionsConfig)

        package static let members = AnyMembers<ResourceMonitorConfig>(
            "resource monitor",
            [
                AnyMember(DownstreamConnectionsConfig.self, wrap: { .downstreamConnections($0) }) {
                    if case .downstreamConnections(let value) = $0 { value } else { nil }
                }
            ]
        )
    }
}

extension Envoy {
    /// Bounds the connections of all clients together.
    ///
    /// `envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig`
    package struct DownstreamConnectionsConfig: EnvoyMessage {
        package var maxActiveDownstreamConnections: Int64

        package init(
            maxActiveDownstreamConnections: Int64 = 0
        ) {
            self.maxActiveDownstreamConnections = maxActiveDownstreamConnections
        }

        package static let schema = MessageSchema<DownstreamConnectionsConfig>(
            "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
            empty: DownstreamConnectionsConfig()
        ) { schema in
            schema.field(1, "max_active_downstream_connections", \.maxActiveDownstreamConnections, .int64, [.above(0)])
        }
    }
}
