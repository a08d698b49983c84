import Bytes
package import Resources

/// Knows what objects that nobody writes look like now.
package protocol LiveSource: Sendable {
    /// All objects of a type, without `resourceVersion`. What did not change compares equal to what was given before.
    func objects(of type: ResourceType) async -> [Object]
}

/// A store of objects that are measured, not written: read, listed and watched like all others.
///
/// They are looked at when somebody reads them, and at an interval while somebody watches; otherwise nothing is done. One
/// look serves all who ask meanwhile, and a watcher hears of an object only when it changed.
package actor LiveStore: ObjectStore {
    /// Between two looks while somebody watches.
    package static let interval = Duration.seconds(2)
    /// What was seen so short ago is still now.
    private static let freshness = Duration.seconds(1)
    /// Events remembered for watchers that come back.
    private static let ringCapacity = 4096

    private let source: any LiveSource
    private let clock = ContinuousClock()
    private let interval: Duration
    private var state: StoreState
    private var looks: [ResourceType: Look] = [:]
    private var polling: Task<Void, Never>?
    /// Watchers whose readers are gone.
    private let gone = Lock<[Int]>([])

    private struct Look {
        var last: ContinuousClock.Instant?
        var running: Task<Void, Never>?
    }

    /// Looks at the source each `interval` while somebody watches. Revisions begin at `now`: above those of every store before.
    package init(source: any LiveSource, now: Timestamp, interval: Duration = LiveStore.interval) {
        self.source = source
        self.interval = interval
        let first = now.seconds * 1_000_000 + Int64(now.nanoseconds) / 1000
        state = StoreState(objects: [], types: ServedTypes(), revision: max(first, 1), ringCapacity: Self.ringCapacity)
    }

    /// The kinds of the house: no definition adds to what is measured.
    package nonisolated var types: ServedTypes { ServedTypes() }

    /// Whether somebody watches.
    package var isWatched: Bool { polling != nil }

    /// Ends every watch.
    package func shutdown() async {
        state.isClosed = true
        for watcher in state.watchers.values { watcher.continuation.finish() }
        state.watchers = [:]
        polling?.cancel()
        await polling?.value
    }

    // MARK: Reading

    package func get(_ key: ObjectKey) async throws(APIError) -> Object {
        await look(at: key.type)
        guard let object = state.get(key) else { throw .notFound(key.type, key.name) }
        return object
    }

    package func list(
        _ type: ResourceType,
        namespace: String?,
        _ options: ListOptions
    ) async throws(APIError) -> ObjectList {
        let after = try ListContinuation.read(options)
        if after == nil { await look(at: type) }
        return try StoreState.page(state.base(of: type, after, options), after: after, namespace: namespace, options)
    }

    package func watch(
        _ type: ResourceType,
        namespace: String?,
        _ options: WatchOptions
    ) async throws(APIError) -> WatchEvents {
        await look(at: type)
        guard !state.isClosed else { throw .unavailable("the server is ending") }
        let (stream, continuation) = AsyncThrowingStream.makeStream(
            of: WatchEvent.self,
            throwing: (any Error).self,
            bufferingPolicy: .bufferingOldest(max(options.capacity, 1))
        )
        let (id, initial) = try state.open(type, namespace: namespace, options, continuation)
        continuation.onTermination = { [weak self] _ in self?.left(id) }
        if polling == nil { polling = Task { await self.poll() } }
        return WatchEvents(initial: initial, live: stream)
    }

    package func currentRevision() async -> Revision { state.revision }

    private nonisolated func left(_ id: Int) { gone.withLock { $0.append(id) } }

    // MARK: Looking

    /// Looks as long as somebody watches.
    private func poll() async {
        while !Task.isCancelled {
            let left = gone.withLock { gone in
                defer { gone = [] }
                return gone
            }
            for id in left { state.watchers[id] = nil }
            guard !state.watchers.isEmpty else { break }
            for type in Set(state.watchers.values.map(\.type)) { await look(at: type) }
            try? await Task.sleep(for: interval)
        }
        polling = nil
    }

    /// Brings the objects of a type up to now; who comes while somebody looks waits for that look.
    private func look(at type: ResourceType) async {
        if let running = looks[type]?.running { return await running.value }
        if let last = looks[type]?.last, last.duration(to: clock.now) < min(Self.freshness, interval) { return }
        let task = Task {
            let objects = await source.objects(of: type)
            take(objects, of: type)
            looks[type] = Look(last: clock.now)
        }
        looks[type] = Look(last: looks[type]?.last, running: task)
        await task.value
    }

    private func take(_ objects: [Object], of type: ResourceType) {
        var missing = state.tables[type] ?? [:]
        var behind: [Watcher] = []
        for object in objects {
            let old = missing[object.namespace]?.removeValue(forKey: object.name)
            var same = object
            same.resourceVersion = old?.resourceVersion ?? ""
            guard old != same else { continue }
            behind += publish(object, replacing: old, of: type, isDeletion: false)
        }
        for old in missing.values.flatMap(\.values) {
            behind += publish(old, replacing: old, of: type, isDeletion: true)
        }
        for watcher in behind { watcher.expire() }
    }

    private func publish(_ object: Object, replacing old: Object?, of type: ResourceType, isDeletion: Bool) -> [Watcher]
    {
        let revision = state.revision + 1
        var new = object
        new.resourceVersion = String(revision)
        return state.publish(
            Change(
                key: ObjectKey(type, namespace: object.namespace, name: object.name),
                old: old,
                new: new.withText,
                isDeletion: isDeletion,
                revision: revision
            )
        )
    }
}

// Nobody writes them.
extension LiveStore {
    private static func refusal() -> APIError {
        APIError(code: 405, reason: .methodNotAllowed, message: "what is measured cannot be written")
    }

    package func create(_ object: Object, _ options: WriteOptions) async throws(APIError) -> Object {
        throw Self.refusal()
    }

    package func replace(_ object: Object, _ options: WriteOptions) async throws(APIError) -> Object {
        throw Self.refusal()
    }

    package func updateStatus(_ object: Object, _ options: WriteOptions) async throws(APIError) -> Object {
        throw Self.refusal()
    }

    package func delete(_ key: ObjectKey, _ options: DeleteOptions) async throws(APIError) -> DeleteOutcome {
        throw Self.refusal()
    }
}
