extension Envoy {
    /// Whether something works; the runtime key has no effect.
    ///
    /// `envoy.config.core.v3.RuntimeFeatureFlag`
    package struct RuntimeFeatureFlag: EnvoyMessage {
        package var defaultValue: Bool?
        package var runtimeKey: String

        package init(defaultValue: Bool? = nil, runtimeKey: String = "") {
            self.defaultValue = defaultValue
            self.runtimeKey = runtimeKey
        }

        package static let schema = MessageSchema<RuntimeFeatureFlag>(
            "envoy.config.core.v3.RuntimeFeatureFlag",
            empty: RuntimeFeatureFlag()
        ) { schema in
            schema.optional(1, "default_value", \.defaultValue, .boolValue, [.required])
            schema.field(2, "runtime_key", \.runtimeKey, .string)
        }
    }
}

extension Envoy {
    /// A share; the runtime key has no effect.
    ///
    /// `envoy.config.core.v3.RuntimePercent`
    package struct RuntimePercent: EnvoyMessage {
        package var defaultValue: Percent?
        package var runtimeKey: String

        package init(defaultValue: Percent? = nil, runtimeKey: String = "") {
            self.defaultValue = defaultValue
            self.runtimeKey = runtimeKey
        }

        package static let schema = MessageSchema<RuntimePercent>(
            "envoy.config.core.v3.RuntimePercent",
            empty: RuntimePercent()
        ) { schema in
            schema.optional(1, "default_value", \.defaultValue, .message, [.required])
            schema.field(2, "runtime_key", \.runtimeKey, .string)
        }
    }
}
