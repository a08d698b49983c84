extension Envoy {
    /// One complete set of resources: what a watched file holds.
    ///
    /// `envoy.service.discovery.v3.DiscoveryResponse`
    package struct DiscoveryResponse: EnvoyMessage {
        /// The revision of this set, as its writer counts them.
        package var versionInfo: String
        /// Listeners, clusters, route configurations or endpoint assignments.
        package var resources: [Resource]
        /// The type of all resources, when they are of one type.
        package var typeUrl: String
        package var nonce: String
        package var controlPlane: ControlPlane?

        package init(
            versionInfo: String = "",
            resources: [Resource] = [],
            typeUrl: String = "",
            nonce: String = "",
            controlPlane: ControlPlane? = nil
        ) {
            self.versionInfo = versionInfo
            self.resources = resources
            self.typeUrl = typeUrl
            self.nonce = nonce
            self.controlPlane = controlPlane
        }

        package static let schema = MessageSchema<DiscoveryResponse>(
            "envoy.service.discovery.v3.DiscoveryResponse",
            empty: DiscoveryResponse()
        ) { schema in
            schema.field(1, "version_info", \.versionInfo, .string)
            schema.repeated(2, "resources", \.resources, .any)
            schema.field(4, "type_url", \.typeUrl, .string)
            schema.field(5, "nonce", \.nonce, .string)
            schema.optional(6, "control_plane", \.controlPlane, .message)
            schema.ignored(
                "canary=3",
                why: "nobody reads it"
            )
            schema.unsupported("resource_errors=7")
        }
    }
}

extension Envoy {
    /// Who wrote a set of resources.
    ///
    /// `envoy.config.core.v3.ControlPlane`
    package struct ControlPlane: EnvoyMessage {
        package var identifier: String

        package init(
            identifier: String = ""
        ) {
            self.identifier = identifier
        }

        package static let schema = MessageSchema<ControlPlane>(
            "envoy.config.core.v3.ControlPlane",
            empty: ControlPlane()
        ) { schema in
            schema.field(1, "identifier", \.identifier, .string)
        }
    }
}
