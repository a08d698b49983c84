extension Envoy {
    /// A service that is called over gRPC.
    ///
    /// `envoy.config.core.v3.GrpcService`
    package struct GrpcService: EnvoyMessage {
        package var envoyGrpc: GrpcService.EnvoyGrpc?
        package var timeout: Duration?
        package var initialMetadata: [HeaderValue]

        package init(
            envoyGrpc: GrpcService.EnvoyGrpc? = nil,
            timeout: Duration? = nil,
            initialMetadata: [HeaderValue] = []
        ) {
            self.envoyGrpc = envoyGrpc
            self.timeout = timeout
            self.initialMetadata = initialMetadata
        }

        package static let schema = MessageSchema<GrpcService>(
            "envoy.config.core.v3.GrpcService",
            empty: GrpcService()
        ) { schema in
            schema.oneof("target_specifier", isRequired: true)
            schema.optional(1, "envoy_grpc", of: "target_specifier", \.envoyGrpc, .message)
            schema.optional(3, "timeout", \.timeout, .duration)
            schema.repeated(5, "initial_metadata", \.initialMetadata, .message)
            schema.unsupported("google_grpc=2", of: "target_specifier", why: "use envoy_grpc with a cluster")
            schema.unsupported("retry_policy=6")
        }

        /// The service behind a cluster.
        ///
        /// `envoy.config.core.v3.GrpcService.EnvoyGrpc`
        package struct EnvoyGrpc: EnvoyMessage {
            package var clusterName: String
            /// In place of the cluster's name.
            package var authority: String

            package init(clusterName: String = "", authority: String = "") {
                self.clusterName = clusterName
                self.authority = authority
            }

            package static let schema = MessageSchema<EnvoyGrpc>(
                "envoy.config.core.v3.GrpcService.EnvoyGrpc",
                empty: EnvoyGrpc()
            ) { schema in
                schema.field(1, "cluster_name", \.clusterName, .string, [.minLength(1)])
                schema.field(2, "authority", \.authority, .string)
                schema.ignored("skip_envoy_headers=5", why: "calls of the proxy's own carry no fields of Envoy's")
                schema.unsupported("retry_policy=3 max_receive_message_length=4")
            }
        }
    }
}
