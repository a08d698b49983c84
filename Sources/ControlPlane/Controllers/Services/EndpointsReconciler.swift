package import Resources
import Store
import Wire

/// Writes the Endpoints and EndpointSlices of every Service that has a selector.
package struct EndpointsReconciler: Reconciler {
    /// Endpoints in one slice.
    package static let sliceLimit = 100
    /// Addresses in the older Endpoints object.
    package static let endpointsLimit = 1000

    static let serviceLabel = "kubernetes.io/service-name"
    static let managerLabel = "endpointslice.kubernetes.io/managed-by"
    static let manager = "endpoints.weft.dev"
    private static let overCapacity = "endpoints.kubernetes.io/over-capacity"

    package let name = "endpoints"
    private let cluster: Cluster

    package init(_ cluster: Cluster) { self.cluster = cluster }

    package func keys(for change: Change, in state: borrowing ClusterState) -> [ObjectKey] {
        switch change.key.type {
        case ResourceTypes.services: return [change.key]
        case ResourceTypes.pods:
            guard change.old.map(Relevant.init) != change.new.map(Relevant.init) else { return [] }
            return change.servicesSelectingPod(in: state)
        case ResourceTypes.endpoints:
            // Somebody else's write to ours, or its deletion, is put right again.
            return [ObjectKey(ResourceTypes.services, namespace: change.key.namespace, name: change.key.name)]
        case ResourceTypes.endpointSlices:
            guard let slice = change.latest, slice.label(Self.managerLabel) == Self.manager,
                let name = slice.label(Self.serviceLabel)
            else { return [] }
            return [ObjectKey(ResourceTypes.services, namespace: change.key.namespace, name: name)]
        default: return []
        }
    }

    /// What of a pod matters to endpoints; all other changes are passed over.
    private struct Relevant: Equatable {
        var labels: Value?
        var phase: String
        var address: String
        var isReady: Bool
        var isDeleting: Bool

        init(_ pod: Object) {
            let status = PodStatus(pod.status)
            labels = pod.metadata["labels"]
            phase = status.phase
            address = status.podIP
            isReady = status.isReady
            isDeleting = pod.isDeleting
        }
    }

    package func reconcile(_ key: ObjectKey) async throws(APIError) -> Int? {
        guard let service = await cluster.get(key), !service.isDeleting else {
            return try await clean(key)
        }
        guard !ServiceSpec(service.spec).selector.isEmpty else { return nil }
        let found = await cluster.read { ServiceEndpoints(service, in: $0) }
        try await writeSlices(service, found)
        try await writeEndpoints(service, found)
        return nil
    }

    private func clean(_ key: ObjectKey) async throws(APIError) -> Int? {
        for slice in await slices(of: key) {
            try await cluster.delete(
                ObjectKey(ResourceTypes.endpointSlices, namespace: slice.namespace, name: slice.name)
            )
        }
        let endpoints = ObjectKey(ResourceTypes.endpoints, namespace: key.namespace, name: key.name)
        if let present = await cluster.get(endpoints), present.label(Self.managerLabel) == Self.manager {
            try await cluster.delete(endpoints)
        }
        return nil
    }

    private func slices(of service: ObjectKey) async -> [Object] {
        await cluster.read { state in
            state.list(ResourceTypes.endpointSlices, namespace: service.namespace).filter {
                $0.label(Self.serviceLabel) == service.name && $0.label(Self.managerLabel) == Self.manager
            }
        }
    }

    // MARK: EndpointSlices

    private func writeSlices(_ service: Object, _ found: ServiceEndpoints) async throws(APIError) {
        let key = ObjectKey(ResourceTypes.services, namespace: service.namespace, name: service.name)
        var present = Dictionary(await slices(of: key).map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        for slice in Self.makeSlices(service, found) {
            guard let old = present.removeValue(forKey: slice.name) else {
                try await cluster.create(slice)
                continue
            }
            var updated = old
            for field in ["addressType", "endpoints", "ports"] { updated[field] = slice[field] }
            updated.value.set(["metadata", "labels"], slice.metadata["labels"])
            if updated != old { try await cluster.replace(updated) }
        }
        for name in present.keys {
            try await cluster.delete(
                ObjectKey(ResourceTypes.endpointSlices, namespace: service.namespace, name: name)
            )
        }
    }

    /// The slices that a Service must have; one without endpoints when there are none.
    static func makeSlices(_ service: Object, _ found: ServiceEndpoints) -> [Object] {
        var slices: [Object] = []
        let groups = found.groups.isEmpty ? [(ports: [], endpoints: [])] : found.groups
        for group in groups {
            let ports = group.ports.map(portValue)
            let stem = "\(service.name.prefix(230))-\(TemplateHash(.array(ports)).text.prefix(5))"
            var start = 0
            repeat {
                let chunk = group.endpoints[start..<min(start + sliceLimit, group.endpoints.count)]
                let number = start / sliceLimit
                var slice = Object(
                    ResourceTypes.endpointSlices,
                    namespace: service.namespace,
                    name: number == 0 ? stem : "\(stem)-\(number)"
                )
                var labels = service.labels.filter { !$0.key.hasPrefix("endpointslice.kubernetes.io/") }
                labels[serviceLabel] = service.name
                labels[managerLabel] = manager
                if ServiceSpec(service.spec).isHeadless { labels["service.kubernetes.io/headless"] = "" }
                slice.labels = labels
                slice.ownerReferences = [OwnerReference(to: service)]
                slice["addressType"] = "IPv4"
                slice["endpoints"] = .array(chunk.map { endpointValue($0, namespace: service.namespace) })
                slice["ports"] = .array(ports)
                slices.append(slice)
                start += sliceLimit
            } while start < group.endpoints.count
        }
        return slices
    }

    private static func portValue(_ port: ServiceEndpoints.Port) -> Value {
        var value: Value = [
            "name": .string(port.name), "port": .int(Int64(port.port)), "protocol": .string(port.protocolName),
        ]
        if let name = port.appProtocol { value["appProtocol"] = .string(name) }
        return value
    }

    private static func endpointValue(_ endpoint: ServiceEndpoints.Endpoint, namespace: String) -> Value {
        var value: Value = [
            "addresses": [.string(endpoint.address)],
            "conditions": [
                "ready": .bool(endpoint.isReady), "serving": .bool(endpoint.isServing),
                "terminating": .bool(endpoint.isTerminating),
            ],
            "targetRef": reference(endpoint, namespace),
        ]
        if let hostname = endpoint.hostname { value["hostname"] = .string(hostname) }
        if !endpoint.nodeName.isEmpty { value["nodeName"] = .string(endpoint.nodeName) }
        return value
    }

    private static func reference(_ endpoint: ServiceEndpoints.Endpoint, _ namespace: String) -> Value {
        [
            "kind": "Pod", "namespace": .string(namespace), "name": .string(endpoint.pod),
            "uid": .string(endpoint.uid),
        ]
    }

    // MARK: Endpoints

    private func writeEndpoints(_ service: Object, _ found: ServiceEndpoints) async throws(APIError) {
        let key = ObjectKey(ResourceTypes.endpoints, namespace: service.namespace, name: service.name)
        let wanted = Self.makeEndpoints(service, found)
        guard let old = await cluster.get(key) else {
            try await cluster.create(wanted)
            return
        }
        var updated = old
        updated["subsets"] = wanted["subsets"]
        updated.labels = wanted.labels
        if wanted.annotation(Self.overCapacity) != old.annotation(Self.overCapacity) {
            updated.annotations[Self.overCapacity] = wanted.annotation(Self.overCapacity)
        }
        if updated != old { try await cluster.replace(updated) }
    }

    /// The older form of a Service's endpoints: addresses grouped by equal ports, ready ones and others.
    static func makeEndpoints(_ service: Object, _ found: ServiceEndpoints) -> Object {
        var endpoints = Object(ResourceTypes.endpoints, namespace: service.namespace, name: service.name)
        var labels = service.labels
        labels[managerLabel] = manager
        endpoints.labels = labels
        var left = endpointsLimit
        let subsets: [Value] = found.groups.compactMap { group in
            let members = group.endpoints.filter { !$0.isTerminating || $0.isReady }.prefix(left)
            left -= members.count
            guard !members.isEmpty else { return nil }
            func addresses(_ isReady: Bool) -> Value? {
                let chosen = members.filter { $0.isReady == isReady }
                guard !chosen.isEmpty else { return nil }
                return .array(
                    chosen.map { endpoint in
                        var value: Value = ["ip": .string(endpoint.address)]
                        if let hostname = endpoint.hostname { value["hostname"] = .string(hostname) }
                        if !endpoint.nodeName.isEmpty { value["nodeName"] = .string(endpoint.nodeName) }
                        value["targetRef"] = reference(endpoint, service.namespace)
                        return value
                    }
                )
            }
            var subset: Value = [:]
            subset["addresses"] = addresses(true)
            subset["notReadyAddresses"] = addresses(false)
            subset["ports"] = .array(group.ports.map(portValue))
            return subset
        }
        if !subsets.isEmpty { endpoints["subsets"] = .array(subsets) }
        if left <= 0, found.endpoints.count > endpointsLimit { endpoints.annotations = [overCapacity: "truncated"] }
        return endpoints
    }
}
