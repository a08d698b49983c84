import Controllers
import Resources
import Store
import Testing
import Wire

@Suite("Loops on a real store", .timeLimit(.minutes(1)))
struct LoopTests {
    @Test("a Deployment becomes pods that are bound, and its status says so")
    func deploymentBecomesPods() async throws {
        try await LoopKit.run { kit in
            try await kit.store.create(LoopKit.deployment("web", replicas: 3))
            try await kit.waitRolledOut("web", replicas: 3)
            let pods = try await kit.store.list(ResourceTypes.pods)
            #expect(pods.count == 3)
            #expect(pods.allSatisfy { PodSpec($0.spec).nodeName == "weft" && $0.label("pod-template-hash") != nil })
            let deployment = try await kit.store.get(kit.key(ResourceTypes.deployments, "web"))
            #expect(ScaleStatus(deployment.status).conditions.first(ofType: "Available")?.isTrue == true)
            #expect(deployment.annotation("deployment.kubernetes.io/revision") == "1")
        }
    }

    @Test("scaling creates and ends exactly the difference")
    func scaling() async throws {
        try await LoopKit.run { kit in
            try await kit.store.create(LoopKit.deployment("web", replicas: 1))
            try await kit.waitRolledOut("web", replicas: 1)
            for replicas in [5, 2, 0] {
                try await kit.store.modify(kit.key(ResourceTypes.deployments, "web")) { (object) throws(APIError) in
                    object.value.set(["spec", "replicas"], .int(Int64(replicas)))
                }
                try await kit.wait(ResourceTypes.pods) { $0.count == replicas }
            }
            try await kit.waitRolledOut("web", replicas: 0)
        }
    }

    @Test("a new template rolls out without ever going below what must be available")
    func rollingUpdate() async throws {
        try await LoopKit.run { kit in
            try await kit.store.create(LoopKit.deployment("web", replicas: 4))
            try await kit.waitRolledOut("web", replicas: 4)
            try await kit.store.modify(kit.key(ResourceTypes.deployments, "web")) { (object) throws(APIError) in
                object.spec = LoopKit.deployment("web", replicas: 4, image: "two").spec
            }
            var lowest = Int.max
            var highest = 0
            try await kit.wait(ResourceTypes.pods) { pods in
                let active = pods.filter { !$0.isDeleting }
                lowest = min(lowest, active.count { PodStatus($0.status).isReady })
                highest = max(highest, active.count)
                let images = Set(active.compactMap { PodSpec($0.spec).containers.first?.image })
                return images == ["two"] && active.count == 4 && active.allSatisfy { PodStatus($0.status).isReady }
            }
            #expect(lowest >= 3)
            #expect(highest <= 5)
            try await kit.waitRolledOut("web", replicas: 4)
            let sets = try await kit.store.list(ResourceTypes.replicaSets)
            #expect(sets.map { ReplicaSetSpec($0.spec).replicas }.sorted() == [0, 4])
            let revisions = sets.compactMap { $0.annotation("deployment.kubernetes.io/revision") }
            #expect(Set(revisions) == ["1", "2"])
        }
    }

    @Test("going back to an earlier template takes its ReplicaSet again, under a new revision")
    func rollback() async throws {
        try await LoopKit.run { kit in
            try await kit.store.create(LoopKit.deployment("web", replicas: 1))
            try await kit.waitRolledOut("web", replicas: 1)
            for image in ["two", "one"] {
                try await kit.store.modify(kit.key(ResourceTypes.deployments, "web")) { (object) throws(APIError) in
                    object.spec = LoopKit.deployment("web", replicas: 1, image: image).spec
                }
                try await kit.wait(ResourceTypes.pods) { pods in
                    pods.count == 1 && PodSpec(pods[0].spec).containers.first?.image == image
                        && PodStatus(pods[0].status).isReady
                }
                try await kit.waitRolledOut("web", replicas: 1)
            }
            let sets = try await kit.store.list(ResourceTypes.replicaSets)
            #expect(sets.count == 2)
            let current = try #require(sets.first { ReplicaSetSpec($0.spec).replicas == 1 })
            #expect(current.annotation("deployment.kubernetes.io/revision") == "3")
            #expect(current.annotation("deployment.kubernetes.io/revision-history") == "1")
        }
    }

    @Test("Recreate ends every old pod before the first new one begins")
    func recreate() async throws {
        try await LoopKit.run { kit in
            let extra: Value = ["strategy": ["type": "Recreate"]]
            try await kit.store.create(LoopKit.deployment("web", replicas: 3, extra: extra))
            try await kit.waitRolledOut("web", replicas: 3)
            try await kit.store.modify(kit.key(ResourceTypes.deployments, "web")) { (object) throws(APIError) in
                object.spec = LoopKit.deployment("web", replicas: 3, image: "two", extra: extra).spec
            }
            var isMixed = false
            try await kit.wait(ResourceTypes.pods) { pods in
                let images = pods.compactMap { PodSpec($0.spec).containers.first?.image }
                if Set(images).count > 1 { isMixed = true }
                return images == ["two", "two", "two"]
            }
            #expect(!isMixed)
        }
    }

    @Test("a template that never becomes ready leaves the old pods alone")
    func stuckRollout() async throws {
        let fate: @Sendable (Object) -> LoopKit.Fate = { pod in
            PodSpec(pod.spec).containers.first?.image == "bad" ? .neverReady : .ready
        }
        try await LoopKit.run(fate: fate) { kit in
            try await kit.store.create(LoopKit.deployment("web", replicas: 4))
            try await kit.waitRolledOut("web", replicas: 4)
            let extra: Value = ["progressDeadlineSeconds": 1]
            try await kit.store.modify(kit.key(ResourceTypes.deployments, "web")) { (object) throws(APIError) in
                object.spec = LoopKit.deployment("web", replicas: 4, image: "bad", extra: extra).spec
            }
            let all = try await kit.wait(ResourceTypes.deployments) { all in
                ScaleStatus(all[0].status).conditions.first(ofType: "Progressing")?.reason
                    == "ProgressDeadlineExceeded"
            }
            #expect(ScaleStatus(all[0].status).availableReplicas == 3)
        }
    }

    @Test("a paused Deployment keeps its template and still scales")
    func paused() async throws {
        try await LoopKit.run { kit in
            try await kit.store.create(LoopKit.deployment("web", replicas: 1))
            try await kit.waitRolledOut("web", replicas: 1)
            try await kit.store.modify(kit.key(ResourceTypes.deployments, "web")) { (object) throws(APIError) in
                object.spec = LoopKit.deployment("web", replicas: 3, image: "two", extra: ["paused": true]).spec
            }
            let pods = try await kit.wait(ResourceTypes.pods) { $0.count == 3 }
            #expect(pods.allSatisfy { PodSpec($0.spec).containers.first?.image == "one" })
        }
    }

    @Test("a pod whose labels are changed is let go and replaced; a matching orphan is adopted")
    func adoptsAndReleases() async throws {
        try await LoopKit.run { kit in
            try await kit.store.create(LoopKit.deployment("web", replicas: 2))
            try await kit.waitRolledOut("web", replicas: 2)
            let first = try #require(try await kit.store.list(ResourceTypes.pods).first)
            try await kit.store.modify(kit.key(ResourceTypes.pods, first.name)) { (pod) throws(APIError) in
                pod.labels["pod-template-hash"] = "elsewhere"
            }
            let pods = try await kit.wait(ResourceTypes.pods) { pods in
                pods.count == 3 && pods.contains { $0.name == first.name && $0.controller == nil }
            }
            let hash = try #require(pods.first { $0.controller != nil }?.label("pod-template-hash"))
            try await kit.store.modify(kit.key(ResourceTypes.pods, first.name)) { (pod) throws(APIError) in
                pod.labels["pod-template-hash"] = hash
            }
            try await kit.wait(ResourceTypes.pods) { pods in
                pods.count { $0.controller != nil && !$0.isDeleting } == 2 && pods.count == 2
            }
        }
    }

    @Test("what a Deployment leaves behind when it is deleted is nobody's, and is not taken in again by who is no more")
    func leavesBehind() async throws {
        try await LoopKit.run { kit in
            let names = (0..<12).map { "left\($0)" }
            for name in names { try await kit.store.create(LoopKit.deployment(name, replicas: 0)) }
            try await kit.wait(ResourceTypes.replicaSets) { $0.count == names.count }
            for name in names {
                let key = kit.key(ResourceTypes.deployments, name)
                _ = try await kit.store.delete(key, DeleteOptions(propagation: .orphan))
            }
            // What is made later is looked at later.
            try await kit.store.create(LoopKit.deployment("later", replicas: 1))
            try await kit.waitRolledOut("later", replicas: 1)
            let sets = try await kit.store.list(ResourceTypes.replicaSets)
            #expect(sets.count == names.count + 1)
            #expect(sets.count { $0.ownerReferences.isEmpty } == names.count)
        }
    }

    @Test("what a deleted Deployment owned goes with it")
    func collectsGarbage() async throws {
        try await LoopKit.run { kit in
            try await kit.store.create(LoopKit.deployment("web", replicas: 2))
            try await kit.waitRolledOut("web", replicas: 2)
            try await kit.store.delete(kit.key(ResourceTypes.deployments, "web"))
            try await kit.wait(ResourceTypes.pods) { $0.isEmpty }
            try await kit.wait(ResourceTypes.replicaSets) { $0.isEmpty }
        }
    }

    @Test("a deleted namespace is emptied and goes")
    func deletesNamespace() async throws {
        try await LoopKit.run { kit in
            try await kit.store.create(Object(ResourceTypes.namespaces, name: "shop"))
            var deployment = LoopKit.deployment("web", replicas: 2)
            deployment.namespace = "shop"
            try await kit.store.create(deployment)
            try await kit.wait(ResourceTypes.pods, namespace: "shop") { $0.count == 2 }
            var map = Object(ResourceTypes.configMaps, namespace: "shop", name: "settings")
            map["data"] = ["a": "b"]
            try await kit.store.create(map)
            try await kit.store.delete(ObjectKey(ResourceTypes.namespaces, name: "shop"))
            try await kit.wait(ResourceTypes.namespaces, namespace: nil) { all in !all.contains { $0.name == "shop" } }
            #expect(try await kit.store.list(ResourceTypes.configMaps, namespace: "shop").isEmpty)
        }
    }

    @Test("endpoints follow readiness, and a pod that is being deleted leaves at once")
    func endpoints() async throws {
        try await LoopKit.run { kit in
            try await kit.store.create(LoopKit.service("web"))
            try await kit.store.create(LoopKit.deployment("web", replicas: 2))
            func ready(_ slices: [Object]) -> [String] {
                slices.filter { $0.label("kubernetes.io/service-name") == "web" }
                    .flatMap { EndpointSliceView($0.value).endpoints }.filter(\.ready).flatMap(\.addresses)
            }
            let slices = try await kit.wait(ResourceTypes.endpointSlices) { ready($0).count == 2 }
            let slice = try #require(slices.first { !EndpointSliceView($0.value).endpoints.isEmpty })
            #expect(EndpointSliceView(slice.value).ports.map(\.port) == [8080])
            let endpoints = try await kit.wait(ResourceTypes.endpoints) { all in
                all.contains { $0.name == "web" && $0["subsets"]?[0]?.list("addresses").count == 2 }
            }
            #expect(endpoints.first { $0.name == "web" }?["subsets"]?[0]?.list("ports").first?.integer("port") == 8080)
            let pod = try #require(try await kit.store.list(ResourceTypes.pods).first)
            let address = PodStatus(pod.status).podIP
            try await kit.store.delete(kit.key(ResourceTypes.pods, pod.name))
            try await kit.wait(ResourceTypes.endpointSlices) { ready($0).count == 2 && !ready($0).contains(address) }
        }
    }

    @Test("LoadBalancer Services get loopback addresses, each its own, and lose them with their type")
    func loadBalancers() async throws {
        try await LoopKit.run { kit in
            for name in ["a", "b"] {
                try await kit.store.create(LoopKit.service(name, extra: ["type": "LoadBalancer"]))
            }
            let services = try await kit.wait(ResourceTypes.services) { all in
                all.filter { !LoadBalancerStatus($0.status).addresses.isEmpty }.count == 2
            }
            let addresses = services.flatMap { LoadBalancerStatus($0.status).addresses }
            #expect(Set(addresses) == ["127.10.0.1", "127.10.0.2"])
            try await kit.store.modify(kit.key(ResourceTypes.services, "a")) { (service) throws(APIError) in
                service.value.set(["spec", "type"], "ClusterIP")
            }
            try await kit.wait(ResourceTypes.services) { all in
                all.contains { $0.name == "a" && LoadBalancerStatus($0.status).addresses.isEmpty }
            }
        }
    }
}
