package import Resources
package import Store

/// One view of the whole store for all loops: fed by a watch per type, and by what the loops write themselves, so that a
/// loop always sees its own writes (no pod is created twice because an event was late).
///
/// Every change is told to the listeners once, in order, from within the actor.
package actor ObjectCache {
    /// Types the loops look at.
    package static let watchedTypes: [ResourceType] = [
        ResourceTypes.namespaces, ResourceTypes.nodes, ResourceTypes.pods, ResourceTypes.services,
        ResourceTypes.endpoints, ResourceTypes.endpointSlices, ResourceTypes.deployments, ResourceTypes.replicaSets,
        ResourceTypes.ingresses, ResourceTypes.volumeClaims, ResourceTypes.volumes, ResourceTypes.secrets,
        ResourceTypes.configMaps, ResourceTypes.statefulSets, ResourceTypes.daemonSets,
        ResourceTypes.controllerRevisions, ResourceTypes.jobs, ResourceTypes.cronJobs, ResourceTypes.autoscalers,
        ResourceTypes.disruptionBudgets, ResourceTypes.resourceQuotas, ResourceTypes.definitions,
    ]

    package typealias Listener = @Sendable (Change, borrowing ClusterState) -> Void

    private let store: any ObjectStore
    private var state = ClusterState()
    private var listeners: [Listener] = []
    private var seen: [ResourceType: Revision] = [:]
    private var unsynced: Set<ResourceType>
    private var waiting: [CheckedContinuation<Void, Never>] = []

    package init(store: any ObjectStore) {
        self.store = store
        unsynced = Set(Self.watchedTypes)
    }

    /// Adds a listener. It runs on the cache's actor: it must be quick and must not call back.
    package func listen(_ listener: @escaping Listener) { listeners.append(listener) }

    /// Reads the state; the body runs on the cache's actor.
    package func read<Result: Sendable>(_ body: @Sendable (borrowing ClusterState) -> Result) -> Result { body(state) }

    package func get(_ key: ObjectKey) -> Object? { state.get(key) }

    /// Suspends until every type was read once.
    package func synced() async {
        guard !unsynced.isEmpty else { return }
        await withCheckedContinuation { waiting.append($0) }
    }

    /// Watches the store until the task is cancelled.
    package func run() async {
        await withDiscardingTaskGroup { group in
            for type in Self.watchedTypes {
                group.addTask { await self.follow(type) }
            }
            group.addTask { await self.followCustom() }
        }
        for continuation in waiting { continuation.resume() }
        waiting = []
    }

    /// Takes over what a loop wrote and returns it.
    @discardableResult
    package func wrote(_ object: Object) -> Object {
        if let key = object.key, let revision = Revision(object.resourceVersion), revision > seen[key.type] ?? 0 {
            upsert(key, object, revision)
        }
        return object
    }

    /// Takes over a deletion that a loop made.
    package func deleted(_ outcome: DeleteOutcome) {
        switch outcome {
        case .marked(let object): wrote(object)
        case .removed(let object):
            guard let key = object.key, state.get(key)?.uid == object.uid else { return }
            tell(Change(key: key, old: state.set(key, nil), new: nil))
        }
    }

    private func upsert(_ key: ObjectKey, _ object: Object, _ revision: Revision) {
        if let present = state.get(key), let known = Revision(present.resourceVersion), known >= revision { return }
        tell(Change(key: key, old: state.set(key, object), new: object))
    }

    private func tell(_ change: Change) {
        for listener in listeners { listener(change, state) }
    }

    // MARK: Watching

    /// Follows custom kinds, each as long as it is served: their objects may own others, and be owned.
    private func followCustom() async {
        await withDiscardingTaskGroup { group in
            var followed: [String: Task<Void, Never>] = [:]
            while !Task.isCancelled {
                if let events = try? await store.watch(ResourceTypes.definitions) {
                    do {
                        for try await _ in events {
                            let kinds = store.types.custom
                            for (name, task) in followed where kinds[name] == nil {
                                task.cancel()
                                followed[name] = nil
                            }
                            for (name, kind) in kinds where followed[name] == nil {
                                let task = Task { await self.follow(kind.storage) }
                                followed[name] = task
                                group.addTask {
                                    await withTaskCancellationHandler {
                                        await task.value
                                    } onCancel: {
                                        task.cancel()
                                    }
                                }
                            }
                        }
                    } catch {
                        // It fell too far behind: everything is looked at again.
                    }
                }
                if !Task.isCancelled { try? await Task.sleep(for: .milliseconds(100)) }
            }
        }
    }

    private func follow(_ type: ResourceType) async {
        var failures = 0
        while !Task.isCancelled {
            do {
                let options = WatchOptions(revision: nil, marksInitialEnd: true, capacity: 8192)
                let events = try await store.watch(type, namespace: nil, options)
                failures = 0
                var listed: Set<ObjectKey>? = []
                for try await event in events { take(event, of: type, listed: &listed) }
                if Task.isCancelled { return }
            } catch {
                // The watch ended (too far behind, or the store is closing): everything is read again.
            }
            failures += 1
            try? await Task.sleep(for: .milliseconds(min(10 << min(failures, 10), 5000)))
        }
    }

    private func take(_ event: WatchEvent, of type: ResourceType, listed: inout Set<ObjectKey>?) {
        // Initial events carry the revisions of their objects, which come in no order; only later ones move the mark.
        if listed == nil { seen[type] = max(seen[type] ?? 0, event.revision) }
        switch event.kind {
        case .bookmark:
            guard let present = listed else { return }
            listed = nil
            seen[type] = max(seen[type] ?? 0, event.revision)
            dropMissing(type, present: present, at: event.revision)
        case .added, .modified:
            let key = ObjectKey(type, namespace: event.object.namespace, name: event.object.name)
            listed?.insert(key)
            upsert(key, event.object, Revision(event.object.resourceVersion) ?? event.revision)
        case .deleted:
            let key = ObjectKey(type, namespace: event.object.namespace, name: event.object.name)
            guard let present = state.get(key), (Revision(present.resourceVersion) ?? 0) <= event.revision else {
                return
            }
            tell(Change(key: key, old: state.set(key, nil), new: nil))
        }
    }

    private func dropMissing(_ type: ResourceType, present: Set<ObjectKey>, at revision: Revision) {
        for object in state.list(type) {
            let key = ObjectKey(type, namespace: object.namespace, name: object.name)
            guard !present.contains(key), (Revision(object.resourceVersion) ?? 0) <= revision else { continue }
            tell(Change(key: key, old: state.set(key, nil), new: nil))
        }
        guard unsynced.remove(type) != nil, unsynced.isEmpty else { return }
        for continuation in waiting { continuation.resume() }
        waiting = []
    }
}
