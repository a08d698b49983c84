import Controllers
import Resources
import Store
import Testing
import Wire

@Suite("Sets on a real store", .timeLimit(.minutes(1)))
struct SetLoopTests {
    private func template(_ name: String, _ image: String) -> Value {
        [
            "metadata": ["labels": ["app": .string(name)]],
            "spec": ["containers": [["name": "main", "image": .string(image)]]],
        ]
    }

    private func set(_ type: ResourceType, _ name: String, _ extra: Value, image: String = "one") -> Object {
        var set = Object(type, namespace: "default", name: name)
        var spec = extra
        spec["selector"] = ["matchLabels": ["app": .string(name)]]
        spec["template"] = template(name, image)
        set.spec = spec
        return set
    }

    private func change(_ kit: LoopKit, _ type: ResourceType, _ name: String, _ path: [String], _ value: Value)
        async throws
    {
        try await kit.store.modify(kit.key(type, name)) { (set) throws(APIError) in
            set.value.set(["spec"] + path, value)
        }
    }

    private func images(_ pods: [Object]) -> [String: String] {
        Dictionary(
            pods.map { ($0.name, PodSpec($0.spec).containers.first?.image ?? "") },
            uniquingKeysWith: { first, _ in first }
        )
    }

    @Test("a StatefulSet's pods have names, numbers, revisions and claims, and roll out from above")
    func statefulSet() async throws {
        try await LoopKit.run { kit in
            let claim: Value = [
                "metadata": ["name": "data"],
                "spec": ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "1Mi"]]],
            ]
            let extra: Value = [
                "replicas": 3, "serviceName": "db", "volumeClaimTemplates": [claim],
                "updateStrategy": ["rollingUpdate": ["partition": 1]],
                "persistentVolumeClaimRetentionPolicy": ["whenDeleted": "Retain", "whenScaled": "Delete"],
            ]
            try await kit.store.create(set(ResourceTypes.statefulSets, "db", extra))
            let pods = try await kit.wait(ResourceTypes.pods) { pods in
                pods.count == 3 && pods.allSatisfy { PodStatus($0.status).isReady }
            }
            #expect(pods.map(\.name) == ["db-0", "db-1", "db-2"])
            for (index, pod) in pods.enumerated() {
                let spec = PodSpec(pod.spec)
                #expect(spec.hostname == pod.name && spec.subdomain == "db")
                #expect(pod.label("apps.kubernetes.io/pod-index") == "\(index)")
                #expect(pod.label("controller-revision-hash")?.hasPrefix("db-") == true)
                guard case .claim(let name, _)? = spec.volumes.first?.source else {
                    Issue.record("no claim")
                    continue
                }
                #expect(name == "data-db-\(index)")
            }
            try await change(kit, ResourceTypes.statefulSets, "db", ["template"], template("db", "two"))
            try await kit.wait(ResourceTypes.pods) { pods in
                images(pods) == ["db-0": "one", "db-1": "two", "db-2": "two"]
                    && pods.allSatisfy { PodStatus($0.status).isReady && !$0.isDeleting }
            }
            try await change(
                kit,
                ResourceTypes.statefulSets,
                "db",
                ["updateStrategy", "rollingUpdate", "partition"],
                0
            )
            try await kit.wait(ResourceTypes.statefulSets) { all in
                let status = all.first?.status ?? .null
                return status.integer("updatedReplicas") == 3 && status.integer("readyReplicas") == 3
                    && status["currentRevision"] == status["updateRevision"]
                    && status.integer("observedGeneration") == all.first?.generation
            }
            #expect(try await kit.store.list(ResourceTypes.controllerRevisions).count == 2)
            // Its number is given up, and its claim with it.
            try await change(kit, ResourceTypes.statefulSets, "db", ["replicas"], 1)
            try await kit.wait(ResourceTypes.pods) { $0.map(\.name) == ["db-0"] }
            try await kit.wait(ResourceTypes.volumeClaims) { claims in
                claims.filter { !$0.isDeleting }.map(\.name) == ["data-db-0"]
            }
            try await kit.store.delete(kit.key(ResourceTypes.statefulSets, "db"))
            try await kit.wait(ResourceTypes.pods) { $0.isEmpty }
            try await kit.wait(ResourceTypes.controllerRevisions) { $0.isEmpty }
        }
    }

    @Test("in order the next pod waits for the one before, in parallel none does")
    func order() async throws {
        let fate: @Sendable (Object) -> LoopKit.Fate = { $0.name.hasSuffix("-0") ? .neverReady : .ready }
        try await LoopKit.run(fate: fate) { kit in
            try await kit.store.create(set(ResourceTypes.statefulSets, "one", ["replicas": 2]))
            let parallel: Value = ["replicas": 2, "podManagementPolicy": "Parallel"]
            try await kit.store.create(set(ResourceTypes.statefulSets, "all", parallel))
            try await kit.wait(ResourceTypes.pods) { pods in
                pods.map(\.name).filter { $0.hasPrefix("all") }.count == 2
                    && pods.contains { $0.name == "one-0" && !PodStatus($0.status).podIP.isEmpty }
            }
            let all = try await kit.store.list(ResourceTypes.pods).map(\.name)
            #expect(!all.contains("one-1"))
        }
    }

    @Test("a DaemonSet has one pod, rolls it over, keeps its history, and leaves a machine that it may not have")
    func daemonSet() async throws {
        try await LoopKit.run { kit in
            try await kit.store.create(set(ResourceTypes.daemonSets, "agent", ["revisionHistoryLimit": 1]))
            func available(_ pods: [Object], _ image: String) -> Bool {
                Array(images(pods).values) == [image] && PodStatus(pods[0].status).isReady
            }
            try await kit.wait(ResourceTypes.pods) { available($0, "one") }
            for image in ["two", "three"] {
                try await change(kit, ResourceTypes.daemonSets, "agent", ["template"], template("agent", image))
                try await kit.wait(ResourceTypes.pods) { available($0, image) }
            }
            let all = try await kit.wait(ResourceTypes.daemonSets) { all in
                all.first?.status.integer("updatedNumberScheduled") == 1
                    && all.first?.status.integer("numberAvailable") == 1
            }
            #expect(all[0].status.integer("desiredNumberScheduled") == 1)
            try await kit.wait(ResourceTypes.controllerRevisions) { $0.count == 2 }
            try await change(kit, ResourceTypes.daemonSets, "agent", ["template", "spec", "nodeSelector"], ["a": "b"])
            try await kit.wait(ResourceTypes.pods) { $0.isEmpty }
            try await kit.wait(ResourceTypes.daemonSets) { $0.first?.status.integer("desiredNumberScheduled") == 0 }
        }
    }
}
