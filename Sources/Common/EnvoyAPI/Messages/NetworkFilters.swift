extension Envoy {
    /// Bounds the connections of a filter chain.
    ///
    /// `envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit`
    package struct ConnectionLimit: EnvoyMessage {
        package var statPrefix: String
        package var maxConnections: UInt64?
        /// How long a connection beyond the limit is held before it is closed.
        package var delay: Duration?
        package var runtimeEnabled: RuntimeFeatureFlag?

        package init(
            statPrefix: String = "",
            maxConnections: UInt64? = nil,
            delay: Duration? = nil,
            runtimeEnabled: RuntimeFeatureFlag? = nil
        ) {
            self.statPrefix = statPrefix
            self.maxConnections = maxConnections
            self.delay = delay
            self.runtimeEnabled = runtimeEnabled
        }

        package static let schema = MessageSchema<ConnectionLimit>(
            "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
            empty: ConnectionLimit()
        ) { schema in
            schema.field(1, "stat_prefix", \.statPrefix, .string, [.minLength(1)])
            schema.optional(2, "max_connections", \.maxConnections, .uint64Value, [.atLeast(1)])
            schema.optional(3, "delay", \.delay, .duration)
            schema.optional(4, "runtime_enabled", \.runtimeEnabled, .message)
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

extension Envoy {
    /// Lets so many connections begin in a time.
    ///
    /// `envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit`
    package struct ConnectionRateLimit: EnvoyMessage {
        package var statPrefix: String
        package var tokenBucket: TokenBucket?
        package var runtimeEnabled: RuntimeFeatureFlag?

        package init(
            statPrefix: String = "",
            tokenBucket: TokenBucket? = nil,
            runtimeEnabled: RuntimeFeatureFlag? = nil
        ) {
            self.statPrefix = statPrefix
            self.tokenBucket = tokenBucket
            self.runtimeEnabled = runtimeEnabled
        }

        package static let schema = MessageSchema<ConnectionRateLimit>(
            "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit",
            empty: ConnectionRateLimit()
        ) { schema in
            schema.field(1, "stat_prefix", \.statPrefix, .string, [.minLength(1)])
            schema.optional(2, "token_bucket", \.tokenBucket, .message, [.required])
            schema.optional(3, "runtime_enabled", \.runtimeEnabled, .message)
            schema.unsupported("share_key=4", why: "each chain has a bucket of its own")
        }
    }
}

extension Envoy {
    /// Lets connections in, or not, by who opens them.
    ///
    /// `envoy.extensions.filters.network.rbac.v3.RBAC`
    package struct NetworkRBAC: EnvoyMessage {
        package var rules: RBACRules?
        package var shadowRules: RBACRules?
        package var statPrefix: String
        package var enforcementType: EnforcementType
        package var shadowRulesStatPrefix: String
        /// How long a connection that is not let in is held before it is closed.
        package var delayDeny: Duration?

        package init(
            rules: RBACRules? = nil,
            shadowRules: RBACRules? = nil,
            statPrefix: String = "",
            enforcementType: EnforcementType = .oneTimeOnFirstByte,
            shadowRulesStatPrefix: String = "",
            delayDeny: Duration? = nil
        ) {
            self.rules = rules
            self.shadowRules = shadowRules
            self.statPrefix = statPrefix
            self.enforcementType = enforcementType
            self.shadowRulesStatPrefix = shadowRulesStatPrefix
            self.delayDeny = delayDeny
        }

        package static let schema = MessageSchema<NetworkRBAC>(
            "envoy.extensions.filters.network.rbac.v3.RBAC",
            empty: NetworkRBAC()
        ) { schema in
            schema.optional(1, "rules", \.rules, .message)
            schema.optional(2, "shadow_rules", \.shadowRules, .message)
            schema.field(3, "stat_prefix", \.statPrefix, .string, [.minLength(1)])
            schema.field(4, "enforcement_type", \.enforcementType, .enumeration)
            schema.noted(
                "enforcement_type",
                why:
                    "connections are judged once, before their first byte: nothing that rules here look at changes later"
            )
            schema.field(5, "shadow_rules_stat_prefix", \.shadowRulesStatPrefix, .string)
            schema.optional(8, "delay_deny", \.delayDeny, .duration, [.durationAbove(.zero)])
            schema.unsupported("matcher=6 shadow_matcher=7", why: "use rules and shadow_rules")
        }

        /// Values of `envoy.extensions.filters.network.rbac.v3.RBAC.EnforcementType`.
        package enum EnforcementType: Int32, EnvoyEnum {
            case oneTimeOnFirstByte = 0
            case continuous = 1

            package static let names = EnumNames(
                "envoy.extensions.filters.network.rbac.v3.RBAC.EnforcementType",
                "ONE_TIME_ON_FIRST_BYTE=0 CONTINUOUS=1"
            )
        }
    }
}
