extension Envoy {
    /// What the process gives up when it has too much to do.
    ///
    /// `envoy.config.overload.v3.OverloadManager`
    package struct OverloadManager: EnvoyMessage {
        /// How often the resources are looked at.
        package var refreshInterval: Duration?
        package var resourceMonitors: [ResourceMonitor]
        package var actions: [OverloadAction]

        package init(
            refreshInterval: Duration? = nil,
            resourceMonitors: [ResourceMonitor] = [],
            actions: [OverloadAction] = []
        ) {
            self.refreshInterval = refreshInterval
            self.resourceMonitors = resourceMonitors
            self.actions = actions
        }

        package static let schema = MessageSchema<OverloadManager>(
            "envoy.config.overload.v3.OverloadManager",
            empty: OverloadManager()
        ) { schema in
            schema.optional(
                1,
                "refresh_interval",
                \.refreshInterval,
                .duration,
                [.durationAtLeast(.milliseconds(1)), .durationAtMost(.seconds(3600))]
            )
            schema.repeated(2, "resource_monitors", \.resourceMonitors, .message, [.minItems(1)])
            schema.repeated(3, "actions", \.actions, .message)
            schema.unsupported("loadshed_points=5 buffer_factory_config=4")
        }
    }
}

extension Envoy {
    /// One of the resources that are looked at.
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
    /// What is done at which pressures.
    ///
    /// `envoy.config.overload.v3.OverloadAction`
    package struct OverloadAction: EnvoyMessage {
        package var name: String
        package var triggers: [OverloadTrigger]

        package init(
            name: String = "",
            triggers: [OverloadTrigger] = []
        ) {
            self.name = name
            self.triggers = triggers
        }

        package static let schema = MessageSchema<OverloadAction>(
            "envoy.config.overload.v3.OverloadAction",
            empty: OverloadAction()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.repeated(2, "triggers", \.triggers, .message, [.minItems(1)])
            schema.unsupported("typed_config=3")
        }
    }
}

extension Envoy {
    /// The pressure on one resource from which on something is done.
    ///
    /// `envoy.config.overload.v3.Trigger`
    package struct OverloadTrigger: EnvoyMessage {
        /// The resource monitor's.
        package var name: String
        package var triggerOneof: TriggerOneof?

        package enum TriggerOneof: Sendable, Equatable {
            case threshold(ThresholdTrigger)
            case scaled(ScaledTrigger)
        }

        package init(
            name: String = "",
            triggerOneof: TriggerOneof? = nil
        ) {
            self.name = name
            self.triggerOneof = triggerOneof
        }

        package static let schema = MessageSchema<OverloadTrigger>(
            "envoy.config.overload.v3.Trigger",
            empty: OverloadTrigger()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.oneof("trigger_oneof", isRequired: true)
            schema.choice(2, "threshold", of: "trigger_oneof", \.triggerOneof, .message) {
                .threshold($0)
            } get: {
                if case .threshold(let value) = $0 { value } else { nil }
            }
            schema.choice(3, "scaled", of: "trigger_oneof", \.triggerOneof, .message) {
                .scaled($0)
            } get: {
                if case .scaled(let value) = $0 { value } else { nil }
            }
        }
    }
}

extension Envoy {
    /// Wholly from one pressure on.
    ///
    /// `envoy.config.overload.v3.ThresholdTrigger`
    package struct ThresholdTrigger: EnvoyMessage {
        package var value: Double

        package init(
            value: Double = 0
        ) {
            self.value = value
        }

        package static let schema = MessageSchema<ThresholdTrigger>(
            "envoy.config.overload.v3.ThresholdTrigger",
            empty: ThresholdTrigger()
        ) { schema in
            schema.field(1, "value", \.value, .double, [.atLeast(0), .atMost(1)])
        }
    }
}

extension Envoy {
    /// More and more between two pressures.
    ///
    /// `envoy.config.overload.v3.ScaledTrigger`
    package struct ScaledTrigger: EnvoyMessage {
        package var scalingThreshold: Double
        package var saturationThreshold: Double

        package init(
            scalingThreshold: Double = 0,
            saturationThreshold: Double = 0
        ) {
            self.scalingThreshold = scalingThreshold
            self.saturationThreshold = saturationThreshold
        }

        package static let schema = MessageSchema<ScaledTrigger>(
            "envoy.config.overload.v3.ScaledTrigger",
            empty: ScaledTrigger()
        ) { schema in
            schema.field(1, "scaling_threshold", \.scalingThreshold, .double, [.atLeast(0), .atMost(1)])
            schema.field(2, "saturation_threshold", \.saturationThreshold, .double, [.atLeast(0), .atMost(1)])
        }
    }
}
