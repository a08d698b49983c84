extension Envoy {
    /// The resource monitors that exist here.
    package enum ResourceMonitorConfig: AnyExtension {
        case downstreamConnections(DownstreamConnectionsConfig)
        case fixedHeap(FixedHeapConfig)
        case cgroupMemory(CgroupMemoryConfig)
        case cpuUtilization(CpuUtilizationConfig)
        case injected(InjectedResourceConfig)
        case loopLag(LoopLagConfig)

        package static let members = AnyMembers<ResourceMonitorConfig>(
            "resource monitor",
            [
                AnyMember(DownstreamConnectionsConfig.self, wrap: { .downstreamConnections($0) }) {
                    if case .downstreamConnections(let value) = $0 { value } else { nil }
                },
                AnyMember(FixedHeapConfig.self, wrap: { .fixedHeap($0) }) {
                    if case .fixedHeap(let value) = $0 { value } else { nil }
                },
                AnyMember(CgroupMemoryConfig.self, wrap: { .cgroupMemory($0) }) {
                    if case .cgroupMemory(let value) = $0 { value } else { nil }
                },
                AnyMember(CpuUtilizationConfig.self, wrap: { .cpuUtilization($0) }) {
                    if case .cpuUtilization(let value) = $0 { value } else { nil }
                },
                AnyMember(InjectedResourceConfig.self, wrap: { .injected($0) }) {
                    if case .injected(let value) = $0 { value } else { nil }
                },
                AnyMember(LoopLagConfig.self, wrap: { .loopLag($0) }) {
                    if case .loopLag(let value) = $0 { value } else { nil }
                },
            ]
        )
    }
}

extension Envoy {
    /// Bounds the connections of all clients together.
    ///
    /// `envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig`
    package struct DownstreamConnectionsConfig: EnvoyMessage {
        package var maxActiveDownstreamConnections: Int64

        package init(
            maxActiveDownstreamConnections: Int64 = 0
        ) {
            self.maxActiveDownstreamConnections = maxActiveDownstreamConnections
        }

        package static let schema = MessageSchema<DownstreamConnectionsConfig>(
            "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
            empty: DownstreamConnectionsConfig()
        ) { schema in
            schema.field(1, "max_active_downstream_connections", \.maxActiveDownstreamConnections, .int64, [.above(0)])
        }
    }
}

extension Envoy {
    /// The process's resident memory against a budget.
    ///
    /// `envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig`
    package struct FixedHeapConfig: EnvoyMessage {
        /// Bytes.
        package var maxHeapSizeBytes: UInt64

        package init(
            maxHeapSizeBytes: UInt64 = 0
        ) {
            self.maxHeapSizeBytes = maxHeapSizeBytes
        }

        package static let schema = MessageSchema<FixedHeapConfig>(
            "envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
            empty: FixedHeapConfig()
        ) { schema in
            schema.field(1, "max_heap_size_bytes", \.maxHeapSizeBytes, .uint64, [.above(0)])
        }
    }
}

extension Envoy {
    /// The memory of the process's control group against its limit.
    ///
    /// `envoy.extensions.resource_monitors.cgroup_memory.v3.CgroupMemoryConfig`
    package struct CgroupMemoryConfig: EnvoyMessage {
        /// Bytes; the smaller of this and the group's own limit counts. 0 = the group's own.
        package var maxMemoryBytes: UInt64

        package init(
            maxMemoryBytes: UInt64 = 0
        ) {
            self.maxMemoryBytes = maxMemoryBytes
        }

        package static let schema = MessageSchema<CgroupMemoryConfig>(
            "envoy.extensions.resource_monitors.cgroup_memory.v3.CgroupMemoryConfig",
            empty: CgroupMemoryConfig()
        ) { schema in
            schema.field(1, "max_memory_bytes", \.maxMemoryBytes, .uint64)
        }
    }
}

extension Envoy {
    /// The share of time in which the machine's processors work.
    ///
    /// `envoy.extensions.resource_monitors.cpu_utilization.v3.CpuUtilizationConfig`
    package struct CpuUtilizationConfig: EnvoyMessage {
        package var mode: Mode

        package init(
            mode: Mode = .host
        ) {
            self.mode = mode
        }

        /// Values of `envoy.extensions.resource_monitors.cpu_utilization.v3.CpuUtilizationConfig.UtilizationComputeStrategy`.
        package enum Mode: Int32, EnvoyEnum {
            case host = 0

            package static let names = EnumNames(
                "envoy.extensions.resource_monitors.cpu_utilization.v3.CpuUtilizationConfig.UtilizationComputeStrategy",
                "HOST=0",
                unsupported: "CONTAINER=1"
            )
        }

        package static let schema = MessageSchema<CpuUtilizationConfig>(
            "envoy.extensions.resource_monitors.cpu_utilization.v3.CpuUtilizationConfig",
            empty: CpuUtilizationConfig()
        ) { schema in
            schema.field(1, "mode", \.mode, .enumeration)
        }
    }
}

extension Envoy {
    /// A pressure that stands in a file: for tests, and for what only others can measure.
    ///
    /// `envoy.extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig`
    package struct InjectedResourceConfig: EnvoyMessage {
        /// Holds one number from 0 to 1.
        package var filename: String

        package init(
            filename: String = ""
        ) {
            self.filename = filename
        }

        package static let schema = MessageSchema<InjectedResourceConfig>(
            "envoy.extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig",
            empty: InjectedResourceConfig()
        ) { schema in
            schema.field(1, "filename", \.filename, .string, [.minLength(1)])
        }
    }
}

extension Envoy {
    /// How late the workers' loops come to their work, against a bound. An extension of Weft's own.
    package struct LoopLagConfig: EnvoyMessage {
        /// The delay that means a pressure of 1; 1 s without.
        package var maxLag: Duration?

        package init(
            maxLag: Duration? = nil
        ) {
            self.maxLag = maxLag
        }

        package static let schema = MessageSchema<LoopLagConfig>(
            "weft.extensions.resource_monitors.loop_lag.v3.LoopLagConfig",
            empty: LoopLagConfig()
        ) { schema in
            schema.optional(
                1,
                "max_lag",
                \.maxLag,
                .duration,
                [.durationAtLeast(.milliseconds(10)), .durationAtMost(.seconds(60))]
            )
        }
    }
}
