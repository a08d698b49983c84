import Wire

/// What counts against a ResourceQuota, and by how much.
///
/// Pure: the caller brings the objects of the namespace.
package struct QuotaRules: Sendable {
    /// The names of `spec.hard` and their amounts.
    package let hard: [String: Quantity]
    private let scopes: [Value]

    package init(_ quota: Object) {
        var hard: [String: Quantity] = [:]
        for (name, amount) in quota.spec["hard"]?.fields ?? Fields() { hard[name] = Quantity(amount) }
        self.hard = hard
        scopes =
            quota.spec.texts("scopes").map { ["scopeName": .string($0), "operator": "Exists"] }
            + (quota.spec["scopeSelector"]?.list("matchExpressions") ?? [])
    }

    /// The types whose objects count: what a caller has to list.
    package var types: [ResourceType] { ResourceTypes.all.filter { !names(of: $0).isEmpty } }

    /// The names of `hard` that say something about a type.
    private func names(of type: ResourceType) -> [String] {
        hard.keys.filter { name in
            if name == "count/\(type.qualifiedPlural)" { return true }
            switch type {
            case ResourceTypes.pods: return name == "pods" || Self.podAmount(name) != nil
            case ResourceTypes.volumeClaims:
                return name == type.plural || name.hasSuffix("requests.storage")
                    || name.hasSuffix("storageclass.storage.k8s.io/persistentvolumeclaims")
            case ResourceTypes.services: return name == type.plural || name.hasPrefix("services.")
            default: return type.group.isEmpty && name == type.plural && Self.plain.contains(name)
            }
        }
    }

    private static let plain: Set<String> = ["configmaps", "secrets", "replicationcontrollers", "resourcequotas"]

    /// Of what a pod's amount counts: `requests.cpu` and `cpu` are the requests of cpu.
    private static func podAmount(_ name: String) -> (list: String, resource: String)? {
        for list in ["requests", "limits"] where name.hasPrefix("\(list).") {
            let resource = String(name.dropFirst(list.count + 1))
            return resource == "storage" ? nil : (list, resource)
        }
        return ["cpu", "memory", "ephemeral-storage"].contains(name) ? ("requests", name) : nil
    }

    /// How much one object uses of each name; empty when none of its quota's business.
    package func usage(of object: Object, _ type: ResourceType) -> [String: Quantity] {
        let names = names(of: type)
        guard !names.isEmpty else { return [:] }
        if type == ResourceTypes.pods {
            guard !["Succeeded", "Failed"].contains(object.status.text("phase") ?? "") else {
                return names.contains("count/pods") ? ["count/pods": Quantity(1)] : [:]
            }
            guard isInScope(object) else { return [:] }
        } else if !scopes.isEmpty {
            return [:]
        }
        var usage: [String: Quantity] = [:]
        for name in names { usage[name] = amount(name, object, type) }
        return usage
    }

    private func amount(_ name: String, _ object: Object, _ type: ResourceType) -> Quantity? {
        switch type {
        case ResourceTypes.pods:
            guard let (list, resource) = Self.podAmount(name) else { return Quantity(1) }
            return PodDemand(object.spec, list)[resource]
        case ResourceTypes.volumeClaims:
            let suffix = ".storageclass.storage.k8s.io/"
            let isOfClass =
                !name.contains(suffix)
                || name.hasPrefix("\(object.spec.text("storageClassName") ?? "")\(suffix)")
            guard isOfClass else { return nil }
            return name.hasSuffix("requests.storage")
                ? Quantity(object.spec.at("resources", "requests", "storage")) ?? .zero : Quantity(1)
        case ResourceTypes.services:
            let spec = ServiceSpec(object.spec)
            switch name {
            case "services.loadbalancers": return Quantity(spec.type == "LoadBalancer" ? 1 : 0)
            case "services.nodeports": return Quantity(spec.ports.count { $0.nodePort != nil })
            default: return Quantity(1)
            }
        default: return Quantity(1)
        }
    }

    /// What all these objects use together, with every name of `hard`.
    package func usage(of objects: [(type: ResourceType, objects: [Object])]) -> [String: Quantity] {
        var sum = hard.mapValues { _ in Quantity.zero }
        for (type, list) in objects {
            for object in list {
                for (name, amount) in usage(of: object, type) { sum[name] = (sum[name] ?? .zero) + amount }
            }
        }
        return sum
    }

    // MARK: Scopes

    private func isInScope(_ pod: Object) -> Bool {
        let spec = pod.spec
        return scopes.allSatisfy { scope in
            switch scope.text("scopeName") {
            case "BestEffort": return Self.isBestEffort(spec)
            case "NotBestEffort": return !Self.isBestEffort(spec)
            case "Terminating": return (spec.integer("activeDeadlineSeconds") ?? -1) >= 0
            case "NotTerminating": return spec.integer("activeDeadlineSeconds") == nil
            case "PriorityClass":
                let name = spec.text("priorityClassName") ?? ""
                switch scope.text("operator") {
                case "In": return scope.texts("values").contains(name)
                case "NotIn": return !scope.texts("values").contains(name)
                case "DoesNotExist": return name.isEmpty
                default: return !name.isEmpty
                }
            default: return false
            }
        }
    }

    private static func isBestEffort(_ pod: Value) -> Bool {
        (pod.list("containers") + pod.list("initContainers")).allSatisfy { container in
            ["cpu", "memory"].allSatisfy { name in
                container.at("resources", "requests", name) == nil && container.at("resources", "limits", name) == nil
            }
        }
    }

    // MARK: Refusals

    /// Whether an object may be written.
    ///
    /// - Parameters:
    ///   - name: the quota's name.
    ///   - object: the object as it is to be written.
    ///   - old: as it is, nil for a new one.
    ///   - type: its type.
    ///   - used: what all others use already; asked for only when something more is wanted.
    /// - Returns: why not, in Kubernetes' words, or nil.
    package func refusal(
        _ name: String,
        _ object: Object,
        replacing old: Object?,
        _ type: ResourceType,
        used: () -> [String: Quantity]
    ) -> String? {
        if old == nil, type == ResourceTypes.pods, isInScope(object), let missing = missing(object.spec) {
            return "failed quota: \(name): must specify \(missing)"
        }
        var wanted = usage(of: object, type)
        let before = old.map { usage(of: $0, type) } ?? [:]
        for (name, amount) in before { wanted[name] = (wanted[name] ?? .zero) - amount }
        wanted = wanted.filter { $0.value > .zero }
        guard !wanted.isEmpty else { return nil }
        let used = used()
        let over = wanted.filter { (used[$0.key] ?? .zero) + $0.value > hard[$0.key] ?? .zero }.keys.sorted()
        guard !over.isEmpty else { return nil }
        func list(_ amounts: [String: Quantity]) -> String {
            over.map { "\($0)=\(text(amounts[$0] ?? .zero, $0))" }.joined(separator: ",")
        }
        return "exceeded quota: \(name), requested: \(list(wanted)), used: \(list(used)), limited: \(list(hard))"
    }

    /// Amounts that a quota counts have to be said by every container.
    private func missing(_ pod: Value) -> String? {
        var words: [String] = []
        for name in hard.keys.sorted() {
            guard let (list, resource) = Self.podAmount(name), ["cpu", "memory"].contains(resource),
                pod.at("resources", list, resource) == nil
            else { continue }
            let without = pod.list("containers").filter { $0.at("resources", list, resource) == nil }
                .compactMap { $0.text("name") }
            if !without.isEmpty { words.append("\(name) for: \(without.joined(separator: ","))") }
        }
        return words.isEmpty ? nil : words.joined(separator: "; ")
    }

    /// An amount as the quota writes it.
    package func text(_ amount: Quantity, _ name: String) -> String {
        amount.text(isBinary: name.hasSuffix("memory") || name.hasSuffix("storage"))
    }
}
