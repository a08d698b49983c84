package import Wire

extension Envoy {
    /// A message of any type, unread.
    ///
    /// `google.protobuf.Any`
    package struct AnyBytes: EnvoyMessage {
        package var typeUrl: String
        package var value: [UInt8]

        package init(typeUrl: String = "", value: [UInt8] = []) {
            self.typeUrl = typeUrl
            self.value = value
        }

        package static let schema = MessageSchema<AnyBytes>(
            "google.protobuf.Any",
            empty: AnyBytes()
        ) { schema in
            schema.field(1, "type_url", \.typeUrl, .string)
            schema.field(2, "value", \.value, .bytes)
        }
    }

    /// How something ended.
    ///
    /// `google.rpc.Status`
    package struct Status: EnvoyMessage {
        /// As gRPC numbers them; 3 = INVALID_ARGUMENT.
        package var code: Int32
        package var message: String

        package init(code: Int32 = 0, message: String = "") {
            self.code = code
            self.message = message
        }

        package static let schema = MessageSchema<Status>(
            "google.rpc.Status",
            empty: Status()
        ) { schema in
            schema.field(1, "code", \.code, .int32)
            schema.field(2, "message", \.message, .string)
            schema.ignored("details=3", why: "the message says what is to be read")
        }
    }

    /// A subscriber asks for resources of a type, or says what it thinks of those that came.
    ///
    /// `envoy.service.discovery.v3.DiscoveryRequest`
    package struct DiscoveryRequest: EnvoyMessage {
        /// The last version that was accepted.
        package var versionInfo: String
        package var node: Node?
        package var resourceNames: [String]
        package var typeUrl: String
        /// Of the response that this answers; empty: it answers none.
        package var responseNonce: String
        /// Why that response was refused.
        package var errorDetail: Status?

        package init(
            versionInfo: String = "",
            node: Node? = nil,
            resourceNames: [String] = [],
            typeUrl: String = "",
            responseNonce: String = "",
            errorDetail: Status? = nil
        ) {
            self.versionInfo = versionInfo
            self.node = node
            self.resourceNames = resourceNames
            self.typeUrl = typeUrl
            self.responseNonce = responseNonce
            self.errorDetail = errorDetail
        }

        package static let schema = MessageSchema<DiscoveryRequest>(
            "envoy.service.discovery.v3.DiscoveryRequest",
            empty: DiscoveryRequest()
        ) { schema in
            schema.field(1, "version_info", \.versionInfo, .string)
            schema.optional(2, "node", \.node, .message)
            schema.repeated(3, "resource_names", \.resourceNames, .string)
            schema.field(4, "type_url", \.typeUrl, .string)
            schema.field(5, "response_nonce", \.responseNonce, .string)
            schema.optional(6, "error_detail", \.errorDetail, .message)
            schema.unsupported("resource_locators=7")
        }
    }

    /// `DiscoveryResponse` with its resources unread: what travels over a stream.
    ///
    /// `envoy.service.discovery.v3.DiscoveryResponse`
    package struct RawDiscoveryResponse: EnvoyMessage {
        package var versionInfo: String
        package var resources: [AnyBytes]
        package var typeUrl: String
        package var nonce: String
        package var controlPlane: ControlPlane?

        package init(
            versionInfo: String = "",
            resources: [AnyBytes] = [],
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

        package static let schema = MessageSchema<RawDiscoveryResponse>(
            "envoy.service.discovery.v3.DiscoveryResponse",
            empty: RawDiscoveryResponse()
        ) { schema in
            schema.field(1, "version_info", \.versionInfo, .string)
            schema.repeated(2, "resources", \.resources, .message)
            schema.field(4, "type_url", \.typeUrl, .string)
            schema.field(5, "nonce", \.nonce, .string)
            schema.optional(6, "control_plane", \.controlPlane, .message)
            schema.ignored("canary=3 resource_errors=7", why: "a resource that does not come is waited for")
        }
    }
}

extension Envoy {
    /// A subscriber changes what it wants, or says what it thinks of what came: the incremental protocol.
    ///
    /// `envoy.service.discovery.v3.DeltaDiscoveryRequest`
    package struct DeltaDiscoveryRequest: EnvoyMessage {
        package var node: Node?
        package var typeUrl: String
        package var resourceNamesSubscribe: [String]
        package var resourceNamesUnsubscribe: [String]
        /// By name what the subscriber has already: in the first request of a type on a stream.
        package var initialResourceVersions: [String: String]
        package var responseNonce: String
        package var errorDetail: Status?

        package init(
            node: Node? = nil,
            typeUrl: String = "",
            resourceNamesSubscribe: [String] = [],
            resourceNamesUnsubscribe: [String] = [],
            initialResourceVersions: [String: String] = [:],
            responseNonce: String = "",
            errorDetail: Status? = nil
        ) {
            self.node = node
            self.typeUrl = typeUrl
            self.resourceNamesSubscribe = resourceNamesSubscribe
            self.resourceNamesUnsubscribe = resourceNamesUnsubscribe
            self.initialResourceVersions = initialResourceVersions
            self.responseNonce = responseNonce
            self.errorDetail = errorDetail
        }

        package static let schema = MessageSchema<DeltaDiscoveryRequest>(
            "envoy.service.discovery.v3.DeltaDiscoveryRequest",
            empty: DeltaDiscoveryRequest()
        ) { schema in
            schema.optional(1, "node", \.node, .message)
            schema.field(2, "type_url", \.typeUrl, .string)
            schema.repeated(3, "resource_names_subscribe", \.resourceNamesSubscribe, .string)
            schema.repeated(4, "resource_names_unsubscribe", \.resourceNamesUnsubscribe, .string)
            schema.map(5, "initial_resource_versions", \.initialResourceVersions, .string)
            schema.field(6, "response_nonce", \.responseNonce, .string)
            schema.optional(7, "error_detail", \.errorDetail, .message)
            schema.unsupported("resource_locators_subscribe=8 resource_locators_unsubscribe=9")
        }
    }

    /// What became new and what is gone.
    ///
    /// `envoy.service.discovery.v3.DeltaDiscoveryResponse`
    package struct DeltaDiscoveryResponse: EnvoyMessage {
        /// For people only.
        package var systemVersionInfo: String
        package var resources: [DiscoveryResource]
        package var typeUrl: String
        package var nonce: String
        package var removedResources: [String]
        package var controlPlane: ControlPlane?

        package init(
            systemVersionInfo: String = "",
            resources: [DiscoveryResource] = [],
            typeUrl: String = "",
            nonce: String = "",
            removedResources: [String] = [],
            controlPlane: ControlPlane? = nil
        ) {
            self.systemVersionInfo = systemVersionInfo
            self.resources = resources
            self.typeUrl = typeUrl
            self.nonce = nonce
            self.removedResources = removedResources
            self.controlPlane = controlPlane
        }

        package static let schema = MessageSchema<DeltaDiscoveryResponse>(
            "envoy.service.discovery.v3.DeltaDiscoveryResponse",
            empty: DeltaDiscoveryResponse()
        ) { schema in
            schema.field(1, "system_version_info", \.systemVersionInfo, .string)
            schema.repeated(2, "resources", \.resources, .message)
            schema.field(4, "type_url", \.typeUrl, .string)
            schema.field(5, "nonce", \.nonce, .string)
            schema.repeated(6, "removed_resources", \.removedResources, .string)
            schema.optional(7, "control_plane", \.controlPlane, .message)
            schema.ignored(
                "removed_resource_names=8 resource_errors=9",
                why: "removed_resources names what is gone, and a resource that does not come is waited for"
            )
        }
    }

    /// A resource with its name, its version and how long it is good for.
    ///
    /// `envoy.service.discovery.v3.Resource`
    package struct DiscoveryResource: EnvoyMessage {
        package var name: String
        package var version: String
        /// nil: only its life is renewed (a heartbeat).
        package var resource: AnyBytes?
        package var aliases: [String]
        /// nil: for ever.
        package var ttl: Duration?

        package init(
            name: String = "",
            version: String = "",
            resource: AnyBytes? = nil,
            aliases: [String] = [],
            ttl: Duration? = nil
        ) {
            self.name = name
            self.version = version
            self.resource = resource
            self.aliases = aliases
            self.ttl = ttl
        }

        package static let schema = MessageSchema<DiscoveryResource>(
            "envoy.service.discovery.v3.Resource",
            empty: DiscoveryResource()
        ) { schema in
            schema.field(1, "version", \.version, .string)
            schema.optional(2, "resource", \.resource, .message)
            schema.field(3, "name", \.name, .string)
            schema.repeated(4, "aliases", \.aliases, .string)
            schema.optional(6, "ttl", \.ttl, .duration)
            schema.ignored(
                "cache_control=7 resource_name=8 metadata=9",
                why: "they are for those who pass resources on"
            )
        }
    }

    /// A layer of runtime values that changes while the proxy runs.
    ///
    /// `envoy.service.runtime.v3.Runtime`
    package struct Runtime: EnvoyMessage {
        package var name: String
        package var layer: Value?

        package init(name: String = "", layer: Value? = nil) {
            self.name = name
            self.layer = layer
        }

        package static let schema = MessageSchema<Runtime>(
            "envoy.service.runtime.v3.Runtime",
            empty: Runtime()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.optional(2, "layer", \.layer, .object)
        }
    }
}
