extension Envoy {
    /// Where to listen or to connect.
    ///
    /// `envoy.config.core.v3.Address`
    package struct Address: EnvoyMessage {
        /// What kind of address this is.
        package var kind: Kind?

        /// One of these.
        package enum Kind: Sendable, Equatable {
            case socket(SocketAddress)
            case pipe(Pipe)
        }

        package init(
            kind: Kind? = nil
        ) {
            self.kind = kind
        }

        package static let schema = MessageSchema<Address>(
            "envoy.config.core.v3.Address",
            empty: Address()
        ) { schema in
            schema.oneof("address", isRequired: true)
            schema.choice(1, "socket_address", of: "address", \.kind, .message) {
                .socket($0)
            } get: {
                if case .socket(let value) = $0 { value } else { nil }
            }
            schema.choice(2, "pipe", of: "address", \.kind, .message) {
                .pipe($0)
            } get: {
                if case .pipe(let value) = $0 { value } else { nil }
            }
            schema.unsupported("envoy_internal_address=3", of: "address")
        }
    }
}

extension Envoy {
    /// An address and a port, in the network namespace of the proxy or in another one.
    ///
    /// `envoy.config.core.v3.SocketAddress`
    package struct SocketAddress: EnvoyMessage {
        package var `protocol`: SocketAddress.TransportProtocol
        /// An IP address; a host name in clusters of the DNS types.
        package var address: String
        /// 0...65535; the kernel chooses for 0.
        package var portValue: UInt32?
        package var ipv4Compat: Bool
        /// An nsfs file (`/proc/<pid>/ns/net`) or the socket of a broker that hands out sockets of its network
        /// namespace. Empty: the proxy's own.
        package var networkNamespaceFilepath: String

        package init(
            protocol: SocketAddress.TransportProtocol = .tcp,
            address: String = "",
            portValue: UInt32? = nil,
            ipv4Compat: Bool = false,
            networkNamespaceFilepath: String = ""
        ) {
            self.protocol = `protocol`
            self.address = address
            self.portValue = portValue
            self.ipv4Compat = ipv4Compat
            self.networkNamespaceFilepath = networkNamespaceFilepath
        }

        package static let schema = MessageSchema<SocketAddress>(
            "envoy.config.core.v3.SocketAddress",
            empty: SocketAddress()
        ) { schema in
            schema.field(1, "protocol", \.`protocol`, .enumeration)
            schema.field(2, "address", \.address, .string, [.minLength(1)])
            schema.oneof("port_specifier", isRequired: true)
            schema.optional(3, "port_value", of: "port_specifier", \.portValue, .uint32, [.atMost(65535)])
            schema.field(6, "ipv4_compat", \.ipv4Compat, .bool)
            schema.field(7, "network_namespace_filepath", \.networkNamespaceFilepath, .string)
            schema.unsupported("named_port=4", of: "port_specifier")
            schema.unsupported("resolver_name=5")
        }
    }
}

extension Envoy {
    /// A Unix domain socket.
    ///
    /// `envoy.config.core.v3.Pipe`
    package struct Pipe: EnvoyMessage {
        /// The path; `@name` is in the abstract namespace.
        package var path: String
        /// Permissions of the socket file.
        package var mode: UInt32

        package init(
            path: String = "",
            mode: UInt32 = 0
        ) {
            self.path = path
            self.mode = mode
        }

        package static let schema = MessageSchema<Pipe>(
            "envoy.config.core.v3.Pipe",
            empty: Pipe()
        ) { schema in
            schema.field(1, "path", \.path, .string, [.minLength(1)])
            schema.field(2, "mode", \.mode, .uint32, [.atMost(511)])
        }
    }
}

extension Envoy {
    /// A range of IP addresses.
    ///
    /// `envoy.config.core.v3.CidrRange`
    package struct CidrRange: EnvoyMessage {
        package var addressPrefix: String
        package var prefixLen: UInt32?

        package init(
            addressPrefix: String = "",
            prefixLen: UInt32? = nil
        ) {
            self.addressPrefix = addressPrefix
            self.prefixLen = prefixLen
        }

        package static let schema = MessageSchema<CidrRange>(
            "envoy.config.core.v3.CidrRange",
            empty: CidrRange()
        ) { schema in
            schema.field(1, "address_prefix", \.addressPrefix, .string, [.minLength(1)])
            schema.optional(2, "prefix_len", \.prefixLen, .uint32Value, [.atMost(128)])
        }
    }
}

extension Envoy {
    /// From where connections to an upstream are made.
    ///
    /// `envoy.config.core.v3.BindConfig`
    package struct BindConfig: EnvoyMessage {
        package var sourceAddress: SocketAddress?
        package var freebind: Bool?
        package var socketOptions: [SocketOption]

        package init(
            sourceAddress: SocketAddress? = nil,
            freebind: Bool? = nil,
            socketOptions: [SocketOption] = []
        ) {
            self.sourceAddress = sourceAddress
            self.freebind = freebind
            self.socketOptions = socketOptions
        }

        package static let schema = MessageSchema<BindConfig>(
            "envoy.config.core.v3.BindConfig",
            empty: BindConfig()
        ) { schema in
            schema.optional(1, "source_address", \.sourceAddress, .message)
            schema.optional(2, "freebind", \.freebind, .boolValue)
            schema.repeated(3, "socket_options", \.socketOptions, .message)
            schema.unsupported(
                """
                extra_source_addresses=5 additional_source_addresses=4
                local_address_selector=6
                """
            )
        }
    }
}

extension Envoy {
    /// Keep-alive probes of a TCP connection.
    ///
    /// `envoy.config.core.v3.TcpKeepalive`
    package struct TcpKeepalive: EnvoyMessage {
        package var keepaliveProbes: UInt32?
        /// Idle seconds before the first probe.
        package var keepaliveTime: UInt32?
        /// Seconds between probes.
        package var keepaliveInterval: UInt32?

        package init(
            keepaliveProbes: UInt32? = nil,
            keepaliveTime: UInt32? = nil,
            keepaliveInterval: UInt32? = nil
        ) {
            self.keepaliveProbes = keepaliveProbes
            self.keepaliveTime = keepaliveTime
            self.keepaliveInterval = keepaliveInterval
        }

        package static let schema = MessageSchema<TcpKeepalive>(
            "envoy.config.core.v3.TcpKeepalive",
            empty: TcpKeepalive()
        ) { schema in
            schema.optional(1, "keepalive_probes", \.keepaliveProbes, .uint32Value)
            schema.optional(2, "keepalive_time", \.keepaliveTime, .uint32Value)
            schema.optional(3, "keepalive_interval", \.keepaliveInterval, .uint32Value)
        }
    }
}

extension Envoy.SocketAddress {
    /// Values of `envoy.config.core.v3.SocketAddress.Protocol`.
    package enum TransportProtocol: Int32, EnvoyEnum {
        case tcp = 0

        package static let names = EnumNames(
            "envoy.config.core.v3.SocketAddress.Protocol",
            "TCP=0",
            unsupported: "UDP=1"
        )
    }
}
