package import Wire

extension Envoy.Cluster {
    /// How endpoints with certain metadata are spoken to.
    ///
    /// `envoy.config.cluster.v3.Cluster.TransportSocketMatch`
    package struct TransportSocketMatch: EnvoyMessage {
        package var name: String
        /// Fields of the endpoint's metadata under `envoy.transport_socket_match`.
        package var match: Value?
        package var transportSocket: Envoy.TransportSocket?

        package init(
            name: String = "",
            match: Value? = nil,
            transportSocket: Envoy.TransportSocket? = nil
        ) {
            self.name = name
            self.match = match
            self.transportSocket = transportSocket
        }

        package static let schema = MessageSchema<TransportSocketMatch>(
            "envoy.config.cluster.v3.Cluster.TransportSocketMatch",
            empty: TransportSocketMatch()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.optional(2, "match", \.match, .object)
            schema.optional(3, "transport_socket", \.transportSocket, .message)
        }
    }
}
