extension Envoy {
    /// Relays a connection's bytes to a cluster.
    ///
    /// `envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy`
    package struct TcpProxy: EnvoyMessage {
        package var statPrefix: String
        package var clusterSpecifier: ClusterSpecifier?
        /// nil is one hour, 0 never.
        package var idleTimeout: Duration?
        package var accessLog: [AccessLog]
        package var maxConnectAttempts: UInt32?
        package var hashPolicy: [ConnectionHashPolicy]
        package var maxDownstreamConnectionDuration: Duration?
        /// Between tries to connect.
        package var backoffOptions: BackoffStrategy?
        /// Up to this share is added to `maxDownstreamConnectionDuration`.
        package var maxDownstreamConnectionDurationJitterPercentage: Percent?
        package var accessLogOptions: TcpProxy.TcpAccessLogOptions?
        package var tunnelingConfig: TcpProxy.TunnelingConfig?
        package var metadataMatch: Metadata?

        /// One of these.
        package enum ClusterSpecifier: Sendable, Equatable {
            case cluster(String)
            case weightedClusters(TcpProxy.WeightedCluster)
        }

        package init(
            backoffOptions: BackoffStrategy? = nil,
            maxDownstreamConnectionDurationJitterPercentage: Percent? = nil,
            accessLogOptions: TcpProxy.TcpAccessLogOptions? = nil,
            statPrefix: String = "",
            clusterSpecifier: ClusterSpecifier? = nil,
            idleTimeout: Duration? = nil,
            accessLog: [AccessLog] = [],
            maxConnectAttempts: UInt32? = nil,
            hashPolicy: [ConnectionHashPolicy] = [],
            maxDownstreamConnectionDuration: Duration? = nil,
            tunnelingConfig: TcpProxy.TunnelingConfig? = nil,
            metadataMatch: Metadata? = nil
        ) {
            self.backoffOptions = backoffOptions
            self.maxDownstreamConnectionDurationJitterPercentage = maxDownstreamConnectionDurationJitterPercentage
            self.accessLogOptions = accessLogOptions
            self.statPrefix = statPrefix
            self.clusterSpecifier = clusterSpecifier
            self.idleTimeout = idleTimeout
            self.accessLog = accessLog
            self.maxConnectAttempts = maxConnectAttempts
            self.hashPolicy = hashPolicy
            self.maxDownstreamConnectionDuration = maxDownstreamConnectionDuration
            self.tunnelingConfig = tunnelingConfig
            self.metadataMatch = metadataMatch
        }

        package static let schema = MessageSchema<TcpProxy>(
            "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            empty: TcpProxy()
        ) { schema in
            schema.field(1, "stat_prefix", \.statPrefix, .string, [.minLength(1)])
            schema.oneof("cluster_specifier", isRequired: true)
            schema.choice(2, "cluster", of: "cluster_specifier", \.clusterSpecifier, .string) {
                .cluster($0)
            } get: {
                if case .cluster(let value) = $0 { value } else { nil }
            }
            schema.choice(10, "weighted_clusters", of: "cluster_specifier", \.clusterSpecifier, .message) {
                .weightedClusters($0)
            } get: {
                if case .weightedClusters(let value) = $0 { value } else { nil }
            }
            schema.optional(8, "idle_timeout", \.idleTimeout, .duration)
            schema.repeated(5, "access_log", \.accessLog, .message)
            schema.repeated(11, "hash_policy", \.hashPolicy, .message, [.maxItems(1)])
            schema.optional(7, "max_connect_attempts", \.maxConnectAttempts, .uint32Value, [.atLeast(1)])
            schema.optional(
                13,
                "max_downstream_connection_duration",
                \.maxDownstreamConnectionDuration,
                .duration,
                [.durationAtLeast(.milliseconds(1))]
            )
            schema.optional(18, "backoff_options", \.backoffOptions, .message)
            schema.optional(
                20,
                "max_downstream_connection_duration_jitter_percentage",
                \.maxDownstreamConnectionDurationJitterPercentage,
                .message
            )
            schema.optional(17, "access_log_options", \.accessLogOptions, .message)
            schema.optional(12, "tunneling_config", \.tunnelingConfig, .message)
            schema.optional(9, "metadata_match", \.metadataMatch, .message)
            schema.unsupported(
                """
                on_demand=14 downstream_idle_timeout=3 upstream_idle_timeout=4
                access_log_flush_interval=15 flush_access_log_on_connected=16 proxy_protocol_tlvs=19
                upstream_connect_mode=21 max_early_data_bytes=22
                """
            )
        }
    }
}

extension Envoy.TcpProxy {
    /// Clusters and their shares of the connections.
    ///
    /// `envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster`
    package struct WeightedCluster: EnvoyMessage {
        package var clusters: [Envoy.TcpProxy.WeightedCluster.ClusterWeight]

        package init(
            clusters: [Envoy.TcpProxy.WeightedCluster.ClusterWeight] = []
        ) {
            self.clusters = clusters
        }

        package static let schema = MessageSchema<WeightedCluster>(
            "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster",
            empty: WeightedCluster()
        ) { schema in
            schema.repeated(1, "clusters", \.clusters, .message, [.minItems(1)])
        }
    }
}

extension Envoy.TcpProxy.WeightedCluster {
    /// A cluster and its share.
    ///
    /// `envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight`
    package struct ClusterWeight: EnvoyMessage {
        package var name: String
        package var weight: UInt32
        /// Goes before the filter's.
        package var metadataMatch: Envoy.Metadata?

        package init(
            name: String = "",
            weight: UInt32 = 0,
            metadataMatch: Envoy.Metadata? = nil
        ) {
            self.name = name
            self.weight = weight
            self.metadataMatch = metadataMatch
        }

        package static let schema = MessageSchema<ClusterWeight>(
            "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight",
            empty: ClusterWeight()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.field(2, "weight", \.weight, .uint32, [.atLeast(1)])
            schema.optional(3, "metadata_match", \.metadataMatch, .message)
        }
    }
}
