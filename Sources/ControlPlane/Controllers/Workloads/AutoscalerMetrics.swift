/// Where autoscalers learn what pods use and what Services carry.
package protocol AutoscalerMetrics: Sendable {
    /// What the running containers use now, by the uid of their pod.
    func podUse() async -> [String: [ContainerUse]]

    /// What the mesh measured of every Service over the last seconds, by `namespace/name`; nil when it does not measure yet.
    func serviceLoad() async -> [String: ServiceLoad]?
}

/// What one container uses.
package struct ContainerUse: Equatable, Sendable {
    package let name: String
    /// Processors, 0.5 for the half of one.
    package let cores: Double
    package let memoryBytes: Double

    package init(name: String, cores: Double, memoryBytes: Double) {
        self.name = name
        self.cores = cores
        self.memoryBytes = memoryBytes
    }
}

/// What the mesh measured of one Service.
package struct ServiceLoad: Equatable, Sendable {
    package var requestsPerSecond = 0.0
    package var requestsInFlight = 0.0
    /// Milliseconds; 0 without an answer in the window.
    package var latencyP50 = 0.0
    package var latencyP95 = 0.0
    package var latencyP99 = 0.0

    package init() {}
}
