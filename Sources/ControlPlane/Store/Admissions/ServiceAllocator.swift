package import Resources
import Wire

/// Gives Services their cluster addresses and node ports.
///
/// The Services themselves say what is taken: nothing else is kept, so nothing can disagree after a restart. It runs on the
/// store's writer, where two Services can never be given the same. The search begins at a place that the Service's name
/// decides, so that a Service that is deleted and made again usually has its address back.
package struct ServiceAllocator: Admission {
    /// 10.96.0.0/16; the lowest addresses go to those who ask for one by name, like Kubernetes' own lower band.
    private static let network: UInt32 = 10 << 24 | 96 << 16
    private static let addresses: ClosedRange<UInt32> = 1...0xfffe
    private static let namedBand: UInt32 = 256
    /// 10.96.0.1 (the API) and 10.96.0.10 (DNS).
    private static let reserved: Set<UInt32> = [1, 10]
    private static let nodePorts: ClosedRange<Int> = 30000...32767
    private static let namedPortBand = 86

    package init() {}

    package func admit(_ object: inout Object, replacing old: Object?, view: any StoreView) throws(APIError) {
        guard object.kind == "Service", object.apiVersion == "v1" else { return }
        let spec = ServiceSpec(object.spec)
        guard spec.type != "ExternalName" else { return }
        let others = view.list(ResourceTypes.services, namespace: nil)
            .filter { $0.name != object.name || $0.namespace != object.namespace }
            .map { ServiceSpec($0.spec) }
        if spec.clusterIP.isEmpty {
            let address = try freeAddress(for: object, others)
            object.value.set(["spec", "clusterIP"], .string(address))
            object.value.set(["spec", "clusterIPs"], [.string(address)])
        } else if !spec.isHeadless, old.map({ ServiceSpec($0.spec).clusterIP != spec.clusterIP }) ?? true {
            try checkAddress(spec.clusterIP, object, others)
        }
        if spec.type == "NodePort"
            || spec.type == "LoadBalancer" && object.spec["allocateLoadBalancerNodePorts"] != false
        {
            try fillNodePorts(&object, others)
        }
    }

    private func offset(_ address: String) -> UInt32? {
        guard let bits = Addresses.parseIPv4(address), bits & 0xffff_0000 == Self.network else { return nil }
        return bits & 0xffff
    }

    private func checkAddress(_ address: String, _ object: Object, _ others: [ServiceSpec]) throws(APIError) {
        var problem: String?
        if let offset = offset(address) {
            if !Self.addresses.contains(offset) || offset == 10 { problem = "the provided IP is reserved" }
            if others.contains(where: { $0.clusterIP == address }) {
                problem = "failed to allocate IP \(address): provided IP is already allocated"
            }
        } else {
            problem = "the provided IP (\(address)) is not in the valid range. The range of valid IPs is 10.96.0.0/16"
        }
        guard let problem else { return }
        throw .invalid(
            ResourceTypes.services,
            object.name,
            [FieldError("spec.clusterIPs", .invalid, "Invalid value: [\"\(address)\"]: \(problem)")]
        )
    }

    private func freeAddress(for object: Object, _ others: [ServiceSpec]) throws(APIError) -> String {
        let taken = Set(others.compactMap { offset($0.clusterIP) }).union(Self.reserved)
        let upper = Self.addresses.upperBound - Self.namedBand + 1
        let start = UInt32(truncatingIfNeeded: Self.hash(object) % UInt64(upper))
        for step in 0..<upper {
            let candidate = Self.namedBand + (start + step) % upper
            if !taken.contains(candidate) { return Addresses.text(Self.network | candidate) }
        }
        for candidate in 1..<Self.namedBand where !taken.contains(candidate) {
            return Addresses.text(Self.network | candidate)
        }
        throw .internalError("failed to allocate a clusterIP for \(object.name): all of 10.96.0.0/16 are in use")
    }

    private func fillNodePorts(_ object: inout Object, _ others: [ServiceSpec]) throws(APIError) {
        var taken: Set<Int> = []
        for port in others.flatMap(\.ports) {
            if let number = port.nodePort { taken.insert(number) }
        }
        var ports = object.spec.list("ports")
        for (index, port) in ServiceSpec(object.spec).ports.enumerated() {
            guard let number = port.nodePort else { continue }
            guard !taken.contains(number) else {
                throw .invalid(
                    ResourceTypes.services,
                    object.name,
                    [
                        FieldError(
                            "spec.ports[\(index)].nodePort",
                            .invalid,
                            "Invalid value: \(number): provided port is already allocated"
                        )
                    ]
                )
            }
        }
        taken.formUnion(ServiceSpec(object.spec).ports.compactMap(\.nodePort))
        let lowest = Self.nodePorts.lowerBound + Self.namedPortBand
        let count = Self.nodePorts.upperBound - lowest + 1
        let start = Int(Self.hash(object) % UInt64(count))
        for index in ports.indices where ServicePort(ports[index]).nodePort == nil {
            let free =
                (0..<count).lazy.map { lowest + (start + $0) % count }.first { !taken.contains($0) }
                ?? (Self.nodePorts.lowerBound..<lowest).first { !taken.contains($0) }
            guard let free else {
                throw .internalError("failed to allocate a nodePort for \(object.name): all of 30000-32767 are in use")
            }
            taken.insert(free)
            ports[index]["nodePort"] = .int(Int64(free))
        }
        object.value.set(["spec", "ports"], .array(ports))
    }

    /// FNV-1a of the Service's namespace and name.
    private static func hash(_ object: Object) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in "\(object.namespace)/\(object.name)".utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return hash
    }
}
