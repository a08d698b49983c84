import Mesh
import Resources
import Wire

extension MeshState {
    /// The state of the mesh: the objects as they are, with the networks of the pods that run.
    ///
    /// - Parameters:
    ///   - base: what does not change.
    ///   - cluster: the objects.
    ///   - surroundings: networks, and pods that must get no new traffic.
    ///   - ports: where load balancers' ports are served.
    init(
        _ base: MeshState,
        _ cluster: borrowing ClusterState,
        _ surroundings: MeshSurroundings,
        _ ports: HostPortRules
    ) {
        self = base
        var slices: [String: [Object]] = [:]
        for slice in cluster.list(ResourceTypes.endpointSlices) {
            guard let name = slice.label("kubernetes.io/service-name") else { continue }
            slices["\(slice.namespace)/\(name)", default: []].append(slice)
        }
        services = cluster.list(ResourceTypes.services).filter { !$0.isDeleting }.map { service in
            let isManual = ServiceSpec(service.spec).selector.isEmpty
            let own = isManual ? slices["\(service.namespace)/\(service.name)"] ?? [] : []
            var mesh = MeshService(service, slices: own)
            mesh.loadBalancerPorts = ports.moved(service)
            mesh.loopbackAddress = mesh.clusterIP.flatMap { surroundings.loopback?.service($0) }
            return mesh
        }
        ingresses = cluster.list(ResourceTypes.ingresses).filter { !$0.isDeleting }.map { MeshIngress($0) }
        pods = cluster.list(ResourceTypes.pods).compactMap { Self.pod($0, surroundings) }
    }

    private static func pod(_ object: Object, _ surroundings: MeshSurroundings) -> MeshPod? {
        guard let network = surroundings.networks[object.uid] else { return nil }
        var object = object
        // The pod's network comes before its status says the address.
        if PodStatus(object.status).podIP != network.address {
            object.value.set(["status", "podIP"], .string(network.address))
        }
        var pod = MeshPod(object, networkNamespace: network.namespacePath)
        pod?.sockets = network.sockets
        if surroundings.leaving.contains(object.uid) { pod?.isTerminating = true }
        return pod
    }
}
