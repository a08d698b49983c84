import Resources

// What readers and watchers see.
extension StoreState {
    /// The objects that a list, or its next page, is made of: the pages of one list show one moment, what changed since the
    /// first is taken back.
    func base(
        of type: ResourceType,
        _ after: ListContinuation?,
        _ options: ListOptions
    ) -> (table: Table?, revision: Revision) {
        guard let moment = after?.revision ?? options.revision else { return (tables[type] ?? [:], revision) }
        return (table(of: type, at: moment), moment)
    }

    /// A page of a list. Sorting takes time, so that it is not for those who hold a lock.
    static func page(
        _ base: (table: Table?, revision: Revision),
        after: ListContinuation?,
        namespace: String?,
        _ options: ListOptions
    ) throws(APIError) -> ObjectList {
        guard let table = base.table else {
            throw .expired(
                after == nil
                    ? "The resourceVersion for the provided list is too old."
                    : "The provided continue parameter is too old: list again from the start"
            )
        }
        var items: [Object] = []
        for space in table.keys.sorted() where namespace == nil || namespace == space {
            guard let objects = table[space], after.map({ space >= $0.namespace }) ?? true else { continue }
            for name in objects.keys.sorted() {
                if let after, space == after.namespace, name <= after.name { continue }
                guard let object = objects[name], options.labels.matches(object), options.fields.matches(object) else {
                    continue
                }
                items.append(object)
            }
        }
        guard options.limit > 0, items.count > options.limit else {
            return ObjectList(items: items, revision: base.revision)
        }
        let page = Array(items.prefix(options.limit))
        let last = page[page.count - 1]
        return ObjectList(
            items: page,
            revision: base.revision,
            continuation: ListContinuation(revision: base.revision, namespace: last.namespace, name: last.name).text,
            remainingCount: options.labels.isEmpty && options.fields.isEmpty ? items.count - page.count : nil
        )
    }

    /// Adds a watcher; gives its number and what it sees first.
    mutating func open(
        _ type: ResourceType,
        namespace: String?,
        _ options: WatchOptions,
        _ continuation: AsyncThrowingStream<WatchEvent, any Error>.Continuation
    ) throws(APIError) -> (Int, [WatchEvent]) {
        var watcher = Watcher(
            type: type,
            namespace: namespace,
            labels: options.labels,
            fields: options.fields,
            continuation: continuation,
            seen: revision
        )
        var initial: [WatchEvent] = []
        if let from = options.revision {
            guard from >= forgotten else {
                throw .expired("too old resource version: \(from) (\(forgotten))")
            }
            initial = events(after: from).compactMap { watcher.sight(of: $0) }
            watcher.seen = initial.last?.revision ?? min(from, revision)
        } else {
            initial = everything(watcher)
        }
        if options.marksInitialEnd { initial.append(Watcher.bookmark(type, revision, endsInitial: true)) }
        let id = nextWatcher
        nextWatcher += 1
        watchers[id] = watcher
        return (id, initial)
    }

    private func everything(_ watcher: Watcher) -> [WatchEvent] {
        var events: [WatchEvent] = []
        for (space, table) in tables[watcher.type] ?? [:] where watcher.namespace == nil || watcher.namespace == space {
            for object in table.values where watcher.selects(object) {
                events.append(
                    WatchEvent(kind: .added, object: object, revision: Revision(object.resourceVersion) ?? 0)
                )
            }
        }
        return events.sorted { $0.revision < $1.revision }
    }

    /// Takes over a change and shows it to all watchers.
    ///
    /// - Returns: the watchers that did not keep up, taken out; whoever called ends their streams, outside of any lock.
    mutating func publish(_ change: Change) -> [Watcher] {
        apply(change)
        let event = Event(
            revision: change.revision,
            type: change.key.type,
            namespace: change.key.namespace,
            old: change.old,
            new: change.new,
            isDeletion: change.isDeletion
        )
        var ended: [Watcher] = []
        for id in watchers.keys {
            guard watchers[id]?.send(event) == false else { continue }
            if let watcher = watchers.removeValue(forKey: id) { ended.append(watcher) }
        }
        return ended
    }
}

extension Watcher {
    /// Ends a watch that did not keep up.
    func expire() {
        continuation.finish(
            throwing: APIError.expired("the watch fell too far behind: list again and watch from there")
        )
    }
}
