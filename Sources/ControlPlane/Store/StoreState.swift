import Resources
import Wire

/// What the store knows at one moment: the objects, the recent events and who watches. Guarded by the store's lock.
struct StoreState {
    /// One change of one object, as the ring remembers it.
    struct Event {
        let revision: Revision
        let type: ResourceType
        let namespace: String
        let old: Object?
        /// The new state; for a deletion the last one with the revision of the deletion.
        let new: Object
        let isDeletion: Bool
    }

    /// Objects of one type by namespace and name.
    typealias Table = [String: [String: Object]]

    private(set) var tables: [ResourceType: Table] = [:]
    private(set) var types: ServedTypes
    private(set) var revision: Revision
    /// The last events, oldest first, as a circle of fixed size.
    private var ring: [Event] = []
    private var ringStart = 0
    private let ringCapacity: Int
    /// Revisions up to this one cannot be watched from: their events are forgotten.
    private(set) var forgotten: Revision
    var watchers: [Int: Watcher] = [:]
    var nextWatcher = 0
    var isClosed = false

    init(objects: [(ObjectKey, Object)], types: ServedTypes, revision: Revision, ringCapacity: Int) {
        self.types = types
        self.revision = revision
        self.ringCapacity = max(ringCapacity, 1)
        forgotten = revision
        for (key, object) in objects { tables[key.type, default: [:]][key.namespace, default: [:]][key.name] = object }
    }

    func get(_ key: ObjectKey) -> Object? { tables[key.type]?[key.namespace]?[key.name] }

    /// Takes over the kinds after a definition changed, and gives the objects of changed kinds the shape of their new schemas.
    mutating func serve(_ types: ServedTypes) {
        for (name, kind) in types.custom {
            guard let custom = kind.storage.custom, self.types.custom[name]?.storage.custom !== custom else { continue }
            for (space, table) in tables[kind.storage] ?? [:] {
                for (name, object) in table {
                    guard let renewed = custom.renewed(object) else { continue }
                    tables[kind.storage]?[space]?[name] = renewed
                }
            }
        }
        self.types = types
    }

    /// Forgets who watches custom kinds that are served no more, and names them: their watches are to end.
    mutating func takeWatchersOfGoneKinds() -> [Watcher] {
        let gone = watchers.filter { _, watcher in
            watcher.type.custom != nil && types.storage(group: watcher.type.group, kind: watcher.type.kind) == nil
        }
        for id in gone.keys { watchers[id] = nil }
        return Array(gone.values)
    }

    /// Takes over a committed change and remembers it.
    mutating func apply(_ change: Change) {
        revision = change.revision
        let key = change.key
        if change.isDeletion {
            tables[key.type]?[key.namespace]?[key.name] = nil
            if tables[key.type]?[key.namespace]?.isEmpty ?? false { tables[key.type]?[key.namespace] = nil }
        } else {
            tables[key.type, default: [:]][key.namespace, default: [:]][key.name] = change.new
        }
        remember(
            Event(
                revision: change.revision,
                type: key.type,
                namespace: key.namespace,
                old: change.old,
                new: change.new,
                isDeletion: change.isDeletion
            )
        )
    }

    private mutating func remember(_ event: Event) {
        if ring.count < ringCapacity {
            ring.append(event)
        } else {
            forgotten = ring[ringStart].revision
            ring[ringStart] = event
            ringStart = (ringStart + 1) % ringCapacity
        }
    }

    /// The objects of a type as they were at a revision; nil when what changed since is forgotten.
    func table(of type: ResourceType, at revision: Revision) -> Table? {
        guard revision >= forgotten else { return nil }
        var table = tables[type] ?? [:]
        for event in events(after: revision).reversed() where event.type == type {
            table[event.namespace, default: [:]][event.new.name] = event.old
        }
        return table
    }

    /// The remembered events after a revision, oldest first.
    func events(after revision: Revision) -> [Event] {
        var events: [Event] = []
        for offset in 0..<ring.count {
            let event = ring[(ringStart + offset) % ring.count]
            if event.revision > revision { events.append(event) }
        }
        return events
    }
}

/// A write that is decided, but not yet durable.
struct Change {
    let key: ObjectKey
    let old: Object?
    let new: Object
    let isDeletion: Bool
    var revision: Revision
}

/// One watch: what it wants to see and where its events go.
struct Watcher {
    let type: ResourceType
    let namespace: String?
    let labels: LabelSelector
    let fields: FieldSelector
    let continuation: AsyncThrowingStream<WatchEvent, any Error>.Continuation
    /// The revision of the last thing it was sent.
    var seen: Revision

    /// After so many writes of others a watcher gets a bookmark, so that it can always go on where it was.
    static let bookmarkDistance: Revision = 512

    /// What this watcher sees of a change, or nil.
    func sight(of event: StoreState.Event) -> WatchEvent? {
        guard event.type == type, namespace == nil || namespace == event.namespace else { return nil }
        let before = event.old.map(selects) ?? false
        let after = !event.isDeletion && selects(event.new)
        let kind: WatchEvent.Kind
        switch (before, after) {
        case (false, true): kind = .added
        case (true, true): kind = .modified
        case (true, false): kind = .deleted
        case (false, false): return nil
        }
        return WatchEvent(kind: kind, object: event.new, revision: event.revision)
    }

    func selects(_ object: Object) -> Bool { labels.matches(object) && fields.matches(object) }

    /// Sends what it sees of an event; false when it fell too far behind and must end.
    mutating func send(_ event: StoreState.Event) -> Bool {
        if let sight = sight(of: event) {
            seen = event.revision
            return isQueued(continuation.yield(sight))
        }
        guard event.revision - seen >= Self.bookmarkDistance else { return true }
        seen = event.revision
        return isQueued(continuation.yield(Self.bookmark(type, event.revision)))
    }

    private func isQueued(_ result: AsyncThrowingStream<WatchEvent, any Error>.Continuation.YieldResult) -> Bool {
        if case .dropped = result { return false }
        return true
    }

    static func bookmark(_ type: ResourceType, _ revision: Revision, endsInitial: Bool = false) -> WatchEvent {
        var object = Object(["apiVersion": .string(type.apiVersion), "kind": .string(type.kind), "metadata": [:]])
        object.resourceVersion = String(revision)
        if endsInitial { object.annotations = ["k8s.io/initial-events-end": "true"] }
        return WatchEvent(kind: .bookmark, object: object, revision: revision)
    }
}
