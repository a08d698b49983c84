import Mesh
package import Resources
import Wire

/// What live views are made from: the Services, what is behind them and what leads to them.
package struct LiveServices: Sendable {
    package var services: [Object] = []
    package var pods: [Object] = []
    package var ingresses: [Object] = []
    /// HTTPRoutes and GRPCRoutes.
    package var routes: [Object] = []
    /// EndpointSlices of Services without selector.
    package var slices: [Object] = []
    /// The zones of nodes.
    package var zones: [String: String] = [:]
    /// `deployment.kubernetes.io/revision` of ReplicaSets, by uid.
    package var revisions: [String: String] = [:]

    package init() {}

    /// What a cluster holds; `routes` are added by whoever knows them.
    package init(_ state: borrowing ClusterState) {
        services = state.list(ResourceTypes.services).filter { $0.label("component") != "weft" }
        pods = state.list(ResourceTypes.pods).filter {
            let phase = PodStatus($0.status).phase
            return phase != "Succeeded" && phase != "Failed"
        }
        ingresses = state.list(ResourceTypes.ingresses)
        slices = state.list(ResourceTypes.endpointSlices)
        for node in state.list(ResourceTypes.nodes) {
            zones[node.name] = node.label("topology.kubernetes.io/zone")
        }
        for set in state.list(ResourceTypes.replicaSets) {
            revisions[set.uid] = set.annotation("deployment.kubernetes.io/revision")
        }
    }

    /// The pods of a Service, by name.
    func members(of service: MeshService) -> [Object] {
        guard !service.selector.isEmpty else { return [] }
        return pods.filter { pod in
            pod.namespace == service.namespace && service.selector.allSatisfy { pod.label($0.key) == $0.value }
        }
        .sorted { $0.name < $1.name }
    }

    func meshService(_ object: Object) -> MeshService {
        MeshService(
            object,
            slices: slices.filter {
                $0.namespace == object.namespace && EndpointSliceView($0.value).serviceName == object.name
            }
        )
    }

    /// The revision that a pod is of: its ReplicaSet's number, or the hash that a StatefulSet or DaemonSet gave it.
    func revision(of pod: Object) -> String? {
        pod.controller.flatMap { revisions[$0.uid] } ?? pod.label("controller-revision-hash")
    }

    /// The object of a view: named, labelled and as old as its Service.
    static func view(_ type: ResourceType, of service: Object, status: Value) -> Object {
        var object = Object(type, namespace: service.namespace, name: service.name)
        object.uid = "\(service.uid)-\(type.shortNames.first ?? "")"
        object.value.set(["metadata", "creationTimestamp"], service.metadata["creationTimestamp"])
        object.labels = service.labels
        object.status = status
        return object
    }

    /// A figure without digits that nobody reads, so that noise is no news.
    static func rounded(_ number: Double?, _ scale: Double) -> Value? {
        guard let number, number.isFinite else { return nil }
        return .double((number * scale).rounded() / scale)
    }

    static func count(_ number: Int) -> Value { .int(Int64(number)) }
}
