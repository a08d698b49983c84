extension Envoy {
    /// New endpoints get their load by and by.
    ///
    /// `envoy.extensions.load_balancing_policies.common.v3.SlowStartConfig`
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
            "envoy.extensions.load_balancing_policies.common.v3.SlowStartConfig",
            empty: SlowStartConfig()
        ) { schema in
            schema.optional(1, "slow_start_window", \.slowStartWindow, .duration, [.durationAbove(.zero)])
            schema.optional(2, "aggression", \.aggression, .message)
            schema.optional(3, "min_weight_percent", \.minWeightPercent, .message)
        }
    }

    /// What the balancers by hashes have in common.
    ///
    /// `envoy.extensions.load_balancing_policies.common.v3.ConsistentHashingLbConfig`
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
            "envoy.extensions.load_balancing_policies.common.v3.ConsistentHashingLbConfig",
            empty: ConsistentHashingLbConfig()
        ) { schema in
            schema.field(1, "use_hostname_for_hashing", \.useHostnameForHashing, .bool)
            schema.optional(2, "hash_balance_factor", \.hashBalanceFactor, .uint32Value, [.atLeast(100)])
            schema.unsupported("hash_policy=3")
        }
    }

    /// How localities count.
    ///
    /// `envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig`
    package struct LocalityLbConfig: EnvoyMessage {
        package var localityConfigSpecifier: Specifier?

        /// One of these.
        package enum Specifier: Sendable, Equatable {
            case zoneAware(Envoy.LocalityLbConfig.ZoneAwareLbConfig)
            case localityWeighted(Envoy.LocalityLbConfig.LocalityWeightedLbConfig)
        }

        package init(
            localityConfigSpecifier: Specifier? = nil
        ) {
            self.localityConfigSpecifier = localityConfigSpecifier
        }

        package static let schema = MessageSchema<LocalityLbConfig>(
            "envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig",
            empty: LocalityLbConfig()
        ) { schema in
            schema.oneof("locality_config_specifier", isRequired: true)
            schema.choice(
                1,
                "zone_aware_lb_config",
                of: "locality_config_specifier",
                \.localityConfigSpecifier,
                .message
            ) {
                .zoneAware($0)
            } get: {
                if case .zoneAware(let value) = $0 { value } else { nil }
            }
            schema.choice(
                2,
                "locality_weighted_lb_config",
                of: "locality_config_specifier",
                \.localityConfigSpecifier,
                .message
            ) {
                .localityWeighted($0)
            } get: {
                if case .localityWeighted(let value) = $0 { value } else { nil }
            }
        }
    }

    /// Endpoints in turn, by weight.
    ///
    /// `envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin`
    package struct RoundRobin: EnvoyMessage {
        package var slowStartConfig: Envoy.SlowStartConfig?
        package var localityLbConfig: Envoy.LocalityLbConfig?

        package init(
            slowStartConfig: Envoy.SlowStartConfig? = nil,
            localityLbConfig: Envoy.LocalityLbConfig? = nil
        ) {
            self.slowStartConfig = slowStartConfig
            self.localityLbConfig = localityLbConfig
        }

        package static let schema = MessageSchema<RoundRobin>(
            "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin",
            empty: RoundRobin()
        ) { schema in
            schema.optional(1, "slow_start_config", \.slowStartConfig, .message)
            schema.optional(2, "locality_lb_config", \.localityLbConfig, .message)
        }
    }

    /// Any endpoint, by weight.
    ///
    /// `envoy.extensions.load_balancing_policies.random.v3.Random`
    package struct Random: EnvoyMessage {
        package var localityLbConfig: Envoy.LocalityLbConfig?

        package init(
            localityLbConfig: Envoy.LocalityLbConfig? = nil
        ) {
            self.localityLbConfig = localityLbConfig
        }

        package static let schema = MessageSchema<Random>(
            "envoy.extensions.load_balancing_policies.random.v3.Random",
            empty: Random()
        ) { schema in
            schema.optional(1, "locality_lb_config", \.localityLbConfig, .message)
        }
    }

    /// The least busy of some drawn endpoints.
    ///
    /// `envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest`
    package struct LeastRequest: EnvoyMessage {
        package var choiceCount: UInt32?
        package var activeRequestBias: Envoy.RuntimeDouble?
        package var slowStartConfig: Envoy.SlowStartConfig?
        package var localityLbConfig: Envoy.LocalityLbConfig?

        package init(
            choiceCount: UInt32? = nil,
            activeRequestBias: Envoy.RuntimeDouble? = nil,
            slowStartConfig: Envoy.SlowStartConfig? = nil,
            localityLbConfig: Envoy.LocalityLbConfig? = nil
        ) {
            self.choiceCount = choiceCount
            self.activeRequestBias = activeRequestBias
            self.slowStartConfig = slowStartConfig
            self.localityLbConfig = localityLbConfig
        }

        package static let schema = MessageSchema<LeastRequest>(
            "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest",
            empty: LeastRequest()
        ) { schema in
            schema.optional(1, "choice_count", \.choiceCount, .uint32Value, [.atLeast(2)])
            schema.optional(2, "active_request_bias", \.activeRequestBias, .message)
            schema.optional(3, "slow_start_config", \.slowStartConfig, .message)
            schema.optional(4, "locality_lb_config", \.localityLbConfig, .message)
            schema.unsupported("enable_full_scan=5 selection_method=6")
        }
    }

    /// A ring of the endpoints' hashes.
    ///
    /// `envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash`
    package struct RingHash: EnvoyMessage {
        package var hashFunction: Envoy.RingHash.HashFunction
        package var minimumRingSize: UInt64?
        package var maximumRingSize: UInt64?
        package var consistentHashingLbConfig: Envoy.ConsistentHashingLbConfig?
        package var localityWeightedLbConfig: Envoy.LocalityLbConfig.LocalityWeightedLbConfig?

        package init(
            hashFunction: Envoy.RingHash.HashFunction = .standard,
            minimumRingSize: UInt64? = nil,
            maximumRingSize: UInt64? = nil,
            consistentHashingLbConfig: Envoy.ConsistentHashingLbConfig? = nil,
            localityWeightedLbConfig: Envoy.LocalityLbConfig.LocalityWeightedLbConfig? = nil
        ) {
            self.hashFunction = hashFunction
            self.minimumRingSize = minimumRingSize
            self.maximumRingSize = maximumRingSize
            self.consistentHashingLbConfig = consistentHashingLbConfig
            self.localityWeightedLbConfig = localityWeightedLbConfig
        }

        package static let schema = MessageSchema<RingHash>(
            "envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash",
            empty: RingHash()
        ) { schema in
            schema.field(1, "hash_function", \.hashFunction, .enumeration)
            schema.optional(2, "minimum_ring_size", \.minimumRingSize, .uint64Value, [.atLeast(1), .atMost(8_388_608)])
            schema.optional(3, "maximum_ring_size", \.maximumRingSize, .uint64Value, [.atMost(8_388_608)])
            schema.optional(6, "consistent_hashing_lb_config", \.consistentHashingLbConfig, .message)
            schema.optional(7, "locality_weighted_lb_config", \.localityWeightedLbConfig, .message)
            schema.unsupported("use_hostname_for_hashing=4 hash_balance_factor=5")
        }
    }

    /// A table in which every endpoint takes places by its own permutation.
    ///
    /// `envoy.extensions.load_balancing_policies.maglev.v3.Maglev`
    package struct Maglev: EnvoyMessage {
        package var tableSize: UInt64?
        package var consistentHashingLbConfig: Envoy.ConsistentHashingLbConfig?
        package var localityWeightedLbConfig: Envoy.LocalityLbConfig.LocalityWeightedLbConfig?

        package init(
            tableSize: UInt64? = nil,
            consistentHashingLbConfig: Envoy.ConsistentHashingLbConfig? = nil,
            localityWeightedLbConfig: Envoy.LocalityLbConfig.LocalityWeightedLbConfig? = nil
        ) {
            self.tableSize = tableSize
            self.consistentHashingLbConfig = consistentHashingLbConfig
            self.localityWeightedLbConfig = localityWeightedLbConfig
        }

        package static let schema = MessageSchema<Maglev>(
            "envoy.extensions.load_balancing_policies.maglev.v3.Maglev",
            empty: Maglev()
        ) { schema in
            schema.optional(1, "table_size", \.tableSize, .uint64Value, [.atMost(5_000_011)])
            schema.optional(2, "consistent_hashing_lb_config", \.consistentHashingLbConfig, .message)
            schema.optional(3, "locality_weighted_lb_config", \.localityWeightedLbConfig, .message)
        }
    }
}

extension Envoy.RingHash {
    /// Values of `envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash.HashFunction`.
    package enum HashFunction: Int32, EnvoyEnum {
        /// XX_HASH.
        case standard = 0
        case xxHash = 1
        case murmurHash2 = 2

        package static let names = EnumNames(
            "envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash.HashFunction",
            "DEFAULT_HASH=0 XX_HASH=1 MURMUR_HASH_2=2"
        )
    }
}

extension Envoy.LocalityLbConfig {
    /// What becomes of requests in panic.
    ///
    /// `envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.ZoneAwareLbConfig`
    package struct ZoneAwareLbConfig: EnvoyMessage {
        package var failTrafficOnPanic: Bool

        package init(
            failTrafficOnPanic: Bool = false
        ) {
            self.failTrafficOnPanic = failTrafficOnPanic
        }

        package static let schema = MessageSchema<ZoneAwareLbConfig>(
            "envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.ZoneAwareLbConfig",
            empty: ZoneAwareLbConfig()
        ) { schema in
            schema.field(3, "fail_traffic_on_panic", \.failTrafficOnPanic, .bool)
            schema.ignored(
                "routing_enabled=1 min_cluster_size=2",
                why: "no cluster can be named as the proxy's own, and without one no request is routed by zones"
            )
            schema.unsupported("force_locality_direct_routing=4 force_local_zone=5 locality_basis=6")
        }
    }

    /// Localities get load by their weights.
    ///
    /// `envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.LocalityWeightedLbConfig`
    package struct LocalityWeightedLbConfig: EnvoyMessage {
        package init() {}

        package static let schema = MessageSchema<LocalityWeightedLbConfig>(
            "envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.LocalityWeightedLbConfig",
            empty: LocalityWeightedLbConfig()
        ) { _ in }
    }
}
