package import Resources

/// Where objects live: one sequence of decimal revisions for all kinds, optimistic writes, and watches.
///
/// Safe from any task. Every write is durable when the call returns. What is written has been completed and checked by
/// Kubernetes' rules first, whoever writes it (`ObjectRules`, then the store's `Admission`s).
package protocol ObjectStore: Sendable {
    /// The object of a key.
    ///
    /// - Throws: `APIError` 404 when there is none.
    func get(_ key: ObjectKey) async throws(APIError) -> Object

    /// The objects of a type in one namespace, or in all for nil, ordered by namespace and name.
    ///
    /// - Throws: `APIError` 410 `Expired` when it is about a moment that is no longer remembered.
    func list(_ type: ResourceType, namespace: String?, _ options: ListOptions) async throws(APIError) -> ObjectList

    /// Stores a new object and returns it as stored, with uid, creationTimestamp, generation, resourceVersion and defaults.
    ///
    /// - Throws: `APIError` 409 `AlreadyExists`, 422 `Invalid`, 404 when its namespace does not exist, 403 when that one
    ///   is being deleted.
    func create(_ object: Object, _ options: WriteOptions) async throws(APIError) -> Object

    /// Writes a changed object. Its `status` is kept as stored; `metadata.resourceVersion`, when set, must be the stored
    /// one.
    ///
    /// - Throws: `APIError` 409 `Conflict` when the object changed since it was read, 404, 422.
    func replace(_ object: Object, _ options: WriteOptions) async throws(APIError) -> Object

    /// Writes only the `status` of an object; the rest is kept as stored.
    func updateStatus(_ object: Object, _ options: WriteOptions) async throws(APIError) -> Object

    /// Deletes an object, or marks it as being deleted when finalizers or a pod's grace period hold it.
    func delete(_ key: ObjectKey, _ options: DeleteOptions) async throws(APIError) -> DeleteOutcome

    /// Follows the changes of a type in one namespace, or in all for nil.
    ///
    /// - Throws: `APIError` 410 `Expired` when `options.revision` is older than what is remembered.
    func watch(_ type: ResourceType, namespace: String?, _ options: WatchOptions) async throws(APIError) -> WatchEvents

    /// The revision of the last write.
    func currentRevision() async -> Revision

    /// The kinds that are served now: those of the house and those that definitions add.
    var types: ServedTypes { get }
}

/// A place in the sequence of writes; 0 before the first.
package typealias Revision = Int64

/// What a list holds back.
package struct ListOptions: Sendable {
    package var labels = LabelSelector()
    package var fields = FieldSelector()
    /// At most so many objects; 0 means all.
    package var limit = 0
    /// Goes on after the last object of the list before (`ObjectList.continuation`).
    package var continuation: String?
    /// Shows the objects as they were at this revision; nil for now. A `continuation` knows its own.
    package var revision: Revision?

    package init(
        labels: LabelSelector = LabelSelector(),
        fields: FieldSelector = FieldSelector(),
        limit: Int = 0,
        continuation: String? = nil,
        revision: Revision? = nil
    ) {
        self.labels = labels
        self.fields = fields
        self.limit = limit
        self.continuation = continuation
        self.revision = revision
    }
}

/// The objects of a list and the revision at which they were all current.
package struct ObjectList: Sendable {
    package let items: [Object]
    package let revision: Revision
    /// Set when a limit cut the list short.
    package let continuation: String?
    package let remainingCount: Int?

    package init(items: [Object], revision: Revision, continuation: String? = nil, remainingCount: Int? = nil) {
        self.items = items
        self.revision = revision
        self.continuation = continuation
        self.remainingCount = remainingCount
    }
}

/// How to write.
package struct WriteOptions: Sendable {
    /// Answers as if written, but writes nothing.
    package var isDryRun = false
    /// Who owns which fields after the write; nil leaves the owners as they are.
    package var tracking: FieldTracking?

    package init(isDryRun: Bool = false, tracking: FieldTracking? = nil) {
        self.isDryRun = isDryRun
        self.tracking = tracking
    }
}

/// How to delete.
package struct DeleteOptions: Sendable {
    package enum Propagation: String, Sendable {
        case background = "Background"
        case foreground = "Foreground"
        case orphan = "Orphan"
    }

    /// Seconds that a pod may take; nil means what its spec says, 0 removes it at once.
    package var gracePeriodSeconds: Int?
    /// Only if the object still has this uid.
    package var uid: String?
    /// Only if the object was not written since.
    package var resourceVersion: String?
    package var propagation: Propagation = .background
    package var isDryRun = false

    package init(
        gracePeriodSeconds: Int? = nil,
        uid: String? = nil,
        resourceVersion: String? = nil,
        propagation: Propagation = .background,
        isDryRun: Bool = false
    ) {
        self.gracePeriodSeconds = gracePeriodSeconds
        self.uid = uid
        self.resourceVersion = resourceVersion
        self.propagation = propagation
        self.isDryRun = isDryRun
    }
}

/// What became of a deletion.
package enum DeleteOutcome: Sendable {
    /// The object is gone; this is its last state.
    case removed(Object)
    /// The object stays, marked with `deletionTimestamp`, until its finalizers or its agent let it go.
    case marked(Object)

    package var object: Object {
        switch self {
        case .removed(let object), .marked(let object): object
        }
    }
}

/// What to watch.
package struct WatchOptions: Sendable {
    package var labels = LabelSelector()
    package var fields = FieldSelector()
    /// Changes after this revision. Nil: first every object as `added`, then the changes.
    package var revision: Revision?
    /// Ask for a bookmark after the initial objects (`sendInitialEvents`).
    package var marksInitialEnd = false
    /// Events that may wait unread before the watch ends with `Expired`.
    package var capacity = 1024

    package init(
        labels: LabelSelector = LabelSelector(),
        fields: FieldSelector = FieldSelector(),
        revision: Revision? = nil,
        marksInitialEnd: Bool = false,
        capacity: Int = 1024
    ) {
        self.labels = labels
        self.fields = fields
        self.revision = revision
        self.marksInitialEnd = marksInitialEnd
        self.capacity = capacity
    }
}

/// One change of one object, as a watcher with its selectors sees it.
package struct WatchEvent: Sendable, Equatable {
    package enum Kind: String, Sendable {
        case added = "ADDED"
        case modified = "MODIFIED"
        case deleted = "DELETED"
        /// No change: `object` holds nothing but the revision up to which everything was seen.
        case bookmark = "BOOKMARK"
    }

    package let kind: Kind
    /// The new state; of a deleted object the last one, with the revision of its deletion.
    package let object: Object
    package let revision: Revision

    package init(kind: Kind, object: Object, revision: Revision) {
        self.kind = kind
        self.object = object
        self.revision = revision
    }
}

/// The events of a watch, in the order of their revisions, for one reader.
///
/// Ends by throwing `APIError` 410 `Expired` when the reader fell too far behind: list again, then watch from there.
package struct WatchEvents: AsyncSequence, Sendable {
    package typealias Element = WatchEvent
    package typealias Failure = any Error

    private let initial: [WatchEvent]
    private let live: AsyncThrowingStream<WatchEvent, any Error>

    package init(initial: [WatchEvent], live: AsyncThrowingStream<WatchEvent, any Error>) {
        self.initial = initial
        self.live = live
    }

    package struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate var initial: ArraySlice<WatchEvent>
        fileprivate var live: AsyncThrowingStream<WatchEvent, any Error>.AsyncIterator

        /// The next event; nil when the watch was cancelled or the store closed.
        package mutating func next() async throws -> WatchEvent? {
            if let event = initial.popFirst() { return event }
            return try await live.next()
        }
    }

    package func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(initial: initial[...], live: live.makeAsyncIterator())
    }
}

/// Completes or refuses an object that is about to be written: addresses of Services, for example.
///
/// Called on the store's writer, one write at a time, so that two writes can never be given the same thing.
package protocol Admission: Sendable {
    /// Looks at a write; `old` is nil for a new object. May change `object`, or throw to refuse it.
    func admit(_ object: inout Object, replacing old: Object?, view: any StoreView) throws(APIError)

    /// Looks at a write that is complete and right by all other rules; may throw to refuse it.
    func review(_ write: CompletedWrite, view: any StoreView) throws(APIError)
}

extension Admission {
    package func review(_ write: CompletedWrite, view: any StoreView) throws(APIError) {}
}

/// The objects as they are at one moment of the writer, writes of the same batch included.
package protocol StoreView {
    func get(_ key: ObjectKey) -> Object?
    func list(_ type: ResourceType, namespace: String?) -> [Object]
}

// Short forms.
extension ObjectStore {
    package func list(
        _ type: ResourceType,
        namespace: String? = nil,
        labels: LabelSelector = LabelSelector()
    ) async throws(APIError) -> [Object] {
        try await list(type, namespace: namespace, ListOptions(labels: labels)).items
    }

    /// The object of a key, or nil.
    package func find(_ key: ObjectKey) async throws(APIError) -> Object? {
        do { return try await get(key) } catch {
            if error.reason == .notFound { return nil }
            throw error
        }
    }

    @discardableResult
    package func create(_ object: Object) async throws(APIError) -> Object {
        try await create(object, WriteOptions())
    }

    @discardableResult
    package func replace(_ object: Object) async throws(APIError) -> Object {
        try await replace(object, WriteOptions())
    }

    @discardableResult
    package func updateStatus(_ object: Object) async throws(APIError) -> Object {
        try await updateStatus(object, WriteOptions())
    }

    @discardableResult
    package func delete(_ key: ObjectKey) async throws(APIError) -> DeleteOutcome {
        try await delete(key, DeleteOptions())
    }

    package func watch(_ type: ResourceType, namespace: String? = nil) async throws(APIError) -> WatchEvents {
        try await watch(type, namespace: namespace, WatchOptions())
    }

    /// Reads, changes and writes an object, again from the start when somebody else wrote it in between (up to 16 times).
    ///
    /// A change that leaves the object as it was writes nothing.
    @discardableResult
    package func modify(
        _ key: ObjectKey,
        _ change: (inout Object) throws(APIError) -> Void
    ) async throws(APIError) -> Object {
        try await retry(key, change) { (object) async throws(APIError) in try await replace(object, WriteOptions()) }
    }

    /// `modify` for the status.
    @discardableResult
    package func modifyStatus(
        _ key: ObjectKey,
        _ change: (inout Object) throws(APIError) -> Void
    ) async throws(APIError) -> Object {
        try await retry(key, change) { (object) async throws(APIError) in
            try await updateStatus(object, WriteOptions())
        }
    }

    private func retry(
        _ key: ObjectKey,
        _ change: (inout Object) throws(APIError) -> Void,
        _ write: (Object) async throws(APIError) -> Object
    ) async throws(APIError) -> Object {
        var conflict = APIError.internalError("no attempt was made")
        for _ in 0..<16 {
            let stored = try await get(key)
            var object = stored
            try change(&object)
            if object == stored { return stored }
            do { return try await write(object) } catch {
                guard error.reason == .conflict else { throw error }
                conflict = error
            }
        }
        throw conflict
    }
}
