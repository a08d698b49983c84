import Agent
import Controllers
import Resources
import Servers
import Store

/// What live views look at: the cluster, the proxy and the agent.
struct LivePorts: LiveSource {
    let cluster: Cluster
    let agent: Agent
    let traffic: LiveTraffic

    func objects(of type: ResourceType) async -> [Object] {
        let sample = await traffic.sample()
        var state = await cluster.read { LiveServices($0) }
        guard type == ResourceTypes.serviceHealth else {
            state.routes = await routes()
            return LiveRoutes(state, sample).objects
        }
        let probes = await agent.probeReports(of: state.pods.map(\.uid)).mapValues { $0.map(Self.sighting) }
        return LiveHealth(state, sample, probes: probes, now: cluster.now()).objects
    }

    private func routes() async -> [Object] {
        var routes: [Object] = []
        let types = cluster.store.types
        for plural in ["httproutes", "grpcroutes"] {
            // Served only where somebody has applied Gateway API's definitions.
            let type = types.find(group: "gateway.networking.k8s.io", version: "v1", plural: plural)
            if let type { routes += (try? await cluster.store.list(type)) ?? [] }
        }
        return routes
    }

    private static func sighting(_ report: ProbeReport) -> ProbeSighting {
        var message = ""
        if case .failure(let why) = report.outcome { message = why }
        return ProbeSighting(
            container: report.place.container,
            kind: report.place.kind.rawValue,
            hasPassed: report.outcome.isSuccess,
            message: message,
            time: report.time,
            runLength: report.runLength
        )
    }
}
