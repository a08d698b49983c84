extension Envoy.Cluster {
    /// New endpoints get their load by and by.
    ///
    /// `envoy.config.cluster.v3.Cluster.SlowStartConfig`
    package struct SlowStartConfig: EnvoyMessage {
        package var slowStartWindow: Duration?
        package var aggression: Envoy.RuntimeDouble?
        package var minWeightPercent: Envoy.Percent?

        package init(
            slowStartWindow: Duration? = nil,
            aggression: Envoy.RuntimeDouble? = nil,
            minWeightPercent: Envoy.Percent? = nil
        ) {
            self.slowStartWindow = slowStartWindow
            self.aggression = aggression
            self.minWeightPercent = minWeightPercent
        }

        package static let schema = MessageSchema<SlowStartConfig>(
            "envoy.config.cluster.v3.Cluster.SlowStartConfig",
            empty: SlowStartConfig()
        ) { schema in
            schema.optional(1, "slow_start_window", \.slowStartWindow, .duration, [.durationAbove(.zero)])
            schema.optional(2, "aggression", \.aggression, .message)
            schema.optional(3, "min_weight_percent", \.minWeightPercent, .message)
        }
    }

    /// Choices of the round-robin balancer.
    ///
    /// `envoy.config.cluster.v3.Cluster.RoundRobinLbConfig`
    package struct RoundRobinLbConfig: EnvoyMessage {
        package var slowStartConfig: Envoy.Cluster.SlowStartConfig?

        package init(
            slowStartConfig: Envoy.Cluster.SlowStartConfig? = nil
        ) {
            self.slowStartConfig = slowStartConfig
        }

        package static let schema = MessageSchema<RoundRobinLbConfig>(
            "envoy.config.cluster.v3.Cluster.RoundRobinLbConfig",
            empty: RoundRobinLbConfig()
        ) { schema in
            schema.optional(1, "slow_start_config", \.slowStartConfig, .message)
        }
    }

    /// Choices of the ring-hash balancer.
    ///
    /// `envoy.config.cluster.v3.Cluster.RingHashLbConfig`
    package struct RingHashLbConfig: EnvoyMessage {
        package var minimumRingSize: UInt64?
        package var hashFunction: Envoy.Cluster.RingHashLbConfig.HashFunction
        package var maximumRingSize: UInt64?

        package init(
            minimumRingSize: UInt64? = nil,
            hashFunction: Envoy.Cluster.RingHashLbConfig.HashFunction = .xxHash,
            maximumRingSize: UInt64? = nil
        ) {
            self.minimumRingSize = minimumRingSize
            self.hashFunction = hashFunction
            self.maximumRingSize = maximumRingSize
        }

        package static let schema = MessageSchema<RingHashLbConfig>(
            "envoy.config.cluster.v3.Cluster.RingHashLbConfig",
            empty: RingHashLbConfig()
        ) { schema in
            schema.optional(1, "minimum_ring_size", \.minimumRingSize, .uint64Value, [.atMost(8_388_608)])
            schema.field(3, "hash_function", \.hashFunction, .enumeration)
            schema.optional(4, "maximum_ring_size", \.maximumRingSize, .uint64Value, [.atMost(8_388_608)])
        }
    }

    /// Choices of the Maglev balancer.
    ///
    /// `envoy.config.cluster.v3.Cluster.MaglevLbConfig`
    package struct MaglevLbConfig: EnvoyMessage {
        package var tableSize: UInt64?

        package init(
            tableSize: UInt64? = nil
        ) {
            self.tableSize = tableSize
        }

        package static let schema = MessageSchema<MaglevLbConfig>(
            "envoy.config.cluster.v3.Cluster.MaglevLbConfig",
            empty: MaglevLbConfig()
        ) { schema in
            schema.optional(1, "table_size", \.tableSize, .uint64Value, [.atMost(5_000_011)])
        }
    }
}

extension Envoy.Cluster.RingHashLbConfig {
    /// Values of `envoy.config.cluster.v3.Cluster.RingHashLbConfig.HashFunction`.
    package enum HashFunction: Int32, EnvoyEnum {
        case xxHash = 0
        case murmurHash2 = 1

        package static let names = EnumNames(
            "envoy.config.cluster.v3.Cluster.RingHashLbConfig.HashFunction",
            "XX_HASH=0 MURMUR_HASH_2=1"
        )
    }
}

extension Envoy.Cluster.CommonLbConfig {
    /// What becomes of requests in panic.
    ///
    /// `envoy.config.cluster.v3.Cluster.CommonLbConfig.ZoneAwareLbConfig`
    package struct ZoneAwareLbConfig: EnvoyMessage {
        package var failTrafficOnPanic: Bool

        package init(
            failTrafficOnPanic: Bool = false
        ) {
            self.failTrafficOnPanic = failTrafficOnPanic
        }

        package static let schema = MessageSchema<ZoneAwareLbConfig>(
            "envoy.config.cluster.v3.Cluster.CommonLbConfig.ZoneAwareLbConfig",
            empty: ZoneAwareLbConfig()
        ) { schema in
            schema.field(3, "fail_traffic_on_panic", \.failTrafficOnPanic, .bool)
            schema.ignored(
                "routing_enabled=1 min_cluster_size=2",
                why: "no cluster can be named as the proxy's own, and without one no request is routed by zones"
            )
        }
    }

    /// Localities get load by their weights.
    ///
    /// `envoy.config.cluster.v3.Cluster.CommonLbConfig.LocalityWeightedLbConfig`
    package struct LocalityWeightedLbConfig: EnvoyMessage {
        package init() {}

        package static let schema = MessageSchema<LocalityWeightedLbConfig>(
            "envoy.config.cluster.v3.Cluster.CommonLbConfig.LocalityWeightedLbConfig",
            empty: LocalityWeightedLbConfig()
        ) { _ in }
    }

    /// What the balancers by hashes have in common.
    ///
    /// `envoy.config.cluster.v3.Cluster.CommonLbConfig.ConsistentHashingLbConfig`
    package struct ConsistentHashingLbConfig: EnvoyMessage {
        package var useHostnameForHashing: Bool
        package var hashBalanceFactor: UInt32?

        package init(
            useHostnameForHashing: Bool = false,
            hashBalanceFactor: UInt32? = nil
        ) {
            self.useHostnameForHashing = useHostnameForHashing
            self.hashBalanceFactor = hashBalanceFactor
        }

        package static let schema = MessageSchema<ConsistentHashingLbConfig>(
            "envoy.config.cluster.v3.Cluster.CommonLbConfig.ConsistentHashingLbConfig",
            empty: ConsistentHashingLbConfig()
        ) { schema in
            schema.field(1, "use_hostname_for_hashing", \.useHostnameForHashing, .bool)
            schema.optional(2, "hash_balance_factor", \.hashBalanceFactor, .uint32Value, [.atLeast(100)])
        }
    }
}
