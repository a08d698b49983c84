import Resources
import Store
import Testing
import Wire

@Suite("Deleting")
struct DeletionTests {
    @Test("an ordinary object is gone at once")
    func plain() async throws {
        let store = try await makeStore()
        try await store.create(configMap("a"))
        guard case .removed = try await store.delete(key(ResourceTypes.configMaps, "a")) else {
            Issue.record("not removed")
            return
        }
        let error = await refusal { try await store.delete(key(ResourceTypes.configMaps, "a")) }
        #expect(error?.message == "configmaps \"a\" not found")
    }

    @Test("finalizers hold an object until the last one is taken off")
    func finalizers() async throws {
        let store = try await makeStore()
        var object = configMap("a")
        object.finalizers = ["weft.dev/one", "weft.dev/two"]
        try await store.create(object)
        guard case .marked(let marked) = try await store.delete(key(ResourceTypes.configMaps, "a")) else {
            Issue.record("not marked")
            return
        }
        #expect(marked.isDeleting)
        let error = await refusal {
            try await store.modify(key(ResourceTypes.configMaps, "a")) { $0.finalizers.append("weft.dev/three") }
        }
        #expect(error?.reason == .forbidden)
        try await store.modify(key(ResourceTypes.configMaps, "a")) { $0.finalizers = ["weft.dev/two"] }
        #expect(try await store.find(key(ResourceTypes.configMaps, "a")) != nil)
        try await store.modify(key(ResourceTypes.configMaps, "a")) { $0.finalizers = [] }
        #expect(try await store.find(key(ResourceTypes.configMaps, "a")) == nil)
    }

    private func startedPod(_ store: SQLiteStore, grace: Int? = nil) async throws {
        try await store.create(pod("p", grace: grace))
        try await store.modifyStatus(key(ResourceTypes.pods, "p")) {
            $0.status = ["phase": "Running", "startTime": .string(noon.description)]
        }
    }

    @Test("a started pod is marked with its grace period, and goes when its agent says so")
    func podGrace() async throws {
        let store = try await makeStore()
        try await startedPod(store)
        guard case .marked(let marked) = try await store.delete(key(ResourceTypes.pods, "p")) else {
            Issue.record("not marked")
            return
        }
        #expect(marked.deletionTimestamp == noon.adding(seconds: 30))
        #expect(marked.deletionGracePeriodSeconds == 30)
        // Asking again changes nothing; a status can still be written.
        guard case .marked(let again) = try await store.delete(key(ResourceTypes.pods, "p")) else { return }
        #expect(again == marked)
        try await store.modifyStatus(key(ResourceTypes.pods, "p")) { $0.value.set(["status", "phase"], "Running") }
        guard case .removed = try await store.delete(key(ResourceTypes.pods, "p"), DeleteOptions(gracePeriodSeconds: 0))
        else {
            Issue.record("not removed")
            return
        }
        #expect(try await store.find(key(ResourceTypes.pods, "p")) == nil)
    }

    @Test("a shorter grace period counts, a longer one does not")
    func shorterGrace() async throws {
        let store = try await makeStore()
        try await startedPod(store, grace: 20)
        _ = try await store.delete(key(ResourceTypes.pods, "p"))
        let longer = try await store.delete(key(ResourceTypes.pods, "p"), DeleteOptions(gracePeriodSeconds: 60))
        #expect(longer.object.deletionGracePeriodSeconds == 20)
        let shorter = try await store.delete(key(ResourceTypes.pods, "p"), DeleteOptions(gracePeriodSeconds: 5))
        #expect(shorter.object.deletionGracePeriodSeconds == 5)
        #expect(shorter.object.deletionTimestamp == noon.adding(seconds: 5))
    }

    @Test("a pod that never started is gone at once")
    func pendingPod() async throws {
        let store = try await makeStore()
        try await store.create(pod("p"))
        guard case .removed = try await store.delete(key(ResourceTypes.pods, "p")) else {
            Issue.record("not removed")
            return
        }
    }

    @Test("preconditions protect a newer object of the same name")
    func preconditions() async throws {
        let store = try await makeStore()
        let object = try await store.create(configMap("a"))
        let wrongUID = await refusal {
            _ = try await store.delete(key(ResourceTypes.configMaps, "a"), DeleteOptions(uid: "other"))
        }
        #expect(wrongUID?.reason == .conflict)
        let stale = await refusal {
            _ = try await store.delete(key(ResourceTypes.configMaps, "a"), DeleteOptions(resourceVersion: "1"))
        }
        #expect(stale?.reason == .conflict)
        _ = try await store.delete(
            key(ResourceTypes.configMaps, "a"),
            DeleteOptions(uid: object.uid, resourceVersion: object.resourceVersion)
        )
    }

    @Test("orphaning takes the owner's name off what belongs to it")
    func orphan() async throws {
        let store = try await makeStore()
        let owner = try await store.create(configMap("owner"))
        var child = configMap("child")
        child.ownerReferences = [OwnerReference(to: owner)]
        try await store.create(child)
        _ = try await store.delete(key(ResourceTypes.configMaps, "owner"), DeleteOptions(propagation: .orphan))
        #expect(try await store.get(key(ResourceTypes.configMaps, "child")).ownerReferences.isEmpty)
    }

    @Test("a namespace is Terminating until its finalizer goes, and takes nothing new")
    func namespace() async throws {
        let store = try await makeStore()
        let key = ObjectKey(ResourceTypes.namespaces, name: "shop")
        try await store.create(Object(ResourceTypes.namespaces, name: "shop"))
        guard case .marked(let marked) = try await store.delete(key) else {
            Issue.record("not marked")
            return
        }
        #expect(marked.status.text("phase") == "Terminating")
        let error = await refusal {
            try await store.create(Object(ResourceTypes.configMaps, namespace: "shop", name: "late"))
        }
        #expect(error?.code == 403)
        try await store.modify(key) { $0.spec["finalizers"] = [] }
        #expect(try await store.find(key) == nil)
    }

    @Test("the first namespaces cannot be deleted", arguments: ["default", "kube-system", "kube-public"])
    func keptNamespaces(name: String) async throws {
        let store = try await makeStore()
        let error = await refusal { try await store.delete(ObjectKey(ResourceTypes.namespaces, name: name)) }
        #expect(error?.code == 403)
    }
}

@Suite("Addresses of Services")
struct ServiceAllocatorTests {
    @Test("a Service gets an address of its own, and the same one when it is made again")
    func clusterIP() async throws {
        let store = try await makeStore()
        var addresses: Set<String> = []
        for index in 0..<50 {
            addresses.insert(ServiceSpec(try await store.create(service("s\(index)")).spec).clusterIP)
        }
        #expect(addresses.count == 50)
        #expect(addresses.allSatisfy { $0.hasPrefix("10.96.") })
        let first = try await store.get(key(ResourceTypes.services, "s0"))
        try await store.delete(key(ResourceTypes.services, "s0"))
        #expect(try await store.create(service("s0")).spec["clusterIP"] == first.spec["clusterIP"])
    }

    @Test("an asked-for address is given once", arguments: ["10.96.7.7"])
    func asked(address: String) async throws {
        let store = try await makeStore()
        #expect(ServiceSpec(try await store.create(service("a", clusterIP: address)).spec).clusterIP == address)
        let error = await refusal { try await store.create(service("b", clusterIP: address)) }
        #expect(error?.message.contains("already allocated") == true)
    }

    @Test(
        "an address outside the range or kept for the house is refused",
        arguments: ["10.97.0.1", "10.96.0.10", "1.2.3"]
    )
    func refused(address: String) async throws {
        let store = try await makeStore()
        #expect(await refusal { try await store.create(service("a", clusterIP: address)) }?.code == 422)
    }

    @Test("a headless Service keeps None and gets no address")
    func headless() async throws {
        let store = try await makeStore()
        let object = try await store.create(service("a", clusterIP: "None"))
        #expect(ServiceSpec(object.spec).isHeadless)
        #expect(object.spec.texts("clusterIPs") == ["None"])
    }

    @Test("NodePort and LoadBalancer Services get different node ports")
    func nodePorts() async throws {
        let store = try await makeStore()
        var ports: Set<Int> = []
        for index in 0..<20 {
            let object = try await store.create(
                service("s\(index)", type: index % 2 == 0 ? "NodePort" : "LoadBalancer")
            )
            ports.insert(try #require(ServiceSpec(object.spec).ports.first?.nodePort))
        }
        #expect(ports.count == 20)
        #expect(ports.allSatisfy { (30000...32767).contains($0) })
        try await store.create(service("asked", type: "NodePort", nodePort: 30001))
        let error = await refusal { try await store.create(service("too", type: "NodePort", nodePort: 30001)) }
        #expect(error?.message.contains("already allocated") == true)
    }

    @Test("a manifest without address and node port keeps what the Service has; ClusterIP gives the node port back")
    func kept() async throws {
        let store = try await makeStore()
        let first = try await store.create(service("web", type: "NodePort"))
        var labelled = service("web", type: "NodePort")
        labelled.labels = ["a": "b"]
        let second = try await store.replace(labelled)
        #expect(second.spec == first.spec)
        let third = try await store.replace(service("web"))
        #expect(ServiceSpec(third.spec).ports.first?.nodePort == nil)
        #expect(third.spec["clusterIP"] == first.spec["clusterIP"])
    }
}
