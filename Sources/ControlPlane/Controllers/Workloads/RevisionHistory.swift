import Resources
import Store
import Wire

/// The templates that a StatefulSet or DaemonSet has had, as ControllerRevisions: what it goes back to, and what its pods
/// say they are made of.
struct RevisionHistory: Sendable {
    /// The label by which a pod tells its revision.
    static let label = "controller-revision-hash"
    private static let hashLabel = "controller.kubernetes.io/hash"

    let cluster: Cluster
    let owner: Object

    /// All, oldest first.
    func all() async -> [Object] {
        let uid = owner.uid
        return await cluster.read { state in
            state.controlled(by: uid, ResourceTypes.controllerRevisions).filter { !$0.isDeleting }.sorted {
                ($0.value.integer("revision") ?? 0, $0.name) < ($1.value.integer("revision") ?? 0, $1.name)
            }
        }
    }

    /// The revision of the template at hand: the one there is, brought to the front, or a new one.
    func current() async throws(APIError) -> Object {
        let template = owner.spec["template"] ?? .null
        let data = Self.data(template)
        let present = await all()
        let highest = present.last?.value.integer("revision") ?? 0
        let hash = TemplateHash(data)
        if var same = present.last(where: { TemplateHash($0["data"] ?? .null) == hash && $0["data"] == data }) {
            guard same.value.integer("revision") != highest else { return same }
            same["revision"] = .int(Int64(highest + 1))
            return try await cluster.replace(same)
        }
        for collisions in 0..<8 {
            let text = TemplateHash(data, collisions: collisions).text
            let name = "\(owner.name.prefix(223))-\(text)"
            var revision = Object(ResourceTypes.controllerRevisions, namespace: owner.namespace, name: name)
            var labels = template["metadata"]?.textMap("labels") ?? [:]
            labels[Self.hashLabel] = text
            revision.labels = labels
            revision.ownerReferences = [OwnerReference(to: owner)]
            revision["data"] = data
            revision["revision"] = .int(Int64(highest + 1))
            do { return try await cluster.create(revision) } catch {
                // Another template has the same hash, or somebody else's object the same name.
                guard error.reason == .alreadyExists else { throw error }
            }
        }
        throw .internalError("no free name for a revision of \(owner.kind) \(owner.namespace)/\(owner.name)")
    }

    /// Deletes the oldest that nobody needs, beyond those that are kept.
    func forget(keeping limit: Int, used: Set<String>) async throws(APIError) {
        let idle = await all().filter { !used.contains($0.name) && !used.contains(Self.hash(of: $0)) }
        for revision in idle.prefix(max(0, idle.count - limit)) {
            let key = ObjectKey(ResourceTypes.controllerRevisions, namespace: revision.namespace, name: revision.name)
            try await cluster.delete(key, DeleteOptions(uid: revision.uid))
        }
    }

    static func hash(of revision: Object) -> String { revision.label(hashLabel) ?? revision.name }

    /// The template of a revision.
    static func template(of revision: Object) -> Value {
        var template = revision.value.at("data", "spec", "template") ?? .null
        template["$patch"] = nil
        return template
    }

    /// What is kept: a patch that puts the template in the place of another.
    private static func data(_ template: Value) -> Value {
        var template = template
        template["$patch"] = "replace"
        return ["spec": ["template": template]]
    }
}
