import EnvoyAPI
import Mesh
import Resources
import Testing
import Wire

@Suite("What the mesh tells and bounds")
struct TelemetryTests {
    private func managers(_ configuration: ProxyConfiguration) -> [(
        listener: String, manager: Envoy.HttpConnectionManager
    )] {
        configuration.listeners.flatMap { listener in
            (listener.filterChains + [listener.defaultFilterChain].compactMap { $0 }).flatMap(\.filters).compactMap {
                filter in
                guard case .httpConnectionManager(let manager) = filter.typedConfig else { return nil }
                return (listener.name, manager)
            }
        }
    }

    @Test("with a collector every chain of HTTP has spans, and failures are told of", arguments: [true, false])
    func spans(isHTTP: Bool) throws {
        var state = shop()
        #expect(managers(ProxyConfiguration(state)).allSatisfy { $0.manager.tracing == nil })
        state.traceCollector = TraceCollector(
            isHTTP: isHTTP,
            address: HostAddress(address: isHTTP ? "collector.local" : "127.0.0.1", port: 4317),
            isName: isHTTP,
            path: "/v1/traces",
            sampling: 25
        )
        let configuration = ProxyConfiguration(state)
        let cluster = try #require(configuration.clusters.first { $0.name == "traces" })
        try cluster.validate()
        #expect(cluster.type == (isHTTP ? .strictDns : .static))
        #expect(!managers(configuration).isEmpty)
        for (_, manager) in managers(configuration) {
            #expect(manager.tracing?.randomSampling?.value == 25)
            guard case .openTelemetry(let tracer) = manager.tracing?.provider?.typedConfig else {
                Issue.record("no tracer")
                continue
            }
            #expect(tracer.httpService?.httpUri?.uri == (isHTTP ? "http://collector.local:4317/v1/traces" : nil))
            #expect(tracer.grpcService?.envoyGrpc?.clusterName == (isHTTP ? nil : "traces"))
        }
        for listener in configuration.listeners {
            try listener.validate()
            #expect(listener.metadata?.filterMetadata["weft.dev/tracing"] != nil)
        }
    }

    @Test("a Service that wants it has an adaptive limit, the others have none")
    func adaptiveLimit() throws {
        var state = shop()
        state.services[0].annotations["weft.dev/adaptive-limit"] = "on"
        let configuration = ProxyConfiguration(state)
        #expect(configuration.warnings.isEmpty)
        for (listener, manager) in managers(configuration) {
            let names = manager.httpFilters.map(\.name)
            let isLimited = listener.hasSuffix("/web/80")
            #expect(names.contains("envoy.filters.http.adaptive_concurrency") == isLimited, "\(listener)")
            #expect(names.last == "envoy.filters.http.router")
        }
        for listener in configuration.listeners { try listener.validate() }
    }
}
