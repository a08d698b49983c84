extension Envoy {
    /// An address on which connections are accepted, or to which they were going, and what happens to them.
    ///
    /// `envoy.config.listener.v3.Listener`
    package struct Listener: EnvoyMessage {
        package var name: String
        package var address: Address?
        package var additionalAddresses: [AdditionalAddress]
        package var statPrefix: String
        package var filterChains: [FilterChain]
        /// Hand a connection to the listener of its original destination, when there is one.
        package var useOriginalDst: Bool?
        /// The chain for connections that match none.
        package var defaultFilterChain: FilterChain?
        package var perConnectionBufferLimitBytes: UInt32?
        package var metadata: Metadata?
        package var listenerFilters: [ListenerFilter]
        /// How long the listener filters may wait for bytes; 0 is for ever, nil the default of 15 s.
        package var listenerFiltersTimeout: Duration?
        package var continueOnListenerFiltersTimeout: Bool
        package var trafficDirection: TrafficDirection
        package var accessLog: [AccessLog]
        package var enableReusePort: Bool?
        /// false: no socket; connections arrive by hand-over from a listener with `useOriginalDst`.
        package var bindToPort: Bool?
        package var tcpBacklogSize: UInt32?
        package var transparent: Bool?
        package var freebind: Bool?
        package var socketOptions: [SocketOption]
        package var tcpFastOpenQueueLength: UInt32?
        package var tcpKeepalive: TcpKeepalive?
        package var maxConnectionsToAcceptPerSocketEvent: UInt32?
        package var ignoreGlobalConnLimit: Bool
        package var bypassOverloadManager: Bool
        package var drainType: Listener.DrainType

        package init(
            name: String = "",
            address: Address? = nil,
            additionalAddresses: [AdditionalAddress] = [],
            statPrefix: String = "",
            filterChains: [FilterChain] = [],
            useOriginalDst: Bool? = nil,
            defaultFilterChain: FilterChain? = nil,
            perConnectionBufferLimitBytes: UInt32? = nil,
            metadata: Metadata? = nil,
            listenerFilters: [ListenerFilter] = [],
            listenerFiltersTimeout: Duration? = nil,
            continueOnListenerFiltersTimeout: Bool = false,
            trafficDirection: TrafficDirection = .unspecified,
            accessLog: [AccessLog] = [],
            enableReusePort: Bool? = nil,
            bindToPort: Bool? = nil,
            tcpBacklogSize: UInt32? = nil,
            transparent: Bool? = nil,
            freebind: Bool? = nil,
            socketOptions: [SocketOption] = [],
            tcpFastOpenQueueLength: UInt32? = nil,
            tcpKeepalive: TcpKeepalive? = nil,
            maxConnectionsToAcceptPerSocketEvent: UInt32? = nil,
            ignoreGlobalConnLimit: Bool = false,
            bypassOverloadManager: Bool = false,
            drainType: Listener.DrainType = .default
        ) {
            self.name = name
            self.address = address
            self.additionalAddresses = additionalAddresses
            self.statPrefix = statPrefix
            self.filterChains = filterChains
            self.useOriginalDst = useOriginalDst
            self.defaultFilterChain = defaultFilterChain
            self.perConnectionBufferLimitBytes = perConnectionBufferLimitBytes
            self.metadata = metadata
            self.listenerFilters = listenerFilters
            self.listenerFiltersTimeout = listenerFiltersTimeout
            self.continueOnListenerFiltersTimeout = continueOnListenerFiltersTimeout
            self.trafficDirection = trafficDirection
            self.accessLog = accessLog
            self.enableReusePort = enableReusePort
            self.bindToPort = bindToPort
            self.tcpBacklogSize = tcpBacklogSize
            self.transparent = transparent
            self.freebind = freebind
            self.socketOptions = socketOptions
            self.tcpFastOpenQueueLength = tcpFastOpenQueueLength
            self.tcpKeepalive = tcpKeepalive
            self.maxConnectionsToAcceptPerSocketEvent = maxConnectionsToAcceptPerSocketEvent
            self.ignoreGlobalConnLimit = ignoreGlobalConnLimit
            self.bypassOverloadManager = bypassOverloadManager
            self.drainType = drainType
        }

        package static let schema = MessageSchema<Listener>(
            "envoy.config.listener.v3.Listener",
            empty: Listener()
        ) { schema in
            schema.field(1, "name", \.name, .string)
            schema.optional(2, "address", \.address, .message)
            schema.repeated(33, "additional_addresses", \.additionalAddresses, .message)
            schema.field(28, "stat_prefix", \.statPrefix, .string)
            schema.repeated(3, "filter_chains", \.filterChains, .message)
            schema.optional(4, "use_original_dst", \.useOriginalDst, .boolValue)
            schema.optional(25, "default_filter_chain", \.defaultFilterChain, .message)
            schema.optional(5, "per_connection_buffer_limit_bytes", \.perConnectionBufferLimitBytes, .uint32Value)
            schema.optional(6, "metadata", \.metadata, .message)
            schema.repeated(9, "listener_filters", \.listenerFilters, .message)
            schema.optional(15, "listener_filters_timeout", \.listenerFiltersTimeout, .duration)
            schema.field(17, "continue_on_listener_filters_timeout", \.continueOnListenerFiltersTimeout, .bool)
            schema.field(16, "traffic_direction", \.trafficDirection, .enumeration)
            schema.repeated(22, "access_log", \.accessLog, .message)
            schema.optional(29, "enable_reuse_port", \.enableReusePort, .boolValue)
            schema.optional(26, "bind_to_port", \.bindToPort, .boolValue)
            schema.optional(24, "tcp_backlog_size", \.tcpBacklogSize, .uint32Value)
            schema.optional(10, "transparent", \.transparent, .boolValue)
            schema.optional(11, "freebind", \.freebind, .boolValue)
            schema.repeated(13, "socket_options", \.socketOptions, .message)
            schema.optional(12, "tcp_fast_open_queue_length", \.tcpFastOpenQueueLength, .uint32Value)
            schema.optional(37, "tcp_keepalive", \.tcpKeepalive, .message)
            schema.optional(
                34,
                "max_connections_to_accept_per_socket_event",
                \.maxConnectionsToAcceptPerSocketEvent,
                .uint32Value,
                [.atLeast(1)]
            )
            schema.field(31, "ignore_global_conn_limit", \.ignoreGlobalConnLimit, .bool)
            schema.field(35, "bypass_overload_manager", \.bypassOverloadManager, .bool)
            schema.field(8, "drain_type", \.drainType, .enumeration)
            schema.unsupported(
                """
                fcds_config=36 filter_chain_matcher=32 deprecated_v1=7 udp_listener_config=18 api_listener=19
                internal_listener=27 enable_mptcp=30 connection_balance_config=20 reuse_port=21
                """
            )
        }
    }
}

extension Envoy {
    /// One more address of a listener.
    ///
    /// `envoy.config.listener.v3.AdditionalAddress`
    package struct AdditionalAddress: EnvoyMessage {
        package var address: Address?
        /// In place of the listener's, when there are some.
        package var socketOptions: SocketOptionsOverride?
        package var tcpKeepalive: TcpKeepalive?

        package init(
            address: Address? = nil,
            socketOptions: SocketOptionsOverride? = nil,
            tcpKeepalive: TcpKeepalive? = nil
        ) {
            self.address = address
            self.socketOptions = socketOptions
            self.tcpKeepalive = tcpKeepalive
        }

        package static let schema = MessageSchema<AdditionalAddress>(
            "envoy.config.listener.v3.AdditionalAddress",
            empty: AdditionalAddress()
        ) { schema in
            schema.optional(1, "address", \.address, .message)
            schema.optional(2, "socket_options", \.socketOptions, .message)
            schema.optional(3, "tcp_keepalive", \.tcpKeepalive, .message)
        }
    }
}

extension Envoy {
    /// A look at a connection before its filter chain is chosen.
    ///
    /// `envoy.config.listener.v3.ListenerFilter`
    package struct ListenerFilter: EnvoyMessage {
        package var name: String
        package var typedConfig: ListenerFilterConfig?

        package init(
            name: String = "",
            typedConfig: ListenerFilterConfig? = nil
        ) {
            self.name = name
            self.typedConfig = typedConfig
        }

        package static let schema = MessageSchema<ListenerFilter>(
            "envoy.config.listener.v3.ListenerFilter",
            empty: ListenerFilter()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.oneof("config_type")
            schema.optional(3, "typed_config", of: "config_type", \.typedConfig, .any)
            schema.unsupported("config_discovery=5", of: "config_type")
            schema.unsupported("filter_disabled=4")
        }
    }
}

extension Envoy {
    /// Takes the destination from before the redirection (SO_ORIGINAL_DST).
    ///
    /// `envoy.extensions.filters.listener.original_dst.v3.OriginalDst`
    package struct OriginalDst: EnvoyMessage {
        package init() {}

        package static let schema = MessageSchema<OriginalDst>(
            "envoy.extensions.filters.listener.original_dst.v3.OriginalDst",
            empty: OriginalDst()
        ) { _ in }
    }
}

extension Envoy {
    /// Tells HTTP from other protocols by the first bytes.
    ///
    /// `envoy.extensions.filters.listener.http_inspector.v3.HttpInspector`
    package struct HttpInspector: EnvoyMessage {
        package init() {}

        package static let schema = MessageSchema<HttpInspector>(
            "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
            empty: HttpInspector()
        ) { _ in }
    }
}

extension Envoy {
    /// Takes the client's address from the header that a balancer in front sends (PROXY protocol).
    ///
    /// `envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol`
    package struct ProxyProtocol: EnvoyMessage {
        package var allowRequestsWithoutProxyProtocol: Bool
        package var disallowedVersions: [ProxyProtocolVersion]
        package var statPrefix: String

        package init(
            allowRequestsWithoutProxyProtocol: Bool = false,
            disallowedVersions: [ProxyProtocolVersion] = [],
            statPrefix: String = ""
        ) {
            self.allowRequestsWithoutProxyProtocol = allowRequestsWithoutProxyProtocol
            self.disallowedVersions = disallowedVersions
            self.statPrefix = statPrefix
        }

        package static let schema = MessageSchema<ProxyProtocol>(
            "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
            empty: ProxyProtocol()
        ) { schema in
            schema.field(
                2,
                "allow_requests_without_proxy_protocol",
                \.allowRequestsWithoutProxyProtocol,
                .bool
            )
            schema.repeated(4, "disallowed_versions", \.disallowedVersions, .enumeration)
            schema.field(5, "stat_prefix", \.statPrefix, .string)
            schema.unsupported("rules=1 pass_through_tlvs=3")
        }
    }

    /// `envoy.config.core.v3.ProxyProtocolConfig.Version`
    package enum ProxyProtocolVersion: Int32, EnvoyEnum {
        case v1 = 0
        case v2 = 1

        package static let names = EnumNames("envoy.config.core.v3.ProxyProtocolConfig.Version", "V1=0 V2=1")
    }
}

extension Envoy {
    /// What handles the connections that match.
    ///
    /// `envoy.config.listener.v3.FilterChain`
    package struct FilterChain: EnvoyMessage {
        package var name: String
        package var filterChainMatch: FilterChainMatch?
        package var filters: [Filter]
        package var metadata: Metadata?
        package var transportSocket: TransportSocket?
        /// For the TLS handshake; nil is 15 s, 0 never.
        package var transportSocketConnectTimeout: Duration?

        package init(
            name: String = "",
            filterChainMatch: FilterChainMatch? = nil,
            filters: [Filter] = [],
            metadata: Metadata? = nil,
            transportSocket: TransportSocket? = nil,
            transportSocketConnectTimeout: Duration? = nil
        ) {
            self.name = name
            self.filterChainMatch = filterChainMatch
            self.filters = filters
            self.metadata = metadata
            self.transportSocket = transportSocket
            self.transportSocketConnectTimeout = transportSocketConnectTimeout
        }

        package static let schema = MessageSchema<FilterChain>(
            "envoy.config.listener.v3.FilterChain",
            empty: FilterChain()
        ) { schema in
            schema.field(7, "name", \.name, .string)
            schema.optional(1, "filter_chain_match", \.filterChainMatch, .message)
            schema.repeated(3, "filters", \.filters, .message)
            schema.optional(5, "metadata", \.metadata, .message)
            schema.optional(6, "transport_socket", \.transportSocket, .message)
            schema.optional(9, "transport_socket_connect_timeout", \.transportSocketConnectTimeout, .duration)
            schema.unsupported("use_proxy_proto=4")
        }
    }
}

extension Envoy {
    /// Which connections a filter chain takes.
    ///
    /// `envoy.config.listener.v3.FilterChainMatch`
    package struct FilterChainMatch: EnvoyMessage {
        package var destinationPort: UInt32?
        package var prefixRanges: [CidrRange]
        package var directSourcePrefixRanges: [CidrRange]
        package var sourceType: FilterChainMatch.ConnectionSourceType
        package var sourcePrefixRanges: [CidrRange]
        package var sourcePorts: [UInt32]
        package var serverNames: [String]
        package var transportProtocol: String
        /// `http/1.0` and `http/1.1` after the HTTP inspector.
        package var applicationProtocols: [String]

        package init(
            destinationPort: UInt32? = nil,
            prefixRanges: [CidrRange] = [],
            directSourcePrefixRanges: [CidrRange] = [],
            sourceType: FilterChainMatch.ConnectionSourceType = .any,
            sourcePrefixRanges: [CidrRange] = [],
            sourcePorts: [UInt32] = [],
            serverNames: [String] = [],
            transportProtocol: String = "",
            applicationProtocols: [String] = []
        ) {
            self.destinationPort = destinationPort
            self.prefixRanges = prefixRanges
            self.directSourcePrefixRanges = directSourcePrefixRanges
            self.sourceType = sourceType
            self.sourcePrefixRanges = sourcePrefixRanges
            self.sourcePorts = sourcePorts
            self.serverNames = serverNames
            self.transportProtocol = transportProtocol
            self.applicationProtocols = applicationProtocols
        }

        package static let schema = MessageSchema<FilterChainMatch>(
            "envoy.config.listener.v3.FilterChainMatch",
            empty: FilterChainMatch()
        ) { schema in
            schema.optional(8, "destination_port", \.destinationPort, .uint32Value, [.atMost(65535), .atLeast(1)])
            schema.repeated(3, "prefix_ranges", \.prefixRanges, .message)
            schema.repeated(13, "direct_source_prefix_ranges", \.directSourcePrefixRanges, .message)
            schema.field(12, "source_type", \.sourceType, .enumeration)
            schema.repeated(6, "source_prefix_ranges", \.sourcePrefixRanges, .message)
            schema.repeated(7, "source_ports", \.sourcePorts, .uint32, [.atMost(65535), .atLeast(1)])
            schema.repeated(11, "server_names", \.serverNames, .string)
            schema.field(9, "transport_protocol", \.transportProtocol, .string)
            schema.repeated(10, "application_protocols", \.applicationProtocols, .string)
            schema.unsupported("address_suffix=4 suffix_len=5")
        }
    }
}

extension Envoy {
    /// A network filter.
    ///
    /// `envoy.config.listener.v3.Filter`
    package struct Filter: EnvoyMessage {
        package var name: String
        package var typedConfig: NetworkFilterConfig?

        package init(
            name: String = "",
            typedConfig: NetworkFilterConfig? = nil
        ) {
            self.name = name
            self.typedConfig = typedConfig
        }

        package static let schema = MessageSchema<Filter>(
            "envoy.config.listener.v3.Filter",
            empty: Filter()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.oneof("config_type")
            schema.optional(4, "typed_config", of: "config_type", \.typedConfig, .any)
            schema.unsupported("config_discovery=5", of: "config_type")
        }
    }
}

extension Envoy {
    /// Values of `envoy.config.core.v3.TrafficDirection`.
    package enum TrafficDirection: Int32, EnvoyEnum {
        case unspecified = 0
        case inbound = 1
        case outbound = 2

        package static let names = EnumNames(
            "envoy.config.core.v3.TrafficDirection",
            "UNSPECIFIED=0 INBOUND=1 OUTBOUND=2"
        )
    }
}

extension Envoy.FilterChainMatch {
    /// Values of `envoy.config.listener.v3.FilterChainMatch.ConnectionSourceType`.
    package enum ConnectionSourceType: Int32, EnvoyEnum {
        case any = 0
        case sameIpOrLoopback = 1
        case external = 2

        package static let names = EnumNames(
            "envoy.config.listener.v3.FilterChainMatch.ConnectionSourceType",
            "ANY=0 SAME_IP_OR_LOOPBACK=1 EXTERNAL=2"
        )
    }
}

extension Envoy.Listener {
    /// Values of `envoy.config.listener.v3.Listener.DrainType`.
    package enum DrainType: Int32, EnvoyEnum {
        case `default` = 0
        /// Not by the admin's `/healthcheck/fail`.
        case modifyOnly = 1

        package static let names = EnumNames(
            "envoy.config.listener.v3.Listener.DrainType",
            "DEFAULT=0 MODIFY_ONLY=1"
        )
    }
}

extension Envoy {
    /// Socket options in place of those that hold otherwise.
    ///
    /// `envoy.config.core.v3.SocketOptionsOverride`
    package struct SocketOptionsOverride: EnvoyMessage {
        package var socketOptions: [SocketOption]

        package init(
            socketOptions: [SocketOption] = []
        ) {
            self.socketOptions = socketOptions
        }

        package static let schema = MessageSchema<SocketOptionsOverride>(
            "envoy.config.core.v3.SocketOptionsOverride",
            empty: SocketOptionsOverride()
        ) { schema in
            schema.repeated(1, "socket_options", \.socketOptions, .message)
        }
    }
}
