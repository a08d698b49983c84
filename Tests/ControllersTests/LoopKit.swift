import Controllers
import Resources
import Store
import Testing
import Wire

/// A store with the loops running on it, and an agent that only pretends: it gives every bound pod an address, makes it
/// ready, and removes it when it is told to end.
final class LoopKit: Sendable {
    let store: SQLiteStore
    let manager: ControllerManager

    /// What the pretended agent does with a pod.
    enum Fate: Sendable, Equatable {
        case ready, neverReady
        /// The pod's one container ends with this code.
        case ends(Int)
    }

    static func run(
        fate: @escaping @Sendable (Object) -> Fate = { _ in .ready },
        metrics: (any AutoscalerMetrics)? = nil,
        _ body: (LoopKit) async throws -> Void
    ) async throws {
        let store = try await SQLiteStore.open(path: ":memory:")
        let cluster = Cluster(store: store, now: { .systemNow() })
        let manager = ControllerManager(cluster, ControllerManager.standardReconcilers(cluster, metrics: metrics)) {
            _ in
        }
        let kit = LoopKit(store: store, manager: manager)
        var node = Object(ResourceTypes.nodes, name: PodBinder.nodeName)
        node.labels = ["kubernetes.io/hostname": PodBinder.nodeName]
        node = try await store.create(node)
        node.status = ["allocatable": ["cpu": "2", "memory": "4Gi", "pods": "1000"]]
        try await store.updateStatus(node)
        await manager.start()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await kit.pretend(fate) }
            try await body(kit)
            group.cancelAll()
        }
        await manager.shutdown()
        await store.shutdown()
    }

    private init(store: SQLiteStore, manager: ControllerManager) {
        self.store = store
        self.manager = manager
    }

    private func pretend(_ fate: @Sendable (Object) -> Fate) async throws {
        var number = 0
        for try await event in try await store.watch(ResourceTypes.pods) {
            let pod = event.object
            let key = ObjectKey(ResourceTypes.pods, namespace: pod.namespace, name: pod.name)
            guard event.kind != .deleted else { continue }
            if pod.isDeleting {
                _ = try? await store.delete(key, DeleteOptions(gracePeriodSeconds: 0))
            } else if PodSpec(pod.spec).nodeName != nil, PodStatus(pod.status).podIP.isEmpty {
                number += 1
                let address = "10.244.0.\(number)"
                let fate = fate(pod)
                let isReady = fate == .ready
                let now = Timestamp.systemNow().description
                _ = try? await store.modifyStatus(key) { (pod) throws(APIError) in
                    if case .ends(let code) = fate {
                        pod.status = [
                            "phase": code == 0 ? "Succeeded" : "Failed", "podIP": .string(address),
                            "containerStatuses": [
                                [
                                    "name": "main",
                                    "state": [
                                        "terminated": ["exitCode": .int(Int64(code)), "finishedAt": .string(now)]
                                    ],
                                ]
                            ],
                        ]
                        return
                    }
                    pod.status = [
                        "phase": "Running", "podIP": .string(address), "startTime": .string(now),
                        "conditions": [
                            [
                                "type": "Ready", "status": isReady ? "True" : "False",
                                "lastTransitionTime": .string(Timestamp.systemNow().description),
                            ]
                        ],
                    ]
                }
            }
        }
    }

    /// Waits until the objects of a type in `default` are as wished; the suite's time limit ends a vain wait.
    @discardableResult
    func wait(
        _ type: ResourceType,
        namespace: String? = "default",
        until isGood: ([Object]) -> Bool
    ) async throws -> [Object] {
        var objects: [ObjectKey: Object] = [:]
        var isComplete = false
        let options = WatchOptions(marksInitialEnd: true)
        for try await event in try await store.watch(type, namespace: namespace, options) {
            let key = ObjectKey(type, namespace: event.object.namespace, name: event.object.name)
            switch event.kind {
            case .bookmark: isComplete = true
            case .deleted: objects[key] = nil
            case .added, .modified: objects[key] = event.object
            }
            let all = objects.values.sorted { $0.name < $1.name }
            if isComplete, isGood(all) { return all }
        }
        return []
    }

    func key(_ type: ResourceType, _ name: String) -> ObjectKey { ObjectKey(type, namespace: "default", name: name) }

    static func deployment(_ name: String, replicas: Int, image: String = "one", extra: Value = [:]) -> Object {
        var object = Object(ResourceTypes.deployments, namespace: "default", name: name)
        var spec = extra
        spec["replicas"] = .int(Int64(replicas))
        spec["selector"] = ["matchLabels": ["app": .string(name)]]
        spec["template"] = [
            "metadata": ["labels": ["app": .string(name)]],
            "spec": [
                "containers": [
                    [
                        "name": "main", "image": .string(image),
                        "ports": [["name": "http", "containerPort": 8080]],
                    ]
                ]
            ],
        ]
        object.spec = spec
        return object
    }

    static func service(_ name: String, extra: Value = [:]) -> Object {
        var object = Object(ResourceTypes.services, namespace: "default", name: name)
        var spec = extra
        spec["selector"] = ["app": .string(name)]
        spec["ports"] = [["name": "web", "port": 80, "targetPort": "http"]]
        object.spec = spec
        return object
    }

    /// Waits until a Deployment's rollout is complete, as `rollout status` does.
    func waitRolledOut(_ name: String, replicas: Int) async throws {
        try await wait(ResourceTypes.deployments) { all in
            guard let object = all.first(where: { $0.name == name }) else { return false }
            let status = ScaleStatus(object.status)
            return status.observedGeneration >= object.generation && status.updatedReplicas == replicas
                && status.replicas == replicas && status.availableReplicas == replicas
                && status.conditions.first(ofType: "Progressing")?.reason == "NewReplicaSetAvailable"
        }
    }
}
