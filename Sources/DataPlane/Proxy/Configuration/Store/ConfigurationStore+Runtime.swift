import EnvoyAPI
import Traffic
import Wire

extension ConfigurationStore {
    /// Overrides that the admin may have.
    private static var overrideLimit: Int { 1000 }

    /// Changes values of the admin's layer: an empty value takes one away. What is wrong, or nil.
    func modifyRuntime(_ changes: [(name: String, value: String)]) -> String? {
        let layers = discovered.runtime?.layers ?? []
        let hasLayer = layers.contains { if case .adminLayer = $0.layerSpecifier { true } else { false } }
        guard hasLayer else { return "No admin layer specified" }
        var made = overrides
        for (name, text) in changes {
            guard !name.isEmpty, name.utf8.count <= 1024, text.utf8.count <= 4096 else {
                return "a key or value is too long"
            }
            if text.isEmpty {
                made[name] = nil
            } else {
                made[name] = Int64(text).map { .int($0) } ?? Double(text).map { .double($0) } ?? .string(text)
            }
        }
        guard made.count <= Self.overrideLimit else { return "at most \(Self.overrideLimit) keys may be overridden" }
        overrides = made
        runtimeChanged()
        return nil
    }

    /// Says which keys are Envoy's own and mean nothing here.
    func warnOfRuntime() {
        for key in context.runtime.keys.filter(RuntimeKey.isMeaningless).sorted().prefix(100) {
            onWarning("layered_runtime: the key \(key) has no meaning here")
        }
    }

    /// Limits and thresholds that runtime keys change; connections and endpoints stay.
    func applyRuntimeToClusters() {
        for (name, entry) in clusters {
            var settings = entry.settings
            ClusterCompiler(context: context).applyRuntime(entry.message, &settings)
            guard
                settings.panicThreshold != entry.settings.panicThreshold
                    || settings.breakers != entry.settings.breakers
            else { continue }
            clusters[name]?.settings = settings
            if let changed = clusters[name] { rebuild(changed) }
        }
        context.reset()
    }
}

extension ClusterCompiler {
    /// What the runtime says stands in place of what the cluster says.
    func applyRuntime(_ cluster: Envoy.Cluster, _ settings: inout ClusterConfiguration.Settings) {
        settings.panicThreshold =
            context.runtime.double(RuntimeKey.panic).map { min(100, max(0, $0)) }
            ?? cluster.commonLbConfig?.healthyPanicThreshold?.value ?? 50
        settings.breakers = ClusterConfiguration.Settings().breakers
        breakers(cluster.circuitBreakers, &settings)
        for (place, priority) in ["default", "high"].enumerated() {
            func limit(_ name: String, _ path: WritableKeyPath<BreakerLimits, Int>) {
                let key = RuntimeKey.breaker(cluster.name, priority, name)
                if let number = context.runtime.number(key) {
                    settings.breakers[place][keyPath: path] = Int(clamping: number)
                }
            }
            limit("max_connections", \.connections)
            limit("max_pending_requests", \.pending)
            limit("max_requests", \.requests)
            limit("max_retries", \.retries)
        }
    }
}
