package import Resources
package import Store

/// What every reconciler works with: the cached view for reading, the store for writing (each write is seen at once in the
/// view), the time, and the events it tells people.
package struct Cluster: Sendable {
    package let store: any ObjectStore
    package let cache: ObjectCache
    package let events: EventRecorder
    /// The time of day.
    package let now: @Sendable () -> Timestamp

    package init(store: any ObjectStore, now: @escaping @Sendable () -> Timestamp) {
        self.store = store
        self.now = now
        cache = ObjectCache(store: store)
        events = EventRecorder(store: store, now: now)
    }

    package func get(_ key: ObjectKey) async -> Object? { await cache.get(key) }

    package func read<Result: Sendable>(_ body: @Sendable (borrowing ClusterState) -> Result) async -> Result {
        await cache.read(body)
    }

    /// Whether an owner may take in what nobody owns: the store is asked, for who was deleted and left his own behind is to be
    /// seen there before these are seen to be free.
    func mayAdopt(_ owner: Object) async -> Bool {
        guard let type = ResourceTypes.find(apiVersion: owner.apiVersion, kind: owner.kind) else { return false }
        let key = ObjectKey(type, namespace: owner.namespace, name: owner.name)
        guard let now = try? await store.get(key) else { return false }
        return now.uid == owner.uid && !now.isDeleting
    }

    @discardableResult
    package func create(_ object: Object) async throws(APIError) -> Object {
        await cache.wrote(try await store.create(object))
    }

    @discardableResult
    package func replace(_ object: Object) async throws(APIError) -> Object {
        await cache.wrote(try await store.replace(object))
    }

    /// Writes the status, if it is not what is stored already.
    @discardableResult
    package func updateStatus(_ object: Object, from old: Object) async throws(APIError) -> Object {
        guard object.status != old.status else { return old }
        return await cache.wrote(try await store.updateStatus(object))
    }

    /// Deletes an object; one that is gone already is no error.
    package func delete(_ key: ObjectKey, _ options: DeleteOptions = DeleteOptions()) async throws(APIError) {
        do {
            await cache.deleted(try await store.delete(key, options))
        } catch {
            guard error.reason == .notFound else { throw error }
        }
    }
}
