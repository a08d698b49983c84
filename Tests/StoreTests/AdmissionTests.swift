import Resources
import Store
import Testing
import Wire

@Suite("What the store's writer completes and refuses")
struct AdmissionTests {
    private func pod(_ name: String, _ spec: Value = [:]) -> Object {
        var pod = Object(ResourceTypes.pods, namespace: "default", name: name)
        pod.spec = spec
        pod.value.set(["spec", "containers"], [["name": "main", "image": "one"]])
        return pod
    }

    private func priorityClass(_ name: String, _ value: Int64, isDefault: Bool = false) -> Object {
        var object = Object(ResourceTypes.priorityClasses, name: name)
        object["value"] = .int(value)
        if isDefault { object["globalDefault"] = true }
        return object
    }

    @Test("a pod gets the number of its class, the default one's where it names none, and keeps it")
    func priorities() async throws {
        let store = try await makeStore()
        try await store.create(priorityClass("high", 100))
        let high = try await store.create(pod("high", ["priorityClassName": "high"]))
        #expect(high.spec.integer("priority") == 100)
        #expect(high.spec.text("preemptionPolicy") == "PreemptLowerPriority")
        #expect(try await store.create(pod("plain")).spec.integer("priority") == 0)
        try await store.create(priorityClass("usual", 7, isDefault: true))
        let usual = try await store.create(pod("usual"))
        #expect(usual.spec.integer("priority") == 7)
        #expect(usual.spec.text("priorityClassName") == "usual")
        var again = high
        again.value.set(["spec", "priority"], nil)
        again.labels = ["a": "b"]
        #expect(try await store.replace(again).spec.integer("priority") == 100)
        let unknown = await refusal { try await store.create(pod("x", ["priorityClassName": "none"])) }
        #expect(unknown?.code == 403)
        let odd = await refusal { try await store.create(pod("x", ["priority": 9])) }
        #expect(odd?.message.contains("must not be provided in pod spec") == true)
        let tolerations = high.spec.list("tolerations").compactMap { $0.text("key") }
        #expect(tolerations == ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"])
    }

    @Test("two pods never get the same room of a quota, and what goes gives it back")
    func quotas() async throws {
        let store = try await makeStore()
        var quota = Object(ResourceTypes.resourceQuotas, namespace: "default", name: "q")
        quota.spec = ["hard": ["pods": "3", "count/configmaps": "2"]]
        try await store.create(quota)
        let made = await withTaskGroup(of: Bool.self) { group in
            for number in 0..<12 {
                group.addTask { (try? await store.create(pod("p\(number)"))) != nil }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(made == 3)
        let first = try #require(try await store.list(ResourceTypes.pods).first)
        try await store.delete(key(ResourceTypes.pods, first.name))
        try await store.create(pod("next"))
        try await store.create(configMap("a"))
        try await store.create(configMap("b"))
        let refused = await refusal { try await store.create(configMap("c")) }
        #expect(
            refused?.message == "configmaps \"c\" is forbidden: exceeded quota: q, requested: count/configmaps=1, "
                + "used: count/configmaps=2, limited: count/configmaps=2"
        )
    }

    @Test("a schedule in a time zone that nobody knows is refused")
    func zones() async throws {
        let store = try await makeStore()
        func cron(_ zone: String) -> Object {
            var object = Object(ResourceTypes.cronJobs, namespace: "default", name: "c")
            let pod: Value = ["restartPolicy": "Never", "containers": [["name": "main", "image": "one"]]]
            object.spec = [
                "schedule": "0 0 * * *", "timeZone": .string(zone),
                "jobTemplate": ["spec": ["template": ["spec": pod]]],
            ]
            return object
        }
        let refused = await refusal { try await store.create(cron("Mars/Olympus")) }
        #expect(refused?.message.contains("unknown time zone Mars/Olympus") == true)
        try await store.create(cron("UTC"))
    }
}
