import Controllers
import Resources
import Store
import Testing
import Wire

@Suite("Pods that wait for room", .timeLimit(.minutes(1)))
struct SchedulingLoopTests {
    private func pod(_ name: String, cpu: String, priorityClass: String? = nil, gated: Bool = false) -> Object {
        var pod = Object(ResourceTypes.pods, namespace: "default", name: name)
        pod.spec = [
            "containers": [["name": "main", "image": "one", "resources": ["requests": ["cpu": .string(cpu)]]]]
        ]
        if let priorityClass { pod.value.set(["spec", "priorityClassName"], .string(priorityClass)) }
        if gated { pod.value.set(["spec", "schedulingGates"], [["name": "example.com/later"]]) }
        return pod
    }

    private func scheduled(_ pods: [Object], _ name: String) -> Condition? {
        let conditions: [Condition] = pods.first { $0.name == name }?.status.views("conditions") ?? []
        return conditions.first(ofType: "PodScheduled")
    }

    private func isBound(_ pods: [Object], _ name: String) -> Bool {
        pods.contains { $0.name == name && PodSpec($0.spec).nodeName != nil }
    }

    @Test("a pod without room is Pending with the scheduler's reason, and is placed when room comes free")
    func waits() async throws {
        try await LoopKit.run { kit in
            try await kit.store.create(pod("first", cpu: "1500m"))
            try await kit.wait(ResourceTypes.pods) { isBound($0, "first") }
            try await kit.store.create(pod("second", cpu: "1"))
            let pods = try await kit.wait(ResourceTypes.pods) { scheduled($0, "second") != nil }
            let why = scheduled(pods, "second")
            #expect(why?.reason == "Unschedulable")
            #expect(
                why?.message == "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: "
                    + "1 No preemption victims found for incoming pod."
            )
            try await kit.wait(ResourceTypes.events) { events in
                events.contains { $0.value.text("reason") == "FailedScheduling" }
            }
            try await kit.store.delete(kit.key(ResourceTypes.pods, "first"))
            try await kit.wait(ResourceTypes.pods) { isBound($0, "second") }
        }
    }

    @Test("a cordoned machine gets its pods when it is free again, and a gate holds a pod back")
    func gates() async throws {
        try await LoopKit.run { kit in
            let node = ObjectKey(ResourceTypes.nodes, name: "weft")
            try await kit.store.modify(node) { (node) throws(APIError) in
                node.value.set(["spec", "unschedulable"], true)
            }
            try await kit.store.create(pod("one", cpu: "1m"))
            try await kit.store.create(pod("gated", cpu: "1m", gated: true))
            let pods = try await kit.wait(ResourceTypes.pods) {
                scheduled($0, "one")?.message.contains("were unschedulable") == true && scheduled($0, "gated") != nil
            }
            #expect(scheduled(pods, "gated")?.reason == "SchedulingGated")
            try await kit.store.modify(node) { (node) throws(APIError) in
                node.value.set(["spec", "unschedulable"], nil)
            }
            try await kit.wait(ResourceTypes.pods) { isBound($0, "one") }
            try await kit.store.modify(kit.key(ResourceTypes.pods, "gated")) { (pod) throws(APIError) in
                pod.value.set(["spec", "schedulingGates"], nil)
            }
            try await kit.wait(ResourceTypes.pods) { isBound($0, "gated") }
        }
    }

    @Test("an important pod takes the room of others, which are told why they go")
    func preempts() async throws {
        try await LoopKit.run { kit in
            var high = Object(ResourceTypes.priorityClasses, name: "high")
            high["value"] = 1000
            try await kit.store.create(high)
            try await kit.store.create(pod("low", cpu: "1500m"))
            try await kit.wait(ResourceTypes.pods) { isBound($0, "low") }
            try await kit.store.create(pod("urgent", cpu: "1", priorityClass: "high"))
            let pods = try await kit.wait(ResourceTypes.pods) { isBound($0, "urgent") }
            #expect(!pods.contains { $0.name == "low" && !$0.isDeleting })
            let urgent = try #require(pods.first { $0.name == "urgent" })
            #expect(urgent.spec.integer("priority") == 1000)
            try await kit.wait(ResourceTypes.events) { events in
                events.contains { $0.value.text("reason") == "Preempted" }
            }
        }
    }

    @Test("a taint that ends pods ends those that do not tolerate it")
    func taints() async throws {
        try await LoopKit.run { kit in
            try await kit.store.create(pod("frail", cpu: "1m"))
            var tough = pod("tough", cpu: "1m")
            tough.value.set(["spec", "tolerations"], [["key": "down", "operator": "Exists"]])
            try await kit.store.create(tough)
            try await kit.wait(ResourceTypes.pods) { isBound($0, "frail") && isBound($0, "tough") }
            try await kit.store.modify(ObjectKey(ResourceTypes.nodes, name: "weft")) { (node) throws(APIError) in
                node.value.set(["spec", "taints"], [["key": "down", "effect": "NoExecute"]])
            }
            let pods = try await kit.wait(ResourceTypes.pods) { pods in !pods.contains { $0.name == "frail" } }
            #expect(pods.map(\.name) == ["tough"])
        }
    }

    @Test("a quota says what is used")
    func quotas() async throws {
        try await LoopKit.run { kit in
            var quota = Object(ResourceTypes.resourceQuotas, namespace: "default", name: "q")
            quota.spec = ["hard": ["pods": "1"]]
            try await kit.store.create(quota)
            try await kit.store.create(pod("one", cpu: "1m"))
            try await kit.wait(ResourceTypes.resourceQuotas) { $0.first?.status.at("used", "pods") == "1" }
            await #expect(throws: APIError.self) { try await kit.store.create(pod("two", cpu: "1m")) }
            try await kit.store.delete(kit.key(ResourceTypes.pods, "one"))
            try await kit.wait(ResourceTypes.resourceQuotas) { $0.first?.status.at("used", "pods") == "0" }
            try await kit.store.create(pod("two", cpu: "1m"))
        }
    }
}
