import Agent
import Controllers
import Servers

/// Brings autoscalers what pods use and what the mesh carries.
struct AutoscalerPorts: AutoscalerMetrics {
    /// What is measured of the mesh is that of so long.
    private static let window = Duration.seconds(15)

    let usage: UsageSampler
    let collector: StatCollector

    func podUse() async -> [String: [ContainerUse]] {
        await usage.report().pods.mapValues { containers in
            containers.map { container in
                ContainerUse(
                    name: container.name,
                    cores: Double(container.nanocores) / 1e9,
                    memoryBytes: Double(container.memoryBytes)
                )
            }
        }
    }

    func serviceLoad() async -> [String: ServiceLoad]? { await collector.serviceLoad(window: Self.window) }
}
