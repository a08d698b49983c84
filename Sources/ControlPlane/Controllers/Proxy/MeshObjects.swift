import Bytes
import Mesh
import Resources
import Wire

/// Objects on their way from the cache to the mesh: of each the newest state, nil when it is gone. For any thread.
final class MeshInbox: Sendable {
    private let objects = Lock<[ObjectKey: Object?]>([:])

    func put(_ change: Change) { objects.withLock { $0[change.key] = .some(change.new) } }

    func take() -> [ObjectKey: Object?] {
        objects.withLock { objects in
            defer { objects = [:] }
            return objects
        }
    }
}

/// The objects of which the mesh is made, turned into its values one by one as they change.
struct MeshObjects {
    private let ports: HostPortRules
    private(set) var index = MeshIndex()
    private(set) var surroundings = MeshSurroundings()
    private var pods: [String: Object] = [:]
    /// Uids of pods by their names.
    private var names: [String: String] = [:]
    private var services: [String: Object] = [:]
    /// EndpointSlices by their Service and name.
    private var slices: [String: [String: Object]] = [:]
    /// Services of slices, by the names of the slices.
    private var owners: [String: String] = [:]

    init(ports: HostPortRules, loopback: LoopbackNetwork?) {
        self.ports = ports
        surroundings.loopback = loopback
    }

    /// What changed since the last call.
    mutating func takeDelta() -> MeshDelta { index.takeDelta() }

    mutating func take(_ objects: [ObjectKey: Object?]) {
        for (key, object) in objects {
            let name = MeshIndex.key(key.namespace, key.name)
            let present = object.flatMap { $0.isDeleting && key.type != ResourceTypes.pods ? nil : $0 }
            switch key.type {
            case ResourceTypes.services:
                services[name] = present
                refresh(service: name)
            case ResourceTypes.pods: take(pod: present, key)
            case ResourceTypes.endpointSlices: take(slice: object ?? nil, key)
            case ResourceTypes.ingresses: index.set(ingress: name, present.map { MeshIngress($0) })
            case ResourceTypes.secrets: index.set(secret: name, present.flatMap { MeshSecret($0) })
            default: break
            }
        }
    }

    private mutating func take(pod: Object?, _ key: ObjectKey) {
        let name = MeshIndex.key(key.namespace, key.name)
        for uid in Set([pod?.uid, names[name]].compactMap { $0 }) where pod?.uid != uid { pods[uid] = nil }
        names[name] = pod?.uid
        if let pod { pods[pod.uid] = pod }
        refresh(pod: name)
    }

    private mutating func take(slice: Object?, _ key: ObjectKey) {
        let name = MeshIndex.key(key.namespace, key.name)
        let old = owners[name]
        let new = slice?.label("kubernetes.io/service-name").map { MeshIndex.key(key.namespace, $0) }
        owners[name] = new
        if let old { slices[old]?[name] = nil }
        if let new { slices[new, default: [:]][name] = slice }
        for service in Set([old, new].compactMap { $0 }) { refresh(service: service) }
    }

    private mutating func refresh(service key: String) {
        guard let object = services[key] else { return index.set(service: key, nil) }
        let isManual = ServiceSpec(object.spec).selector.isEmpty
        let own = isManual ? (slices[key] ?? [:]).sorted { $0.key < $1.key }.map(\.value) : []
        var service = MeshService(object, slices: own)
        service.loadBalancerPorts = ports.moved(object)
        service.loopbackAddress = service.clusterIP.flatMap { surroundings.loopback?.service($0) }
        index.set(service: key, service)
    }

    private mutating func refresh(pod key: String) {
        index.set(pod: key, names[key].flatMap { pods[$0] }.flatMap { meshPod($0) })
    }

    private func meshPod(_ object: Object) -> MeshPod? {
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

    // MARK: surroundings

    /// Where a pod's network is; nil: it is gone.
    mutating func place(_ uid: String, _ network: PodNetwork?) {
        surroundings.networks[uid] = network
        if network == nil { surroundings.leaving.remove(uid) }
        refresh(uid)
    }

    /// A pod gets no new traffic from now on.
    mutating func leave(_ uid: String) {
        surroundings.leaving.insert(uid)
        refresh(uid)
    }

    private mutating func refresh(_ uid: String) {
        guard let pod = pods[uid] else { return }
        refresh(pod: MeshIndex.key(pod.namespace, pod.name))
    }
}
