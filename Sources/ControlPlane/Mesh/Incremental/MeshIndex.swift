/// What changed in a `MeshIndex`.
package struct MeshDelta: Sendable, Equatable {
    /// Services (`namespace/name`) that are new, different or gone.
    package var services: Set<String> = []
    /// Pods (`namespace/name`) whose part in a Service's endpoints may be different, by Service.
    package var members: [String: Set<String>] = [:]
    package var hasIngresses = false
    package var hasSecrets = false
    /// Something else than who is an endpoint: listeners and clusters of pods, say.
    package var isStructural = false

    package init() {}

    package var isEmpty: Bool {
        services.isEmpty && members.isEmpty && !hasIngresses && !hasSecrets && !isStructural
    }
}

/// The objects of a mesh, kept so that the change of one of them names what depends on it.
package struct MeshIndex: Sendable {
    /// By `namespace/name`, as all keys here.
    package private(set) var services: [String: MeshService] = [:]
    package private(set) var pods: [String: MeshPod] = [:]
    package private(set) var ingresses: [String: MeshIngress] = [:]
    package private(set) var secrets: [String: MeshSecret] = [:]
    /// Services by the first label of their selector, and pods by each of their labels, both with the namespace.
    private var servicesBy: [String: Set<String>] = [:]
    private var podsBy: [String: Set<String>] = [:]
    private var podsAt: [String: Set<String>] = [:]
    /// Services with endpoints that were written by hand: those may be pods, too.
    private var manual: Set<String> = []
    private var delta = MeshDelta()

    package init() {}

    package static func key(_ namespace: String, _ name: String) -> String { "\(namespace)/\(name)" }

    /// What changed since the last call.
    package mutating func takeDelta() -> MeshDelta {
        defer { delta = MeshDelta() }
        return delta
    }

    /// Keys of a Service's pods, in order.
    package func members(of service: MeshService) -> [String] {
        guard let label = Self.label(of: service) else { return [] }
        return (podsBy[label] ?? []).filter { pods[$0]?.isChosen(by: service.selector) == true }.sorted()
    }

    private static func label(of service: MeshService) -> String? {
        service.selector.min { $0.key < $1.key }.map { label(service.namespace, $0.key, $0.value) }
    }

    private static func label(_ namespace: String, _ key: String, _ value: String) -> String {
        "\(namespace)/\(key)=\(value)"
    }

    /// The pod that has an address; of several the first by name.
    package func pod(at address: String) -> MeshPod? { podsAt[address]?.min().flatMap { pods[$0] } }

    package mutating func set(service key: String, _ service: MeshService?) {
        guard services[key] != service else { return }
        if var old = services[key], let service {
            // Addresses that were written by hand are no more than who is an endpoint.
            old.manualEndpoints = service.manualEndpoints
            if old == service {
                services[key] = service
                manual.remove(key)
                if !service.manualEndpoints.isEmpty { manual.insert(key) }
                delta.members[key, default: []].insert("")
                return
            }
        }
        if let label = services[key].flatMap({ Self.label(of: $0) }) {
            servicesBy[label]?.remove(key)
            if servicesBy[label]?.isEmpty == true { servicesBy[label] = nil }
        }
        services[key] = service
        manual.remove(key)
        if service?.manualEndpoints.isEmpty == false { manual.insert(key) }
        if let label = service.flatMap({ Self.label(of: $0) }) { servicesBy[label, default: []].insert(key) }
        delta.services.insert(key)
        delta.isStructural = true
    }

    package mutating func set(ingress key: String, _ ingress: MeshIngress?) {
        guard ingresses[key] != ingress else { return }
        ingresses[key] = ingress
        delta.hasIngresses = true
        delta.isStructural = true
    }

    package mutating func set(secret key: String, _ secret: MeshSecret?) {
        guard secrets[key] != secret else { return }
        secrets[key] = secret
        delta.hasSecrets = true
    }

    package mutating func set(pod key: String, _ pod: MeshPod?) {
        let old = pods[key]
        guard old != pod else { return }
        touch(key, old)
        if let old {
            for (name, value) in old.labels {
                let label = Self.label(old.namespace, name, value)
                podsBy[label]?.remove(key)
                if podsBy[label]?.isEmpty == true { podsBy[label] = nil }
            }
            podsAt[old.ip]?.remove(key)
            if podsAt[old.ip]?.isEmpty == true { podsAt[old.ip] = nil }
        }
        pods[key] = pod
        if let pod {
            for (name, value) in pod.labels { podsBy[Self.label(pod.namespace, name, value), default: []].insert(key) }
            podsAt[pod.ip, default: []].insert(key)
        }
        touch(key, pod)
        if Self.isStructural(old, pod) { delta.isStructural = true }
    }

    /// Readiness is no more than who is an endpoint, and so is leaving for a pod without ports on the host.
    private static func isStructural(_ old: MeshPod?, _ new: MeshPod?) -> Bool {
        // One without a network of its own is nothing but an endpoint, if it has no ports on the host.
        if [old, new].allSatisfy({ $0?.isEndpointAlone ?? true }) { return false }
        guard var old, let new else { return true }
        old.isReady = new.isReady
        if !new.ports.contains(where: { $0.hostPort != nil }) { old.isTerminating = new.isTerminating }
        return old != new
    }

    /// The Services that a pod is an endpoint of, or may be.
    private mutating func touch(_ key: String, _ pod: MeshPod?) {
        guard let pod else { return }
        for (label, value) in pod.labels {
            for name in servicesBy[Self.label(pod.namespace, label, value)] ?? [] {
                guard let service = services[name], pod.isChosen(by: service.selector) else { continue }
                delta.members[name, default: []].insert(key)
            }
        }
        for name in manual {
            guard services[name]?.manualEndpoints.contains(where: { $0.address == pod.ip }) == true else { continue }
            delta.members[name, default: []].insert(key)
        }
    }
}

extension MeshPod {
    fileprivate var isEndpointAlone: Bool { sockets != nil && !ports.contains { $0.hostPort != nil } }
}
