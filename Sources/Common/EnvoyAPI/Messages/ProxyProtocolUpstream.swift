extension Envoy {
    /// Tells endpoints of the client's address before anything else (PROXY protocol).
    ///
    /// `envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport`
    package struct ProxyProtocolUpstreamTransport: EnvoyMessage {
        package var config: ProxyProtocolConfig?
        /// How the bytes travel after the header.
        package var transportSocket: TransportSocket?

        package init(
            config: ProxyProtocolConfig? = nil,
            transportSocket: TransportSocket? = nil
        ) {
            self.config = config
            self.transportSocket = transportSocket
        }

        package static let schema = MessageSchema<ProxyProtocolUpstreamTransport>(
            "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
            empty: ProxyProtocolUpstreamTransport()
        ) { schema in
            schema.optional(1, "config", \.config, .message)
            schema.optional(2, "transport_socket", \.transportSocket, .message, [.required])
            schema.unsupported(
                """
                allow_unspecified_address=3 tlv_as_pool_key=4
                """
            )
        }
    }
}

extension Envoy {
    /// What the header looks like.
    ///
    /// `envoy.config.core.v3.ProxyProtocolConfig`
    package struct ProxyProtocolConfig: EnvoyMessage {
        package var version: ProxyProtocolVersion
        /// For version 2.
        package var addedTlvs: [TlvEntry]

        package init(
            version: ProxyProtocolVersion = .v1,
            addedTlvs: [TlvEntry] = []
        ) {
            self.version = version
            self.addedTlvs = addedTlvs
        }

        package static let schema = MessageSchema<ProxyProtocolConfig>(
            "envoy.config.core.v3.ProxyProtocolConfig",
            empty: ProxyProtocolConfig()
        ) { schema in
            schema.field(1, "version", \.version, .enumeration)
            schema.repeated(3, "added_tlvs", \.addedTlvs, .message)
            schema.unsupported(
                """
                pass_through_tlvs=2
                """
            )
        }
    }
}

extension Envoy {
    /// A value beside the addresses.
    ///
    /// `envoy.config.core.v3.TlvEntry`
    package struct TlvEntry: EnvoyMessage {
        package var type: UInt32
        package var value: [UInt8]

        package init(
            type: UInt32 = 0,
            value: [UInt8] = []
        ) {
            self.type = type
            self.value = value
        }

        package static let schema = MessageSchema<TlvEntry>(
            "envoy.config.core.v3.TlvEntry",
            empty: TlvEntry()
        ) { schema in
            schema.field(1, "type", \.type, .uint32, [.below(256)])
            schema.field(2, "value", \.value, .bytes, [.maxBytes(4096)])
            schema.unsupported(
                """
                format_string=3
                """
            )
        }
    }
}
