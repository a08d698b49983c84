import Resources
import Store
import Testing
import Wire

@Suite("The store against a model")
struct ModelTests {
    /// Many writers at once; a watcher that started before, one that starts in the middle from a list, and the list at the
    /// end must all come to the same objects.
    @Test("whoever follows the events has what the list has", arguments: 0..<4)
    func followers(round: Int) async throws {
        let directory = TemporaryDirectory()
        let store = try await SQLiteStore.open(path: "\(directory.path)/store.db")
        var options = WatchOptions(capacity: 100_000)
        let early = try await store.watch(ResourceTypes.configMaps, namespace: "default", options)
        try await write(store, workers: 6, steps: 60)
        let middle = try await store.list(ResourceTypes.configMaps, namespace: "default", ListOptions())
        options.revision = middle.revision
        let late = try await store.watch(ResourceTypes.configMaps, namespace: "default", options)
        try await write(store, workers: 6, steps: 60)
        let list = try await store.list(ResourceTypes.configMaps, namespace: "default", ListOptions())
        let end = try await store.create(configMap("zz-end"))
        let expected = Dictionary(uniqueKeysWithValues: (list.items + [end]).map { ($0.name, $0.resourceVersion) })
        #expect(try await follow(early, from: []) == expected)
        #expect(try await follow(late, from: middle.items) == expected)
        await store.shutdown()
        let again = try await SQLiteStore.open(path: "\(directory.path)/store.db")
        let reopened = try await again.list(ResourceTypes.configMaps)
        #expect(Dictionary(uniqueKeysWithValues: reopened.map { ($0.name, $0.resourceVersion) }) == expected)
        await again.shutdown()
    }

    private func write(_ store: SQLiteStore, workers: Int, steps: Int) async throws {
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<workers {
                group.addTask {
                    for step in 0..<steps {
                        let name = "c\((worker * 7 + step * 3) % 25)"
                        let place = key(ResourceTypes.configMaps, name)
                        // Refusals are part of the game: another worker was faster.
                        switch (worker + step) % 4 {
                        case 0, 1: _ = try? await store.create(configMap(name, ["n": "\(worker)-\(step)"]))
                        case 2: _ = try? await store.modify(place) { $0["data"] = ["n": .string("\(worker)/\(step)")] }
                        default: _ = try? await store.delete(place)
                        }
                    }
                }
            }
        }
    }

    private func follow(_ events: WatchEvents, from items: [Object]) async throws -> [String: String] {
        var objects = Dictionary(uniqueKeysWithValues: items.map { ($0.name, $0.resourceVersion) })
        var last: Revision = 0
        for try await event in events {
            #expect(event.revision >= last)
            last = event.revision
            switch event.kind {
            case .added:
                #expect(objects[event.object.name] == nil)
                objects[event.object.name] = event.object.resourceVersion
            case .modified:
                #expect(objects[event.object.name] != nil)
                objects[event.object.name] = event.object.resourceVersion
            case .deleted: #expect(objects.removeValue(forKey: event.object.name) != nil)
            case .bookmark: continue
            }
            if event.object.name == "zz-end" { break }
        }
        return objects
    }

    @Test("a file that cannot grow refuses writes in plain words, and takes them again when something is deleted")
    func full() async throws {
        let directory = TemporaryDirectory()
        var limits = SQLiteStore.Limits()
        limits.fileBytes = 40 * 4096
        let store = try await SQLiteStore.open(path: "\(directory.path)/store.db", limits: limits)
        let filler = String(repeating: "x", count: 20_000)
        var error: APIError?
        var written: [String] = []
        for index in 0..<20 {
            error = await refusal { try await store.create(configMap("c\(index)", ["k": filler])) }
            if error != nil { break }
            written.append("c\(index)")
        }
        #expect(error?.code == 507)
        #expect(error?.message.contains("nothing was written") == true)
        #expect(written.count > 2)
        let before = await store.currentRevision()
        #expect(try await store.list(ResourceTypes.configMaps).map(\.name).sorted() == written.sorted())
        #expect(await store.currentRevision() == before)
        try await store.delete(key(ResourceTypes.configMaps, "c0"))
        try await store.create(configMap("again", ["k": filler]))
        await store.shutdown()
    }
}
