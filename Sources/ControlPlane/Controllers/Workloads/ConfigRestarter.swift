package import Resources
import Store
import Wire

/// Replaces the pods of workloads that ask for it when a ConfigMap or Secret that they take their settings from changes.
///
/// What was last seen stands as a hash in the workload's own annotations; only a change of it goes into the template, so
/// that asking for restarts restarts nothing.
package struct ConfigRestarter: Reconciler {
    /// `true` on a Deployment, StatefulSet or DaemonSet asks for it.
    package static let annotation = "weft.dev/restart-on-config-change"
    static let hashAnnotation = "weft.dev/config-hash"
    private static let types = [ResourceTypes.deployments, ResourceTypes.statefulSets, ResourceTypes.daemonSets]
    private static let sources = [ResourceTypes.configMaps, ResourceTypes.secrets]

    package let name = "config"
    private let cluster: Cluster

    package init(_ cluster: Cluster) { self.cluster = cluster }

    package func keys(for change: Change, in state: borrowing ClusterState) -> [ObjectKey] {
        if Self.types.contains(change.key.type) {
            return change.new.map(Self.asks) ?? false ? [change.key] : []
        }
        guard Self.sources.contains(change.key.type),
            change.old?["data"] != change.new?["data"]
                || change.old?["binaryData"] != change.new?["binaryData"]
        else { return [] }
        return Self.types.flatMap { type in
            state.list(type, namespace: change.key.namespace).filter { workload in
                Self.asks(workload) && Self.references(of: workload).contains { $0.key == change.key }
            }.compactMap(\.key)
        }
    }

    private static func asks(_ workload: Object) -> Bool { workload.annotation(annotation) == "true" }

    package func reconcile(_ key: ObjectKey) async throws(APIError) -> Int? {
        guard var workload = await cluster.get(key), !workload.isDeleting, Self.asks(workload) else { return nil }
        let references = Self.references(of: workload)
        let found = await cluster.read { state in references.map { state.get($0.key) } }
        // What is about to come (deleted and made anew) is waited for.
        for (reference, object) in zip(references, found) where object == nil && !reference.isOptional { return nil }
        let hash = TemplateHash(.array(found.map(Self.content))).text
        let known = workload.annotation(Self.hashAnnotation)
        guard known != hash else { return nil }
        workload.annotations[Self.hashAnnotation] = hash
        if known != nil {
            workload.value.set(["spec", "template", "metadata", "annotations", Self.hashAnnotation], .string(hash))
        }
        let written = try await cluster.replace(workload)
        guard known != nil else { return nil }
        cluster.events.record(
            written,
            .normal,
            reason: "ConfigChanged",
            message: "what its pods take from ConfigMaps and Secrets changed: the pods are replaced",
            component: "config-controller"
        )
        return nil
    }

    private static func content(_ object: Object?) -> Value {
        guard let object else { return .null }
        return [
            "kind": .string(object.kind), "name": .string(object.name), "data": object["data"] ?? .null,
            "binaryData": object["binaryData"] ?? .null,
        ]
    }

    /// One ConfigMap or Secret of a template.
    struct Reference: Hashable {
        let key: ObjectKey
        let isOptional: Bool
    }

    /// Everything that the pods of a workload take settings from, in the order of kinds and names.
    static func references(of workload: Object) -> [Reference] {
        let spec = workload.spec.at("template", "spec") ?? .null
        var found: [ObjectKey: Bool] = [:]
        func add(_ type: ResourceType, _ source: Value?, _ field: String = "name") {
            guard let source, let name = source.text(field), !name.isEmpty else { return }
            let key = ObjectKey(type, namespace: workload.namespace, name: name)
            found[key] = (found[key] ?? true) && source.flag("optional")
        }
        for container in spec.list("containers") + spec.list("initContainers") {
            for variable in container.list("env") {
                add(ResourceTypes.configMaps, variable.at("valueFrom", "configMapKeyRef"))
                add(ResourceTypes.secrets, variable.at("valueFrom", "secretKeyRef"))
            }
            for source in container.list("envFrom") {
                add(ResourceTypes.configMaps, source["configMapRef"])
                add(ResourceTypes.secrets, source["secretRef"])
            }
        }
        for volume in spec.list("volumes") {
            add(ResourceTypes.configMaps, volume["configMap"])
            add(ResourceTypes.secrets, volume["secret"], "secretName")
            for source in volume["projected"]?.list("sources") ?? [] {
                add(ResourceTypes.configMaps, source["configMap"])
                add(ResourceTypes.secrets, source["secret"])
            }
        }
        return found.sorted { $0.key < $1.key }.map { Reference(key: $0.key, isOptional: $0.value) }
    }
}
