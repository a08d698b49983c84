import Controllers
import Resources
import Store
import Testing
import Wire

@Suite("Deployments on a real store", .timeLimit(.minutes(1)))
struct DeploymentLoopTests {
    private func change(_ kit: LoopKit, _ name: String, _ path: [String], _ value: Value?) async throws {
        try await kit.store.modify(kit.key(ResourceTypes.deployments, name)) { (object) throws(APIError) in
            object.value.set(["spec"] + path, value)
        }
    }

    @Test("a ReplicaSet's name that somebody else has makes another name, and is counted")
    func collision() async throws {
        try await LoopKit.run { kit in
            try await kit.store.create(LoopKit.deployment("web", replicas: 1))
            try await kit.waitRolledOut("web", replicas: 1)
            let taken = try #require(try await kit.store.list(ResourceTypes.replicaSets).first?.name)
            _ = try await kit.store.delete(kit.key(ResourceTypes.deployments, "web"))
            try await kit.wait(ResourceTypes.replicaSets) { $0.isEmpty }
            var foreign = Object(ResourceTypes.replicaSets, namespace: "default", name: taken)
            foreign.spec = LoopKit.deployment("other", replicas: 0).spec
            try await kit.store.create(foreign)
            try await kit.store.create(LoopKit.deployment("web", replicas: 1))
            try await kit.waitRolledOut("web", replicas: 1)
            let web = try await kit.store.get(kit.key(ResourceTypes.deployments, "web"))
            #expect(web.status["collisionCount"] == 1)
            let sets = try await kit.store.list(ResourceTypes.replicaSets)
            #expect(sets.count == 2 && sets.filter { $0.controller?.name == "web" }.allSatisfy { $0.name != taken })
        }
    }

    @Test("a paused Deployment changes its size but not its pods, and goes on when it is resumed")
    func pause() async throws {
        try await LoopKit.run { kit in
            try await kit.store.create(LoopKit.deployment("web", replicas: 1))
            try await kit.waitRolledOut("web", replicas: 1)
            try await change(kit, "web", ["paused"], true)
            let spec = LoopKit.deployment("web", replicas: 3, image: "two").spec
            try await change(kit, "web", ["template"], spec["template"])
            try await change(kit, "web", ["replicas"], 3)
            try await kit.wait(ResourceTypes.pods) { pods in
                pods.count == 3 && pods.allSatisfy { PodStatus($0.status).isReady }
            }
            let pods = try await kit.store.list(ResourceTypes.pods)
            #expect(Set(pods.compactMap { PodSpec($0.spec).containers.first?.image }) == ["one"])
            let paused = try await kit.store.get(kit.key(ResourceTypes.deployments, "web"))
            #expect(ScaleStatus(paused.status).conditions.first(ofType: "Progressing")?.reason == "DeploymentPaused")
            try await change(kit, "web", ["paused"], nil)
            try await kit.waitRolledOut("web", replicas: 3)
            let after = try await kit.store.list(ResourceTypes.pods).filter { !$0.isDeleting }
            #expect(Set(after.compactMap { PodSpec($0.spec).containers.first?.image }) == ["two"])
        }
    }

    @Test("only so many old ReplicaSets are kept")
    func history() async throws {
        try await LoopKit.run { kit in
            try await kit.store.create(LoopKit.deployment("web", replicas: 1, extra: ["revisionHistoryLimit": 1]))
            for image in ["two", "three", "four"] {
                try await kit.waitRolledOut("web", replicas: 1)
                let spec = LoopKit.deployment("web", replicas: 1, image: image).spec
                try await change(kit, "web", ["template"], spec["template"])
                try await kit.wait(ResourceTypes.pods) { pods in
                    pods.count == 1 && PodSpec(pods[0].spec).containers.first?.image == image
                }
            }
            try await kit.wait(ResourceTypes.replicaSets) { sets in
                Set(sets.compactMap { $0.annotation("deployment.kubernetes.io/revision") }) == ["3", "4"]
            }
        }
    }

    @Test("a size changed in the middle of a rollout is shared out over the ReplicaSets")
    func proportional() async throws {
        let fate: @Sendable (Object) -> LoopKit.Fate = { pod in
            PodSpec(pod.spec).containers.first?.image == "bad" ? .neverReady : .ready
        }
        try await LoopKit.run(fate: fate) { kit in
            let extra: Value = ["strategy": ["rollingUpdate": ["maxSurge": 3, "maxUnavailable": 2]]]
            try await kit.store.create(LoopKit.deployment("web", replicas: 10, extra: extra))
            try await kit.waitRolledOut("web", replicas: 10)
            let bad = LoopKit.deployment("web", replicas: 10, image: "bad", extra: extra).spec
            try await change(kit, "web", ["template"], bad["template"])
            // 10 + 3 may exist, 8 must be available: 8 old and 5 new.
            try await kit.wait(ResourceTypes.replicaSets) {
                $0.map { ReplicaSetSpec($0.spec).replicas }.sorted() == [5, 8]
            }
            try await change(kit, "web", ["replicas"], 15)
            // 18 may exist: 13 of them were shared 8 to 5, and so are the 5 more.
            try await kit.wait(ResourceTypes.replicaSets) {
                $0.map { ReplicaSetSpec($0.spec).replicas }.sorted() == [7, 11]
            }
        }
    }
}
