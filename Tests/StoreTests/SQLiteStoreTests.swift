import Glibc
import Resources
import Store
import Testing
import Wire

@Suite("The embedded store")
struct SQLiteStoreTests {
    @Test("a new object gets its identity, and one revision more than the last write")
    func create() async throws {
        let store = try await makeStore()
        let before = await store.currentRevision()
        let object = try await store.create(configMap("settings"))
        #expect(object.uid.count == 36)
        #expect(object.creationTimestamp == noon)
        #expect(object.resourceVersion == String(before + 1))
        #expect(try await store.get(key(ResourceTypes.configMaps, "settings")) == object)
    }

    @Test("the second object of a name is refused")
    func alreadyExists() async throws {
        let store = try await makeStore()
        try await store.create(configMap("settings"))
        let error = await refusal { try await store.create(configMap("settings")) }
        #expect(error?.code == 409)
        #expect(error?.reason == .alreadyExists)
        #expect(error?.message == "configmaps \"settings\" already exists")
    }

    @Test("an object needs a namespace that exists")
    func namespaceMissing() async throws {
        let store = try await makeStore()
        var object = configMap("settings")
        object.namespace = "nowhere"
        let wanted = object
        let error = await refusal { try await store.create(wanted) }
        #expect(error?.code == 404)
        #expect(error?.message == "namespaces \"nowhere\" not found")
    }

    @Test("generateName gives every object another name")
    func generateName() async throws {
        let store = try await makeStore()
        var object = configMap("x")
        object.value.set(["metadata", "name"], nil)
        object.value.set(["metadata", "generateName"], "web-")
        var names: Set<String> = []
        for _ in 0..<20 { names.insert(try await store.create(object).name) }
        #expect(names.count == 20)
        #expect(names.allSatisfy { $0.hasPrefix("web-") && $0.count == 9 })
    }

    @Test("a stale resourceVersion is a conflict, and the object stays as it was")
    func conflict() async throws {
        let store = try await makeStore()
        let first = try await store.create(configMap("settings", ["a": "1"]))
        var second = first
        second["data"] = ["a": "2"]
        let written = try await store.replace(second)
        var third = first
        third["data"] = ["a": "3"]
        let stale = third
        let error = await refusal { try await store.replace(stale) }
        #expect(error?.reason == .conflict)
        #expect(try await store.get(key(ResourceTypes.configMaps, "settings")) == written)
    }

    @Test("writing an object unchanged changes nothing, not even its revision")
    func unchanged() async throws {
        let store = try await makeStore()
        let first = try await store.create(service("web"))
        #expect(try await store.replace(first) == first)
        var bare = service("web")
        bare.resourceVersion = ""
        #expect(try await store.replace(bare) == first)
        #expect(await store.currentRevision() == Revision(first.resourceVersion))
    }

    @Test("status and spec are written apart, and only spec raises the generation")
    func statusApart() async throws {
        let store = try await makeStore()
        let created = try await store.create(pod("p"))
        var object = created
        object.status = ["phase": "Running"]
        object.spec["containers"] = [["name": "main", "image": "evil:2"]]
        let withStatus = try await store.updateStatus(object)
        #expect(PodStatus(withStatus.status).phase == "Running")
        #expect(PodSpec(withStatus.spec).containers.first?.image == "web:1")
        #expect(withStatus.generation == 1)
        var changed = withStatus
        changed.status = ["phase": "Failed"]
        changed.value.set(["spec", "activeDeadlineSeconds"], 5)
        let withSpec = try await store.replace(changed)
        #expect(PodStatus(withSpec.status).phase == "Running")
        #expect(withSpec.generation == 2)
    }

    @Test("a dry run answers as if written and writes nothing")
    func dryRun() async throws {
        let store = try await makeStore()
        let before = await store.currentRevision()
        let object = try await store.create(service("web"), WriteOptions(isDryRun: true))
        #expect(!ServiceSpec(object.spec).clusterIP.isEmpty)
        #expect(await store.currentRevision() == before)
        #expect(try await store.find(key(ResourceTypes.services, "web")) == nil)
    }

    @Test("a wrong object is refused with every wrong field by its path")
    func invalid() async throws {
        let store = try await makeStore()
        var object = pod("p")
        object.spec = ["containers": [["name": "Main"]]]
        let wanted = object
        let error = await refusal { try await store.create(wanted) }
        #expect(error?.code == 422)
        #expect(error?.details?.causes.map(\.path) == ["spec.containers[0].name", "spec.containers[0].image"])
    }

    @Test("an object too deep or too large to be read again is refused, in status too")
    func tooLarge() async throws {
        let store = try await makeStore()
        var deep: Value = [:]
        for _ in 0..<60 { deep = ["a": deep] }
        var job = Object(
            ResourceTypes.all.first { $0.kind == "NetworkPolicy" } ?? ResourceTypes.pods,
            namespace: "default",
            name: "j"
        )
        job.spec = deep
        let wanted = job
        #expect(await refusal { try await store.create(wanted) }?.code == 422)
        let large = configMap("large", ["k": String(repeating: "x", count: 2_000_000)])
        #expect(await refusal { try await store.create(large) }?.code == 413)
        try await store.create(pod("p"))
        let error = await refusal {
            try await store.modifyStatus(key(ResourceTypes.pods, "p")) { $0.status = ["phase": deep] }
        }
        #expect(error?.code == 422)
    }

    @Test("modify repeats itself when somebody else wrote in between")
    func modify() async throws {
        let store = try await makeStore()
        try await store.create(configMap("counter", ["n": "0"]))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    try await store.modify(key(ResourceTypes.configMaps, "counter")) { object in
                        let n = Int(object["data"]?.text("n") ?? "") ?? 0
                        object["data"] = ["n": .string(String(n + 1))]
                    }
                }
            }
            try await group.waitForAll()
        }
        let object = try await store.get(key(ResourceTypes.configMaps, "counter"))
        #expect(object["data"]?.text("n") == "8")
    }

    @Test("a list is ordered, and its pages together are the whole")
    func pages() async throws {
        let store = try await makeStore()
        for index in [3, 1, 4, 0, 2] { try await store.create(configMap("c\(index)")) }
        var names: [String] = []
        var options = ListOptions(limit: 2)
        var revisions: Set<Revision> = []
        repeat {
            let page = try await store.list(ResourceTypes.configMaps, namespace: "default", options)
            names += page.items.map(\.name)
            revisions.insert(page.revision)
            options.continuation = page.continuation
            try await store.create(configMap("a\(names.count)"))
        } while options.continuation != nil
        #expect(names == ["c0", "c1", "c2", "c3", "c4"])
        #expect(revisions.count == 1)
    }

    @Test("pages show the moment of the first, whatever happens between them")
    func pagesOfOneMoment() async throws {
        let store = try await makeStore()
        for index in 0..<6 { try await store.create(configMap("c\(index)", ["n": "first"])) }
        var options = ListOptions(limit: 2)
        let first = try await store.list(ResourceTypes.configMaps, namespace: "default", options)
        try await store.delete(key(ResourceTypes.configMaps, "c3"))
        try await store.modify(key(ResourceTypes.configMaps, "c4")) { $0["data"] = ["n": "second"] }
        try await store.create(configMap("c9"))
        try await store.delete(key(ResourceTypes.configMaps, "c5"))
        try await store.create(configMap("c5", ["n": "second"]))
        options.continuation = first.continuation
        options.limit = 0
        let rest = try await store.list(ResourceTypes.configMaps, namespace: "default", options)
        #expect(rest.items.map(\.name) == ["c2", "c3", "c4", "c5"])
        #expect(rest.items.allSatisfy { $0["data"]?.text("n") == "first" })
        #expect(rest.revision == first.revision)
    }

    @Test("labels and fields choose")
    func selectors() async throws {
        let store = try await makeStore()
        try await store.create(configMap("a", labels: ["app": "web"]))
        try await store.create(configMap("b", labels: ["app": "db"]))
        let byLabel = try await store.list(
            ResourceTypes.configMaps,
            labels: LabelSelector(text: "app in (web,cache)")
        )
        #expect(byLabel.map(\.name) == ["a"])
        let byField = try await store.list(
            ResourceTypes.configMaps,
            namespace: nil,
            ListOptions(fields: FieldSelector(text: "metadata.name!=a", for: ResourceTypes.configMaps))
        )
        #expect(byField.items.map(\.name) == ["b"])
    }

    @Test("closing ends watches and refuses writes")
    func shutdown() async throws {
        let store = try await makeStore()
        let events = try await store.watch(ResourceTypes.configMaps)
        await store.shutdown()
        #expect(try await events.take(1) == [])
        let error = await refusal { try await store.create(configMap("late")) }
        #expect(error?.code == 503)
    }
}

@Suite("The store's file")
struct StoreFileTests {
    @Test("everything is there after closing and opening again")
    func reopen() async throws {
        let directory = TemporaryDirectory()
        let path = "\(directory.path)/store.db"
        var store = try await SQLiteStore.open(path: path)
        let object = try await store.create(configMap("settings", ["text": "Grüße\n\"x\" \u{1F600}"]))
        try await store.create(configMap("gone"))
        try await store.delete(key(ResourceTypes.configMaps, "gone"))
        let revision = await store.currentRevision()
        await store.shutdown()
        store = try await SQLiteStore.open(path: path)
        #expect(try await store.get(key(ResourceTypes.configMaps, "settings")) == object)
        #expect(try await store.find(key(ResourceTypes.configMaps, "gone")) == nil)
        #expect(await store.currentRevision() == revision)
        await store.shutdown()
    }

    @Test("nobody else may read the file or its log")
    func permissions() async throws {
        let directory = TemporaryDirectory()
        let store = try await SQLiteStore.open(path: "\(directory.path)/store.db")
        for name in ["store.db", "store.db-wal"] {
            var status = stat()
            #expect(stat("\(directory.path)/\(name)", &status) == 0)
            #expect(status.st_mode & 0o777 == 0o600)
        }
        await store.shutdown()
    }

    @Test("a damaged file is refused in plain words")
    func damaged() async throws {
        let directory = TemporaryDirectory()
        let path = "\(directory.path)/store.db"
        let store = try await SQLiteStore.open(path: path)
        for index in 0..<200 { try await store.create(configMap("c\(index)")) }
        await store.shutdown()
        let fd = open(path, O_RDWR)
        let size = lseek(fd, 0, SEEK_END)
        let noise = [UInt8](repeating: 0xA5, count: 2048)
        for place in stride(from: 4096, to: Int(size) - 2048, by: 4096) { pwrite(fd, noise, noise.count, off_t(place)) }
        close(fd)
        let error = await refusal { _ = try await SQLiteStore.open(path: path) }
        #expect(error?.message.contains("damaged") == true)
        #expect(error?.message.contains(path) == true)
    }

    @Test("something that is no store is refused")
    func notADatabase() async throws {
        let directory = TemporaryDirectory()
        let path = "\(directory.path)/store.db"
        let fd = open(path, O_RDWR | O_CREAT, 0o600)
        let text = Array(String(repeating: "this is a letter, not a database\n", count: 100).utf8)
        write(fd, text, text.count)
        close(fd)
        let error = await refusal { _ = try await SQLiteStore.open(path: path) }
        #expect(error?.message.contains("damaged") == true)
    }

    @Test("a file in use by another process is refused")
    func inUse() async throws {
        let directory = TemporaryDirectory()
        let path = "\(directory.path)/store.db"
        let store = try await SQLiteStore.open(path: path)
        let error = await refusal { _ = try await SQLiteStore.open(path: path) }
        #expect(error?.message.contains("in use") == true)
        await store.shutdown()
    }

    @Test("a directory that is not there is named")
    func missingDirectory() async throws {
        let error = await refusal { _ = try await SQLiteStore.open(path: "/nonexistent/store.db") }
        #expect(error?.code == 503)
        #expect(error?.message.contains("/nonexistent/store.db") == true)
    }
}
