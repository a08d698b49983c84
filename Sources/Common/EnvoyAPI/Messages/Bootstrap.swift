package import Wire

extension Envoy {
    /// What a proxy starts from.
    ///
    /// `envoy.config.bootstrap.v3.Bootstrap`
    package struct Bootstrap: EnvoyMessage {
        /// Who this proxy is, for control planes and logs.
        package var node: Node?
        package var staticResources: Bootstrap.StaticResources?
        package var dynamicResources: Bootstrap.DynamicResources?
        /// Where the admin interface listens; without it there is none.
        package var admin: Admin?
        package var overloadManager: OverloadManager?
        package var layeredRuntime: LayeredRuntime?

        package init(
            node: Node? = nil,
            staticResources: Bootstrap.StaticResources? = nil,
            dynamicResources: Bootstrap.DynamicResources? = nil,
            admin: Admin? = nil,
            overloadManager: OverloadManager? = nil,
            layeredRuntime: LayeredRuntime? = nil
        ) {
            self.overloadManager = overloadManager
            self.node = node
            self.staticResources = staticResources
            self.dynamicResources = dynamicResources
            self.admin = admin
            self.layeredRuntime = layeredRuntime
        }

        package static let schema = MessageSchema<Bootstrap>(
            "envoy.config.bootstrap.v3.Bootstrap",
            empty: Bootstrap()
        ) { schema in
            schema.optional(1, "node", \.node, .message)
            schema.optional(2, "static_resources", \.staticResources, .message)
            schema.optional(3, "dynamic_resources", \.dynamicResources, .message)
            schema.optional(12, "admin", \.admin, .message)
            schema.optional(15, "overload_manager", \.overloadManager, .message)
            schema.optional(17, "layered_runtime", \.layeredRuntime, .message)
            schema.ignored(
                "stats_flush_interval=7 stats_flush_on_admin=29",
                why: "numbers are read when they are asked for, and there are no sinks to flush them to"
            )
            schema.ignored(
                "enable_dispatcher_stats=16",
                why: "loop_iterations_total and loop_lag_microseconds are always there"
            )
            schema.unsupported(
                "watchdog=8 watchdogs=27",
                why: "there is no watchdog; loop_lag_microseconds shows a worker that hangs"
            )
            schema.unsupported(
                "flags_path=5 header_prefix=18 stats_server_version_override=19 default_socket_interface=24"
            )
            schema.unsupported(
                """
                node_context_params=26 cluster_manager=4 hds_config=14 stats_sinks=6
                deferred_stat_options=39 stats_config=13 stats_eviction_interval=42 tracing=9
                use_tcp_for_dns_lookups=20 dns_resolution_config=30
                typed_dns_resolver_config=31 bootstrap_extensions=21 fatal_actions=28 config_sources=22
                default_config_source=23 certificate_provider_instances=25 inline_headers=32
                perf_tracing_file_path=33 default_regex_engine=34 xds_delegate_extension=35
                xds_config_tracker_extension=36 listener_manager=37 application_log_config=38
                grpc_async_client_manager_config=40 memory_allocator_manager=41
                """
            )
        }
    }
}

extension Envoy.Bootstrap {
    /// Listeners and clusters that live as long as the proxy.
    ///
    /// `envoy.config.bootstrap.v3.Bootstrap.StaticResources`
    package struct StaticResources: EnvoyMessage {
        package var listeners: [Envoy.Listener]
        package var clusters: [Envoy.Cluster]
        /// Named by SDS configurations without a source.
        package var secrets: [Envoy.Secret]

        package init(
            listeners: [Envoy.Listener] = [],
            clusters: [Envoy.Cluster] = [],
            secrets: [Envoy.Secret] = []
        ) {
            self.listeners = listeners
            self.clusters = clusters
            self.secrets = secrets
        }

        package static let schema = MessageSchema<StaticResources>(
            "envoy.config.bootstrap.v3.Bootstrap.StaticResources",
            empty: StaticResources()
        ) { schema in
            schema.repeated(1, "listeners", \.listeners, .message)
            schema.repeated(2, "clusters", \.clusters, .message)
            schema.repeated(3, "secrets", \.secrets, .message)
        }
    }
}

extension Envoy.Bootstrap {
    /// Where listeners and clusters are subscribed to.
    ///
    /// `envoy.config.bootstrap.v3.Bootstrap.DynamicResources`
    package struct DynamicResources: EnvoyMessage {
        package var ldsConfig: Envoy.ConfigSource?
        package var cdsConfig: Envoy.ConfigSource?
        /// The control plane behind `ads`.
        package var adsConfig: Envoy.ApiConfigSource?

        package init(
            ldsConfig: Envoy.ConfigSource? = nil,
            cdsConfig: Envoy.ConfigSource? = nil,
            adsConfig: Envoy.ApiConfigSource? = nil
        ) {
            self.adsConfig = adsConfig
            self.ldsConfig = ldsConfig
            self.cdsConfig = cdsConfig
        }

        package static let schema = MessageSchema<DynamicResources>(
            "envoy.config.bootstrap.v3.Bootstrap.DynamicResources",
            empty: DynamicResources()
        ) { schema in
            schema.optional(1, "lds_config", \.ldsConfig, .message)
            schema.optional(2, "cds_config", \.cdsConfig, .message)
            schema.optional(3, "ads_config", \.adsConfig, .message)
            schema.unsupported("lds_resources_locator=5 cds_resources_locator=6")
        }
    }
}

extension Envoy {
    /// The admin interface.
    ///
    /// `envoy.config.bootstrap.v3.Admin`
    package struct Admin: EnvoyMessage {
        package var accessLog: [AccessLog]
        /// The older way to name a file.
        package var accessLogPath: String
        package var address: Address?

        package init(
            accessLog: [AccessLog] = [],
            accessLogPath: String = "",
            address: Address? = nil
        ) {
            self.accessLog = accessLog
            self.accessLogPath = accessLogPath
            self.address = address
        }

        package static let schema = MessageSchema<Admin>(
            "envoy.config.bootstrap.v3.Admin",
            empty: Admin()
        ) { schema in
            schema.repeated(5, "access_log", \.accessLog, .message)
            schema.optional(3, "address", \.address, .message)
            schema.ignored(
                "profile_path=2",
                why: "there is no profiler"
            )
            schema.ignored(
                "ignore_global_conn_limit=6",
                why: "connections to the admin count for no limit of others"
            )
            schema.field(1, "access_log_path", \.accessLogPath, .string)
            schema.unsupported("socket_options=4 allow_paths=7")
        }
    }
}

extension Envoy {
    /// The identity of a proxy.
    ///
    /// `envoy.config.core.v3.Node`
    package struct Node: EnvoyMessage {
        package var id: String
        /// The service cluster that this proxy belongs to.
        package var cluster: String
        package var metadata: Value?
        package var locality: Locality?
        /// What kind of client this is, in which version.
        package var userAgentName: String
        package var userAgentVersion: String
        /// What a control plane may make use of.
        package var clientFeatures: [String]

        package init(
            id: String = "",
            cluster: String = "",
            metadata: Value? = nil,
            locality: Locality? = nil,
            userAgentName: String = "",
            userAgentVersion: String = "",
            clientFeatures: [String] = []
        ) {
            self.userAgentName = userAgentName
            self.userAgentVersion = userAgentVersion
            self.clientFeatures = clientFeatures
            self.id = id
            self.cluster = cluster
            self.metadata = metadata
            self.locality = locality
        }

        package static let schema = MessageSchema<Node>(
            "envoy.config.core.v3.Node",
            empty: Node()
        ) { schema in
            schema.field(1, "id", \.id, .string)
            schema.field(2, "cluster", \.cluster, .string)
            schema.optional(3, "metadata", \.metadata, .object)
            schema.optional(4, "locality", \.locality, .message)
            schema.field(6, "user_agent_name", \.userAgentName, .string)
            schema.field(7, "user_agent_version", \.userAgentVersion, .string)
            schema.repeated(10, "client_features", \.clientFeatures, .string)
            schema.ignored(
                "dynamic_parameters=12 user_agent_build_version=8 extensions=9 listening_addresses=11",
                why: "control planes are not told of them"
            )
        }
    }
}

extension Envoy {
    /// Where something runs.
    ///
    /// `envoy.config.core.v3.Locality`
    package struct Locality: EnvoyMessage {
        package var region: String
        package var zone: String
        package var subZone: String

        package init(
            region: String = "",
            zone: String = "",
            subZone: String = ""
        ) {
            self.region = region
            self.zone = zone
            self.subZone = subZone
        }

        package static let schema = MessageSchema<Locality>(
            "envoy.config.core.v3.Locality",
            empty: Locality()
        ) { schema in
            schema.field(1, "region", \.region, .string)
            schema.field(2, "zone", \.zone, .string)
            schema.field(3, "sub_zone", \.subZone, .string)
        }
    }
}

extension Envoy {
    /// A file whose replacement is the new configuration.
    ///
    /// `envoy.config.core.v3.PathConfigSource`
    package struct PathConfigSource: EnvoyMessage {
        package var path: String
        /// The directory whose moves are watched, when it is not the file's own (symbolic link swaps).
        package var watchedDirectory: WatchedDirectory?

        package init(
            path: String = "",
            watchedDirectory: WatchedDirectory? = nil
        ) {
            self.path = path
            self.watchedDirectory = watchedDirectory
        }

        package static let schema = MessageSchema<PathConfigSource>(
            "envoy.config.core.v3.PathConfigSource",
            empty: PathConfigSource()
        ) { schema in
            schema.field(1, "path", \.path, .string, [.minLength(1)])
            schema.optional(2, "watched_directory", \.watchedDirectory, .message)
        }
    }
}

extension Envoy {
    /// A directory whose moves mean new content.
    ///
    /// `envoy.config.core.v3.WatchedDirectory`
    package struct WatchedDirectory: EnvoyMessage {
        package var path: String

        package init(
            path: String = ""
        ) {
            self.path = path
        }

        package static let schema = MessageSchema<WatchedDirectory>(
            "envoy.config.core.v3.WatchedDirectory",
            empty: WatchedDirectory()
        ) { schema in
            schema.field(1, "path", \.path, .string, [.minLength(1)])
        }
    }
}

extension Envoy {
    /// Values of `envoy.config.core.v3.ApiVersion`.
    package enum ApiVersion: Int32, EnvoyEnum {
        case auto = 0
        case v3 = 2

        package static let names = EnumNames(
            "envoy.config.core.v3.ApiVersion",
            "AUTO=0 V3=2",
            unsupported: "V2=1"
        )
    }
}
