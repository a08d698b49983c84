import Resources
import Store
import Wire

/// Makes, adopts and ends the pods of one owner, and tells of it.
struct PodCrew: Sendable {
    let cluster: Cluster
    let owner: Object
    /// Who tells the events: `job-controller`.
    let component: String

    // MARK: Making

    /// A pod of a template, not yet stored; with a name, or with one to be made up.
    func pod(of template: Value, name: String? = nil, stem: String? = nil) -> Object {
        var metadata: Value = ["namespace": .string(owner.namespace)]
        if let name {
            metadata["name"] = .string(name)
        } else {
            metadata["generateName"] = .string(String((stem ?? owner.name).prefix(246)) + "-")
        }
        for field in ["labels", "annotations", "finalizers"] { metadata[field] = template["metadata"]?[field] }
        var pod = Object(["apiVersion": "v1", "kind": "Pod", "metadata": metadata])
        pod.spec = template["spec"] ?? .null
        pod.ownerReferences = [OwnerReference(to: owner)]
        return pod
    }

    /// Creates pods in batches of 1, 2, 4 ..., side by side within a batch; the first failure ends it.
    func create(_ pods: [Object]) async throws(APIError) {
        var rest = pods[...]
        for size in SlowStart(total: pods.count) {
            let batch = Array(rest.prefix(size))
            rest = rest.dropFirst(size)
            let results = await withTaskGroup(of: Result<Object, APIError>.self) { group in
                for pod in batch {
                    group.addTask {
                        do throws(APIError) { return .success(try await cluster.create(pod)) } catch {
                            return .failure(error)
                        }
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            for result in results {
                switch result {
                case .success(let created): tell(.normal, "SuccessfulCreate", "Created pod: \(created.name)")
                case .failure(let error):
                    tell(.warning, "FailedCreate", "Error creating: \(error.message)")
                    throw error
                }
            }
        }
    }

    // MARK: Ending

    func delete(_ name: String) async throws(APIError) {
        try await cluster.delete(ObjectKey(ResourceTypes.pods, namespace: owner.namespace, name: name))
        tell(.normal, "SuccessfulDelete", "Deleted pod: \(name)")
    }

    // MARK: Owning

    /// Takes in pods that nobody owns and that the selector chooses, and lets go of those that it no longer chooses.
    func adoptAndRelease(_ selector: LabelSelector) async throws(APIError) {
        guard !selector.isEmpty else { return }
        let owner = owner
        let (orphans, strangers) = await cluster.read { state in
            let orphans = state.list(ResourceTypes.pods, namespace: owner.namespace).filter {
                $0.controller == nil && !$0.isDeleting && selector.matches($0)
                    && !["Succeeded", "Failed"].contains(PodStatus($0.status).phase)
            }
            let strangers = state.controlled(by: owner.uid, ResourceTypes.pods).filter {
                !$0.isDeleting && !selector.matches($0)
            }
            return (orphans, strangers)
        }
        let adopts = orphans.isEmpty ? false : await cluster.mayAdopt(owner)
        for var pod in orphans where adopts {
            pod.ownerReferences.append(OwnerReference(to: owner))
            try await cluster.replace(pod)
        }
        for var pod in strangers {
            pod.ownerReferences.removeAll { $0.uid == owner.uid }
            try await cluster.replace(pod)
        }
    }

    func tell(_ severity: EventRecorder.Severity, _ reason: String, _ message: String) {
        cluster.events.record(owner, severity, reason: reason, message: message, component: component)
    }
}

extension Change {
    /// The owners of a kind that a change of a pod is of interest to: who owned it, who owns it, and whose selector
    /// chooses it when nobody does.
    func owners(
        of type: ResourceType,
        in state: borrowing ClusterState,
        selector: (Object) -> LabelSelector
    ) -> [ObjectKey] {
        var names: Set<String> = []
        for pod in [old, new] {
            if let owner = pod?.controller, owner.kind == type.kind { names.insert(owner.name) }
        }
        if let pod = new, pod.controller == nil {
            for owner in state.list(type, namespace: pod.namespace) where selector(owner).matches(pod) {
                names.insert(owner.name)
            }
        }
        return names.map { ObjectKey(type, namespace: key.namespace, name: $0) }
    }
}
