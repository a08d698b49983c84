package import Wire

extension Envoy.Cluster {
    /// Endpoints that routes may ask for by their metadata.
    ///
    /// `envoy.config.cluster.v3.Cluster.LbSubsetConfig`
    package struct LbSubsetConfig: EnvoyMessage {
        package var fallbackPolicy: LbSubsetConfig.LbSubsetFallbackPolicy
        package var defaultSubset: Value?
        package var subsetSelectors: [LbSubsetConfig.LbSubsetSelector]
        package var localityWeightAware: Bool
        package var scaleLocalityWeight: Bool
        package var panicModeAny: Bool
        package var listAsAny: Bool
        package var metadataFallbackPolicy: LbSubsetConfig.LbSubsetMetadataFallbackPolicy

        package init(
            fallbackPolicy: LbSubsetConfig.LbSubsetFallbackPolicy = .noFallback,
            defaultSubset: Value? = nil,
            subsetSelectors: [LbSubsetConfig.LbSubsetSelector] = [],
            localityWeightAware: Bool = false,
            scaleLocalityWeight: Bool = false,
            panicModeAny: Bool = false,
            listAsAny: Bool = false,
            metadataFallbackPolicy: LbSubsetConfig.LbSubsetMetadataFallbackPolicy = .metadataNoFallback
        ) {
            self.fallbackPolicy = fallbackPolicy
            self.defaultSubset = defaultSubset
            self.subsetSelectors = subsetSelectors
            self.localityWeightAware = localityWeightAware
            self.scaleLocalityWeight = scaleLocalityWeight
            self.panicModeAny = panicModeAny
            self.listAsAny = listAsAny
            self.metadataFallbackPolicy = metadataFallbackPolicy
        }

        package static let schema = MessageSchema<LbSubsetConfig>(
            "envoy.config.cluster.v3.Cluster.LbSubsetConfig",
            empty: LbSubsetConfig()
        ) { schema in
            schema.field(1, "fallback_policy", \.fallbackPolicy, .enumeration)
            schema.optional(2, "default_subset", \.defaultSubset, .object)
            schema.repeated(3, "subset_selectors", \.subsetSelectors, .message)
            schema.field(4, "locality_weight_aware", \.localityWeightAware, .bool)
            schema.field(5, "scale_locality_weight", \.scaleLocalityWeight, .bool)
            schema.field(6, "panic_mode_any", \.panicModeAny, .bool)
            schema.field(7, "list_as_any", \.listAsAny, .bool)
            schema.field(8, "metadata_fallback_policy", \.metadataFallbackPolicy, .enumeration)
        }
    }
}

extension Envoy.Cluster.LbSubsetConfig {
    /// Values of `envoy.config.cluster.v3.Cluster.LbSubsetConfig.LbSubsetFallbackPolicy`.
    package enum LbSubsetFallbackPolicy: Int32, EnvoyEnum {
        case noFallback = 0
        case anyEndpoint = 1
        case defaultSubset = 2

        package static let names = EnumNames(
            "envoy.config.cluster.v3.Cluster.LbSubsetConfig.LbSubsetFallbackPolicy",
            "NO_FALLBACK=0 ANY_ENDPOINT=1 DEFAULT_SUBSET=2"
        )
    }

    /// Values of `envoy.config.cluster.v3.Cluster.LbSubsetConfig.LbSubsetMetadataFallbackPolicy`.
    package enum LbSubsetMetadataFallbackPolicy: Int32, EnvoyEnum {
        case metadataNoFallback = 0

        package static let names = EnumNames(
            "envoy.config.cluster.v3.Cluster.LbSubsetConfig.LbSubsetMetadataFallbackPolicy",
            "METADATA_NO_FALLBACK=0",
            unsupported: "FALLBACK_LIST=1"
        )
    }

    /// Names of metadata by which subsets are made.
    ///
    /// `envoy.config.cluster.v3.Cluster.LbSubsetConfig.LbSubsetSelector`
    package struct LbSubsetSelector: EnvoyMessage {
        package var keys: [String]
        package var fallbackPolicy: LbSubsetSelector.LbSubsetSelectorFallbackPolicy
        package var fallbackKeysSubset: [String]

        package init(
            keys: [String] = [],
            fallbackPolicy: LbSubsetSelector.LbSubsetSelectorFallbackPolicy = .notDefined,
            fallbackKeysSubset: [String] = []
        ) {
            self.keys = keys
            self.fallbackPolicy = fallbackPolicy
            self.fallbackKeysSubset = fallbackKeysSubset
        }

        package static let schema = MessageSchema<LbSubsetSelector>(
            "envoy.config.cluster.v3.Cluster.LbSubsetConfig.LbSubsetSelector",
            empty: LbSubsetSelector()
        ) { schema in
            schema.repeated(1, "keys", \.keys, .string, [.minItems(1)])
            schema.field(2, "fallback_policy", \.fallbackPolicy, .enumeration)
            schema.repeated(3, "fallback_keys_subset", \.fallbackKeysSubset, .string)
            schema.unsupported("single_host_per_subset=4")
        }

        /// Values of `envoy.config.cluster.v3.Cluster.LbSubsetConfig.LbSubsetSelector.LbSubsetSelectorFallbackPolicy`.
        package enum LbSubsetSelectorFallbackPolicy: Int32, EnvoyEnum {
            case notDefined = 0
            case noFallback = 1
            case anyEndpoint = 2
            case defaultSubset = 3
            case keysSubset = 4

            package static let names = EnumNames(
                "envoy.config.cluster.v3.Cluster.LbSubsetConfig.LbSubsetSelector.LbSubsetSelectorFallbackPolicy",
                "NOT_DEFINED=0 NO_FALLBACK=1 ANY_ENDPOINT=2 DEFAULT_SUBSET=3 KEYS_SUBSET=4"
            )
        }
    }
}
