import Bytes
import Resources
import Store
import Testing
import Wire

/// Objects that a test sets, and how often they were looked at.
private final class Measured: LiveSource {
    private let state = Lock<(objects: [Object], looks: Int)>(([], 0))

    var looks: Int { state.withLock { $0.looks } }

    func set(_ figures: [String: Int]) {
        let objects = figures.sorted { $0.key < $1.key }.map { name, figure in
            var object = Object(ResourceTypes.serviceRoutes, namespace: "default", name: name)
            object.labels = ["app": name]
            object.status = ["figure": .int(Int64(figure))]
            return object
        }
        state.withLock { $0.objects = objects }
    }

    func objects(of type: ResourceType) async -> [Object] {
        state.withLock {
            $0.looks += 1
            return $0.objects
        }
    }
}

@Suite("Objects that are measured")
struct LiveStoreTests {
    private static let type = ResourceTypes.serviceRoutes
    private let source = Measured()

    private func makeStore() -> LiveStore {
        LiveStore(source: source, now: Timestamp(seconds: 1_700_000_000), interval: .milliseconds(5))
    }

    @Test("who reads sees now; what did not change keeps its revision")
    func reads() async throws {
        source.set(["a": 1, "b": 1])
        let store = makeStore()
        let first = try await store.list(Self.type, namespace: nil, ListOptions())
        try await Task.sleep(for: .milliseconds(10))
        source.set(["a": 1, "b": 2])
        let second = try await store.list(Self.type, namespace: "default", ListOptions())
        #expect(first.items.map(\.name) == ["a", "b"] && second.items.map(\.name) == ["a", "b"])
        #expect(first.items[0].resourceVersion == second.items[0].resourceVersion)
        #expect(second.revision > first.revision && second.items[1].resourceVersion == String(second.revision))
        #expect(first.revision > 1_700_000_000_000_000)
        await #expect(throws: APIError.self) {
            try await store.get(ObjectKey(Self.type, namespace: "default", name: "c"))
        }
        #expect(await !store.isWatched)
    }

    @Test("a watcher hears of changes alone, and nothing is measured when nobody watches")
    func watches() async throws {
        source.set(["a": 1, "b": 1])
        let store = makeStore()
        let task = Task {
            var seen: [String] = []
            for try await event in try await store.watch(Self.type, namespace: nil, WatchOptions()) {
                seen.append("\(event.kind.rawValue) \(event.object.name) \(event.object.status.integer("figure") ?? 0)")
                switch seen.count {
                case 2: source.set(["a": 1, "b": 7])
                case 3: source.set(["b": 7])
                case 4: return seen
                default: continue
                }
            }
            return seen
        }
        #expect(try await task.value == ["ADDED a 1", "ADDED b 1", "MODIFIED b 7", "DELETED a 1"])
        while await store.isWatched { await Task.yield() }
        let looks = source.looks
        try await Task.sleep(for: .milliseconds(30))
        #expect(source.looks == looks)
        await store.shutdown()
    }

    @Test("many watchers share a look, and who comes back goes on where he was")
    func sharesLooks() async throws {
        source.set(["a": 1])
        let store = LiveStore(source: source, now: Timestamp(seconds: 1), interval: .seconds(60))
        var watches: [WatchEvents] = []
        for _ in 0..<100 { watches.append(try await store.watch(Self.type, namespace: nil, WatchOptions())) }
        // A second later it looks again: on a busy machine some of them come later than that.
        #expect(source.looks < 50)
        let revision = await store.currentRevision()
        await #expect(throws: APIError.self) {
            _ = try await store.watch(Self.type, namespace: nil, WatchOptions(revision: revision - 1000))
        }
        _ = try await store.watch(Self.type, namespace: nil, WatchOptions(revision: revision))
        #expect(watches.count == 100)
        await store.shutdown()
        await #expect(throws: APIError.self) { try await store.create(Object(Self.type, name: "x"), WriteOptions()) }
    }
}
