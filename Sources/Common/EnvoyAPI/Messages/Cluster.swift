extension Envoy {
    /// Endpoints that serve the same thing, and how connections to them are made.
    ///
    /// `envoy.config.cluster.v3.Cluster`
    package struct Cluster: EnvoyMessage {
        package var name: String
        package var altStatName: String
        package var type: Cluster.DiscoveryType?
        package var edsClusterConfig: Cluster.EdsClusterConfig?
        /// nil is 5 s.
        package var connectTimeout: Duration?
        package var perConnectionBufferLimitBytes: UInt32?
        package var lbPolicy: Cluster.LbPolicy
        /// The endpoints of the STATIC and DNS types.
        package var loadAssignment: ClusterLoadAssignment?
        package var healthChecks: [HealthCheck]
        package var circuitBreakers: CircuitBreakers?
        package var commonHttpProtocolOptions: CommonHttpProtocolOptions?
        package var httpProtocolOptions: Http1ProtocolOptions?
        package var http2ProtocolOptions: Http2ProtocolOptions?
        /// By extension name: `envoy.extensions.upstreams.http.v3.HttpProtocolOptions`.
        package var typedExtensionProtocolOptions: [String: UpstreamProtocolOptions]
        package var dnsRefreshRate: Duration?
        package var dnsFailureRefreshRate: Cluster.RefreshRate?
        package var dnsJitter: Duration?
        package var respectDnsTtl: Bool
        package var dnsLookupFamily: Cluster.DnsLookupFamily
        package var dnsResolvers: [Address]
        package var useTcpForDnsLookups: Bool
        package var dnsResolutionConfig: DnsResolutionConfig?
        package var typedDnsResolverConfig: DnsResolverExtension?
        package var waitForWarmOnInit: Bool?
        package var outlierDetection: OutlierDetection?
        package var cleanupInterval: Duration?
        package var upstreamBindConfig: BindConfig?
        package var lbConfig: LbConfig?
        package var commonLbConfig: Cluster.CommonLbConfig?
        package var metadata: Metadata?
        package var upstreamConnectionOptions: UpstreamConnectionOptions?
        package var closeConnectionsOnHostHealthFailure: Bool
        package var ignoreHealthOnHostRemoval: Bool
        package var loadBalancingPolicy: LoadBalancingPolicy?
        package var maxRequestsPerConnection: UInt32?
        package var transportSocket: TransportSocket?
        /// The first whose condition an endpoint's metadata meet takes the place of `transportSocket` for it.
        package var transportSocketMatches: [Cluster.TransportSocketMatch]
        package var trackClusterStats: TrackClusterStats?
        package var lbSubsetConfig: Cluster.LbSubsetConfig?

        /// One of these.
        package enum LbConfig: Sendable, Equatable {
            case leastRequestLbConfig(Cluster.LeastRequestLbConfig)
            case roundRobinLbConfig(Cluster.RoundRobinLbConfig)
            case ringHashLbConfig(Cluster.RingHashLbConfig)
            case maglevLbConfig(Cluster.MaglevLbConfig)
            case originalDstLbConfig(Cluster.OriginalDstLbConfig)
        }

        package init(
            name: String = "",
            altStatName: String = "",
            type: Cluster.DiscoveryType? = nil,
            edsClusterConfig: Cluster.EdsClusterConfig? = nil,
            connectTimeout: Duration? = nil,
            perConnectionBufferLimitBytes: UInt32? = nil,
            lbPolicy: Cluster.LbPolicy = .roundRobin,
            loadAssignment: ClusterLoadAssignment? = nil,
            healthChecks: [HealthCheck] = [],
            circuitBreakers: CircuitBreakers? = nil,
            commonHttpProtocolOptions: CommonHttpProtocolOptions? = nil,
            httpProtocolOptions: Http1ProtocolOptions? = nil,
            http2ProtocolOptions: Http2ProtocolOptions? = nil,
            typedExtensionProtocolOptions: [String: UpstreamProtocolOptions] = [:],
            dnsRefreshRate: Duration? = nil,
            dnsFailureRefreshRate: Cluster.RefreshRate? = nil,
            dnsJitter: Duration? = nil,
            respectDnsTtl: Bool = false,
            dnsLookupFamily: Cluster.DnsLookupFamily = .auto,
            dnsResolvers: [Address] = [],
            useTcpForDnsLookups: Bool = false,
            dnsResolutionConfig: DnsResolutionConfig? = nil,
            typedDnsResolverConfig: DnsResolverExtension? = nil,
            waitForWarmOnInit: Bool? = nil,
            outlierDetection: OutlierDetection? = nil,
            cleanupInterval: Duration? = nil,
            upstreamBindConfig: BindConfig? = nil,
            lbConfig: LbConfig? = nil,
            commonLbConfig: Cluster.CommonLbConfig? = nil,
            metadata: Metadata? = nil,
            upstreamConnectionOptions: UpstreamConnectionOptions? = nil,
            closeConnectionsOnHostHealthFailure: Bool = false,
            ignoreHealthOnHostRemoval: Bool = false,
            loadBalancingPolicy: LoadBalancingPolicy? = nil,
            maxRequestsPerConnection: UInt32? = nil,
            transportSocketMatches: [Cluster.TransportSocketMatch] = [],
            trackClusterStats: TrackClusterStats? = nil,
            transportSocket: TransportSocket? = nil,
            lbSubsetConfig: Cluster.LbSubsetConfig? = nil
        ) {
            self.name = name
            self.altStatName = altStatName
            self.type = type
            self.edsClusterConfig = edsClusterConfig
            self.connectTimeout = connectTimeout
            self.perConnectionBufferLimitBytes = perConnectionBufferLimitBytes
            self.lbPolicy = lbPolicy
            self.loadAssignment = loadAssignment
            self.healthChecks = healthChecks
            self.circuitBreakers = circuitBreakers
            self.commonHttpProtocolOptions = commonHttpProtocolOptions
            self.httpProtocolOptions = httpProtocolOptions
            self.http2ProtocolOptions = http2ProtocolOptions
            self.typedExtensionProtocolOptions = typedExtensionProtocolOptions
            self.dnsRefreshRate = dnsRefreshRate
            self.dnsFailureRefreshRate = dnsFailureRefreshRate
            self.dnsJitter = dnsJitter
            self.respectDnsTtl = respectDnsTtl
            self.dnsLookupFamily = dnsLookupFamily
            self.dnsResolvers = dnsResolvers
            self.useTcpForDnsLookups = useTcpForDnsLookups
            self.dnsResolutionConfig = dnsResolutionConfig
            self.typedDnsResolverConfig = typedDnsResolverConfig
            self.waitForWarmOnInit = waitForWarmOnInit
            self.outlierDetection = outlierDetection
            self.cleanupInterval = cleanupInterval
            self.upstreamBindConfig = upstreamBindConfig
            self.lbConfig = lbConfig
            self.commonLbConfig = commonLbConfig
            self.metadata = metadata
            self.upstreamConnectionOptions = upstreamConnectionOptions
            self.closeConnectionsOnHostHealthFailure = closeConnectionsOnHostHealthFailure
            self.ignoreHealthOnHostRemoval = ignoreHealthOnHostRemoval
            self.loadBalancingPolicy = loadBalancingPolicy
            self.maxRequestsPerConnection = maxRequestsPerConnection
            self.transportSocket = transportSocket
            self.transportSocketMatches = transportSocketMatches
            self.trackClusterStats = trackClusterStats
            self.lbSubsetConfig = lbSubsetConfig
        }

        package static let schema = MessageSchema<Cluster>(
            "envoy.config.cluster.v3.Cluster",
            empty: Cluster()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.field(28, "alt_stat_name", \.altStatName, .string)
            schema.oneof("cluster_discovery_type")
            schema.optional(2, "type", of: "cluster_discovery_type", \.type, .enumeration)
            schema.optional(3, "eds_cluster_config", \.edsClusterConfig, .message)
            schema.optional(4, "connect_timeout", \.connectTimeout, .duration, [.durationAbove(.zero)])
            schema.optional(5, "per_connection_buffer_limit_bytes", \.perConnectionBufferLimitBytes, .uint32Value)
            schema.field(6, "lb_policy", \.lbPolicy, .enumeration)
            schema.optional(22, "lb_subset_config", \.lbSubsetConfig, .message)
            schema.optional(33, "load_assignment", \.loadAssignment, .message)
            schema.repeated(8, "health_checks", \.healthChecks, .message)
            schema.optional(10, "circuit_breakers", \.circuitBreakers, .message)
            schema.optional(29, "common_http_protocol_options", \.commonHttpProtocolOptions, .message)
            schema.optional(13, "http_protocol_options", \.httpProtocolOptions, .message)
            schema.optional(14, "http2_protocol_options", \.http2ProtocolOptions, .message)
            schema.map(36, "typed_extension_protocol_options", \.typedExtensionProtocolOptions, .any)
            schema.optional(16, "dns_refresh_rate", \.dnsRefreshRate, .duration, [.durationAbove(.milliseconds(1))])
            schema.optional(44, "dns_failure_refresh_rate", \.dnsFailureRefreshRate, .message)
            schema.optional(58, "dns_jitter", \.dnsJitter, .duration, [.durationAtLeast(.zero)])
            schema.field(39, "respect_dns_ttl", \.respectDnsTtl, .bool)
            schema.field(17, "dns_lookup_family", \.dnsLookupFamily, .enumeration)
            schema.repeated(18, "dns_resolvers", \.dnsResolvers, .message)
            schema.field(45, "use_tcp_for_dns_lookups", \.useTcpForDnsLookups, .bool)
            schema.optional(53, "dns_resolution_config", \.dnsResolutionConfig, .message)
            schema.optional(55, "typed_dns_resolver_config", \.typedDnsResolverConfig, .message)
            schema.optional(54, "wait_for_warm_on_init", \.waitForWarmOnInit, .boolValue)
            schema.optional(19, "outlier_detection", \.outlierDetection, .message)
            schema.optional(20, "cleanup_interval", \.cleanupInterval, .duration, [.durationAbove(.zero)])
            schema.noted("cleanup_interval", why: "an original destination is forgotten with its last connection")
            schema.optional(21, "upstream_bind_config", \.upstreamBindConfig, .message)
            schema.oneof("lb_config")
            schema.choice(37, "least_request_lb_config", of: "lb_config", \.lbConfig, .message) {
                .leastRequestLbConfig($0)
            } get: {
                if case .leastRequestLbConfig(let value) = $0 { value } else { nil }
            }
            schema.choice(34, "original_dst_lb_config", of: "lb_config", \.lbConfig, .message) {
                .originalDstLbConfig($0)
            } get: {
                if case .originalDstLbConfig(let value) = $0 { value } else { nil }
            }
            schema.choice(56, "round_robin_lb_config", of: "lb_config", \.lbConfig, .message) {
                .roundRobinLbConfig($0)
            } get: {
                if case .roundRobinLbConfig(let value) = $0 { value } else { nil }
            }
            schema.choice(23, "ring_hash_lb_config", of: "lb_config", \.lbConfig, .message) {
                .ringHashLbConfig($0)
            } get: {
                if case .ringHashLbConfig(let value) = $0 { value } else { nil }
            }
            schema.choice(52, "maglev_lb_config", of: "lb_config", \.lbConfig, .message) {
                .maglevLbConfig($0)
            } get: {
                if case .maglevLbConfig(let value) = $0 { value } else { nil }
            }
            schema.optional(27, "common_lb_config", \.commonLbConfig, .message)
            schema.optional(25, "metadata", \.metadata, .message)
            schema.optional(30, "upstream_connection_options", \.upstreamConnectionOptions, .message)
            schema.field(31, "close_connections_on_host_health_failure", \.closeConnectionsOnHostHealthFailure, .bool)
            schema.field(32, "ignore_health_on_host_removal", \.ignoreHealthOnHostRemoval, .bool)
            schema.optional(41, "load_balancing_policy", \.loadBalancingPolicy, .message)
            schema.optional(9, "max_requests_per_connection", \.maxRequestsPerConnection, .uint32Value)
            schema.optional(24, "transport_socket", \.transportSocket, .message)
            schema.repeated(43, "transport_socket_matches", \.transportSocketMatches, .message)
            schema.optional(49, "track_cluster_stats", \.trackClusterStats, .message)
            schema.unsupported("track_timeout_budgets=47 preconnect_policy=50")
            schema.unsupported(
                """
                transport_socket_matcher=59
                upstream_http_protocol_options=46
                protocol_selection=26 filters=40 lrs_server=42
                lrs_report_endpoint_metrics=57 upstream_config=48
                connection_pool_per_downstream_connection=51
                """
            )
            schema.unsupported("cluster_type=38", of: "cluster_discovery_type")
        }
    }
}

extension Envoy.Cluster {
    /// Endpoints by subscription.
    ///
    /// `envoy.config.cluster.v3.Cluster.EdsClusterConfig`
    package struct EdsClusterConfig: EnvoyMessage {
        package var edsConfig: Envoy.ConfigSource?
        /// The assignment's name, when it is not the cluster's.
        package var serviceName: String

        package init(
            edsConfig: Envoy.ConfigSource? = nil,
            serviceName: String = ""
        ) {
            self.edsConfig = edsConfig
            self.serviceName = serviceName
        }

        package static let schema = MessageSchema<EdsClusterConfig>(
            "envoy.config.cluster.v3.Cluster.EdsClusterConfig",
            empty: EdsClusterConfig()
        ) { schema in
            schema.optional(1, "eds_config", \.edsConfig, .message)
            schema.field(2, "service_name", \.serviceName, .string)
        }
    }
}

extension Envoy.Cluster {
    /// Choices of the least-request balancer.
    ///
    /// `envoy.config.cluster.v3.Cluster.LeastRequestLbConfig`
    package struct LeastRequestLbConfig: EnvoyMessage {
        package var choiceCount: UInt32?
        package var activeRequestBias: Envoy.RuntimeDouble?
        package var slowStartConfig: Envoy.Cluster.SlowStartConfig?

        package init(
            choiceCount: UInt32? = nil,
            activeRequestBias: Envoy.RuntimeDouble? = nil,
            slowStartConfig: Envoy.Cluster.SlowStartConfig? = nil
        ) {
            self.choiceCount = choiceCount
            self.activeRequestBias = activeRequestBias
            self.slowStartConfig = slowStartConfig
        }

        package static let schema = MessageSchema<LeastRequestLbConfig>(
            "envoy.config.cluster.v3.Cluster.LeastRequestLbConfig",
            empty: LeastRequestLbConfig()
        ) { schema in
            schema.optional(1, "choice_count", \.choiceCount, .uint32Value, [.atLeast(2)])
            schema.optional(2, "active_request_bias", \.activeRequestBias, .message)
            schema.optional(3, "slow_start_config", \.slowStartConfig, .message)
        }
    }
}

extension Envoy.Cluster {
    /// Choices of the ORIGINAL_DST type.
    ///
    /// `envoy.config.cluster.v3.Cluster.OriginalDstLbConfig`
    package struct OriginalDstLbConfig: EnvoyMessage {
        package var upstreamPortOverride: UInt32?
        package var useHttpHeader: Bool
        /// Empty: `x-envoy-original-dst-host`.
        package var httpHeaderName: String

        package init(
            upstreamPortOverride: UInt32? = nil,
            useHttpHeader: Bool = false,
            httpHeaderName: String = ""
        ) {
            self.upstreamPortOverride = upstreamPortOverride
            self.useHttpHeader = useHttpHeader
            self.httpHeaderName = httpHeaderName
        }

        package static let schema = MessageSchema<OriginalDstLbConfig>(
            "envoy.config.cluster.v3.Cluster.OriginalDstLbConfig",
            empty: OriginalDstLbConfig()
        ) { schema in
            schema.optional(3, "upstream_port_override", \.upstreamPortOverride, .uint32Value, [.atMost(65535)])
            schema.field(1, "use_http_header", \.useHttpHeader, .bool)
            schema.field(2, "http_header_name", \.httpHeaderName, .string, [.headerName])
            schema.unsupported("metadata_key=4")
        }
    }
}

extension Envoy.Cluster {
    /// Choices of every balancer.
    ///
    /// `envoy.config.cluster.v3.Cluster.CommonLbConfig`
    package struct CommonLbConfig: EnvoyMessage {
        /// Below this share of healthy endpoints all of them are used; nil is 50 %, 0 never.
        package var healthyPanicThreshold: Envoy.Percent?
        /// New endpoints do not count before their first check.
        package var ignoreNewHostsUntilFirstHc: Bool
        package var localityConfigSpecifier: LocalityConfigSpecifier?
        package var closeConnectionsOnHostSetChange: Bool
        package var consistentHashingLbConfig: Envoy.Cluster.CommonLbConfig.ConsistentHashingLbConfig?

        /// One of these.
        package enum LocalityConfigSpecifier: Sendable, Equatable {
            case zoneAware(Envoy.Cluster.CommonLbConfig.ZoneAwareLbConfig)
            case localityWeighted(Envoy.Cluster.CommonLbConfig.LocalityWeightedLbConfig)
        }

        package init(
            healthyPanicThreshold: Envoy.Percent? = nil,
            localityConfigSpecifier: LocalityConfigSpecifier? = nil,
            ignoreNewHostsUntilFirstHc: Bool = false,
            closeConnectionsOnHostSetChange: Bool = false,
            consistentHashingLbConfig: Envoy.Cluster.CommonLbConfig.ConsistentHashingLbConfig? = nil
        ) {
            self.healthyPanicThreshold = healthyPanicThreshold
            self.localityConfigSpecifier = localityConfigSpecifier
            self.ignoreNewHostsUntilFirstHc = ignoreNewHostsUntilFirstHc
            self.closeConnectionsOnHostSetChange = closeConnectionsOnHostSetChange
            self.consistentHashingLbConfig = consistentHashingLbConfig
        }

        package static let schema = MessageSchema<CommonLbConfig>(
            "envoy.config.cluster.v3.Cluster.CommonLbConfig",
            empty: CommonLbConfig()
        ) { schema in
            schema.optional(1, "healthy_panic_threshold", \.healthyPanicThreshold, .message)
            schema.field(5, "ignore_new_hosts_until_first_hc", \.ignoreNewHostsUntilFirstHc, .bool)
            schema.field(6, "close_connections_on_host_set_change", \.closeConnectionsOnHostSetChange, .bool)
            schema.ignored(
                "update_merge_window=4",
                why: "changes of endpoints are in force at once, which costs no more than to merge them"
            )
            schema.oneof("locality_config_specifier")
            schema.choice(
                2,
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
                3,
                "locality_weighted_lb_config",
                of: "locality_config_specifier",
                \.localityConfigSpecifier,
                .message
            ) {
                .localityWeighted($0)
            } get: {
                if case .localityWeighted(let value) = $0 { value } else { nil }
            }
            schema.optional(7, "consistent_hashing_lb_config", \.consistentHashingLbConfig, .message)
            schema.unsupported("override_host_status=8")
        }
    }
}

extension Envoy {
    /// Balancers in order of preference; the first that is known here counts.
    ///
    /// `envoy.config.cluster.v3.LoadBalancingPolicy`
    package struct LoadBalancingPolicy: EnvoyMessage {
        package var policies: [LoadBalancingPolicy.Policy]

        package init(
            policies: [LoadBalancingPolicy.Policy] = []
        ) {
            self.policies = policies
        }

        package static let schema = MessageSchema<LoadBalancingPolicy>(
            "envoy.config.cluster.v3.LoadBalancingPolicy",
            empty: LoadBalancingPolicy()
        ) { schema in
            schema.repeated(1, "policies", \.policies, .message)
        }
    }
}

extension Envoy.LoadBalancingPolicy {
    /// One balancer.
    ///
    /// `envoy.config.cluster.v3.LoadBalancingPolicy.Policy`
    package struct Policy: EnvoyMessage {
        package var typedExtensionConfig: Envoy.TypedExtensionConfig?

        package init(
            typedExtensionConfig: Envoy.TypedExtensionConfig? = nil
        ) {
            self.typedExtensionConfig = typedExtensionConfig
        }

        package static let schema = MessageSchema<Policy>(
            "envoy.config.cluster.v3.LoadBalancingPolicy.Policy",
            empty: Policy()
        ) { schema in
            schema.optional(4, "typed_extension_config", \.typedExtensionConfig, .message)
        }
    }
}

extension Envoy {
    /// Choices of the connections to endpoints.
    ///
    /// `envoy.config.cluster.v3.UpstreamConnectionOptions`
    package struct UpstreamConnectionOptions: EnvoyMessage {
        package var tcpKeepalive: TcpKeepalive?

        package init(
            tcpKeepalive: TcpKeepalive? = nil
        ) {
            self.tcpKeepalive = tcpKeepalive
        }

        package static let schema = MessageSchema<UpstreamConnectionOptions>(
            "envoy.config.cluster.v3.UpstreamConnectionOptions",
            empty: UpstreamConnectionOptions()
        ) { schema in
            schema.optional(1, "tcp_keepalive", \.tcpKeepalive, .message)
            schema.unsupported("set_local_interface_name_on_upstream_connections=2 happy_eyeballs_config=3")
        }
    }
}

extension Envoy.Cluster {
    /// Values of `envoy.config.cluster.v3.Cluster.DiscoveryType`.
    package enum DiscoveryType: Int32, EnvoyEnum {
        case `static` = 0
        case strictDns = 1
        case logicalDns = 2
        case eds = 3
        case originalDst = 4

        package static let names = EnumNames(
            "envoy.config.cluster.v3.Cluster.DiscoveryType",
            "STATIC=0 STRICT_DNS=1 LOGICAL_DNS=2 EDS=3 ORIGINAL_DST=4"
        )
    }
}

extension Envoy.Cluster {
    /// Values of `envoy.config.cluster.v3.Cluster.LbPolicy`.
    package enum LbPolicy: Int32, EnvoyEnum {
        case roundRobin = 0
        case leastRequest = 1
        case ringHash = 2
        case random = 3
        case maglev = 5
        case clusterProvided = 6
        case loadBalancingPolicyConfig = 7

        package static let names = EnumNames(
            "envoy.config.cluster.v3.Cluster.LbPolicy",
            """
            ROUND_ROBIN=0 LEAST_REQUEST=1 RING_HASH=2 RANDOM=3 MAGLEV=5 CLUSTER_PROVIDED=6
            LOAD_BALANCING_POLICY_CONFIG=7
            """
        )
    }
}

extension Envoy.Cluster {
    /// Values of `envoy.config.cluster.v3.Cluster.DnsLookupFamily`.
    package enum DnsLookupFamily: Int32, EnvoyEnum {
        case auto = 0
        case v4Only = 1
        case v6Only = 2
        case v4Preferred = 3
        case all = 4

        package static let names = EnumNames(
            "envoy.config.cluster.v3.Cluster.DnsLookupFamily",
            "AUTO=0 V4_ONLY=1 V6_ONLY=2 V4_PREFERRED=3 ALL=4"
        )
    }
}

extension Envoy {
    /// What is counted of a cluster beside the usual.
    ///
    /// `envoy.config.cluster.v3.TrackClusterStats`
    package struct TrackClusterStats: EnvoyMessage {
        package var perEndpointStats: Bool

        package init(perEndpointStats: Bool = false) { self.perEndpointStats = perEndpointStats }

        package static let schema = MessageSchema<TrackClusterStats>(
            "envoy.config.cluster.v3.TrackClusterStats",
            empty: TrackClusterStats()
        ) { schema in
            schema.field(3, "per_endpoint_stats", \.perEndpointStats, .bool)
            schema.unsupported("timeout_budgets=1 request_response_sizes=2")
        }
    }
}
