extension Envoy {
    /// How names are asked for.
    ///
    /// `envoy.config.core.v3.DnsResolverOptions`
    package struct DnsResolverOptions: EnvoyMessage {
        package var useTcpForDnsLookups: Bool
        package var noDefaultSearchDomain: Bool

        package init(
            useTcpForDnsLookups: Bool = false,
            noDefaultSearchDomain: Bool = false
        ) {
            self.useTcpForDnsLookups = useTcpForDnsLookups
            self.noDefaultSearchDomain = noDefaultSearchDomain
        }

        package static let schema = MessageSchema<DnsResolverOptions>(
            "envoy.config.core.v3.DnsResolverOptions",
            empty: DnsResolverOptions()
        ) { schema in
            schema.field(1, "use_tcp_for_dns_lookups", \.useTcpForDnsLookups, .bool)
            schema.field(2, "no_default_search_domain", \.noDefaultSearchDomain, .bool)
        }
    }
}

extension Envoy {
    /// Name servers and how they are asked.
    ///
    /// `envoy.config.core.v3.DnsResolutionConfig`
    package struct DnsResolutionConfig: EnvoyMessage {
        package var resolvers: [Address]
        package var dnsResolverOptions: DnsResolverOptions?

        package init(
            resolvers: [Address] = [],
            dnsResolverOptions: DnsResolverOptions? = nil
        ) {
            self.resolvers = resolvers
            self.dnsResolverOptions = dnsResolverOptions
        }

        package static let schema = MessageSchema<DnsResolutionConfig>(
            "envoy.config.core.v3.DnsResolutionConfig",
            empty: DnsResolutionConfig()
        ) { schema in
            schema.repeated(1, "resolvers", \.resolvers, .message, [.minItems(1)])
            schema.optional(2, "dns_resolver_options", \.dnsResolverOptions, .message)
        }
    }
}

extension Envoy {
    /// Name servers and how c-ares asks them.
    ///
    /// `envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig`
    package struct CaresDnsResolverConfig: EnvoyMessage {
        /// None: the system's.
        package var resolvers: [Address]
        /// The system's name servers are asked, and these only where it has none.
        package var useResolversAsFallback: Bool
        package var dnsResolverOptions: DnsResolverOptions?
        /// The first try; later ones wait longer. nil is 5.
        package var queryTimeoutSeconds: UInt64?
        /// nil is 4.
        package var queryTries: UInt32?
        package var rotateNameservers: Bool

        package init(
            resolvers: [Address] = [],
            useResolversAsFallback: Bool = false,
            dnsResolverOptions: DnsResolverOptions? = nil,
            queryTimeoutSeconds: UInt64? = nil,
            queryTries: UInt32? = nil,
            rotateNameservers: Bool = false
        ) {
            self.resolvers = resolvers
            self.useResolversAsFallback = useResolversAsFallback
            self.dnsResolverOptions = dnsResolverOptions
            self.queryTimeoutSeconds = queryTimeoutSeconds
            self.queryTries = queryTries
            self.rotateNameservers = rotateNameservers
        }

        package static let schema = MessageSchema<CaresDnsResolverConfig>(
            "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
            empty: CaresDnsResolverConfig()
        ) { schema in
            schema.repeated(1, "resolvers", \.resolvers, .message)
            schema.field(3, "use_resolvers_as_fallback", \.useResolversAsFallback, .bool)
            schema.optional(2, "dns_resolver_options", \.dnsResolverOptions, .message)
            schema.optional(
                6,
                "query_timeout_seconds",
                \.queryTimeoutSeconds,
                .uint64Value,
                [.atLeast(1), .atMost(3600)]
            )
            schema.optional(7, "query_tries", \.queryTries, .uint32Value, [.atLeast(1), .atMost(100)])
            schema.field(8, "rotate_nameservers", \.rotateNameservers, .bool)
            schema.unsupported(
                "filter_unroutable_families=4 udp_max_queries=5 edns0_max_payload_size=9 max_udp_channel_duration=10 reinit_channel_on_timeout=11"
            )
        }
    }
}

extension Envoy {
    /// A resolver of names by name and type.
    ///
    /// `envoy.config.core.v3.TypedExtensionConfig`
    package struct DnsResolverExtension: EnvoyMessage {
        package var name: String
        package var typedConfig: DnsResolverConfig?

        package init(
            name: String = "",
            typedConfig: DnsResolverConfig? = nil
        ) {
            self.name = name
            self.typedConfig = typedConfig
        }

        package static let schema = MessageSchema<DnsResolverExtension>(
            "envoy.config.core.v3.TypedExtensionConfig",
            empty: DnsResolverExtension()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.optional(2, "typed_config", \.typedConfig, .any, [.required])
        }
    }
}

extension Envoy.Cluster {
    /// How soon a failed look-up is tried again: at random up to a limit that doubles.
    ///
    /// `envoy.config.cluster.v3.Cluster.RefreshRate`
    package struct RefreshRate: EnvoyMessage {
        package var baseInterval: Duration?
        /// nil is ten times the base.
        package var maxInterval: Duration?

        package init(
            baseInterval: Duration? = nil,
            maxInterval: Duration? = nil
        ) {
            self.baseInterval = baseInterval
            self.maxInterval = maxInterval
        }

        package static let schema = MessageSchema<RefreshRate>(
            "envoy.config.cluster.v3.Cluster.RefreshRate",
            empty: RefreshRate()
        ) { schema in
            schema.optional(
                1,
                "base_interval",
                \.baseInterval,
                .duration,
                [.required, .durationAbove(.milliseconds(1))]
            )
            schema.optional(2, "max_interval", \.maxInterval, .duration, [.durationAbove(.milliseconds(1))])
        }
    }
}
