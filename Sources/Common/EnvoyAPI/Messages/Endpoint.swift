extension Envoy {
    /// The endpoints of a cluster.
    ///
    /// `envoy.config.endpoint.v3.ClusterLoadAssignment`
    package struct ClusterLoadAssignment: EnvoyMessage {
        package var clusterName: String
        package var endpoints: [LocalityLbEndpoints]
        package var policy: ClusterLoadAssignment.Policy?

        package init(
            clusterName: String = "",
            endpoints: [LocalityLbEndpoints] = [],
            policy: ClusterLoadAssignment.Policy? = nil
        ) {
            self.clusterName = clusterName
            self.endpoints = endpoints
            self.policy = policy
        }

        package static let schema = MessageSchema<ClusterLoadAssignment>(
            "envoy.config.endpoint.v3.ClusterLoadAssignment",
            empty: ClusterLoadAssignment()
        ) { schema in
            schema.field(1, "cluster_name", \.clusterName, .string, [.minLength(1)])
            schema.repeated(2, "endpoints", \.endpoints, .message)
            schema.optional(4, "policy", \.policy, .message)
            schema.unsupported("named_endpoints=5")
        }
    }
}

extension Envoy.ClusterLoadAssignment {
    /// How endpoints are used.
    ///
    /// `envoy.config.endpoint.v3.ClusterLoadAssignment.Policy`
    package struct Policy: EnvoyMessage {
        package var dropOverloads: [Envoy.ClusterLoadAssignment.Policy.DropOverload]
        package var overprovisioningFactor: UInt32?
        package var weightedPriorityHealth: Bool

        package init(
            dropOverloads: [Envoy.ClusterLoadAssignment.Policy.DropOverload] = [],
            overprovisioningFactor: UInt32? = nil,
            weightedPriorityHealth: Bool = false
        ) {
            self.dropOverloads = dropOverloads
            self.overprovisioningFactor = overprovisioningFactor
            self.weightedPriorityHealth = weightedPriorityHealth
        }

        package static let schema = MessageSchema<Policy>(
            "envoy.config.endpoint.v3.ClusterLoadAssignment.Policy",
            empty: Policy()
        ) { schema in
            schema.optional(3, "overprovisioning_factor", \.overprovisioningFactor, .uint32Value, [.above(0)])
            schema.repeated(2, "drop_overloads", \.dropOverloads, .message, [.maxItems(1)])
            schema.field(6, "weighted_priority_health", \.weightedPriorityHealth, .bool)
            schema.unsupported("endpoint_stale_after=4")
        }
    }
}

extension Envoy {
    /// Endpoints of one place.
    ///
    /// `envoy.config.endpoint.v3.LocalityLbEndpoints`
    package struct LocalityLbEndpoints: EnvoyMessage {
        package var locality: Locality?
        package var lbEndpoints: [LbEndpoint]
        package var loadBalancingWeight: UInt32?
        package var priority: UInt32
        package var metadata: Metadata?

        package init(
            locality: Locality? = nil,
            lbEndpoints: [LbEndpoint] = [],
            loadBalancingWeight: UInt32? = nil,
            priority: UInt32 = 0,
            metadata: Metadata? = nil
        ) {
            self.locality = locality
            self.lbEndpoints = lbEndpoints
            self.loadBalancingWeight = loadBalancingWeight
            self.priority = priority
            self.metadata = metadata
        }

        package static let schema = MessageSchema<LocalityLbEndpoints>(
            "envoy.config.endpoint.v3.LocalityLbEndpoints",
            empty: LocalityLbEndpoints()
        ) { schema in
            schema.optional(1, "locality", \.locality, .message)
            schema.repeated(2, "lb_endpoints", \.lbEndpoints, .message)
            schema.optional(3, "load_balancing_weight", \.loadBalancingWeight, .uint32Value, [.atLeast(1)])
            schema.field(5, "priority", \.priority, .uint32, [.atMost(128)])
            schema.optional(9, "metadata", \.metadata, .message)
            schema.ignored(
                "proximity=6",
                why: "no load balancer, nor any of Envoy's, reads it"
            )
            schema.unsupported("load_balancer_endpoints=7 leds_cluster_locality_config=8")
        }
    }
}

extension Envoy {
    /// An endpoint and how it stands.
    ///
    /// `envoy.config.endpoint.v3.LbEndpoint`
    package struct LbEndpoint: EnvoyMessage {
        package var endpoint: Endpoint?
        package var healthStatus: HealthStatus
        package var metadata: Metadata?
        package var loadBalancingWeight: UInt32?

        package init(
            endpoint: Endpoint? = nil,
            healthStatus: HealthStatus = .unknown,
            metadata: Metadata? = nil,
            loadBalancingWeight: UInt32? = nil
        ) {
            self.endpoint = endpoint
            self.healthStatus = healthStatus
            self.metadata = metadata
            self.loadBalancingWeight = loadBalancingWeight
        }

        package static let schema = MessageSchema<LbEndpoint>(
            "envoy.config.endpoint.v3.LbEndpoint",
            empty: LbEndpoint()
        ) { schema in
            schema.oneof("host_identifier")
            schema.optional(1, "endpoint", of: "host_identifier", \.endpoint, .message)
            schema.field(2, "health_status", \.healthStatus, .enumeration)
            schema.optional(3, "metadata", \.metadata, .message)
            schema.optional(4, "load_balancing_weight", \.loadBalancingWeight, .uint32Value, [.atLeast(1)])
            schema.unsupported("endpoint_name=5", of: "host_identifier")
        }
    }
}

extension Envoy {
    /// Where an endpoint is.
    ///
    /// `envoy.config.endpoint.v3.Endpoint`
    package struct Endpoint: EnvoyMessage {
        package var address: Address?
        package var healthCheckConfig: Endpoint.HealthCheckConfig?
        package var hostname: String

        package init(
            address: Address? = nil,
            healthCheckConfig: Endpoint.HealthCheckConfig? = nil,
            hostname: String = ""
        ) {
            self.address = address
            self.healthCheckConfig = healthCheckConfig
            self.hostname = hostname
        }

        package static let schema = MessageSchema<Endpoint>(
            "envoy.config.endpoint.v3.Endpoint",
            empty: Endpoint()
        ) { schema in
            schema.optional(1, "address", \.address, .message)
            schema.optional(2, "health_check_config", \.healthCheckConfig, .message)
            schema.field(3, "hostname", \.hostname, .string)
            schema.unsupported("additional_addresses=4")
        }
    }
}

extension Envoy.Endpoint {
    /// How this endpoint is checked.
    ///
    /// `envoy.config.endpoint.v3.Endpoint.HealthCheckConfig`
    package struct HealthCheckConfig: EnvoyMessage {
        /// 0: the port of the endpoint.
        package var portValue: UInt32
        /// For the host of the checks; before the cluster's.
        package var hostname: String
        /// Checked in place of the endpoint.
        package var address: Envoy.Address?
        package var disableActiveHealthCheck: Bool

        package init(
            portValue: UInt32 = 0,
            hostname: String = "",
            address: Envoy.Address? = nil,
            disableActiveHealthCheck: Bool = false
        ) {
            self.portValue = portValue
            self.hostname = hostname
            self.address = address
            self.disableActiveHealthCheck = disableActiveHealthCheck
        }

        package static let schema = MessageSchema<HealthCheckConfig>(
            "envoy.config.endpoint.v3.Endpoint.HealthCheckConfig",
            empty: HealthCheckConfig()
        ) { schema in
            schema.field(1, "port_value", \.portValue, .uint32, [.atMost(65535)])
            schema.field(2, "hostname", \.hostname, .string, [.headerValue])
            schema.optional(3, "address", \.address, .message)
            schema.field(4, "disable_active_health_check", \.disableActiveHealthCheck, .bool)
        }
    }
}

extension Envoy {
    /// Values of `envoy.config.core.v3.HealthStatus`.
    package enum HealthStatus: Int32, EnvoyEnum {
        case unknown = 0
        case healthy = 1
        case unhealthy = 2
        case draining = 3
        case timeout = 4
        case degraded = 5

        package static let names = EnumNames(
            "envoy.config.core.v3.HealthStatus",
            "UNKNOWN=0 HEALTHY=1 UNHEALTHY=2 DRAINING=3 TIMEOUT=4 DEGRADED=5"
        )
    }
}
