import Resources
import Store
import Testing
import Wire

@Suite("Watching")
struct WatchTests {
    @Test("without a revision everything comes first, then the changes")
    func fromNothing() async throws {
        let store = try await makeStore()
        try await store.create(configMap("a"))
        let events = try await store.watch(ResourceTypes.configMaps, namespace: "default")
        try await store.create(configMap("b"))
        try await store.modify(key(ResourceTypes.configMaps, "a")) { $0["data"] = ["k": "2"] }
        try await store.delete(key(ResourceTypes.configMaps, "b"))
        #expect(try await events.take(4) == ["ADDED a", "ADDED b", "MODIFIED a", "DELETED b"])
    }

    @Test("readers that leave while writes are shown hold nobody up", .timeLimit(.minutes(1)))
    func leavingReaders() async throws {
        let store = try await makeStore()
        try await store.create(configMap("a"))
        for round in 0..<200 {
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        guard let events = try? await store.watch(ResourceTypes.configMaps) else { return }
                        do { for try await _ in events {} } catch {}
                    }
                }
                let writer = Task {
                    for step in 0..<4 {
                        _ = try? await store.modify(key(ResourceTypes.configMaps, "a")) {
                            $0["data"] = ["k": .string("\(round).\(step)")]
                        }
                    }
                }
                await Task.yield()
                group.cancelAll()
                await writer.value
            }
        }
        #expect(try await store.get(key(ResourceTypes.configMaps, "a"))["data"] == ["k": "199.3"])
    }

    @Test("from a revision only what came after is seen, in order")
    func fromRevision() async throws {
        let store = try await makeStore()
        try await store.create(configMap("a"))
        let list = try await store.list(ResourceTypes.configMaps, namespace: nil, ListOptions())
        try await store.create(configMap("b"))
        try await store.create(pod("not-a-configmap"))
        let events = try await store.watch(
            ResourceTypes.configMaps,
            namespace: nil,
            WatchOptions(revision: list.revision)
        )
        try await store.create(configMap("c"))
        #expect(try await events.take(2) == ["ADDED b", "ADDED c"])
    }

    @Test("an object that comes to match is added, one that stops to match is deleted")
    func transitions() async throws {
        let store = try await makeStore()
        try await store.create(configMap("a", labels: ["app": "db"]))
        let events = try await store.watch(
            ResourceTypes.configMaps,
            namespace: nil,
            WatchOptions(labels: LabelSelector(matching: ["app": "web"]))
        )
        for app in ["web", "web2", "web"] {
            try await store.modify(key(ResourceTypes.configMaps, "a")) { $0.labels = ["app": app] }
        }
        try await store.modify(key(ResourceTypes.configMaps, "a")) { $0["data"] = ["k": "2"] }
        #expect(try await events.take(4) == ["ADDED a", "DELETED a", "ADDED a", "MODIFIED a"])
    }

    @Test("the event of a deletion carries the revision of the deletion")
    func deletionRevision() async throws {
        let store = try await makeStore()
        let object = try await store.create(configMap("a"))
        let events = try await store.watch(
            ResourceTypes.configMaps,
            namespace: nil,
            WatchOptions(revision: Revision(object.resourceVersion))
        )
        try await store.delete(key(ResourceTypes.configMaps, "a"))
        var iterator = events.makeAsyncIterator()
        let event = try #require(try await iterator.next())
        #expect(event.kind == .deleted)
        #expect(event.object.resourceVersion == String(await store.currentRevision()))
        #expect(event.revision == Revision(object.resourceVersion).map { $0 + 1 })
    }

    @Test("a revision that is forgotten is Expired")
    func expired() async throws {
        var limits = SQLiteStore.Limits()
        limits.events = 4
        let store = try await makeStore(limits: limits)
        let first = try await store.create(configMap("a"))
        for index in 0..<6 { try await store.create(configMap("b\(index)")) }
        let error = await refusal {
            _ = try await store.watch(
                ResourceTypes.configMaps,
                namespace: nil,
                WatchOptions(revision: Revision(first.resourceVersion))
            )
        }
        #expect(error?.code == 410)
        #expect(error?.reason == .expired)
    }

    @Test("a reader that falls behind is ended with Expired instead of filling the memory")
    func slowReader() async throws {
        let store = try await makeStore()
        let events = try await store.watch(
            ResourceTypes.configMaps,
            namespace: nil,
            WatchOptions(revision: await store.currentRevision(), capacity: 3)
        )
        for index in 0..<6 { try await store.create(configMap("c\(index)")) }
        var seen = 0
        let error = await refusal { for try await _ in events { seen += 1 } }
        #expect(seen == 3)
        #expect(error?.reason == .expired)
    }

    @Test("the end of the initial objects is marked when asked for")
    func initialEnd() async throws {
        let store = try await makeStore()
        try await store.create(configMap("a"))
        let events = try await store.watch(
            ResourceTypes.configMaps,
            namespace: nil,
            WatchOptions(marksInitialEnd: true)
        )
        var iterator = events.makeAsyncIterator()
        #expect(try await iterator.next()?.kind == .added)
        let mark = try #require(try await iterator.next())
        #expect(mark.kind == .bookmark)
        #expect(mark.object.annotation("k8s.io/initial-events-end") == "true")
        #expect(mark.object.resourceVersion == String(await store.currentRevision()))
    }

    @Test("a watch that sees nothing gets bookmarks, so that it never becomes too old")
    func bookmarks() async throws {
        let store = try await makeStore()
        let events = try await store.watch(
            ResourceTypes.secrets,
            namespace: nil,
            WatchOptions(revision: await store.currentRevision())
        )
        for index in 0..<600 { try await store.create(configMap("c\(index)")) }
        var iterator = events.makeAsyncIterator()
        let event = try #require(try await iterator.next())
        #expect(event.kind == .bookmark)
        #expect(event.revision > 500)
    }

    @Test("a cancelled watch ends")
    func cancelled() async throws {
        let store = try await makeStore()
        let events = try await store.watch(ResourceTypes.configMaps)
        let task = Task { try await events.take(1) }
        task.cancel()
        #expect(try await task.value == [])
    }
}
