import EnvoyAPI
import Synchronization
import Traffic

/// `health_check`, compiled.
final class HealthCheckFilter: Sendable {
    let passesThrough: Bool
    /// Nanoseconds; 0: answers of endpoints are not kept.
    let cacheTime: UInt64
    let clusters: [(name: String, percent: Double)]
    let headers: ArenaArray<HeaderMatch>
    /// Told to those who asked.
    let own: String
    /// The status that an endpoint gave last, and until when it stands for it: of all workers.
    let cachedStatus = Atomic<Int>(0)
    let cachedUntil = Atomic<UInt64>(0)
    /// Owns what the matchers point to.
    private let arena: Arena

    init(_ message: Envoy.HealthCheckFilter, _ context: CompileContext) {
        let compiler = RouteCompiler(Envoy.RouteConfiguration(), context)
        arena = compiler.builder.arena
        headers = arena.copy(context.each("headers", message.headers) { compiler.header($0) })
        passesThrough = message.passThroughMode ?? false
        cacheTime = nanoseconds(message.cacheTime) ?? 0
        if cacheTime > 0, !passesThrough { context.report("cache_time: is for pass_through_mode") }
        if passesThrough, !message.clusterMinHealthyPercentages.isEmpty {
            context.report("cluster_min_healthy_percentages: are not for pass_through_mode")
        }
        clusters = message.clusterMinHealthyPercentages.sorted { $0.key < $1.key }.map { ($0.key, $0.value.value) }
        own = context.nodeCluster
    }
}
