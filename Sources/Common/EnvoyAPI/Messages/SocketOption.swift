extension Envoy {
    /// An option that is set on a socket as `setsockopt` takes it.
    ///
    /// `envoy.config.core.v3.SocketOption`
    package struct SocketOption: EnvoyMessage {
        package var description: String
        package var level: Int64
        package var name: Int64
        package var intValue: Int64?
        package var bufValue: [UInt8]?
        package var state: SocketOption.SocketState

        package init(
            description: String = "",
            level: Int64 = 0,
            name: Int64 = 0,
            intValue: Int64? = nil,
            bufValue: [UInt8]? = nil,
            state: SocketOption.SocketState = .prebind
        ) {
            self.description = description
            self.level = level
            self.name = name
            self.intValue = intValue
            self.bufValue = bufValue
            self.state = state
        }

        package static let schema = MessageSchema<SocketOption>(
            "envoy.config.core.v3.SocketOption",
            empty: SocketOption()
        ) { schema in
            schema.oneof("value", isRequired: true)
            schema.field(1, "description", \.description, .string)
            schema.field(2, "level", \.level, .int64)
            schema.field(3, "name", \.name, .int64)
            schema.optional(4, "int_value", of: "value", \.intValue, .int64)
            schema.optional(5, "buf_value", of: "value", \.bufValue, .bytes, [.maxBytes(1024)])
            schema.field(6, "state", \.state, .enumeration)
            schema.unsupported(
                """
                type=7
                """
            )
        }

        /// Values of `envoy.config.core.v3.SocketOption.SocketState`.
        package enum SocketState: Int32, EnvoyEnum {
            case prebind = 0
            case bound = 1
            case listening = 2

            package static let names = EnumNames(
                "envoy.config.core.v3.SocketOption.SocketState",
                "STATE_PREBIND=0 STATE_BOUND=1 STATE_LISTENING=2"
            )
        }
    }
}
